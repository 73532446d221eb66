"""STYLE, kept by a test: each rule that can be checked names the line that breaks it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "pacscore").rglob("*.py"))
LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_holds_one_concept(path: Path) -> None:
    lines = path.read_text("utf-8").count("\n")
    assert lines <= LINES_MAX, f"{_name(path)} has {lines} lines: it holds two concepts, find the seam"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_function_fits_a_head(path: Path) -> None:
    for function in _functions(ast.parse(path.read_text("utf-8"))):
        body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
        lines = (function.end_lineno or 0) - body[0].lineno + 1
        assert lines <= FUNCTION_LINES_MAX, f"{_name(path)}:{function.lineno} {function.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_the_bans_hold(path: Path) -> None:
    text = path.read_text("utf-8")
    assert path.name not in {"utils.py", "helpers.py", "common.py", "misc.py"}, f"{_name(path)} says nothing"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert not re.search(r"(Manager|Handler)$", node.name), f"{_name(path)}:{node.lineno} {node.name}"
        if isinstance(node, ast.ExceptHandler) and "cli" not in path.parts:
            caught = node.type
            bare = caught is None or (isinstance(caught, ast.Name) and caught.id == "Exception")
            assert not bare, f"{_name(path)}:{node.lineno} catches everything; only a front end's outer edge may"
    for number, line in enumerate(text.splitlines(), 1):
        assert not re.search(r"\b(TODO|FIXME|XXX)\b(?! #\d)", line), f"{_name(path)}:{number} a TODO without an issue"
        ignore = re.search(r"#\s*type:\s*ignore(?!\[)", line)
        assert not ignore, f"{_name(path)}:{number} an ignore names its code and gives its reason"


def test_only_front_ends_and_the_kernel_cache_read_the_environment() -> None:
    allowed = {"pacscore/settings.py", "pacscore/kernels/_compile.py"}
    for path in SOURCES:
        if _name(path) in allowed or "cli" in path.parts:
            continue
        assert not re.search(r"os\.environ|getenv", path.read_text("utf-8")), f"{_name(path)} reads the environment"


def test_only_the_seam_writes_files() -> None:
    """Inside an archive only filesystem.py may create, append, sync, rename or delete (STYLE 7)."""
    banned = re.compile(
        r"\bos\.(open\((?!.*O_RDONLY)|(write|pwrite|pwritev|writev|rename|replace|unlink|remove|fsync|fdatasync|mkdir|makedirs)\()"
    )
    for path in SOURCES:
        rooms = {"archive", "store", "catalog", "dicom", "geometry"}
        if not rooms.intersection(path.relative_to(ROOT / "pacscore").parts):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            assert not banned.search(line), f"{_name(path)}:{number} writes past the seam: {line.strip()}"


def test_nothing_names_the_workshop() -> None:
    """The project speaks of itself alone: no path of a machine, no registry's address."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout, so what is tracked is unknown (until 2027-12-31)")
    words = re.compile(r"(?<![\w.])/(?:work|root)/|(?:index|registry)[-_]url")
    for name in tracked.stdout.split("\0"):
        path = ROOT / name
        if not name or not path.is_file() or path == Path(__file__) or path.suffix in {".dcm", ".png", ".zip"}:
            continue
        for number, line in enumerate(path.read_text("utf-8", "ignore").splitlines(), 1):
            assert not words.search(line), f"{name}:{number} {line[:120]}"
