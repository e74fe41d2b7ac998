"""`kafka-migration topics`: creates the control topics. Registered by app.py."""

import os

from agent.cli.connection import lab_settings
from agent.cli.terminal import Exit, fail, out
from agent.config.errors import SettingsError
from agent.config.settings import Settings


def topics() -> None:
    """Create the control topics, compacted and partitioned as the agent needs them. A repeat
    changes nothing.

    The agent creates them too. Once they exist, the agent does not need the right to create topics.
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
