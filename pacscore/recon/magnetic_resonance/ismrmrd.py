"""ISMRMRD files: measurements of any vendor in HDF5 (Inati et al. 2017), read lazily with h5py.

I1  Opening reads the XML header and the acquisitions' headers; samples are read when an encoding is, some at a time.
I2  Lines are placed by the header: encoding counters about the limits' center, samples about ``center_sample``.
I3  Only imaging lines enter the image: noise, calibration, navigators, phase correction and dummies are told apart by
    their flags.
I4  Numbers from the file are checked before anything is allocated from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, LimitError, NotFoundError, UnsupportedError
from pacscore.geometry import Axis
from pacscore.recon.magnetic_resonance.ismrmrd_header import Encoding, IsmrmrdHeader, parse_header
from pacscore.recon.magnetic_resonance.libraries import optional
from pacscore.recon.magnetic_resonance.raw import CartesianData, FieldOfView, NonCartesianData
from pacscore.recon.magnetic_resonance.trajectories import Trajectory
from pacscore.settings import Settings

Complex64 = NDArray[np.complex64]

_ROWS = 256
_SERIES = ("contrast", "phase", "repetition", "set")
# Flags, numbered from 1 in the format.
_NOISE, _CALIBRATION, _CALIBRATION_AND_IMAGE, _REVERSE = 19, 20, 21, 22
_OTHER = (23, 24, 26, 27, 28, 29, 30, 31)


class IsmrmrdFile:
    """An open ISMRMRD file; a context manager.

    Parameters
    ----------
    path : str or Path
        The file.
    dataset : str
        The group that holds ``xml`` and ``data``.
    bytes_max : int
        An encoding whose k-space would be larger is refused.

    Attributes
    ----------
    header : IsmrmrdHeader
        What the XML header says.
    acquisitions : NDArray
        The headers of all lines, structured as in the format.

    Raises
    ------
    InputError
        It is no ISMRMRD file, or its header is not well-formed.
    NotFoundError
        There is no such file or group.
    UnsupportedError
        h5py is not installed.
    """

    def __init__(self, path: str | Path, *, dataset: str = "dataset", bytes_max: int = 1 << 35) -> None:
        h5py = optional("h5py")
        try:
            self._file = h5py.File(path, "r")
        except FileNotFoundError as error:
            raise NotFoundError("There is no file of that name.") from error
        except OSError as error:
            raise InputError("This is not an HDF5 file, or a damaged one.") from error
        try:
            if dataset not in self._file:
                names = ", ".join(sorted(self._file)) or "none"
                raise NotFoundError(f"The file has no group {dataset!r}; there are: {names}.")
            group = self._file[dataset]
            if "xml" not in group or "data" not in group or group["data"].dtype.names is None:
                raise InputError(f"The group {dataset!r} holds no ISMRMRD header (xml) and acquisitions (data).")
            text = group["xml"][0]
            if len(text) > Settings().header_bytes_max:
                raise LimitError("The XML header is too long.", found=len(text))
            self.header: IsmrmrdHeader = parse_header(text)
            self._data = group["data"]
            self.acquisitions: NDArray[Any] = self._data.fields("head")[:]
        except BaseException:
            self._file.close()
            raise
        self._bytes_max = bytes_max

    def __enter__(self) -> IsmrmrdFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays."""
        self._file.close()

    def read(
        self, encoding: int = 0, *, select: Mapping[str, int] | None = None, trajectory_unit: str = "relative"
    ) -> CartesianData | NonCartesianData:
        """Read one encoding space.

        Parameters
        ----------
        encoding : int
            Which; files of several scans have more than one.
        select : mapping, optional
            Only lines with these counters: ``{"repetition": 3}``; of contrast, phase, repetition, set, slice, average.
        trajectory_unit : str
            What stored coordinates are: ``relative``, fractions of the sampled k-space from -0.5 to 0.5; ``cycles`` per
            field of view. The format does not say, so nothing is guessed.

        Returns
        -------
        CartesianData or NonCartesianData
            Averages are averaged. Of the series, axes of length 1 are left out.

        Raises
        ------
        NotFoundError
            There is no such encoding, or it has no imaging lines.
        InputError
            Lines contradict the header or each other.
        UnsupportedError
            Echo-planar data, which need corrections that are not done here.
        LimitError
            The k-space would be larger than ``bytes_max``.
        """
        if not 0 <= encoding < len(self.header.encodings):
            raise NotFoundError(f"There are {len(self.header.encodings)} encodings, no number {encoding}.")
        space = self.header.encodings[encoding]
        if space.trajectory == "epi":
            raise UnsupportedError("Echo-planar data need phase correction and regridding of ramps; not done here.")
        if trajectory_unit not in {"relative", "cycles"}:
            raise InputError("trajectory_unit is relative or cycles.", found=trajectory_unit)
        heads = self.acquisitions
        mine = heads["encoding_space_ref"] == encoding
        for name, wanted in (select or {}).items():
            if name not in {*_SERIES, "slice", "average"}:
                raise InputError(f"Lines cannot be selected by {name!r}.", found=name)
            mine = mine & (heads["idx"][name] == wanted)
        flags = heads["flags"]
        other = _has(flags, _NOISE) | np.logical_or.reduce([_has(flags, flag) for flag in _OTHER])
        imaging = np.flatnonzero(mine & ~other & (~_has(flags, _CALIBRATION) | _has(flags, _CALIBRATION_AND_IMAGE)))
        if not imaging.size:
            raise NotFoundError("No imaging line goes by that encoding and selection.")
        axes, places = self._series(imaging)
        view = self._field_of_view(space, imaging)
        noise, ratio = self._noise(imaging)
        if space.trajectory == "cartesian":
            calibration = np.flatnonzero(
                mine & ~other & (_has(flags, _CALIBRATION) | _has(flags, _CALIBRATION_AND_IMAGE))
            )
            lead = tuple(len(axis.values) for axis in axes)
            kspace = self._lines(space, imaging, places, lead)
            return CartesianData(
                kspace, view, axes, noise, ratio, self._lines(space, calibration, [], ()) if calibration.size else None
            )
        samples, trajectory = self._interleaves(space, imaging, places, axes, trajectory_unit)
        return NonCartesianData(samples, trajectory, view, axes, noise, ratio)

    def _series(self, rows: NDArray[np.int64]) -> tuple[tuple[Axis, ...], list[NDArray[np.int64]]]:
        """The axes that vary, and each line's index along them."""
        axes, places = [], []
        for name in _SERIES:
            values, index = np.unique(self.acquisitions["idx"][name][rows], return_inverse=True)
            if len(values) > 1:
                axes.append(self.header.axis(name, values.tolist()))
                places.append(index.reshape(-1))
        return tuple(axes), places

    def _slices(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        values, index = np.unique(self.acquisitions["idx"]["slice"][rows], return_inverse=True)
        return values, index.reshape(-1)

    def _field_of_view(self, space: Encoding, rows: NDArray[np.int64]) -> FieldOfView:
        heads = self.acquisitions[rows]
        slices, index = self._slices(rows)
        first = [int(np.argmax(index == number)) for number in range(len(slices))]
        head = heads[0]
        directions = [tuple(float(value) for value in head[name]) for name in ("read_dir", "phase_dir", "slice_dir")]
        if not any(map(any, directions)):  # Generators leave them empty: the axes of the patient, then.
            directions = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
        for name, direction in zip(("read_dir", "phase_dir", "slice_dir"), directions, strict=True):
            if heads[name].any() and np.abs(heads[name] - np.array(direction, np.float32)).max() > 1e-3:
                raise UnsupportedError("Slices of several orientations: select one by its slice counter.")
        positions = heads["position"][first].astype(np.float64)
        if len(slices) > 1 and not np.ptp(positions, axis=0).any():
            raise InputError("All slices state one position, so that no volume can be made: select one slice.")
        shape = (len(slices) if len(slices) > 1 else space.recon_shape[0], *space.recon_shape[1:])
        (a, b, c) = directions
        return FieldOfView(
            shape, space.recon_mm, space.encoded_mm, positions, (a[0], a[1], a[2]), (b[0], b[1], b[2]),
            (c[0], c[1], c[2]),
        )  # fmt: skip

    def _lines(
        self, space: Encoding, rows: NDArray[np.int64], places: list[NDArray[np.int64]], lead: tuple[int, ...]
    ) -> Complex64:
        """k-space ``(*lead, slices, coils, kz, ky, kx)``, lines measured more than once averaged."""
        heads = self.acquisitions[rows]
        slices, index = self._slices(rows)
        coils = self._one(heads["active_channels"], "numbers of coils")
        shape = (*lead, len(slices), coils, *space.encoded_shape)
        self._check_size(shape)
        kz = heads["idx"]["kspace_encode_step_2"].astype(np.int64) - space.centers[0] + space.encoded_shape[0] // 2
        ky = heads["idx"]["kspace_encode_step_1"].astype(np.int64) - space.centers[1] + space.encoded_shape[1] // 2
        for steps, length, name in ((kz, space.encoded_shape[0], "2"), (ky, space.encoded_shape[1], "1")):
            if steps.min() < 0 or steps.max() >= length:
                raise InputError(f"Encoding step {name} of a line lies outside the matrix of {length}.")
        kspace = np.zeros(shape, np.complex64)
        counts = np.zeros((*lead, len(slices), *space.encoded_shape[:2]), np.int64)
        width = space.encoded_shape[2]
        for number, (_, data) in self._samples(rows):
            first = int(heads["discard_pre"][number])
            line = data[:, first : data.shape[1] - int(heads["discard_post"][number])]
            centre = int(heads["center_sample"][number]) - first
            if _has(heads["flags"][number], _REVERSE):
                line, centre = line[:, ::-1], line.shape[1] - 1 - centre
            start = width // 2 - centre
            if start < 0 or start + line.shape[1] > width:
                raise InputError(
                    f"A line of {line.shape[1]} samples about sample {centre} leaves the matrix of {width}."
                )
            series = tuple(int(place[number]) for place in places)
            kspace[
                (*series, index[number], slice(None), kz[number], ky[number], slice(start, start + line.shape[1]))
            ] += line
            counts[(*series, index[number], kz[number], ky[number])] += 1
        if counts.max(initial=0) > 1:
            kspace /= np.maximum(counts, 1)[..., None, :, :, None].astype(np.float32)
        return kspace

    def _interleaves(
        self, space: Encoding, rows: NDArray[np.int64], places: list[NDArray[np.int64]], axes: tuple[Axis, ...],
        unit: str,
    ) -> tuple[Complex64, Trajectory]:  # fmt: skip
        heads = self.acquisitions[rows]
        slices, index = self._slices(rows)
        coils = self._one(heads["active_channels"], "numbers of coils")
        dimensions = self._one(heads["trajectory_dimensions"], "trajectory dimensions")
        kept = heads["number_of_samples"].astype(np.int64) - heads["discard_pre"] - heads["discard_post"]
        count = self._one(kept, "numbers of samples")
        lead = (*(len(axis.values) for axis in axes), len(slices))
        frames = np.ravel_multi_index((*places, index), lead)
        interleaves = self._one(np.bincount(frames, minlength=math.prod(lead)), "numbers of interleaves in a frame")
        if dimensions not in {2, 3}:
            raise InputError(f"A trajectory has 2 or 3 dimensions, not {dimensions}.", found=dimensions)
        self._check_size((*lead, coils, interleaves, count))
        samples = np.empty((math.prod(lead), coils, interleaves, count), np.complex64)
        coordinates = np.empty((math.prod(lead), interleaves, count, dimensions), np.float32)
        filled = np.zeros(math.prod(lead), np.int64)
        for number, (path, data) in self._samples(rows):
            first = int(heads["discard_pre"][number])
            frame = int(frames[number])
            samples[frame, :, filled[frame]] = data[:, first : first + count]
            # Stored as (x, y, z); arrays are (z, y, x).
            coordinates[frame, filled[frame]] = path[first : first + count, ::-1]
            filled[frame] += 1
        if np.abs(coordinates - coordinates[0]).max() > 1e-6:
            raise UnsupportedError(
                "Frames lie on trajectories of their own: select one slice and repetition at a time."
            )
        shape = space.encoded_shape if dimensions == 3 else space.encoded_shape[1:]
        scale = np.array(shape if unit == "relative" else (1,) * dimensions)
        return samples.reshape(*lead, coils, interleaves, count), Trajectory(coordinates[0] * scale, shape)

    def _noise(self, imaging: NDArray[np.int64]) -> tuple[Complex64 | None, float]:
        heads = self.acquisitions
        coils = heads["active_channels"][imaging[0]]
        rows = np.flatnonzero(_has(heads["flags"], _NOISE) & (heads["active_channels"] == coils))
        if not rows.size:
            return None, 1.0
        noise = np.concatenate([data for _, (_, data) in self._samples(rows)], axis=1)
        dwell, own = (float(heads["sample_time_us"][row]) for row in (imaging[0], rows[0]))
        ratio = own / dwell if dwell > 0 and own > 0 else 1.0
        return noise, ratio / (self.header.relative_receiver_noise_bandwidth or 1.0)

    def _samples(self, rows: NDArray[np.int64]) -> Any:
        """Yield ``number, (coordinates (samples, dimensions), samples (coils, samples))`` of the lines."""
        for start in range(0, len(rows), _ROWS):
            batch = rows[start : start + _ROWS]
            low, high = int(batch[0]), int(batch[-1]) + 1
            if high - low <= 4 * _ROWS:
                table = self._data[low:high]
                records = [table[row - low] for row in batch]
            else:
                records = [self._data[int(row)] for row in batch]
            for number, record in enumerate(records, start):
                head = record["head"]
                coils, count = int(head["active_channels"]), int(head["number_of_samples"])
                dimensions = int(head["trajectory_dimensions"])
                if record["data"].size != 2 * coils * count or record["traj"].size < dimensions * count:
                    raise InputError(f"Line {int(rows[number])} does not hold the samples that its header states.")
                values = np.ascontiguousarray(record["data"], np.float32).view(np.complex64)
                yield number, (record["traj"].reshape(count, -1), values.reshape(coils, count))

    def _one(self, values: NDArray[Any], what: str) -> int:
        distinct = np.unique(values)
        if len(distinct) != 1 or distinct[0] < 1:
            raise InputError(f"The lines have different {what}: {distinct[:8].tolist()}. Select some of them.")
        return int(distinct[0])

    def _check_size(self, shape: tuple[int, ...]) -> None:
        size = math.prod(map(int, shape)) * 8
        if size > self._bytes_max:
            raise LimitError(
                f"k-space {shape} takes {size >> 20} MiB, more than bytes_max. Select a part, or raise the limit.",
                expected=self._bytes_max, found=size,
            )  # fmt: skip


def _has(flags: Any, flag: int) -> Any:
    return (np.asarray(flags) & np.uint64(1 << (flag - 1))) != 0
