"""Every code is explained."""

from agent.core.model.reasons import Code, Reason
from agent.core.model.what_to_do import WHAT_TO_DO


def test_every_code_says_what_to_do() -> None:
    """No refusal, pause or block leaves the operator without a next step."""
    assert set(WHAT_TO_DO) == set(Code)
    assert all(text.endswith(".") and len(text) > 10 for text in WHAT_TO_DO.values())


def test_codes_are_stable_words() -> None:
    """A code is its own value, so that logs, metrics and the runbook can be searched for it."""
    assert all(code.name == code.value for code in Code)


def test_a_reason_reads_as_a_sentence_that_begins_with_its_code() -> None:
    """What was seen, and what was needed."""
    assert str(Reason(Code.BROKER_DOWN, "broker 12", "all alive")) == (
        "BROKER_DOWN: broker 12 (needed: all alive)"
    )
    assert str(Reason(Code.BROKER_DOWN, "broker 12")) == "BROKER_DOWN: broker 12"
