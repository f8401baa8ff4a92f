"""PyDataset: a data set of the user's own, batch by number, after `keras.utils.PyDataset` (once `Sequence`).

Not a pipeline: see dataset.py. Contract: `ds[i]` gives batch i whole; workers make batches ahead on threads or in
processes, and the batches keep their order, so that their number never changes what is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.data.elements import in_order

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["PyDataset", "Sequence"]


class PyDataset:
    """Base of data sets that give batch `index` from `__getitem__` and their number from `__len__`.

    workers: threads, or processes, that make batches ahead; 1 makes each when it is asked for. use_multiprocessing:
    processes, for work that holds Python's lock; the data set and its batches must be picklable. max_queue_size: how
    many batches wait at most. `on_epoch_begin` and `on_epoch_end` may be overridden, to shuffle for example.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        for name, value in (("workers", workers), ("max_queue_size", max_queue_size)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{type(self).__name__}: {name} must be a whole number of at least 1; got {value!r}.")
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index): batch number `index`.")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self): the number of batches an epoch.")

    @property
    def num_batches(self) -> int:
        """The number of batches an epoch."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""

    def __iter__(self) -> Iterator:
        """The batches of one epoch in their order."""
        count = self.num_batches
        if getattr(self, "workers", 1) == 1:  # a class that never called super().__init__() too
            yield from (self[i] for i in range(count))
            return
        with self._pool() as pool:
            ahead = max(self.workers, min(self.max_queue_size, 2 * self.workers))
            yield from in_order((pool.submit(_batch, self, i) for i in range(count)), ahead)

    def _pool(self) -> Executor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        if not self.use_multiprocessing:
            return ThreadPoolExecutor(self.workers)
        return ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn"))


def _batch(dataset, index):
    return dataset[index]


Sequence = PyDataset  # Keras' older name
