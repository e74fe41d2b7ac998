"""Brings the stand-in, on a cluster in memory, into the situations the recordings were made in."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from deploy.lab.standin.api import build_app
from deploy.lab.standin.cluster import TopicPartition
from deploy.lab.standin.execution import ExecutorState
from deploy.lab.standin.goals import HARD_GOALS
from deploy.lab.standin.service import CruiseControl
from deploy.lab.standin.settings import Account, Role, Settings
from tests.fakes.driven_clock import DrivenClock
from tests.fakes.standin_cluster import MemoryCluster

HARD = ",".join(HARD_GOALS)
ARTICLE = (
    "remove_broker?dryrun=false&brokerid=11&concurrent_partition_movements_per_broker=25&destination_broker_ids=31"
    "&replication_throttle=100000000&json=true"
)
PAIR = (
    "remove_broker?dryrun=false&execution_progress_check_interval_ms=5000&brokerid=11&destination_broker_ids=31"
    "&json=true"
)
HARD_PAIR = f"{PAIR}&goals={HARD}"
# As recorded: with so many user tasks that the recorder could ask as often as it liked.
RECORDED = Settings(max_active_user_tasks=50)
WARM = replace(RECORDED, window_warmup_seconds=0.0, window_refill_seconds=0.0)
ACCOUNTS = {
    "admin": Account("adminpw", Role.ADMIN),
    "user": Account("userpw", Role.USER),
    "viewer": Account("viewerpw", Role.VIEWER),
}


@dataclass
class Answered:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def task_id(self) -> str:
        return self.headers["User-Task-ID"]


@dataclass
class Lab:
    """A running stand-in with its cluster and clock.

    `task_id` is the execution the recordings poll.
    """

    clock: DrivenClock
    cluster: MemoryCluster
    service: CruiseControl
    client: "TestClient[Any, Any]"
    settings: Settings
    task_id: str = ""
    polled: str = ""

    async def call(
        self, method: str, path_and_query: str, headers: Mapping[str, str] | None = None
    ) -> Answered:
        self.client.session.cookie_jar.clear()  # the recorder kept no session
        async with self.client.request(method, path_and_query, headers=headers) as response:
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json else await response.text()
            return Answered(response.status, response.headers.copy(), body)

    async def get(self, query: str) -> Answered:
        return await self.call("GET", f"/kafkacruisecontrol/{query}")

    async def post(self, query: str) -> Answered:
        return await self.call("POST", f"/kafkacruisecontrol/{query}")

    async def execute(self, query: str) -> Answered:
        """Starts an execution and remembers its task."""
        self.polled = f"/kafkacruisecontrol/{query}"
        answered = await self.call("POST", self.polled)
        assert answered.status == 200, answered.body
        self.task_id = answered.task_id
        await self.clock.advance(0)
        return answered

    def executor_state(self) -> ExecutorState:
        execution = self.service.executor.execution
        return execution.state if execution else ExecutorState.NO_TASK_IN_PROGRESS

    async def until(self, state: ExecutorState) -> None:
        await self.clock.advance_until(lambda: self.executor_state() is state)

    async def until_idle(self) -> None:
        """The execution is over and the metadata have been read since."""
        await self.until(ExecutorState.NO_TASK_IN_PROGRESS)
        await self.clock.advance(11)


@asynccontextmanager
async def lab(settings: Settings = WARM, *, answer_seconds: float = 0.0) -> AsyncIterator[Lab]:
    """The recorded cluster with a stand-in on it: 23 topics, 91 partitions on 11, 12, 13."""
    clock = DrivenClock()
    cluster = MemoryCluster(clock)
    cluster.answer_seconds = answer_seconds
    cluster.add_topic("__CruiseControlMetrics", [(13, 12, 11), (11, 13, 12), (12, 11, 13)])
    cluster.fill(topics=22, partitions=88)
    service = CruiseControl(cluster, settings, clock)
    async with TestClient(TestServer(build_app(service))) as client:
        await clock.advance(0)
        yield Lab(clock, cluster, service, client, settings)


async def task_status(standin: Lab, task_id: str) -> str:
    """What user_tasks says of this task."""
    answered = await standin.get(f"user_tasks?user_task_ids={task_id}&json=true")
    return str(answered.body["userTasks"][0]["Status"])


Prepare = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True)
class Situation:
    prepare: Prepare
    settings: Settings = WARM
    answer_seconds: float = 0.0
    """How long Kafka takes to describe itself."""


async def _nothing(_lab: Lab) -> None:
    return


async def _some_tasks(lab: Lab) -> None:
    for query in (
        "state?json=true",
        "load?json=true",
        "kafka_cluster_state?json=true",
        "proposals?json=true",
    ):
        await lab.get(query)
    await lab.post("remove_broker?brokerid=99&json=true")
    await lab.post("remove_broker?brokerid=11&destination_broker_ids=31&json=true")
    await lab.clock.advance(6)


async def _partial_windows(lab: Lab) -> None:
    await lab.clock.advance(7)


async def _executing(lab: Lab) -> None:
    await lab.execute(ARTICLE)
    await lab.get("state?substates=executor&json=true")


async def _between_batches(lab: Lab) -> None:
    await lab.execute(f"{PAIR}&concurrent_partition_movements_per_broker=5")
    await lab.clock.advance(5.5)


async def _in_flight(lab: Lab) -> None:
    """Replicas are being copied and the metadata have seen it."""
    lab.cluster.copy_seconds = 60.0
    await lab.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
    await lab.clock.advance(11)


async def _in_flight_throttled(lab: Lab) -> None:
    lab.cluster.copy_seconds = 600.0
    await lab.execute(
        f"{PAIR}&replication_throttle=5000000&concurrent_partition_movements_per_broker=10"
    )
    await lab.clock.advance(40)


async def _just_sent(lab: Lab) -> None:
    """Kafka moves, and no check has seen it yet."""
    await lab.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
    await lab.clock.advance(2.5)


async def _stopping(lab: Lab) -> None:
    """The throttle of what was in flight is being lifted."""
    await _in_flight_throttled(lab)
    await lab.post("stop_proposal_execution?json=true")
    await lab.until(ExecutorState.STOPPING)


async def _generating(lab: Lab) -> None:
    """Proposals for an execution are being computed, which waits for Kafka to describe itself."""
    await lab.clock.advance(8)
    lab.cluster.answer_seconds = 60.0
    lab.client.session.cookie_jar.clear()
    await lab.client.post(f"/kafkacruisecontrol/{PAIR}")
    await lab.clock.advance(0)


async def _servlet_full(lab: Lab) -> None:
    for _ in range(lab.settings.max_active_user_tasks):
        await lab.get("state?json=true")


async def _other_task(lab: Lab) -> None:
    lab.task_id = (await lab.get("load?json=true")).task_id


AUTHORIZED = {"Authorization": "Basic YWRtaW46YWRtaW5wdw=="}


async def _review_pending(lab: Lab) -> None:
    """Request 0 waits."""
    await lab.call(
        "POST",
        "/kafkacruisecontrol/remove_broker?dryrun=true&reason=migration+az-b&brokerid=12&destination_broker_ids=32&json=true",
        AUTHORIZED,
    )


async def _reviewed(lab: Lab) -> None:
    """Request 0 is approved, 1 waits."""
    await _review_pending(lab)
    await lab.call("POST", "/kafkacruisecontrol/review?approve=0&reason=ok&json=true", AUTHORIZED)
    await lab.call(
        "POST", "/kafkacruisecontrol/remove_broker?dryrun=false&brokerid=12&json=true", AUTHORIZED
    )


async def _review_discarded(lab: Lab) -> None:
    """0 is submitted, 1 discarded, 2 (a stop) and 3 (admin) wait."""
    await _reviewed(lab)
    await lab.call("POST", "/kafkacruisecontrol/review?discard=1&reason=no&json=true", AUTHORIZED)
    await lab.call("POST", "/kafkacruisecontrol/stop_proposal_execution?json=true", AUTHORIZED)
    await lab.call(
        "POST", "/kafkacruisecontrol/admin?concurrent_leader_movements=7&json=true", AUTHORIZED
    )
    lab.polled = "/kafkacruisecontrol/remove_broker?review_id=0"
    lab.task_id = (await lab.call("POST", lab.polled, AUTHORIZED)).task_id


async def _moving_leaders(lab: Lab) -> None:
    await _executing(lab)
    await lab.until(ExecutorState.MOVING_LEADERS)


async def _moved(lab: Lab) -> None:
    """11 is empty, 31 holds what it held."""
    await _executing(lab)
    await lab.until_idle()


async def _moved_and_dropped(lab: Lab) -> None:
    await _moved(lab)
    await lab.post("admin?drop_recently_removed_brokers=11&json=true")


async def _stopped(lab: Lab) -> None:
    await _in_flight(lab)
    await lab.post("stop_proposal_execution?json=true")
    await lab.until_idle()


async def _restarted(lab: Lab) -> None:
    """The id of a task that another life of the process knew."""
    lab.task_id = "05788d2b-bb74-478f-9049-d36a8686d81d"


async def _external(lab: Lab) -> None:
    """Kafka moves what this process did not ask for."""
    lab.cluster.copy_seconds = 600.0
    moves = {TopicPartition(f"topic-{number:02}", 0): None for number in range(19)}
    view = await lab.cluster.describe()
    await lab.cluster.reassign(
        {tp: tuple(31 if b == 11 else b for b in view.partitions[tp].replicas) for tp in moves}
    )
    await lab.clock.advance(11)


async def _external_after_moves(lab: Lab) -> None:
    await _moved(lab)
    lab.cluster.copy_seconds = 600.0
    view = await lab.cluster.describe()
    moves = {TopicPartition(f"topic-{number:02}", 0) for number in range(19)}
    await lab.cluster.reassign(
        {tp: tuple(32 if b == 12 else b for b in view.partitions[tp].replicas) for tp in moves}
    )
    await lab.clock.advance(11)
    # The metadata are up to date now.
    await lab.post("remove_broker?brokerid=13&destination_broker_ids=33&json=true")


async def _external_after_two(lab: Lab) -> None:
    await _external_after_moves(lab)
    lab.service.executor.add_recently_removed([13])


async def _windows_lost(lab: Lab) -> None:
    lab.service.monitor.lose_windows(10)


async def _destination_killed(lab: Lab) -> None:
    """31 died after it had taken eight replicas."""
    await lab.execute(f"{PAIR}&goals={HARD}&concurrent_partition_movements_per_broker=8")
    await lab.clock.advance(5.5)
    lab.cluster.kill(31)
    await lab.until_idle()


async def _away(lab: Lab) -> None:
    await _moved(lab)
    lab.cluster.unavailable = True


async def _in_flight_and_away(lab: Lab) -> None:
    await _in_flight(lab)
    lab.cluster.unavailable = True
    await lab.clock.advance(12)


async def _empty_broker_dead(lab: Lab) -> None:
    lab.service.executor.add_recently_removed([11])
    lab.cluster.kill(33)
    await lab.clock.advance(11)


async def _source_dead(lab: Lab) -> None:
    lab.service.executor.add_recently_removed([11])
    lab.cluster.kill(11)
    await lab.clock.advance(11)


async def _viewer_asked(lab: Lab) -> None:
    await lab.call(
        "GET",
        "/kafkacruisecontrol/user_tasks?json=true",
        {"Authorization": "Basic dmlld2VyOnZpZXdlcnB3"},
    )


_COLD = replace(WARM, window_warmup_seconds=10.0)
_AUTH = replace(WARM, accounts=ACCOUNTS)
_REVIEW = replace(_AUTH, two_step_verification=True)

SITUATIONS: Mapping[str, Situation] = {
    "cold": Situation(_nothing, _COLD),
    "partial windows": Situation(_partial_windows, _COLD),
    "loading": Situation(_nothing, replace(WARM, loading_seconds=100.0)),
    "warm": Situation(_nothing),
    "some tasks": Situation(_some_tasks),
    "executing": Situation(_executing),
    "between batches": Situation(_between_batches),
    "between batches, stale": Situation(
        _between_batches, replace(WARM, metadata_max_age_ms=60_000)
    ),
    "in flight": Situation(_in_flight),
    "in flight, throttled": Situation(_in_flight_throttled),
    "moving leaders": Situation(_moving_leaders),
    "moved": Situation(_moved),
    "moved and dropped": Situation(_moved_and_dropped),
    "stopped": Situation(_stopped),
    "restarted": Situation(_restarted),
    "just sent": Situation(_just_sent),
    "stopping": Situation(_stopping),
    "generating": Situation(_generating, replace(WARM, request_max_block_ms=1)),
    "servlet full": Situation(_servlet_full),
    "other task": Situation(_other_task),
    "review": Situation(_nothing, _REVIEW),
    "review pending": Situation(_review_pending, _REVIEW),
    "reviewed": Situation(_reviewed, _REVIEW),
    "review discarded": Situation(_review_discarded, _REVIEW),
    "review, slow": Situation(
        _reviewed, replace(_REVIEW, request_max_block_ms=0), answer_seconds=5.0
    ),
    "external": Situation(_external),
    "external after moves": Situation(_external_after_moves),
    "external after two": Situation(_external_after_two),
    "windows lost": Situation(_windows_lost),
    "destination killed": Situation(_destination_killed),
    "away": Situation(_away),
    "in flight, away": Situation(_in_flight_and_away),
    "empty broker dead": Situation(_empty_broker_dead),
    "source dead": Situation(_source_dead),
    "auth": Situation(_nothing, _AUTH),
    "auth, viewer asked": Situation(_viewer_asked, _AUTH),
    "slow": Situation(_nothing, replace(_AUTH, request_max_block_ms=0), answer_seconds=5.0),
}
