"""The stand-in and, where one can be had, the real Cruise Control, on real brokers: the same
questions to both.

The real one is taken from CRUISE_CONTROL_URL (with CRUISE_CONTROL_BOOTSTRAP_SERVERS for its
brokers), else started by the lab from CRUISE_CONTROL_CLASSPATH, else left out. Run with `pytest -m
lab`.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import TopicPartition

from deploy.lab import CruiseControlKind, Lab, LabConfig, free_base_port
from deploy.lab.standin.goals import HARD_GOALS
from tests.contract.recordings import differences, recording

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SIMPLE = [
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    20,
    21,
    22,
    23,
    24,
    26,
    27,
    28,
    49,
    53,
    56,
    68,
    69,
    71,
    85,
    88,
    113,
    114,
    115,
    116,
    117,
    118,
    119,
    120,
    121,
    122,
    123,
    124,
    125,
    126,
    127,
    139,
    150,
    *range(301, 336),
]
"""Recordings whose situation is a cluster at rest with 11, 12, 13 full and 31, 32, 33 empty."""

GOALS = f"goals={','.join(HARD_GOALS)}"
TOPICS = 6
ORDERS = ((11, 12, 13), (12, 13, 11), (13, 11, 12), (11, 13, 12), (12, 11, 13), (13, 12, 11))
Assignment = dict[tuple[str, int], tuple[list[int], int]]


@dataclass
class Target:
    """A Cruise Control, whichever, and the brokers it moves."""

    client: httpx.Client
    admin: Any

    def call(
        self,
        method: str,
        path_and_query: str,
        headers: dict[str, str] | None = None,
        *,
        keeps_session: bool = False,
    ) -> httpx.Response:
        """Without a session unless asked for, and asked again while the servlet is full."""
        while True:
            if not keeps_session:
                self.client.cookies.clear()
            answered = self.client.request(method, path_and_query, headers=headers)
            if "reached the servlet capacity" not in answered.text:
                return answered
            time.sleep(1)

    def post(self, query: str) -> httpx.Response:
        return self.call("POST", f"/kafkacruisecontrol/{query}")

    def executor_state(self) -> dict[str, Any]:
        answered = self.call("GET", "/kafkacruisecontrol/state?substates=executor&json=true")
        return dict(answered.json()["ExecutorState"])

    def assignment(self) -> Assignment:
        return {
            (topic["name"], found["partition_index"]): (
                list(found["replica_nodes"]),
                found["leader_id"],
            )
            for topic in self.admin.describe_topics()
            for found in topic["partitions"]
        }

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
            time.sleep(0.5)

    def until_ready(self) -> None:
        """A dryrun that answers 200 is the readiness test."""
        dryrun = (
            f"remove_broker?dryrun=true&brokerid=11&destination_broker_ids=31&{GOALS}&json=true"
        )
        self.until(lambda: self.post(dryrun).status_code == 200, "a dryrun that answers 200")

    def until_idle(self) -> None:
        self.until(
            lambda: self.executor_state()["state"] == "NO_TASK_IN_PROGRESS", "an idle executor"
        )

    def execute(self, source: int, destination: int, more: str) -> str:
        """Starts a move and answers its User-Task-ID; busy answers are asked again, as every
        client must.
        """
        query = (
            f"remove_broker?dryrun=false&brokerid={source}&destination_broker_ids={destination}"
            f"&execution_progress_check_interval_ms=5000&{GOALS}&{more}&json=true"
        )
        answers: list[httpx.Response] = []

        def accepted() -> bool:
            answers.append(self.post(query))
            return answers[-1].status_code == 200

        self.until(accepted, "an accepted execution")
        return str(answers[-1].headers["User-Task-ID"])

    def throttles(self) -> dict[str, str]:
        brokers = [
            ConfigResource(ConfigResourceType.BROKER, str(broker))
            for broker in (11, 12, 13, 31, 32, 33)
        ]
        topics = [
            ConfigResource(ConfigResourceType.TOPIC, topic)
            for topic in {name for name, _ in self.assignment()}
        ]
        return {
            f"{kind}/{name}/{key}": entry["value"]
            for kind, resources in self.admin.describe_configs([*brokers, *topics]).items()
            for name, entries in resources.items()
            for key, entry in entries.items()
            if "throttled" in key and entry["value"]
        }


def _prepare(admin: Any, bootstrap_servers: str) -> None:
    """Topics on the source brokers, in every order of replicas, with 2 MB to copy in each
    partition.
    """
    for number in range(TOPICS):
        assignment = {p: list(ORDERS[(number + p) % len(ORDERS)]) for p in range(4)}
        admin.create_topics(
            {
                f"topic-{number:02}": {
                    "assignments": assignment,
                    "configs": {"min.insync.replicas": "2"},
                }
            }
        )
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks=1)
    for number in range(TOPICS):
        for partition in range(4):
            for _ in range(4):
                producer.send(f"topic-{number:02}", os.urandom(500_000), partition=partition)
    producer.flush(60)
    producer.close()


@pytest.fixture(scope="module", params=["stand-in", "real"])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    kind = request.param
    url = os.environ.get("CRUISE_CONTROL_URL", "") if kind == "real" else ""
    if url:
        with httpx.Client(base_url=url, timeout=60) as client:
            yield Target(
                client,
                KafkaAdminClient(bootstrap_servers=os.environ["CRUISE_CONTROL_BOOTSTRAP_SERVERS"]),
            )
        return
    if kind == "real" and not os.environ.get("CRUISE_CONTROL_CLASSPATH"):
        pytest.skip(
            "neither CRUISE_CONTROL_URL nor CRUISE_CONTROL_CLASSPATH: no real Cruise Control to ask"
        )
    directory: Path = tmp_path_factory.mktemp("lab")
    config = LabConfig(
        directory=directory, base_port=free_base_port(), cruise_control=CruiseControlKind(kind)
    )
    with Lab(config).running():
        admin = KafkaAdminClient(bootstrap_servers=config.bootstrap_servers)
        _prepare(admin, config.bootstrap_servers)
        with httpx.Client(
            base_url=f"http://{config.cruise_control_node.address}", timeout=60
        ) as client:
            ready = Target(client, admin)
            ready.until_ready()
            yield ready
        admin.close()


@pytest.mark.parametrize("number", SIMPLE, ids=lambda number: recording(number).name)
def test_answers_as_recorded(target: Target, number: int) -> None:
    """At rest, status, keys, types and error texts are those of the recordings."""
    recorded = recording(number)
    headers = recorded.request_headers
    answered = target.call(recorded.method, recorded.path_and_query, headers)
    assert answered.status_code == recorded.status, answered.text[:600]
    if isinstance(recorded.body, dict):
        assert not differences(recorded.body, answered.json()), answered.text[:600]


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("state?substates=executor&json=true", True),
        ("load?json=true", True),
        ("user_tasks?json=true", False),
    ],
)
def test_a_session_that_keeps_its_cookie(target: Target, query: str, same: bool) -> None:
    """It gets the same user task, so the same old answer, from every endpoint that works
    asynchronously.
    """
    target.client.cookies.clear()
    ids = [
        target.call("GET", f"/kafkacruisecontrol/{query}", keeps_session=True).headers[
            "User-Task-ID"
        ]
        for _ in range(2)
    ]
    assert (ids[0] == ids[1]) is same


def test_a_skewed_leader_reorders(target: Target) -> None:
    """A partition not led by its first replica is planned with another order, under hard goals
    too.
    """
    tp = TopicPartition("topic-00", 0)
    target.admin.alter_partition_reassignments({tp: [12, 13, 11]})

    def planned() -> dict[str, Any]:
        pair = "brokerid=11&destination_broker_ids=31"
        dryrun = f"remove_broker?dryrun=true&verbose=true&{pair}&{GOALS}&json=true"
        key = (tp.topic, tp.partition)
        (found,) = (
            proposal
            for proposal in target.post(dryrun).json()["proposals"]
            if (proposal["topicPartition"]["topic"], proposal["topicPartition"]["partition"]) == key
        )
        return dict(found)

    target.until(lambda: planned()["oldReplicas"] == [12, 13, 11], "the new order in a plan", 30.0)
    assert (planned()["oldLeader"], planned()["newReplicas"]) == (11, [31, 13, 12])
    target.admin.alter_partition_reassignments({tp: [11, 12, 13]})
    target.until(lambda: planned()["oldReplicas"] == [11, 12, 13], "the old order in a plan", 30.0)


def test_it_moves_every_replica_and_keeps_the_order(target: Target) -> None:
    """Hard goals, one pair: the source is empty, the destination stands where it stood, the
    reason was shown.
    """
    before = target.assignment()
    task = target.execute(
        11, 31, "concurrent_partition_movements_per_broker=100&reason=contract/1/1"
    )
    assert target.executor_state()["triggeredTaskReason"].startswith("contract/1/1 (Client: ")
    target.until_idle()
    moved = target.assignment()
    changed = {tp: (before[tp][0], moved[tp][0]) for tp in before if moved[tp] != before[tp]}
    assert changed
    assert all(
        [31 if broker == 11 else broker for broker in old] == new for old, new in changed.values()
    )
    assert not any(11 in replicas for replicas, _ in moved.values())
    (row,) = target.call(
        "GET", f"/kafkacruisecontrol/user_tasks?user_task_ids={task}&json=true"
    ).json()["userTasks"]
    assert row["Status"] == "Completed"

    target.execute(31, 11, "concurrent_partition_movements_per_broker=100")
    target.until_idle()
    assert target.assignment() == before


def test_stop_cancels_and_its_throttle_is_cleared(target: Target) -> None:
    """A throttled move is stopped: nothing moves any more, no throttle is left, the task reads
    CompletedWithError.
    """
    task = target.execute(
        12, 32, "concurrent_partition_movements_per_broker=2&replication_throttle=100000"
    )
    target.until(lambda: bool(target.throttles()), "a throttle")
    assert target.post("stop_proposal_execution?json=true").status_code == 200
    target.until_idle()
    assert target.admin.list_partition_reassignments() == {}
    assert target.throttles() == {}
    (row,) = target.call(
        "GET", f"/kafkacruisecontrol/user_tasks?user_task_ids={task}&json=true"
    ).json()["userTasks"]
    assert row["Status"] == "CompletedWithError"
    back = {
        TopicPartition(*tp): [12 if broker == 32 else broker for broker in replicas]
        for tp, (replicas, _) in target.assignment().items()
        if 32 in replicas
    }
    if back:
        target.admin.alter_partition_reassignments(back)


def test_a_second_execution_is_refused(target: Target) -> None:
    """One execution at a time, also for the same URL without its id."""
    target.execute(13, 33, "concurrent_partition_movements_per_broker=1")
    refused = target.post(
        "remove_broker?dryrun=false&brokerid=12&destination_broker_ids=32&json=true"
    )
    assert refused.status_code == 500
    assert (
        "Cannot start a new execution while there is an ongoing execution"
        in refused.json()["errorMessage"]
    )
    target.post("stop_proposal_execution?json=true")
    target.until_idle()
