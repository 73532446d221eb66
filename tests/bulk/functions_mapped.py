"""Functions that the tests run over series; a module of its own, so that other processes can import it."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from pacscore.parallel import is_worker


def mean(volume: Any, scale: float = 1.0) -> float:
    return scale * float(volume.modality().mean(dtype=np.float64))


def numbers(volume: Any) -> dict[str, Any]:
    stored = volume.array()
    return {"low": int(stored.min()), "high": np.int32(stored.max()), "shape": stored.shape, "serial": is_worker()}


def slice_count(volume: Any) -> int:
    return len(volume.array())


def fail_on_pet(volume: Any) -> str:
    if volume.presentation.modality == "PT":
        raise ValueError("no dose here")
    return volume.presentation.modality


def hang_on_pet(volume: Any) -> str:
    if volume.presentation.modality == "PT":
        wait_for_ever()
    return volume.presentation.modality


def wait_for_ever() -> None:
    threading.Event().wait(60)


def crash_on_pet(volume: Any) -> str:
    if volume.presentation.modality == "PT":
        os.kill(os.getpid(), signal.SIGKILL)
    return volume.presentation.modality


def leave_on_pet(volume: Any) -> str:
    if volume.presentation.modality == "PT":
        raise SystemExit(3)
    return volume.presentation.modality


def thread_count(_item: Any) -> int:
    return threading.active_count()


def middle(volume: Any) -> Any:
    return volume.frame(len(volume) // 2)


def halved(volume: Any) -> Any:
    return volume.with_array((volume.modality() / 2).astype(np.float32), derivation="halved")


def slices(volume: Any) -> Any:
    return volume.array()[:2]


def generation(series: Any) -> str:
    return series.generation


def noted(item: Any, folder: str, seconds: float) -> int:
    """Note each call in a file of its own, so that calls can be counted whatever is killed."""
    number = int(item.series_instance_uid.rsplit(".", 1)[1])
    with Path(folder, str(number)).open("ab") as file:
        file.write(b"x")
    if seconds:
        time.sleep(seconds)
    return number * number


def threads_told(_volume: Any) -> dict[str, Any]:
    """Whether kernels run serially here, and what a library below NumPy that is loaded in this process is told."""
    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_char_p
    return {"serial": is_worker(), "blas": (get(b"OMP_NUM_THREADS") or b"").decode()}


def unpicklable(_item: Any) -> Any:
    return threading.Lock()


class OnlyThere:
    """A value that can leave a process and cannot be made again in another."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (int, ("no number",))


def only_there(_item: Any) -> Any:
    return OnlyThere()


def crash(_item: Any) -> None:
    ctypes.string_at(0)


def bytes_of_group(group: Any) -> dict[str, Any]:
    return {"series": len(group), "mib": sum(each.volume().array().nbytes for each in group) >> 20}
