"""Reads secrets: from a file (preferred), else from a value.

Nothing that was read is logged. A file is read whenever a connection is made or a request is sent,
so that a changed secret needs no restart.
"""

from pathlib import Path

from pydantic import SecretStr


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """The secret; None when none is set. Raises OSError when the file cannot be read."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return value.get_secret_value() if value else None


def newest(known: str | None, file: Path | None) -> str | None:
    """What the file holds now.

    `known` when there is no file, or while it cannot be read or is being written.
    """
    if file is None:
        return known
    try:
        return file.read_text(encoding="utf-8").strip() or known
    except (OSError, UnicodeDecodeError):
        return known
