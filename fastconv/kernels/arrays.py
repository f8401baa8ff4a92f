"""What every kernel does to its arguments first: check an array, make it readable by C, allocate the result.

Nothing here converts an element type: a wrong dtype is the caller's mistake and a TypeError. Arrays that C cannot read
in place (strided, misaligned) are copied once, in `checked`.
"""

from __future__ import annotations

import math

import numpy as np

from . import _moves
from ._memory import Block
from ._tiles import cannot_be_repeated, records_plan

_AXES = 16  # FC_AXES of tiles.h, as many as a copy tells apart
FLOAT32, FLOAT64 = FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def empty(shape, dtype) -> np.ndarray:
    """An uninitialised array on the caching allocator: C order, aligned to 64 bytes.

    Raises ValueError where the sizes overflow, MemoryError where there is no memory.
    """
    if not isinstance(dtype, np.dtype):
        dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= size < 2**59:  # TOO_LARGE in _memory.pxd
        raise ValueError(f"An array of shape {tuple(shape)} is too large ({size} bytes).")
    return np.ndarray(shape, dtype, Block(size))


def checked(name: str, array, ndim=None, like=None) -> np.ndarray:
    """`array` as C can read it: float32 or float64 (the dtype of `like`, where given), contiguous and aligned.

    `ndim` is a number or a container of numbers. Raises TypeError for the dtype, ValueError for the rank.
    """
    if type(array) is np.ndarray:  # the usual case, at the price of a few comparisons
        dtype, flags = array.dtype, array.flags
        if (
            (dtype is FLOAT32 or dtype is FLOAT64)
            and (like is None or dtype is like.dtype)
            and (ndim is None or (array.ndim in ndim if type(ndim) is range else array.ndim == ndim))
            and flags.c_contiguous
            and flags.aligned
        ):
            return array
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array; got {type(array).__name__}.")
    if array.dtype not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64; got {array.dtype}. Convert it: {name}.astype('float32').")
    if like is not None and array.dtype != like.dtype:
        raise TypeError(
            f"{name} is {array.dtype} and goes with {like.dtype}: one dtype is needed. Convert one of them with astype."
        )
    if ndim is not None and array.ndim not in (ndim if hasattr(ndim, "__contains__") else (ndim,)):
        raise ValueError(f"{name} must have {_either(ndim)} dimensions; got shape {array.shape}.")
    return readable(array)


def readable(array: np.ndarray) -> np.ndarray:
    """`array`, or a copy that is contiguous and aligned."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    if array.dtype in FLOATS and flags.aligned and array.size and array.ndim <= _AXES and not records_plan():
        copy = empty(array.shape, array.dtype)
        _moves.copy(array, copy, copy, copy)  # `array` is none that has an address of its own
        return copy
    cannot_be_repeated()
    return np.array(array, order="C", subok=False)


def as_integers(array: np.ndarray) -> np.ndarray:
    """Integers as int64 that C can read: `array` itself, or a copy."""
    if array.dtype != np.int64:
        cannot_be_repeated()
        array = array.astype(np.int64)
    return readable(array)


def same_shape(name: str, array: np.ndarray, shape, of: str) -> None:
    """Raises ValueError unless `array` has this shape, which is `of` something that the message names."""
    if array.shape != shape and array.shape != tuple(shape):
        raise ValueError(f"{name} must have {of}, {tuple(shape)}; got {array.shape}.")


def broadcast_shape(a, b) -> tuple:
    """The shape of two shapes broadcast to one another; a size of None is open, and takes the other's unless that is 1."""
    if a == b:
        return tuple(a)
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    shape = list(longer)
    for axis, size in enumerate(shorter, len(longer) - len(shorter)):
        if shape[axis] == 1 or shape[axis] is None and size != 1:
            shape[axis] = size
        elif size not in (1, None, shape[axis]):
            sizes = " ".join(str(tuple(one)).replace(" ", "") for one in (a, b))
            raise ValueError(
                f"Arrays of shapes {sizes} cannot be broadcast together: counted from the last, axes must be of one size, "
                "or of size 1. Reshape one of them."
            )
    return tuple(shape)


def _either(ndim) -> str:
    return " or ".join(map(str, ndim)) if hasattr(ndim, "__iter__") else str(ndim)
