"""Rules of style that a tool can hold (CONTRIBUTING.md)."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70
SOURCES = [p for folder in ("agent", "schemas", "deploy", "tests") for p in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_attracts_everything() -> None:
    """No file has more than 400 lines."""
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := p.read_text().count("\n")) > FILE_LINES_MAX}
    assert not long


def test_no_function_wants_to_be_two() -> None:
    """No function has more than 70 lines."""
    long = [
        f"{p.relative_to(ROOT)}:{node.lineno} {node.name}"
        for p in SOURCES
        for node in ast.walk(ast.parse(p.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno > FUNCTION_LINES_MAX
    ]
    assert not long


def test_every_test_states_its_rule() -> None:
    """The first line of each test is the rule that it holds."""
    silent = [
        f"{p.relative_to(ROOT)}:{node.lineno} {node.name}"
        for p in SOURCES
        if p.name.startswith("test_")
        for node in ast.walk(ast.parse(p.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not silent
