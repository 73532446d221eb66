"""Where compiled kernels are kept (K3, K5)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pacscore.kernels import _compile

CALL = """
import sys
import numpy as np
from pacscore.kernels import _compile
@_compile.kernel
def add_one_into(values, out):
    for index in range(values.shape[0]):
        out[index] = values[index] + 1
out = np.zeros(3)
add_one_into(np.arange(3.0), out)
assert out.tolist() == [1, 2, 3]
print(_compile.cache_folder())
"""


def test_a_user_without_a_home_can_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compile, "__file__", str(tmp_path / "file" / "_compile.py"))
    (tmp_path / "file").touch()  # A folder below it cannot be made.
    monkeypatch.delenv("PACSCORE_KERNEL_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", _no_home)
    folder = _compile._choose_folder("stamp")
    assert folder.is_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert _compile._choose_folder("stamp") != folder  # No name that somebody else could have made first.
    folder.rmdir()


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_folder_filled_ahead_is_used_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACSCORE_KERNEL_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(Path, "home", _no_home)
    assert _compile._choose_folder("stamp").parent != tmp_path
    (tmp_path / "stamp" / "walk.kernel.nbi").touch()
    assert _compile._choose_folder("stamp") == tmp_path / "stamp"


def test_a_cache_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    code = CALL.replace("import numpy", "import os, tempfile\nimport numpy", 1).replace(
        "out = np.zeros", "import numba.core.caching as caching\n"
        "def refuse(self): raise PermissionError(13, 'read-only')\n"
        "caching._CacheLocator.ensure_cache_path = refuse\nout = np.zeros",
    )  # fmt: skip
    script = tmp_path / "script.py"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, script],
        capture_output=True, text=True, check=False, env=os.environ | {"PACSCORE_KERNEL_CACHE": str(tmp_path / "k")},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert str(tmp_path) in result.stdout
    assert not list((tmp_path / "k").rglob("*.nbi"))
