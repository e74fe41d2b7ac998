"""A test that cannot fail is a defect: agents and worlds that are wrong on purpose, each caught
by its invariant.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Migration
from agent.core.model.cluster import TopicPartition
from agent.core.model.throttle import ThrottleChange
from agent.core.planning.options import InternalTopics, Options
from agent.core.planning.policy import Policy
from agent.performer.performer import Performer
from agent.performer.ports import RemoveBroker
from agent.worker.cluster_worker import Action, ClusterWorker
from tests.simulation.schedule import Schedule
from tests.simulation.sim_cruise_control import Answer, SimCruiseControl
from tests.simulation.sim_ports import SimKafka
from tests.simulation.sim_worker import Durable, Life
from tests.simulation.simulation import Cast, InvariantBrokenError, Simulation
from tests.simulation.world import EPOCH

PLAIN = Schedule(
    seed=0, options=Options(throttle_bytes_per_second=60, progress_check_interval_ms=1_000)
)
LANED = replace(
    PLAIN, options=replace(PLAIN.options, canary_partitions=1, internal_topics=InternalTopics.LAST)
)
SEEDS = 40


def _caught(invariant: str, cast: Cast, schedule: Schedule = PLAIN) -> None:
    """Some seed breaks just this invariant; with the real cast none of them does."""
    broken = set()
    for seed in range(SEEDS):
        try:
            Simulation(replace(schedule, seed=seed), cast).play()
        except InvariantBrokenError as error:
            broken.add(error.invariant)
            if invariant in broken:
                break
    assert invariant in broken, f"not caught; broken: {broken}"
    for seed in range(3):
        Simulation(replace(schedule, seed=seed)).play()


def _acts(*acts: tuple[float, str], **changes: object) -> Schedule:
    return replace(PLAIN, acts=acts, **changes)  # type: ignore[arg-type]


# ── a performer that is wrong ─────────────────────────────────────────────────────────────────────
class ForgetsToClear(Performer):
    """Two things must be wrong before a throttle stays: the agent looks again, and sweeps at
    rest.
    """

    async def _clear_throttle(self, *_: object) -> int:
        return 0


class ClearsEverything(Performer):
    async def _clear_throttle(self, *_: object) -> int:
        kafka = self.ports.kafka
        found = await kafka.throttle(await kafka.alive(), None)
        lists = {t: r for t, r in found.followers.items() if r}
        await kafka.clear_throttle(
            ThrottleChange(rates=dict.fromkeys(found.rates, 0), followers=lists)
        )
        return 0


class AsksWithoutLooking(Performer):
    async def _start(self, effect: fx.StartWave, m: Migration) -> msg.Outcome:
        return await self.ports.cruise_control.remove_broker(_request(effect))


class IgnoresTheLease(Performer):
    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> msg.Outcome:
        if isinstance(effect, fx.StartWave):
            return await self.ports.cruise_control.remove_broker(_request(effect))
        return await self._perform(effect, migration, policy)


class StopsWithoutWaiting(Performer):
    async def _stop(self, effect: fx.StopWave, m: Migration) -> msg.Outcome:
        return msg.Performed()


class CallsEverythingFine(Performer):
    async def _close(self, effect: fx.CloseWave, m: Migration) -> msg.Outcome:
        outcome = await Performer._close(self, effect, m)
        if not isinstance(outcome, msg.Inspected):
            return outcome
        return msg.Inspected(
            replicas_left=0,
            bytes_left=0,
            leaders_left=0,
            reassignments=0,
            not_in_sync=0,
            not_preferred=0,
            throttles_left=0,
            order_changed=0,
            partitions=outcome.partitions,
        )


class KeepsNoOrder(Performer):
    """It mends nothing, and tells a closing wave that nothing is to be mended."""

    async def _restore_order_and_leaders(
        self, facts: object, m: object, snapshot: object
    ) -> object:  # type: ignore[override]
        return False, None

    async def _close(self, effect: fx.CloseWave, m: Migration) -> msg.Outcome:
        found = await super()._close(effect, m)
        return replace(found, order_changed=0) if isinstance(found, msg.Inspected) else found


class ProvesNothing(KeepsNoOrder):
    async def _compare(self, effect: fx.CompareSnapshot, m: Migration) -> msg.Outcome:
        return msg.Compared(partitions=1, different=0, not_preferred=0)


class MovesEverything(Performer):
    """Its lane knows no bounds."""

    async def _perform(self, effect: fx.Effect, m: Migration, policy: Policy) -> msg.Outcome:
        if isinstance(effect, fx.MovePartitions):
            effect = replace(effect, scope=replace(effect.scope, selection=None))
        return await Performer._perform(self, effect, m, policy)


class NeverCancels(Performer):
    """Kafka goes on moving a selection, and the stop says that it does not: neither by its list
    nor by the disks.
    """

    async def _halt(self, scope: fx.WaveScope) -> None:
        return None

    async def _count_in_flight(self, scope: fx.WaveScope) -> int:
        return 0

    async def _orphaned_copy_bytes(self, *_: Any) -> int:
        return 0


def _request(effect: fx.StartWave) -> RemoveBroker:
    return RemoveBroker(
        source_broker_ids=effect.scope.source_broker_ids,
        destination_broker_ids=effect.scope.destination_broker_ids,
        reason=effect.scope.key,
        partition_movements_per_broker=effect.partition_movements_per_broker,
        progress_check_interval_ms=effect.progress_check_interval_ms,
    )


# ── a world that lies ─────────────────────────────────────────────────────────────────────────────
class NeverClears(SimKafka):
    """Takes every removal of a throttle, and removes nothing."""

    async def clear_throttle(self, order: ThrottleChange) -> None:
        await self.alive()


class MovesAcrossAzs(SimCruiseControl):
    def _proposals(self, request: RemoveBroker) -> list[tuple[TopicPartition, list[int]]]:
        wrong = min(
            b for b in self.world.racks if b not in request.destination_broker_ids and b >= 51
        )
        source = request.source_broker_ids[0]
        return [
            (p.name, [wrong if r == source else r for r in p.replicas])
            for p in self.world.partitions.values()
            if source in p.replicas and wrong not in p.replicas
        ]


class CannotBeStopped(SimCruiseControl):
    """Says that it is idle, and goes on."""

    def stop(self, reason: str = "") -> None:
        pass


class RunsAnything(SimCruiseControl):
    """Takes a second request for the same while it works, and forgets the first."""

    def remove_broker(self, request: RemoveBroker) -> Answer:
        if not request.dryrun:
            self.execution = None
        return super().remove_broker(request)


# ── a worker that is wrong ────────────────────────────────────────────────────────────────────────
class GoesOnWithWhatIsNotWanted(ClusterWorker):
    """Effects that were abandoned are not cancelled."""

    def _cancel_effects(self, effect_ids: Iterable[str]) -> list[Action]:
        super()._cancel_effects(effect_ids)
        return []


class KnowsNoLease(ClusterWorker):
    """It takes the lease for its own, whoever holds it."""

    def _begin_effects(self, now: float, other_driver: str | None) -> list[Action]:
        return super()._begin_effects(now, None)


class SkipsWhatWasLost(Life):
    """After a crash it goes on behind the messages whose saves were lost."""

    def __init__(self, durable: Durable, *rest: Any) -> None:
        super().__init__(durable, *rest)
        self.position = len(durable.records)


class ForgetsAnswers(Life):
    """The state loses which commands were answered."""

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        self.record = replace(self.record, migration=replace(self.record.migration, answers=()))
        return super().take(message, offset)


class LosesPlans(Life):
    """Acknowledged before it was met: a plan is lost."""

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        return () if isinstance(message, msg.PlanMigration) else super().take(message, offset)


class SeesEverythingEmpty(Life):
    """Takes every look at a moving wave for its end."""

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        if isinstance(message, msg.WaveObserved):
            message = replace(message, replicas_left=0, moving=0)
        return super().take(message, offset)


PAUSED = _acts((3.0, "pause"))
LONG = _acts((3.0, "cancel"), size_bytes=100_000.0)
ROLLBACK = _acts((5.0, "pause"), (12.0, "rollback"))
CASES: dict[str, tuple[str, Cast, Schedule]] = {
    "a throttle is forgotten": (
        "no_throttle_is_left",
        Cast(performer=ForgetsToClear, kafka=NeverClears),
        PAUSED,
    ),
    "a throttle cannot be cleared": ("finished_paused_or_blocked", Cast(kafka=NeverClears), PAUSED),
    "another's throttle is cleared": (
        "foreign_throttle_stays",
        Cast(performer=ClearsEverything),
        _acts((2.5, "foreign_throttle")),
    ),
    "it asks without looking": (
        "never_two_executions",
        Cast(performer=AsksWithoutLooking, cruise_control=RunsAnything),
        _acts((1.0, "accept_then_time_out"), options=replace(PLAIN.options, soak_seconds=3.0)),
    ),
    "it asks over moves in flight": (
        "never_two_executions",
        Cast(performer=AsksWithoutLooking),
        _acts((2.0, "restart_cc"), (2.5, "pause"), (3.0, "resume"), crash_chance=0.01),
    ),
    "two agents drive": (
        "asked_only_by_the_driver",
        Cast(performer=IgnoresTheLease, worker=KnowsNoLease),
        _acts((2.4, "hand_over")),
    ),
    "it says that it has stopped": (
        "nothing_moves_at_rest",
        Cast(performer=StopsWithoutWaiting),
        LONG,
    ),
    "what was abandoned goes on": (
        "asked_only_when_wanted",
        Cast(worker=GoesOnWithWhatIsNotWanted),
        _acts((2.45, "pause")),
    ),
    "every look and every inspection is fine": (
        "drained_only_if_drained",
        Cast(performer=CallsEverythingFine, life=SeesEverythingEmpty),
        PLAIN,
    ),
    "replicas cross AZs": (
        "replication_factor_and_az_spread_hold",
        Cast(cruise_control=MovesAcrossAzs),
        PLAIN,
    ),
    "Cruise Control cannot be stopped": (
        "finished_paused_or_blocked",
        Cast(cruise_control=CannotBeStopped),
        LONG,
    ),
    "replica order is not mended": ("rollback_restores", Cast(performer=KeepsNoOrder), ROLLBACK),
    "a rollback is not compared": (
        "tells_the_truth_of_a_rollback",
        Cast(performer=ProvesNothing),
        ROLLBACK,
    ),
    "messages are skipped after a crash": (
        "ids_mean_one_thing",
        Cast(life=SkipsWhatWasLost),
        _acts((3.0, "crash"), (4.0, "pause"), (5.0, "crash"), crash_chance=0.01),
    ),
    "answers are forgotten": ("each_command_is_answered_once", Cast(life=ForgetsAnswers), PAUSED),
    "a lane takes what it was not given": (
        "moved_only_when_wanted",
        Cast(performer=MovesEverything),
        LANED,
    ),
    "a lane is not stopped": (
        "no_selection_moves_at_rest",
        Cast(performer=NeverCancels),
        replace(LANED, size_bytes=5_000.0, acts=((6.0, "cancel"),)),
    ),
    "a command is lost": (
        "every_command_has_its_answer",
        Cast(life=LosesPlans),
        _acts((6.0, "plan")),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_caught(case: str) -> None:
    """Each wrong agent or world breaks the invariant that stands against it, and the right one
    breaks none.
    """
    _caught(*CASES[case])


def test_a_source_that_refills_unseen_is_caught() -> None:
    """A worker that is deaf to SourcesObserved calls brokers free to go that are not."""

    class Deaf(Life):
        def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
            if isinstance(message, msg.SourcesObserved):
                message = replace(message, replicas=tuple((b, 0) for b, _ in message.replicas))
            return super().take(message, offset)

    _caught(
        "drained_only_if_drained",
        Cast(life=Deaf),
        _acts(*((20.0 + n, "new_topic") for n in range(12))),
    )


def test_a_standstill_is_told_also_while_producers_write() -> None:
    """What has arrived grows with its producers: that is no movement, and a hung execution is
    called stalled.
    """

    class HangsForEver(SimCruiseControl):
        def advance(self) -> None:
            self.hung = self.world.now >= EPOCH + 4.0
            super().advance()

    one_by_one = replace(PLAIN.options, partition_movements_per_broker=1)
    schedule = replace(
        PLAIN, options=one_by_one, growth_bytes_per_second=1.0, acts=((200.0, "plan"),)
    )
    simulation = Simulation(schedule, Cast(cruise_control=HangsForEver))
    with pytest.raises(InvariantBrokenError, match="still moving"):
        simulation.play()
    told = [e for _, e in simulation.durable.published if isinstance(e, ev.MovementStalled)]
    assert [e.wave for e in told] == [1]
    assert told[0].at < EPOCH + 200.0  # while they still write


def test_a_bug_is_told_with_its_story() -> None:
    """An exception anywhere in the agent ends the schedule, and names seed and schedule."""

    class Breaks(Performer):
        async def _close(self, effect: fx.CloseWave, m: Migration) -> msg.Outcome:
            raise KeyError("no such wave")

    with pytest.raises(
        InvariantBrokenError, match=r"(?s)seed 7, .*no_bug: KeyError.*Schedule\(.*WaveBegun"
    ):
        Simulation(replace(PLAIN, seed=7), Cast(performer=Breaks)).play()
