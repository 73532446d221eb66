"""Several processes at one archive at once, and processes that are killed (DESIGN promises 1, 4 and 9)."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from archive_under_stress import (
    JOBS,
    SETTINGS,
    Promises,
    Twin,
    all_objects,
    broken_promises,
    ingest,
    make_object,
    name_of,
    opened,
    quick_folder,
    receive,
    whole_job,
    write_folder,
)

from pacscore.archive.archive import Archive
from pacscore.errors import RetryError
from pacscore.filesystem import LocalFileSystem


class Child:
    """A function that runs in a forked process; what it tells comes back line by line."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._reading)
                work(lambda line: os.write(writing, line.encode() + b"\n") and None)
                status = 0
            except BaseException:
                os.write(writing, ("trouble " + json.dumps(traceback.format_exc()) + "\n").encode())
            finally:
                os._exit(status)
        os.close(writing)

    def finish(self) -> tuple[int, list[str]]:
        """Wait for its end: exit status, negative for a signal, and its lines."""
        with os.fdopen(self._reading) as lines:
            told = lines.read().splitlines()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), told


def run_beside(*works: Callable[[Callable[[str], None]], None]) -> list[list[str]]:
    """Run each in a process of its own, all at once; what each told. All must end well."""
    children = [Child(work) for work in works]
    ends = [child.finish() for child in children]
    troubles = [json.loads(line.partition(" ")[2]) for _, told in ends for line in told if line.startswith("trouble ")]
    assert not troubles, troubles[0]
    assert [status for status, _ in ends] == [0] * len(works)
    return [told for _, told in ends]


def count_objects(root: Path) -> Counter[str]:
    with opened(root, LocalFileSystem()) as archive:
        assert archive.verify().findings == ()
        digest = archive._session.catalog.digest()
        archive.rebuild()
        assert archive._session.catalog.digest() == digest
        return Counter(name_of(whole) for whole in all_objects(archive))


def test_processes_that_ingest_overlapping_folders_at_once_leave_one_copy_of_each_object() -> None:
    with quick_folder() as where:
        root = where / "archive"
        Archive.create(root, settings=SETTINGS).close()
        objects = [make_object(series, number, size=32) for series in range(8) for number in range(4)]
        chance = random.Random(7)
        folders = [write_folder(where / str(n), *chance.sample(objects, len(objects) * 3 // 4)) for n in range(3)]
        wanted = {name_of(path.read_bytes()) for folder in folders for path in folder.iterdir()}

        def take_in(folder: Path) -> Callable[[Callable[[str], None]], None]:
            def work(_: Callable[[str], None]) -> None:
                with opened(root, LocalFileSystem()) as archive:
                    for path in sorted(folder.iterdir(), key=lambda path: hash(path.name)):
                        archive.ingest(path)
                    archive.ingest(folder)

            return work

        def look(_: Callable[[str], None]) -> None:
            seen: set[str] = set()
            for _ in range(15):
                with Archive.open(root, read_only=True, settings=SETTINGS) as archive:
                    now = Counter(name_of(whole) for whole in all_objects(archive))
                assert set(now.values()) <= {1}
                assert seen <= set(now), "what was visible has vanished"
                seen = set(now)

        run_beside(*map(take_in, folders), look, look)
        assert count_objects(root) == Counter(wanted)


def test_processes_that_receive_and_seal_the_same_objects_at_once_keep_each_once() -> None:
    with quick_folder() as where:
        root = where / "archive"
        Archive.create(root, settings=SETTINGS).close()
        objects = [make_object(series, number) for series in range(3) for number in range(5)]
        variants = [make_object(0, 0, variant=variant) for variant in (1, 2, 3)]

        def send(number: int) -> Callable[[Callable[[str], None]], None]:
            def work(_: Callable[[str], None]) -> None:
                chance = random.Random(number)
                mine = [*objects, variants[number]]
                chance.shuffle(mine)
                with opened(root, LocalFileSystem()) as archive:
                    for whole in mine:
                        assert archive.receive(whole).status in {"stored", "duplicate", "version"}
                        if chance.random() < 0.2:
                            archive.seal()

            return work

        run_beside(*map(send, range(3)))
        with opened(root, LocalFileSystem()) as archive:
            archive.seal()
            series = archive.series("1.2.3.1.0")
            versions = sorted(each.version for each in series.all_versions if each.sop_instance_uid == "1.2.3.0.1")
            assert versions == [1, 2, 3, 4]
            assert len(series.instances) == 5
        assert count_objects(root) == Counter(map(name_of, [*objects, *variants]))


def test_no_lock_is_held_while_a_series_is_encoded() -> None:
    with quick_folder() as where:
        root, promises = where / "archive", Promises()
        Archive.create(root, settings=SETTINGS).close()

        class Watching(LocalFileSystem):
            """Tries, while a generation is being written, what another process would do then."""

            tried = 0

            def create(self, path: Path):  # type: ignore[no-untyped-def]
                if path.suffix == ".zip":
                    self.tried += 1
                    for name in ("events/lock", "catalog.lock", "staging/lock"):
                        LocalFileSystem().lock(root / name, wait_seconds=0.0).release()
                    run_beside(self.another)
                return super().create(path)

            @staticmethod
            def another(_: Callable[[str], None]) -> None:
                with opened(root, LocalFileSystem()) as archive:
                    archive.receive(make_object(1, 0))
                    archive.seal()

        fs = Watching()
        with opened(root, fs) as archive:
            receive(archive, promises, make_object(0, 0), make_object(1, 1))
            archive.seal()
            ingest(archive, promises, write_folder(where / "files", make_object(2, 0, size=64)))
        assert fs.tried >= 2
        promises.say("asked", [name_of(make_object(1, 0))])
        promises.say("acknowledged", [name_of(make_object(1, 0))])
        assert not broken_promises(root, promises)


def test_a_forked_child_and_its_parent_go_on_with_an_open_archive() -> None:
    with quick_folder() as where:
        root, promises = where / "archive", Promises()
        with Archive.create(root, settings=SETTINGS) as archive:
            receive(archive, promises, make_object(0, 0))
            archive.seal()
            receive(archive, promises, make_object(0, 1))

            def work(told: Callable[[str], None]) -> None:
                mine = Promises(told=told)
                receive(archive, mine, make_object(0, 2), make_object(1, 0, size=64))
                assert archive.instance("1.2.3.0.1").bytes() == make_object(0, 0)
                archive.seal()
                ingest(archive, mine, write_folder(where / str(os.getpid()), make_object(2, 0, size=64)))

            child = Child(work)
            receive(archive, promises, make_object(0, 3))
            archive.seal()
            status, told = child.finish()
            assert (status, [line for line in told if line.startswith("trouble")]) == (0, [])
            for line in told:
                promises.hear(line)
            receive(archive, promises, make_object(0, 4))
            archive.seal()
        assert not broken_promises(root, promises)


def test_a_child_forked_while_another_thread_holds_a_lock_of_the_session_does_not_wait_for_it(tmp_path: Path) -> None:
    with Archive.create(tmp_path / "archive", settings=SETTINGS) as archive:
        archive.receive(make_object(0, 0))
        with archive._session.commit_lock, archive._session._generation_lock, archive._session.commits._lock:

            def work(_: Callable[[str], None]) -> None:
                signal.alarm(20)
                archive.receive(make_object(0, 1))
                archive.seal()

            status, told = Child(work).finish()
        assert (status, told) == (0, [])


def test_rebuilding_beside_another_writer_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with Archive.create(root, settings=SETTINGS) as archive:
        archive.receive(make_object(0, 0))
        with Archive.open(root, settings=SETTINGS) as other:
            with pytest.raises(RetryError):
                other.rebuild()
            archive.receive(make_object(0, 1))
            assert other.stats()["received"] == 2
        archive.rebuild()
        assert archive.stats()["received"] == 2


# Processes that are killed.


def killed(root: Path, name: str, folder: Path, *, crash_at: int | None, after_seconds: float = 0.0) -> Promises:
    """What a process that did a job was told until SIGKILL, at a step or from outside."""
    fs = LocalFileSystem() if crash_at is None else Twin(root.parent, crash_at=crash_at, kill=True)
    child = Child(lambda told: JOBS[name].work(root, fs, Promises(told=told), folder))
    if crash_at is None:
        time.sleep(after_seconds)
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    status, told = child.finish()
    assert status == -signal.SIGKILL or crash_at is None, told
    promises = Promises()
    for line in told:
        assert not line.startswith("trouble"), line
        promises.hear(line)
    return promises


def after_a_kill(name: str, *, crash_at: int | None, after_seconds: float = 0.0) -> list[str]:
    job = JOBS[name]
    with quick_folder() as where:
        root, before, folder = job.begin(where / "job")
        promises = killed(root, name, folder, crash_at=crash_at, after_seconds=after_seconds)
        for kind in ("asked", "acknowledged", "quarantined"):
            getattr(promises, kind).update(getattr(before, kind))
        broken = broken_promises(root, promises) if (root / "pacscore.toml").exists() else []
        if not broken:
            job.work(root, LocalFileSystem(), promises, folder)
            broken = broken_promises(root, promises)
        return [f"killed at {crash_at or after_seconds}: {line}" for line in broken]


def kills(name: str, *, steps: int, moments: int, seed: int) -> list[str]:
    chance = random.Random(f"{name}-{seed}")
    count = len(whole_job(JOBS[name]).steps)
    broken: list[str] = []
    for crash_at in chance.sample(range(1, count + 1), min(count, steps)):
        broken += after_a_kill(name, crash_at=crash_at)
    for _ in range(moments):
        broken += after_a_kill(name, crash_at=None, after_seconds=chance.uniform(0.0, 0.25))
    return broken


@pytest.mark.parametrize("name", JOBS)
def test_promise_1_a_process_killed_at_any_step_or_moment_keeps_what_it_was_told(name: str) -> None:
    assert not kills(name, steps=3, moments=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_promise_1_a_process_killed_at_very_many_moments_keeps_what_it_was_told(name: str) -> None:
    assert not kills(name, steps=1000, moments=300, seed=int(os.environ.get("PACSCORE_TEST_SEED", "2")))


if sys.platform != "linux":  # The twin's model of what a kill leaves is that of Linux.
    pytestmark = pytest.mark.skip(reason="processes are killed on Linux only (until 2027-12-31)")
