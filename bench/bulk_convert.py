"""Rows about volumes that leave the archive: files of another format, and patches for training.

Patches are 96³ voxels at random places of the made CT, float32 modality values, on two threads on both sides; results
agree before anything is timed. The page cache is warm unless the row says otherwise.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rows import Context, Measured, Missing, row
from sealed import WHICH, fresh, sealed
from timing import Timed, alternate

from pacscore.bulk.patches import PatchSampler, read_values
from pacscore.imaging import Volume
from pacscore.imaging.kept import KeptChunks
from pacscore.settings import Settings

SIZE = (96, 96, 96)
THREADS = 2
_PATCHES = 16
_FEW = 4
Read = Callable[[NDArray[Any]], NDArray[np.float32]]


def _dcm2niix() -> str:
    try:
        return str(import_module("dcm2niix").bin)
    except ImportError as error:
        raise Missing("peer dcm2niix is not installed") from error


def _nifti(context: Context, which: str, *, compressed: bool) -> Measured:
    import nibabel

    _, series = sealed(context, which)
    volume, source = series.volume(), context.series(which)
    ending = ".nii.gz" if compressed else ".nii"
    ours, folder = context.scratch / f"ours{ending}", fresh(context.scratch / "dcm2niix")
    folder.mkdir()
    words = [_dcm2niix(), "-z", "y" if compressed else "n", "-b", "n", "-f", "theirs", "-o", str(folder), str(source)]

    def theirs() -> None:
        subprocess.run(words, check=True, capture_output=True)

    def empty() -> None:
        ours.unlink(missing_ok=True)
        for path in folder.iterdir():
            path.unlink()

    volume.to_nifti(ours)
    theirs()
    found, expected = (nibabel.as_closest_canonical(nibabel.load(p)) for p in (ours, folder / f"theirs{ending}"))
    assert np.allclose(found.affine, expected.affine, atol=1e-3), "they place the voxels elsewhere"
    apart = np.count_nonzero(np.asanyarray(found.dataobj) != np.asanyarray(expected.dataobj))
    # Six slices of the real series state 13 Bits Stored and have 29 voxels that need them; dcm2niix cuts all to 12.
    assert apart <= (29 if which == "real" else 0), f"{apart} voxels differ"
    timed = alternate(
        {"ours": lambda: volume.to_nifti(ours), "dcm2niix": theirs},
        rounds=3 if context.quick else 9, warm=1, before=empty,
    )  # fmt: skip
    detail = ", ".join(f"{name} {timed.median(name) * 1e3:.0f} ms" for name in timed.seconds)
    return Measured(*timed.ratio("dcm2niix", "ours"), detail, timed.rounds)


for _suffix, _which in WHICH.items():
    row(
        f"bulk.nifti{_suffix}", must=1, aim=3, peers=("dcm2niix", "nibabel"),
        what="a sealed series as .nii, against dcm2niix -z n from its files",
    )(partial(_nifti, which=_which, compressed=False))  # fmt: skip
row(
    "bulk.nifti-gz-real", must=None, aim=None, peers=("dcm2niix", "nibabel"),
    what="a sealed series as .nii.gz, level 6 on both sides, against dcm2niix -z y from its files",
)(partial(_nifti, which="real", compressed=True))  # fmt: skip


class Patches:
    """A volume as everybody keeps it, and the places of the patches."""

    def __init__(self, context: Context) -> None:
        self.archive, series = sealed(context, "made")
        self.series_uid = series.series_instance_uid
        self.volume: Volume = series.volume()
        self.starts = (
            PatchSampler(SIZE, count=_PATCHES, seed=11).starts(self.volume.shape, epoch=0, index=0).astype(int)
        )
        self.nii, self.gz = context.scratch / "patches.nii", context.scratch / "patches.nii.gz"
        self.volume.to_nifti(self.nii)
        self.volume.to_nifti(self.gz, level=1)
        self.context = context

    def ours(self) -> Read:
        single = self.archive_of_one_thread()

        def read(start: NDArray[Any]) -> NDArray[np.float32]:
            box = _box(start)
            return single.rescale.frames(box[0]).apply(single.read_box(box))

        return read

    def kept(self) -> Read:
        """The sampler's cache, with room for the volume."""
        held = self.archive_of_one_thread()
        held = replace(held, source=KeptChunks(held.source))
        return lambda start: read_values(held, _box(start))

    def archive_of_one_thread(self) -> Volume:
        """As a worker of a data loader has it."""
        import pacscore

        opened = pacscore.open(self.archive.root, read_only=True, settings=Settings(thread_count=1))
        return opened.series(self.series_uid).volume()

    def nibabel_map(self) -> Read:
        """The voxels mapped, the rescale applied to the patch: the fastest that the file allows."""
        import nibabel

        held = nibabel.load(self.nii).dataobj
        mapped = held.get_unscaled()
        slope, inter = np.float32(held.slope), np.float32(held.inter)

        def read(start: NDArray[Any]) -> NDArray[np.float32]:
            patch = mapped[_box(start)[::-1]].T.astype(np.float32)
            return np.add(np.multiply(patch, slope, out=patch), inter, out=patch)

        return read

    def nibabel_slices(self) -> Read:
        """As nibabel's documentation reads a part: indexing ``dataobj``."""
        import nibabel

        held = nibabel.load(self.nii).dataobj
        return lambda start: np.asarray(held[_box(start)[::-1]], np.float32).T

    def blosc2(self, blocks: tuple[int, int, int]) -> Read:
        """float32 as nnU-Net keeps its cases: Blosc2, Zstd, mapped, one thread a worker."""
        import blosc2

        path = self.context.scratch / f"patches-{blocks[0]}.b2nd"
        if not path.exists():
            blosc2.asarray(
                self.volume.modality(), chunks=(96, 128, 128), blocks=blocks, urlpath=str(path), mode="w",
                cparams={"codec": blosc2.Codec.ZSTD, "clevel": 8},
            )  # fmt: skip
        blosc2.set_nthreads(1)
        held = blosc2.open(urlpath=str(path), mode="r", mmap_mode="r")
        return lambda start: np.asarray(held[_box(start)])

    def monai(self) -> Read:
        from monai.transforms import Compose, EnsureChannelFirst, LoadImage, SpatialCrop

        load = Compose([LoadImage(reader="NibabelReader", image_only=True), EnsureChannelFirst()])

        def read(start: NDArray[Any]) -> NDArray[np.float32]:
            crop = SpatialCrop(roi_start=start[::-1].tolist(), roi_end=(start + SIZE)[::-1].tolist())
            return np.asarray(crop(load(self.gz)))[0].T

        return read

    def torchio(self) -> Read:
        import torchio

        def read(start: NDArray[Any]) -> NDArray[np.float32]:
            subject = torchio.Subject(ct=torchio.ScalarImage(self.gz))
            patch = torchio.UniformSampler(SIZE[::-1]).crop(subject, tuple(start[::-1].tolist()), SIZE[::-1])
            return patch.ct.numpy()[0].T.astype(np.float32)

        return read


def _box(start: NDArray[Any]) -> tuple[slice, ...]:
    return tuple(slice(int(at), int(at) + length) for at, length in zip(start, SIZE, strict=True))


def _scene(context: Context) -> Patches:
    if "patches" not in context.shared:
        context.shared["patches"] = Patches(context)
    found: Patches = context.shared["patches"]
    return found


def _installed(calls: dict[str, Callable[[], Read]]) -> tuple[dict[str, Read], list[str]]:
    """Those that can be made, and the names of those whose package is missing."""
    made, absent = {}, []
    for name, make in calls.items():
        try:
            made[name] = make()
            made[name](np.zeros(3, int))
        except ImportError:
            absent.append(name)
    return made, absent


def _timed(scene: Patches, reads: dict[str, Read], *, rounds: int, before: Callable[[], None] = lambda: None) -> Timed:
    """All patches of the scene, two threads side by side on each side; a slow one takes fewer and is scaled."""
    expected = scene.volume.modality()
    for name, read in reads.items():
        for start in scene.starts[:2]:
            assert np.allclose(read(start), expected[_box(start)], atol=1e-2), f"{name} gives another patch"
    with ThreadPoolExecutor(THREADS) as pool:
        calls = {name: lambda read=read: list(pool.map(read, scene.starts)) for name, read in reads.items()}
        return alternate(calls, rounds=rounds, warm=1, before=before)


def _rates(timed: Timed, patches: int = _PATCHES) -> str:
    return ", ".join(f"{name} {patches / timed.median(name):.3g}/s" for name in timed.seconds)


@row("bulk.patches", must=3, aim=8, peers=("nibabel", "monai", "torchio"), any_peer=True)
def patches(context: Context) -> Measured:
    """Random 96³ patches, against the fastest of a nibabel .nii memory map, and uncached MONAI, TorchIO on .nii.gz."""
    scene = _scene(context)
    fast = {"nibabel map": scene.nibabel_map, "nibabel slices": scene.nibabel_slices}
    reads, _ = _installed({"ours": scene.ours, "ours kept": scene.kept, **fast})
    timed = _timed(scene, reads, rounds=context.rounds)
    slow, absent = _installed({"MONAI": scene.monai, "TorchIO": scene.torchio})
    remark = _rates(timed)
    if slow:
        scene.starts, kept = scene.starts[:_FEW], scene.starts
        remark += ", " + _rates(_timed(scene, slow, rounds=1), _FEW)
        scene.starts = kept
    remark += f"; not installed: {', '.join(absent)}" if absent else ""
    best = timed.fastest(list(fast))
    kept, room = timed.ratio(best, "ours kept")[0], scene.volume.dtype.itemsize * math.prod(scene.volume.shape) / 1e6
    remark += f"; with the sampler's cache, {room:.0f} MB that by then hold all of the volume, {kept:.2f}×"
    slices = timed.ratio("nibabel slices", "ours")[0]
    remark += f"; against {best}, a copy out of the page cache; {slices:.1f}× nibabel's own slicing"
    return Measured(*timed.ratio(best, "ours"), remark, timed.rounds)


@row("bulk.patches-blosc2", must=1, aim=1.5, peers=("blosc2",))
def patches_blosc2(context: Context) -> Measured:
    """Random 96³ patches, against Blosc2 arrays as nnU-Net keeps them, the faster of two block shapes."""
    scene = _scene(context)
    reads, _ = _installed(
        {
            "ours": scene.ours,
            "blosc2 24 x 32 x 32": partial(scene.blosc2, (24, 32, 32)),
            "blosc2 16 x 64 x 64": partial(scene.blosc2, (16, 64, 64)),
        }
    )
    timed = _timed(scene, reads, rounds=context.rounds)
    best = timed.fastest([name for name in reads if name != "ours"])
    return Measured(*timed.ratio(best, "ours"), _rates(timed), timed.rounds)


@row("bulk.patches-cold", must=None, aim=None, peers=("nibabel",))
def patches_cold(context: Context) -> Measured:
    """Random 96³ patches after these files left the page cache, against a nibabel .nii memory map."""
    scene = _scene(context)
    files = [scene.nii, scene.archive.root / scene.archive.series(scene.series_uid).generation]

    def forget() -> None:
        for path in files:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)

    reads: dict[str, Read] = {"ours": scene.ours()}

    def map_anew(start: NDArray[Any]) -> NDArray[np.float32]:
        return scene.nibabel_map()(start)  # A page that is mapped stays in the cache whatever is advised.

    reads["nibabel map"] = map_anew
    timed = _timed(scene, reads, rounds=max(3, context.rounds // 2), before=forget)
    return Measured(*timed.ratio("nibabel map", "ours"), _rates(timed), timed.rounds)
