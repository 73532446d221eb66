"""A worker process: takes the job, then item after item, until its parent closes the line; see ``processes``."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from pacscore.bulk.outcomes import Kind, Outcome, Status
from pacscore.bulk.performing import Job, Task, describe, load, perform
from pacscore.errors import InputError


def main(talk: int, life: int, trace: str) -> None:
    """Work.

    Parameters
    ----------
    talk, life
        Descriptors: of the connection to the parent, and of a pipe that ends when the parent does.
    trace
        A file to write the stacks of all threads to when the process crashes or an item takes too long.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    connection = Connection(talk)
    with Path(trace).open("w", encoding="utf-8") as stacks:
        faulthandler.enable(stacks)
        try:
            job: Job = pickle.loads(connection.recv_bytes())
            load(job)
        except BaseException as error:  # Unpickling runs the user's imports.
            connection.send(InputError(f"A worker process cannot load the function: {describe(error)}."))
            return
        connection.send(True)
        while True:
            try:
                task: Task = connection.recv()
            except EOFError:
                return
            if job.timeout is not None:
                faulthandler.dump_traceback_later(job.timeout, file=stacks)
            outcome = perform(job, task)
            if job.timeout is not None:
                faulthandler.cancel_dump_traceback_later()
            connection.send_bytes(_packed(outcome))


def _packed(outcome: Outcome) -> bytes:
    try:
        return pickle.dumps(outcome, protocol=5)
    except BaseException as error:  # Pickling runs code of the value's class.
        told = f"the result cannot leave its process: {describe(error)}"
        failed = Outcome(outcome.index, Status.FAILED, None, Kind.VALUE, told, "", outcome.seconds, outcome.generation)
        return pickle.dumps(failed, protocol=5)


def _end_with_parent(life: int) -> NoReturn:
    os.read(life, 1)  # Nothing is ever written: it returns when the last holder of the other end is gone.
    os._exit(1)
