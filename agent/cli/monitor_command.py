"""`kafka-migration monitor`: runs the monitoring service. Registered by app.py."""

import logging
import os

import typer

from agent.cli.connection import running_lab
from agent.cli.terminal import Exit, fail
from agent.config.errors import SettingsError
from agent.services.monitor.settings import PREFIX, MonitorSettings, variables

HELP = """Watch a cluster and answer `/ready`: 200 while it could lose a broker, 503 with the reasons while not.

For a PodDisruptionBudget that selects this process and the Kubernetes brokers: no eviction while a broker is down,
wherever that broker runs. It asks Kafka and nothing else; neither the agent nor Cruise Control need run.

Also `/live` and `/metrics`. Without settings, where a lab runs in `.lab`: that lab's cluster.

Settings, all by environment:

"""  # noqa: E501


def monitor() -> None:
    """Serve until it is told to end."""
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
    from aiohttp import web

    from agent.adapters.kafka.cluster import KafkaCluster
    from agent.services.monitor.service import Monitor
    from agent.telemetry import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    # what it says at length, a look's reason says in a line
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    app = Monitor(settings, KafkaCluster(connection)).app()
    try:
        web.run_app(
            app,
            host=settings.host,
            port=settings.port,
            print=None,
            access_log=None,
            shutdown_timeout=2.0,
        )
    except OSError as error:
        fail(
            Exit.USAGE,
            (
                f"{PREFIX}HOST, _PORT: {settings.host}:{settings.port} cannot be "
                f"listened on: {error.strerror}"
            ),
        )


def register(app: typer.Typer, panel: str) -> None:
    """With every setting in its help."""
    listed = "\n\n".join(f"- `{name}` {told}" for name, told in variables())
    app.command("monitor", help=HELP + listed, rich_help_panel=panel)(monitor)


def _name_the_lab() -> None:
    if f"{PREFIX}BOOTSTRAP_SERVERS" in os.environ:
        return
    if lab := running_lab():
        os.environ[f"{PREFIX}BOOTSTRAP_SERVERS"] = str(lab["bootstrap_servers"])
        os.environ.setdefault(f"{PREFIX}CLUSTER", str(lab["cluster"]))


__all__ = ["monitor", "register"]
