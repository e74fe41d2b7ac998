"""`kafka-migration monitor`: runs the monitoring service. Registered by app.py."""

import logging
import os

import typer

from agent.cli.connection import running_lab
from agent.cli.terminal import Exit, fail, serve
from agent.config.errors import SettingsError
from agent.services.monitor.settings import PREFIX, MonitorSettings, variables

HELP = """Check a cluster at intervals and answer `/ready`: with 200 while the cluster could lose a
broker, else with 503 and the reasons.

It is meant for a PodDisruptionBudget that selects this process and the brokers on Kubernetes: then
no pod is evicted while a broker is down, wherever that broker runs. It needs only Kafka; neither
the agent nor Cruise Control has to run.

It also answers `/live` and `/metrics`. Without settings it checks the cluster of the lab that runs
in `.lab`.

All settings are environment variables:

"""


def monitor() -> None:
    """Serves until SIGTERM or Ctrl-C."""
    _name_the_lab()
    try:
        settings = MonitorSettings.read()
        connection = settings.security.connection(
            settings.bootstrap_servers, settings.request_timeout_seconds
        )
    except SettingsError as error:
        fail(Exit.USAGE, str(error))
    except OSError as error:
        fail(Exit.USAGE, f"{PREFIX}SECURITY__PASSWORD_FILE: {error.filename}: {error.strerror}")
    from agent.adapters.kafka.cluster import KafkaCluster
    from agent.services.monitor.service import Monitor
    from agent.telemetry import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    # The reasons of a failed check say in one line what this logger says in many.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    app = Monitor(settings, KafkaCluster(connection)).app()
    serve(app, settings.host, settings.port)


def register(app: typer.Typer, panel: str) -> None:
    """Registers the command, with every setting in its help."""
    listed = "\n\n".join(f"- `{name}` {text}" for name, text in variables())
    app.command("monitor", help=HELP + listed, rich_help_panel=panel)(monitor)


def _name_the_lab() -> None:
    if f"{PREFIX}BOOTSTRAP_SERVERS" in os.environ:
        return
    if lab := running_lab():
        os.environ[f"{PREFIX}BOOTSTRAP_SERVERS"] = str(lab["bootstrap_servers"])
        os.environ.setdefault(f"{PREFIX}CLUSTER", str(lab["cluster"]))


__all__ = ["monitor", "register"]
