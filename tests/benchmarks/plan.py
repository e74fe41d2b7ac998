"""Planning, checking, proving and watching 100 brokers with 200,000 partitions. `make bench-plan`.

Writes build/bench/plan.json. The pure part and the performer's part each run in a process of their
own: memory is a peak, and the peak of one must not hide in that of the other.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from agent.adapters.kafka import snapshot_store
from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import broker_checks, check_input, cluster_checks
from agent.core.migration import Migration
from agent.core.model.cluster import Partition
from agent.core.planning.options import Options
from agent.core.planning.plan import Plan, make_plan
from agent.performer.offload import gc_paused, shorten_switch_interval
from agent.performer.performer import Performer
from agent.performer.ports import Ports
from agent.worker.turn import Records, Turn, apply_message
from deploy.lab.cluster.files import write_atomically
from tests.benchmarks.large import BROKERS, PARTITIONS, POLICY, LargeCluster
from tests.benchmarks.plan_ports import Clock, IdleCruiseControl, Lag, PackedSnapshots
from tests.benchmarks.wire import Wire, WireAdmin
from tests.fakes.lease import HeldLease

PLAN_SECONDS_MAX, CHECK_SECONDS_MAX, MEMORY_MEGABYTES_MAX = 2.0, 1.0, 500.0
LAG_MILLISECONDS_MAX, RECORD_BYTES_MAX, EVENT_BYTES_MAX = 50.0, 1_000_000, 1_000_000
IN_FLIGHT = 100
WATCH_SECONDS = 20.0
MEGABYTE = 1_000_000
Row = dict[str, Any]


def row(figure: str, value: float, unit: str, most: float | None = None) -> Row:
    """`held` is None where a figure has no target."""
    target, held = (None, None) if most is None else (f"< {most:g}", value < most)
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


# ── the pure part ─────────────────────────────────────────────────────────────────────────────────
def pure() -> list[Row]:
    """Plan and checks, as the core sees them; the peak of this process is what they need."""
    large = LargeCluster()
    with gc_paused():  # as the performer does
        return _pure(large)


def _pure(large: LargeCluster) -> list[Row]:
    facts, logs = large.facts(), large.logs()
    plan, planned = _timed(lambda: make_plan(Options(), POLICY, facts, logs, "large")[0])
    assert plan is not None
    assert plan.replicas == 3 * PARTITIONS
    world = check_input.ClusterCheckInput(
        cluster=facts,
        waves=plan.waves,
        cruise_control=check_input.CruiseControlFacts(reachable=True, valid_windows=1),
    )
    check_results, before_start = _timed(
        lambda: (
            *cluster_checks.check(world),
            *broker_checks.check(world, check_input.BrokerCheckInput(logs=logs)),
        )
    )
    assert [v.code for v in check_results if not v.ok] == [], check_results
    _, before_wave = _timed(lambda: cluster_checks.check(world))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    return [
        row("brokers", BROKERS, "brokers"),
        row("partitions", len(facts.partitions), "partitions"),
        row("replicas to move", plan.replicas, "replicas"),
        row("plan", round(planned, 3), "s", PLAN_SECONDS_MAX),
        row("every check before a start", round(before_start, 3), "s", CHECK_SECONDS_MAX),
        row("every check before a wave", round(before_wave, 3), "s", CHECK_SECONDS_MAX),
        row(
            "peak memory: cluster, log dirs, plan, checks",
            round(megabytes, 1),
            "MB",
            MEMORY_MEGABYTES_MAX,
        ),
        *_records(plan),
        *_snapshot(facts.partitions),
    ]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def _records(plan: Plan) -> list[Row]:
    """What is saved and published: three plans of fifty waves, and a migration that has started
    on one of them.
    """
    table: dict[bytes, bytes] = {}
    records, offset = Records(table), iter(range(1_000))

    def meet(message: Any) -> Turn:
        return apply_message(records, "large", message, next(offset), POLICY)

    made: list[int] = []
    for n in range(3):
        meet(msg.PlanMigration(command_id=f"plan-{n}", cluster="large", at=n, options=Options()))
        made += [
            len(e.model_dump_json())
            for e in _answered(meet, records, msg.Surveyed(reasons=(), plan=plan)).events
            if e.type == "PlanMade"
        ]
    meet(msg.StartMigration(command_id="start", cluster="large", at=9.0, options=Options()))
    _answered(meet, records, msg.Surveyed(reasons=(), plan=plan, snapshot_partitions=PARTITIONS))
    assert records.load("large").migration.waves, "not started"
    return [
        row("PlanMade event, 50 waves", max(made), "bytes", EVENT_BYTES_MAX),
        row(
            "record saved, 3 plans and a start of 50 waves",
            len(table[b"large"]),
            "bytes",
            RECORD_BYTES_MAX,
        ),
    ]


def _answered(meet: Callable[[Any], Turn], records: Records, outcome: msg.Outcome) -> Turn:
    pending = records.load("large").migration.pending[-1]
    return meet(msg.EffectEnded(at=10.0, effect_id=pending.effect_id, outcome=outcome))


def _snapshot(partitions: Sequence[Partition]) -> list[Row]:
    starts = range(0, len(partitions), snapshot_store.PARTITIONS_PER_PIECE)
    pieces, seconds = _timed(
        lambda: [
            snapshot_store.pack(partitions[start : start + snapshot_store.PARTITIONS_PER_PIECE])
            for start in starts
        ]
    )
    assert len(snapshot_store.unpack(pieces)) == len(partitions)
    return [
        row("snapshot, largest piece", max(map(len, pieces)), "bytes", RECORD_BYTES_MAX),
        row("snapshot, all pieces", sum(map(len, pieces)), "bytes"),
        row("snapshot, packed in", round(seconds, 3), "s"),
    ]


class Stage:
    """The real performer and the real Kafka adapter over a large cluster's bytes."""

    def __init__(self) -> None:
        self.large = LargeCluster()
        self.wire = Wire(self.large)
        self.kafka = KafkaCluster(KafkaConnection(bootstrap_servers="large"), WireAdmin(self.wire))
        self.lag = Lag()
        ports = Ports(
            kafka=self.kafka,
            cruise_control=IdleCruiseControl(),
            snapshots=PackedSnapshots(),
            lease=HeldLease(),
            clock=Clock(),
        )
        self.performer = Performer(ports)
        self.rows: list[Row] = []

    async def run(self) -> list[Row]:
        """Every way in which the agent looks at the whole cluster, one after the other, and a
        watch over a wave.
        """
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        self.wire.port = listening.sockets[0].getsockname()[1]
        probe = asyncio.create_task(self.lag.run())
        await self._measured("nothing, for comparison", asyncio.sleep(2.0), most=None)
        m = Migration(cluster="large", migration_id="m")
        self.wire.prepare()
        plan = await self._did("plan", fx.MakePlan(command_id="p", options=Options()), m)
        assert isinstance(plan, msg.Surveyed), type(plan)
        assert plan.plan is not None, plan.reasons
        prepare = fx.PrepareMigration(command_id="s", migration_id="m", options=Options())
        start = await self._did("start, with its snapshot", prepare, m)
        assert isinstance(start, msg.Surveyed), type(start)
        assert start.snapshot_partitions == PARTITIONS, start.reasons
        m = Migration(cluster="large", migration_id="m", waves=plan.plan.waves)
        scope = fx.WaveScope(
            migration_id="m",
            wave=1,
            attempt=1,
            source_broker_ids=m.waves[0].source_broker_ids,
            destination_broker_ids=m.waves[0].destination_broker_ids,
        )
        checked = await self._did("check before a wave", fx.CheckCluster(scope=scope), m)
        assert isinstance(checked, msg.Checked), checked
        assert not checked.reasons, checked
        await self._watch(scope, m)
        await self._prove(scope, m)
        probe.cancel()
        listening.close()
        await self.kafka.close()
        return self.rows

    async def _did(self, name: str, effect: fx.Effect, m: Migration) -> msg.Outcome:
        done: msg.Outcome = await self._measured(name, self.performer.perform(effect, m, POLICY))
        return done

    async def _measured(
        self, name: str, work: Awaitable[Any], most: float | None = LAG_MILLISECONDS_MAX
    ) -> Any:
        await asyncio.sleep(0.1)  # what this bench has done itself is not the agent's
        self.lag.take()
        self.wire.forget()
        began = time.perf_counter()
        done = await work
        seconds, (own, late) = time.perf_counter() - began, self.lag.take()
        self.rows.append(row(f"{name}: event loop held", round(own * 1_000, 1), "ms", most))
        self.rows.append(
            row(
                f"{name}: event loop late, the machine's other work included",
                round(late * 1_000, 1),
                "ms",
            )
        )
        self.rows.append(row(f"{name}: took", round(seconds, 2), "s"))
        if received := sum(self.wire.received_bytes.values()):
            self.rows.append(row(f"{name}: read from Kafka", round(received / MEGABYTE, 2), "MB"))
            self.rows.append(
                row(f"{name}: requests to Kafka", sum(self.wire.requests.values()), "requests")
            )
        return done

    async def _watch(self, scope: fx.WaveScope, m: Migration) -> None:
        """A hundred replicas of the first source are on their way; one a second arrives, and
        the next one leaves.
        """
        pair = (scope.source_broker_ids[0], scope.destination_broker_ids[0])
        to_come = iter(sorted(self.large.on(pair[0])))
        self.large.flying |= {next(to_come): pair for _ in range(IN_FLIGHT)}
        self.wire.prepare()
        seen: list[tuple[msg.WaveObserved, int, int]] = []

        async def post(o: msg.Observation) -> None:
            assert isinstance(o, msg.WaveObserved)
            seen.append(
                (o, sum(self.wire.requests.values()), sum(self.wire.received_bytes.values()))
            )
            self.wire.forget()
            self.large.moved[arrived] = self.large.flying.pop(
                arrived := next(iter(self.large.flying))
            )
            self.large.flying[next(to_come)] = pair

        watch = asyncio.create_task(
            self.performer.watch(fx.WatchWave(scope=scope, throttled=True), m, post)
        )
        await self._measured(
            f"watch over a wave, {WATCH_SECONDS:g} s", asyncio.sleep(WATCH_SECONDS)
        )
        watch.cancel()
        looks = sorted((received, requests) for _, requests, received in seen[1:])
        assert len(looks) > 2, "the watch does not look"
        assert all(o.moving == IN_FLIGHT for o, _, _ in seen), [o.moving for o, _, _ in seen]
        self.rows += [
            row(
                f"a look with {IN_FLIGHT} in flight, median: read from Kafka",
                looks[len(looks) // 2][0],
                "bytes",
            ),
            row(
                f"a look with {IN_FLIGHT} in flight, median: requests",
                looks[len(looks) // 2][1],
                "requests",
            ),
            row(
                f"a look with {IN_FLIGHT} in flight, dearest: read from Kafka",
                looks[-1][0],
                "bytes",
            ),
            row("looks in that time", len(seen), "looks"),
        ]

    async def _prove(self, scope: fx.WaveScope, m: Migration) -> None:
        """Everything of the first wave has arrived: proved, compared, and watched for late
        arrivals.
        """
        source, destination = scope.source_broker_ids[0], scope.destination_broker_ids[0]
        self.large.flying.clear()
        self.large.moved |= dict.fromkeys(self.large.on(source), (source, destination))
        self.wire.prepare()
        closed = await self._did("proof after a wave", fx.CloseWave(scope=scope), m)
        assert isinstance(closed, msg.Inspected), closed
        assert (closed.replicas_left, closed.bytes_left, closed.order_changed) == (0, 0, 0), closed
        compared = await self._did(
            "comparison with the snapshot", fx.CompareSnapshot(migration_id="m"), m
        )
        assert isinstance(compared, msg.Compared), compared
        assert compared.different, compared
        seen: list[msg.Observation] = []

        async def post(o: msg.Observation) -> None:
            seen.append(o)

        watch = asyncio.create_task(
            self.performer.watch(fx.WatchSources(source_broker_ids=(source,)), m, post)
        )
        await self._measured("watch over a drained broker, 7 s", asyncio.sleep(7.0))
        watch.cancel()
        assert seen, "the watch does not look"


def performer() -> list[Row]:
    """The event loop while the real performer looks at such a cluster."""
    shorten_switch_interval()  # as the worker does
    stage = Stage()
    rows = asyncio.run(stage.run())
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    # With the brokers' own answers, which stand in this process too: that is what the agent may
    # need at most.
    return [*rows, row("peak memory of the performer's process", round(megabytes, 1), "MB")]


PARTS = {"pure": pure, "performer": performer}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", choices=list(PARTS), help="only this part, in this process, to standard output"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args(arguments)
    if given.part:
        print(json.dumps(PARTS[given.part]()))
        return 0
    rows: list[Row] = []
    for part in PARTS:
        made = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--part", part],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows += json.loads(made.stdout)
    given.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(given.folder / "plan.json", json.dumps(rows, indent=2) + "\n")
    for r in rows:
        print(
            f"{r['figure']:66} {r['value']:>12} {r['unit']:10} {r['target'] or '':10} {r['held']}"
        )
    return 0 if all(r["held"] is not False for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
