"""The slow twins of moves.py and random.py, in NumPy; `reference` gives them out with the others, under its contract.

Moves are exact. Philox and what counts its numbers are exact too; normal numbers are the formula's of the
same rounded uniform ones.
"""

from __future__ import annotations

import math

import numpy as np

# ---------------------------------------------------------------------------------------------------------- moves


def concatenate_forward(arrays, axis=0):
    return np.concatenate(arrays, axis)


def concatenate_backward(dy, sizes, axis=0):
    return np.split(dy, np.cumsum(sizes)[:-1], axis)


def get_item_forward(x, key):
    return np.array(x[key])


def get_item_backward(dy, key, shape):
    dx = np.zeros(shape, dy.dtype)
    dx[key] = dy
    return dx


def pad_forward(x, pairs, value=0.0):
    """(low, high) an axis; negative numbers cut."""
    x = x[tuple([slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, pairs)])]
    return np.pad(x, [(max(low, 0), max(high, 0)) for low, high in pairs], constant_values=value)


def pad_backward(dy, pairs):
    return pad_forward(dy, [(-low, -high) for low, high in pairs])


def transpose(x, axes=None):
    return np.array(np.transpose(x, axes), order="C")


def flip(x, axes):
    return np.flip(x, axes).copy()


def broadcast_forward(x, shape):
    return np.broadcast_to(x, shape).copy()


def broadcast_backward(dy, shape):
    new = dy.ndim - len(shape)
    axes = [*range(new), *[new + axis for axis, size in enumerate(shape) if size == 1]]
    return fold(dy, axes).reshape(shape)


def repeat_forward(x, factors):
    for axis, factor in enumerate(factors):
        x = np.repeat(x, factor, axis)
    return x


def repeat_backward(dy, factors):
    for axis, factor in enumerate(factors):
        starts = range(0, dy.shape[axis], factor)
        dy = np.add.reduceat(dy, starts, axis) if dy.size else np.take(dy, starts, axis)
    return dy


def tile_forward(x, factors):
    return np.tile(x, factors)


def tile_backward(dy, factors):
    for axis, factor in enumerate(factors):
        dy = np.add.reduce(np.split(dy, factor, axis))
    return dy


def fold(x, axes):
    return np.asarray(x.sum(axis=tuple(axes), dtype=np.float64)).astype(x.dtype)


def take_forward(x, indices, axis=0):
    return np.take(x, indices, axis)


def take_backward(dy, indices, shape, axis=0):
    dx = np.zeros(shape)
    np.add.at(dx, (slice(None),) * (axis % len(shape)) + (indices,), dy)
    return dx.astype(dy.dtype)


def one_hot(labels, classes, dtype=np.float32):
    return (labels[..., None] == np.arange(classes)).astype(dtype)


def resize_forward(x, size):
    """Each spatial axis times its matrix of weights."""
    y = x.astype(np.float64)
    for axis, (old, new) in enumerate(zip(x.shape[1:-1], size), 1):
        y = np.moveaxis(np.moveaxis(y, axis, -1) @ _weights(old, new).T, -1, axis)
    return y.astype(x.dtype)


def resize_backward(dy, size):
    dx = dy.astype(np.float64)
    for axis, (old, new) in enumerate(zip(size, dy.shape[1:-1]), 1):
        dx = np.moveaxis(np.moveaxis(dx, axis, -1) @ _weights(old, new), -1, axis)
    return dx.astype(dy.dtype)


def _weights(old, new):
    """(new, old): the shares of the old cells in the new ones."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - abs(places[:, None] - np.arange(old)), 0)


# --------------------------------------------------------------------------------------------------------- random

_LOW = np.uint64(0xFFFFFFFF)


def philox(key, blocks):
    """(len(blocks), 4) words of 32 bits: Philox4x32-10 of the counters (block, stream) under the seed."""
    blocks, wide = np.asarray(blocks, np.uint64), np.uint64(32)
    words = [blocks & _LOW, blocks >> wide, blocks * 0 + (key[1] & _LOW), blocks * 0 + (key[1] >> wide)]
    keys = [key[0] & _LOW, key[0] >> wide]
    for _ in range(10):
        a, b = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [(b >> wide) ^ words[1] ^ keys[0], b & _LOW, (a >> wide) ^ words[3] ^ keys[1], a & _LOW]
        keys = [(keys[0] + np.uint64(0x9E3779B9)) & _LOW, (keys[1] + np.uint64(0xBB67AE85)) & _LOW]
    return np.stack(words, axis=-1)


def _numbers(key, count, dtype):
    """(groups, 64) numbers of 32 bits or (groups, 32) of 64: of 16 blocks, first all first ones."""
    per_group = 64 if dtype == np.float32 else 32
    groups = -(-count // per_group)
    first = int(key[2]) * 16
    blocks = np.array([(first + i) % 2**64 for i in range(16 * groups)], np.uint64)
    words = philox(key, blocks).reshape(groups, 16, 4)
    if dtype == np.float64:
        words = words[..., 1::2] << np.uint64(32) | words[..., ::2]
    return words.transpose(0, 2, 1).reshape(groups, per_group)


def _advance(key, numbers):
    key[2] += np.uint64(len(numbers))


def random_uniform(shape, dtype, key, low=0.0, high=1.0, advance=True):
    dtype, count = np.dtype(dtype), math.prod(shape)
    numbers = _numbers(key, count, dtype)
    unit = (numbers >> np.uint64(8)) * 2.0**-24 if dtype == np.float32 else (numbers >> np.uint64(11)) * 2.0**-53
    low, high = dtype.type(low), dtype.type(high)
    y = np.minimum(unit.astype(dtype) * dtype.type(float(high) - float(low)) + low, np.nextafter(high, low))
    if advance:
        _advance(key, numbers)
    return y.reshape(-1)[:count].reshape(shape)


def random_normal(shape, dtype, key, mean=0.0, stddev=1.0, advance=True):
    dtype, count = np.dtype(dtype), math.prod(shape)
    numbers = _numbers(key, count, dtype)
    pairs = numbers.reshape(-1, 2, 16)
    if dtype == np.float32:
        above_0, turn = (pairs[:, 0] >> np.uint64(1)).astype(dtype) * dtype.type(2**-31) + dtype.type(2**-32), 2.0**-24
    else:
        above_0, turn = (pairs[:, 0] >> np.uint64(11)) * 2.0**-53 + 2.0**-54, 2.0**-53
    angle = 2 * np.pi * ((pairs[:, 1] >> np.uint64(8 if dtype == np.float32 else 11)) * turn)
    radius = np.sqrt(-2 * np.log(above_0.astype(np.float64)))
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    if advance:
        _advance(key, numbers)
    return (z.reshape(-1)[:count] * stddev + mean).astype(dtype).reshape(shape)


def dropout_forward(x, rate, key, noise_shape=None, advance=True):
    """The mask is a share of 1 / (1 - rate) for each element that is kept, not the kernel's bits."""
    kept = random_uniform(noise_shape or x.shape, np.float32, key, advance=advance) >= rate
    mask = np.where(kept, x.dtype.type(1 / (1 - rate)), x.dtype.type(0))
    return dropout_backward(x, mask, rate), mask


def dropout_backward(dy, mask, rate):
    return np.multiply(dy, mask, where=mask != 0, out=np.zeros_like(dy))
