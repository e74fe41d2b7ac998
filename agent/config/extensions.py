"""What other packages add to the agent, found by their entry points.

The lab adds its command line and its way to restart nodes. The agent knows the two groups below and
never imports a package that adds to them by name.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

COMMANDS = "kafka_migration.commands"
"""Sub-commands of `kafka-migration`: each entry is a `typer.Typer`."""

RESTARTS = "kafka_migration.restarts"
"""Ways to restart a node on the way to KRaft: each entry takes the folder that clusters.yaml names
and returns a `Restarts`."""


class NotInstalledError(Exception):
    """No installed package adds what is asked for; the text names it."""


def extensions(group: str, entries: Iterable[EntryPoint] | None = None) -> dict[str, EntryPoint]:
    """What installed packages add to `group`, by name, not loaded yet.

    `entries` are those to look through, all installed ones by default.
    """
    found = entry_points(group=group) if entries is None else entries
    return {entry.name: entry for entry in found if entry.group == group}


def extension(group: str, name: str, entries: Iterable[EntryPoint] | None = None) -> Any:
    """What an installed package adds to `group` by that name, loaded.

    Raises NotInstalledError when none does.
    """
    entry = extensions(group, entries).get(name)
    if entry is None:
        raise NotInstalledError(
            f"no installed package offers `{name}` in {group}; in a checkout, `make setup` "
            "installs what belongs to it"
        )
    return entry.load()
