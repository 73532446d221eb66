"""What the first call of a kernel imports."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pacscore.kernels._compile import kernel

_CODE = """
import sys
import numpy as np
from pacscore.kernels.ramp import exchange_rows_into
exchange_rows_into(1, 2, np.zeros((2, 3), np.float32), np.zeros(3, np.float32), np.zeros(2, np.bool_))
assert "scipy.linalg" not in sys.modules
import numba
product = numba.njit(lambda a, b: a @ b)(np.eye(2), np.full((2, 2), 3.0))
assert (product == 3.0).all() and "scipy.linalg" in sys.modules
"""


def test_kernels_do_without_scipy_and_a_users_products_of_matrices_still_compile() -> None:
    pytest.importorskip("scipy")
    done = subprocess.run([sys.executable, "-c", _CODE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@kernel(inline=True)
def halved(value: np.float64) -> np.float64:
    return value / 2


@kernel
def halve_into(values: np.ndarray) -> None:
    for index in range(values.size):
        values[index] = halved(values[index])


def test_a_helper_merged_into_kernels_runs_interpreted_where_python_calls_it() -> None:
    values = np.array([3.0, 5.0])
    halve_into(values)
    assert values.tolist() == [1.5, 2.5]
    assert halved(3.0) == 1.5
    assert halved.python(3.0) == 1.5
