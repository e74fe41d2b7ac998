"""What the command line shows: plans, check results, answers, statuses, bars and lines."""

import pytest
from rich.console import Console, RenderableType

from agent.cli import render, render_plan
from agent.cli.doctor import check_results_of
from agent.cli.live import Bars, Lines, wave_share
from agent.cli.quantities import duration, rate, size
from agent.cli.status import is_at_rest
from agent.core.migration import Migration
from agent.core.planning.policy import Policy
from agent.wire import status


def text_of(renderable: RenderableType) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(renderable)
    console.file.close()
    return console.export_text()


def fresh_status(**changes: object) -> dict:
    state = status(Migration(cluster="lab"), Policy(), 1000.0).model_dump(mode="json")
    return {**state, **changes}


def wave(**changes: object) -> dict:
    return {
        "number": 1, "az": "az-a", "direction": "forward", "state": "active", "attempt": 1,
        "source_broker_ids": [11], "destination_broker_ids": [31],
        "replicas": 10, "size_bytes": 1000, "replicas_left": 5, "bytes_left": 500, "share": 0.5,
        **changes,
    }  # fmt: skip


def _plan_made(**data: object) -> dict:
    green = {
        "code": "BROKER_DOWN",
        "ok": True,
        "seen": "6 brokers are alive",
        "needed": "all",
        "title": "brokers alive",
    }
    red = {
        "code": "DISK_HEADROOM",
        "ok": False,
        "seen": "broker 31 is full",
        "needed": "room",
        "title": "disk headroom",
    }
    reasons = [{"code": "DISK_HEADROOM", "seen": "broker 31 is full", "needed": "room"}]
    made = {"plan": None, "check_results": [green, red], "reasons": reasons, **data}
    return {"type": "PlanMade", "cluster": "lab", "data": made}


def test_doctor_shows_every_verdict_and_what_to_do_about_the_red_ones() -> None:
    """Green and red in one table; what to do stands under a red one, once."""
    findings = check_results_of(_plan_made())
    assert findings["fit"] is False
    assert [v["ok"] for v in findings["check_results"]] == [True, False]
    text = text_of(render_plan.check_results(findings))
    for words in (
        "brokers alive",
        "6 brokers are alive",
        "DISK_HEADROOM",
        "broker 31 is full",
        "more disk",
    ):
        assert words in text
    assert text.count("do:") == 1


def test_doctor_is_content_only_when_all_is_green() -> None:
    """Fit means no red verdict and nothing else against a plan; a reason without a verdict is
    red too.
    """
    green = _plan_made()["data"]["check_results"][:1]
    assert check_results_of(_plan_made(check_results=green, reasons=[]))["fit"] is True
    unpaired = check_results_of(
        _plan_made(check_results=green, reasons=[{"code": "PAIRS_UNEVEN", "seen": "az-a"}])
    )
    assert [(v["title"], v["code"], v["ok"]) for v in unpaired["check_results"]][1:] == [
        ("plan", "PAIRS_UNEVEN", False)
    ]


def test_a_plan_shows_its_estimate_with_the_reasoning() -> None:
    """How long, from and to, what crosses AZs, the largest partition, and why."""
    estimate = {
        "low_seconds": 60.0, "high_seconds": 120.0, "cross_az_bytes": 5_000_000,
        "largest_partition": "t-0", "largest_partition_bytes": 2_000_000,
        "reasoning": "what binds is the throttle",
    }  # fmt: skip
    plan = {
        "plan_id": "p",
        "waves": [],
        "replicas": 1,
        "size_bytes": 9,
        "options": {},
        "estimate": estimate,
    }
    text = text_of(render_plan.plan(_plan_made(plan=plan)))
    for words in ("0:01:00 to 0:02:00", "5.0 MB", "t-0", "2.0 MB", "what binds is the throttle"):
        assert words in text


def test_a_plan_shows_each_wave_with_its_way_back_and_what_blocks_it() -> None:
    """Per wave: how long, what crosses AZs, what a rollback after it would cost, and what
    stands in its way alone.
    """
    wave = {
        "number": 2, "az": "a", "source_broker_ids": [11], "destination_broker_ids": [31],
        "replicas": 1, "leaders": 0, "size_bytes": 9, "state": "pending",
        "estimate": {"low_seconds": 60.0, "high_seconds": 120.0, "cross_az_bytes": 5_000_000},
        "undo": {"low_seconds": 180.0, "high_seconds": 240.0, "size_bytes": 7_000_000,
                 "cross_az_bytes": 0},
    }  # fmt: skip
    plan = {"plan_id": "p", "waves": [wave], "replicas": 1, "size_bytes": 9, "options": {}}
    blocked = [{"wave": 2, "reasons": [{"code": "DISK_HEADROOM", "seen": "full"}]}]
    text = text_of(render_plan.plan(_plan_made(plan=plan, blocked_waves=blocked)))
    for words in (
        "wave 2: 0:01:00 to 0:02:00; 5.0 MB between AZs; a rollback after it: 7.0 MB, 0:03:00",
        "blocked by",
    ):
        assert words in text


def test_figures_for_people() -> None:
    """Sizes, rates and durations read well, also at their borders."""
    assert [size(n) for n in (0, 999, 1_000, 999_949, 1_234_567, 3e14)] == [
        "0 B", "999 B", "1.0 KB", "999.9 KB", "1.2 MB", "300.0 TB",
    ]  # fmt: skip
    assert (rate(None), rate(0), rate(1_000_000)) == ("no limit", "no limit", "1.0 MB/s")
    assert (duration(None), duration(3725.4)) == ("?", "1:02:05")


def test_a_refusal_shows_every_reason_with_what_to_do() -> None:
    """Code, what was seen, what was needed, and the runbook's line, for each reason."""
    reasons = [
        {
            "code": "BROKER_DOWN",
            "seen": "brokers 31 are not registered",
            "needed": "every broker alive",
        },
        {"code": "FROM_A_NEWER_AGENT", "seen": "something new", "needed": ""},
    ]
    event = {
        "type": "CommandRefused",
        "cluster": "lab",
        "data": {"command": "start", "reasons": reasons},
    }
    shown = text_of(render.answer(event))
    for words in ("refused: start lab",
                  "BROKER_DOWN: brokers 31 are not registered (needed: every broker alive)",
                  "do: Start the named brokers", "FROM_A_NEWER_AGENT: something new"):  # fmt: skip
        assert words in shown


def test_status_says_why_it_does_not_move() -> None:
    """Every cause and reason appears with what to do about it; a cluster without a migration
    says so.
    """
    cause = {"name": "operator", "seen": "asked by me", "since": 1.0}
    safety = {"name": "safety:UNDER_MIN_ISR", "seen": "2 under min ISR", "since": 1.0}
    waiting = {
        "code": "CRUISE_CONTROL_BUSY",
        "seen": "busy",
        "needed": "idle",
        "do": "Nothing: we ask again.",
    }
    state = fresh_status(
        migration_id="lab-1",
        phase="paused",
        stage=2,
        pause_causes=[cause, safety],
        waiting=[waiting],
        waves=[wave()],
    )
    shown = text_of(render.status(state, 1000.0))
    for words in (
        "operator: asked by me",
        "`resume`",
        "safety:UNDER_MIN_ISR",
        "Repair the brokers now",
        "CRUISE_CONTROL_BUSY: busy (needed: idle)",
        "Nothing: we ask again.",
        "az-a",
        "2 of 4",
    ):
        assert words in shown
    assert "none yet" in text_of(render.status(fresh_status(), 1000.0))
    both = text_of(render.statuses([fresh_status(), state], 1000.0))
    assert "operator" in both


def test_markup_in_foreign_words_stays_text() -> None:
    """Names and reasons come from outside: brackets in them are printed, not obeyed."""
    state = fresh_status(
        cluster="[red]lab[/]",
        waiting=[{"code": "STALLED", "seen": "[/broken] tag", "needed": "", "do": ""}],
    )
    shown = text_of(render.status(state, 1000.0))
    assert "[red]lab[/]" in shown
    assert "[/broken] tag" in shown


def test_bars_follow_the_waves() -> None:
    """A done wave is full, a pending one empty, an active one in between; figures are shown."""
    waves = [
        wave(number=1, state="done"),
        wave(number=2),
        wave(number=3, state="pending", share=0.0),
    ]
    state = fresh_status(
        phase="moving", stage=2, waves=waves, eta_seconds=65.0, rate_bytes_per_second=2e6
    )
    assert [round(wave_share(w, state)[0], 2) for w in waves] == [1.0, 0.5, 0.0]
    bars = Bars()
    bars.show(state)
    shown = text_of(bars)
    for words in ("5 replicas and 500 B left", "2.0 MB/s", "ETA 0:01:05", "1 of 3 waves ended"):
        assert words in shown


@pytest.mark.parametrize(
    "phase", ["paused", "stopping", "blocked", "checking", "requesting", "closing", "cancelled"]
)
def test_what_has_moved_is_shown_in_every_phase(phase: str) -> None:
    """Status, bars and lines tell the share and the replicas that have moved, whether anything
    moves now or not.
    """
    waves = [
        wave(
            state="abandoned" if phase == "cancelled" else "active",
            replicas=194,
            replicas_left=38,
            share=0.8,
        )
    ]
    state = fresh_status(
        phase=phase,
        migration_id="lab-1",
        waves=waves,
        share=0.8,
        replicas=194,
        replicas_moved=156,
        replicas_left=38,
    )
    said: list[str] = []
    Lines(said.append).show(state)
    bars = Bars()
    bars.show(state)
    assert "80 %, 156 of 194 replicas" in text_of(render.status(state, 1000.0))
    assert "moved: 80 %, 156 of 194 replicas, left: 38 replicas" in said[0]
    assert text_of(bars).count("80%") == 2
    assert "38 replicas and 500 B left" in text_of(bars)


def test_what_has_not_all_moved_is_not_called_all() -> None:
    """Rounded it would be 100 %; and a way back says which way."""
    nearly = fresh_status(
        share=0.999, replicas=1_000, replicas_moved=999, waves=[wave(direction="back")]
    )
    assert render.moved_words(nearly) == "99 %, 999 of 1,000 replicas back"


def test_without_a_terminal_progress_is_lines() -> None:
    """A line for each phase and each new reason, and not for every status."""
    said: list[str] = []
    lines = Lines(said.append)
    moving = fresh_status(phase="moving", stage=2, waves=[wave()], replicas_left=5, bytes_left=500)
    waiting = {
        "code": "CRUISE_CONTROL_BUSY",
        "seen": "busy",
        "needed": "idle",
        "do": "Nothing: we ask again.",
    }
    for state in (moving, moving, {**moving, "waiting": [waiting]}, fresh_status(phase="drained")):
        lines.show(state)
    text = "\n".join(said)
    assert text.count("moving, 0 of 1 waves ended, left: 5 replicas, 500 B") == 2
    assert "CRUISE_CONTROL_BUSY: busy (needed: idle)" in text
    assert "drained" in said[-1]


def test_watch_ends_only_when_nothing_is_left_to_watch() -> None:
    """Drained is not the end until each source may be shut down or has left."""
    quiet = {"broker_id": 11, "may_be_shut_down": True, "left": False, "empty_since": 1.0}
    early = {"broker_id": 12, "may_be_shut_down": False, "left": False, "empty_since": 1.0}
    assert not is_at_rest(fresh_status(phase="drained", sources=[quiet, early]))
    assert is_at_rest(fresh_status(phase="drained", sources=[quiet]))
    assert not is_at_rest(fresh_status(phase="paused"))
    assert is_at_rest(fresh_status(phase="rolled_back"))
