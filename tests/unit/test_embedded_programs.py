"""Programs that stand as texts in the tests and run in a process of their own."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent
IMPORT = re.compile(
    r"(?:^|[\n;])[ \t]*from ((?:agent|schemas|deploy|tests)[\w.]*) import ([\w, ]+)"
)


def _imports() -> Iterator[tuple[str, str, str]]:
    """File, module and name of every import of ours that stands in a text."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for module, names in IMPORT.findall(node.value):
                    for name in names.split(","):
                        yield str(path.relative_to(TESTS)), module, name.strip()


def _is_there(module: str, name: str) -> bool:
    try:
        if hasattr(importlib.import_module(module), name):
            return True
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def test_what_they_import_is_there() -> None:
    """No tool sees into a text: a name that has moved would fail in a lab, half an hour later."""
    imports = list(_imports())
    assert len(imports) >= 5
    assert not [found for found in imports if not _is_there(*found[1:])]
