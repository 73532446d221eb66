"""Pipelines: what TOML may say, what is refused and how, and that steps run in their order."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from reference import contrast
from test_enhancement import volume

from pacscore.errors import CancelledError, GeometryError, InputError
from pacscore.imaging.enhancement_steps import STEPS as ENHANCEMENTS
from pacscore.imaging.enhancement_steps import MatchHistogram
from pacscore.imaging.matching import read_bins, reference_histogram
from pacscore.imaging.pipeline import STEPS, Pipeline, Step
from pacscore.imaging.values import Window

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.toml"))


def test_steps_run_in_their_order_each_on_the_result_of_the_last():
    text = '[[step]]\nname = "median"\nsize = 3\n[[step]]\nname = "gaussian"\nsigma_mm = 1'
    result = Pipeline.parse(text).apply(volume())
    assert result.derivation == ("median 3", "Gaussian, sigma 1 mm")
    wanted = volume().enhance("median", size=3).enhance("gaussian", sigma_mm=1.0)
    np.testing.assert_array_equal(result.modality(), wanted.modality())


@pytest.mark.parametrize("name", STEPS)
def test_each_step_survives_its_own_dictionary(name):
    needed = {"series": "1.2.3", "spacing_mm": 2.0, "percent": 10, "sigma_value": 5, "strength": 3, "exponent": 0.5}
    given = {field.name: needed[field.name] for field in fields(STEPS[name].parameters) if field.name in needed}
    step = Step.of(name, given)
    told = step.as_dict()
    assert Step.of(told.pop("name"), told) == step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step = [", "no TOML"),
        ("", "1 to 256 steps"),
        ("steps = []", "no 'steps'"),
        ("description = 3\n[[step]]\nname='median'", "in quotes"),
        ("[step]\nname = 'median'", "double brackets"),
        ("[[step]]\nsize = 3", "Step 1 has no name"),
        ("[[step]]\nname = 'blur'", "Step 1: There is no step 'blur': choose one of bilateral, box"),
        (
            "[[step]]\nname='box'\n[[step]]\nname = 'median'\nsise = 3",
            "Step 2: median has no parameter 'sise': it takes size, planar",
        ),
        ("[[step]]\nname = 'nlm'", "nlm needs strength"),
        ("[[step]]\nname = 'median'\nsize = 3.5", "size of median must be int"),
        ("[[step]]\nname = 'median'\nsize = true", "size of median must be int"),
        ("[[step]]\nname = 'median'\nplanar = 1", "planar of median must be bool"),
        ("[[step]]\nname = 'gamma'\nexponent = 'a'", "exponent of gamma must be float"),
        ("[[step]]\nname='box'\n" * 257, "not 257"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name_and_place(text, message):
    with pytest.raises(InputError) as caught:
        Pipeline.parse(text)
    assert message in caught.value.message


def test_a_file_that_is_none_is_named(tmp_path: Path):
    for content in (None, b"\xff\xfe", b"#" * (1 << 21)):
        path = tmp_path / "steps.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            Pipeline.read(path)
        assert caught.value.fields["path"] == str(path)


def test_a_step_that_refuses_is_named_and_keeps_the_kind_of_its_error():
    flat = volume(spacing=(3.0, 0.5, 0.75))
    with pytest.raises(InputError, match="Step 2 median: A window"):
        Pipeline((Step.of("box", {}), Step.of("median", {"size": 2}))).apply(flat)
    from imaging_stand_in import Geometry

    with pytest.raises(GeometryError, match="Step 1 median"):
        Pipeline((Step.of("median", {}),)).apply(volume(geometry=Geometry("irregular", None, (None, 1.0, 1.0))))


def test_progress_names_the_step_and_cancelling_stops_between_them():
    heard, stop = [], threading.Event()

    def listen(phase, done, total):
        heard.append(phase)
        if phase.startswith("2"):
            stop.set()

    steps = tuple(Step.of(name, {}) for name in ("median", "box", "gaussian"))
    with pytest.raises(CancelledError):
        Pipeline(steps).apply(volume(), progress=listen, cancel=stop)
    assert set(heard) == {"1 median: median", "2 box: smoothing"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_runs(path: Path):
    pipeline = Pipeline.read(path)
    result = pipeline.apply(volume((2, 40, 48)))
    assert len(result.derivation) == len(pipeline.steps)


def test_the_documentation_names_every_step_and_parameter_of_enhancement():
    text = (Path(__file__).resolve().parents[2] / "docs" / "pipelines.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    for name, kind in ENHANCEMENTS.items():
        assert name in rows, f"docs/pipelines.md does not name {name}"
        for field in fields(kind):
            assert f"`{field.name}`" in rows[name], f"{name} has {field.name}, which docs/pipelines.md does not say"


def test_grid_and_window_are_steps_beside_filters():
    text = '[[step]]\nname = "resample"\nspacing_mm = [2.0, 2, 2]\n[[step]]\nname = "window"\ncenter = 10\nwidth = 100'
    shown = Pipeline.parse(text).apply(volume())
    assert shown.spacing_mm == (2.0, 2.0, 2.0)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown.array(), volume().resample(2.0).window(Window(10.0, 100.0)).array())


def test_a_window_step_needs_both_numbers_or_neither():
    for given in ({"center": 1.0}, {"preset": "bone", "center": 1.0, "width": 2.0}):
        with pytest.raises(InputError, match="center and width together"):
            Step.of("window", given)


def test_a_histogram_is_matched_to_a_series_or_to_a_file_of_bins(tmp_path):
    given = volume()
    other = given.with_array(np.abs(given.array()[::-1]) // 2 + 7, derivation="other")
    step = '[[step]]\nname = "match_histogram"\n'
    found = Pipeline.parse(step + 'series = "1.2.3"').apply(given, open_series={"1.2.3": other}.__getitem__)
    assert found.derivation == ("histogram matched to series 1.2.3",)
    wanted = contrast.match_histogram(given.modality(), other.modality())
    np.testing.assert_allclose(found.modality(), wanted, atol=0.51 + 1e-3 * np.ptp(wanted))
    exact = given.enhance(MatchHistogram(reference=other.modality().astype(np.int32)))
    np.testing.assert_allclose(found.modality(), exact.modality(), atol=1e-2)
    bins = reference_histogram(other)
    path = tmp_path / "bins.csv"
    np.savetxt(path, np.c_[bins.centers, bins.counts], delimiter=",", header="value,count", comments="")
    again = Pipeline.parse(step + f'file = "{path}"').apply(given)
    np.testing.assert_allclose(again.modality(), found.modality(), atol=1e-3)
    with pytest.raises(InputError, match="Step 1 match_histogram: match_histogram names a series"):
        Pipeline.parse(step + 'series = "1.2.3"').apply(given)
    with pytest.raises(InputError, match="one of them"):
        Pipeline.parse(step)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2", "two lines"),
        ("1,2\n3", "two numbers"),
        ("1,2\n2,x", "two numbers"),
        ("1,2\n2,3\n4,1", "equal steps"),
        ("2,2\n1,3", "equal steps"),
        ("1,0\n2,0", "not all 0"),
        ("1,-1\n2,3", "0 or more"),
    ],
)
def test_a_file_that_holds_no_bins_is_refused(tmp_path, text, message):
    path = tmp_path / "bins.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read_bins(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_bins(tmp_path / "none.csv")
