"""Where a secret comes from: a file (preferred), else a value. Called by the settings; never logs what it read."""

import os
from pathlib import Path

from pydantic import SecretStr


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """The text; None where there is none. Raises OSError when the file cannot be read."""
    if file is not None:
        return Path(os.fspath(file)).read_text(encoding="utf-8").strip()
    return value.get_secret_value() if value else None
