"""Windows of series, after `keras.utils.timeseries_dataset_from_array`, and the parts of a Dataset.

Contract: windows are cut when their batch is asked for; the series stays one array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.data.dataset import Dataset
from fastconv.data.elements import at_least, stack
from fastconv.nest import flatten, map_leaves

__all__ = ["timeseries_dataset_from_array"]


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Windows of a series: batches of (count, sequence_length, ...) of `data`, with the targets of their first steps.

    data: (steps, ...). targets: None, or at least as many as windows start, `targets[i]` belonging to the window that
    starts at step i. sequence_stride: steps from one window to the next. sampling_rate: steps from one value of a window
    to the next. start_index, end_index: the steps that may be used. `format` is taken for Keras' sake.
    """
    data = np.asarray(data)
    sequence_length = at_least(1, "sequence_length", sequence_length)
    sequence_stride = at_least(1, "sequence_stride", sequence_stride)
    sampling_rate = at_least(1, "sampling_rate", sampling_rate)
    first = 0 if start_index is None else start_index
    last = len(data) if end_index is None else end_index
    if not 0 <= first < len(data):
        raise ValueError(f"start_index must be from 0 to {len(data) - 1}; got {start_index!r}.")
    if not first < last <= len(data):
        raise ValueError(f"end_index must be above start_index {first} and at most {len(data)}; got {end_index!r}.")
    reach = (sequence_length - 1) * sampling_rate
    starts = np.arange(0, last - first - reach, sequence_stride)
    if targets is not None:
        targets = np.asarray(targets)
        starts = starts[starts < len(targets)]
    if not len(starts):
        raise ValueError(
            f"No window of {sequence_length} values, {sampling_rate} steps apart, fits into {last - first} steps; make "
            "sequence_length or sampling_rate smaller."
        )
    steps = np.arange(sequence_length) * sampling_rate

    def windows(i):
        x = data[first + i[:, None] + steps] if np.ndim(i) else data[first + i + steps]
        return x if targets is None else (x, targets[i])

    indices = Dataset.from_arrays(starts)
    if shuffle:
        indices = indices.shuffle(seed=seed)
    return (indices if batch_size is None else indices.batch(batch_size)).map(windows)


def split_stream(
    dataset: Any, left_size: float | int | None, right_size: float | int | None, shuffle: bool, seed: int | None
) -> tuple[Dataset, Dataset]:
    """An iterable of single elements, which is read once, whole, in two parts; see `fastconv.utils.split_dataset`."""
    rows = list(dataset)
    if not rows:
        raise ValueError("split_dataset: the data set has no elements.")
    arrays = stack(rows)
    total = len(flatten(arrays)[0])
    left, right = _count("left_size", left_size, total), _count("right_size", right_size, total)
    if left is None and right is None:
        raise ValueError("split_dataset needs left_size or right_size: a share such as 0.8, or a number of elements.")
    left = total - right if left is None else left
    right = total - left if right is None else right
    if left + right > total or not left or not right:
        raise ValueError(
            f"split_dataset: parts of {left} and {right} do not fit {total} elements; both need at least one."
        )
    order = np.random.default_rng(seed).permutation(total) if shuffle else np.arange(total)
    return tuple(
        Dataset.from_arrays(map_leaves(lambda leaf: leaf[chosen], arrays))
        for chosen in (order[:left], order[left : left + right])
    )


def _count(name, size, total):
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a share from 0 to 1 or a number of elements; got {size!r}.")
    if isinstance(size, (float, np.floating)):
        if not 0 < size < 1:
            raise ValueError(f"{name} as a share must lie between 0 and 1; got {size!r}.")
        return math.floor(size * total + 0.5)
    if not 0 < size < total:
        raise ValueError(f"{name} must be from 1 to {total - 1}, less than all elements; got {size!r}.")
    return int(size)
