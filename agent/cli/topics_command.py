"""`kafka-migration topics`: makes the control topics and ends. Registered by app.py."""

import os

from agent.cli.connection import lab_settings
from agent.cli.terminal import Exit, fail, out
from agent.config.errors import SettingsError
from agent.config.settings import Settings


def topics() -> None:
    """Make the control topics, compacted and partitioned as the agent needs them, and end; a repeat
    changes nothing.

    The agent does it too. With this, only who runs this needs the right to create topics.
    """
    os.environ.update(lab_settings())
    from agent.topics import ensure

    try:
        names, _ = ensure(Settings.read())
    except SettingsError as error:
        fail(Exit.USAGE, str(error))
    for name in (
        names.commands,
        names.metrics,
        names.events,
        names.status,
        names.rejected,
        names.inbox,
        names.snapshots,
    ):
        out.print(name)
