"""How the command line ends and speaks: exit codes, plain errors, JSON or tables.

Used by every command.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 unreachable or unanswered.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from agent.client import ClientError

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """What the shell is told."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


def print_json(value: Any, *, line: bool = False) -> None:
    """To stdout: indented, or as one line of a stream (flushed, so that a pipe sees it at once)."""
    print(json.dumps(value, ensure_ascii=False, indent=None if line else 2), flush=True)


def fail(code: Exit, text: str, *, as_json: bool = False, **details: Any) -> NoReturn:
    """Say what is wrong and end.

    With `as_json` stdout still gets one JSON value, so that a script can read it.
    """
    if as_json:
        print_json({"error": text, "exit_code": int(code), **details})
    else:
        err.print(f"[bold red]error:[/] {escape(text)}")
    raise typer.Exit(int(code))


def run(work: Coroutine[Any, Any, None], *, as_json: bool = False) -> None:
    """Run a command's work; the control Kafka's trouble ends in exit code 3, Ctrl-C in 130
    without a trace.
    """
    try:
        asyncio.run(work)
    except ClientError as error:
        fail(Exit.UNREACHABLE, str(error), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:  # `... | head`
        sys.stderr.close()
        raise typer.Exit(0) from None
