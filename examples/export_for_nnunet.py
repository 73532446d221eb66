"""A training set in the folders that nnU-Net reads: images as .nii.gz, isotropic or as they are, and dataset.json.

python examples/export_for_nnunet.py ARCHIVE OUT Modality=CT [spacing_mm]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pacscore
from pacscore import bulk
from pacscore.imaging import Pipeline


def export(archive: Path, out: Path, match: dict[str, str], spacing_mm: float | None = None) -> int:
    """Export every regular series that matches; returns how many cases there are."""
    pipeline = None
    if spacing_mm is not None:
        pipeline = Pipeline.parse(
            f'[[step]]\nname = "resample"\nspacing_mm = [{spacing_mm}, {spacing_mm}, {spacing_mm}]\n'
        )
    out.mkdir(exist_ok=True)
    with pacscore.open(archive, read_only=True) as opened:
        selection = opened.select(geometry="regular", **match)
        report = bulk.export(
            selection, out / "imagesTr", format="nifti", compress=True, layout="case_{key}_0000", pipeline=pipeline,
            archive=opened, progress=lambda phase, done, total: print(f"{phase} {done}/{total}", file=sys.stderr),
        )  # fmt: skip
    for entry in report.failed:
        print(f"left out: {entry.series_instance_uid}: {entry.reason}", file=sys.stderr)
    cases = report.written + report.kept
    dataset = {"channel_names": {"0": match.get("Modality", "image")}, "numTraining": cases, "file_ending": ".nii.gz"}
    (out / "dataset.json").write_text(json.dumps(dataset, indent=1) + "\n", "utf-8")
    return cases


if __name__ == "__main__":
    folder, target, *words = sys.argv[1:]
    spacing = float(words.pop()) if words and "=" not in words[-1] else None
    print(export(Path(folder), Path(target), dict(word.split("=", 1) for word in words), spacing), "cases")
