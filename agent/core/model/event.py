"""What every event is; the events themselves are in events.py and steering.py."""

from dataclasses import dataclass

from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have in common: seconds since the epoch at which it was decided."""

    at: float


def because(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(str(r) for r in reasons)
