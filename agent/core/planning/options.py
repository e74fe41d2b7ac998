"""What an operator may ask of a migration, and what a cluster's policy says: plain values.

`Options` travel in a start or plan command and are kept in the migration's state; `Policy` comes
from clusters.yaml.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from agent.core.planning.option_spec import Flag, Panel, Range, Spec, Unit

_MOVE, _HOW, _ORDER = Panel.MOVE, Panel.HOW, Panel.ORDER


class Mode(StrEnum):
    """Which brokers move. The three modes are those of the article."""

    FULL = "full"  # everything, AZ by AZ
    AZ = "az"  # all source brokers of one AZ to that AZ's destination brokers
    BROKERS = "brokers"  # named source brokers to named destination brokers


class Pairing(StrEnum):
    """How source and destination brokers of an AZ are matched."""

    ONE_TO_ONE = "one_to_one"  # exact and exactly reversible; one pair moves at a time
    ZONE = "zone"  # the AZ's brokers in one request; parallel, reversible to the AZ only


class ThrottleBy(StrEnum):
    """Who sets KIP-73's throttle."""

    AGENT = "agent"  # can be changed while partitions move, with a few requests
    CRUISE_CONTROL = "cruise_control"  # the article's call to the letter


class InternalTopics(StrEnum):
    """When Kafka's internal topics move, where the group and transaction coordinators are."""

    WITH_OTHERS = "with_others"  # at any time
    FIRST = "first"  # of each pair, slowly, by the agent; Cruise Control moves the rest
    LAST = "last"  # after all others, which the agent moves; slowly, by Cruise Control


class Approval(StrEnum):
    """Before what the agent waits for an operator's `approve`."""

    NONE = "none"
    AZ = "az"  # before each AZ after the first
    WAVE = "wave"  # before each wave after the first


# The article's throttle is 100 MB/s. Below 1 kB/s the unit is a mistake, and above 10 GB/s too.
RATE = Range(1_000, 10_000_000_000, "bytes per second, for each broker")
CONCURRENCY = Range(1, 1_250, "partition movements at once on each broker")
_BROKERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of one migration. Empty broker sets mean: those of the cluster's policy."""

    # A new option is one field here and nothing else: see option_spec.py.
    mode: Annotated[
        Mode,
        Spec(
            "full: everything, AZ by AZ; az: one AZ; brokers: named brokers to named brokers",
            Flag("--mode", _MOVE, "full: everything, AZ by AZ; az: one AZ; brokers: named ones."),
        ),
    ] = Mode.FULL
    az: Annotated[
        str | None,
        Spec(
            "The AZ (broker.rack) that mode `az` moves",
            Flag("--az", _MOVE, "The AZ (broker.rack) that mode az moves."),
            length_max=100,
        ),
    ] = None
    source_broker_ids: Annotated[
        tuple[int, ...],
        Spec(
            "Kafka broker ids (broker.id) to move from; empty: those of clusters.yaml",
            Flag("--source", _MOVE, "Source broker ids.", "11,12"),
            range=Range(0),
            items_max=_BROKERS_MAX,
        ),
    ] = ()
    destination_broker_ids: Annotated[
        tuple[int, ...],
        Spec(
            "Kafka broker ids (broker.id) to move to; empty: those of clusters.yaml",
            Flag("--destination", _MOVE, "Destination broker ids.", "31,32"),
            range=Range(0),
            items_max=_BROKERS_MAX,
        ),
    ] = ()
    az_order: Annotated[
        tuple[str, ...],
        Spec(
            "The AZs to move first, in this order; the others follow",
            Flag("--az-order", _MOVE, "AZs to move first.", "az-b,az-a"),
            length_max=100,
            items_max=50,
        ),
    ] = ()
    pairing: Annotated[
        Pairing,
        Spec(
            "one_to_one: one source to one destination, exactly reversible; "
            "zone: all brokers of an AZ in one request",
            Flag(
                "--pairing",
                _MOVE,
                "one_to_one: one broker to one broker, exactly reversible; zone: all brokers of "
                "an AZ in one request.",
            ),
        ),
    ] = Pairing.ONE_TO_ONE
    throttle_bytes_per_second: Annotated[
        int | None,
        Spec(
            "KIP-73 replication throttle; null: no throttle",
            Flag(
                "--throttle",
                _HOW,
                "Replication limit of each broker, in bytes per second.",
                "100MB",
                off=True,
            ),
            Unit.BYTES,
            RATE,
        ),
    ] = None
    throttle_by: Annotated[
        ThrottleBy,
        Spec(
            "agent: can be changed while partitions move; cruise_control: the article's call to "
            "the letter",
            Flag(
                "--throttle-by",
                _HOW,
                "Who sets the throttle. agent: it can be changed while partitions move.",
            ),
        ),
    ] = ThrottleBy.AGENT
    partition_movements_per_broker: Annotated[
        int | None,
        Spec(
            "null: chosen for the size of the wave",
            Flag(
                "--concurrency",
                _HOW,
                "Replicas that move at once on each broker; chosen for the wave when left out.",
            ),
            range=CONCURRENCY,
        ),
    ] = None
    partition_movements_in_cluster: Annotated[
        int | None,
        Spec(
            "Bound on all brokers together, but at least one for each destination of a wave; "
            "null: no bound",
            Flag("--cluster-concurrency", _HOW, "Replicas that move at once in the whole cluster."),
            range=Range(CONCURRENCY.minimum, CONCURRENCY.maximum, "partition movements at once"),
        ),
    ] = None
    progress_check_interval_ms: Annotated[
        int | None,
        Spec(
            "How often Cruise Control checks its progress, in milliseconds; null: chosen for the "
            "size of the wave",
            range=Range(5_000, 600_000),
        ),
    ] = None
    soak_seconds: Annotated[
        float,
        Spec(
            "Rest after each wave, in seconds",
            Flag("--soak", _HOW, "Rest after each wave.", "5m"),
            Unit.SECONDS,
            Range(0, 604_800),
        ),
    ] = 0.0
    approval: Annotated[
        Approval,
        Spec(
            "Before what the agent waits for `approve`: each AZ or each wave after the first",
            Flag("--approval", _HOW, "Wait for `approve` before each az or wave after the first."),
        ),
    ] = Approval.NONE
    canary_partitions: Annotated[
        int,
        Spec(
            "How many of the smallest partitions of the first pair move first, in a wave of "
            "their own; 0: none",
            Flag(
                "--canary",
                _ORDER,
                "The N smallest partitions of the first pair move first, in a wave of their own. "
                "Add --soak or --approval wave, and check that clients are well before the "
                "migration goes on.",
                "N",
            ),
            range=Range(0, 100),
        ),
    ] = 0
    large_partition_bytes: Annotated[
        int | None,
        Spec(
            "Partitions of at least this size get a wave of their own; null: none",
            Flag(
                "--large-partition-bytes",
                _ORDER,
                "Partitions of at least this size move two at a time in a wave of their own, so "
                "that they delay no other partition.",
                "50GB",
            ),
            Unit.BYTES,
            Range(1_000_000),
        ),
    ] = None
    internal_topics: Annotated[
        InternalTopics,
        Spec(
            "When __consumer_offsets and __transaction_state move. with_others: at any time; "
            "first: of each pair, slowly; last: after all others, slowly",
            Flag(
                "--internal-topics",
                _ORDER,
                "When __consumer_offsets and __transaction_state move, and the coordinators with "
                "them. first: of each pair, slowly, and Cruise Control moves the rest; last: "
                "after all others, slowly, and the agent moves the others itself, since Cruise "
                "Control cannot leave a topic behind.",
            ),
        ),
    ] = InternalTopics.WITH_OTHERS
    internal_throttle_bytes_per_second: Annotated[
        int | None,
        Spec(
            "Throttle while internal topics move first or last; null: a tenth of the throttle",
            Flag(
                "--internal-throttle",
                _ORDER,
                "Limit while internal topics move; a tenth of --throttle when left out.",
                "10MB",
            ),
            Unit.BYTES,
            RATE,
        ),
    ] = None
    wave_brokers_max: Annotated[
        int | None,
        Spec(
            "With pairing `zone`: at most so many brokers in a wave; null: the whole AZ",
            Flag(
                "--wave-brokers-max",
                _ORDER,
                "With --pairing zone: at most K sources to K destinations of an AZ in a wave.",
                "K",
            ),
            range=Range(1, _BROKERS_MAX),
        ),
    ] = None
    wave_bytes_max: Annotated[
        int | None,
        Spec(
            "With pairing `zone`: at most so many bytes in a wave, but at least one broker; "
            "null: no limit",
            Flag(
                "--wave-bytes-max",
                _ORDER,
                "With --pairing zone: at most so many bytes in a wave, but at least one broker.",
                "5TB",
            ),
            Unit.BYTES,
            Range(1_000_000),
        ),
    ] = None
