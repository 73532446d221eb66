"""The seam on a real disk. Numbers F1 to F4 and L1 to L4 are the invariants of ``filesystem`` and ``locks``."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pacscore.errors import DamagedError, NotFoundError, PacscoreError, RetryError, StorageError
from pacscore.filesystem import PENDING_PREFIX, LocalFileSystem
from pacscore.locks import NumberedLocks


@pytest.fixture
def fs() -> LocalFileSystem:
    return LocalFileSystem()


def test_append_joins_all_parts_and_returns_where_they_begin(fs: LocalFileSystem, tmp_path: Path) -> None:
    with fs.create(tmp_path / "a") as file:
        assert file.append(b"one", bytearray(b"two"), memoryview(b"three"), np.arange(2, dtype="<u2"), b"") == 0
        assert file.append(np.zeros(0, "u1")) == 15
        assert file.append(*[b"x"] * 1500) == 15
        file.sync()
        assert file.size == 1515
    assert (tmp_path / "a").read_bytes() == b"onetwothree\x00\x00\x01\x00" + b"x" * 1500


def test_f2_beginning_a_sync_changes_nothing_but_when_bytes_go(fs: LocalFileSystem, tmp_path: Path) -> None:
    with fs.create(tmp_path / "file") as file:
        for start, part in ((0, b"abc"), (3, bytes(100_000))):
            file.begin_sync(file.append(part))
            assert file.size == start + len(part)
        file.sync()
    file.begin_sync(0)  # Closed: nothing promised, nothing raised.
    assert (tmp_path / "file").read_bytes() == b"abc" + bytes(100_000)


def test_write_at_fills_a_place_and_may_lie_beyond_the_end(fs: LocalFileSystem, tmp_path: Path) -> None:
    with fs.create(tmp_path / "a") as file:
        file.append(b"0123456789")
        file.write_at(2, b"AB")
        file.write_at(12, b"Z")
        assert file.size == 13
        assert os.pread(file.fileno(), 20, 0) == b"01AB456789\0\0Z"


def test_a_continued_file_is_appended_to(fs: LocalFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with fs.open_append(tmp_path / "a") as file:
        assert file.append(b"new") == 3
    assert (tmp_path / "a").read_bytes() == b"oldnew"


def test_creating_over_something_is_refused(fs: LocalFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(StorageError, match="exists"):
        fs.create(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_publish_shows_the_whole_file_and_leaves_nothing_else(fs: LocalFileSystem, tmp_path: Path) -> None:
    fs.publish(tmp_path / "a", b"first")
    fs.publish(tmp_path / "a", np.frombuffer(b"second", "u1"))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"second")]


def test_a_publish_that_fails_removes_its_pending_file(fs: LocalFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError):
        fs.publish(tmp_path / "a", b"a file cannot replace a folder")
    assert not list(tmp_path.glob(PENDING_PREFIX + "*"))


def test_folders_and_names(fs: LocalFileSystem, tmp_path: Path) -> None:
    fs.make_folder(tmp_path / "d")
    fs.make_folder(tmp_path / "d", exist_ok=True)
    with pytest.raises(StorageError):
        fs.make_folder(tmp_path / "d")
    fs.publish(tmp_path / "d" / "a", b"x")
    fs.rename(tmp_path / "d", tmp_path / "e")
    fs.sync_folder(tmp_path)
    fs.remove(tmp_path / "e" / "a")
    with pytest.raises(NotFoundError):
        fs.remove(tmp_path / "e" / "a")
    assert (tmp_path / "e").is_dir()


def test_removing_a_tree_follows_no_link(fs: LocalFileSystem, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_bytes(b"x")
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "b" / "f").write_bytes(b"x")
    (tmp_path / "tree" / "a" / "link").symlink_to(outside)
    (tmp_path / "tree" / "broken").symlink_to(tmp_path / "nowhere")
    fs.remove_tree(tmp_path / "tree")
    fs.remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert (outside / "keep").exists()


def test_truncate_cuts_a_file(fs: LocalFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    fs.truncate(tmp_path / "a", 4)
    assert (tmp_path / "a").read_bytes() == b"0123"


def test_ranges_are_read_exactly_or_reported(fs: LocalFileSystem, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert fs.read_ranges(tmp_path / "a", [(8, 2), (0, 3), (5, 0)]) == [b"89", b"012", b""]
    with pytest.raises(DamagedError) as caught:
        fs.read_ranges(tmp_path / "a", [(8, 3)])
    assert caught.value.fields["found"] == 2
    with pytest.raises(NotFoundError):
        fs.read_ranges(tmp_path / "b", [(0, 1)])


def test_errors_name_the_file_but_not_its_folder(fs: LocalFileSystem, tmp_path: Path) -> None:
    with pytest.raises(PacscoreError) as caught:
        fs.open_append(tmp_path / "absent")
    assert "absent" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_l1_two_threads_exclude_each_other(fs: LocalFileSystem, tmp_path: Path) -> None:
    with fs.lock(tmp_path / "lock"):
        with pytest.raises(RetryError):
            fs.lock(tmp_path / "lock", wait_seconds=0)
        with pytest.raises(RetryError):
            fs.lock(tmp_path / "lock", wait_seconds=0.02, shared=True)
    with fs.lock(tmp_path / "lock", shared=True), fs.lock(tmp_path / "lock", wait_seconds=0, shared=True):
        pass
    entered = []
    lock = fs.lock(tmp_path / "lock")
    thread = threading.Thread(target=lambda: entered.append(fs.lock(tmp_path / "lock").release()))
    thread.start()
    assert not entered
    lock.release()
    lock.release()
    thread.join()
    assert entered == [None]


def test_l2_a_lock_is_not_inherited_by_a_program(fs: LocalFileSystem, tmp_path: Path) -> None:
    lock = fs.lock(tmp_path / "lock")
    program = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
    )
    lock.release()
    fs.lock(tmp_path / "lock", wait_seconds=0).release()
    program.communicate()


def test_l3_a_forked_child_neither_holds_nor_ends_the_lock(fs: LocalFileSystem, tmp_path: Path) -> None:
    lock = fs.lock(tmp_path / "lock")
    go, stop = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        lock.release()
        os.write(go[1], b"x")
        os.read(stop[0], 1)
        os._exit(0)
    os.read(go[0], 1)
    with pytest.raises(RetryError):
        fs.lock(tmp_path / "lock", wait_seconds=0)
    lock.release()
    fs.lock(tmp_path / "lock", wait_seconds=0).release()
    os.write(stop[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (*go, *stop):
        os.close(descriptor)


def test_l4_two_holders_exclude_each_other_at_one_number_and_at_no_other(tmp_path: Path) -> None:
    one, two = NumberedLocks(tmp_path / "lock"), NumberedLocks(tmp_path / "lock")
    with one.held(7):
        with two.held(8):
            pass
        child = os.fork()
        if child == 0:  # It holds nothing of its parent's, and its end gives nothing back.
            os._exit(0 if one.is_free(7) is False and one.is_free(8) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not two.is_free(7)
    assert two.is_free(7)
    one.close()
    two.close()


def test_l2_a_numbered_lock_ends_with_its_holder(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from pacscore.locks import NumberedLocks\n"
        "with NumberedLocks(pathlib.Path(sys.argv[1])).held(7): print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    locks = NumberedLocks(tmp_path / "lock")
    assert not locks.is_free(7)
    child.kill()
    child.communicate()
    with locks.held(7):
        pass


def test_a_numbered_lock_that_cannot_be_taken_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="local disk"), NumberedLocks(tmp_path / "none" / "lock").held(1):
        pass
