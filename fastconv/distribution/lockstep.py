"""Shards that need sums over all of them in the middle of a step, as synchronized BatchNormalization does.

Not here: what a shard computes (sharding.py), and the operation that asks for a sum (ops/shards.py). Contract: each shard
has a thread of its own, which keeps its place in the user's code; one of them runs at a time, in the order of the
shards, until all wait for the same sum, which goes by folding.py's tree. An error in one stops all; none outlives `run`.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv.distribution import world
from fastconv.distribution.folding import Fold


class _Here(threading.local):
    shard: Shard | None = None


_here = _Here()


def current() -> Shard | None:
    """The shard that this thread computes; None outside `run`."""
    return _here.shard


class _Stopped(BaseException):
    """Another shard has failed: this one's code ends where it waits."""


class Shard:
    """`work()`, on so many samples, in a thread that waits for its turns."""

    def __init__(self, work: Callable[[], Any], samples: int) -> None:
        self.samples, self.done = samples, False
        self.result = self.error = self.sent = self.received = None
        self._work, self._stopped = work, False
        self._turn, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        context = contextvars.copy_context()  # np.errstate, for one
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)
        self._thread.start()

    def _run(self):
        _here.shard = self
        try:
            self._await_turn()
            self.result = self._work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._waits.release()

    def _await_turn(self):
        self._turn.acquire()
        if self._stopped:
            raise _Stopped

    def total(self, array: np.ndarray) -> np.ndarray:
        """The sum of such arrays over all shards of all processes, a new array; the shard's own thread calls it."""
        self.sent = array.copy()
        self._waits.release()
        self._await_turn()
        return self.received.copy()

    def go_on(self) -> None:
        """Runs its code until it waits for a sum or is done; raises what it raised."""
        self.sent = None
        self._turn.release()
        self._waits.acquire()
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Ends its code and its thread."""
        self._stopped = True
        self._turn.release()
        self._thread.join()


def run(
    works: Sequence[Callable[[], Any] | None],
    samples: Sequence[int],
    enter: Callable[[int], None],
    leave: Callable[[int], None],
    uneven: bool,
) -> list[Any]:
    """What each of this process's shards gives; None for one that is None, without samples.

    `enter(place)` and `leave(place)` are called around each turn of a shard, to put in place what it alone changes.
    `uneven`: some processes may have no samples at all; they go along with the others' sums. All processes call it."""
    shards = [None if work is None else Shard(work, count) for work, count in zip(works, samples)]
    try:
        while True:
            error = None
            try:
                _turns(shards, enter, leave)
            except Exception as caught:
                error = caught
            total = _total(shards, uneven, error)
            if total is None:
                return [shard and shard.result for shard in shards]
            for shard in shards:
                if shard is not None:
                    shard.received = total
    finally:
        for shard in shards:
            if shard is not None:
                shard.stop()


def _turns(shards, enter, leave):
    for place, shard in enumerate(shards):
        if shard is not None:
            enter(place)
            shard.go_on()
            leave(place)
    waiting = [shard.sent is not None and (shard.sent.shape, shard.sent.dtype) for shard in shards if shard is not None]
    if any(one != waiting[0] for one in waiting):
        raise ValueError(
            "Layers with synchronized=True must be called equally often, and in the same order, in every part of a batch; "
            "here what is called depends on the samples. Leave synchronized out, or call them unconditionally."
        )


def _total(shards, uneven, error):
    """The sum that all wait for, or None where all are done; raises the error of a shard, of this process first."""
    fold = Fold()
    for shard in shards:
        fold.push(None if shard is None else shard.sent)
    total = fold.result() if error is None else None
    if uneven:  # what is expected of a process that has nothing to add
        told = world.gathered((total is not None and (total.shape, total.dtype.str), error and str(error)))
        failed = [text for _, text in told if text is not None]
        if error is None and failed:
            raise ValueError(failed[0])
        layout = next((layout for layout, _ in told if layout), None)
        if layout is not None and total is None:
            total = np.zeros(*layout)
    if error is not None:
        raise error
    if total is not None:
        world.total(total.reshape(-1))
    return total
