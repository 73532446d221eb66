"""A run that is killed again and again, and what must be true of it in the end; also a row of bench/."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import functions_mapped as functions
import numpy as np

from pacscore import Selection, bulk
from pacscore.bulk.record import LOG, read_record

HERE = Path(__file__).resolve().parent

CHILD = """
import sys
sys.path[:0] = [{tests!r}]
import functions_mapped
from pacscore import Selection, bulk
run = bulk.map(Selection.load({selection!r}), functions_mapped.noted, take="item", run={run!r}, workers=2,
               executor={executor!r}, parameters={{"folder": {notes!r}, "seconds": {seconds}}})
for result in run:
    print(result.index, flush=True)
print(run.report().resumed, "resumed", flush=True)
"""


@dataclass(frozen=True)
class Killed:
    """What a run came to.

    Attributes
    ----------
    recorded : list of int
        How often each item is in the record.
    calls : list of int
        How often each item was begun.
    identical : bool
        Its table has the bytes of that of a run that nothing disturbed.
    """

    recorded: list[int]
    calls: list[int]
    identical: bool

    @property
    def not_once(self) -> int:
        """Items that were not completed exactly once."""
        return sum(count != 1 for count in self.recorded) + sum(count < 1 for count in self.calls)


def child_of(selection: Selection, folder: Path, *, seconds: float, executor: str) -> list[str]:
    """The command of a run in ``folder`` whose items note that they were begun, and take so long."""
    notes = folder / "notes"
    notes.mkdir(parents=True)
    selection.save(folder / "selection.json")
    code = CHILD.format(
        tests=str(HERE), selection=str(folder / "selection.json"), run=str(folder / "run"), notes=str(notes),
        seconds=seconds, executor=executor,
    )  # fmt: skip
    return [sys.executable, "-c", code]


def kill_and_resume(
    selection: Selection, folder: Path, *, kills: int, seed: int, seconds: float, executor: str = "threads"
) -> Killed:
    """Kill a run so many times at moments that a seed chooses, then let it end."""
    command = child_of(selection, folder, seconds=seconds, executor=executor)
    dice = np.random.default_rng(seed)
    for turn in range(kills):
        done = len(read_record(folder / "run").outcomes) if turn else 0
        target = int(dice.integers(1, max(2, 2 * (len(selection) - done) // (kills - turn + 1))))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for count, _ in enumerate(child.stdout, 1):
                if count == done + target:
                    child.kill()
                    break
        assert child.returncode == -signal.SIGKILL
    last = subprocess.run(command, capture_output=True, text=True, check=True)
    assert last.stdout.count("\n") == len(selection) + 1
    assert len(read_record(folder / "run").outcomes) == len(selection)
    lines = (folder / "run" / LOG).read_text().splitlines()
    recorded = [sum(f'"index":{index},' in line for line in lines) for index in range(len(selection))]
    calls = [(folder / "notes" / str(index)).stat().st_size for index in range(len(selection))]
    parameters = {"folder": str(folder / "notes"), "seconds": seconds}
    bulk.map(selection, functions.noted, take="item", run=folder / "undisturbed", parameters=parameters).report()
    tables = [(folder / run / "values.parquet").read_bytes() for run in ("run", "undisturbed")]
    return Killed(recorded, calls, tables[0] == tables[1])
