"""The one thread pool, and cutting work into tiles.

Kernels are serial and release the interpreter lock; this module runs them side by side. One pool serves the whole
process, so that nested calls never oversubscribe: inside a pool worker everything runs serially. After a fork the
child builds a pool of its own.

Results never depend on the number of threads: tiles are disjoint parts of the output, and ``map_ordered`` yields in
the order of its input. Neither leaves work behind: once it returns or raises, no thread writes into the caller's arrays
or reads the caller's files any more.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, overload

from pacscore.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")
Owner = TypeVar("Owner")

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_threads = 0
_inside = threading.local()


def _forget_pool() -> None:
    global _pool, _pool_threads, _lock, _inside  # One pool per process is the point of this module.
    _pool, _pool_threads, _lock, _inside = None, 0, threading.Lock(), threading.local()


os.register_at_fork(after_in_child=_forget_pool)


def _enter_worker() -> None:
    _inside.worker = True


def is_worker() -> bool:
    """Whether this thread belongs to the pool; work called here runs serially."""
    return getattr(_inside, "worker", False)


@contextmanager
def serially() -> Iterator[None]:
    """Run all that this thread calls here serially, as in a worker of the pool: something else keeps the CPUs busy."""
    before = is_worker()
    _inside.worker = True
    try:
        yield
    finally:
        _inside.worker = before


def _pool_of(threads: int) -> ThreadPoolExecutor:
    global _pool, _pool_threads  # noqa: PLW0603
    with _lock:
        if _pool is None or _pool_threads < threads:
            # A smaller pool is left to finish what it has; its threads end when it is collected.
            _pool = ThreadPoolExecutor(threads, "pacscore", _enter_worker)
            _pool_threads = threads
        return _pool


def run_tiles(function: Callable[[int, int], None], count: int, *, tile: int = 1, threads: int | None = None) -> None:
    """Call ``function(start, stop)`` for consecutive ranges that cover ``range(count)``.

    Parameters
    ----------
    function
        Works on its own part of an output; ranges never overlap.
    count
        How many items there are.
    tile
        Items per call, at least 1.
    threads
        How many to use at most; by default those of ``Settings``. 1 runs in the calling thread.
    """
    tile = max(1, tile)
    wanted = 1 if is_worker() else Settings().threads() if threads is None else threads
    tiles = -(-count // tile)
    wanted = min(wanted, tiles)
    if wanted <= 1:
        for start in range(0, count, tile):
            function(start, min(count, start + tile))
        return
    cursor = iter(range(0, count, tile))
    cursor_lock = threading.Lock()
    failed = threading.Event()

    def drain() -> None:
        while not failed.is_set():
            with cursor_lock:
                start = next(cursor, -1)
            if start < 0:
                return
            try:
                function(start, min(count, start + tile))
            except BaseException:
                failed.set()
                raise

    pool = _pool_of(wanted)
    # The calling thread takes tiles too: one hand-over less, and no deadlock when the pool is busy elsewhere.
    futures = [pool.submit(drain) for _ in range(wanted - 1)]
    try:
        drain()
    except BaseException:  # Ctrl-C between two tiles, too.
        failed.set()
        raise
    finally:
        _settle(futures)
    for future in futures:
        if not future.cancelled():
            future.result()


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None = None, ahead: int = 2
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of ``items``, computing a bounded number ahead.

    ``ahead`` results per thread are in flight at most, so memory stays bounded for an endless input.
    """
    wanted = 1 if is_worker() else Settings().threads() if threads is None else threads
    if wanted <= 1:
        yield from map(function, items)
        return
    pool = _pool_of(wanted)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= wanted * ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        _settle(waiting)


def _settle(futures: Iterable[Future[Any]]) -> None:
    """Cancel what has not begun, and wait for what has."""
    wait([future for future in futures if not future.cancel()])


class lazy_property(Generic[Owner, Result]):  # noqa: N801  # Used as ``functools.cached_property`` is.
    """A property that is computed when first asked for, and kept.

    Before Python 3.12 ``functools.cached_property`` holds one lock for all objects of a class while it computes, so
    threads that open different files would wait for each other. Here two threads that ask the same object at once may
    both compute; the first result is the one that both get.
    """

    def __init__(self, function: Callable[[Owner], Result]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type[Owner], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Owner]) -> lazy_property[Owner, Result]: ...

    @overload
    def __get__(self, instance: Owner, owner: type[Owner]) -> Result: ...

    def __get__(self, instance: Owner | None, owner: type[Owner]) -> Any:
        if instance is None:
            return self
        # What is in the object's dictionary is found there from then on, without coming here.
        return vars(instance).setdefault(self._name, self._function(instance))
