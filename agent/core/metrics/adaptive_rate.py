"""How the throttle follows the headroom: additive increase, multiplicative decrease.

Pure; called by pause_causes.py.

Rates lie on a grid of tenths below the ceiling, so that every change is worth its requests and few
rates are ever set.
"""

DECREASE = 0.5  # a broker beyond its threshold is relieved at once
GRID = 0.9  # neighbouring rates differ by a tenth
RECOVERY_SECONDS = 120.0  # from nothing to the ceiling, at full headroom


def next_rate(rate: int, floor: int, ceiling: int, headroom: float, seconds: float) -> int:
    """The rate to have now, bytes per second.

    In: the rate in force since `seconds`, the floor that is kept, the asked rate, and the headroom
    of the slowest broker (-1..1). Out: half of it at no headroom; a steady climb, the faster the
    more headroom; the same where the difference would be less than a tenth. AIMD: Chiu and Jain,
    1989.
    """
    floor = min(floor, ceiling)
    if headroom <= 0:
        return max(floor, on_grid(rate * DECREASE, floor, ceiling))
    target = rate + ceiling * headroom * seconds / RECOVERY_SECONDS
    return max(rate, on_grid(target, floor, ceiling))


def on_grid(rate: float, floor: int, ceiling: int) -> int:
    """The greatest rate of the grid that is not above: ceiling, ceiling * 0.9, ceiling * 0.81,
    ... , floor.
    """
    step = float(ceiling)
    while int(step) > rate and step > floor:
        step *= GRID
    return max(floor, int(step))
