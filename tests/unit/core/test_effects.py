"""The table of effects, `EFFECTS`, and the functions that its rules name."""

from typing import get_args

from agent.core.effects import EFFECTS, WAVE_EFFECTS, Effect, OutcomeRule, RetryRule, Room
from agent.core.handlers.effect_outcomes import OUTCOME_RULES, RETRY_RULES


def test_every_effect_has_one_row() -> None:
    """A new effect without a row would be requested and never met."""
    assert set(EFFECTS) == set(get_args(Effect))


def test_every_rule_has_its_function_and_is_used() -> None:
    """A rule that no function stands for fails at the first outcome; one that no row names is
    dead.
    """
    assert set(OUTCOME_RULES) == set(OutcomeRule) == {s.outcome for s in EFFECTS.values()}
    assert set(RETRY_RULES) == set(RetryRule) == {s.retry for s in EFFECTS.values()}
    assert {s.performed_by for s in EFFECTS.values()} == set(Room)


def test_what_runs_beside_the_waves_leaves_their_clock_alone() -> None:
    """Else a plan made during a wave would change when the wave asks again."""
    concurrent = {kind for kind, spec in EFFECTS.items() if spec.concurrent}
    assert {EFFECTS[kind].retry for kind in concurrent} == {RetryRule.NONE}
    assert concurrent.isdisjoint(WAVE_EFFECTS)
