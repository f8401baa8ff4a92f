"""Random numbers under keras.random's names and arguments, drawn from SeedGenerators by counting.

Contract: `seed` is a SeedGenerator, whose next numbers are drawn; an int, for the same numbers at every call; or None
for the common SeedGenerator (`utils.set_random_seed`). Numbers do not depend on the threads or the instruction set;
those of beta, binomial and gamma are NumPy's, on a stream that the seed starts. Floats come as Tensors of `dtype`, by
default `config.floatx()`, integers as NumPy arrays. Not a source of secrets.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastconv.absent import explain as _explain

from . import config, kernels, rng
from .ops import take
from .ops.dropout import RandomNormal, RandomUniform, dropout, key_of
from .rng import SeedGenerator
from .tensor import NoValues, Tensor

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
    "truncated_normal", "uniform",
]  # fmt: skip

Seed = int | SeedGenerator | None


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Numbers from minval to below maxval."""
    return RandomUniform.apply(
        shape=_shape(shape),
        dtype=_float(dtype),
        low=_scalar("minval", minval),
        high=_scalar("maxval", maxval),
        source=rng.source(seed),
    )


def normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Normal numbers."""
    return RandomNormal.apply(
        shape=_shape(shape),
        dtype=_float(dtype),
        mean=_scalar("mean", mean),
        stddev=_scalar("stddev", stddev),
        source=rng.source(seed),
    )


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Normal numbers; those further than two deviations from the mean are drawn again."""
    key, dtype = _drawing(seed), _float(dtype)
    values = kernels.random_normal(_shape(shape), dtype, key)
    while (outside := np.abs(values) > 2).any():
        values[outside] = kernels.random_normal((np.count_nonzero(outside),), dtype, key)
    return Tensor(values * dtype.type(stddev) + dtype.type(mean))


def randint(shape: Sequence[int], minval: int, maxval: int, dtype: str = "int32", seed: Seed = None) -> np.ndarray:
    """Whole numbers from minval to below maxval, as a NumPy array of `dtype`; at most 2**53 different ones."""
    low, high, dtype = _whole("minval", minval), _whole("maxval", maxval), np.dtype(dtype or "int32")
    if dtype.kind not in "iu":
        raise TypeError(f"randint draws integers; got dtype {dtype}. For floats use uniform.")
    limits = np.iinfo(dtype)
    if not limits.min <= low < high <= limits.max + 1 or high - low > 2**53:
        raise ValueError(f"minval must be less than maxval, and both fit {dtype}; got {minval!r} and {maxval!r}.")
    unit = kernels.random_uniform(_shape(shape), np.float64, _drawing(seed))
    steps = np.minimum(np.floor(unit * (high - low)), high - low - 1).astype(np.int64)
    return (steps.astype(np.uint64) + np.uint64(low % 2**64)).astype(dtype)


def shuffle(x: ArrayLike | Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """x with the cells of an axis in a random order."""
    sizes = np.shape(x)
    if not -len(sizes) <= axis < len(sizes):
        raise ValueError(f"shuffle: axis must be one of the {len(sizes)} axes of x; got {axis!r}.")
    cells = sizes[axis]
    order = np.argsort(kernels.random_uniform((cells,), np.float64, _drawing(seed)), kind="stable")
    return take(x, order, axis)


def categorical(logits: ArrayLike | Tensor, num_samples: int, dtype: str = "int32", seed: Seed = None) -> np.ndarray:
    """(N, num_samples) class numbers, each with the probability softmax(logits) of its row of logits (N, K)."""
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(f"logits must have shape (samples, classes); got {logits.shape}.")
    shape = (len(logits), _whole("num_samples", num_samples), logits.shape[1])
    if shape[1] < 0:
        raise ValueError(f"num_samples must be at least 0; got {num_samples!r}.")
    unit = kernels.random_uniform(shape, np.float64, _drawing(seed))
    return (logits[:, None] - np.log(-np.log(unit + np.finfo(np.float64).tiny))).argmax(axis=-1).astype(dtype)


def gamma(shape: Sequence[int], alpha: ArrayLike | Tensor, dtype: str | None = None, seed: Seed = None) -> Tensor:
    """Numbers of the gamma distribution of shape `alpha`, positive, a number or an array that broadcasts to `shape`;
    its scale is 1."""
    alpha = _above_0("alpha", alpha)
    return _drawn(shape, dtype, seed, lambda stream, sizes: stream.standard_gamma(_fit("alpha", alpha, sizes), sizes))


def beta(
    shape: Sequence[int], alpha: ArrayLike | Tensor, beta: ArrayLike | Tensor, dtype: str | None = None,
    seed: Seed = None,
) -> Tensor:  # fmt: skip
    """Numbers from 0 to 1 of the beta distribution, whose positive `alpha` and `beta` broadcast to `shape`."""
    a, b = _above_0("alpha", alpha), _above_0("beta", beta)
    return _drawn(
        shape, dtype, seed, lambda stream, sizes: stream.beta(_fit("alpha", a, sizes), _fit("beta", b, sizes), sizes)
    )


def binomial(
    shape: Sequence[int], counts: ArrayLike | Tensor, probabilities: ArrayLike | Tensor, dtype: str | None = None,
    seed: Seed = None,
) -> Tensor:  # fmt: skip
    """How many of `counts` trials succeed, each with its one of `probabilities`; both broadcast to `shape`. Whole
    numbers as floats, as in Keras."""
    trials, chances = np.asarray(counts, np.float64), np.asarray(probabilities, np.float64)
    if not np.all((trials >= 0) & (trials == np.floor(trials)) & (trials < 2**63)):
        raise ValueError(f"counts must be whole numbers of at least 0; got {counts!r}.")
    if not np.all((chances >= 0) & (chances <= 1)):
        raise ValueError(f"probabilities must be from 0 to 1; got {probabilities!r}.")

    def draw(stream, sizes):
        return stream.binomial(
            _fit("counts", trials, sizes).astype(np.int64), _fit("probabilities", chances, sizes), sizes
        )

    return _drawn(shape, dtype, seed, draw)


def _drawn(shape, dtype, seed, draw):
    """What `draw(stream, sizes)` gives on a NumPy stream of the seed's next numbers."""
    sizes, dtype = _shape(shape), _float(dtype)
    words = (kernels.random_uniform((2,), np.float64, _drawing(seed)) * 2.0**32).astype(np.uint64)
    return Tensor(np.asarray(draw(np.random.Generator(np.random.PCG64(words)), sizes), dtype))


def _above_0(name, values):
    array = np.asarray(values, np.float64)
    if not np.all((array > 0) & np.isfinite(array)):
        raise ValueError(f"{name} must be positive and finite; got {values!r}.")
    return array


def _fit(name, array, sizes):
    try:
        return np.broadcast_to(array, sizes)
    except ValueError:
        raise ValueError(f"{name} of shape {array.shape} does not broadcast to shape {sizes}.") from None


def _drawing(seed):
    """A state that advances with each draw: the generator's own, or a new one of an int."""
    return key_of(rng.source(seed))[0]


def _whole(name, value):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number; got {value!r}.") from None


def _scalar(name, value):
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number; got {value!r}.") from None


def _shape(shape):
    if not isinstance(shape, Iterable) or isinstance(shape, str):
        raise TypeError(f"shape must be a tuple of sizes, such as (3,); got {shape!r}.")
    if None in tuple(shape):
        raise NoValues(f"Random numbers of the open shape {tuple(shape)}")  # a layer is drawn for its shapes
    sizes = tuple(operator.index(size) for size in shape)
    if any(size < 0 for size in sizes) or math.prod(sizes) >= 2**57:
        raise ValueError(f"shape must have sizes of at least 0, and fit memory; got {sizes}.")
    return sizes


def _float(dtype):
    dtype = np.dtype(dtype or config.floatx())
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype must be 'float32' or 'float64'; got {dtype}.")
    return dtype


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
