"""How the clients are doing while they run, and how they did from start to stop."""

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
    """The counts of the clients so far."""

    acknowledged: int
    consumed: int
    producer_errors: int
    seconds_since_acknowledgement: float  # of the producer that has waited longest
    ended: tuple[str, ...]  # clients that ended without a request


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What the clients met from start to stop. accounting.py explains the terms."""

    seconds: float
    messages: Messages
    redelivered: int
    unread: int
    vanished: int
    unconfirmed: int
    producer_errors: dict[str, int]  # cause -> failed sends
    failed_commits: dict[str, int]
    rebalances: int
    # The longest time that any producer had no confirmation, which is no fault by itself.
    longest_acknowledgement_gap: Gap
    longest_delivery_gap: Gap  # the longest time that any group received no record
    delay: Delay
    ended: dict[str, str]  # client -> how it ended
    ended_by_themselves: tuple[str, ...]
    examples: dict[str, tuple[str, ...]]

    @property
    def is_clean(self) -> bool:
        """Whether no client noticed anything but delays: no loss, no disorder, no error, no end."""
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
        """The report as plain values for JSON."""
        return {**dataclasses.asdict(self), "is_clean": self.is_clean}
