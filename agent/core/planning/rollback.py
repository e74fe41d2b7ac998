"""The waves of a rollback: what undoes the waves that have moved something."""

from collections.abc import Sequence

from agent.core.planning.wave import Direction, Wave


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
