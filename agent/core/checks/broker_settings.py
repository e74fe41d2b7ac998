"""Checks of broker settings: equal on both sides, fixed broker ids, and Cruise Control's metrics
reporter.

Pure; called by broker_checks.py. In: broker id -> setting -> value, of the brokers that answered.
"""

from collections.abc import Iterable, Mapping

from agent.core.model.reasons import CheckResult, Code
from agent.core.model.words import EXAMPLES_MAX, ids

Settings = Mapping[int, Mapping[str, str]]

# If one of these differs between source and destination, replication breaks, records are refused
# that were accepted before, or topics without a setting of their own get another retention or
# durability on their new brokers.
MATCHED_SETTINGS = (
    "inter.broker.protocol.version",
    "message.max.bytes",
    "log.message.format.version",
    "log.message.timestamp.type",
    "compression.type",
    "log.cleanup.policy",
    "log.retention.bytes",
    "min.insync.replicas",
    "unclean.leader.election.enable",
)
RETENTION = "log retention in ms"
REPORTER = "CruiseControlMetricsReporter"
_MS_OF = {"log.retention.ms": 1, "log.retention.minutes": 60_000, "log.retention.hours": 3_600_000}


def settings_match(settings: Settings, brokers: Iterable[int]) -> CheckResult:
    """All brokers have the same protocol version, accept the same records and keep them as long."""
    named = sorted(set(brokers) & settings.keys())
    differ = []
    for name in (*MATCHED_SETTINGS, RETENTION):
        having: dict[str, list[int]] = {}
        for b in named:
            value = _retention_ms(settings[b]) if name == RETENTION else settings[b].get(name)
            if value is not None:
                having.setdefault(value, []).append(b)
        if len(having) > 1:
            differ.append(
                f"{name}: "
                + "; ".join(f"{value} on {ids(b)}" for value, b in sorted(having.items()))
            )
    seen = (
        ", ".join(differ)
        if differ
        else f"{len(named)} brokers agree on {len(MATCHED_SETTINGS) + 1} settings"
    )
    return CheckResult(
        code=Code.BROKER_SETTINGS_DIFFER, ok=not differ, seen=seen, needed="the same on all brokers"
    )


def _retention_ms(settings: Mapping[str, str]) -> str | None:
    """log.retention in milliseconds: of Kafka's three settings the finest one that is set counts.
    None: not set.
    """
    for name, factor in _MS_OF.items():
        value = settings.get(name)
        if value:
            return str(int(value) * factor)
    return None


def broker_ids_are_fixed(settings: Settings, destinations: Iterable[int]) -> CheckResult:
    """No destination has a generated id: an id above reserved.broker.max.id was given out by
    ZooKeeper, and with an empty volume the broker gets another.
    """
    generated = []
    for b in sorted(set(destinations) & settings.keys()):
        of = settings[b]
        reserved = of.get("reserved.broker.max.id")
        given = of.get("broker.id.generation.enable", "true") == "true"
        if reserved is not None and given and b > int(reserved):
            generated.append(f"{b} (reserved.broker.max.id {reserved})")
    seen = (
        f"generated ids: {', '.join(generated[:EXAMPLES_MAX])}"
        if generated
        else "every destination has a fixed id"
    )
    needed = "broker.id set, at most reserved.broker.max.id, or broker.id.generation.enable=false"
    return CheckResult(code=Code.BROKER_ID_GENERATED, ok=not generated, seen=seen, needed=needed)


def reporters(
    settings: Settings,
    sources: Iterable[int],
    destinations: Iterable[int],
    seen_of: frozenset[int] | None,
) -> CheckResult:
    """Every destination reports metrics to Cruise Control, which has no valid window otherwise.

    `seen_of`: the brokers with records in its metrics topic (None: it cannot be read); it counts
    only if it includes a source. If no source has the reporter, Cruise Control samples metrics
    elsewhere (from Prometheus, say), and nothing is required.
    """
    used = any(_reports(settings[b]) for b in set(sources) & settings.keys())
    silent = (
        sorted(b for b in set(destinations) & settings.keys() if not _reports(settings[b]))
        if used
        else []
    )
    if not used:
        seen = "no source broker reports to Cruise Control either: it gets its metrics elsewhere"
    else:
        seen = (
            f"brokers {ids(silent)} have no {REPORTER}"
            if silent
            else "every destination broker has the reporter"
        )
    needed = f"{REPORTER} in metric.reporters of every destination broker"
    if used and not silent and seen_of is not None and not seen_of.isdisjoint(sources):
        unheard = set(destinations) - seen_of
        seen = "every destination broker reports to Cruise Control"
        if unheard:  # a broker that has just started reports within a minute
            seen = (
                f"brokers {ids(unheard)} have the reporter, and Cruise Control's metrics "
                "topic has no record of them"
            )
            needed = "a metric of every destination broker within the last minutes"
            return CheckResult(
                code=Code.REPORTER_MISSING, ok=False, seen=seen, needed=needed, passing=True
            )
    return CheckResult(code=Code.REPORTER_MISSING, ok=not silent, seen=seen, needed=needed)


def _reports(settings: Mapping[str, str]) -> bool:
    return REPORTER in settings.get("metric.reporters", "")
