"""After warming, no method of tomography compiles anything."""

from __future__ import annotations

import pytest

from pacscore.kernels import (
    backproject,
    backproject_mirrored,
    ellipsoids,
    helical,
    joseph,
    joseph_cone,
    joseph_tilted,
    ramp,
    resample_views,
    variation,
)
from pacscore.kernels._compile import Kernel
from pacscore.recon.tomography_warming import WARM_CALLS

MODULES = (
    backproject, backproject_mirrored, ellipsoids, helical, joseph, joseph_cone, joseph_tilted, ramp, resample_views,
    variation,
)  # fmt: skip


def test_warming_calls_every_kernel_with_one_kind_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    called, plain = set(), Kernel.__call__

    def watched(self, *values, **names):
        called.add((self.__module__, self.__name__))
        return plain(self, *values, **names)

    monkeypatch.setattr(Kernel, "__call__", watched)
    for _, call in WARM_CALLS:
        call()
    wanted = {
        (each.__module__, each.__name__) for module in MODULES for each in vars(module).values()
        if isinstance(each, Kernel) and each.__name__.endswith("_into") and each.__module__ == module.__name__
    }  # fmt: skip
    assert wanted <= called
