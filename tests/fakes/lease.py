"""A lease that nobody else wants."""


class HeldLease:
    """Always held by this process: implements LeasePort."""

    def held(self) -> bool:
        """Whether this process holds it."""
        return True

    def holder(self) -> str:
        """Who holds it, for an operator."""
        return "this process"
