"""A cluster whose record must be left as it is: the worker says so, and drives the others."""

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import faust
import pytest

from agent.config.settings import ClusterSettings, Settings
from agent.core import messages as msg
from agent.performer.ports import Post
from agent.topics import Topics
from agent.wire import to_json
from agent.worker import turn
from agent.worker.app import Agent
from agent.worker.cluster_worker import ClusterWorker
from agent.worker.effect_tasks import ClusterTasks
from tests.fakes.lease import HeldLease
from tests.unit.test_settings import CLUSTER

NAMES = Topics.named("t.")
NEWER = b'{"schema_version": 2, "what": "this version cannot know"}'


class TopicInMemory:
    """What was sent to a topic; Kafka has it at once."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, **message: Any) -> "asyncio.Future[None]":
        self.sent.append(message)
        arrived = asyncio.get_running_loop().create_future()
        arrived.set_result(None)
        return arrived


class Idle:
    """A performer that has nothing to do: nothing is pending."""

    async def perform(self, *_: Any) -> msg.Outcome:
        raise NotImplementedError

    async def watch(self, *_: Any) -> None:
        raise NotImplementedError


class Outside:
    """What a driven cluster holds open."""

    def __init__(self, post: Post, worker: ClusterWorker) -> None:
        self.lease = HeldLease()
        self.tasks = ClusterTasks(Idle(), self.lease, worker, post)

    async def close(self) -> None:
        """Nothing is open."""


class ReadyAgent(Agent):
    """The worker with its share of the clusters, and no Kafka."""

    def __init__(self, table: dict[bytes, bytes]) -> None:
        clusters = {name: ClusterSettings.model_validate(CLUSTER) for name in ("lab", "other")}
        app = faust.App("undrivable", store="memory://", autodiscover=False)
        super().__init__(
            app,
            Settings(),
            clusters,
            NAMES,
            drive=lambda *given: Outside(*given[-2:]),  # type: ignore[arg-type,return-value]
        )
        self._records = turn.Records(table)
        for topic in ("inbox", "metrics", "events", "status", "rejected"):
            setattr(self._publisher, f"_{topic}", TopicInMemory())

    def _is_ready(self) -> bool:
        return True

    def _owned(self) -> list[str]:
        return list(self._clusters)

    async def meet(self, cluster: str, message: msg.Message, offset: int) -> None:
        value = to_json(message, msg.Message)
        place = {"topic": NAMES.inbox, "partition": 0, "offset": offset}
        await self._on_inbox(SimpleNamespace(key=cluster.encode(), value=value, **place))

    def sent(self, topic: str) -> list[Any]:
        return [
            (m["key"].decode(), json.loads(m["value"]))
            for m in getattr(self._publisher, f"_{topic}").sent
        ]


@pytest.mark.parametrize(
    ("saved", "code"), [(NEWER, "RECORD_FROM_NEWER_VERSION"), (b"{", "RECORD_UNREADABLE")]
)
async def test_it_is_left_alone_and_the_others_are_driven(
    saved: bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not driven, told once by the log and always by /ready; the record stays; the rest goes on."""
    table = {b"lab": saved}
    agent = ReadyAgent(table)
    with caplog.at_level(logging.ERROR):
        await agent._tick()
        await agent._tick()
    assert [r.getMessage().partition(f": {code}")[0] for r in caplog.records] == [
        "lab cannot be driven"
    ]
    assert list(agent._driven) == ["other"]
    assert list(agent._cannot_drive()) == ["lab"]
    assert code in agent._cannot_drive()["lab"]

    pause = {"command_id": "c", "at": 1.0}
    await agent.meet("lab", msg.PauseMigration(cluster="lab", **pause), 1)
    await agent.meet("lab", msg.Tick(at=2.0), 2)
    await agent.meet("other", msg.PauseMigration(cluster="other", **pause), 3)
    (lab, refused), (other, answered) = agent.sent("events")
    assert (lab, other) == ("lab", "other")
    assert (refused["type"], refused["data"]["command_id"]) == ("CommandRefused", "c")
    assert [reason["code"] for reason in refused["data"]["reasons"]] == [code]
    assert answered["data"]["reasons"][0]["code"] != code
    assert [key for key, _ in agent.sent("rejected")] == ["lab", "lab"]
    assert table[b"lab"] is saved


async def test_it_is_driven_once_its_record_can_be_used() -> None:
    """A record that was put right is taken up at the next look; one that has become newer is
    let go.
    """
    table = {b"lab": NEWER}
    agent = ReadyAgent(table)
    await agent._tick()
    assert "lab" not in agent._driven
    del table[b"lab"]
    await agent._tick()
    assert "lab" in agent._driven
    assert not agent._cannot_drive()
    table[b"lab"] = NEWER
    await agent._tick()
    assert "lab" not in agent._driven
