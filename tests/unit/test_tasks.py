"""Effects and watches as tasks: the wanted runs once, the unwanted ends, and nothing acts
without the lease.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Migration, Phase
from agent.core.model.reasons import Code
from agent.core.planning.options import Options
from agent.core.planning.plan import Wave, WaveState
from agent.core.planning.policy import Policy
from agent.performer.ports import PortError, Post
from agent.worker.cluster_worker import ClusterWorker
from agent.worker.effect_tasks import ClusterTasks

POLICY = Policy()
SCOPE = fx.WaveScope(
    migration_id="m", wave=1, attempt=1, source_broker_ids=(1,), destination_broker_ids=(2,)
)
CHECK, STOP, CLOSE = (
    fx.CheckCluster(scope=SCOPE),
    fx.StopWave(scope=SCOPE, at_once=True),
    fx.CloseWave(scope=SCOPE),
)
PLAN = fx.CompareSnapshot(migration_id="m")
WAVE = Wave(
    number=1,
    az="a",
    source_broker_ids=(1,),
    destination_broker_ids=(2,),
    state=WaveState.ACTIVE,
    attempt=1,
)


def wants(**effects: fx.Effect) -> Migration:
    """A state with these effects pending, by id."""
    pending = tuple(
        fx.Pending(effect_id=name, effect=effect, since=0.0) for name, effect in effects.items()
    )
    return Migration(
        cluster="lab", migration_id="m", phase=Phase.CHECKING, waves=(WAVE,), pending=pending
    )


class Lease:
    """A lease that the test gives and takes."""

    def __init__(self) -> None:
        self.mine = True

    def held(self) -> bool:
        return self.mine

    def holder(self) -> str:
        return "held by another agent"


class FakePerformer:
    """A performer that records; each effect ends when the test lets it."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.let_end = asyncio.Event()
        self.trouble: Exception | None = None
        self.slow_to_leave = 0.0
        self.cancellations_lost = 0

    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> msg.Outcome:
        name = type(effect).__name__
        self.story.append(f"{name} begins")
        try:
            await self._until_let()
        except asyncio.CancelledError:
            await asyncio.sleep(self.slow_to_leave)
            self.story.append(f"{name} is left")
            raise
        if self.trouble:
            raise self.trouble
        self.story.append(f"{name} ends")
        return msg.Performed()

    async def watch(self, watch: fx.Watch, migration: Migration, post: Post) -> None:
        self.story.append(f"{type(watch).__name__} begins")
        try:
            await self._until_let()
        finally:
            self.story.append(f"{type(watch).__name__} is left")
        if self.trouble:
            raise self.trouble

    async def _until_let(self) -> None:
        """Loses cancellations, as some libraries do, for as long as any are to be lost."""
        while not self.let_end.is_set():
            try:
                await self.let_end.wait()
            except asyncio.CancelledError:
                if not self.cancellations_lost:
                    raise
                self.cancellations_lost -= 1


class Stage:
    """The tasks of one cluster, with all around them."""

    def __init__(self) -> None:
        self.performer, self.lease = FakePerformer(), Lease()
        self.posted: list[msg.EffectEnded] = []
        self.post_fails = 0
        self.tasks = ClusterTasks(
            self.performer,
            self.lease,
            ClusterWorker(
                POLICY,
                Migration(cluster="lab"),
                time.time(),
                lease_seconds=0.2,
                retry_seconds=0.05,
                cancel_seconds_max=2.0,
            ),
            self._post,
            cancel_again_seconds=0.2,
        )

    async def _post(self, observation: msg.Observation) -> None:
        if self.post_fails:
            self.post_fails -= 1
            raise ConnectionError("Kafka is away")
        assert isinstance(observation, msg.EffectEnded)
        self.posted.append(observation)

    async def until(self, holds: Callable[[], bool], state: Migration | None = None) -> None:
        """Let time pass, reconciling as the tick does, until it holds."""
        async with asyncio.timeout(5):
            while not holds():
                if state is not None:
                    self.tasks.reconcile(state)
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.tasks.stop()


async def test_a_pending_effect_is_performed_once_and_its_end_is_posted(stage: Stage) -> None:
    """However often it is reconciled, also between its end and the state that knows of it."""
    state = wants(e1=CHECK)
    for _ in range(3):
        stage.tasks.reconcile(state)
        await asyncio.sleep(0.01)
    stage.performer.let_end.set()
    await stage.until(lambda: len(stage.posted) == 1, state)
    for _ in range(3):
        stage.tasks.reconcile(state)
        await asyncio.sleep(0.01)
    assert stage.performer.story == ["CheckCluster begins", "CheckCluster ends"]
    assert [(e.effect_id, e.outcome) for e in stage.posted] == [("e1", msg.Performed())]


async def test_a_stop_waits_until_what_it_stops_has_left(stage: Stage) -> None:
    """The request that is overtaken is cancelled and awaited before the stop begins."""
    stage.performer.slow_to_leave = 0.1
    stage.tasks.reconcile(wants(e1=CHECK))
    await stage.until(lambda: bool(stage.performer.story))
    stage.tasks.reconcile(wants(e2=STOP))
    await stage.until(lambda: len(stage.performer.story) == 3)
    assert stage.performer.story == [
        "CheckCluster begins",
        "CheckCluster is left",
        "StopWave begins",
    ]
    assert stage.posted == []


async def test_a_bug_in_a_performer_is_an_outcome(stage: Stage) -> None:
    """An exception is told as EFFECT_FAILED, to be asked for again, and stops nothing."""
    stage.performer.trouble = ZeroDivisionError("oops")
    stage.performer.let_end.set()
    stage.tasks.reconcile(wants(e1=CLOSE))
    await stage.until(lambda: len(stage.posted) == 1)
    outcome = stage.posted[0].outcome
    assert isinstance(outcome, msg.Unreachable)
    assert outcome.reason.code is Code.EFFECT_FAILED
    assert "oops" in outcome.reason.seen


async def test_an_end_that_cannot_be_posted_is_not_lost(stage: Stage) -> None:
    """Then the effect is performed again: it looks before it acts."""
    stage.post_fails = 1
    stage.performer.let_end.set()
    await stage.until(lambda: len(stage.posted) == 1, wants(e1=PLAN))
    assert stage.performer.story == ["CompareSnapshot begins", "CompareSnapshot ends"] * 2


async def test_nothing_acts_without_the_lease(stage: Stage) -> None:
    """Another driver holds it: nothing begins, and after a while the state is told who drives."""
    stage.lease.mine = False
    await stage.until(lambda: len(stage.posted) == 1, wants(e1=CHECK))
    assert stage.performer.story == []
    outcome = stage.posted[0].outcome
    assert isinstance(outcome, msg.Busy)
    assert (outcome.reason.code, outcome.reason.seen) == (
        Code.OTHER_DRIVER,
        "held by another agent",
    )


async def test_a_lease_that_comes_soon_is_waited_for(stage: Stage) -> None:
    """A restarted agent gets its lease a moment later: no word of another driver."""
    stage.lease.mine = False
    state = wants(e1=CHECK)
    stage.tasks.reconcile(state)
    await asyncio.sleep(0.05)
    stage.lease.mine = True
    stage.performer.let_end.set()
    await stage.until(lambda: len(stage.posted) == 1, state)
    assert stage.posted[0].outcome == msg.Performed()


async def test_what_acts_is_left_when_the_lease_is_lost(stage: Stage) -> None:
    """The effect is cancelled, and begun again when the lease is back."""
    state = wants(e1=CHECK)
    stage.tasks.reconcile(state)
    await stage.until(lambda: bool(stage.performer.story))
    stage.lease.mine = False
    await stage.until(lambda: len(stage.performer.story) == 2, state)
    await asyncio.sleep(0.05)
    stage.tasks.reconcile(state)
    assert stage.performer.story == ["CheckCluster begins", "CheckCluster is left"]
    stage.lease.mine = True
    stage.performer.let_end.set()
    await stage.until(lambda: bool(stage.posted), state)
    assert stage.performer.story[2:] == ["CheckCluster begins", "CheckCluster ends"]


async def test_watches_follow_the_state(stage: Stage) -> None:
    """A watch begins with the phase that wants it and ends with it; one whose scope changed is
    another one.
    """
    moving = replace(wants(), phase=Phase.MOVING)
    stage.tasks.reconcile(moving)
    stage.tasks.reconcile(moving)
    await stage.until(lambda: stage.performer.story == ["WatchWave begins"])
    stage.tasks.reconcile(replace(moving, waves=(replace(WAVE, attempt=2),)))
    await stage.until(lambda: stage.performer.story.count("WatchWave begins") == 2)
    stage.tasks.reconcile(wants())
    await stage.until(lambda: stage.performer.story.count("WatchWave is left") == 2)


@pytest.mark.parametrize("trouble", [PortError("no ZooKeeper"), ZeroDivisionError("oops")])
async def test_a_watch_that_fails_is_started_again(stage: Stage, trouble: Exception) -> None:
    """Blind for a moment is no end: the next tick looks again."""
    stage.performer.trouble = trouble
    stage.performer.let_end.set()
    moving = replace(wants(), phase=Phase.MOVING)
    await stage.until(lambda: stage.performer.story.count("WatchWave begins") == 2, moving)


async def test_stop_ends_everything_before_it_returns(stage: Stage) -> None:
    """When the cluster is given away, nothing of it runs on here."""
    stage.performer.slow_to_leave = 0.05
    stage.tasks.reconcile(replace(wants(e1=CHECK), phase=Phase.MOVING))
    await stage.until(lambda: len(stage.performer.story) == 2)
    await stage.tasks.stop()
    assert sorted(stage.performer.story[2:]) == ["CheckCluster is left", "WatchWave is left"]
    assert stage.posted == []


# ── cancellations that are lost ───────────────────────────────────────────────────────────────────
async def test_a_watch_that_lost_its_cancellation_holds_up_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The step after it begins at once; the log names the watch and since when, and it is
    cancelled again.
    """
    stage.performer.cancellations_lost = 1
    stage.tasks.reconcile(replace(wants(), phase=Phase.MOVING))
    await stage.until(lambda: stage.performer.story == ["WatchWave begins"])
    stage.tasks.reconcile(wants(e1=STOP))
    await stage.until(lambda: "StopWave begins" in stage.performer.story)
    assert "WatchWave is left" not in stage.performer.story
    await stage.until(lambda: "WatchWave is left" in stage.performer.story, wants(e1=STOP))
    (told,) = caplog.messages
    assert re.fullmatch(
        r"lab: WatchWave was cancelled \d\.\d s ago and still runs: it is cancelled again",
        told,
    )


async def test_a_stop_waits_for_a_request_that_lost_its_cancellation_and_says_so(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not be overtaken; it is cancelled again after twice the time, and the log names
    both.
    """
    stage.performer.cancellations_lost = 3
    stage.tasks.reconcile(wants(e1=CHECK))
    await stage.until(lambda: bool(stage.performer.story))
    await stage.until(lambda: len(stage.performer.story) == 3, wants(e2=STOP))
    assert stage.performer.story == [
        "CheckCluster begins",
        "CheckCluster is left",
        "StopWave begins",
    ]
    assert (
        "lab: StopWave e2 waits until lab: CheckCluster e1 has ended, for 2 s at most"
        in caplog.messages
    )
    assert re.fullmatch(r"lab: StopWave e2 begins after \d\.\d s", caplog.messages[-1])
    assert (
        sum(text.startswith("lab: CheckCluster e1 was cancelled ") for text in caplog.messages) == 3
    )


async def test_a_stop_waits_for_no_plan_that_is_left(stage: Stage) -> None:
    """What runs beside the main line changes nothing that a stop could overtake."""
    stage.performer.slow_to_leave = 0.1
    stage.tasks.reconcile(wants(e1=fx.MakePlan(command_id="c", options=Options())))
    await stage.until(lambda: bool(stage.performer.story))
    stage.tasks.reconcile(wants(e2=STOP))
    await stage.until(lambda: len(stage.performer.story) == 3)
    assert stage.performer.story == ["MakePlan begins", "StopWave begins", "MakePlan is left"]


async def test_what_does_not_leave_is_named_when_the_cluster_is_given_away(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is waited for only so long: another agent waits for the lease."""
    stage.performer.cancellations_lost = 5
    stage.tasks.reconcile(replace(wants(), phase=Phase.MOVING))
    await stage.until(lambda: bool(stage.performer.story))
    began = time.monotonic()
    await stage.tasks.stop()
    assert 2 <= time.monotonic() - began < 3
    assert caplog.messages[-1] == "lab: WatchWave was cancelled 2.0 s ago and is left running"
    stage.performer.let_end.set()
