"""The figures' own arithmetic: a wrong verdict would be believed."""

import math
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch):
    """The folder of figures, importable as its programs see it."""
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if BENCH in Path(getattr(sys.modules[name], "__file__", None) or "/").parents:
            del sys.modules[name]


def judged(value, *, must, aim, higher=True):
    from rows import Figure

    return Figure("core.x", "", value, value, value, 1, "×", must, aim, higher, {}, "").verdict


@pytest.mark.usefixtures("bench")
def test_a_row_without_an_aim_is_judged_by_its_must():
    assert judged(0.5, must=1.0, aim=None) == "MISSED"
    assert judged(1.0, must=1.0, aim=None) == "must"


@pytest.mark.usefixtures("bench")
def test_the_better_side_of_a_bound_is_the_one_the_row_states():
    assert judged(2.0, must=1.0, aim=2.0) == "aim"
    assert judged(1.5, must=1.0, aim=2.0) == "must"
    assert judged(2.0, must=1.5, aim=1.0, higher=False) == "MISSED"
    assert judged(1.0, must=1.5, aim=1.0, higher=False) == "aim"


@pytest.mark.usefixtures("bench")
def test_what_is_not_built_misses_its_must():
    assert judged(math.nan, must=1.0, aim=None) == "MISSED"


@pytest.mark.usefixtures("bench")
def test_ratios_are_of_pairs_and_not_of_medians():
    from timing import Timed

    timed = Timed({"slow": [2.0, 40.0, 6.0], "fast": [1.0, 20.0, 1.0]})
    assert timed.ratio("slow", "fast") == (2.0, 2.0, 4.0)


@pytest.mark.usefixtures("bench")
def test_a_missing_peer_is_named_and_only_the_last_one_stops_a_row(tmp_path):
    from rows import NOT_INSTALLED, Context, Measured, Missing, Row

    def measured(context):
        return Measured(1.0, 1.0, 1.0)

    context = Context(tmp_path, tmp_path, quick=True)
    some = Row("core.x", "", measured, "×", 1.0, None, True, ("numpy", "no-such-peer"), True)
    assert some.measure(context).peers["no-such-peer"] == NOT_INSTALLED
    none = Row("core.x", "", measured, "×", 1.0, None, True, ("no-such-peer",), True)
    with pytest.raises(Missing, match="no-such-peer"):
        none.measure(context)


@pytest.mark.usefixtures("bench")
def test_varied_headers_are_as_long_and_differ_in_the_values_of_instances_only(data):
    import core_headers
    from rows import Context

    context = Context(data, data, quick=True)
    ((head, size), *_) = core_headers._headers(context, "scanner")
    varied = core_headers._varied(head, size, 7)
    assert len(varied) == len(head)
    assert 0 < sum(a != b for a, b in zip(head, varied, strict=True)) <= 3 * len(core_headers._OF_INSTANCES)


@pytest.mark.usefixtures("bench")
def test_a_page_of_several_runs_takes_the_later_figure_and_names_what_was_not_measured(tmp_path):
    import json

    from figures import load_rows, page_of
    from rows import Figure

    load_rows()
    paths = []
    for name, value in (("first", 1.0), ("second", 7.5)):
        figure = Figure("core.walk", "the walk", value, value, value, 1, "×", 5.0, None, True, {}, "")
        paths.append(tmp_path / f"{name}.json")
        record = {"machine": name, "absent": {"core.header": "no data"}, "figures": [figure.as_dict()]}
        paths[-1].write_text(json.dumps(record), "utf-8")
    before = tmp_path / "page.md"
    before.write_text("| row | what |\n|---|---|\n| core.walk | x | 3× |\n| core.header-real | kept | 2× |\n", "utf-8")
    page = page_of(paths, before)
    assert "| core.header-real | kept | 2× |" in page
    assert "| core.walk | the walk | 7.5× | ≥ 5× | – | must |" in page
    assert "| core.header | | not measured | | | | | | no data |" in page
    assert "not in these runs" in page
    assert page.index("first") < page.index("second")
