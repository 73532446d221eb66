"""Rows about pixels of a sealed series: the whole volume, single planes in three directions, a box."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import PEERS, agree, readers
from rows import Context, Measured, row
from sealed import WHICH, sealed, unpacked
from timing import alternate

_WHOLE = slice(None)
_OVERHEAD_SECONDS = 0.3e-3


def _boxes(shape: tuple[int, ...]) -> dict[str, tuple[slice, ...]]:
    """The planes, off the borders of chunks, and a 64³ box off the chunk grid."""
    slices, rows, columns = shape
    return {
        "plane-axial": (slice(slices // 2 - 3, slices // 2 - 2), _WHOLE, _WHOLE),
        "plane-coronal": (_WHOLE, slice(rows // 2 - 6, rows // 2 - 5), _WHOLE),
        "plane-sagittal": (_WHOLE, _WHOLE, slice(columns // 2 - 6, columns // 2 - 5)),
        "box": tuple(slice(start, start + 64) for start in (slices // 9, rows * 2 // 5 - 3, columns * 3 // 8 - 5)),
    }


def _ours(volume: Any, box: tuple[slice, ...]) -> Callable[[], NDArray[Any]]:
    """The project's way to a box, as a user takes it."""
    whole = all(part == _WHOLE for part in box)
    return volume.array if whole else lambda: volume[box]


def _against_peers(context: Context, which: str, part: str) -> Measured:
    _, series = sealed(context, which)
    volume = series.volume()
    box = (_WHOLE,) * 3 if part == "volume" else _boxes(volume.shape)[part]
    theirs, settings = readers(unpacked(context, which), box, rounds=2 if context.quick else 5)
    exact = tuple(slice(*each.indices(length)[:2]) for each, length in zip(box, volume.shape, strict=True))
    agree({**theirs, "ours": lambda: volume.source.read(exact)}, np.asarray(next(iter(theirs.values()))()))
    reads = {"ours": _ours(volume, box), **theirs}
    timed = alternate(reads, rounds=3 if context.quick else 15)
    best = timed.fastest(list(theirs))
    times = ", ".join(
        f"{name} {timed.median(name) * 1e3:.2f} ms" + (f" ({settings[name]})" if name in settings else "")
        for name in reads
    )
    return Measured(*timed.ratio(best, "ours"), times, timed.rounds)


def _against_decoding(context: Context, which: str, part: str) -> Measured:
    from decoding import decoder

    _, series = sealed(context, which)
    volume = series.volume()
    box = _boxes(volume.shape)[part]
    decode, words = decoder(volume.source, box)
    timed = alternate({"ours": _ours(volume, box), "decode": decode}, rounds=3 if context.quick else 31)
    ratios = [
        max(0.0, ours - _OVERHEAD_SECONDS) / pure
        for ours, pure in zip(timed.seconds["ours"], timed.seconds["decode"], strict=True)
    ]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
    detail = f"{timed.median('ours') * 1e3:.2f} ms; decoding alone {timed.median('decode') * 1e3:.2f} ms, {words}"
    return Measured(middle, low, high, detail, timed.rounds)


def _against_npload(context: Context, which: str) -> Measured:
    _, series = sealed(context, which)
    volume = series.volume()
    path = context.scratch / f"volume-{which}.npy"
    np.save(path, volume.array())
    out = np.empty(volume.shape, volume.dtype)
    assert np.array_equal(volume.array(out), np.load(path))
    timed = alternate(
        {"ours": volume.array, "np.load": lambda: np.load(path), "into out": lambda: volume.array(out)},
        rounds=3 if context.quick else 21,
    )
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.1f} ms" for name in timed.seconds)
    return Measured(*timed.ratio("ours", "np.load"), times, timed.rounds)


def _against_files(context: Context, which: str) -> Measured:
    import SimpleITK

    _, series = sealed(context, which)
    volume = series.volume()
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(context.series(which)))

    def theirs() -> Any:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(names)
        return reader.Execute()

    # Pixels above Bits Stored, of which the real series has 29, are masked by one and not by the other.
    differing = np.count_nonzero(SimpleITK.GetArrayFromImage(theirs()).astype(np.float32) != volume.modality())
    assert differing <= 29, f"{differing} voxels differ"
    timed = alternate(
        {"ours": volume.array, "SimpleITK": theirs, "modality": volume.modality}, rounds=3 if context.quick else 7
    )
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.0f} ms" for name in timed.seconds)
    detail = f"{times}; as float32 modality values {timed.ratio('SimpleITK', 'modality')[0]:.1f}×"
    return Measured(*timed.ratio("SimpleITK", "ours"), detail, timed.rounds)


_SAME_STORE = "against the fastest of tensorstore, zarr-python and zarrs on the very same store"
for _suffix, _which in WHICH.items():
    row(f"core.volume{_suffix}", must=1.5, aim=2.5, peers=PEERS, any_peer=True, what=f"the whole volume {_SAME_STORE}")(
        partial(_against_peers, which=_which, part="volume")
    )
    row(
        f"core.volume-npload{_suffix}", must=4.5, aim=2.2, higher=False, peers=("numpy",),
        what="the whole volume as a multiple of np.load of the same array",
    )(partial(_against_npload, which=_which))  # fmt: skip
    row(
        f"core.volume-files{_suffix}", must=6, aim=12, peers=("SimpleITK",),
        what="the whole volume against SimpleITK's ImageSeriesReader on the original uncompressed files",
    )(partial(_against_files, which=_which))  # fmt: skip
    for _part, _name in {
        "plane-axial": "one axial plane",
        "plane-coronal": "one coronal plane",
        "plane-sagittal": "one sagittal plane",
        "box": "a 64³ box off the chunk grid",
    }.items():
        row(f"core.{_part}{_suffix}", must=1.0, aim=2.0, peers=PEERS, any_peer=True, what=f"{_name} {_SAME_STORE}")(
            partial(_against_peers, which=_which, part=_part)
        )
        row(
            f"core.{_part}-decode{_suffix}", must=1.5, aim=None, higher=False, peers=("numcodecs",),
            what=f"{_name}, less 0.3 ms, as a multiple of decoding the blocks it touches on two cores",
        )(partial(_against_decoding, which=_which, part=_part))  # fmt: skip
