"""How the throttle follows the headroom of the brokers: additive increase, multiplicative decrease.

Pure; called by pause_causes.py. Rates lie on a grid of steps of a tenth below the ceiling, so that
each change is worth its requests and only few different rates are ever set.
"""

DECREASE = 0.5  # a broker beyond its threshold is relieved at once
GRID = 0.9  # neighbouring rates differ by a tenth
RECOVERY_SECONDS = 120.0  # from nothing to the ceiling, at full headroom


def next_rate(rate: int, floor: int, ceiling: int, headroom: float, seconds: float) -> int:
    """The throttle rate to set now, in bytes per second.

    In: the rate in force for the last `seconds`; the lowest and the highest rate allowed; and the
    headroom of the slowest broker (-1 to 1). Out: half the rate without headroom, otherwise a rate
    that climbs the faster the more headroom there is; the same rate while the difference is below
    one step of the grid.

    Source: AIMD, after Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
    Congestion Avoidance in Computer Networks", 1989.
    """
    floor = min(floor, ceiling)
    if headroom <= 0:
        return max(floor, on_grid(rate * DECREASE, floor, ceiling))
    target = rate + ceiling * headroom * seconds / RECOVERY_SECONDS
    return max(rate, on_grid(target, floor, ceiling))


def on_grid(rate: float, floor: int, ceiling: int) -> int:
    """The greatest rate of the grid (ceiling, ceiling * 0.9, ceiling * 0.81, ..., floor) that is
    not above `rate`; never below the floor. All in bytes per second.
    """
    step = float(ceiling)
    while int(step) > rate and step > floor:
        step *= GRID
    return max(floor, int(step))
