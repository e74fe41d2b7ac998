"""`kafka-migration topics`: creates the control topics. Registered by app.py."""

import os

from agent.cli.connection import lab_settings
from agent.cli.terminal import Exit, fail, out
from agent.config.errors import SettingsError
from agent.config.settings import Settings


def topics() -> None:
    """Create the control topics with the partitions and the compaction that the agent needs.
    Running it again changes nothing.

    The agent creates missing topics as well, but then it needs the right to create topics.
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
