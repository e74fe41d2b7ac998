"""How the clients fare while they run, and how they fared from start to stop."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from deploy.lab.workload.accounting import (
    Delay,
    Gap,
    Messages,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the clients stand."""

    acknowledged: int
    consumed: int
    producer_errors: int
    seconds_since_acknowledgement: float  # of the producer that waits longest
    ended: tuple[str, ...]  # clients that ended although nobody asked them to


@dataclass(frozen=True, slots=True)
class ClientReport:
    """How the clients fared, from start to stop. The terms are explained in accounting.py."""

    seconds: float
    messages: Messages
    redelivered: int
    unread: int
    vanished: int
    unconfirmed: int
    producer_errors: dict[str, int]  # cause -> failed sends
    failed_commits: dict[str, int]
    rebalances: int
    # nobody notices: the longest any producer went without a confirmation
    longest_acknowledgement_gap: Gap
    longest_delivery_gap: Gap  # the same of any group, without a record
    delay: Delay
    ended: dict[str, str]  # client -> how it ended
    ended_by_themselves: tuple[str, ...]
    examples: dict[str, tuple[str, ...]]

    @property
    def is_clean(self) -> bool:
        """Whether no client noticed anything but time: no loss, no disorder, no error, no death."""
        m = self.messages
        troubles = (
            m.lost,
            m.duplicated,
            m.out_of_order,
            self.unread,
            self.vanished,
            len(self.producer_errors),
        )
        return m.acknowledged > 0 and not any(troubles) and not self.ended_by_themselves

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "is_clean": self.is_clean}
