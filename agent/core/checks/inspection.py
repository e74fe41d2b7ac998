"""What Kafka shows after a move: the figures that prove a wave or a rollback.

Made by verification.py; the outcomes of CloseWave and CompareSnapshot.
"""

from dataclasses import dataclass

from agent.core.metrics.produce_latency import ProduceLatency
from agent.core.model.client_positions import ClientImpact
from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """The outcome of CloseWave: what Kafka itself shows after the move."""

    replicas_left: int
    bytes_left: int
    leaders_left: int
    reassignments: int
    not_in_sync: int  # moved partitions without full ISR
    not_preferred: int  # moved partitions not led by their preferred replica
    throttles_left: int  # throttle entries of ours still in Kafka
    order_changed: int  # moved partitions whose replica order is not the one before, substituted
    partitions: int  # partitions that were looked at
    coordinators_loading: int = 0  # destinations on which groups or transactions wait for one
    # who, other than we, has stopped the execution; asked only where replicas are left
    stopped_by: str = ""
    # of bytes_left: logs that no assignment names, left by a broker that was down meanwhile
    stray_bytes: int = 0
    # replication factor or AZ spread changed, or an end offset lost
    faults: tuple[Reason, ...] = ()
    clients: ClientImpact | None = None  # None: not looked at before the wave
    # while it moved; None: no metric of it came
    produce_latency: tuple[ProduceLatency, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The outcome of CompareSnapshot: the assignment now against the one before the start."""

    partitions: int
    different: int
    not_preferred: int
    examples: tuple[str, ...] = ()
