"""`kafka-migration console`: serves the console's page. Registered by app.py."""

import secrets
import time
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.connection import Servers, TopicPrefix, connect
from agent.cli.terminal import Exit, err, fail, serve
from agent.config.errors import SettingsError


def console(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; 127.0.0.1 when left out. Every address except a loopback "
            "one needs a token."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on; 8088 when left out.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token of operators, who may send commands. Without it, a random "
            "token is made on a loopback address."
        ),
    ] = None,
    viewer_token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token of viewers, who may not send commands."),
    ] = None,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Serve a web page that shows every migration live and sends commands.

    Everything on the page comes from the control topics. The console may run anywhere, several
    times at once, and stop at any time.

    `kafka-migration console`

    `kafka-migration console --host 0.0.0.0 --token-file /run/secrets/console-token`

    Settings: KAFKA_MIGRATION_CONSOLE_HOST, _PORT, _TOKEN_FILE, _VIEWER_TOKEN_FILE, _PUBLIC_ORIGIN,
    _SESSION_HOURS.
    """
    from agent.services.console.access import Access
    from agent.services.console.feed import Feed
    from agent.services.console.server import Console
    from agent.services.console.settings import ConsoleSettings
    from agent.telemetry import configure_logging

    connection = connect(servers, prefix, as_json=False)
    try:
        settings = ConsoleSettings.read(
            host=host, port=port, token_file=token_file, viewer_token_file=viewer_token_file
        )
        token, viewer_token = settings.tokens()
    except SettingsError as error:
        fail(Exit.USAGE, str(error), as_json=False)
    configure_logging("INFO")
    made_up = token is None
    token = token or secrets.token_urlsafe(24)
    # A browser does not send what follows the `#`, so the token is in no request and in no log.
    err.print(
        f"console: {settings.origin}/" + (f"#token={token}" if made_up else ""), soft_wrap=True
    )
    access = Access(token, viewer_token, settings.session_hours * 3_600, time.time)
    app = Console(settings, access, connection.client, Feed(connection.client)).app()
    serve(app, settings.host, settings.port)
