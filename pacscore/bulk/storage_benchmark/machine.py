"""Where and with what was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pacscore.version import __version__

_PACKAGES = ("numpy", "numba", "numcodecs", "pydicom")


def describe_machine(folder: Path) -> dict[str, str]:
    """Processor, memory, the disk below a folder, and versions; names no user and no path."""
    facts = {
        "processor": _processor(),
        "processors": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "memory": _memory(),
        "disk": _disk(folder),
        "load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "",
        "python": platform.python_version(),
        "pacscore": __version__,
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return {name: value for name, value in facts.items() if value}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / (1 << 30):.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return ""


def _disk(folder: Path) -> str:
    """File system and device of the mount that holds a folder."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return ""
    real = str(folder.resolve())
    best = ("", "", "")
    for line in lines:
        device, place, kind = line.split(" ")[:3]
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best[1]):
            best = (device, place, kind)
    return f"{best[2]} on {Path(best[0]).name}" if best[0] else ""
