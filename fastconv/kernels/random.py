"""Random numbers by counting, and dropout: check, allocate, call.

Contract: a `key` is an array of four uint64: seed, stream, counter, and one reserved. Number i of a draw depends on the
key and on i alone, with the same bits on any instruction set and at any number of threads. A draw with `advance` moves
the counter behind itself, in the key's own memory and with the kernels' own step: a plan that is repeated draws on. Two
threads must not draw from one key at once: they might get the same numbers. Not a source of secrets.
"""

from __future__ import annotations

import math

import numpy as np

from . import _moves, _random
from .arrays import FLOATS, checked, empty, same_shape

DIGITS = 24  # of the numbers that dropout compares with its rate
GROUP = 64  # elements whose bits are one word of a mask


def random_uniform(shape, dtype, key, low=0.0, high=1.0, advance=True):
    """Numbers from low to below high, in steps of 2**-24 (float32) or 2**-53 (float64) of the range."""
    y, dtype = _result(shape, dtype)
    key = _key(key, advance)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"low and high must be finite numbers, low the smaller one; got {low!r} and {high!r}.")
    low, high = dtype.type(low), dtype.type(high)
    most = np.nextafter(high, low)  # rounding must not reach `high`
    if y.size:
        _random.random_uniform(y, key, float(high) - float(low), low, most, advance)
    return y


def random_normal(shape, dtype, key, mean=0.0, stddev=1.0, advance=True):
    """Normal numbers, by Box and Muller's transform; at most 6.7 (float32) or 8.6 (float64) deviations from the mean."""
    y, _ = _result(shape, dtype)
    key = _key(key, advance)
    if y.size:
        _random.random_normal(y, key, stddev, mean, advance)
    return y


def dropout_forward(x, rate, key, noise_shape=None, advance=True):
    """(y, mask): each element is 0 with probability `rate` (0 <= rate < 1), else divided by 1 - rate.

    What is kept are the elements whose random_uniform in float32 is `rate` or more. With `noise_shape` (x's shape, or 1
    where all cells of an axis share their fate) that is drawn for this shape. `mask` is for dropout_backward alone.
    """
    x = checked("x", x)
    key = _key(key, advance)
    y = empty(x.shape, x.dtype)
    threshold, scale = math.ceil(rate * 2**DIGITS), _scale(rate)
    if noise_shape is None or tuple(noise_shape) == x.shape:
        mask = empty(((x.size + GROUP - 1) // GROUP,), np.uint64)
        if x.size:
            _random.dropout_forward(x, y, mask, key, scale, threshold, advance)
        return y, mask
    if len(noise_shape) != x.ndim or any(n not in (1, size) for n, size in zip(noise_shape, x.shape)):
        raise ValueError(f"noise_shape must have 1 or x's size on every axis, {x.shape}; got {tuple(noise_shape)}.")
    mask = empty(tuple(noise_shape), x.dtype)
    if x.size:
        _random.dropout_forward(None, mask, None, key, scale, threshold, advance)
        _moves.copy_scaled(np.broadcast_to(mask, x.shape), mask, x, y)
    return y, mask


def dropout_backward(dy, mask, rate):
    """dx, given the forward's mask."""
    dy = checked("dy", dy)
    dx = empty(dy.shape, dy.dtype)
    if mask.dtype == np.uint64:
        same_shape("mask", mask, ((dy.size + GROUP - 1) // GROUP,), "a word for 64 elements of dy")
        if dy.size:
            _random.dropout_backward(dy, dx, mask, _scale(rate))
        return dx
    mask = checked("mask", mask, like=dy)
    if dy.size:
        _moves.copy_scaled(np.broadcast_to(mask, dy.shape), mask, dy, dx)
    return dx


def _scale(rate):
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be at least 0 and less than 1; got {rate!r}.")
    return 1 / (1 - rate)


def _result(shape, dtype):
    dtype = np.dtype(dtype)
    if dtype not in FLOATS:
        raise TypeError(f"Random numbers are float32 or float64; got {dtype}.")
    return empty(tuple(shape), dtype), dtype


def _key(key, advance):
    if not isinstance(key, np.ndarray) or key.dtype != np.uint64 or key.shape != (4,) or not key.flags.c_contiguous:
        raise TypeError("key must be an array of four uint64: seed, stream, counter and one reserved.")
    if advance and not key.flags.writeable:
        raise ValueError("key must be writable, for its counter to advance.")
    return key
