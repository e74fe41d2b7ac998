"""What a wave takes of its source: everything, or a part with a lane of its own.

Plain values, small in the state.

Cruise Control's remove_broker cannot take a part of a broker (its excluded topics do not count on a
removed broker), so a wave with a selection is moved by the agent itself, with Kafka's own
reassignment (KIP-455).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# Group coordinators and transaction coordinators live where these are led.
INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")


class Lane(StrEnum):
    """Which part of its source a wave moves."""

    REST = "rest"  # all that is left there: Cruise Control moves it
    CANARY = "canary"  # a few small partitions, first of all
    LARGE = "large"  # the giants, so that they hold up nobody else
    OTHERS = "others"  # all but the internal topics, which follow as the rest
    INTERNAL = "internal"  # the internal topics, before the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A part of what a broker holds; what is named in no field is not asked for.

    Stays the same while it moves.
    """

    topics: tuple[str, ...] = ()
    excluded_topics: tuple[str, ...] = ()  # all topics but these
    partitions: tuple[tuple[str, int], ...] = ()


def selection_filter(selection: Selection | None) -> Callable[[tuple[str, int]], bool]:
    """Whether a partition (topic, number) belongs to the selection; None takes all."""
    if selection is None:
        return lambda _: True
    topics, but, named = (
        frozenset(selection.topics),
        frozenset(selection.excluded_topics),
        frozenset(selection.partitions),
    )
    if but:
        return lambda name: name[0] not in but
    return lambda name: name[0] in topics or name in named
