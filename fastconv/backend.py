"""keras.backend: the settings of config.py under their older place, and questions about dtypes and names.

Nothing computes here; the functions of Keras 1 and 2 (`K.sum`, `K.function`) are gone from Keras too: use fastconv.ops.
Contract: dtypes are given and named as strings; a name that is no dtype raises ValueError.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from fastconv.absent import explain as _explain
from fastconv.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from fastconv.kernels import empty_cache
from fastconv.layers import base
from fastconv.symbolic import KerasTensor

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format", "is_float_dtype", "is_int_dtype",
    "is_keras_tensor", "result_type", "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip

_uids: Counter[str] = Counter()


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype, such as "float32", given as a name, a NumPy dtype or type, or a Python type; None is
    `floatx()`.

    ValueError for what is none.
    """
    if dtype is None:
        return floatx()
    if dtype in _PYTHON:
        return _PYTHON[dtype]
    try:
        return np.dtype(dtype).name
    except TypeError:
        if str(dtype) == "bfloat16":  # which NumPy does not know
            return "bfloat16"
        raise ValueError(
            f"{dtype!r} is no dtype; dtypes are 'float32', 'float64', 'int32', 'bool' and their kind."
        ) from None


_PYTHON = {float: "float32", int: "int32", bool: "bool", "int": "int32", "long": "int64"}


def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype is of floating point."""
    name = standardize_dtype(dtype)
    return name.startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype is of signed or unsigned integers; "bool" is not."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


def result_type(*dtypes: Any) -> str:
    """The dtype of an operation on these: the widest float among them, else the integer that holds all, else "bool".

    Python's `float` and `int`, as values of no dtype of their own, count as `floatx()` and "int32" only where nothing
    else decides.
    """
    if not dtypes:
        return floatx()
    weak = {dtype for dtype in dtypes if dtype in (float, int)}
    strong = [standardize_dtype(dtype) for dtype in dtypes if dtype not in (float, int)]
    floats = [name for name in strong if is_float_dtype(name)]
    if floats:
        return max(floats, key=lambda name: np.dtype("float16" if name == "bfloat16" else name).itemsize)
    if float in weak:
        return floatx()
    if not strong:
        return "int32"
    found = np.result_type(*strong)
    if found.kind == "f":  # NumPy's answer to int64 and uint64
        return floatx()
    return "int32" if found.kind == "b" and weak else found.name


def is_keras_tensor(x: Any) -> bool:
    """Whether x is a tensor without data, of `fastconv.Input` or a layer called on one."""
    return isinstance(x, KerasTensor)


def get_uid(prefix: str = "") -> int:
    """A number that was not given for this prefix before: 1, 2, ..."""
    _uids[prefix] += 1
    return _uids[prefix]


def clear_session(free_memory: bool = True) -> None:
    """Starts the automatic names of layers and `get_uid` anew; with `free_memory` gives unused memory back.

    There is no other state between models.
    """
    base._counts.clear()
    _uids.clear()
    if free_memory:
        empty_cache()


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
