"""What holds for every migration of a cluster: `policy` of clusters.yaml, and what goes with it.

A field that an operator may set is declared here alone, with a `Spec`: its setting in clusters.yaml
(agent/config/cluster_settings.py) is made of it.
"""

from dataclasses import dataclass, field
from typing import Annotated

from agent.core.kraft.options import KraftOptions
from agent.core.metrics.rules import Rule
from agent.core.planning.option_spec import Range, Spec

_POSITIVE = Range(above=0)
_NOT_NEGATIVE = Range(minimum=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a destination broker can carry, where it is known. None: no limit is checked."""

    # 4,000 is what Kafka's authors advise for ZooKeeper mode
    replicas_max: Annotated[
        int | None, Spec("Replicas on one broker after the move", range=Range(minimum=1))
    ] = None
    network_bytes_per_second_max: Annotated[
        int | None,
        Spec("Incoming traffic: the throttle and what producers write", range=Range(minimum=1)),
    ] = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A cluster's policy (clusters.yaml): what holds for every migration of it.

    The defaults suit a large cluster; the lab shortens some.
    """

    source_broker_ids: tuple[int, ...] = ()  # what modes `az` and `full` mean by source
    destination_broker_ids: tuple[int, ...] = ()
    # 100 MB/s, the article's rate, is what `pause --slow` divides by ten.
    slow_bytes_per_second: Annotated[
        int,
        Spec("The throttle of `pause --slow`, bytes per second", range=Range(minimum=1_000)),
    ] = 10_000_000
    busy_retry_seconds: Annotated[
        float,
        Spec("A busy Cruise Control is asked again after this long, seconds", range=_POSITIVE),
    ] = 1.0
    unreachable_retry_seconds: Annotated[
        float,
        Spec("What could not be reached is asked again after this long, seconds", range=_POSITIVE),
    ] = 2.0
    busy_patience_seconds: Annotated[
        float,
        Spec(
            "A wave is blocked after Cruise Control was busy or unreachable for this long, seconds",
            range=_POSITIVE,
        ),
    ] = 900.0
    recheck_seconds: Annotated[
        float,
        Spec(
            "How often a paused migration checks whether it is safe again, seconds",
            range=_POSITIVE,
        ),
    ] = 5.0
    resume_delay_seconds: Annotated[
        float,
        Spec(
            "How long a safety reason must be gone before it lifts its pause, seconds",
            range=_NOT_NEGATIVE,
        ),
    ] = 10.0
    grace_seconds: Annotated[
        float,
        Spec(
            "How long under-replication must last before it pauses a running move, seconds",
            range=_NOT_NEGATIVE,
        ),
    ] = 30.0
    attempts_without_progress: Annotated[
        int,
        Spec("A wave is blocked after this many requests that moved nothing", range=Range(1)),
    ] = 3
    settle_seconds: Annotated[
        float,
        Spec(
            "How long metadata may be stale when nothing moves and a source is not empty, seconds",
            range=_NOT_NEGATIVE,
        ),
    ] = 6.0
    stall_seconds: Annotated[
        float,
        Spec(
            "A move is reported as stalled after this long without a byte or a replica, seconds",
            range=_POSITIVE,
        ),
    ] = 120.0
    verify_patience_seconds: Annotated[
        float,
        Spec(
            "How long full ISR and preferred leaders may take after a wave, seconds",
            range=_POSITIVE,
        ),
    ] = 120.0
    quiet_seconds: Annotated[
        float,
        Spec(
            "How long a drained source must stay empty before it may be shut down, seconds",
            range=_NOT_NEGATIVE,
        ),
    ] = 30.0
    discovery: bool = False  # whether the agent keeps a service registry up to date for clients
    # metadata.max.age.ms of the clients (Kafka's default): then they know the new brokers
    discovery_grace_seconds: float = 300.0
    # ZooKeeper to KRaft; without controllers: not configured
    kraft: KraftOptions = field(default_factory=KraftOptions)
    progress_seconds: Annotated[
        float,
        Spec(
            "How often progress is published while nothing else happens, seconds", range=_POSITIVE
        ),
    ] = 5.0
    rules: tuple[Rule, ...] = ()  # evaluated on the samples of metrics
    limits: Limits = field(default_factory=Limits)  # of each destination broker
    hold_off_seconds: Annotated[
        float,
        Spec(
            "No metric and no alert pauses again for this long after a `resume`, seconds",
            range=_NOT_NEGATIVE,
        ),
    ] = 30.0
    flaps_max: Annotated[
        int,
        Spec(
            "An alert that paused this often within the window stays until an operator resumes",
            range=Range(1, 20),
        ),
    ] = 5
    flap_window_seconds: Annotated[
        float, Spec("The window of `flaps_max`, seconds", range=_POSITIVE)
    ] = 3_600.0
    adapt_seconds: Annotated[
        float,
        Spec(
            "The shortest time between two changes of a throttle that follows the headroom, "
            "seconds",
            range=Range(1),
        ),
    ] = 10.0
