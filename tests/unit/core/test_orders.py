"""Each command in each phase: one answer, the right one, and a repeat that gets the first
answer again.
"""

from typing import Any

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.evolve.commands import ANSWERS_MAX
from agent.core.handlers.answers import COMMAND_NAMES, CONSIDERED_MAX
from agent.core.handlers.commands import VALID_IN, migration_id_of
from agent.core.migration import RESTING, Phase
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options
from tests.scenarios.phases import in_phase
from tests.scenarios.play import Play, asks, like, surveyed

STEERING = [(kind, phase) for kind in VALID_IN for phase in Phase]
# What a valid phase alone does not settle: the code with which the state may still refuse.
STATE_REFUSES: dict[tuple[type[msg.Command], Phase], Code] = {
    **{
        (msg.ResumeMigration, phase): Code.NOT_PAUSED_BY_OPERATOR
        for phase in VALID_IN[msg.ResumeMigration]
    },  # no operator has paused these plays
    (msg.RetryWave, Phase.DRAINED): Code.NOTHING_TO_MOVE,  # no broker has refilled in this play
}


def _answers(play: Play) -> list[ev.CommandAccepted | ev.CommandRefused]:
    return [e for e in play.last if isinstance(e, (ev.CommandAccepted, ev.CommandRefused))]


@pytest.mark.parametrize(("kind", "phase"), STEERING, ids=lambda x: getattr(x, "__name__", str(x)))
def test_steering_commands_are_valid_exactly_where_the_table_says(
    kind: type[msg.Command], phase: Phase
) -> None:
    """Valid: accepted, or refused for a reason of the state.

    Elsewhere: refused for the phase, and nothing changes.
    """
    play = in_phase(phase)
    before = play.m
    play.command(kind, command_id="one")
    (answer,) = _answers(play)
    assert (answer.command_id, answer.command, answer.repeat) == ("one", COMMAND_NAMES[kind], False)
    if phase in VALID_IN[kind]:
        if code := STATE_REFUSES.get((kind, phase)):
            play.refused(code)
        else:
            assert isinstance(answer, ev.CommandAccepted)
        return
    play.refused(Code.NO_MIGRATION if phase is Phase.NONE else Code.NOT_IN_THIS_PHASE)
    assert (play.m.phase, play.m.waves, play.m.pending) == (
        before.phase,
        before.waves,
        before.pending,
    )
    assert isinstance(answer, ev.CommandRefused)
    for valid in VALID_IN[kind]:
        assert phase is Phase.NONE or valid in answer.reasons[0].needed


@pytest.mark.parametrize(("kind", "phase"), STEERING, ids=lambda x: getattr(x, "__name__", str(x)))
def test_a_repeat_gets_the_first_answer_and_changes_nothing(
    kind: type[msg.Command], phase: Phase
) -> None:
    """The same command_id again: the same answer, marked as a repeat, whatever has happened
    since.
    """
    play = in_phase(phase).command(kind, command_id="one")
    (first,) = _answers(play)
    after = play.m
    play.command(kind, command_id="one")
    assert len(play.last) == 1
    (again,) = _answers(play)
    assert (type(again), again.command, again.repeat) == (type(first), first.command, True)
    if isinstance(first, ev.CommandRefused):
        assert isinstance(again, ev.CommandRefused)
        assert again.reasons == first.reasons
    assert (play.m.phase, play.m.waves, play.m.pending, play.m.pause_causes) == (
        after.phase,
        after.waves,
        after.pending,
        after.pause_causes,
    )


@pytest.mark.parametrize("phase", Phase)
def test_plan_is_welcome_in_every_phase(phase: Phase) -> None:
    """A dry run disturbs nothing: the phase stays, and what was pending stays pending."""
    play = in_phase(phase)
    before = play.pending
    play.command(msg.PlanMigration, options=Options()).expect_phase(phase, *before, fx.MakePlan)
    play.ends(fx.MakePlan, with_=surveyed()).expect(ev.CommandAccepted, ev.PlanMade).expect_phase(
        phase, *before
    )


@pytest.mark.parametrize("phase", Phase)
def test_start_is_considered_at_rest_only(phase: Phase) -> None:
    """While a migration runs, another start is refused at once."""
    play = in_phase(phase).command(msg.StartMigration, options=Options())
    if phase in RESTING:
        play.expect(ev.CommandConsidered, asks(fx.PrepareMigration)).never(
            ev.CommandAccepted, ev.CommandRefused
        )
    else:
        play.refused(Code.ALREADY_RUNNING)


def test_two_starts_are_not_examined_at_once() -> None:
    """The second is refused while the first one's survey is on its way."""
    play = Play().command(msg.StartMigration, options=Options())
    play.command(msg.StartMigration, options=Options()).refused(Code.ALREADY_CONSIDERING)


def test_a_repeat_of_a_start_under_examination_waits_for_the_one_answer() -> None:
    """It is not examined twice, and not answered before the first is."""
    play = Play().command(msg.StartMigration, options=Options(), command_id="one")
    play.command(msg.StartMigration, options=Options(), command_id="one").nothing()
    play.ends(fx.PrepareMigration, with_=surveyed()).expect(
        like(ev.CommandAccepted, command_id="one", repeat=False)
    )
    play.command(msg.StartMigration, options=Options(), command_id="one")
    play.expect(like(ev.CommandAccepted, command_id="one", repeat=True)).never(ev.CommandConsidered)


def test_plans_under_examination_are_limited() -> None:
    """A flood of plans is refused, not queued without end."""
    play = Play()
    for _ in range(CONSIDERED_MAX):
        play.command(msg.PlanMigration, options=Options()).expect(ev.CommandConsidered)
    play.command(msg.PlanMigration, options=Options()).refused(Code.ALREADY_CONSIDERING)


def test_answers_are_remembered_up_to_a_limit() -> None:
    """The state does not grow with every command ever given; the latest answers are kept."""
    play = Play()
    for n in range(ANSWERS_MAX + 10):
        play.command(msg.PauseMigration, command_id=f"n{n}")
    assert len(play.m.answers) == ANSWERS_MAX
    assert play.m.answer(f"n{ANSWERS_MAX + 9}") is not None
    assert play.m.answer("n0") is None


def test_an_unreadable_command_is_refused_with_the_edge_s_reasons() -> None:
    """What the edge found wrong is the answer, and it is answered once like any other."""
    reasons = (
        Reason(Code.UNREADABLE_COMMAND, "options.az: not a string"),
        Reason(Code.UNKNOWN_BROKER, "99"),
    )
    play = Play().command(msg.RefuseCommand, reasons=reasons, command_id="one")
    play.refused(Code.UNREADABLE_COMMAND, Code.UNKNOWN_BROKER)
    play.command(msg.RefuseCommand, reasons=(), command_id="one").expect(
        like(ev.CommandRefused, reasons=reasons, repeat=True)
    )


def test_a_migration_s_id_fits_cruise_control_s_reason() -> None:
    """Its `reason` takes 50 characters: id, wave and attempt stay within, also for a long
    cluster name.
    """
    longest = migration_id_of("a-very-long-cluster-name-" * 10, "c" * 100)
    assert len(f"{longest}/999/9999") <= 50
    assert migration_id_of("lab", "c1") == migration_id_of("lab", "c1")
    assert migration_id_of("lab", "c1") != migration_id_of("lab", "c2")


def test_who_asked_is_kept_in_the_answer() -> None:
    """The audit needs the name and the reason given."""
    given: dict[str, Any] = {"issued_by": "ann", "reason": "peak hour"}
    play = (
        in_phase(Phase.MOVING)
        .command(msg.PauseMigration, **given)
        .expect(like(ev.CommandAccepted, **given))
    )
    assert play.m.pause_causes[0].seen == "peak hour"
