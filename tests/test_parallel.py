"""The one pool: equal answers from any number of threads, and nothing left running behind a caller's back."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from pacscore.parallel import is_worker, lazy_property, map_ordered, run_tiles


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("count", "tile"), [(0, 1), (1, 4), (7, 3), (100, 1), (100, 1000)])
def test_tiles_cover_the_range_once(count: int, tile: int, threads: int) -> None:
    hits = np.zeros(count, np.int64)

    def touch(start: int, stop: int) -> None:
        hits[start:stop] += 1

    run_tiles(touch, count, tile=tile, threads=threads)
    assert (hits == 1).all()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_input(threads: int) -> None:
    def slow_for_even(number: int) -> int:
        time.sleep(0.002 * (number % 2 == 0))
        return number

    assert list(map_ordered(slow_for_even, range(40), threads=threads)) == list(range(40))


def test_at_most_ahead_per_thread_are_computed_before_they_are_wanted() -> None:
    taken = []

    def endless() -> object:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    results = map_ordered(lambda number: number, endless(), threads=2, ahead=3)  # type: ignore[arg-type]
    assert next(results) == 0
    assert len(taken) == 6
    results.close()  # type: ignore[attr-defined]


def test_no_tile_runs_any_more_once_an_error_has_come_out() -> None:
    running = threading.Semaphore(0)
    finished = []

    def fail_or_linger(start: int, stop: int) -> None:
        if threading.current_thread() is threading.main_thread():
            running.acquire()
            raise ValueError(start)
        running.release()
        time.sleep(0.05)
        finished.append(start)

    with pytest.raises(ValueError, match=r"\d"):
        run_tiles(fail_or_linger, 1000, threads=3)
    left = len(finished)
    assert 1 <= left <= 2
    time.sleep(0.1)
    assert len(finished) == left


def test_an_error_in_a_worker_comes_out() -> None:
    def fail_in_worker(start: int, stop: int) -> None:
        if is_worker():
            raise ValueError("worker")
        time.sleep(0.005)

    with pytest.raises(ValueError, match="worker"):
        run_tiles(fail_in_worker, 200, threads=2)


def test_a_map_that_is_left_early_leaves_nothing_running() -> None:
    active = 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal active
        with lock:
            active += 1
        time.sleep(0.02)
        with lock:
            active -= 1
        return number

    results = map_ordered(work, range(100), threads=3)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert active == 0


def test_work_inside_a_worker_runs_serially_there() -> None:
    def nested(start: int, stop: int) -> None:
        here = threading.get_ident()
        seen = list(map_ordered(lambda _: threading.get_ident(), range(5), threads=4))
        if is_worker():
            assert set(seen) == {here}

    run_tiles(nested, 20, threads=3)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own_even_when_a_worker_forked() -> None:
    def fork(_: int) -> int:
        child = os.fork()
        if child == 0:
            serial = is_worker()
            total = sum(map_ordered(lambda number: number, range(10), threads=2))
            os._exit(0 if total == 45 and not serial else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert list(map_ordered(fork, range(2), threads=2)) == [0, 0]


def test_a_lazy_property_of_one_object_does_not_wait_for_that_of_another() -> None:
    both = threading.Barrier(2)

    class Opened:
        def __init__(self) -> None:
            self.calls = 0

        @lazy_property
        def content(self) -> int:
            self.calls += 1
            both.wait(timeout=10)  # Breaks where one thread is kept out while the other computes.
            return id(self)

    pair = [Opened(), Opened()]
    found = list(map_ordered(lambda each: each.content, pair, threads=2))
    assert found == [id(each) for each in pair]
    assert [each.content for each in pair] == found
    assert [each.calls for each in pair] == [1, 1]


def test_two_threads_that_ask_for_a_lazy_property_at_once_get_the_same_object() -> None:
    both = threading.Barrier(2)

    class Opened:
        @lazy_property
        def content(self) -> object:
            both.wait(timeout=10)
            return object()

    opened = Opened()
    first, second = map_ordered(lambda _: opened.content, range(2), threads=2)
    assert first is second is opened.content
