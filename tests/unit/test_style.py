"""Rules of style that a tool can hold (CONTRIBUTING.md)."""

import ast
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parent.parent.parent
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70
SOURCES = [
    p
    for folder in ("agent", "schemas", "deploy", "tests")
    for p in sorted((ROOT / folder).rglob("*.py"))
]


def test_no_file_attracts_everything() -> None:
    """No file has more than 400 lines."""
    long = {
        str(p.relative_to(ROOT)): n
        for p in SOURCES
        if (n := p.read_text().count("\n")) > FILE_LINES_MAX
    }
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


def test_nobody_swallows_a_cancellation() -> None:
    """What takes a CancelledError raises it again: await another task's end by
    agent/cancellation.py. (Tests may play it.)
    """
    takers = [
        f"{p.relative_to(ROOT)}:{node.lineno}"
        for p in SOURCES
        if not p.name.startswith("test_")
        for node in ast.walk(ast.parse(p.read_text()))
        if _swallows(node)
    ]
    assert not takers


def _swallows(node: ast.AST) -> bool:
    """A handler or a `suppress` of CancelledError, BaseException or everything; a handler may
    end in `raise`.
    """
    if isinstance(node, ast.ExceptHandler):
        taken = [node.type] if node.type is not None else None
        goes_on = not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
        taken, goes_on = node.args, True
    else:
        return False
    names = {
        n.id if isinstance(n, ast.Name) else n.attr
        for t in taken or ()
        for n in ast.walk(t)
        if _is_name(n)
    }
    return goes_on and (taken is None or not names.isdisjoint({"CancelledError", "BaseException"}))


def _is_name(node: ast.AST) -> TypeGuard[ast.Name | ast.Attribute]:
    return isinstance(node, (ast.Name, ast.Attribute))
