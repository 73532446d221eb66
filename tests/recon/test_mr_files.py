"""Raw data from files: ISMRMRD as the format describes it, BART, NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ismrmrd_files as files
import numpy as np
import pytest

from pacscore import recon
from pacscore.errors import InputError, LimitError, NotFoundError, PacscoreError, UnsupportedError
from pacscore.recon import kspace_phantoms

PLAIN = files.encoding((8, 6, 1), (80, 60, 5), (8, 6, 1), (80, 60, 5))


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)


def planes(kspace: np.ndarray, **fields: Any) -> list[np.ndarray]:
    """Lines of ``(coils, ky, kx)``."""
    return [files.line(kspace[:, y], kspace_encode_step_1=y, **fields) for y in range(kspace.shape[1])]


def read(path: Path, **choices: Any) -> Any:
    with recon.IsmrmrdFile(path) as file:
        return file.read(**choices)


def test_lines_go_where_their_counters_say(tmp_path: Path) -> None:
    limits = (
        "<kspace_encoding_step_1><minimum>0</minimum><maximum>5</maximum><center>2</center></kspace_encoding_step_1>"
    )
    xml = files.header(files.encoding((8, 8, 1), (80, 60, 5), (8, 8, 1), (80, 60, 5), limits=limits))
    kspace = noise((2, 6, 8))
    data = read(files.write(tmp_path / "a.h5", xml, planes(kspace)))
    assert data.kspace.shape == (1, 2, 1, 8, 8)
    # The step of zero frequency, 2, lies at index 4.
    assert np.array_equal(data.kspace[0, :, 0, 2:8], kspace)
    assert not data.kspace[0, :, 0, :2].any()


def test_partial_echoes_discarded_samples_reversed_lines_and_averages(tmp_path: Path) -> None:
    kspace = noise((1, 6, 8))
    lines = planes(kspace)
    padded = np.concatenate([np.full((1, 3), 9), kspace[:, 0], np.full((1, 2), 9)], axis=1)
    lines[0] = files.line(padded, kspace_encode_step_1=0, discard_pre=3, discard_post=2, center_sample=7)
    lines[1] = files.line(kspace[:, 1, 2:], kspace_encode_step_1=1, center_sample=2)
    lines[2] = files.line(kspace[:, 2, ::-1], kspace_encode_step_1=2, center_sample=3, flags=(22,))
    lines.append(files.line(3 * kspace[:, 3], kspace_encode_step_1=3, average=1))
    data = read(files.write(tmp_path / "a.h5", files.header(PLAIN), lines))
    wanted = kspace.copy()
    wanted[:, 1, :2] = 0
    wanted[:, 3] *= 2
    assert np.allclose(data.kspace[0, :, 0], wanted, atol=1e-6)


def test_noise_calibration_and_other_scans_are_kept_apart(tmp_path: Path) -> None:
    kspace, extra = noise((2, 6, 8)), noise((2, 8), 5)
    bandwidth = "<relativeReceiverNoiseBandwidth>0.8</relativeReceiverNoiseBandwidth>"
    bandwidth = f"<acquisitionSystemInformation>{bandwidth}</acquisitionSystemInformation>"
    lines = [files.line(noise((2, 30), 6), flags=(19,), sample_time_us=10.0), *planes(kspace)[::2]]
    lines += [files.line(extra, kspace_encode_step_1=3, flags=(flag,)) for flag in (23, 24, 26, 27)]
    lines += [files.line(kspace[:, 3], kspace_encode_step_1=3, flags=(20,))]
    lines += [files.line(kspace[:, 5], kspace_encode_step_1=5, flags=(21,))]
    data = read(files.write(tmp_path / "a.h5", files.header(PLAIN, extra=bandwidth), lines))
    assert np.array_equal(np.flatnonzero(data.kspace[0].any(axis=(0, 1, 3))), [0, 2, 4, 5])
    assert np.array_equal(np.flatnonzero(data.calibration[0].any(axis=(0, 1, 3))), [3, 5])
    assert data.noise.shape == (2, 30)
    assert data.noise_bandwidth_ratio == pytest.approx(10 / 5 / 0.8)


def test_series_slices_and_encodings_are_told_apart(tmp_path: Path) -> None:
    kspace = noise((3, 2, 2, 6, 8))  # repetitions, slices, coils
    lines = [
        each
        for repetition in range(3)
        for number in range(2)
        for each in planes(kspace[repetition, number], repetition=repetition, slice=number, position=(0, 0, 7 * number))
    ]
    other = noise((2, 6, 8), 9)
    lines += planes(other, encoding_space_ref=1)
    path = files.write(tmp_path / "a.h5", files.header(PLAIN, PLAIN), lines)
    data = read(path)
    assert [axis.name for axis in data.axes] == ["repetition"]
    assert np.array_equal(data.kspace[:, :, :, 0], kspace)
    assert np.array_equal(read(path, encoding=1).kspace[0, :, 0], other)
    chosen = read(path, select={"repetition": 2, "slice": 1})
    assert np.array_equal(chosen.kspace[0, :, 0], kspace[2, 1])
    echoes = "<sequenceParameters><TE>2.5</TE><TE>5</TE></sequenceParameters>"
    lines = [*planes(kspace[0, 0], contrast=0), *planes(kspace[1, 0], contrast=1)]
    axis = read(files.write(tmp_path / "b.h5", files.header(PLAIN, extra=echoes), lines)).axes[0]
    assert (axis.name, axis.values, axis.unit) == ("echo_time", (2.5, 5.0), "ms")


def test_only_the_lines_that_are_asked_for_are_read(tmp_path: Path) -> None:
    kspace = noise((3, 2, 6, 8))
    lines = [each for number in range(3) for each in planes(kspace[number], repetition=number)]
    with recon.IsmrmrdFile(files.write(tmp_path / "a.h5", files.header(PLAIN), lines)) as file:
        table: Any = file._data
        asked: list[int] = []

        class Watched:
            def __getitem__(self, rows: slice | int) -> Any:
                asked.extend(range(len(lines))[rows] if isinstance(rows, slice) else [rows])
                return table[rows]

        file._data = Watched()
        assert np.array_equal(file.read(select={"repetition": 1}).kspace[0, :, 0], kspace[1])
    assert sorted(asked) == list(range(6, 12))


def test_trajectories_are_read_in_the_order_of_arrays(tmp_path: Path) -> None:
    trajectory = recon.Trajectory.radial((6, 8), 5, samples=10)
    samples = noise((2, 5, 10))
    xml = files.header(files.encoding((8, 6, 1), (80, 60, 5), (8, 6, 1), (80, 60, 5), trajectory="radial"))
    relative = trajectory.coordinates / np.array([6, 8])
    lines = [
        files.line(samples[:, spoke], kspace_encode_step_1=spoke, path=relative[spoke, :, ::-1]) for spoke in range(5)
    ]
    path = files.write(tmp_path / "a.h5", xml, lines)
    data = read(path)
    assert np.allclose(data.trajectory.coordinates, trajectory.coordinates, atol=1e-5)
    assert np.array_equal(data.samples[0], samples)
    assert np.allclose(read(path, trajectory_unit="cycles").trajectory.coordinates, relative, atol=1e-6)
    lines.append(files.line(samples[:, 0], repetition=1, path=relative[1, :, ::-1]))
    with pytest.raises(InputError, match="interleaves"):
        read(files.write(tmp_path / "b.h5", xml, lines))


def test_files_that_are_none_say_what_is_wrong(tmp_path: Path) -> None:
    kspace = noise((2, 6, 8))
    with pytest.raises(NotFoundError):
        recon.IsmrmrdFile(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="HDF5"):
        recon.IsmrmrdFile(tmp_path / "text.h5")
    good = files.write(tmp_path / "good.h5", files.header(PLAIN), planes(kspace))
    with pytest.raises(NotFoundError, match="dataset"):
        recon.IsmrmrdFile(good, dataset="other")
    for xml in (
        "<broken", "<a/>", files.header(), files.header(PLAIN.replace("<x>8</x>", "<x>many</x>")),
        files.header(PLAIN.replace("<x>80</x>", "<x>-1</x>")),
        files.header(PLAIN.replace("<x>8</x>", "<x>99999999</x>")),
        files.header(PLAIN.replace("cartesian", "")),
    ):  # fmt: skip
        with pytest.raises(InputError):
            recon.IsmrmrdFile(files.write(tmp_path / "bad.h5", xml, planes(kspace)))
    broken = {
        "step": files.line(kspace[:, 0], kspace_encode_step_1=7),
        "long": files.line(noise((2, 12)), kspace_encode_step_1=0),
        "coils": files.line(kspace[:1, 0], kspace_encode_step_1=0),
        "short": files.line(kspace[:, 0], kspace_encode_step_1=0, number_of_samples=9),
        "turned": files.line(kspace[:, 0], read_dir=(0, 1, 0), phase_dir=(1, 0, 0), slice_dir=(0, 0, 1)),
    }
    for record in broken.values():
        with pytest.raises(InputError):
            read(files.write(tmp_path / "bad.h5", files.header(PLAIN), [*planes(kspace), record]))
    with recon.IsmrmrdFile(good, bytes_max=100) as file, pytest.raises(LimitError):
        file.read()
    for choices in ({"encoding": 3}, {"select": {"repetition": 4}}):
        with pytest.raises(NotFoundError):
            read(good, **choices)
    for choices in ({"select": {"user": 0}}, {"trajectory_unit": "furlongs"}):
        with pytest.raises(InputError):
            read(good, **choices)
    with pytest.raises(UnsupportedError, match="Echo-planar"):
        read(files.write(tmp_path / "epi.h5", files.header(PLAIN.replace("cartesian", "epi")), planes(kspace)))


def test_bart_arrays_go_there_and_back(tmp_path: Path) -> None:
    kspace = noise((4, 3, 5, 6))
    recon.write_cfl(tmp_path / "k", kspace)
    assert (tmp_path / "k.hdr").read_text().split("\n")[1].split()[:4] == ["6", "5", "3", "4"]
    # The first dimension is the fastest, as BART has it.
    raw = np.fromfile(tmp_path / "k.cfl", np.complex64)
    assert np.array_equal(raw[:6], kspace[0, 0, 0])
    assert np.array_equal(recon.read_cfl(tmp_path / "k.cfl", squeeze=True), kspace)
    data = recon.read_raw(tmp_path / "k.hdr")
    assert np.array_equal(data.kspace[0], kspace)


def test_bart_dimensions_become_slices_and_series(tmp_path: Path) -> None:
    lengths = [1] * 16
    lengths[0], lengths[1], lengths[3], lengths[10], lengths[13] = 6, 5, 2, 4, 3
    array = noise(tuple(reversed(lengths)))
    recon.write_cfl(tmp_path / "series", array)
    data = recon.read_raw(tmp_path / "series.cfl")
    assert data.kspace.shape == (4, 3, 2, 1, 5, 6)
    assert [axis.name for axis in data.axes] == ["repetition"]
    assert np.array_equal(
        data.kspace[1, 2, :, 0], array.transpose(5, 2, *[n for n in range(16) if n not in {5, 2}])[1, 2].squeeze()
    )


def test_wrong_bart_and_numpy_files_are_refused(tmp_path: Path) -> None:
    recon.write_cfl(tmp_path / "k", noise((2, 3)))
    with pytest.raises(NotFoundError):
        recon.read_cfl(tmp_path / "missing")
    for text in ("", "# Dimensions\n", "# Dimensions\n3 x\n", "# Dimensions\n3 3\n", "# Dimensions\n0 2\n"):
        (tmp_path / "k.hdr").write_text(text)
        with pytest.raises(InputError):
            recon.read_cfl(tmp_path / "k")
    recon.write_cfl(tmp_path / "maps", noise((2, 3, 1, 4, 4)))
    np.save(tmp_path / "flat.npy", np.zeros(4))
    for name in ("maps.cfl", "flat.npy", "what.txt"):
        with pytest.raises(InputError):
            recon.read_raw(tmp_path / name)
    with pytest.raises(NotFoundError):
        recon.read_raw(tmp_path / "none.npy")
    with pytest.raises(InputError):
        recon.write_cfl(tmp_path / "empty", np.zeros((0, 2)))
    np.save(tmp_path / "k.npy", noise((2, 4, 4)))
    assert recon.read_raw(tmp_path / "k.npy").kspace.shape == (1, 2, 1, 4, 4)
    with pytest.raises(PacscoreError):
        recon.read_raw(tmp_path / "k.npy", select={})


def test_exact_k_space_of_phantoms_is_that_of_a_fine_raster() -> None:
    for dimensions, shape, fine in ((2, (9, 8), (216, 192)), (3, (5, 6, 7), (50, 60, 70))):
        phantom = (
            kspace_phantoms.Ellipsoid(
                1.0, (0.1, -0.05, 0.02)[3 - dimensions :], (0.2, 0.25, 0.3)[3 - dimensions :], 0.5
            ),
            kspace_phantoms.Ellipsoid(
                -0.5, (-0.05, 0.1, 0.1)[3 - dimensions :], (0.1, 0.1, 0.2)[3 - dimensions :], -1.0
            ),
        )
        exact = kspace_phantoms.phantom_kspace(phantom, shape, coils=3)
        raster = kspace_phantoms.coil_maps(3, fine) * kspace_phantoms.phantom_image(phantom, fine, subsamples=2)
        axes = tuple(range(1, dimensions + 1))
        spectrum = recon.centred_fft(raster, axes=axes) * np.sqrt(np.prod(shape) / np.prod(fine))
        middle = tuple(slice(f // 2 - n // 2, f // 2 - n // 2 + n) for f, n in zip(fine, shape, strict=True))
        assert np.abs(exact - spectrum[(slice(None), *middle)]).max() < 0.01 * np.abs(exact).max()
