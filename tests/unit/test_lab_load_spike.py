"""The demo's load spike: the rule it writes, what it tells of a pause, how it reads
ProducerPerformance. No process.
"""

import asyncio
from pathlib import Path

import pytest

from agent.client import ControlClient
from agent.config.cluster_settings import read_clusters
from deploy.lab import LabConfig
from deploy.lab.cluster.description import CLUSTER_NAME, write_clusters
from deploy.lab.cluster.launch import Folders
from deploy.lab.demo.demo_report import why_paused
from deploy.lab.demo.load_spike import PRODUCERS_MAX, LoadSpike, _paused_by_rule
from deploy.lab.demo.story import Event, Story
from deploy.lab.workload.surge import (
    CAUSE,
    METRIC,
    RULE,
    THRESHOLD_MS_MIN,
    TIMES_CALM,
    add_rule,
    parse_windows,
    rule_for,
)


def event(sequence: int, kind: str, second: int, **data: object) -> Event:
    """A progress event."""
    time = f"2026-01-01T00:00:{second:02}+00:00"
    return {
        "id": f"m/{sequence}",
        "sequence": sequence,
        "type": kind,
        "time": time,
        "summary": kind,
        "data": data,
    }


@pytest.mark.parametrize(
    ("calm_ms", "above"), [(0.0, THRESHOLD_MS_MIN), (20.0, THRESHOLD_MS_MIN), (400.0, 1_200)]
)
def test_the_threshold_follows_the_machine(tmp_path: Path, calm_ms: float, above: float) -> None:
    """Three times what is calm here, never below what a cold JVM shows; the agent reads it as a
    rule that pauses.
    """
    config = LabConfig(directory=tmp_path)
    write_clusters(config)
    file = Folders(tmp_path).clusters_file
    add_rule(file, rule_for(calm_ms))
    (rule,) = read_clusters(file)[CLUSTER_NAME].core_policy().rules
    assert (rule.name, rule.metric, rule.threshold, str(rule.action)) == (
        RULE,
        METRIC,
        above,
        "pause",
    )
    assert TIMES_CALM > 1


def test_a_pause_of_another_cause_is_not_the_spikes() -> None:
    """An operator's pause, or a safety cause alone, is no pause by the rule; together with it,
    it is.
    """
    assert not _paused_by_rule(event(1, "MigrationPaused", 0, causes=["operator"]))
    assert not _paused_by_rule(event(1, "MigrationResumed", 0))
    assert _paused_by_rule(event(1, "MigrationPaused", 0, causes=["operator", CAUSE]))
    joins_in = event(1, "PauseCauseAdded", 0, cause=CAUSE)
    assert not _paused_by_rule({**joins_in, "phase": "moving"})
    assert _paused_by_rule({**joins_in, "phase": "paused"})


def test_why_it_paused_names_broker_value_and_threshold() -> None:
    """The last judgement of the rule before the pause counts; what came later, or cleared, does
    not.
    """
    story = Story(ControlClient({}), CLUSTER_NAME)
    values = {"rule": RULE, "metric": METRIC, "threshold": 100.0, "broker": 12}
    story.events = [
        event(1, "RuleStateChanged", 1, **values, level="firing", value=150.0),
        event(2, "RuleStateChanged", 5, **values, level="clear", value=50.0),
        event(3, "RuleStateChanged", 10, **values, level="firing", value=300.0),
        paused := event(4, "MigrationPaused", 12, causes=[CAUSE]),
        event(5, "RuleStateChanged", 20, **values, level="firing", value=900.0),
    ]
    told = why_paused(story, paused, RULE)
    assert (told["broker"], told["value"], told["threshold"]) == (12, 300.0, 100.0)
    assert told["stopped_after_seconds"] == 2.0


def test_producers_own_words_are_read() -> None:
    """ProducerPerformance says every five seconds how long it waited: the worst is told, also
    if it is killed.
    """
    printed = (
        "2501 records sent, 500.1 records/sec (47.69 MB/sec), 812.2 ms avg latency, 1377.0 ms "
        "max latency.\n"
        "901 records sent, 180.2 records/sec (17.19 MB/sec), 3012.9 ms avg latency, 4021.0 ms "
        "max latency.\n"
        "half a li"
    )
    assert parse_windows(printed) == {
        "megabytes_per_second": 47.69,
        "latency_average_ms": 3012.9,
        "latency_max_ms": 4021.0,
    }
    assert parse_windows("") is None


class LoadFake:
    """A load that changes the story: so many producers make the rule fire, and calm comes when
    they are ended.
    """

    def __init__(self, story: Story, enough: int) -> None:
        self.story, self.enough = story, enough
        self.producers = 0
        self.forgotten = False

    def add_producer(self) -> int:
        self.producers += 1
        if self.producers == self.enough:
            values = {
                "rule": RULE,
                "metric": METRIC,
                "threshold": 100.0,
                "broker": 12,
                "value": 300.0,
            }
            self.story.events += [
                event(2, "RuleStateChanged", 1, **values, level="firing"),
                event(3, "StopRequested", 1),
                event(4, "MigrationPaused", 3, causes=[CAUSE]),
            ]
        return self.producers

    def stop(self) -> dict[str, float] | None:
        if self.producers >= self.enough:
            self.story.events.append(event(5, "MigrationResumed", 9))
        return None

    def forget_records(self) -> bool:
        self.forgotten = True
        return True


async def played(enough: int) -> tuple[LoadSpike, LoadFake, list[tuple[str, object]]]:
    """The act on a story in which a wave is moving; and the commands it gave."""
    story = Story(ControlClient({}), CLUSTER_NAME)
    story.events = [event(1, "WaveProgressed", 0, bytes_moved=5, wave=1)]
    load = LoadFake(story, enough)
    spike = LoadSpike(load, say=lambda _text: None, producer_seconds=0.1)
    given: list[tuple[str, object]] = []

    async def order(word: str, **fields: object) -> Event:
        given.append((word, fields["throttle_bytes_per_second"]))
        return event(0, "CommandAccepted", 0)

    async with asyncio.timeout(30):
        await spike.play(story, 8_000_000, order, lambda: None)
    return spike, load, given


@pytest.mark.parametrize("enough", [1, 2])
async def test_nobody_tells_the_agent_to_stand_still(enough: int) -> None:
    """The act gives no command but the throttle's; it tells when and why the agent paused, and
    when it went on.
    """
    spike, load, given = await played(enough)
    assert given == [("tune", 1_000_000), ("tune", 8_000_000)]
    assert load.producers == enough
    assert load.forgotten
    told = spike.results
    assert (told["paused"], told["value"], told["threshold"], told["paused_seconds"]) == (
        True,
        300.0,
        100.0,
        6.0,
    )


async def test_a_spike_that_is_not_felt_is_told_as_such() -> None:
    """All producers and no pause: the report says so, and the throttle is as it was."""
    spike, load, given = await played(enough=99)
    assert (spike.results["paused"], load.producers, given[-1]) == (
        False,
        PRODUCERS_MAX,
        ("tune", 8_000_000),
    )
