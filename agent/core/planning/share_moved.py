"""How much of the waves has arrived, for the status that people read. Called by wire.py."""

from collections.abc import Sequence

from agent.core.planning.wave import Wave, WaveState


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
