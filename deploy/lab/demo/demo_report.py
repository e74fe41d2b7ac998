"""The report of the demo, from what Kafka shows, the clients counted and the agent reported.

It also says what is wrong. It has no input or output.
"""

from itertools import pairwise
from typing import Any

from deploy.lab.demo import demo_pause
from deploy.lab.demo.story import Event, Story, seconds_between
from deploy.lab.workload.facts import Facts

_INTERNAL = "__"


def source_facts(
    before: Facts, after: Facts, sources: list[int], destinations: list[int]
) -> dict[str, Any]:
    """What Kafka itself shows before and after the migration."""
    spread_before, spread_after = before.az_spread(), after.az_spread()
    grown = [
        n
        for n, p in before.partitions.items()
        if len(after.partitions[n].replicas) != len(p.replicas)
    ]
    return {
        "partitions": len(after.partitions),
        "internal_partitions": sum(
            1 for topic, _ in after.partitions if topic.startswith(_INTERNAL)
        ),
        "replicas_on_source_before": before.replicas_on(sources),
        "replicas_on_source_after": after.replicas_on(sources),
        "leaders_on_source_after": after.leaders_on(sources),
        "bytes_on_source_after": after.bytes_on(sources),
        "replicas_on_destination_before": before.replicas_on(destinations),
        "replicas_on_destination_after": after.replicas_on(destinations),
        "bytes_moved": after.bytes_on(destinations),
        "partitions_out_of_sync_after": after.out_of_sync,
        "partitions_not_led_by_preferred_after": after.not_led_by_preferred,
        "reassignments_after": after.reassignments,
        "throttles_after": list(after.throttles),
        "replication_factor_changed": len(grown),
        "az_spread_changed": sum(
            spread_after[name] != spread for name, spread in spread_before.items()
        ),
    }


def waves(story: Story) -> list[dict[str, Any]]:
    """Each wave with the results of its verification."""
    attempts = {e["data"]["wave"]: e["data"]["attempt"] for e in story.of("WaveBegun")}
    begun = {e["data"]["wave"]: e for e in reversed(story.of("WaveBegun"))}
    planned = {
        w["number"]: w for e in story.of("MigrationStarted") for w in e["data"]["plan"]["waves"]
    }
    return [
        {
            "wave": (number := e["data"]["wave"]),
            "az": planned[number]["az"],
            "replicas": planned[number]["replicas"],
            "bytes": planned[number]["size_bytes"],
            "attempts": attempts[number],
            "seconds": round(seconds_between(begun[number], e), 1),
        }
        for e in story.of("WaveVerified")
    ]


def phases(story: Story) -> list[dict[str, Any]]:
    """How many seconds it spent in each phase, in order."""
    changes: list[Event] = []
    for e in story.events:
        if not changes or changes[-1]["phase"] != e["phase"]:
            changes.append(e)
    if not changes:
        return []
    ends = [later for _, later in pairwise(changes)] + [story.events[-1]]
    return [
        {"phase": e["phase"], "seconds": round(seconds_between(e, end), 2)}
        for e, end in zip(changes, ends, strict=True)
    ]


def why_paused(story: Story, paused: Event, rule: str) -> dict[str, Any]:
    """The metric values that led to a pause, and how long it took from then to the pause."""
    judged = [
        e
        for e in story.of("RuleStateChanged")
        if e["data"]["rule"] == rule
        and e["data"]["level"] == "firing"
        and e["sequence"] <= paused["sequence"]
    ]
    if not judged:
        return {"why": paused["summary"], "paused_at": paused["time"]}
    d = judged[-1]["data"]
    return {
        "why": judged[-1]["summary"],
        "broker": d["broker"],
        "value": d["value"],
        "threshold": d["threshold"],
        "judged_at": judged[-1]["time"],
        "paused_at": paused["time"],
        "stopped_after_seconds": round(seconds_between(judged[-1], paused), 2),
    }


def what_is_wrong(report: dict[str, Any]) -> list[str]:
    """Everything that a clean migration would not show, in words.

    It is empty when nothing was lost and nothing was left.
    """
    messages = report["messages"]
    nothing_of = {
        "messages lost": messages["lost"],
        "messages out of order": messages["out_of_order"],
        "messages duplicated": messages["duplicated"],
        "messages confirmed that no group received": report["clients"]["unread"],
        "messages received that are no longer in the log": report["clients"]["vanished"],
        "clients that ended by themselves": len(report["clients"]["ended_by_themselves"]),
        "errors of producers": report["producer_errors"],
        "replicas on source brokers": report["replicas_on_source_after"],
        "leaders on source brokers": report["leaders_on_source_after"],
        "bytes on source brokers": report["bytes_on_source_after"],
        "partitions not fully in sync": report["partitions_out_of_sync_after"],
        "partitions not led by their preferred replica": report[
            "partitions_not_led_by_preferred_after"
        ],
        "reassignments in flight": report["reassignments_after"],
        "throttle settings": len(report["throttles_after"]),
        "partitions whose replication factor changed": report["replication_factor_changed"],
        "partitions whose AZ spread changed": report["az_spread_changed"],
    }
    wrong = [f"{count} {what}" for what, count in nothing_of.items() if count]
    for pause in report["pauses"]:
        wrong += demo_pause.what_is_wrong(pause)
    if not messages["acknowledged"]:
        wrong.append("the clients got no message acknowledged: nothing was proved")
    if report["replicas_on_destination_after"] < report["replicas_on_source_before"]:
        wrong.append(
            "fewer replicas on the destination brokers than there were on the source brokers"
        )
    return wrong
