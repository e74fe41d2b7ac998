"""Causes of a pause or of slowness, and what the state remembers of them."""

from dataclasses import dataclass

OPERATOR = "operator"  # the cause that `pause` sets
OTHERS = "others:"  # before a code: a cause for what another hand did, and meant
METRIC = "metric:"  # before a rule's name: a cause that it sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A cause of a pause or of slowness; `clear_since`: a safety reason is gone, not yet
    trusted to stay so.
    """

    name: str
    seen: str
    since: float
    clear_since: float | None = None
    latched: bool = False  # it has flapped too often: calm now, and only an operator lifts it

    @property
    def is_safety(self) -> bool:
        return self.name.startswith("safety:")

    @property
    def waits_for_operator(self) -> bool:
        """Only an operator's word lifts it."""
        return self.latched or self.name == OPERATOR or self.name.startswith(OTHERS)

    @property
    def is_external(self) -> bool:
        """Set and lifted by monitors or by metric rules, whatever the migration does; it
        outlives one.
        """
        return self.name.startswith(("alert:", METRIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedCause:
    """A cause that may not pause before `until`: a human has just said `resume`."""

    name: str
    seen: str
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaps:
    """When a cause has paused, lately."""

    name: str
    times: tuple[float, ...]
