"""Dataset: a pipeline from arrays, functions and other iterables to batches, one step a method.

Not a format and not a cache on disk. Contract: a Dataset never changes, each method gives a new one; every pass over it
is a new epoch, and the passes of one Dataset are the same in every run that starts from the same seed, whatever the
number of threads, also where `map` calls layers that draw. Elements are nests (tuples, lists, dicts) of arrays or numbers;
a batch has them stacked along a new first axis, in the type that they have: uint8 images stay a byte a value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastconv import rng
from fastconv.data.ahead import ahead
from fastconv.data.elements import as_arrays, at_least, drawn, kept, mapped, note, rows_of, stack, threads
from fastconv.nest import flatten, map_leaves

__all__ = ["Dataset"]


class Dataset:
    """Elements to iterate over, as often as wanted. Made by `from_arrays`, `from_generator`, `range` or `zip`.

    ```python
    train = Dataset.from_arrays((x, y)).shuffle(seed=1).map(augment, seed=2).batch(32).prefetch(2)
    model.fit(train, epochs=5)
    ```
    """

    def __init__(self, passes: Callable[[int], Iterator], size: int | float | None = None, _rows: Any = None):
        """`passes(epoch)` gives the elements of that epoch; `size` is how many those are, None for unknown, math.inf for
        no end.

        `_rows` is for internal use: the nest of arrays whose rows the elements are, and its order by epoch.
        """
        if not callable(passes):
            raise TypeError(
                f"Dataset(...) takes a function from the epoch's number to its elements; got {type(passes).__name__}. Use "
                "Dataset.from_arrays((x, y)) or Dataset.from_generator(function)."
            )
        self._passes, self._size, self._rows = passes, size, _rows
        self._epoch = itertools.count()

    # Sources

    @classmethod
    def from_arrays(cls, arrays: Any, *more: Any) -> Dataset:
        """One element for each row of these arrays: a nest of arrays of equally many rows, such as `(x, y)`.

        Lists of numbers or texts are arrays; so are DataFrames and Series. Rows are views that cannot be written to: memory
        maps are read as they are needed, and no step changes your data. Raises ValueError for unequal lengths.
        """
        if more:
            raise TypeError("Dataset.from_arrays takes one argument: put the arrays into a tuple, from_arrays((x, y)).")
        arrays = as_arrays(arrays)
        sizes = {len(leaf) for leaf in flatten(arrays)}
        if len(sizes) != 1:
            raise ValueError(f"Dataset.from_arrays: all arrays must have equally many rows; got {sorted(sizes)}.")
        (size,) = sizes

        def passes(epoch):
            return (rows_of(arrays, i) for i in range(size))

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

        num_parallel_calls: threads that call it side by side; the elements keep their order. None or 0: in the thread
        that asks for them; -1: one a processor. Layers that draw (RandomFlip, Dropout) draw for this element of this epoch
        alone, so that any number of threads gives the same numbers. seed: the function takes a `numpy.random.Generator`
        of that kind as its last argument; None: it takes none, and the layers' numbers follow `set_random_seed`.
        """
        workers = threads(num_parallel_calls)
        own = _seed(seed)

        def passes(epoch):
            def call(numbered):
                i, element = numbered
                arguments = element if isinstance(element, tuple) else (element,)
                more = () if seed is None else (np.random.default_rng([seed, epoch, i]),)
                try:
                    with rng.apart(own, epoch, i):
                        return function(*arguments, *more)
                except Exception as error:
                    count = len(arguments) + len(more)
                    note(error, f"In Dataset.map, at element {i} of epoch {epoch + 1}, which is {count} arguments.")
                    if "read-only" in str(error):
                        note(error, "The rows of your arrays cannot be written to: copy what is to be changed.")
                    raise

            elements = enumerate(self._passes(epoch))
            return mapped(call, elements, workers) if workers else map(call, elements)

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
            buffer_size = at_least(1, "buffer_size", buffer_size)
        seed = _seed(seed)

        def generator(epoch):
            return np.random.default_rng([seed, epoch if reshuffle_each_iteration else 0])

        if self._rows is not None and (buffer_size is None or buffer_size >= self._size):
            arrays, order = self._rows
            size = self._size

            def shuffled(epoch):
                before, drawn = order(epoch), generator(epoch).permutation(size)
                return drawn if before is None else before[drawn]

            def passes(epoch):
                return (rows_of(arrays, i) for i in shuffled(epoch))

            return Dataset(passes, size, (arrays, shuffled))
        return Dataset(lambda epoch: drawn(self._passes(epoch), buffer_size, generator(epoch)), self._size)

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Batches of `batch_size` elements, stacked; the last one holds what is left, unless it is dropped."""
        batch_size = at_least(1, "batch_size", batch_size)
        size = self._size
        if size is not None and size != math.inf:
            size = size // batch_size if drop_remainder else -(-size // batch_size)
        if self._rows is not None:
            arrays, order = self._rows

            def passes(epoch):
                chosen = order(epoch)
                for i in range(size):
                    rows = slice(i * batch_size, (i + 1) * batch_size)
                    yield rows_of(arrays, rows if chosen is None else chosen[rows])

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
                yield from (rows_of(element, i) for i in range(len(flatten(element)[0])))

        return Dataset(passes)

    def cache(self) -> Dataset:
        """Keeps the elements of the first complete pass in memory for all later ones; they cannot be written to."""
        memory: list = []
        whole = [False]

        def passes(epoch):
            if whole[0]:
                yield from memory
                return
            seen = []
            for element in self._passes(epoch):
                seen.append(map_leaves(kept, element))
                yield seen[-1]
            if not whole[0]:
                memory.extend(seen)
                whole[0] = True

        return Dataset(passes, self._size)

    def prefetch(self, buffer_size: int) -> Dataset:
        """Works up to `buffer_size` elements ahead (-1: 8), in a thread of its own, which makes half of them at a time."""
        buffer_size = 8 if buffer_size in (None, -1) else at_least(1, "buffer_size", buffer_size)
        return Dataset(lambda epoch: ahead(self._passes(epoch), buffer_size), self._size)

    def repeat(self, count: int | None = None) -> Dataset:
        """The data set `count` times over (None: without end), each time an epoch of its own."""
        if count is not None:
            count = at_least(1, "count", count)

        def passes(epoch):
            for turn in itertools.count() if count is None else range(count):
                yield from self._passes(epoch * (count or 1) + turn)

        size = math.inf if count is None else None if self._size is None else self._size * count
        return Dataset(passes, size)

    def take(self, count: int) -> Dataset:
        """The first `count` elements."""
        count = at_least(0, "count", count)
        size = count if self._size is None else min(count, self._size)
        return Dataset(lambda epoch: itertools.islice(self._passes(epoch), count), size)

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements."""
        count = at_least(0, "count", count)
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
        if self._size == math.inf:
            raise TypeError("This Dataset has no end: it is repeated. take(count) gives it one.")
        return int(self._size)

    def cardinality(self) -> int | float | None:
        """How many elements an epoch has; None where that is not known, math.inf where it has no end."""
        return self._size

    def __repr__(self) -> str:
        known = {None: "unknown length", math.inf: "no end"}.get(self._size, f"{self._size} elements")
        return f"<Dataset of {known}>"


def _seed(seed):
    """A seed as it was given, or one from fastconv's own stream."""
    return int(rng.generator().integers(1 << 62)) if seed is None else at_least(0, "seed", seed)
