"""Builds the Faust app and the agent from the settings, and runs the worker.

`python -m agent.main` and `kafka-migration agent` do the same. Faust is imported only inside
functions, since its import has side effects.
"""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agent import telemetry
from agent.config.errors import SettingsError
from agent.config.settings import Settings
from agent.performer.offload import shorten_switch_interval

if TYPE_CHECKING:
    from agent.worker.app import Agent
    from agent.worker.driven_cluster import Drive

# Faust commits often, so that there is little to replay after a crash. Its `exactly_once` is not
# used, since it loses updates of tables.
COMMIT_SECONDS = 0.5
MESSAGE_BYTES_MAX = 1_000_000


def build(settings: Settings, drive: "Drive | None" = None) -> tuple[Any, "Agent"]:
    """Returns the Faust app and the agent that runs in it. Raises SettingsError.

    `drive` opens the connections of a cluster; benchmarks give one that needs no cluster.
    """
    clusters = settings.clusters()
    # Faust reads this variable when it is imported, before the app can pass its `datadir`.
    os.environ.setdefault("FAUST_DATADIR", str(settings.data_folder))

    import faust
    from faust.types.enums import ProcessingGuarantee

    from agent import topics
    from agent.worker.app import Agent
    from agent.worker.driven_cluster import DrivenCluster

    names, inbox_id = topics.ensure(settings)
    app = faust.App(
        settings.app_id,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_request_timeout=max(settings.session_timeout_seconds * 3, 40.0),
        broker_commit_interval=COMMIT_SECONDS,
        consumer_group_instance_id=settings.instance_id,
        # Kafka gives a static member that comes back its old assignment, and Faust's assignor hangs
        # forever if the URL in it is another one. So the URL must not change with a port or an
        # address; nobody connects to it.
        canonical_url=f"http://{quote(settings.instance_id, safe='')}",
        processing_guarantee=ProcessingGuarantee.AT_LEAST_ONCE,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_request_size=MESSAGE_BYTES_MAX,
        stream_wait_empty=False,
        store="memory://",
        topic_partitions=settings.topic_partitions,
        topic_replication_factor=settings.topic_replication_factor,
        topic_allow_declare=True,
        topic_disable_leader=True,
        datadir=settings.data_folder,
        web_bind=settings.web_host,
        web_host=settings.web_host,
        web_port=settings.web_port,
        web_tables_enabled=False,  # both pages would show the state to anyone
        web_router_enabled=False,
        autodiscover=False,
    )
    agent = Agent(app, settings, clusters, names, inbox_id, drive or DrivenCluster.open)

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def _close(_app: Any, **_: Any) -> None:
        await agent.close()

    return app, agent


def _credentials(settings: Settings) -> Any:
    """Returns the credentials for the control Kafka in Faust's form; None for plaintext."""
    from faust.auth import SASLCredentials, SSLCredentials

    connection = settings.connection()
    context = connection.ssl_context() if "SSL" in connection.security_protocol else None
    if connection.sasl_mechanism:
        return SASLCredentials(
            mechanism=connection.sasl_mechanism,
            username=connection.username,
            password=connection.password,
            ssl_context=context,
        )
    return SSLCredentials(context=context) if context else None


def run(drive: "Drive | None" = None) -> None:
    """Runs the worker until SIGTERM or Ctrl-C; exits with 2 when the settings cannot be used."""
    try:
        settings = Settings.read()
        telemetry.configure_logging(settings.log_level, settings.log_format)
        import uvloop

        shorten_switch_interval()
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        app, agent = build(settings, drive)
    except (SettingsError, OSError) as error:
        print(f"kafka-migration agent: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    watch = loop.create_task(agent.watch_assignment())
    try:
        _worker(app, loop).execute_from_commandline()
    finally:
        watch.cancel()


def _worker(app: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """Returns Faust's worker, without its own log configuration and terminal output."""
    import faust

    class QuietWorker(faust.Worker):  # type: ignore[misc]
        def _setup_logging(self) -> None:
            """Does nothing: telemetry.py has configured the logs already."""

    worker = QuietWorker(app, loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True)
    worker.spinner = None
    return worker


if __name__ == "__main__":
    run()
