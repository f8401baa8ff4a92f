"""Random numbers under keras.random's names and arguments, drawn from SeedGenerators by counting.

Contract: `seed` is a SeedGenerator, whose next numbers are drawn; an int, for the same numbers at every call; or None for
the common SeedGenerator (`utils.set_random_seed`). Numbers do not depend on the threads or the instruction set. Floats
come as Tensors, integers as NumPy arrays. Not a source of secrets.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from . import kernels, rng
from .ops import take
from .ops.dropout import RandomNormal, RandomUniform, dropout, key_of
from .rng import SeedGenerator
from .tensor import Tensor

__all__ = ["SeedGenerator", "categorical", "dropout", "normal", "randint", "shuffle", "truncated_normal", "uniform"]


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Numbers from minval to below maxval."""
    return RandomUniform.apply(
        shape=_shape(shape), dtype=_float(dtype), low=float(minval), high=float(maxval), source=rng.source(seed)
    )


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers."""
    return RandomNormal.apply(
        shape=_shape(shape), dtype=_float(dtype), mean=float(mean), stddev=float(stddev), source=rng.source(seed)
    )


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal numbers; those further than two deviations from the mean are drawn again."""
    key, dtype = _drawing(seed), _float(dtype)
    values = kernels.random_normal(_shape(shape), dtype, key)
    while (outside := np.abs(values) > 2).any():
        values[outside] = kernels.random_normal((np.count_nonzero(outside),), dtype, key)
    return Tensor(values * dtype.type(stddev) + dtype.type(mean))


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Whole numbers from minval to below maxval, as a NumPy array of `dtype`; at most 2**53 different ones."""
    low, high, dtype = operator.index(minval), operator.index(maxval), np.dtype(dtype)
    if dtype.kind not in "iu":
        raise TypeError(f"randint draws integers; got dtype {dtype}. For floats use uniform.")
    limits = np.iinfo(dtype)
    if not limits.min <= low < high <= limits.max + 1 or high - low > 2**53:
        raise ValueError(f"minval must be less than maxval, and both fit {dtype}; got {minval!r} and {maxval!r}.")
    unit = kernels.random_uniform(_shape(shape), np.float64, _drawing(seed))
    steps = np.minimum(np.floor(unit * (high - low)), high - low - 1).astype(np.int64)
    return (steps.astype(np.uint64) + np.uint64(low % 2**64)).astype(dtype)


def shuffle(x, axis=0, seed=None):
    """x with the cells of an axis in a random order."""
    cells = np.shape(x)[axis]
    order = np.argsort(kernels.random_uniform((cells,), np.float64, _drawing(seed)), kind="stable")
    return take(x, order, axis)


def categorical(logits, num_samples, dtype="int32", seed=None):
    """(N, num_samples) class numbers, each with the probability softmax(logits) of its row of logits (N, K)."""
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(f"logits must have shape (samples, classes); got {logits.shape}.")
    shape = (len(logits), operator.index(num_samples), logits.shape[1])
    unit = kernels.random_uniform(shape, np.float64, _drawing(seed))
    return (logits[:, None] - np.log(-np.log(unit + np.finfo(np.float64).tiny))).argmax(axis=-1).astype(dtype)


def _drawing(seed):
    """A state that advances with each draw: the generator's own, or a new one of an int."""
    return key_of(rng.source(seed))[0]


def _shape(shape):
    sizes = tuple(operator.index(size) for size in shape)
    if any(size < 0 for size in sizes) or math.prod(sizes) >= 2**57:
        raise ValueError(f"shape must have sizes of at least 0, and fit memory; got {sizes}.")
    return sizes


def _float(dtype):
    dtype = np.dtype(dtype or np.float32)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype must be 'float32' or 'float64'; got {dtype}.")
    return dtype
