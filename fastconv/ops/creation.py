"""New arrays: filled, counted, spaced, identities and triangles, windows; classes as vectors of 0 and 1.

Contract: floats are float32 unless `dtype` says otherwise, whole numbers int32, as in Keras. Nothing here has a gradient
but what is made of an array's own elements: `diag`, `diagflat`, `tril`, `triu`, `vander`, and `linspace`, of its two ends.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..tensor import FLOAT32, DTypeLike, Op, Tensor, TensorLike, wrap
from .casting import cast, check_dtype, convert_to_tensor, indexing, promoted
from .common import Shape, broadcast_shape, normalize_axis, unbroadcast
from .comparisons import where
from .copying import pad
from .elementwise import divide, power, subtract
from .indexing import diagonal
from .open_sizes import open_sizes
from .reductions import max
from .shaping import expand_dims, reshape, sizes

__all__ = [
    "arange", "bartlett", "blackman", "diag", "diagflat", "empty", "empty_like", "eye", "full", "full_like", "geomspace",
    "hamming", "hanning", "identity", "kaiser", "linspace", "logspace", "multi_hot", "one_hot", "ones", "ones_like", "tri",
    "tril", "triu", "vander", "zeros", "zeros_like",
]  # fmt: skip


class Like(Op):
    """An array of x's shape that holds one number."""

    integers = (0,)
    flat = True

    def forward(self, x, *, value, dtype):
        return np.full(x.shape, value, dtype)


class OneHot(Op):
    """Vectors with 1 at the number that an integer names, on a new axis; 0 everywhere where it names none."""

    integers = (0,)
    flat = True

    @staticmethod
    def shape(x, *, num_classes, axis, dtype):
        return (*x[:axis], num_classes, *x[axis:])

    def forward(self, x, *, num_classes, axis, dtype):
        return (np.expand_dims(x, axis) == _along(np.arange(num_classes), axis, x.ndim + 1)).astype(dtype)


def _along(vector, axis, ndim):
    return vector.reshape([-1 if a == axis else 1 for a in range(ndim)])


def _sizes(shape):
    shape = sizes("shape", shape)
    if min(shape, default=0) < 0:
        raise ValueError(f"shape must have sizes of at least 0; got {shape}.")
    return shape


def _dtype(dtype):
    return FLOAT32 if dtype is None else check_dtype("dtype", dtype)


def full(shape: Shape, fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """`fill_value`, broadcast to `shape`; of its own dtype unless one is given, but a Python number as float32."""
    value = convert_to_tensor(fill_value)
    if dtype is None and isinstance(fill_value, (bool, int, float)):
        dtype = FLOAT32
    return wrap(np.full(_sizes(shape), value.data, value.dtype if dtype is None else _dtype(dtype)))


def zeros(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros; float32 unless `dtype` is given."""
    return wrap(np.zeros(_sizes(shape), _dtype(dtype)))


def ones(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
    """Ones; float32 unless `dtype` is given."""
    return wrap(np.ones(_sizes(shape), _dtype(dtype)))


def empty(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros: here nothing is left to chance."""
    return zeros(shape, dtype)


def full_like(x: TensorLike, fill_value: float, dtype: DTypeLike | None = None) -> Tensor:
    """An array of x's shape, and dtype unless one is given, that holds `fill_value`."""
    x = convert_to_tensor(x)
    value = fill_value.item() if isinstance(fill_value, (Tensor, np.ndarray, np.generic)) else fill_value
    return Like.apply(x, value=value, dtype=x.dtype if dtype is None else _dtype(dtype))


def zeros_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of x's shape, and dtype unless one is given."""
    return full_like(x, 0, dtype)


def ones_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of x's shape, and dtype unless one is given."""
    return full_like(x, 1, dtype)


def empty_like(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of x's shape: here nothing is left to chance."""
    return zeros_like(x, dtype)


def arange(
    start: float, stop: float | None = None, step: float | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """The numbers from `start` (0, where one number is given) up to, not including, `stop`, `step` (1) apart: int32 of whole
    numbers, else float32."""
    if start is None:
        raise TypeError("arange: start must be a number; got None, which an open size is while a model is drawn.")
    numbers = [_number(value) for value in (start, stop, step) if value is not None]
    if dtype is None:
        dtype = "int32" if all(isinstance(value, int) for value in numbers) else FLOAT32
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if not _number(step):
        raise ValueError("step must not be 0.")
    return wrap(np.arange(_number(start), _number(stop), _number(step)).astype(_dtype(dtype)))


def _number(value):
    value = value.item() if isinstance(value, (Tensor, np.ndarray, np.generic)) else value
    if not isinstance(value, (int, float)):
        raise TypeError(f"A range or window is counted in real numbers; got {value!r}.")
    return value


class Spaced(Op):
    """NumPy's linspace, logspace or geomspace of two arrays, counted in float64; linspace alone has a gradient."""

    @staticmethod
    def shape(start, stop, *, function, num, axis, **attributes):
        ends = broadcast_shape(function, start, stop)
        place = normalize_axis(axis, len(ends) + 1)
        return (*ends[:place], num, *ends[place:])

    def forward(self, start, stop, *, function, num, axis, **arguments):
        self.shape(start.shape, stop.shape, function=function, num=num, axis=axis)
        self.shapes, self.function, self.axis = (start.shape, stop.shape), function, axis
        self.shares = np.linspace(0, 1, num, arguments["endpoint"]).astype(start.dtype)
        ends = start.astype("float64"), stop.astype("float64")
        return np.asarray(getattr(np, function)(*ends, num, axis=axis, **arguments)).astype(start.dtype)

    def backward(self, dy):
        if self.function != "linspace":
            return None, None
        dy = np.moveaxis(dy, self.axis, -1)
        parts = ((dy * shares).sum(-1) for shares in (1 - self.shares, self.shares))
        return tuple(unbroadcast(np.asarray(part), shape) for part, shape in zip(parts, self.shapes))


def _spaced(function, start, stop, num, dtype, axis, **arguments):
    start, stop = map(convert_to_tensor, promoted(start, stop, floats=True))
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"num must be at least 0; got {num}.")
    numbers = Spaced.apply(start, stop, function=function, num=num, axis=axis, **arguments)
    return numbers if dtype is None else cast(numbers, _dtype(dtype))


def linspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: DTypeLike | None = None, axis: int = 0,
) -> Any:  # fmt: skip
    """`num` numbers from `start` to `stop`, evenly spaced on a new axis, the last one `stop` where `endpoint`; with
    `retstep` also their distance."""
    numbers = _spaced("linspace", start, stop, num, dtype, axis, endpoint=endpoint)
    if not retstep:
        return numbers
    count = num - bool(endpoint)
    return numbers, divide(subtract(stop, start), float(count) if count > 0 else np.nan)


def logspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, base: float = 10,
    dtype: DTypeLike | None = None, axis: int = 0,
) -> Tensor:  # fmt: skip
    """`num` numbers from base**start to base**stop, each the same multiple of the one before."""
    return _spaced("logspace", start, stop, num, dtype, axis, endpoint=endpoint, base=_number(base))


def geomspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, dtype: DTypeLike | None = None,
    axis: int = 0,
) -> Tensor:  # fmt: skip
    """`num` numbers from `start` to `stop`, each the same multiple of the one before."""
    return _spaced("geomspace", start, stop, num, dtype, axis, endpoint=endpoint)


def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """(N, M) zeros, M = N if None, with ones on the diagonal that starts `k` columns to the right."""
    return wrap(np.eye(operator.index(N), None if M is None else operator.index(M), operator.index(k), _dtype(dtype)))


def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """The (n, n) identity."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """(N, M) ones on and below the diagonal that starts `k` columns to the right, zeros above."""
    return wrap(np.tri(operator.index(N), None if M is None else operator.index(M), operator.index(k), _dtype(dtype)))


@open_sizes()
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """x (..., M, N) with zeros above the diagonal that starts `k` columns to the right."""
    return _triangle(x, k, True)


@open_sizes()
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """x (..., M, N) with zeros below the diagonal that starts `k` columns to the right."""
    return _triangle(x, operator.index(k) - 1, False)


def _triangle(x, k, lower):
    x = convert_to_tensor(x)
    if x.ndim < 2 or None in x.shape[-2:]:
        raise ValueError(f"tril and triu need (..., M, N) with known M and N; got shape {x.shape}.")
    return where(np.tri(*x.shape[-2:], operator.index(k), dtype=bool) == lower, x, np.zeros((), x.dtype))


@open_sizes()
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """The matrix whose diagonal, `k` columns to the right, is the vector x; or that diagonal of a matrix."""
    x, k = convert_to_tensor(x), operator.index(k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1 or None in x.shape:
        raise ValueError(f"diag needs a vector of known size or a matrix; got shape {x.shape}.")
    long = pad(x, (0, abs(k)))  # k columns to the right each row holds its own element, else each column
    return where(
        np.eye(x.shape[0] + abs(k), k=k, dtype=bool), expand_dims(long, 1 if k >= 0 else 0), np.zeros((), x.dtype)
    )


@open_sizes()
def diagflat(x: TensorLike, k: int = 0) -> Tensor:
    """`diag` of x as a vector."""
    return diag(reshape(x, -1), k)


@open_sizes()
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the vector x in N columns (as many as it has elements, if None), falling from N - 1 to 0, or rising."""
    x = convert_to_tensor(x)
    if x.ndim != 1:
        raise ValueError(f"vander needs a vector; got shape {x.shape}.")
    powers = np.arange(x.shape[0] if N is None else operator.index(N))
    return power(expand_dims(x, 1), (powers if increasing else powers[::-1]).astype(x.dtype))


def bartlett(x: int) -> Tensor:
    """The triangular window of x points."""
    return wrap(np.bartlett(_number(x)).astype(FLOAT32))


def blackman(x: int) -> Tensor:
    """The Blackman window of x points."""
    return wrap(np.blackman(_number(x)).astype(FLOAT32))


def hamming(x: int) -> Tensor:
    """The Hamming window of x points."""
    return wrap(np.hamming(_number(x)).astype(FLOAT32))


def hanning(x: int) -> Tensor:
    """The Hann window of x points."""
    return wrap(np.hanning(_number(x)).astype(FLOAT32))


def kaiser(x: int, beta: float) -> Tensor:
    """The Kaiser window of x points."""
    return wrap(np.kaiser(_number(x), _number(beta)).astype(FLOAT32))


def _labels(name, x):
    x = indexing(x)
    if x.dtype.kind not in "iu":
        if x.size != 0:
            raise TypeError(f"{name} must hold integer class numbers; got {x.dtype}. Use {name}.astype('int64').")
        x = cast(x, "int64")
    return x


def _refuse_sparse(sparse):
    if sparse:
        raise ValueError("fastconv has dense tensors only: leave sparse out.")


def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: DTypeLike | None = None, sparse: bool = False
) -> Tensor:
    """Integer labels of any shape as vectors with a single 1, along a new axis of size `num_classes` at `axis`.

    A label outside 0..num_classes - 1 gives zeros, as in Keras; an x that does not hold integers raises TypeError.
    """
    _refuse_sparse(sparse)
    if operator.index(num_classes) < 1:
        raise ValueError(f"num_classes must be at least 1; got {num_classes}.")
    x = _labels("x", x)
    return OneHot.apply(
        x, num_classes=operator.index(num_classes), axis=normalize_axis(axis, x.ndim + 1), dtype=_dtype(dtype)
    )


def multi_hot(
    inputs: TensorLike, num_classes: int | None = None, axis: int = -1, dtype: DTypeLike | None = None,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """(N, L) integer labels as (N, num_classes) vectors with 1 for each label that the row holds; (L,) as one vector."""
    _refuse_sparse(sparse)
    if num_classes is None:
        raise ValueError("multi_hot needs num_classes, the number of classes that there are.")
    inputs = _labels("inputs", inputs)
    axis = normalize_axis(axis, inputs.ndim + 1)
    return max(one_hot(inputs, num_classes, axis, dtype), 1 if inputs.ndim > 1 else 0)
