"""What becomes of the elements of a Dataset: rows, batches, the order of a buffer, work on threads.

Not the steps themselves: dataset.py. Contract: elements keep their structure and their types; what is taken from the
user's arrays cannot be written to, so that no step changes them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.kernels import empty
from fastconv.nest import flatten, map_leaves, pack

if TYPE_CHECKING:
    from concurrent.futures import Future


def as_arrays(structure: Any) -> Any:
    """The same structure with arrays: lists of numbers or texts are one, lists of arrays are a nest of them."""
    if isinstance(structure, dict):
        return {key: as_arrays(part) for key, part in structure.items()}
    if isinstance(structure, tuple) or isinstance(structure, list) and any(map(_is_array, structure)):
        parts = [as_arrays(part) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    try:
        array = np.asarray(structure)
    except ValueError as error:
        raise ValueError(
            f"Dataset.from_arrays needs arrays; a list of them has rows of different lengths: {error}"
        ) from error
    if not array.ndim:
        raise ValueError(f"Dataset.from_arrays needs arrays with rows; got the single value {structure!r}.")
    return kept(array)


def _is_array(value):
    return hasattr(value, "__array__") and getattr(value, "ndim", 1) > 0  # NumPy's numbers have an __array__ too


def kept(array: Any) -> Any:
    """A view that cannot be written to, of an array; anything else as it is."""
    if not isinstance(array, np.ndarray):
        return array
    view = array.view()
    view.flags.writeable = False
    return view


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


def rows_of(arrays: Any, chosen: Any) -> Any:
    """Row number `chosen`, or the rows of a slice or of an array of numbers, of each array of a nest."""
    return map_leaves(_gathered(chosen) if isinstance(chosen, np.ndarray) else lambda leaf: leaf[chosen], arrays)


def _gathered(chosen):
    """On cached memory, since that of another thread than the main one is new at each batch, page by page."""

    def rows(leaf):
        if leaf.dtype.hasobject or not leaf.flags.c_contiguous:
            return leaf[chosen]
        return leaf.take(chosen, axis=0, out=empty((len(chosen), *leaf.shape[1:]), leaf.dtype), mode="clip")

    return rows


def mapped(call: Callable, elements: Iterable, workers: int) -> Iterator:
    """`call` over the elements on threads, in their order, twice as many in flight as there are threads."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        yield from in_order((pool.submit(call, element) for element in elements), 2 * workers)


def in_order(jobs: Iterator[Future], ahead: int) -> Iterator:
    """The results of jobs in their order, of which up to `ahead` run; those that nobody asks for are cancelled."""
    running: deque = deque()
    try:
        for job in jobs:
            running.append(job)
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for job in running:
            job.cancel()


def drawn(elements: Iterable, buffer_size: int | None, generator: np.random.Generator) -> Iterator:
    """The elements, each drawn from a buffer of so many (None: of all)."""
    buffer = []
    for element in elements:
        buffer.append(element)
        if buffer_size is not None and len(buffer) > buffer_size:
            i = int(generator.integers(len(buffer) - 1))
            buffer[i], buffer[-1] = buffer[-1], buffer[i]
            yield buffer.pop()
    for i in generator.permutation(len(buffer)):
        yield buffer[i]


def note(error: Exception, text: str) -> None:
    """Adds where an error came from, which Python 3.10 cannot show."""
    if hasattr(error, "add_note"):
        error.add_note(text)


def at_least(least: int, name: str, value: Any) -> int:
    """A whole number of at least `least`; ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    return int(value)


def threads(num_parallel_calls: int | None) -> int:
    """How many threads `map` works on: none for None and 0, one a processor for -1, tf.data's AUTOTUNE."""
    if num_parallel_calls == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if num_parallel_calls is None else at_least(0, "num_parallel_calls", num_parallel_calls)
