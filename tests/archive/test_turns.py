"""Threads that receive at the same time: groups that commit together, and what becomes of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from pacscore.archive.turns import GroupCommits
from pacscore.errors import DurabilityError, RetryError


def _nothing(items: Sequence[str]) -> None:
    """A step that does nothing."""


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_nobody_is_told_stored_when_whoever_commits_was_interrupted() -> None:
    may_end = threading.Event()
    synced: list[list[str]] = []
    groups: list[list[str]] = []

    def put(items: Sequence[str]) -> None:
        groups.append(list(items))
        if len(groups) == 1:
            may_end.wait(5)
            raise KeyboardInterrupt

    commits: GroupCommits[str] = GroupCommits(_nothing, lambda items: synced.append(list(items)), put)
    outcomes: dict[str, str] = {}

    def commit(name: str) -> None:
        try:
            commits.commit(name)
            outcomes[name] = "stored"
        except (KeyboardInterrupt, RetryError) as error:
            outcomes[name] = type(error).__name__

    threads = [threading.Thread(target=commit, args=(name,)) for name in "ab"]
    threads[0].start()
    wait_until(lambda: groups != [])
    threads[1].start()
    wait_until(lambda: synced == [["a"], ["b"]])  # Its sync need not wait for the rows of the first.
    time.sleep(0.05)
    assert groups == [["a"]]  # Its rows do: else who follows the journal passes over the first.
    may_end.set()
    for thread in threads:
        thread.join(5)
    assert outcomes == {"a": "KeyboardInterrupt", "b": "stored"}
    assert groups == [["a"], ["b"]]


def test_a_group_is_refused_as_one_and_the_next_goes_on() -> None:
    gate = threading.Event()
    taken: list[tuple[str, ...]] = []

    def sync(items: Sequence[str]) -> None:
        taken.append(tuple(items))
        if len(taken) == 1:
            gate.wait(5)
        elif "bad" in items:
            raise DurabilityError("the disk is gone.")

    commits: GroupCommits[str] = GroupCommits(_nothing, sync, _nothing)
    outcomes: dict[str, str] = {}

    def commit(name: str) -> None:
        try:
            commits.commit(name)
            outcomes[name] = "stored"
        except DurabilityError:
            outcomes[name] = "refused"

    threads = [threading.Thread(target=commit, args=(name,)) for name in ("first", "good", "bad")]
    threads[0].start()
    wait_until(lambda: taken != [])
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: commits.waiting == 2)
    gate.set()
    for thread in threads:
        thread.join()
    commit("last")
    assert outcomes == {"first": "stored", "good": "refused", "bad": "refused", "last": "stored"}
    assert len(taken) == 3


def test_a_thread_that_is_interrupted_stays_until_its_group_has_ended() -> None:
    gate = threading.Event()
    ended: list[str] = []
    main = threading.main_thread().ident
    assert main == threading.get_ident()
    assert main is not None

    def write(items: Sequence[str]) -> None:
        gate.wait(5)

    def put(items: Sequence[str]) -> None:
        if "main" in items:
            wait_until(interrupted.is_set)
            time.sleep(0.05)  # Whoever does not stay is gone by now.
        ended.extend(items)

    def interrupt(number: int, frame: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    def disturb() -> None:
        wait_until(lambda: commits.waiting == 2)  # The main thread, and who will commit for it.
        gate.set()
        wait_until(lambda: "first" in ended)
        signal.pthread_kill(main, signal.SIGUSR1)

    commits: GroupCommits[str] = GroupCommits(write, _nothing, put)
    interrupted = threading.Event()
    before = signal.signal(signal.SIGUSR1, interrupt)
    threads = [threading.Thread(target=commits.commit, args=(name,)) for name in ("first", "leader")]
    try:
        threads[0].start()
        wait_until(lambda: commits.waiting == 0)
        threads[1].start()
        wait_until(lambda: commits.waiting == 1)
        threads.append(threading.Thread(target=disturb))
        threads[2].start()
        with pytest.raises(KeyboardInterrupt):
            commits.commit("main")
        assert "main" in ended
    finally:
        signal.signal(signal.SIGUSR1, before)
        for thread in threads:
            thread.join()
