"""Feed: whatever `fit`, `evaluate` and `predict` were given, epoch by epoch, as batches (x, y, sample_weight).

Not here: arrays, which the trainer cuts itself, and what a batch must look like, which it checks. Contract: Datasets and
PyDatasets start anew each epoch; any other iterable starts anew each epoch too, or goes on where the last one ended
when `steps` says how long an epoch is; an iterator that ends early is said so once, and training ends.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv.data.dataset import Dataset
from fastconv.data.elements import note
from fastconv.data.pydataset import PyDataset
from fastconv.nest import flatten, map_leaves

__all__ = ["Feed", "is_stream"]

_END = object()


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches by iteration, rather than being an array, a nest of them or what becomes one."""
    if isinstance(x, (Dataset, PyDataset)):
        return True
    if isinstance(x, (np.ndarray, list, tuple, dict, str, bytes)) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__next__") or hasattr(x, "__iter__")


class Feed:
    """The batches of `data`, `steps` of them an epoch, or as many as there are."""

    def __init__(self, data: Any, steps: int | None = None, caller: str = "fit"):
        self.data, self.caller, self.ended, self._gave = data, caller, False, False
        self.known = steps if steps is not None else _length(data)
        if self.known == math.inf:
            raise ValueError(
                f"{caller}: the data has no end, since it is repeated: say how many batches an epoch has (steps_per_epoch; "
                "steps, validation_steps), or leave repeat() out: each epoch starts anew by itself."
            )
        self._steps = steps
        self._running: Iterator | None = data if hasattr(data, "__next__") else None

    def epoch(self, number: int) -> Iterator[tuple]:
        """The batches of epoch `number` as (x, y, sample_weight), None for what is not there."""
        if isinstance(self.data, PyDataset):
            self.data.on_epoch_begin()
        done, batches = 0, self._batches(number)
        while True:
            try:
                batch = next(batches, _END)
            except Exception as error:
                note(error, f"{self.caller}: the data raised this for batch {done + 1} of epoch {number + 1}.")
                raise
            if batch is _END:
                break
            done += 1
            yield self._parts(batch, done)
        if isinstance(self.data, PyDataset):
            self.data.on_epoch_end()
        if not done and not self._gave:
            once = " An iterator gives its batches once: make a new one for each call." * (self._running is not None)
            raise ValueError(f"{self.caller}: the data gave no batch at all.{once}")
        self._gave = True
        if self._steps is not None and done < self._steps or (done == 0 and self._running is not None):
            self.ended = True
            wanted = "at least one batch" if self._steps is None else f"{self._steps} batches an epoch"
            warnings.warn(
                f"{self.caller}: the data ended after {done} batches of epoch {number + 1}, which needs {wanted}."
                f"{' Training ends here.' * (self.caller == 'fit')} Let the generator run without end, or pass a Dataset.",
                stacklevel=2,
            )

    def go_to(self, number: int) -> None:
        """Passes over the epochs before `number`, of data that have a place or an order of their own."""
        if isinstance(self.data, Dataset) and self._steps is not None and self.data.cardinality():
            turns, left = divmod(number * self._steps, self.data.cardinality())
            self._running = self._endless(turns)
            deque(itertools.islice(self._running, left), maxlen=0)
        elif self._steps is not None or self._running is not None:
            for before in range(number):
                deque(self.epoch(before), maxlen=0)
        elif isinstance(self.data, PyDataset):
            for _ in range(number):
                self.data.on_epoch_begin()
                self.data.on_epoch_end()

    def _batches(self, number):
        if self._steps is None and self._running is None:
            return iter(self.data.epoch(number) if isinstance(self.data, Dataset) else self.data)
        if self._running is None:
            self._running = self._endless()
        return itertools.islice(self._running, self._steps)

    def _endless(self, first=0):
        for turn in itertools.count(first):
            empty = True
            for batch in self.data.epoch(turn) if isinstance(self.data, Dataset) else self.data:
                empty = False
                yield batch
            if empty:
                return

    def _parts(self, batch, step):
        parts = batch if isinstance(batch, tuple) else tuple(batch) if _is_pair(batch) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self.caller}: each batch must be x, (x, y) or (x, y, sample_weight); batch {step} has {len(parts)} "
                "parts."
            )
        arrays = [None if part is None else map_leaves(np.asarray, part) for part in parts]
        targets = flatten(arrays[1]) if arrays[1:] and arrays[1] is not None else []
        if isinstance(self.data, Dataset) and any(not leaf.ndim for leaf in targets):
            raise ValueError(
                f"{self.caller}: element {step} of the data is one sample, with the target {targets[0]}; training takes "
                "batches of them: dataset.batch(32)."
            )
        return (*arrays, None, None)[:3]


def _is_pair(batch):
    """A list as PyTorch's DataLoader makes them."""
    return isinstance(batch, list) and len(batch) in (2, 3)


def _length(data):
    if isinstance(data, Dataset):
        return data.cardinality()
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None
