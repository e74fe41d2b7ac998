"""What a wave takes from its source brokers: everything, or a selection that has a lane of its own.

Plain values, small in the saved state. Cruise Control's remove_broker cannot take a part of a
broker (its excluded topics do not count on a removed broker). So the agent moves a wave with a
selection itself, with Kafka's own reassignment (KIP-455).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

# The leaders of these are the coordinators of groups and of transactions.
INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")


class Lane(StrEnum):
    """Which part of its source brokers a wave moves."""

    REST = "rest"  # all that is left: Cruise Control moves it
    CANARY = "canary"  # a few small partitions, before everything else
    LARGE = "large"  # the largest partitions, so that they do not hold up the others
    OTHERS = "others"  # all but the internal topics, which follow as the rest
    INTERNAL = "internal"  # the internal topics, before the rest


@dataclass(frozen=True, kw_only=True)  # no slots: they leave no room for cached properties
class Selection:
    """A part of what a broker holds, by topic and by partition; it stays the same while it moves.

    `excluded_topics` alone selects all topics but these. Otherwise what `topics` or `partitions`
    name is selected, and nothing else.
    """

    topics: tuple[str, ...] = ()
    excluded_topics: tuple[str, ...] = ()
    partitions: tuple[tuple[str, int], ...] = ()  # (topic, partition number)

    def contains(self, name: tuple[str, int]) -> bool:
        """Whether a partition, given as (topic, partition number), belongs to this selection."""
        if self.excluded_topics:
            return name[0] not in self.excluded_topics
        return name[0] in self.topics or name in self._partition_set

    @cached_property
    def _partition_set(self) -> frozenset[tuple[str, int]]:
        """Asked for each of 200,000 partitions, while up to a thousand are named."""
        return frozenset(self.partitions)


# What a wave without a selection takes; no topic has an empty name.
EVERYTHING = Selection(excluded_topics=("",))
