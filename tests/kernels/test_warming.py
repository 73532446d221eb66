"""What ``pacscore warm`` covers, and that nothing is compiled which is not used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pacscore.imaging.warming import WARM_CALLS
from pacscore.kernels import blocks, compositing, rays, reduce
from pacscore.kernels._compile import Kernel

MODULES = (reduce, blocks, rays, compositing)


def _kernels(module) -> list[Kernel]:
    own = [each for each in vars(module).values() if isinstance(each, Kernel) and each.__module__ == module.__name__]
    return [each for each in own if each.__name__.endswith("_into")]


def test_the_table_names_each_family_once() -> None:
    names = [name for name, _ in WARM_CALLS]
    assert len(set(names)) == len(names) >= 3


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".")[-1])
def test_warming_calls_every_kernel(module, monkeypatch: pytest.MonkeyPatch) -> None:
    called, plain = set(), Kernel.__call__

    def watched(self, *values, **names):
        called.add((self.__module__, self.__name__))
        return plain(self, *values, **names)

    monkeypatch.setattr(Kernel, "__call__", watched)
    for _, call in WARM_CALLS:
        call()
    assert {(each.__module__, each.__name__) for each in _kernels(module)} <= called


def test_a_call_compiles_its_own_kernel_and_no_other(tmp_path: Path) -> None:
    code = "import numpy as np\nfrom pacscore.imaging import arrays\narrays.project_axis(np.ones((2, 3, 4)), 0)"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"PACSCORE_KERNEL_CACHE": str(tmp_path)}
    )  # fmt: skip
    kept = {path.name.split("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert kept == {"reduce.fold_maximum_into"}
