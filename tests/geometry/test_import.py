import subprocess
import sys


def test_importing_the_room_loads_no_heavy_library() -> None:
    program = "import sys, pacscore.geometry; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"pydicom", "numba", "zarr", "numcodecs", "imagecodecs", "pyarrow", "sqlalchemy"} & set(loaded)
