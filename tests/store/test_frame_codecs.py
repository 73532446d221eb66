"""Frames as codestreams: which stacks become them, and that damage is an error of ours."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from reference.store_series import Maker, smooth_words

from pacscore.errors import DamagedError, UnsupportedError
from pacscore.store.frame_codecs import frame_codec
from pacscore.store.generation import Generation

pytest.importorskip("imagecodecs", reason="imagecodecs comes with the extra 'codecs' (until 2027-12-31)")


def test_frames_of_integers_become_codestreams_and_other_stacks_the_default(stage) -> None:
    maker = Maker()
    maker.add_stack(smooth_words((3, 40, 30)))
    maker.add_stack(smooth_words((3, 9, 8), "float32"))
    maker.add_stack(smooth_words((3, 9, 8, 3), "uint8"), frame_rank=3)
    codecs = [stage(maker, "jpegls").array_source(stack).layout.codec.name for stack in range(3)]
    assert codecs == ["jpegls", "lz4", "lz4"]


@pytest.mark.parametrize("strategy", ["jpegls", "htj2k"])
def test_a_damaged_frame_is_refused_and_the_others_are_read(stage, strategy) -> None:
    words = smooth_words((3, 40, 30))
    words[:, 0, 0] = (-32768, 32767, 0)
    maker = Maker()
    maker.add_stack(words)
    generation = stage(maker, strategy)
    place = int(generation.array_source(0).index[1, 0]) + 100
    path = generation.file.path
    sound = path.read_bytes()
    path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    source = Generation.open(path).array_source(0)
    whole = slice(0, 40), slice(0, 30)
    np.testing.assert_array_equal(source.read((slice(2, 3), *whole)), words[2:])
    with pytest.raises(DamagedError):
        source.read((slice(0, 3), *whole))


@pytest.mark.parametrize("name", ["jpegls", "htj2k"])
def test_a_codestream_of_another_size_is_refused(name) -> None:
    codec = frame_codec(name)
    data = codec.encode(np.zeros((8, 9), np.uint16) + 7)
    with pytest.raises(ValueError, match="another size"):
        codec.decode(data, np.zeros((9, 8), np.uint16))


def test_what_is_missing_is_named_with_the_extra(stage, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    maker = Maker()
    maker.add_stack(smooth_words((3, 8, 8)))
    with pytest.raises(UnsupportedError, match=r"pacscore\[codecs\]"):
        stage(maker, "jpegls")
    with pytest.raises(UnsupportedError, match="there are jpegls, htj2k"):
        frame_codec("gif")
