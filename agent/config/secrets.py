"""Where a secret comes from: a file (preferred), else a value.

Called by the settings and by what connects.

Never logs what it read. A file counts as it is when a connection is made or a request sent: a
secret that was changed there needs no restart.
"""

from pathlib import Path

from pydantic import SecretStr


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """The text; None where there is none. Raises OSError when the file cannot be read."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return value.get_secret_value() if value else None


def newest(known: str | None, file: Path | None) -> str | None:
    """What the file holds now; what is known where there is no file, or while it cannot be read
    or is being written.
    """
    if file is None:
        return known
    try:
        return file.read_text(encoding="utf-8").strip() or known
    except (OSError, UnicodeDecodeError):
        return known
