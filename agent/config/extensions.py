"""Finds what other packages add to the agent through entry points.

The lab adds its commands and a way to restart nodes. The agent knows only the two groups of entry
points below; it never imports by name a package that adds to them.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

COMMANDS = "kafka_migration.commands"
"""Sub-commands of `kafka-migration`: each entry is a `typer.Typer`."""

RESTARTS = "kafka_migration.restarts"
"""Ways to restart nodes during a migration to KRaft: each entry is a function that takes the folder
named in clusters.yaml and returns a `RestartsPort`."""


class NotInstalledError(Exception):
    """No installed package offers the requested extension; the text names it."""


def extensions(group: str, entries: Iterable[EntryPoint] | None = None) -> dict[str, EntryPoint]:
    """Returns the entry points of `group` by name, without loading them.

    `entries` are the entry points to search; by default those of all installed packages.
    """
    found = entry_points(group=group) if entries is None else entries
    return {entry.name: entry for entry in found if entry.group == group}


def extension(group: str, name: str, entries: Iterable[EntryPoint] | None = None) -> Any:
    """Loads and returns the entry point of `group` with this name.

    Raises NotInstalledError when no installed package has one.
    """
    entry = extensions(group, entries).get(name)
    if entry is None:
        raise NotInstalledError(
            f"no installed package offers `{name}` in {group}; in a checkout, `make setup` "
            "installs the packages that belong to it"
        )
    return entry.load()
