"""Registers all commands of the command line, and holds the text of `kafka-migration --help`."""

import logging
import os

import typer

from agent.cli import acls, collector_command, commands, doctor, kraft, monitor_command, status
from agent.cli.connection import lab_settings
from agent.cli.console_command import console
from agent.cli.topics_command import topics
from agent.config.extensions import COMMANDS, extensions

_HELP = """Move a live Kafka cluster from source to destination brokers with Cruise Control, AZ by
AZ.

Every action is a command on the control topic. A running agent carries it out, or refuses it and
gives every reason.

**Try it:** `kafka-migration lab up`, then `kafka-migration agent` in a second terminal, then:

- `kafka-migration doctor lab` shows, check by check, whether the cluster is fit for a migration

- `kafka-migration plan lab` shows what would move, and what prevents a start

- `kafka-migration start lab --throttle 50MB` starts to move partitions, if the cluster is fit

- `kafka-migration watch lab` shows progress bars, rate, ETA, and why nothing moves

- `kafka-migration pause lab` stops at once; `resume` continues with what is left

- `kafka-migration rollback lab` moves everything back to exactly where it was

**Control Kafka:** the one that `--bootstrap-servers` names, else the one that
KAFKA_MIGRATION_BOOTSTRAP_SERVERS names, else that of the lab in `.lab`.

**Exit codes:** 0 done, 1 refused, 2 wrong usage, 3 Kafka unreachable or no answer.
"""

app = typer.Typer(
    name="kafka-migration",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_GIVE, _LOOK, _RUN = "Actions", "Information", "Services"
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
for _name, _entry in extensions(COMMANDS).items():  # those of the lab, if it is installed
    app.add_typer(_entry.load(), name=_name, rich_help_panel=_RUN)


@app.command("agent", rich_help_panel=_RUN)
def agent() -> None:
    """Run the agent in the foreground, with its settings from KAFKA_MIGRATION_* variables. Ctrl-C
    ends it.

    Without settings it drives the lab that runs in `.lab`. Partitions that are moving keep moving
    while no agent runs.
    """
    os.environ.update(lab_settings())
    from agent.main import run

    run()


def main() -> None:
    """The entry point of `kafka-migration` and `python -m agent.cli`."""
    for noisy in ("aiokafka", "kafka", "faust", "mode"):
        # The command itself prints the error that matters, on one line.
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    app()


__all__ = ["app", "main"]
