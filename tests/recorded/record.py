"""Records what this version saves and sends: `python -m tests.recorded.record VERSION`.

Run once for each release; it refuses to write into a folder that exists. Stories are told as
messages (plays, a way to KRaft, schedules of the simulation), and each message is met by the real
turn.py, as in the worker.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent.adapters.kafka import snapshot_store
from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.kraft.state import KraftPhase
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import TopicPartition
from agent.core.planning.options import Approval, InternalTopics, Options
from agent.core.planning.policy import Policy
from agent.wire import status
from agent.worker import turn
from tests.scenarios.kraft_world import KraftWorld, options, ready
from tests.scenarios.play import DONE, Play, compared, facts, surveyed
from tests.simulation.schedule import drawn_from
from tests.simulation.simulation import Simulation

FOLDER = Path(__file__).parent
CLUSTER = "lab"
# With rules, discovery and lanes: one is rolled back, one completed, one cancelled.
SIMULATION_SEEDS = (9, 12, 105)
OUTBOX_EVENTS = 2  # kept in each record, as if Kafka had not confirmed them yet
POSITIONS = Positions(
    partitions=2,
    ends={TopicPartition("t", 0): 10, TopicPartition("t", 1): 2_000_000_000_000},
    lags={"group": 3},
    groups_unreadable=1,
)


class RecordingPlay(Play):
    """A play that keeps the messages it has met."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[msg.Message] = []

    def meet(self, message: msg.Message) -> Self:
        self.met.append(message)
        return super().meet(message)


@dataclass
class RecordingWorld(KraftWorld):
    """A way to KRaft that keeps the messages it has met."""

    met: list[msg.Message] = field(default_factory=list)

    def meet(self, message: msg.Message) -> None:
        self.met.append(message)
        super().meet(message)


@dataclass(frozen=True)
class Story:
    """Messages in the order of the inbox."""

    name: str
    policy: Policy
    messages: list[msg.Message]


def _play(name: str, play: Play) -> Story:
    assert isinstance(play, RecordingPlay)
    return Story(name, play.policy, play.met)


def _kraft(name: str, world: RecordingWorld) -> Story:
    return Story(name, world.policy, world.met)


def plays() -> Iterator[Story]:
    """Migrations, line by line."""
    forward = RecordingPlay().command(msg.PlanMigration, options=Options())
    forward.ends(fx.MakePlan, with_=surveyed()).started(approval=Approval.WAVE)
    forward.wave().command(msg.ApproveMigration).wave().command(msg.ApproveMigration).wave()
    forward.sees_sources().wait(40.0).sees_sources().sees_sources(alive=())
    yield _play("forward", forward)

    back = RecordingPlay().started(soak_seconds=60.0, internal_topics=InternalTopics.WITH_OTHERS)
    back.wave().wait(61.0).moving().wait(2.0).sees(left=2)
    back.command(msg.RollBackMigration, reason="the clients are slow").ends(fx.StopWave, with_=DONE)
    back.wave().wait(61.0).wave().wait(61.0).ends(fx.CompareSnapshot, with_=compared())
    yield _play("rollback", back)

    paused = RecordingPlay().started().moving().wait(2.0).sees(left=4)
    paused.rule_observed().alert().command(msg.PauseMigration).ends(fx.StopWave, with_=DONE)
    paused.clears().alert(firing=False).command(msg.ResumeMigration).wait(60.0)
    yield _play("paused", paused)

    blocked = RecordingPlay().started().blocked()
    blocked.command(msg.ApproveMigration).command(msg.RetryWave).blocked().command(
        msg.CancelMigration
    )
    yield _play("blocked", blocked)


def ways_to_kraft() -> Iterator[Story]:
    """From ZooKeeper to KRaft, and back."""
    there = RecordingWorld(policy=Policy(kraft=options()))
    there.order("start")
    ready(there).order("finalize", i_know=True)
    there.go_until(KraftPhase.DONE)
    yield _kraft("kraft", there)

    back = RecordingWorld(policy=Policy(kraft=options()))
    back.order("start")
    back.go_until(KraftPhase.BROKERS_TO_KRAFT)
    back.go(3)
    while isinstance(back.order("rollback"), ev.CommandRefused):
        back.go()
    back.go_until(KraftPhase.ROLLED_BACK)
    yield _kraft("kraft-rollback", back)


def schedules() -> Iterator[Story]:
    """What the simulation's agent has met, in the order of its inbox."""
    for seed in SIMULATION_SEEDS:
        played = Simulation(drawn_from(seed)).play()
        yield Story(f"simulation-{seed}", played.policy, played.durable.inbox)


def write(folder: Path, story: Story) -> None:
    """The story's events, and its record and status whenever a phase is reached, and at the end."""
    table: dict[bytes, bytes] = {}
    records = turn.Records(table)
    events, saved, statuses, phases = [], [], [], set()
    for offset, message in enumerate(story.messages):
        last = offset == len(story.messages) - 1
        delivered = records.load(CLUSTER).migration.sequence - OUTBOX_EVENTS
        taken = turn.apply_message(records, CLUSTER, message, offset, story.policy, delivered)
        events += [event.model_dump_json() for event in taken.events]
        migration = taken.record.migration
        phase = (migration.phase, migration.kraft.phase)
        if table and (last or phase not in phases):
            phases.add(phase)
            saved.append(table[CLUSTER.encode()].decode())
            statuses.append(status(migration, story.policy, 1.0).model_dump_json())
    folder.mkdir(parents=True)
    for name, lines in (("events", events), ("records", saved), ("statuses", statuses)):
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def write_snapshot(folder: Path) -> None:
    """The assignment of a play's cluster, and end offsets."""
    folder.mkdir(parents=True)
    partitions = facts().partitions
    (folder / "piece-0.zlib").write_bytes(snapshot_store.pack(partitions))
    manifest = snapshot_store.pack_manifest(1, len(partitions))
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "positions.zlib").write_bytes(snapshot_store.pack_positions(POSITIONS))


def main() -> None:
    """The command line."""
    folder = FOLDER / sys.argv[1]
    if folder.exists():
        sys.exit(f"{folder} exists: what was recorded is never written again")
    for story in (*plays(), *ways_to_kraft(), *schedules()):
        write(folder / story.name, story)
    write_snapshot(folder / "snapshot")


if __name__ == "__main__":
    main()
