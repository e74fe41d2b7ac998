"""The base class of all events; the events themselves are in agent/core/events and
agent/core/kraft.
"""

from dataclasses import dataclass

from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have: the time of the decision, in seconds since the epoch."""

    at: float


def because(reasons: tuple[Reason, ...]) -> str:
    """Several reasons as one text."""
    return "; ".join(str(r) for r in reasons)
