"""Rows about compressed originals: their volumes, kept as they came and with a working copy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from rows import Context, Measured, Unbuilt, row
from sealed import archive_of, files_of, fresh, sealed, series_uid
from timing import alternate

import pacscore

# The codec that decodes the frames here, too. For HTJ2K that is OpenJPEG: OpenJPH as it can be called from Python
# returns damaged frames as if they were whole (see dicom/codecs.py). Its rate stands in the remark.
_DECODERS = {"jpeg2000": "jpeg2k_decode", "jpegls": "jpegls_decode", "htj2k": "jpeg2k_decode"}
_FASTER = {"htj2k": ("OpenJPH", "htj2k_decode")}
_NAMES = {"jpeg2000": "JPEG 2000", "jpegls": "JPEG-LS", "htj2k": "HTJ2K"}


def _codestreams(context: Context, syntax: str) -> list[bytes]:
    import pydicom
    from make_series import make_encapsulated

    folder = make_encapsulated(context.series("made"), context.scratch, syntax)
    found = []
    for path in files_of(folder):
        (frame,) = pydicom.encaps.generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)
        found.append(frame)
    return found


def _decoding_alone(frames: list[bytes], decoder: str, out: Any) -> Callable[[], None]:
    """The codec and nothing else, each of two threads on half of the frames, into an array that is there already."""
    import imagecodecs

    decode = getattr(imagecodecs, decoder)
    pool = ThreadPoolExecutor(2)

    def half(start: int) -> None:
        for at in range(start, len(frames), 2):
            decode(frames[at], out=out[at])

    return lambda: list(pool.map(half, range(2))) and None


def _kept(context: Context, syntax: str) -> Measured:
    from make_series import make_encapsulated

    _, native = sealed(context, "made")
    _, series = archive_of(context, make_encapsulated(context.series("made"), context.scratch, syntax), syntax)
    volume = series.volume()
    frames = _codestreams(context, syntax)
    expected = native.volume().array()
    out = np.empty(volume.shape, np.uint16 if syntax == "jpegls" else volume.dtype)
    alone = _decoding_alone(frames, _DECODERS[syntax], out)
    alone()
    assert np.array_equal(out.view(volume.dtype), expected), "the codec alone decodes something else"
    assert np.array_equal(volume.array(), expected), "the volume is another"
    functions = {"ours": volume.array, "codec": alone}
    other, decoder = _FASTER.get(syntax, ("", ""))
    if other:
        functions[other] = _decoding_alone(frames, decoder, out)
    timed = alternate(functions, rounds=3 if context.quick else 7, warm=1)
    rate = expected.nbytes / 1e6
    words = [f"{rate / timed.median('ours'):.0f} MB/s", f"the codec alone {rate / timed.median('codec'):.0f} MB/s"]
    words += [f"{other}, which is not used, {rate / timed.median(other):.0f} MB/s"] if other else []
    detail = "; ".join(words)
    return Measured(*timed.ratio("codec", "ours"), detail, timed.rounds)


for _syntax, _name in _NAMES.items():
    row(
        f"core.volume-{_syntax}", must=0.9, aim=None, peers=("imagecodecs",),
        what=f"the whole volume of {_name} originals as a share of the raw codec's rate on two cores",
    )(partial(_kept, syntax=_syntax))  # fmt: skip


@row("core.volume-working-copy", must=0.9, aim=None, peers=("imagecodecs",))
def working_copy(context: Context) -> Measured:
    """The whole volume of JPEG 2000 originals with a working copy, as a share of the rate of the native series."""
    from make_series import make_encapsulated

    from pacscore.store.strategy import Strategy

    name = next((name for name, strategy in Strategy.known.items() if strategy.working_copy), None)
    if name is None:
        raise Unbuilt("no strategy keeps a working copy")
    _, native = sealed(context, "made")
    with pacscore.create(fresh(context.scratch / "archive-working-copy"), strategy=name) as archive:
        archive.ingest(make_encapsulated(context.series("made"), context.scratch, "jpeg2000"))
        copy, plain = archive.series(series_uid(archive)).volume(), native.volume()
        assert np.array_equal(copy.array(), plain.array())
        timed = alternate({"ours": copy.array, "native": plain.array}, rounds=context.rounds)
    return Measured(*timed.ratio("native", "ours"), f"{timed.median('ours') * 1e3:.1f} ms", timed.rounds)
