"""Hypothesis plays the schedules and shrinks what fails to the few acts that matter."""

from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from agent.core.planning.options import Approval, Options, Pairing, ThrottleBy
from tests.simulation.schedule import COMMANDS, FAULT_SECONDS, FAULTS, Schedule
from tests.simulation.simulation import Cast, InvariantBrokenError, Simulation
from tests.simulation.test_mutations import ForgetsToClear, NeverClears

OPTIONS = st.builds(
    Options,
    throttle_bytes_per_second=st.sampled_from((None, 60, 200)),
    partition_movements_per_broker=st.sampled_from((10, 2, 1)),
    progress_check_interval_ms=st.sampled_from((1_000, 5_000)),
    soak_seconds=st.sampled_from((0.0, 3.0)),
    approval=st.sampled_from(Approval),
    pairing=st.sampled_from(Pairing),
    throttle_by=st.sampled_from(ThrottleBy),
)
ACT = st.tuples(
    st.integers(1, int(FAULT_SECONDS * 10)).map(lambda tenths: tenths / 10),
    st.sampled_from(COMMANDS + FAULTS),
)
SCHEDULES = st.builds(
    Schedule,
    seed=st.integers(0, 1_000),
    acts=st.lists(ACT, max_size=10).map(lambda acts: tuple(sorted(acts))),
    options=OPTIONS,
    pairs_per_az=st.sampled_from((1, 2)),
    partitions=st.integers(1, 5),
    size_bytes=st.sampled_from((50.0, 300.0)),
    growth_bytes_per_second=st.sampled_from((0.0, 1.0)),
    crash_chance=st.sampled_from((0.0, 0.005, 0.05)),
    leave=st.booleans(),
)
# Not `explain`: it traces every line, and makes each schedule five times slower.
PHASES = (Phase.generate, Phase.shrink)


@settings(
    max_examples=250,
    phases=PHASES,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(SCHEDULES)
def test_no_schedule_breaks_an_invariant(schedule: Schedule) -> None:
    """Whatever is drawn, every invariant holds; what fails is told as the shortest schedule
    that does.
    """
    Simulation(schedule).play()


def test_what_fails_is_shrunk_to_what_matters() -> None:
    """A performer that never clears its throttle is found, and the schedule told is one with at
    most one act.
    """

    def breaks(schedule: Schedule) -> bool:
        try:
            Simulation(schedule, Cast(performer=ForgetsToClear, kafka=NeverClears)).play()
        except InvariantBrokenError as error:
            return error.invariant == "no_throttle_is_left"
        return False

    options = st.builds(Options, throttle_bytes_per_second=st.sampled_from((None, 60)))
    few = st.builds(
        Schedule, acts=st.lists(ACT, max_size=2).map(tuple), options=options, partitions=st.just(1)
    )
    shortest = find(
        few,
        breaks,
        settings=settings(max_examples=10, phases=PHASES, derandomize=True, deadline=None),
    )
    assert shortest.options.throttle_bytes_per_second is not None
    assert len(shortest.acts) <= 1
