"""Gallery entries of tomography: every method on real scans and on phantoms whose truth is known, with error maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gallery import Entry, timed
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pacscore import recon
from pacscore.recon import simulate

SIZE = 384
TURN = 2 * np.pi
PHANTOM = simulate.shepp_logan(90.0)


def grey(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values between two limits as a picture."""
    return (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def error_map(found: NDArray[Any], truth: NDArray[Any], reach: float) -> NDArray[np.uint8]:
    """Red where the result is too high, blue where it is too low."""
    part = np.clip((found - truth) / reach, -1, 1)
    picture = np.full((*part.shape, 3), 0.08)
    picture[..., 0] += np.maximum(part, 0) * 0.9
    picture[..., 2] += np.maximum(-part, 0) * 0.9
    picture[..., 1] += np.abs(part) * 0.25
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def profile(found: NDArray[Any], truth: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """A row of both as lines: the truth grey, the result orange."""
    width, height = SIZE * 2, SIZE // 2
    picture = Image.new("RGB", (width, height), (20, 23, 26))
    draw = ImageDraw.Draw(picture)
    for values, colour, thick in ((truth, (130, 140, 150), 5), (found, (255, 178, 62), 2)):
        x = np.linspace(4, width - 4, values.size)
        y = height - 6 - (values - low) / (high - low) * (height - 12)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), colour, width=thick)
    return np.asarray(picture)


def coloured(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey as RGB."""
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def with_errors(found: NDArray[Any], truth: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """The image, its error map, and the profile of its middle row below."""
    pair = np.concatenate([coloured(grey(found, low, high)), error_map(found, truth, (high - low) / 4)], axis=1)
    pair = np.asarray(Image.fromarray(pair).resize((SIZE * 2, SIZE), Image.Resampling.NEAREST))
    row = found.shape[0] * 2 // 5
    return np.concatenate([pair, profile(found[row], truth[row], low - 0.2 * (high - low), high + 0.2 * (high - low))])


def entries(data: Path) -> Iterator[Entry]:
    """Real scans, then every geometry and every method."""
    yield from _real(data / "recon")
    yield from _analytic()
    yield from _iterative()
    yield from _corrections()
    yield from _geometries()


def _real(folder: Path) -> Iterator[Entry]:
    raw = recon.read_projections(folder / "tooth.h5")
    scan = recon.line_integrals(raw.values, flats=raw.flats, darks=raw.darks)
    center, seconds = timed(lambda: recon.center_from_sharpness(scan.projections, raw.angles_rad, start=296.0))
    geometry = recon.ParallelGeometry(raw.angles_rad, 640, center_column=center, row_count=2)
    off = recon.ParallelGeometry(raw.angles_rad, 640, center_column=center + 3, row_count=2)
    wrong = recon.fbp(scan.projections, off, filter="hann")[0]
    slices, _ = timed(lambda: recon.fbp(scan.projections, geometry, filter="hann"))
    limits = np.percentile(slices[0], [2, 99.7]).tolist()
    part = np.s_[140:460, 180:500]
    yield Entry(
        f"Tooth: center of rotation by sharpness, column {center:.2f}",
        "Advanced Photon Source, 181 views, flat and dark fields, FBP with Hann; before: three columns off.",
        grey(wrong[part], *limits), grey(slices[0][part], *limits), seconds,
    )  # fmt: skip
    operator = recon.Projector(geometry, recon.planar_grid(geometry))
    few = np.arange(0, 181, 5)
    sparse = recon.ParallelGeometry(raw.angles_rad[few], 640, center_column=center, row_count=2)
    thin = recon.Projector(sparse, recon.planar_grid(sparse))
    before = recon.fbp(scan.projections[few], sparse, filter="hann")[0]
    found, seconds = timed(
        lambda: recon.fista_tv(scan.projections[few], thin, weight=0.4, iterations=60), warm=False
    )  # fmt: skip
    yield Entry(
        "Tooth from 37 views: total variation",
        f"FISTA-TV, 60 iterations, non-negative, operator {operator.shape}; before: FBP of the same views.",
        grey(before[part], *limits), grey(found.volume[0][part], *limits), seconds,
    )  # fmt: skip
    words = recon.read_projections(folder / "sinogram_360_neutron_image.tif").values.astype(np.float64)
    neutrons = -np.log(np.clip(words / np.percentile(words, 99), 1e-3, None))
    angles = np.linspace(0, TURN, neutrons.shape[0])
    turn = recon.ParallelGeometry(angles, 503, center_column=recon.center_from_opposite_views(neutrons, angles))
    ringed = recon.fbp(neutrons, turn, filter="hann")[0]
    for name, remove in (("mean", recon.remove_rings_by_mean), ("sorting", recon.remove_rings_by_sorting)):
        mended, seconds = timed(lambda remove=remove: remove(neutrons, width=15))
        image = recon.fbp(mended, turn, filter="hann")[0]
        limits = np.percentile(ringed, [2, 98.5]).tolist()
        yield Entry(
            f"Neutrons over a full turn: rings removed by {name}", "459 views; before: as measured.",
            grey(ringed[90:430, 80:420], *limits), grey(image[90:430, 80:420], *limits), seconds,
        )  # fmt: skip


def _analytic() -> Iterator[Entry]:
    grid = recon.Grid((1, 256, 256), 0.75)
    planar, truth = PHANTOM.cylinders(), PHANTOM.cylinders().on_grid(grid)[0]
    full = np.arange(540) * TURN / 540
    cases: dict[str, Any] = {
        "Parallel beams, half a turn": recon.ParallelGeometry(full[:270], 288, 0.75),
        "Fan on a flat detector, short scan with Parker's weights": recon.FanGeometry(full[:340], 300, 1.1, 400, 600),
        "Fan on an arc, detector set off, Wang's weights": recon.FanGeometry(
            full, 220, 1.1, 400, 600, curved=True, center_column=60.0
        ),
    }
    for title, geometry in cases.items():
        projections = planar.project(geometry)
        found, seconds = timed(lambda p=projections, g=geometry: recon.fbp(p, g, grid))
        note = f"{geometry}. Before: projections; after: slice, errors (red too high, full scale 0.15), a profile."
        yield Entry(title, note, _sinogram(projections[:, 0]), with_errors(found[0], truth, 0.0, 0.6), seconds)
    yield _fine_contrasts()
    cube = recon.Grid((160, 192, 192), 1.0)
    solid = PHANTOM.on_grid(cube)
    shape = {"row_count": 200, "column_count": 216, "row_spacing_mm": 1.6, "column_spacing_mm": 1.6}
    for title, more, angles in (
        ("FDK, full circle", {}, np.arange(360) * TURN / 360),
        ("FDK, short scan, cylindrical detector", {"curved": True}, np.arange(232) * TURN / 360),
        ("FDK, tilted and sagging detector", {"tilt_rad": 0.05}, np.arange(360) * TURN / 360),
    ):
        geometry = recon.ConeGeometry.circular(
            angles, source_to_axis_mm=500.0, source_to_detector_mm=750.0, **shape, **more
        )  # fmt: skip
        projections = PHANTOM.project(geometry)
        found, seconds = timed(lambda p=projections, g=geometry: recon.fdk(p, g, cube))
        note = f"{geometry}. Before: a view; after: the sagittal plane with its cone artefacts, errors, a profile."
        picture = with_errors(found[::-1, :, 96], solid[::-1, :, 96], 0.0, 0.6)
        yield Entry(title, note, _sinogram(projections[len(angles) // 4][::-1]), picture, seconds)
    yield _tilted()
    yield _helix()
    yield _helix(flies=True)


def _fine_contrasts() -> Entry:
    head, grid = simulate.forbild_head(), recon.Grid((1, 512, 512), 0.5)
    geometry = recon.FanGeometry(np.arange(1160) * TURN / 1160, 640, 0.75, 570, 1040, curved=True)
    projections, truth = head.project(geometry), head.on_grid(grid)[0]
    found, seconds = timed(lambda: recon.fbp(projections, geometry, grid, filter="hann"))
    note = f"{geometry}, Hann. The FORBILD head; water 1, window 1 to 1.1: lesions differ by 0.0025 to 0.01."
    return Entry(
        "Fine contrasts: the FORBILD head", note, _sinogram(projections[:, 0]),
        with_errors(found[0], truth, 1.0, 1.1), seconds,
    )  # fmt: skip


def _tilted() -> Entry:
    grid = recon.Grid((100, 96, 96), 2.0)
    geometry = recon.ConeGeometry.circular(
        np.arange(60) * TURN / 60, row_count=140, column_count=130, row_spacing_mm=2.5, column_spacing_mm=2.5,
        source_to_axis_mm=500.0, source_to_detector_mm=750.0, tilt_rad=0.1,
    )  # fmt: skip
    projections, truth = PHANTOM.project(geometry), PHANTOM.on_grid(grid)
    operator = recon.Projector(geometry, grid)
    found, seconds = timed(lambda: recon.os_sart(projections, operator, iterations=8, subsets=6, minimum=0.0).volume)
    note = f"{geometry}, OS-SART. Before: a view; after: the sagittal plane, errors, a profile."
    picture = with_errors(found[::-1, :, 48], truth[::-1, :, 48], 0.0, 0.6)
    return Entry("Tilted detector, iterative", note, _sinogram(projections[15][::-1]), picture, seconds)


def _helix(*, flies: bool = False) -> Entry:
    views = np.arange(480 * 4)
    spots = np.zeros((len(views), 3))
    if flies:  # A quarter of a column at the axis, each way.
        spots[:, 1] = np.where(views % 2, 0.4, -0.4)
    geometry = recon.HelicalGeometry(
        views * TURN / 480, 32.0, 32, 400, 1.8, 1.3, 570.0, 1026.0, start_z_lps=-64.0, focal_spot_mm=spots
    )
    body = simulate.Phantom(
        [1000.0, 60.0, -50.0, 40.0, 30.0], [[0, 0, 0], [40, 0, 5], [-40, 20, -10], [10, -50, 0], [-20, -30, 3]],
        [[105, 90, 500], [18, 18, 14], [15, 15, 12], [14, 14, 40], [5, 5, 5]],
    )  # fmt: skip
    grid = recon.Grid((24, 256, 256), (1.5, 0.9, 0.9))
    projections = body.project(geometry)
    found, seconds = timed(lambda: recon.wfbp(projections, geometry, grid))
    truth = body.on_grid(grid)
    note = f"{geometry}. Water with inserts of 30 to 60 HU; window 860 to 1140 (water 1000)."
    return Entry(
        f"Helix{', flying focal spot' if flies else ''}, weighted filtered backprojection", note,
        _sinogram(projections[300]),
        with_errors(found[14], truth[14], 860.0, 1140.0), seconds,
    )  # fmt: skip


def _sinogram(values: NDArray[Any]) -> NDArray[np.uint8]:
    return grey(values, 0.0, float(np.percentile(values, 99.5)))


def _iterative() -> Iterator[Entry]:
    grid = recon.Grid((1, 160, 160), 1.2)
    planar = PHANTOM.cylinders()
    truth = planar.on_grid(grid)[0]
    geometry = recon.ParallelGeometry(np.arange(48) * np.pi / 48, 180, 1.1)
    chance = np.random.default_rng(0)
    projections = planar.project(geometry)
    noisy = projections + chance.normal(0, 0.4, projections.shape).astype(np.float32)
    counts = chance.poisson(np.maximum(projections, 0) * 20).astype(np.float32)
    beam = chance.poisson(3e4 * np.exp(-projections * 0.02)).astype(np.float32)
    operator = recon.Projector(geometry, grid)
    before = with_errors(recon.fbp(noisy, geometry, grid)[0], truth, 0.0, 0.6)
    runs: dict[str, tuple[Callable[[], Any], float]] = {
        "SIRT, 80 iterations": (lambda: recon.sirt(noisy, operator, iterations=80, minimum=0.0), 1.0),
        "OS-SART, 8 subsets, 6 iterations": (
            lambda: recon.os_sart(noisy, operator, iterations=6, subsets=8, relaxation=0.7, minimum=0.0), 1.0,
        ),
        "SART, 2 iterations": (lambda: recon.sart(noisy, operator, iterations=2, relaxation=0.3), 1.0),
        "CGLS, 10 iterations": (lambda: recon.cgls(noisy, operator, iterations=10), 1.0),
        "FISTA-TV": (lambda: recon.fista_tv(noisy, operator, weight=0.6, iterations=80), 1.0),
        "Chambolle-Pock TV": (lambda: recon.chambolle_pock_tv(noisy, operator, weight=0.6, iterations=300), 1.0),
        "MLEM of 20 counts a unit, 40 iterations": (lambda: recon.mlem(counts, operator, iterations=40), 20.0),
        "OSEM, 8 subsets, 5 iterations": (lambda: recon.osem(counts, operator, iterations=5, subsets=8), 20.0),
        "ML-TR of 30,000 counts, 60 iterations": (
            lambda: recon.mltr(beam, operator, blank=3e4, iterations=60), 0.02,
        ),
    }  # fmt: skip
    for title, (run, scale) in runs.items():
        found, seconds = timed(run)
        note = f"48 noisy views of 180 columns; residual {found.residuals[-1]:.3g}. Before: FBP of the same views."
        yield Entry(title, note, before, with_errors(found.volume[0] / scale, truth, 0.0, 0.6), seconds)


def _corrections() -> Iterator[Entry]:
    grid = recon.Grid((1, 200, 200), 1.0)
    body = simulate.Phantom(
        [0.02, 0.003, -0.004, 0.02], [[0, 0, 0], [25, 10, 0], [-30, -15, 0], [5, -50, 0]],
        [[80, 70, 999], [18, 14, 999], [14, 18, 999], [8, 8, 999]],
    )  # fmt: skip
    metal = simulate.Phantom([0.35, 0.35], [[35, 35, 0], [-35, 40, 0]], [[4, 4, 999], [5, 3, 999]])
    geometry = recon.ParallelGeometry(np.arange(240) * np.pi / 240, 220)
    operator = recon.Projector(geometry, grid)
    true = body.project(geometry) + metal.project(geometry)
    measured = -np.log(np.mean([np.exp(-factor * true) for factor in (0.6, 1.0, 1.6)], axis=0))
    first = recon.fbp(measured, geometry, grid)
    mended, seconds = timed(
        lambda: recon.fbp(recon.interpolate_metal(measured, first, operator, threshold=0.12), geometry, grid)
    )
    yield Entry(
        "Metal: its shadow interpolated", "Two pins in water, three energies. Window -300 to 300 HU.",
        _hounsfield(first[0]), _hounsfield(mended[0]), seconds,
    )  # fmt: skip
    plain = body.project(geometry)
    hard = -np.log(np.mean([np.exp(-factor * plain) for factor in (0.5, 1.0, 1.9)], axis=0))
    coefficients = recon.fit_beam_hardening(hard, plain)
    straight, seconds = timed(lambda: recon.fbp(recon.linearize(hard, coefficients), geometry, grid))
    yield Entry(
        "Beam hardening linearized", "Water under three energies: cupping before. Window -300 to 300 HU.",
        _hounsfield(recon.fbp(hard, geometry, grid)[0]), _hounsfield(straight[0]), seconds,
    )  # fmt: skip
    narrow = recon.ParallelGeometry(geometry.angles, 120)
    cut = body.project(narrow)
    before = recon.fbp(cut, narrow, grid)[0]
    after, seconds = timed(
        lambda: recon.fbp(cut, narrow, grid, filter=recon.Filter(extrapolate=0.3))
    )  # fmt: skip
    part = np.s_[45:155, 45:155]
    yield Entry(
        "Truncation extrapolated", "A detector of 120 columns before a body of 160. Window -300 to 300 HU.",
        _hounsfield(before[part]), _hounsfield(after[0][part]), seconds,
    )  # fmt: skip


def _hounsfield(values: NDArray[Any]) -> NDArray[np.uint8]:
    return grey(recon.hounsfield(values, water=0.02), -300.0, 300.0)


def _geometries() -> Iterator[Entry]:
    cone = recon.ConeGeometry.circular(
        np.linspace(0, 3.9, 90), row_count=100, column_count=120, row_spacing_mm=1.5, column_spacing_mm=1.5,
        source_to_axis_mm=200.0, source_to_detector_mm=300.0, column_offset_mm=30.0, tilt_rad=0.1,
    )  # fmt: skip
    helix = recon.HelicalGeometry(np.linspace(0, 14, 150), 60.0, 32, 200, 2.0, 1.5, 200.0, 320.0, start_z_lps=-66.0)
    pictures = [
        timed(lambda one=one: np.asarray(one.picture(recon.Grid((60, 80, 80), 1.0), size=320))) for one in (cone, helix)
    ]
    yield Entry(
        "Geometries drawn", f"From the feet and from the side. {cone}. {helix}.", pictures[0][0], pictures[1][0],
        pictures[0][1],
    )  # fmt: skip
