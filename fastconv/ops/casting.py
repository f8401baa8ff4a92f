"""What an array is: its dtype, and how it becomes a Tensor of another; what Keras makes of several dtypes together.

Not here: the layout (shaping.py). Contract: integers and booleans become float32, or the floats' dtype where they meet
some, as in Keras; a Python number has no dtype of its own. float32 and float64 do not mix: TypeError (tensor.unify).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels, tensor
from ..edge import refuse_masked
from ..tensor import DTYPES, FLOAT32, DTypeLike, Op, Tensor, TensorLike, wrap

__all__ = [
    "array", "cast", "convert_to_numpy", "convert_to_tensor", "copy", "dtype", "from_dlpack", "is_tensor", "ndim",
    "shape", "size", "stop_gradient", "view",
]  # fmt: skip

_INT32, _BOOL = np.dtype("int32"), np.dtype("bool")


class Cast(Op):
    integers = (0,)

    def forward(self, x, *, dtype):
        self.given = x.dtype
        converted = kernels.empty(x.shape, dtype)
        with np.errstate(invalid="ignore"):  # NaN as an integer
            np.copyto(converted, x, casting="unsafe")
        return converted

    def backward(self, dy):
        return dy.astype(self.given)


class Copy(Op):
    def forward(self, x):
        return x.copy()

    def exact(self, x):
        return x.copy()

    def backward(self, dy):
        return dy


class StopGradient(Op):
    """x, through which no gradient flows."""

    kernels = True  # a view
    flat = True

    def forward(self, x):
        return x.view()

    def exact(self, x):
        return x.view()

    def backward(self, dy):
        return None


class View(Op):
    """The same bytes as another dtype."""

    flat = True
    integers = (0,)

    def forward(self, x, *, dtype, given):
        return np.asarray(x, order="C").view(dtype)

    @staticmethod
    def shape(x, *, dtype, given):
        old, new = np.dtype(given).itemsize, np.dtype(dtype).itemsize
        if old == new:
            return x
        if not x or x[-1] is None or x[-1] * old % new:
            raise ValueError(f"view: the last axis of shape {x} in {given} is no whole number of {dtype}.")
        return (*x[:-1], x[-1] * old // new)


def check_dtype(name: str, dtype: DTypeLike) -> np.dtype:
    """The NumPy dtype of this name; TypeError unless a Tensor can hold it."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found not in DTYPES:
        raise TypeError(
            f"{name} must be 'float32' or 'float64', an integer type such as 'int32', or 'bool'; got {dtype!r}."
        )
    return found


def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """x as floats, integers or booleans of this dtype; its gradient comes back in x's dtype, and not from integers."""
    dtype = check_dtype("dtype", dtype)
    x = convert_to_tensor(x)
    return x if x.dtype == dtype else Cast.apply(x, dtype=dtype)


def convert_to_tensor(
    x: TensorLike, dtype: DTypeLike | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """x itself if it is a Tensor (of `dtype`), else a Tensor on it, converted to `dtype` if that is given.

    Python's floats become float32, its integers int32, its booleans bool, as in Keras; arrays keep their dtype. A list
    of Tensors is stacked. `sparse` and `ragged` tensors are refused.
    """
    if isinstance(x, Tensor):
        return x if dtype is None or np.dtype(dtype) == x.dtype else cast(x, dtype)
    if sparse or ragged:
        raise ValueError("fastconv has dense tensors only: leave sparse and ragged out, and pad what is ragged.")
    if isinstance(x, (list, tuple)) and _holds_tensors(x):
        from .joining import stack

        x = stack([convert_to_tensor(part) for part in x])
        return x if dtype is None else cast(x, dtype)
    if dtype is None and isinstance(x, (bool, int, list, tuple)):
        array = np.asarray(x)
        if array.dtype == np.int64 and array.size:
            limits = np.iinfo(_INT32)
            return wrap(array.astype(_INT32 if limits.min <= array.min() and array.max() <= limits.max else np.int64))
    return Tensor(x, dtype=dtype)


def _holds_tensors(x):
    return any([isinstance(part, Tensor) or (isinstance(part, (list, tuple)) and _holds_tensors(part)) for part in x])


def from_dlpack(x: Any) -> Tensor:
    """A Tensor on the memory of another library's array, by the DLPack protocol: nothing is copied.

    TypeError where x lies on another device than the CPU, needs a gradient or is of a dtype that Tensors do not hold.
    """
    return Tensor(tensor.from_dlpack(x))


def array(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """`convert_to_tensor` under NumPy's name."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: TensorLike) -> np.ndarray:
    """The values as an array; of a Tensor its own, not a copy. TypeError for a tensor without values."""
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor; a KerasTensor, which stands for one, is too."""
    return isinstance(x, Tensor)


def copy(x: TensorLike) -> Tensor:
    """A Tensor on memory of its own; the gradient goes through."""
    return Copy.apply(convert_to_tensor(x))


def dtype(x: TensorLike) -> str:
    """The name of x's dtype, such as "float32"."""
    return convert_to_tensor(x).dtype.name


def shape(x: TensorLike) -> tuple[int | None, ...]:
    """The tuple of sizes, None where one is open."""
    return convert_to_tensor(x).shape


def ndim(x: TensorLike) -> int:
    """The number of axes."""
    return convert_to_tensor(x).ndim


def size(x: TensorLike) -> int | None:
    """The number of elements; None where a size is open."""
    return convert_to_tensor(x).size


def stop_gradient(variable: TensorLike) -> Tensor:
    """The same values, on the same memory, through which no gradient flows."""
    return StopGradient.apply(convert_to_tensor(variable))


def view(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """The same bytes read as another dtype, no gradient; the last axis grows or shrinks where the sizes differ."""
    x = convert_to_tensor(x)
    if dtype is None or check_dtype("dtype", dtype) == x.dtype:
        return x
    return View.apply(x, dtype=np.dtype(dtype), given=x.dtype)


def floating(x: TensorLike) -> TensorLike:
    """x where it holds floats, else as float32: what functions of real numbers make of integers and booleans."""
    if isinstance(x, Tensor):
        return x if x.dtype.kind == "f" else cast(x, FLOAT32)
    if isinstance(x, np.ndarray):
        return x if x.dtype.kind not in "biu" else x.astype(FLOAT32)
    x = convert_to_tensor(x)
    return cast(x, FLOAT32) if x.dtype.kind in "biu" else x


def indexing(x: TensorLike) -> Tensor:
    """x as a Tensor; of a tensor without data, which is float32 where nobody said otherwise, the whole numbers."""
    x = convert_to_tensor(x)
    return cast(x, _INT32) if x.symbolic and x.dtype.kind == "f" else x


def promoted(*values: TensorLike, floats: bool = False, numbers: bool = False) -> list:
    """These values, all of the dtype that Keras gives them together; floats of two kinds stay for `unify` to refuse.

    Of arrays and Tensors the floats decide, then the widest integer; a number or a list counts by its kind alone.
    `floats` asks for floats in any case, `numbers` for int32 where all are booleans.
    """
    if all([isinstance(value, Tensor) and value.dtype.kind == "f" for value in values]):
        return list(values)
    strong, kinds, found = set(), set(), []
    for value in values:
        if isinstance(value, (list, tuple)) and _holds_tensors(value):
            value = convert_to_tensor(value)
        if isinstance(value, (Tensor, np.ndarray)):
            refuse_masked(value)
            strong.add(value.dtype)
        elif value is not None:
            value = np.asarray(value)
            kinds.add(value.dtype.kind)
        found.append(value)
    dtype = _common(strong, kinds, floats)
    dtype = _INT32 if numbers and dtype == _BOOL else dtype
    return list(values) if dtype is None else [_as(value, dtype) for value in found]


def _common(strong, kinds, floats):
    """The dtype of all, or None where tensor.unify has to say what is wrong."""
    real = [dtype for dtype in strong if dtype.kind == "f"]
    if len(real) > 1 or kinds - set("biuf") or not strong <= DTYPES:
        return None
    if real:
        return real[0]
    if floats or "f" in kinds:
        return FLOAT32
    dtype = np.result_type(*strong) if strong else _BOOL
    if dtype.kind == "f":  # NumPy's answer to uint64 and int64
        return FLOAT32
    return _INT32 if dtype == _BOOL and kinds & set("iu") else dtype


def _as(value, dtype):
    if isinstance(value, Tensor):
        return value if value.dtype == dtype else Cast.apply(value, dtype=dtype)
    return value if value is None else np.asarray(value, dtype)
