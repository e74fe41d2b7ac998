"""How ids and long lists are written in sentences for operators. Pure."""

from collections.abc import Iterable, Sequence

EXAMPLES_MAX = 5  # of a list: a sentence stays readable, and an event stays small


def ids(broker_ids: Iterable[int]) -> str:
    """Broker ids in ascending order: `11, 12, 13`; empty where there are none."""
    return ", ".join(str(broker_id) for broker_id in sorted(broker_ids))


def listed(
    things: Sequence[object], total: int | None = None, examples_max: int = EXAMPLES_MAX
) -> str:
    """The first few of a list, and how many are left out: `a, b and 3 more`.

    In: the things in the order in which they are named; how many there are in all, where `things`
    holds only some of them; how many to name at most. Out: empty where there are none.
    """
    shown = ", ".join(str(thing) for thing in things[:examples_max])
    left_out = (len(things) if total is None else total) - min(len(things), examples_max)
    parts = [shown] if shown else []
    return " and ".join([*parts, f"{left_out} more"] if left_out > 0 else parts)
