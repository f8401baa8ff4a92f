"""Processes that leave the program while others wait for them: the job ends, instead of waiting for ever.

Not here: exceptions that nobody catches, which end the job at once (world.py). Contract: a process tells the others when
its program ends, whether by sys.exit or at its last line, and waits until all have said so; one that waits for something
of fastconv's for some seconds, after another has left, ends the job. Who computes or writes meanwhile is not disturbed.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

PATIENCE = 3.0  # seconds: those who are on their way out have as long to answer


class Watch:
    """`comm` is mpi4py's communicator of all processes, who make their Watch together; `end(number)` ends the job, which
    process `number` has left."""

    def __init__(self, comm: Any, end: Callable[[int], None]) -> None:
        self._comm, self._end = comm.Dup(), end
        self._since: float | None = None  # when this process began to wait
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what needs all processes."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def _look(self):
        from mpi4py import MPI

        status = MPI.Status()
        while not self._over.wait(1.0):
            since = self._since
            if since is not None and time.monotonic() - since > PATIENCE and self._comm.Iprobe(status=status):
                if since == self._since:  # it waits for the same still
                    self._end(status.Get_source())

    def _leave(self):
        from mpi4py import MPI

        self._over.set()
        self._thread.join()
        if MPI.Is_finalized():
            return
        others = [number for number in range(self._comm.Get_size()) if number != self._comm.Get_rank()]
        word, heard = np.zeros(1, np.uint8), np.zeros((len(others), 1), np.uint8)
        requests = [self._comm.Isend(word, number) for number in others]
        requests += [self._comm.Irecv(row, number) for row, number in zip(heard, others)]
        while not MPI.Request.Testall(requests):
            time.sleep(0.01)  # not in MPI's own waiting, which takes a core
