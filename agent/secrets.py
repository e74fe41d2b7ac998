"""Reads passwords and tokens, preferably from files, and never logs them.

A file is read whenever a connection is made or a request is sent, so that a changed secret needs no
restart.
"""

from pathlib import Path

from pydantic import SecretStr


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """Returns the content of the file, else the value; None when neither is set.

    Raises OSError when the file cannot be read.
    """
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return value.get_secret_value() if value else None


def newest(known: str | None, file: Path | None) -> str | None:
    """Returns what the file holds now.

    Returns `known` when no file is set, and while the file cannot be read or is empty because it
    is being written.
    """
    if file is None:
        return known
    try:
        return file.read_text(encoding="utf-8").strip() or known
    except (OSError, UnicodeDecodeError):
        return known
