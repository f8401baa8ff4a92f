"""Shapes, dtypes and arrays as layers are given them: checked, and brought into one form.

No layer is known here. Contract: a shape is a tuple of ints and None, a nest of shapes any of tuples, lists and dicts
of them; what is neither raises TypeError or ValueError naming it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import config, kernels
from fastconv.edge import refuse_masked
from fastconv.tensor import Tensor


def is_shape(value: Any) -> bool:
    """Whether `value` is a shape, not a nest of shapes."""
    return isinstance(value, (list, tuple)) and all(
        size is None or isinstance(size, (int, np.integer)) for size in value
    )


def map_shapes(function: Callable[[tuple[int | None, ...]], Any], structure: Any) -> Any:
    """`structure`, a nest of shapes, with `function(shape)` for each."""
    if is_shape(structure):
        return function(tuple(structure))
    if isinstance(structure, dict):
        return {key: map_shapes(function, part) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_shapes(function, part) for part in structure)
    raise TypeError(f"A shape is a tuple of ints and None, such as (None, 28, 28, 1); got {structure!r}.")


def flatten_shapes(structure: Any) -> list[tuple[int | None, ...]]:
    """The shapes in a nest of shapes."""
    found = []
    map_shapes(found.append, structure)
    return found


def sample_shape(shape: Any, name: str) -> tuple[int | None, ...]:
    """`shape` as a tuple of positive ints or None; ValueError otherwise."""
    try:
        sizes = tuple(None if size is None else operator.index(size) for size in shape)
    except TypeError:
        hint = f" Write ({shape},)." if isinstance(shape, int) else ""
        raise TypeError(
            f"{name} must be a tuple of ints or None, such as (28, 28, 1), without the batch; got {shape!r}.{hint}"
        ) from None
    if any(size is not None and size < 1 for size in sizes):
        raise ValueError(f"{name} must hold sizes of at least 1; got {shape!r}.")
    return sizes


def float_dtype(dtype: Any, owner: str) -> np.dtype:
    """The dtype of a name, a NumPy dtype or type, a policy, or None, the default; ValueError for other than floats."""
    if dtype is None:
        return np.dtype(config.default_dtype())
    try:
        dtype = np.dtype(getattr(dtype, "compute_dtype", dtype)).name
    except TypeError:
        pass  # the error shows what was given
    return np.dtype(config.checked_float(f"{owner}: dtype", dtype))


def numbers(values: Any, name: str) -> np.ndarray:
    """`values` as an array of real numbers or bools; TypeError naming `name` otherwise."""
    array = values.data if isinstance(values, Tensor) else array_of(values, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got an array of dtype {array.dtype}.{_instead(array, name)}")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def array_of(values: Any, name: str) -> np.ndarray:
    """`np.asarray(values)`; ValueError naming `name` and the first samples that differ where the shapes do."""
    refuse_masked(values)
    try:
        return np.asarray(values)
    except ValueError as error:
        first, *others = [_shape_of(value) for value in values]
        number, other = next(((i, s) for i, s in enumerate(others, 1) if s != first), (0, first))
        if not number:
            raise ValueError(f"{name} cannot become one array: {error}") from None
        raise ValueError(
            f"{name} must hold samples of one shape; sample 0 has {first}, and sample {number} has {other}. Pad, cut or "
            "resize them to one shape."
        ) from None


def _shape_of(value):
    try:
        return np.shape(value)
    except ValueError:
        return "parts of several shapes"


def _instead(array, name):
    """What to do about values that are no numbers."""
    if array.dtype.kind in "US" and not array.ndim:
        return " A file has to be read first: fastconv.utils.img_to_array(fastconv.utils.load_img(path))."
    first = array.flat[0] if array.size else None
    if isinstance(first, str):
        return f" Number the classes first: classes, {name} = np.unique({name}, return_inverse=True)."
    if callable(first):
        return " A generator function has to be called: give what it returns."
    if array.dtype == object:
        return f" Its first entry is a {type(first).__name__}: make one array of numbers, as np.stack({name}) does."
    return ""


def cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array` itself if it has this dtype, else a converted copy on cached memory."""
    if array.dtype == dtype:
        return array
    converted = kernels.empty(array.shape, dtype)
    np.copyto(converted, array, casting="unsafe")
    return converted
