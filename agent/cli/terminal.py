"""The output and the exit codes of every command."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from agent.client import ClientError

if TYPE_CHECKING:
    from aiohttp.web import Application

STOP_SECONDS = 2.0  # how long requests under way may take when a service is stopped

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """The exit codes; 3 means that Kafka is unreachable or that no answer came."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


def print_json(value: Any, *, line: bool = False) -> None:
    """Prints JSON to stdout, indented or on one line, and flushes it for readers of a pipe."""
    print(json.dumps(value, ensure_ascii=False, indent=None if line else 2), flush=True)


def fail(code: Exit, text: str, *, as_json: bool = False, **details: Any) -> NoReturn:
    """Prints what is wrong and ends with this exit code.

    With `as_json` the error is a JSON object on stdout, with `details` as further fields.
    """
    if as_json:
        print_json({"error": text, "exit_code": int(code), **details})
    else:
        err.print(f"[bold red]error:[/] {escape(text)}")
    raise typer.Exit(int(code))


def run(work: Coroutine[Any, Any, None], *, as_json: bool = False) -> None:
    """Runs the work of a command.

    Ends with exit code 3 when the control Kafka cannot be used, and with 130 on Ctrl-C.
    """
    try:
        asyncio.run(work)
    except ClientError as error:
        fail(Exit.UNREACHABLE, str(error), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended
        sys.stderr.close()
        raise typer.Exit(0) from None


def serve(app: "Application", host: str, port: int) -> None:
    """Serves an application until SIGTERM or Ctrl-C.

    Ends with exit code 2 when it cannot listen on that address.
    """
    from aiohttp import web

    try:
        web.run_app(
            app, host=host, port=port, print=None, access_log=None, shutdown_timeout=STOP_SECONDS
        )
    except OSError as error:
        fail(Exit.USAGE, f"cannot listen on {host}:{port}: {error.strerror}")
