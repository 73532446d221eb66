"""Random days of an archive against a dictionary: receive, ingest, seal, open again, kill, cut the power, rebuild."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from archive_under_stress import (
    COLLECTING,
    Promises,
    Twin,
    all_objects,
    broken_promises,
    catalog_files,
    ingest,
    make_object,
    name_of,
    receive,
    write_folder,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pacscore.archive.archive import Archive
from tests.failing_filesystem import Crash

OBJECTS = st.builds(
    make_object,
    st.integers(0, 2),
    st.integers(0, 2),
    variant=st.sampled_from([0, 0, 0, 1]),
    size=st.just(16) | st.just(48),
)


class ArchiveDay(RuleBasedStateMachine):
    """What was acknowledged is there, once, whatever happens; what was asked for may be."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.place = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.where = Path(self.place.name)
        self.root = self.where / "archive"
        self.promises = Promises()
        self.archive: Archive | None = None
        self.folders = 0

    @initialize()
    def create(self) -> None:
        self.fs = Twin(self.where)
        self.archive = Archive.create(self.root, settings=COLLECTING, filesystem=self.fs)
        self.old_catalog = catalog_files(self.root)

    def attempt(self, work) -> None:  # type: ignore[no-untyped-def]
        """Do it; where the process ends meanwhile, nothing of it is left but what is on the disk."""
        try:
            work()
        except Crash:
            self.end_process()

    def end_process(self) -> None:
        self.fs.die()
        assert self.archive is not None
        with suppress(Crash):
            self.archive.close()
        self.archive = None

    @precondition(lambda self: self.archive is not None)
    @rule(objects=st.lists(OBJECTS, min_size=1, max_size=3))
    def receive(self, objects: list[bytes]) -> None:
        self.attempt(lambda: receive(self.archive, self.promises, *objects))

    @precondition(lambda self: self.archive is not None)
    @rule(objects=st.lists(OBJECTS, min_size=1, max_size=5))
    def ingest(self, objects: list[bytes]) -> None:
        self.folders += 1
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder) / "files", *objects)
            self.attempt(lambda: ingest(self.archive, self.promises, Path(folder) / "files"))

    @precondition(lambda self: self.archive is not None)
    @rule()
    def seal(self) -> None:
        assert self.archive is not None
        self.attempt(self.archive.seal)

    @precondition(lambda self: self.archive is not None)
    @rule()
    def rebuild(self) -> None:
        def work() -> None:
            assert self.archive is not None
            before = self.archive._session.catalog.digest()
            self.archive.rebuild()
            assert self.archive._session.catalog.digest() == before

        self.attempt(work)

    @precondition(lambda self: self.archive is not None)
    @rule(steps=st.integers(1, 60))
    def let_the_process_end_soon(self, steps: int) -> None:
        self.fs.crash_after(steps)

    @precondition(lambda self: self.archive is not None)
    @rule()
    def close(self) -> None:
        def work() -> None:
            assert self.archive is not None
            self.archive.close()
            self.archive = None

        self.attempt(work)

    @precondition(lambda self: self.archive is None)
    @rule()
    def open_again(self) -> None:
        self.fs.revive()
        self.archive = Archive.open(self.root, settings=COLLECTING, filesystem=self.fs)

    @precondition(lambda self: self.archive is None)
    @rule(seed=st.integers(0, 1000))
    def cut_the_power(self, seed: int) -> None:
        catalogs = [self.old_catalog, catalog_files(self.root)]
        self.fs.cut_power(seed, self.root, catalogs)
        self.fs = Twin(self.where)
        self.archive = Archive.open(self.root, settings=COLLECTING, filesystem=self.fs)
        self.old_catalog = catalog_files(self.root)

    @invariant()
    def everything_acknowledged_is_there_once(self) -> None:
        if self.archive is not None:
            found = Counter(name_of(whole) for whole in all_objects(self.archive))
            assert self.promises.acknowledged <= set(found) <= self.promises.asked
            assert set(found.values()) <= {1}

    def teardown(self) -> None:
        if self.archive is not None:
            self.fs.revive()
            self.archive.close()
        if (self.root / "pacscore.toml").exists():
            assert not broken_promises(self.root, self.promises)
        self.place.cleanup()


TestArchiveDay = ArchiveDay.TestCase
TestArchiveDay.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
