"""Arrays at the edge: what a Tensor can hold, and the inputs of an operation as arrays of one dtype.

Not here: Keras' promotion of dtypes (ops/casting.py). Contract: nothing is converted but Python's numbers and lists, and
what `dtype` asks for; everything else that is no array of DTYPES is a TypeError that says how to convert it.
"""

from __future__ import annotations

import numpy as np

from .protocols import Protocols

FLOAT32, FLOAT64 = np.dtype("float32"), np.dtype("float64")
DTYPES = {np.dtype(name) for name in ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")}
DTYPES |= {FLOAT32, FLOAT64}
DTypeLike = str | type | np.dtype


def new_array(data, dtype):
    """The array of a new Tensor."""
    if isinstance(data, Protocols):
        data = data.data
    if dtype is not None and np.dtype(dtype) not in DTYPES:
        raise TypeError(f"dtype must be 'float32', 'float64', an integer type or 'bool'; got {dtype!r}.")
    if type(data) in (bool, int, float, list, tuple):
        array = np.asarray(data)
        if dtype is None and array.dtype.kind in "iuf":
            return array.astype(FLOAT32)
    elif hasattr(data, "__dlpack__") and not hasattr(data, "__array__"):
        array = from_dlpack(data)
    else:
        refuse_masked(data)
        array = np.asarray(data)
    if dtype is not None and array.dtype.kind in "biuf":
        return array.astype(dtype, copy=False)
    if array.dtype in DTYPES:
        return array
    raise TypeError(
        f"A Tensor holds float32, float64, integers or booleans; got {array.dtype} data. Convert it: Tensor(data, "
        "dtype='float32'), or data.astype('float32')."
    )


def refuse_masked(array) -> None:
    """Raises TypeError for a masked array that hides an element: np.asarray would bring the hidden values back."""
    if type(array) is not np.ndarray and getattr(array, "mask", False) is not False and np.any(array.mask):
        raise TypeError(
            "A masked array hides elements, for which there is no value: fill them, as in x.filled(0), or leave their "
            "samples out; layers.Masking hides steps of a sequence."
        )


def from_dlpack(x) -> np.ndarray:
    """An array on the memory of another library's; TypeError where it is on another device, or of another kind."""
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, AttributeError) as error:
        raise TypeError(
            f"A {type(x).__name__} must be an array in the CPU's memory that speaks DLPack, of float32, float64, integers "
            f"or booleans, and need no gradient; {str(error).rstrip('.')}."
        ) from error


def has_floats(values, integers=()):
    return any([value is not None and value.dtype.kind == "f" for place, value in enumerate(values)
                if place not in integers])  # fmt: skip


def unify(name, values, integers=(), exact=False):
    """The inputs of the operation `name` as arrays of one dtype, the slow way: numbers and lists are weak. It is of
    floats, or where `exact`, perhaps of integers or booleans. Those at the places `integers` keep their dtype, and so do
    tensors without data."""
    arrays, weak, dtypes = [], [], set()
    for place, value in enumerate(values):
        light = isinstance(value, (bool, int, float, list, tuple, np.generic))
        if value is not None and not isinstance(value, Protocols) and (place in integers or not light):
            refuse_masked(value)
            value, light = np.asarray(value), False
        if value is not None and not light and place not in integers:
            dtypes.add(value.dtype)
        arrays.append(value)
        weak.append(light)
    for dtype in dtypes:
        if dtype not in (FLOAT32, FLOAT64) and not (exact and dtype in DTYPES):
            raise TypeError(f"{name} works on float32 or float64; got {dtype}. Convert it with .astype('float32').")
    if len(dtypes) > 1:
        one, other = sorted(map(str, dtypes))[:2]
        raise TypeError(
            f"{name} got {one} and {other} together; fastconv does not convert silently. Convert one of them with "
            f".astype('{one}') or .astype('{other}')."
        )
    dtype = dtypes.pop() if dtypes else FLOAT32
    return [new_array(value, dtype) if light else value for value, light in zip(arrays, weak)]
