"""Sources: data in memory, and data that comes as it is asked for, as batches (x, y, weights of samples).

What is a good batch, the trainer checks. Contract: `steps` is how many batches an epoch has, None where only its end
shows it; `batches(epoch)` gives those of one epoch; `ended` says that there will be no further epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np

from fastconv import config
from fastconv.batches import cut, samples
from fastconv.data.feeding import Feed, is_stream

__all__ = ["Arrays", "Stream", "blocks", "checked_stream", "is_blocks", "is_stream", "positive"]


class Arrays:
    """Nests of arrays, cut into batches in their order."""

    ended = False

    def __init__(self, data: tuple, batch_size: int, steps: int | None, name: str):
        """`name`: of the argument that `steps` came from."""
        self.data, self.batch_size = data, positive("batch_size", batch_size)
        count = samples(data[0])
        there = -(-count // self.batch_size)
        self.steps = there if steps is None else positive(name, steps)
        if self.steps > there:
            raise ValueError(
                f"{name}={steps} is more than the {there} batches of {batch_size} that {count} samples give."
            )

    def go_to(self, epoch: int) -> None:
        """Nothing: every epoch has the same samples."""

    def batches(self, epoch: int = 0) -> Iterator[tuple]:
        for start in range(0, self.steps * self.batch_size, self.batch_size):
            yield tuple(cut(part, start, start + self.batch_size) for part in self.data)


class Stream:
    """A Dataset, PyDataset, generator or other iterable of batches; `check(x, y, weight)` makes arrays of each."""

    def __init__(
        self, data: Any, steps: int | None, name: str, caller: str, check: Callable[..., tuple],
        pace: Callable[[Iterator[tuple], str], Iterator[tuple]] | None = None,
    ):  # fmt: skip
        """`pace(batches, caller)`: the batches, as all processes of a distribution have them."""
        self._feed = Feed(data, None if steps is None else positive(name, steps), caller)
        self._check, self.steps = check, self._feed.known or None  # of none, the first epoch says so
        self._pace, self._caller = pace, caller

    @property
    def ended(self) -> bool:
        return self._feed.ended

    def go_to(self, epoch: int) -> None:
        """Passes over what earlier epochs took."""
        self._feed.go_to(epoch)

    def batches(self, epoch: int = 0) -> Iterator[tuple]:
        found = self._checked(epoch)
        return found if self._pace is None else self._pace(found, self._caller)

    def _checked(self, epoch):
        batches = itertools.islice(self._feed.epoch(epoch), config.max_steps_per_epoch())
        for step, (x, y, weight) in enumerate(batches, 1):
            try:
                checked = self._check(x, y, weight)
            except (ValueError, TypeError) as error:
                raise type(error)(f"Batch {step} of the data: {error}") from error
            yield checked


def is_blocks(x: Any) -> bool:
    """Whether `x` is an array whose blocks come when they are asked for: Dask's, or one that wraps it as xarray's do."""
    return hasattr(x, "__dask_graph__") and bool(getattr(x, "chunks", None))


def blocks(x: Any, batch_size: int) -> Iterator[np.ndarray]:
    """The samples of such an array, batch by batch, of which one block along the first axis is in memory at a time.

    ValueError where the blocks' sizes are not known."""
    start = 0
    for size in x.chunks[0]:
        if size != size:
            raise ValueError("predict: the sizes of x's blocks are not known: call x.compute_chunk_sizes() first.")
        block = np.asarray(x[start : start + size])
        start += size
        yield from (block[first : first + batch_size] for first in range(0, size, batch_size))


def checked_stream(caller: str, **given: Any) -> None:
    """Raises ValueError for the first argument that an iterable of batches does not go with."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{caller}: {name} goes with arrays; x is an iterable, whose batches are (x, y) or (x, y, sample_weight)."
            )


def positive(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        kind = ValueError if whole else TypeError
        raise kind(f"{name} must be a whole number of at least {least}; got {value!r}.")
    return int(value)
