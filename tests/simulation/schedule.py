"""What a schedule is: a cluster, a migration's options, and which commands and faults fall when.

Plain values.

Drawn from a seed (run.py) or by Hypothesis (test_hypothesis.py), played by simulation.py.
"""

import random
from dataclasses import dataclass, field

from agent.core.planning.options import Approval, InternalTopics, Options, Pairing, ThrottleBy

FAULT_SECONDS = 45.0  # commands and faults fall within this time after the start
COMMANDS = (
    "pause", "resume", "resume", "pause_slow", "rollback", "rollback", "cancel", "tune",
    "tune_concurrency", "approve", "approve", "retry", "skip", "start_again", "start_one_az",
    "plan", "plan", "start_plan", "alert", "slow_alert",
)  # fmt: skip
FAULTS = (
    "kill_broker", "kill_broker", "restart_cc", "cc_away", "cc_down", "cc_hung", "cc_crowded",
    "kafka_down", "slow_wire", "accept_then_time_out", "lose_request", "lie", "foreign_stop",
    "foreign_reassignment", "foreign_throttle", "remove_throttle", "new_topic", "new_topic",
    "delete_topic", "lease_lost", "hand_over", "crash", "crash", "other_execution", "cc_rejects",
    "foreign_stop", "other_execution", "healing_on", "control_kafka_down",
)  # fmt: skip
METRIC_FAULTS = (
    "metrics_bad",
    "metrics_bad",
    "metrics_between",
    "metrics_silent",
    "metrics_nan",
    "metrics_disorder",
)
DISCOVERY_FAULTS = ("consul_down", "consul_down", "proxies_down", "census_blind", "clients_stay")
SIZES = (50.0, 100.0, 300.0)
CRASH_CHANCES = (0.0, 0.0, 0.001, 0.005, 0.03)


@dataclass(frozen=True)
class Schedule:
    """One schedule. `seed` decides the interleaving and the small choices of each action."""

    seed: int
    acts: tuple[tuple[float, str], ...] = ()  # (seconds after the start, name of an action), sorted
    options: Options = field(default_factory=Options)
    pairs_per_az: int = 1
    partitions: int = 4
    size_bytes: float = 100.0
    growth_bytes_per_second: float = 0.0
    crash_chance: float = 0.0  # at each step, until everything is mended
    through_turn: bool = False  # each message through JSON and the real turn.py as well
    metrics: bool = False  # samples come, and are judged by rules
    discovery: bool = False  # clients find brokers in a service registry
    leave: bool = True  # at the end the operator shuts down what may be shut down


def drawn_from(seed: int) -> Schedule:
    """The schedule of a seed."""
    r = random.Random(seed)
    busy = r.choice((2, 4, 4, 8))
    chosen = r.choices(COMMANDS, k=r.randint(0, busy)) + r.choices(FAULTS, k=r.randint(0, busy + 1))
    metrics = r.random() < 0.3
    if metrics:
        chosen += r.choices(METRIC_FAULTS, k=r.randint(1, busy + 2))
    discovery = seed % 3 == 0
    if discovery:
        chosen += r.choices(DISCOVERY_FAULTS, k=r.randint(0, busy))
    acts = sorted((round(r.uniform(0.5, FAULT_SECONDS), 2), kind) for kind in chosen)
    pairing = r.choice((Pairing.ONE_TO_ONE, Pairing.ONE_TO_ONE, Pairing.ZONE))
    size_bytes = r.choice(SIZES)
    laned = pairing is Pairing.ONE_TO_ONE and r.random() < 0.6
    options = Options(
        canary_partitions=r.choice((0, 1, 2)) if laned else 0,
        large_partition_bytes=r.choice((None, int(size_bytes * 1.2))) if laned else None,
        internal_topics=r.choice(tuple(InternalTopics)) if laned else InternalTopics.WITH_OTHERS,
        internal_throttle_bytes_per_second=r.choice((None, 40)) if laned else None,
        wave_brokers_max=1 if pairing is Pairing.ZONE and r.random() < 0.5 else None,
        throttle_bytes_per_second=r.choice((None, 60, 200)),
        partition_movements_per_broker=r.choice((1, 2, 10)),
        progress_check_interval_ms=r.choice((1_000, 5_000)),
        soak_seconds=r.choice((0.0, 0.0, 3.0)),
        approval=r.choice(
            (Approval.NONE, Approval.NONE, Approval.NONE, Approval.WAVE, Approval.AZ)
        ),
        pairing=pairing,
        throttle_by=r.choice(
            (ThrottleBy.AGENT, ThrottleBy.AGENT, ThrottleBy.AGENT, ThrottleBy.CRUISE_CONTROL)
        ),
    )
    return Schedule(
        seed=seed,
        acts=tuple(acts),
        options=options,
        pairs_per_az=r.choice((1, 1, 1, 1, 2)),
        partitions=r.randint(2, 6),
        size_bytes=size_bytes,
        growth_bytes_per_second=r.choice((0.0, 0.0, 1.0)),
        crash_chance=r.choice(CRASH_CHANCES),
        metrics=metrics,
        discovery=discovery,
        through_turn=seed % 25 == 0,
        leave=r.random() < 0.5,
    )
