"""Load the catalog with a million real series and ask it questions.

    python bench/catalog_load.py INDEX.parquet [--copies 52] [--folder DIR] [--keep]

INDEX.parquet is a table of series with DICOM keywords as columns (such as the index of the Imaging Data Commons, or a
sample of it). Copies get UIDs and patients of their own, so that identities stay as rare as in a real archive.
Prints rows: what, p50, p99 or rate, and the goals.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pacscore.catalog import Catalog, InstanceColumns, SeriesRow

KEYWORDS = (
    "PatientID", "PatientAge", "PatientSex", "StudyDate", "StudyDescription", "BodyPartExamined", "Modality",
    "PhotometricInterpretation", "PixelRepresentation", "Manufacturer", "ManufacturerModelName", "SeriesDate",
    "SeriesDescription", "SeriesNumber",
)  # fmt: skip
ASKED = (
    "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "Modality", "PatientSex", "SeriesDescription",
    "StudyDate",
)  # fmt: skip
MORE = ("collection_id", "license_short_name", "source_DOI", "TransferSyntaxUID")
NUMBERS = frozenset({"PixelRepresentation", "SeriesNumber"})


def rows_of(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    wanted = [*KEYWORDS, *MORE, "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "instanceCount"]
    rows = table.select(wanted).to_pylist()
    for row in rows:
        for keyword in ("StudyDate", "SeriesDate"):
            row[keyword] = (row[keyword] or "").replace("-", "") or None
        for keyword in NUMBERS:
            row[keyword] = int(row[keyword]) if (row[keyword] or "").lstrip("-").isdigit() else row[keyword]
    return rows


def entries(rows: list[dict[str, Any]], copies: int, instances: bool) -> Iterator[tuple[SeriesRow, InstanceColumns]]:
    for copy in range(copies):
        mark = f".{copy}" if copy else ""
        for row in rows:
            study, series = row["StudyInstanceUID"] + mark, row["SeriesInstanceUID"] + mark
            document = {keyword: row[keyword] for keyword in KEYWORDS if row[keyword] is not None}
            document["PatientID"] = f"{row['PatientID']}{mark}"
            for name in MORE:
                document[f"IDC:0013xx{MORE.index(name):02X}"] = row[name] or ""
            key = hashlib.sha256(f"{study}/{series}".encode()).hexdigest()[:32]
            count = row["instanceCount"] if instances else 0
            columns = InstanceColumns([f"{series}.{at}" for at in range(count)], [row["SOPClassUID"]])
            yield SeriesRow(key, study, series, document, f"series/{key}", verdict="regular", stated_by=series), columns


def timed(call: Callable[[dict[str, Any]], list[Any]], rows: list[dict[str, Any]], repeats: int) -> str:
    seconds = []
    count = 0
    for at in range(repeats):
        row = rows[at % len(rows)]
        begin = time.perf_counter()
        count += len(call(row))
        seconds.append(time.perf_counter() - begin)
    seconds.sort()
    worst = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
    mean = count / repeats
    return f"p50 {seconds[len(seconds) // 2] * 1e3:8.2f} ms   p99 {worst * 1e3:8.2f} ms   {mean:5.1f} answers"


def three_keys(row: dict[str, Any], chooser: random.Random) -> dict[str, Any]:
    stated = [name for name in ASKED if row[name] is not None]
    return {name: row[name] for name in chooser.sample(stated, min(3, len(stated)))}


def part_of(text: str, chooser: random.Random) -> str:
    words = [word for word in text.replace("*", " ").replace("?", " ").split() if len(word) >= 3]
    word = chooser.choice(words) if words else text
    return f"*{word[: chooser.randint(3, 8)]}*"


def questions(catalog: Catalog, rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    chooser = random.Random(0)
    sample = chooser.sample(rows, min(300, len(rows)))

    def ask(level: str, match: Callable[[dict[str, Any]], dict[str, Any]], **options: Any) -> Callable[..., list[Any]]:
        return lambda row: list(catalog.find(level, match(row), limit=100, **options))

    described = [row for row in sample if row["SeriesDescription"]]
    for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "BodyPartExamined",
                    "Manufacturer", "SeriesDescription", "StudyDate", "PatientSex", "StudyDescription"):  # fmt: skip
        having = [row for row in sample if row[keyword] is not None]
        for level in ("series", "study"):
            call = ask(level, lambda row, keyword=keyword: {keyword: row[keyword]})
            yield f"one key, {level}: {keyword}", timed(call, having, len(having)), "30 / 5"
    for level in ("series", "study"):
        call = ask(level, lambda row: three_keys(row, chooser))
        yield f"three keys, {level}", timed(call, sample, 300), "100 / 20"
    call = ask("series", lambda row: {"StudyDate": f"{row['StudyDate'][:6]}01-{row['StudyDate'][:6]}31"})
    yield "date range, series", timed(call, [row for row in sample if row["StudyDate"]], 200), "30 / 5"
    call = ask("series", lambda row: three_keys(row, chooser), order="-StudyDate")
    yield "three keys ordered by -StudyDate, series", timed(call, sample, 300), "250 / 50"
    yield (
        "all ordered by -StudyDate, study",
        timed(ask("study", lambda row: {}, order="-StudyDate"), sample, 100),
        "250 / 50",
    )
    yield (
        "all ordered by PatientID, series",
        timed(ask("series", lambda row: {}, order="PatientID"), sample, 20),
        "250 / 50",
    )
    call = ask("study", lambda row: {"ModalitiesInStudy": row["Modality"], "PatientSex": row["PatientSex"] or ""})
    yield "ModalitiesInStudy and PatientSex, study", timed(call, sample, 200), "250 / 50"
    call = ask("patient", lambda row: {"Modality": row["Modality"], "PatientID": row["PatientID"]})
    yield "PatientID and Modality, patient", timed(call, sample, 200), "250 / 50"
    call = ask("series", lambda row: {"StudyDescription": row["StudyDescription"] or "", "Modality": row["Modality"]})
    yield "StudyDescription and Modality, series", timed(call, sample, 200), "250 / 50"
    call = ask("series", lambda row: {"SeriesDescription": part_of(row["SeriesDescription"], chooser)})
    yield "*x* on SeriesDescription, series", timed(call, described, 300), "250 / 50"
    call = ask(
        "series", lambda row: {"SeriesDescription": part_of(row["SeriesDescription"], chooser), "Modality": "MR"}
    )
    yield "*x* on SeriesDescription and Modality, series", timed(call, described, 300), "250 / 50"
    call = ask("series", lambda row: {"IDC:0013xx00": row["collection_id"]})
    yield "no index, text that occurs, series", timed(call, sample, 20), "10000 / 2000"
    yield (
        "no index, text that does not, series",
        timed(ask("series", lambda row: {"IDC:0013xx00": "nowhere"}), sample, 2),
        "10000 / 2000",
    )
    yield (
        "no index, number that does not, series",
        timed(ask("series", lambda row: {"PixelRepresentation": 7}), sample, 2),
        "10000 / 2000",
    )
    yield (
        "no index, *x* that does not, study",
        timed(ask("study", lambda row: {"IDC:0013xx01": "*nowhere*"}), sample, 2),
        "10000 / 2000",
    )
    yield (
        "no index, absent keyword, series",
        timed(ask("series", lambda row: {"EchoTime": 7}), sample, 2),
        "10000 / 2000",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--copies", type=int, default=52)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--instances", action="store_true", help="load every instance too")
    arguments = parser.parse_args()
    rows = rows_of(arguments.index)
    begin = time.perf_counter()
    count = sum(1 for _ in entries(rows, 1, arguments.instances))
    print(f"making rows alone: {count / (time.perf_counter() - begin):,.0f} series/s")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(arguments.folder or folder) / "catalog.sqlite"
        if path.exists():
            print(f"{path} is there: not loaded again")
        else:
            with Catalog.open(path) as catalog:
                begin = time.perf_counter()
                count = catalog.bulk_load(entries(rows, arguments.copies, arguments.instances))
                seconds = time.perf_counter() - begin
            rate, size = count / seconds, path.stat().st_size / 1e6
            print(
                f"load: {count:,} series in {seconds:.1f} s = {rate:,.0f}/s (must 15,000, aim 30,000); {size:,.0f} MB"
            )
        with Catalog.open(path) as catalog:
            print(catalog.counts())
            for name, figure, goal in questions(catalog, rows):
                print(f"{name:50} {figure}   (must / aim {goal} ms)", flush=True)


if __name__ == "__main__":
    main()
