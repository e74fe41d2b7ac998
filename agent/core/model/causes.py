"""Causes of a pause or of slowness, and what the state remembers of them."""

from dataclasses import dataclass

OPERATOR = "operator"  # the cause that `pause` sets
OTHERS = "others:"  # before a code: a cause for what somebody else did on purpose
METRIC = "metric:"  # before a rule's name: a cause that it sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A cause of a pause or of slowness.

    `clear_since`: since when the reason of a safety cause has been gone; it is lifted when that has
    lasted.
    """

    name: str
    seen: str
    since: float
    clear_since: float | None = None
    latched: bool = False  # it has come and gone too often: only an operator lifts it

    @property
    def is_safety(self) -> bool:
        """Whether the agent set this cause itself because the cluster was not safe."""
        return self.name.startswith("safety:")

    @property
    def waits_for_operator(self) -> bool:
        """Whether only an operator lifts it."""
        return self.latched or self.name == OPERATOR or self.name.startswith(OTHERS)

    @property
    def is_external(self) -> bool:
        """Whether alerts or metric rules set and lift it; such a cause outlives a migration."""
        return self.name.startswith(("alert:", METRIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedCause:
    """A cause that may not pause before `until`, because an operator has just resumed."""

    name: str
    seen: str
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaps:
    """When a cause has paused lately."""

    name: str
    times: tuple[float, ...]
