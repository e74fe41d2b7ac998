"""The command line, put together.

`--help` teaches; all that is behind it is in the files beside.
"""

import logging
import os

import typer

from agent.cli import acls, collector_command, commands, doctor, kraft, monitor_command, status
from agent.cli.connection import lab_settings
from agent.cli.console_command import console
from agent.cli.topics_command import topics
from agent.config.extensions import COMMANDS, extensions

_HELP = """Move a live Kafka cluster from source to destination brokers with Cruise Control, AZ by AZ.

Every order is a message on the control topic; a running agent obeys it, or refuses it with every reason.

**Try it:** `kafka-migration lab up`, then `kafka-migration agent` in a second terminal, then:

- `kafka-migration doctor lab` says whether the cluster is fit, check by check

- `kafka-migration plan lab` shows what would move, and what stands in the way

- `kafka-migration start lab --throttle 50MB` moves it; refused unless the cluster is fit

- `kafka-migration watch lab` shows bars, rate, ETA, and why it does not move

- `kafka-migration pause lab` stops at once; `resume` goes on from what is left

- `kafka-migration rollback lab` puts everything back, exactly

**Where:** `--bootstrap-servers`, or KAFKA_MIGRATION_BOOTSTRAP_SERVERS, or else the lab that runs in `.lab`.

**Exit codes:** 0 done, 1 refused, 2 wrong usage, 3 unreachable or no answer.
"""  # noqa: E501

app = typer.Typer(
    name="kafka-migration",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_GIVE, _LOOK, _RUN = "Orders", "Looking", "Running"
app.command("plan", rich_help_panel=_GIVE)(commands.plan)
app.command("start", rich_help_panel=_GIVE)(commands.start)
app.command("pause", rich_help_panel=_GIVE)(commands.pause)
app.command("tune", rich_help_panel=_GIVE)(commands.tune)
for _word, _doc in commands.PLAIN.items():
    app.command(_word, rich_help_panel=_GIVE)(commands.plain(_word, _doc))
app.command("kraft", rich_help_panel=_GIVE)(kraft.kraft)
app.command("doctor", rich_help_panel=_LOOK)(doctor.doctor)
app.command("status", rich_help_panel=_LOOK)(status.status)
app.command("watch", rich_help_panel=_LOOK)(status.watch)
app.command("events", rich_help_panel=_LOOK)(status.events)
app.command("console", rich_help_panel=_LOOK)(console)
app.command("topics", rich_help_panel=_RUN)(topics)
app.command("collector", rich_help_panel=_RUN)(collector_command.collector)
app.command("webhook", rich_help_panel=_RUN)(collector_command.webhook)
app.command("acls", rich_help_panel=_RUN)(acls.acls)
monitor_command.register(app, _RUN)
for _name, _entry in extensions(COMMANDS).items():  # the lab's, where it is installed
    app.add_typer(_entry.load(), name=_name, rich_help_panel=_RUN)


@app.command("agent", rich_help_panel=_RUN)
def agent() -> None:
    """Run the agent in the foreground, with its settings from KAFKA_MIGRATION_* variables; Ctrl-C
    ends it.

    Without settings, where a lab runs in `.lab`: that lab's agent. What moves goes on while it is
    away.
    """
    os.environ.update(lab_settings())
    from agent.main import run

    run()


def main() -> None:
    """The entry point of `kafka-migration` and `python -m agent.cli`."""
    for noisy in ("aiokafka", "kafka", "faust", "mode"):
        # the error that counts is told in one line
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    app()


__all__ = ["app", "main"]
