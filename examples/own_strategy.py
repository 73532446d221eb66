"""A strategy of one's own, and a codec of frames for it: LZMA, slow and small. In the pyproject.toml of your package:

[project.entry-points."pacscore.strategies"]
lzma-frames = "own_strategy:LZMA_FRAMES"
[project.entry-points."pacscore.frame_codecs"]
lzma = "own_strategy:LZMA"
"""

import lzma

import numpy as np

from pacscore.store.strategy import Codec, Strategy


class Lzma:
    def accepts(self, dtype: np.dtype) -> bool:
        return True

    def encode(self, frame: np.ndarray) -> bytes:
        return lzma.compress(frame.tobytes(), preset=1)

    def decode(self, data: bytes, out: np.ndarray) -> None:
        try:
            out[...] = np.frombuffer(lzma.decompress(data), out.dtype).reshape(out.shape)
        except lzma.LZMAError as error:
            raise ValueError("not what was written") from error


LZMA = Lzma()
LZMA_FRAMES = Strategy("lzma-frames", brick=None, codec=Codec("lzma", 1, ""), others=())
