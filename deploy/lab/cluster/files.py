"""Writes a file so that a reader sees either the old text or the new one."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` in one step, and create its folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
