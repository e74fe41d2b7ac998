"""The command line: what it sends, how it complains, how it ends.

A closed port stands for a Kafka that is away.
"""

import json
import re
import socket
from pathlib import Path

import pytest
from click.testing import Result
from pydantic import ValidationError
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from agent.cli import commands, render
from agent.cli.app import app
from agent.cli.doctor import check_results_of
from agent.cli.live import Bars, Lines, wave_share
from agent.cli.quantities import bytes_of, duration, ids_of, rate, seconds_of, size
from agent.cli.status import is_at_rest
from agent.config.settings import read_clusters
from agent.core.handlers.commands import COMMAND_NAMES
from agent.core.migration import Migration
from agent.core.planning.options import Policy
from agent.wire import status
from schemas.commands import COMMANDS

ORDERS = sorted(set(COMMAND_NAMES.values()) - {"command"})
LOOKS = ["status", "watch", "events", "doctor"]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BOOTSTRAP_SERVERS", "LAB_DIR", "CLUSTER"):
        monkeypatch.delenv(f"KAFKA_MIGRATION_{name}", raising=False)


@pytest.fixture
def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


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
        "replicas": 10, "size_bytes": 1000, "replicas_left": 5, "bytes_left": 500, "share": 0.5, **changes,  # noqa: E501
    }  # fmt: skip


@pytest.mark.parametrize("word", [*ORDERS, *LOOKS])
def test_help_teaches_by_example(word: str) -> None:
    """Each command's help shows at least one line that can be typed, and offers --json."""
    result = invoke(word, "--help")
    assert result.exit_code == 0
    assert f"kafka-migration {word}" in result.output
    assert "--json" in result.output


def test_every_order_of_the_control_topic_can_be_given() -> None:
    """There is a command for each word of the control topic."""
    shown = invoke("--help").output
    assert [word for word in ORDERS if not re.search(rf"\b{word}\b +\S", shown)] == []


@pytest.mark.parametrize("word", [*ORDERS, "watch", "doctor"])
def test_unreachable_is_exit_code_3(word: str, closed_port: str) -> None:
    """A control Kafka that is away ends a command with code 3 and one line that names it."""
    extra = ["--throttle", "50MB"] if word == "tune" else []
    where = ["plan", "lab"] if word == "kraft" else ["lab"]
    result = invoke(word, *where, "--bootstrap-servers", closed_port, *extra)
    assert result.exit_code == 3, result.output
    assert closed_port in result.stderr
    assert "Traceback" not in result.output


def test_unreachable_in_json(closed_port: str) -> None:
    """With --json even an error is one JSON value on stdout."""
    result = invoke("status", "--json", "--bootstrap-servers", closed_port)
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["exit_code"] == 3
    assert closed_port in told["error"]


def test_without_a_control_kafka_it_says_how_to_name_one() -> None:
    """No option, no variable, no lab: usage error that names all three."""
    result = invoke("status")
    assert result.exit_code == 2
    for way in ("--bootstrap-servers", "KAFKA_MIGRATION_BOOTSTRAP_SERVERS", "lab up"):
        assert way in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["start", "lab", "--throttle", "5x"], "--throttle"),
        (["start", "lab", "--throttle", "10"], "--throttle"),
        (["start", "lab", "--source", "eleven"], "--source"),
        (["start", "lab", "--soak", "soon"], "--soak"),
        (["start", "lab", "--mode", "half"], "--mode"),
        (["start", "lab", "--concurrency", "5000"], "--concurrency"),
        (["start", "lab", "--plan", "p1", "--throttle", "5MB"], "--plan"),
        (["start", "lab", "--az", "x" * 101], "--az"),
        (["tune", "lab"], "--throttle"),
        (["pause", "lab", "--command-id", "not an id"], "--command-id"),
        (["start"], "cluster"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_the_option(
    arguments: list[str], named: str, closed_port: str
) -> None:
    """What the agent could not read is refused before it is sent: code 2, with the option in
    the text.
    """
    result = invoke(*arguments, "--bootstrap-servers", closed_port)
    assert result.exit_code == 2, result.output
    assert named in result.stderr


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
    text = text_of(render.check_results(findings))
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
        "low_seconds": 60.0, "high_seconds": 120.0, "cross_az_bytes": 5_000_000, "largest_partition": "t-0",  # noqa: E501
        "largest_partition_bytes": 2_000_000, "reasoning": "what binds is the throttle",
    }  # fmt: skip
    plan = {
        "plan_id": "p",
        "waves": [],
        "replicas": 1,
        "size_bytes": 9,
        "options": {},
        "estimate": estimate,
    }
    text = text_of(render.plan(_plan_made(plan=plan)))
    for words in ("0:01:00 to 0:02:00", "5.0 MB", "t-0", "2.0 MB", "what binds is the throttle"):
        assert words in text


def test_a_plan_shows_each_wave_with_its_way_back_and_what_blocks_it() -> None:
    """Per wave: how long, what crosses AZs, what a rollback after it would cost, and what
    stands in its way alone.
    """
    wave = {
        "number": 2, "az": "a", "source_broker_ids": [11], "destination_broker_ids": [31], "replicas": 1, "leaders": 0,  # noqa: E501
        "size_bytes": 9, "state": "pending",
        "estimate": {"low_seconds": 60.0, "high_seconds": 120.0, "cross_az_bytes": 5_000_000},
        "undo": {"low_seconds": 180.0, "high_seconds": 240.0, "size_bytes": 7_000_000, "cross_az_bytes": 0},  # noqa: E501
    }  # fmt: skip
    plan = {"plan_id": "p", "waves": [wave], "replicas": 1, "size_bytes": 9, "options": {}}
    blocked = [{"wave": 2, "reasons": [{"code": "DISK_HEADROOM", "seen": "full"}]}]
    text = text_of(render.plan(_plan_made(plan=plan, blocked_waves=blocked)))
    for words in (
        ("wave 2: 0:01:00 to 0:02:00; 5.0 MB between AZs; a rollback after it: 7.0 MB, 0:03:00"),
        "in its way",
    ):
        assert words in text


def test_options_become_the_fields_of_the_command() -> None:
    """Only what was typed is sent, under the schema's names, and the sender is named."""
    options = commands._options(
        None, None, [11, 12], [31, 32], None, None, 100_000_000, None, 20, 300.0, None
    )
    command = commands.command_for(
        "start", "lab", "why", "", None, {"options": options}, as_json=False
    )
    assert command["options"] == {
        "source_broker_ids": [11, 12],
        "destination_broker_ids": [31, 32],
        "throttle_bytes_per_second": 100_000_000,
        "partition_movements_per_broker": 20,
        "soak_seconds": 300.0,
    }
    assert "@" in command["issued_by"]
    assert COMMANDS.validate_python(command).type == "start"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100MB", 100_000_000), ("50MB/s", 50_000_000), ("1.5GB", 1_500_000_000), ("64MiB", 67_108_864), ("off", 0),  # noqa: E501
     ("250000", 250_000)],
)  # fmt: skip
def test_sizes_are_decimal(text: str, expected: int) -> None:
    """MB is a million bytes and MiB is 2^20, with or without `/s`."""
    assert bytes_of(text) == expected


def test_times_and_ids() -> None:
    """Durations come in ms, s, m and h; ids with commas; both say how to write them when they
    are wrong.
    """
    assert [seconds_of(t) for t in ("30", "30s", "5m", "1h", "500ms")] == [30, 30, 300, 3600, 0.5]
    assert ids_of("11, 12,13") == [11, 12, 13]
    with pytest.raises(ValueError, match="write 30s"):
        seconds_of("soon")
    with pytest.raises(ValueError, match="write 11,12"):
        ids_of("a")


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
    for words in ("refused: start lab", ("BROKER_DOWN: brokers 31 are not registered (needed: " "every broker alive)"),  # noqa: E501
                  "do: Bring the broker back", "FROM_A_NEWER_AGENT: something new"):  # fmt: skip
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
        "Repair at once",
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


def test_wrong_fields_are_named_as_options() -> None:
    """A schema's complaint names the option to correct, not the model's path."""
    with pytest.raises(ValidationError) as caught:
        COMMANDS.validate_python(
            {
                "type": "start",
                "command_id": "c",
                "cluster": "lab",
                "options": {"throttle_bytes_per_second": 1},
            }
        )
    assert render.wrong_fields(caught.value).startswith("--throttle: ")


def test_readme_shows_what_the_agent_reads(tmp_path: Path) -> None:
    """The README's clusters.yaml and its command are read without complaint, and every command
    it types exists.
    """
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    file = tmp_path / "clusters.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[0])
    assert read_clusters(file)["orders-eu"].core_policy().quiet_seconds == 300
    command = COMMANDS.validate_json(re.findall(r"```json\n(.*?)```", readme, re.DOTALL)[0])
    assert (command.type, command.cluster) == ("start", "orders-eu")
    for typed in re.findall(r"^kafka-migration ([^#\n]+)", readme, re.MULTILINE):
        words = [word for word in typed.split() if not word.startswith("-")]
        depth = 2 if words[0] == "lab" else 1
        assert invoke(*words[:depth], "--help").exit_code == 0, typed
