"""The demo's pause: ordered with much in flight, by Kafka's word; one that proves nothing is wrong.

No process.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from agent.client import ControlClient
from deploy.lab.cluster.description import CLUSTER_NAME
from deploy.lab.demo.demo_pause import (
    FLIGHT_SECONDS,
    THROTTLE_MIN,
    WAVE_SECONDS,
    PauseAct,
    what_is_wrong,
)
from deploy.lab.demo.story import Event, Story
from deploy.lab.workload.facts import Facts, Flight, Name, PartitionFacts, flight_of

P, Q = ("demo", 0), ("demo", 1)
FILL_BYTES = 60_000_000
THROTTLE = 12_000_000
SLOW = FILL_BYTES // WAVE_SECONDS
NOTHING = Flight(reassignments=0, bytes_copied=0, bytes_to_come=0)
MUCH = Flight(reassignments=3, bytes_copied=1_000, bytes_to_come=SLOW * FLIGHT_SECONDS)


def event(kind: str, **data: object) -> Event:
    return {"id": kind, "type": kind, "summary": kind, "data": data}


def look(on_source: tuple[Name, ...]) -> Facts:
    """Broker 12 is the source; what is not on it is on broker 32."""
    held = {name: 32 if name not in on_source else 12 for name in (P, Q)}
    return Facts(
        racks={12: "b", 32: "b"},
        partitions={name: PartitionFacts(b, (b,), (b,)) for name, b in held.items()},
        log_dirs={b: {name: 500 for name, at in held.items() if at == b} for b in (12, 32)},
        reassignments=0,
        throttles=(),
    )


async def played(
    flights: list[Flight], told_left: int = 1, looks: list[Facts] | None = None
) -> tuple[dict[str, Any], list[tuple[str, object]]]:
    """The act on a story in which wave 2 moves; what it told, and the commands it gave."""
    plan = {
        "waves": [
            {"number": 1, "source_broker_ids": [11]},
            {"number": 2, "source_broker_ids": [12]},
        ]
    }
    story = Story(ControlClient({}), CLUSTER_NAME)
    story.events = [
        event("MigrationStarted", plan=plan),
        event("SourceEmptied", wave=1),
        event("WaveProgressed", wave=2, bytes_moved=5, replicas_left=2),
    ]
    given: list[tuple[str, object]] = []
    seen = iter(looks or [look((P,)), look((P,))])

    async def order(word: str, **fields: object) -> Event:
        given.append((word, fields.get("throttle_bytes_per_second")))
        if word == "pause":
            assert not flights, "it was ordered before much was in flight"
            story.events.append(event("MigrationPaused", causes=["operator"]))
        return event("CommandAccepted")

    async def status() -> dict[str, Any]:
        return {
            "waves": [
                {
                    "number": 2,
                    "replicas": 2,
                    "replicas_left": told_left,
                    "bytes_left": 500,
                    "share": 0.5,
                }
            ]
        }

    act = PauseAct(
        observe=lambda: next(seen),
        flight=lambda: flights.pop(0),
        status=status,
        say=lambda _text: None,
        pause_seconds=0.0,
    )
    async with asyncio.timeout(30):
        await act.play(story, FILL_BYTES, THROTTLE, order, lambda: None)
    return act.results, given


async def test_the_pause_is_ordered_when_kafka_shows_much_in_flight() -> None:
    """Between two batches nothing is in flight: the act waits for what lasts longer than the
    order takes.
    """
    told, given = await played([NOTHING, MUCH])
    assert given == [("tune", SLOW), ("pause", None), ("tune", THROTTLE), ("resume", None)]
    assert THROTTLE_MIN <= SLOW < THROTTLE
    assert (told["reassignments_in_flight"], told["bytes_in_flight"]) == (3, MUCH.bytes_to_come)
    assert (told["replicas"], told["replicas_left"], told["replicas_told_left"]) == (2, 1, 1)
    assert what_is_wrong(told) == []


CASES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "no move": (lambda told: {**told, "reassignments_in_flight": 0}, "nothing was in flight"),
    "no byte": (lambda told: {**told, "bytes_in_flight": 0}, "nothing was in flight"),
    "all moved": (
        lambda told: {**told, "replicas_left": 0, "replicas_told_left": 0},
        "nothing was left",
    ),
    "it went on": (
        lambda told: {**told, "reassignments_meanwhile": 2},
        "2 reassignments in flight during",
    ),
    "something arrived": (
        lambda told: {**told, "replicas_moved_meanwhile": 1},
        "1 replicas that moved during",
    ),
    "forgotten": (
        lambda told: {**told, "replicas_told_left": 2},
        "1 replicas were left .* the status told 2",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_pause_that_proves_nothing_is_wrong(case: str) -> None:
    """Nothing in flight, nothing left, something that moved on, or a status that tells another
    figure than Kafka.
    """
    change, says = CASES[case]
    told, _ = await played([MUCH])
    (wrong,) = what_is_wrong(change(told))
    assert re.search(says, wrong)


def test_what_is_in_flight_is_counted_in_bytes() -> None:
    """Of each copy what has come and what is to come; a move that has not begun to copy is to
    come as a whole.
    """
    in_flight = {
        P: {"replicas": [32, 12, 11], "adding_replicas": [32], "removing_replicas": [12]},
        Q: {"replicas": [32, 12], "adding_replicas": [32], "removing_replicas": [12]},
    }
    lying = {11: {P: 500}, 12: {P: 490, Q: 70}, 32: {P: 200}}
    assert flight_of(in_flight, lying) == Flight(
        reassignments=2, bytes_copied=200, bytes_to_come=370
    )
    assert flight_of({}, {}) == NOTHING
