"""A thumbnail of the middle image of every series, thousands in a few minutes.

cd examples
pacscore map ARCHIVE --function thumbnails:thumbnail --take series --out thumbnails
python thumbnails.py ARCHIVE thumbnails                     # the same from Python, with an index by UID
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pacscore
from pacscore import bulk

if TYPE_CHECKING:
    from PIL import Image

    from pacscore import Series


def thumbnail(series: Series, side: int = 128) -> Image.Image | None:
    """The middle frame of the largest stack, windowed and turned as a radiologist sees it; None without images."""
    volumes = [series.volume(number) for number in range(len(series.stacks))]
    if not volumes:
        return None
    largest = max(volumes, key=lambda volume: volume.frame_count)
    return largest.frame(largest.frame_count // 2).picture(size=(side, side))


def main(archive: str, out: str) -> None:
    """Write one PNG a series, and an index that names them by Series Instance UID."""
    with pacscore.open(archive, read_only=True) as opened:
        selection = opened.select()
    run = bulk.map(selection, thumbnail, take="series", run=out, progress=True)
    files = {result.item.series_instance_uid: Path(result.value).name for result in run if result.kind == "picture"}
    (Path(out) / "index.json").write_text(json.dumps(files, indent=1))
    print(f"{len(files)} thumbnails of {run.total} series.")


if __name__ == "__main__":
    main(*sys.argv[1:])
