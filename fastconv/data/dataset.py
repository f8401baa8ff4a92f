"""Dataset: a pipeline from arrays, functions and other iterables to batches, one step a method.

Not a format and not a cache on disk. Contract: a Dataset never changes, each method gives a new one; every pass over it
is a new epoch, and the passes of one Dataset are the same in every run that starts from the same seed, whatever the
number of threads. Elements are nests (tuples, lists, dicts) of arrays or numbers; a batch has them stacked along a new
first axis, in the type that they have: uint8 images stay a byte a value.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np

from fastconv import rng
from fastconv.data.ahead import ahead
from fastconv.nest import flatten, map_leaves, pack

__all__ = ["Dataset"]


class Dataset:
    """Elements to iterate over, as often as wanted. Made by `from_arrays`, `from_generator`, `range` or `list`.

    ```python
    train = Dataset.from_arrays((x, y)).shuffle(seed=1).map(augment, seed=2).batch(32).prefetch(2)
    model.fit(train, epochs=5)
    ```
    """

    def __init__(self, passes: Callable[[int], Iterator], size: int | None = None, _rows: Any = None):
        """`passes(epoch)` gives the elements of that epoch; `size` is how many those are, None for unknown.

        `_rows` is for internal use: the nest of arrays whose rows the elements are, and its order by epoch.
        """
        self._passes, self._size, self._rows = passes, size, _rows
        self._epoch = itertools.count()

    # Sources

    @classmethod
    def from_arrays(cls, arrays: Any) -> Dataset:
        """One element for each row of these arrays: a nest of arrays of equally many rows, such as `(x, y)`.

        Rows are views: memory maps are read as they are needed. Raises ValueError for unequal lengths.
        """
        arrays = map_leaves(_as_rows, arrays)
        leaves = flatten(arrays)
        sizes = {len(leaf) for leaf in leaves}
        if len(sizes) != 1:
            raise ValueError(f"Dataset.from_arrays: all arrays must have equally many rows; got {sorted(sizes)}.")
        (size,) = sizes

        def passes(epoch):
            for i in range(size):
                yield map_leaves(lambda leaf: leaf[i], arrays)

        return cls(passes, size, (arrays, lambda epoch: None))

    from_tensor_slices = from_arrays

    @classmethod
    def from_generator(cls, generator: Callable[[], Iterable], size: int | None = None) -> Dataset:
        """The elements that `generator()` yields; it is called once an epoch. `size`: how many, if known."""
        if not callable(generator):
            raise TypeError(
                f"Dataset.from_generator needs a function that starts the generator anew each epoch; got {generator!r}. "
                "Pass the function itself, without calling it."
            )
        return cls(lambda epoch: iter(generator()), size)

    @classmethod
    def range(cls, *bounds: int) -> Dataset:
        """The whole numbers of `range(*bounds)`."""
        return cls.from_arrays(np.arange(*bounds))

    @classmethod
    def zip(cls, *datasets: Dataset) -> Dataset:
        """Tuples of the elements of these data sets side by side, as many as the shortest has."""
        sizes = [dataset._size for dataset in datasets]
        known = [size for size in sizes if size is not None]
        size = min(known) if known and len(known) == len(sizes) else None
        return cls(lambda epoch: zip(*(dataset._passes(epoch) for dataset in datasets)), size)

    # Steps

    def map(self, function: Callable, num_parallel_calls: int | None = None, seed: int | None = None) -> Dataset:
        """`function(*element)` (or `function(element)` where the element is no tuple) instead of each element.

        num_parallel_calls: threads that call it side by side; the elements keep their order. None: in the thread that
        asks for them. seed: the function takes a `numpy.random.Generator` as its last argument, drawn for this
        element of this epoch alone, so that any number of threads gives the same numbers.
        """
        workers = None if num_parallel_calls in (None, -1) else _at_least(1, "num_parallel_calls", num_parallel_calls)

        def passes(epoch):
            def call(numbered):
                i, element = numbered
                arguments = element if isinstance(element, tuple) else (element,)
                more = () if seed is None else (np.random.default_rng([seed, epoch, i]),)
                return function(*arguments, *more)

            elements = enumerate(self._passes(epoch))
            return map(call, elements) if workers is None else _mapped(call, elements, workers)

        return Dataset(passes, self._size)

    def filter(self, predicate: Callable) -> Dataset:
        """Only the elements for which `predicate(*element)` is true."""

        def passes(epoch):
            return (e for e in self._passes(epoch) if predicate(*(e if isinstance(e, tuple) else (e,))))

        return Dataset(passes)

    def shuffle(
        self, buffer_size: int | None = None, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Dataset:
        """The elements in random order: each drawn from a buffer of `buffer_size` (None: of all).

        seed: None takes fastconv's, so that `set_random_seed` decides. Over arrays only the order is drawn, and no
        element is read before its turn.
        """
        if buffer_size is not None:
            buffer_size = _at_least(1, "buffer_size", buffer_size)
        seed = int(rng.generator().integers(1 << 62)) if seed is None else seed

        def generator(epoch):
            return np.random.default_rng([seed, epoch if reshuffle_each_iteration else 0])

        if self._rows is not None and (buffer_size is None or buffer_size >= self._size):
            arrays, order = self._rows
            size = self._size

            def shuffled(epoch):
                before, drawn = order(epoch), generator(epoch).permutation(size)
                return drawn if before is None else before[drawn]

            def passes(epoch):
                for i in shuffled(epoch):
                    yield map_leaves(lambda leaf: leaf[i], arrays)

            return Dataset(passes, size, (arrays, shuffled))
        return Dataset(lambda epoch: _drawn(self._passes(epoch), buffer_size, generator(epoch)), self._size)

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Batches of `batch_size` elements, stacked; the last one holds what is left, unless it is dropped."""
        batch_size = _at_least(1, "batch_size", batch_size)
        size = self._size
        if size is not None:
            size = size // batch_size if drop_remainder else -(-size // batch_size)
        if self._rows is not None:
            arrays, order = self._rows

            def passes(epoch):
                chosen = order(epoch)
                for i in range(size):
                    rows = slice(i * batch_size, (i + 1) * batch_size)
                    yield map_leaves(lambda leaf: leaf[rows if chosen is None else chosen[rows]], arrays)

            return Dataset(passes, size)

        def stacked(epoch):
            elements = self._passes(epoch)
            while rows := list(itertools.islice(elements, batch_size)):
                if len(rows) == batch_size or not drop_remainder:
                    yield stack(rows)

        return Dataset(stacked, size)

    def unbatch(self) -> Dataset:
        """One element for each row of each element."""

        def passes(epoch):
            for element in self._passes(epoch):
                for i in range(len(flatten(element)[0])):
                    yield map_leaves(lambda leaf: leaf[i], element)

        return Dataset(passes)

    def cache(self) -> Dataset:
        """Keeps the elements of the first complete pass in memory for all later ones."""
        kept: list = []
        whole = [False]

        def passes(epoch):
            if whole[0]:
                yield from kept
                return
            seen = []
            for element in self._passes(epoch):
                seen.append(element)
                yield element
            if not whole[0]:
                kept.extend(seen)
                whole[0] = True

        return Dataset(passes, self._size)

    def prefetch(self, buffer_size: int) -> Dataset:
        """Works up to `buffer_size` elements ahead, in a thread of its own."""
        buffer_size = 2 if buffer_size in (None, -1) else _at_least(1, "buffer_size", buffer_size)
        return Dataset(lambda epoch: ahead(self._passes(epoch), buffer_size), self._size)

    def repeat(self, count: int | None = None) -> Dataset:
        """The data set `count` times over (None: without end), each time an epoch of its own."""
        if count is not None:
            count = _at_least(1, "count", count)

        def passes(epoch):
            for turn in itertools.count() if count is None else range(count):
                yield from self._passes(epoch * (count or 1) + turn)

        size = None if count is None or self._size is None else self._size * count
        return Dataset(passes, size)

    def take(self, count: int) -> Dataset:
        """The first `count` elements."""
        count = _at_least(0, "count", count)
        size = count if self._size is None else min(count, self._size)
        return Dataset(lambda epoch: itertools.islice(self._passes(epoch), count), size)

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements."""
        count = _at_least(0, "count", count)
        size = None if self._size is None else max(0, self._size - count)
        return Dataset(lambda epoch: itertools.islice(self._passes(epoch), count, None), size)

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs of a number and an element."""
        return Dataset(lambda epoch: enumerate(self._passes(epoch), start), self._size)

    # Use

    def __iter__(self) -> Iterator:
        return iter(self._passes(next(self._epoch)))

    def epoch(self, number: int) -> Iterator:
        """The pass of epoch `number`, whichever passes were before it: what a resumed training goes on with."""
        return iter(self._passes(number))

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError(
                "The length of this Dataset is not known; count its elements, or give from_generator a size."
            )
        return self._size

    def cardinality(self) -> int | None:
        """How many elements an epoch has; None where that is not known."""
        return self._size

    def __repr__(self) -> str:
        return f"<Dataset of {'unknown length' if self._size is None else f'{self._size} elements'}>"


def stack(rows: list) -> Any:
    """Elements of one structure stacked along a new first axis. Raises ValueError where their shapes differ."""
    columns = list(zip(*(flatten(row) for row in rows)))
    stacked = []
    for column in columns:
        arrays = [np.asarray(part) for part in column]
        shapes = sorted({array.shape for array in arrays})
        if len(shapes) > 1:
            raise ValueError(
                f"A batch needs elements of one shape; got {shapes[0]} and {shapes[1]}. Resize or pad them with map()."
            )
        stacked.append(np.stack(arrays))
    return pack(rows[0], stacked) if columns else rows[0]


def _as_rows(leaf):
    array = leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf)
    if not array.ndim:
        raise ValueError(f"Dataset.from_arrays needs arrays with rows; got the single value {leaf!r}.")
    return array


def _mapped(call, elements, workers):
    """`call` over the elements on threads, in their order, twice as many in flight as there are threads."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        running = deque()
        try:
            for element in elements:
                running.append(pool.submit(call, element))
                if len(running) >= 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for job in running:
                job.cancel()


def _drawn(elements, buffer_size, generator):
    buffer = []
    for element in elements:
        buffer.append(element)
        if buffer_size is not None and len(buffer) > buffer_size:
            i = int(generator.integers(len(buffer) - 1))
            buffer[i], buffer[-1] = buffer[-1], buffer[i]
            yield buffer.pop()
    for i in generator.permutation(len(buffer)):
        yield buffer[i]


def _at_least(least, name, value):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    return int(value)
