"""Checks of what brokers are set to: both sides alike, ids that stay, Cruise Control's reporter.

Pure.

Called by broker_checks.py. In: broker id -> setting -> value, of those that answered.
"""

from collections.abc import Iterable, Mapping

from agent.core.model.reasons import CheckResult, Code
from agent.core.model.words import EXAMPLES_MAX, ids

Settings = Mapping[int, Mapping[str, str]]

# Another value on one side than on the other breaks replication, refuses records that were accepted
# before the move, or gives a topic that sets none of its own another retention or durability with
# its new broker.
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
    """Both sides speak the same protocol version, take the same records and keep them as long."""
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
        else (f"{len(named)} brokers agree on {len(MATCHED_SETTINGS) + 1} settings")
    )
    return CheckResult(
        code=Code.BROKER_SETTINGS_DIFFER, ok=not differ, seen=seen, needed="the same on all brokers"
    )


def _retention_ms(settings: Mapping[str, str]) -> str | None:
    """The finest of Kafka's three settings that is set counts."""
    for name, factor in _MS_OF.items():
        value = settings.get(name)
        if value:
            return str(int(value) * factor)
    return None


def broker_ids_are_fixed(settings: Settings, destinations: Iterable[int]) -> CheckResult:
    """An id above reserved.broker.max.id is one that ZooKeeper gave out: with an empty volume
    comes another.
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
        else "every destination's id is its own"
    )
    needed = "broker.id set, at most reserved.broker.max.id, or broker.id.generation.enable=false"
    return CheckResult(code=Code.BROKER_ID_GENERATED, ok=not generated, seen=seen, needed=needed)


def reporters(
    settings: Settings,
    sources: Iterable[int],
    destinations: Iterable[int],
    seen_of: frozenset[int] | None,
) -> CheckResult:
    """Cruise Control plans with what its reporter tells of each broker: one without it has no load,
    then no window.

    Where no source has it either, Cruise Control samples otherwise (from Prometheus, say), and
    nothing is asked for. `seen_of`: the brokers that its metrics topic tells of; it counts only
    where sources are among them.
    """
    used = any(_reports(settings[b]) for b in set(sources) & settings.keys())
    silent = (
        sorted(b for b in set(destinations) & settings.keys() if not _reports(settings[b]))
        if used
        else []
    )
    if not used:
        seen = "no source broker reports to Cruise Control either: it has another source of metrics"
    else:
        seen = (
            f"brokers {ids(silent)} have no {REPORTER}"
            if silent
            else ("every destination broker has its reporter")
        )
    needed = f"{REPORTER} in metric.reporters of every destination broker"
    if used and not silent and seen_of is not None and not seen_of.isdisjoint(sources):
        unheard = set(destinations) - seen_of
        seen = "every destination broker reports to Cruise Control"
        if unheard:  # a broker that has just started tells within a minute
            seen = (
                f"brokers {ids(unheard)} have the reporter, and Cruise Control's metrics "
                "topic has nothing of them"
            )
            needed = "a metric of every destination broker within the last minutes"
            return CheckResult(
                code=Code.REPORTER_MISSING, ok=False, seen=seen, needed=needed, passing=True
            )
    return CheckResult(code=Code.REPORTER_MISSING, ok=not silent, seen=seen, needed=needed)


def _reports(settings: Mapping[str, str]) -> bool:
    return REPORTER in settings.get("metric.reporters", "")
