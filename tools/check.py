"""The one gate: format, lint, types, layers, tidy, doctests, and the kernels bounds-checked and interpreted.

    python tools/check.py              every step
    python tools/check.py lint types   only these

Exits 1 if any step fails, after running all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable

# Name → command and the environment it adds. The kernels' runs get a fresh cache folder: a warm one would silently
# disable the bounds check.
STEPS: dict[str, tuple[list[str], dict[str, str]]] = {
    "format": ([PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."], {}),
    "lint": ([PYTHON, "-m", "ruff", "check", "--quiet", "."], {}),
    "types": ([PYTHON, "-m", "mypy"], {}),
    "layers": ([PYTHON, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"], {}),
    "tidy": ([PYTHON, "-m", "pytest", "-q", "tests/test_tidy.py"], {}),
    "doctests": ([PYTHON, "-m", "pytest", "-q", "--doctest-modules", "pacscore"], {}),
    "bounds": ([PYTHON, "-m", "pytest", "-q", "-m", "kernel"], {"NUMBA_BOUNDSCHECK": "1"}),
    "interpreted": ([PYTHON, "-m", "pytest", "-q", "-m", "kernel"], {"NUMBA_DISABLE_JIT": "1"}),
}


def run_step(name: str) -> bool:
    """Run one step, print what it prints, and say whether it passed."""
    command, extra = STEPS[name]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | extra | ({"PACSCORE_KERNEL_CACHE": folder} if extra else {})
        result = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    passed = result.returncode == 0
    print(f"{'passed' if passed else 'FAILED'}  {name}  {time.perf_counter() - started:.1f} s", flush=True)
    return passed


def main(names: list[str]) -> int:
    """Run the named steps, or all."""
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"unknown step {', '.join(unknown)}; there are {', '.join(STEPS)}")
        return 2
    results = {name: run_step(name) for name in names or STEPS}
    failed = [name for name, passed in results.items() if not passed]
    print(f"gate: {'failed in ' + ', '.join(failed) if failed else 'all steps passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
