"""Many series as files for other programs: one file a stack, a manifest that says of each where it came from.

E1  A series that cannot be exported is an entry with its reason; the others go out all the same.
E2  What a finished entry of the manifest says is proven again before it is skipped: the file has the SHA-256 it had.
E3  Names are those of ``naming``: no text from a header forms a path.
E4  A file appears when it is complete, and its entry after it: an interrupted export is simply run again.
E5  A series without images (RTSTRUCT, SR, PR and others) is left out of an export of images and said to be: that is no
    failure.
E6  One export at a time works in a folder; what an interrupted one left unfinished goes when the next begins.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pacscore
from pacscore.archive.report import Progress, Reported, no_progress
from pacscore.archive.selection import SelectedSeries, Selection, open_selected
from pacscore.bulk.manifest import MADE, MANIFEST, Exported, digest_of, read_manifest, write_manifest
from pacscore.bulk.naming import check_layout, file_stem
from pacscore.bulk.sidecars import sidecar
from pacscore.errors import InputError, PacscoreError, StorageError
from pacscore.filesystem import PENDING_PREFIX
from pacscore.imaging.outgoing import appearing, remove
from pacscore.locks import hold_lock
from pacscore.parallel import map_ordered

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive
    from pacscore.archive.instance import Instance
    from pacscore.archive.series import Series
    from pacscore.imaging import Volume
    from pacscore.imaging.pipeline import Pipeline

ENDINGS = {"nifti": (".nii", ".nii.gz"), "nrrd": (".nrrd", ".nrrd"), "hdf5": (".h5", ".h5"),
           "zarr": (".ome.zarr", ".ome.zarr"), "dicom": (".dcm", ".dcm")}  # fmt: skip
"""Of a file that is not compressed, and of one that is."""
LOCK = ".export.lock"


@dataclass(frozen=True, slots=True)
class VolumesReport(Reported):
    """What an export did: ``left_out`` are series without images, of which no image could be made."""

    written: int
    kept: int
    left_out: tuple[Exported, ...]
    failed: tuple[Exported, ...]
    bytes_out: int
    seconds: float
    entries: tuple[Exported, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Form:
    """How volumes go out, where to, and the entries of what went out before, by file."""

    out: Path
    format: str
    layout: str
    compress: bool
    pipeline: Pipeline | None
    before: dict[str, Exported] = field(default_factory=dict)

    @property
    def ending(self) -> str:
        return ENDINGS[self.format][self.compress]

    @property
    def made_by(self) -> str:
        steps = "" if self.pipeline is None else json.dumps([step.as_dict() for step in self.pipeline.steps])
        return f"{self.format}{self.ending}{' compressed' if self.compress else ''} {steps}".strip()


def export(
    selection: Selection,
    out: Path | str,
    *,
    format: str = "nifti",
    layout: str = "flat",
    compress: bool = False,
    pipeline: Pipeline | None = None,
    archive: Archive | None = None,
    progress: Progress | None = None,
) -> VolumesReport:
    """Write every stack of a selection as a file below ``out``, with ``manifest.csv`` and ``manifest.jsonl``.

    Run again it goes on: what the manifest says is there, and has its SHA-256, is kept.

    Parameters
    ----------
    selection : Selection
        Which series, in which generations.
    out : Path or str
        A folder; made if need be, its parent exists.
    format : str
        ``nifti``, ``nrrd``, ``hdf5``, ``zarr`` (OME-Zarr) or ``dicom`` (the originals, byte for byte, in their current
        versions).
    layout : str
        ``flat``, ``bids-like``, or a template such as ``{PatientID}/{StudyDate}/{Modality}``. Values are made safe, and
        every name ends in the archive's key of the series. With ``bids-like`` a JSON file beside each image states the
        acquisition as BIDS names it.
    compress : bool
        NIfTI as ``.nii.gz``, HDF5 with gzip.
    pipeline : Pipeline, optional
        Applied to each volume before.
    archive : Archive, optional
        Where the selection was made, if it is open already.
    progress : callable, optional
        Called after each series.

    Returns
    -------
    VolumesReport
        Each series that failed is an entry with its reason, and so is each without images, which is ``left_out``.

    Raises
    ------
    InputError
        There is no such format or layout; or originals were asked for through a pipeline.
    StorageError
        The folder or the manifest cannot be written.
    RetryError
        Another export is at work in the folder.
    """
    form = _Form(Path(out), _known(format), layout, compress, pipeline)
    check_layout(layout)
    if pipeline is not None and format == "dicom":
        raise InputError("Originals are exported as they are: name another format, or process and store the series.")
    if archive is None:
        with pacscore.open(selection.archive, read_only=True) as opened:
            return _export(opened, selection, form, progress or no_progress)
    return _export(archive, selection, form, progress or no_progress)


def _known(format: str) -> str:
    if format not in ENDINGS:
        raise InputError(f"There is no format {format!r}: take {', '.join(ENDINGS)}.", found=format)
    return format


def _export(archive: Archive, selection: Selection, form: _Form, progress: Progress) -> VolumesReport:
    start, out = time.perf_counter(), form.out
    try:
        out.mkdir(exist_ok=True)
        with hold_lock(out / LOCK, wait_seconds=0):
            _clear(out)
            found = read_manifest(out)
            write_manifest(out, ())  # Without a torn last line, behind which nothing could be appended.
            known = {entry.file: entry for entry in found if entry.file and entry.status in MADE}
            entries = _export_all(archive, selection, replace(form, before=known), progress)
            write_manifest(out, entries)
    except OSError as error:
        if isinstance(error, PacscoreError):
            raise
        raise StorageError(f"The export cannot be written: {error.strerror}.", path=str(out)) from error
    return VolumesReport(
        sum(entry.status == "written" for entry in entries),
        sum(entry.status == "kept" for entry in entries),
        tuple(entry for entry in entries if entry.status == "left out"),
        tuple(entry for entry in entries if entry.status == "failed"),
        sum(entry.bytes for entry in entries if entry.status == "written"),
        time.perf_counter() - start,
        tuple(entries),
    )


def _export_all(archive: Archive, selection: Selection, form: _Form, progress: Progress) -> list[Exported]:
    """Every series, each entry noted as soon as its file is there."""
    turn = threading.Lock()
    entries: list[Exported] = []
    # Many series side by side, each by one thread; the slabs of a single one by all.
    threads = 1 if len(selection) == 1 else archive._session.settings.threads()
    with (form.out / MANIFEST).open("a", encoding="utf-8") as manifest:

        def work(item: SelectedSeries) -> list[Exported]:
            made = []
            for entry in _series_entries(archive, item, form):
                with turn:
                    manifest.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
                    manifest.flush()
                made.append(entry)
            return made

        for number, made in enumerate(map_ordered(work, selection.items, threads=threads), 1):
            entries += made
            progress("exporting", number, len(selection))
    return entries


def _clear(out: Path) -> None:
    """Remove what an interrupted export left unfinished (E6)."""
    for path in sorted(out.rglob(f"{PENDING_PREFIX}*")):
        remove(path)


def _series_entries(archive: Archive, item: SelectedSeries, form: _Form) -> Iterator[Exported]:
    """The entries of one series (E1)."""
    try:
        series = open_selected(archive, item)
        stacks = len(series.stacks)
        instances = series.instances if form.format == "dicom" else ()
    except (PacscoreError, OSError, MemoryError) as error:
        yield _failed(item, form, error)
        return
    if form.format == "dicom":
        yield from _originals(series, instances, item, form)
        return
    if not stacks:
        yield _without_stack(series, item, form)
    for stack in range(stacks):
        stem = _stem(series, form, stack, stacks)
        try:
            yield _stack_entry(series, item, form, stem=stem, stack=stack)
        except (PacscoreError, OSError, MemoryError, ValueError) as error:
            yield _failed(item, form, error, file=stem + form.ending, stack=stack)


def _without_stack(series: Series, item: SelectedSeries, form: _Form) -> Exported:
    """The entry of a series of which there is nothing to show: no images (E5), or images that could not be read."""
    modality = str(series.document.get("Modality") or "")
    if any(rows is not None for rows in series._record.rows):  # Rows (0028,0010): what states them is an image.
        return Exported("", "failed", *_names(item), form.made_by, reason="Its pixel data cannot be read.")
    reason = f"There are no images in this series{f' ({modality})' if modality else ''}: its objects go out with dicom."
    return Exported("", "left out", *_names(item, series), form.made_by, reason=reason, modality=modality)


def _stack_entry(series: Series, item: SelectedSeries, form: _Form, *, stem: str, stack: int) -> Exported:
    file = stem + form.ending
    path = form.out / file
    kept = _kept(file, series, form)
    if kept is not None:
        _add_sidecar(series, stack, form, form.out / f"{stem}.json")
        return kept
    volume = series.volume(stack)
    if form.pipeline is not None:
        volume = form.pipeline.apply(volume)
    path.parent.mkdir(parents=True, exist_ok=True)
    if form.format == "zarr":  # A folder is not replaced; what is there is not proven, or made otherwise.
        remove(path)
    _add_sidecar(series, stack, form, form.out / f"{stem}.json")
    _write(volume, path, form, series)
    digest, size = digest_of(path)
    geometry = volume.geometry
    return Exported(
        file, "written", *_names(item, series), form.made_by, stack,
        sha256=digest, bytes=size, modality=volume.presentation.modality, verdict=str(geometry.verdict),
        findings=tuple(finding.code for finding in geometry.findings), shape=volume.shape, dtype=str(volume.dtype),
        spacing_mm=tuple(geometry.spacing_mm or ()), sop_instance_uids=tuple(dict.fromkeys(volume.sop_instance_uids)),
    )  # fmt: skip


def _add_sidecar(series: Series, stack: int, form: _Form, path: Path) -> None:
    """What was set at the scanner beside the image, where the layout is that of BIDS; nothing where it is there."""
    if form.layout != "bids-like":
        return
    text = sidecar(series, stack)
    if not path.is_file() or path.read_bytes() != text:
        with appearing(path) as pending:
            pending.write_bytes(text)


def _write(volume: Volume, path: Path, form: _Form, series: Series) -> None:
    single = volume.has_affine and not volume.index_to_lps[:3, 0].any()
    stated = series.document.get("SliceThickness")
    thickness = float(stated) if single and isinstance(stated, int | float) and stated > 0 else None
    if form.format == "nifti":
        volume.to_nifti(path, thickness_mm=thickness)
    elif form.format == "nrrd":
        volume.to_nrrd(path, thickness_mm=thickness)
    elif form.format == "hdf5":
        volume.to_hdf5(path, level=1 if form.compress else 0)
    else:
        volume.to_ome_zarr(path)


def _originals(series: Series, instances: Sequence[Instance], item: SelectedSeries, form: _Form) -> Iterator[Exported]:
    """The objects of a series, byte for byte, in a folder of its own."""
    stem = _stem(series, form, 0, 1)
    for instance in instances:
        file = f"{stem}/{instance.ordinal + 1:06d}.dcm"
        path = form.out / file
        try:
            kept = _kept(file, series, form)
            if kept is not None:
                yield kept
                continue
            data = instance.bytes()
            path.parent.mkdir(parents=True, exist_ok=True)
            with appearing(path) as pending:
                pending.write_bytes(data)
            yield Exported(
                file, "written", *_names(item, series), form.made_by, sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data), modality=str(series.document.get("Modality") or ""), verdict=series.verdict,
                sop_instance_uids=(instance.sop_instance_uid,),
            )  # fmt: skip
        except (PacscoreError, OSError, MemoryError) as error:
            yield _failed(item, form, error, file=file)


def _stem(series: Series, form: _Form, stack: int, stacks: int) -> str:
    study_key = hashlib.sha256(series.study_instance_uid.encode()).hexdigest()
    return file_stem(form.layout, series.document, key=series.key, study_key=study_key, stack=stack, stacks=stacks)


def _names(item: SelectedSeries, series: Series | None = None) -> tuple[str, str, str]:
    generation = item.generation if series is None else series.generation
    return item.study_instance_uid, item.series_instance_uid, generation


def _failed(item: SelectedSeries, form: _Form, error: BaseException, *, file: str = "", stack: int = 0) -> Exported:
    reason = error.message if isinstance(error, PacscoreError) else f"{type(error).__name__}: {error}"
    return Exported(file, "failed", *_names(item), form.made_by, stack, reason)


def _kept(file: str, series: Series, form: _Form) -> Exported | None:
    """The entry of a file that is there as it was made (E2)."""
    entry, path = form.before.get(file), form.out / file
    if entry is None or entry.made_by != form.made_by or entry.generation != series.generation or not entry.generation:
        return None
    if not path.exists() or digest_of(path) != (entry.sha256, entry.bytes):
        return None
    return replace(entry, status="kept")
