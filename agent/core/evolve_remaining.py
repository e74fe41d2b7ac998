"""What is left of each wave, and how much of it has moved: the last that Kafka showed, kept in
every phase.

`folded` is called by evolve.py with every event; the rest by wire.py, for the status.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import events as ev
from agent.core.effects import StopWave
from agent.core.messages import Performed
from agent.core.planning.wave import Direction, Wave, WaveState

if TYPE_CHECKING:
    from agent.core.migration import Migration


def folded(migration: "Migration", event: ev.Event) -> "Migration":
    """Keep what this event tells of a wave's sources; called before its own fold.

    Most events tell nothing of it.
    """
    match event:
        case ev.ChecksPassed():
            migration = _with_way_back_as_seen(migration, event)
            return _last_logs(migration, event.wave, event.replicas, event.size_bytes)
        case ev.WaveProgressed() | ev.WaveFellShort():
            return _last_logs(migration, event.wave, event.replicas_left, event.bytes_left)
        case ev.SourceEmptied() | ev.WaveVerified():
            return _last_logs(migration, event.wave, 0, 0)
        # saved by an older version: a wave that was verified had nothing left
        case ev.WaveReopened():
            done = any(
                w.number == event.wave and w.state is WaveState.DONE for w in migration.waves
            )
            return _last_logs(migration, event.wave, 0, 0) if done else migration
        case ev.EffectFinished(
            outcome=Performed(replicas_left=int(replicas_left), bytes_left=bytes_left)
        ):
            stop = next(
                (p.effect for p in migration.pending if p.effect_id == event.effect_id), None
            )
            return (
                _last_logs(migration, stop.scope.wave, replicas_left, bytes_left)
                if isinstance(stop, StopWave)
                else migration
            )
    return migration


def _last_logs(
    migration: "Migration", number: int, replicas_left: int, bytes_left: int | None
) -> "Migration":
    """Bytes that a silent broker does not tell are those that it told last."""
    waves = (
        replace(
            w,
            replicas_left=replicas_left,
            bytes_left=w.bytes_left if bytes_left is None else bytes_left,
        )
        if w.number == number
        else w
        for w in migration.waves
    )
    return replace(migration, waves=tuple(waves))


def _with_way_back_as_seen(migration: "Migration", event: ev.ChecksPassed) -> "Migration":
    """A way back is as long as what its first check finds: what had moved was not planned, and
    may have grown.
    """
    waves = (
        replace(w, replicas=event.replicas, leaders=event.leaders, size_bytes=event.size_bytes)
        if w.number == event.wave and w.direction is Direction.BACK and w.attempt == 1
        else w
        for w in migration.waves
    )
    return replace(migration, waves=tuple(waves))


def rollback_waves(waves: Sequence[Wave]) -> tuple[Wave, ...]:
    """The waves that undo what `waves` moved or began to move, last first, numbered after them.

    A whole wave takes back all that is on its destination: what the lanes of its pair have moved as
    well.
    """
    touched = [w for w in reversed(waves) if w.direction is Direction.FORWARD and w.attempt > 0]
    first = max((w.number for w in waves), default=0) + 1
    whole = {_pair(w) for w in touched if w.selection is None}
    back: list[Wave] = []
    for n, w in enumerate(touched):
        if w.selection is None:
            taken = [w, *(o for o in touched if o.selection is not None and _pair(o) == _pair(w))]
        else:
            taken = [] if _pair(w) in whole else [w]
        back.append(
            Wave(
                number=first + n,
                az=w.az,
                source_broker_ids=w.destination_broker_ids,
                destination_broker_ids=w.source_broker_ids,
                replicas=sum(o.replicas_moved for o in taken),
                leaders=w.leaders,
                size_bytes=sum(o.bytes_moved for o in taken),
                direction=Direction.BACK,
                lane=w.lane,
                selection=w.selection,
                # The rest goes back at full speed: what was slow of it may be all that there is.
                throttle_bytes_per_second_max=w.throttle_bytes_per_second_max
                if w.selection
                else None,
                partition_movements_max=w.partition_movements_max if w.selection else None,
            )
        )
    return tuple(back)


def _pair(wave: Wave) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return wave.source_broker_ids, wave.destination_broker_ids


# ── for people ────────────────────────────────────────────────────────────────────────────────────
def on_the_way(waves: Sequence[Wave]) -> tuple[Wave, ...]:
    """The waves that count: those of the present direction. A way back counts by itself."""
    return tuple(w for w in waves if w.direction is waves[-1].direction)


def share_of(wave: Wave) -> float:
    """How much of a wave has arrived, 0 to 1: the mean of its bytes and its replicas."""
    if wave.state is WaveState.DONE:
        return 1.0
    replicas = wave.replicas_moved / max(wave.replicas, 1)
    return (wave.bytes_moved / wave.size_bytes + replicas) / 2 if wave.size_bytes else replicas


def share_in_all(waves: Sequence[Wave]) -> float:
    """How much of all of them has arrived, 0 to 1, each wave by its planned bytes."""
    weights = [max(w.size_bytes, 1) for w in waves]
    moved = sum(weight * share_of(w) for w, weight in zip(waves, weights, strict=True))
    return moved / sum(weights) if waves else 0.0
