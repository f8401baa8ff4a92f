"""The slow twins of image.py, in NumPy; `reference` gives them out with the others, under its contract.

Places are exact, sums are in float64, bytes are rounded half up.
"""

from __future__ import annotations

import itertools

import numpy as np


def _places(maps, places, count, rows, columns):
    """The (row, column) that each pixel reads, (N, rows, columns, 2)."""
    if places is not None:
        return places
    r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    m = maps[:, :, None, None]
    k = m[:, 6] * c + m[:, 7] * r + 1
    return np.stack([(m[:, 3] * c + m[:, 4] * r + m[:, 5]) / k, (m[:, 0] * c + m[:, 1] * r + m[:, 2]) / k], -1)


def _cell(i, n, mode):
    """The cell that stands for cell i of n, -1 where it is the fill value."""
    if mode == "constant":
        return np.where((i >= 0) & (i < n), i, -1)
    if mode == "nearest" or n == 1:
        return np.clip(i, 0, n - 1)
    if mode == "wrap":
        return i % n
    around = np.arange(n)
    around = np.concatenate([around, around[::-1] if mode == "reflect" else around[-2:0:-1]])
    return around[i % len(around)]


def _corners(at, size, mode, nearest):
    """(weight, row, column) of the cells that each place reads."""
    if nearest:
        at = np.trunc(at + np.copysign(0.5, at))
    low = np.floor(at)
    share = at - low
    for steps in itertools.product((0, 1), repeat=2):
        weight = np.prod([share[..., a] if s else 1 - share[..., a] for a, s in enumerate(steps)], axis=0)
        cells = [_cell(low[..., a].astype(int) + s, size[a], mode) for a, s in enumerate(steps)]
        yield weight, *cells


def warp_forward(x, maps=None, places=None, size=None, mode="constant", nearest=False, fill=0.0):
    rows, columns = x.shape[1:3] if size is None else size
    at, n = _places(maps, places, len(x), rows, columns), np.arange(len(x))[:, None, None]
    y = np.zeros((len(x), rows, columns, x.shape[3]))
    for weight, r, c in _corners(at, x.shape[1:3], mode, nearest):
        values = np.where(((r < 0) | (c < 0))[..., None], fill, x[n, r, c])
        y += np.where(weight == 0, 0, weight)[..., None] * values
    return _rounded(y, x.dtype)


def warp_backward(dy, size, maps=None, places=None, mode="constant", nearest=False):
    at, n = _places(maps, places, *dy.shape[:3]), np.arange(len(dy))[:, None, None]
    dx = np.zeros((len(dy), *size, dy.shape[3]))
    for weight, r, c in _corners(at, size, mode, nearest):
        inside = (r >= 0) & (c >= 0)
        np.add.at(dx, (np.broadcast_to(n, r.shape), r, c), (weight * inside)[..., None] * dy)
    return dx.astype(dy.dtype)


def resample(x, start, weights, axis):
    x = np.moveaxis(x, axis, 0)
    y = [sum(w * x[s + k] for k, w in enumerate(row)) for s, row in zip(start, weights.astype(np.float64))]
    return np.moveaxis(np.stack(y), 0, axis).astype(weights.dtype)


def color_table(x, tables):
    n, _, _, c = np.ogrid[tuple(map(slice, x.shape))]
    return tables[n, c, x]


def color_histogram(x):
    return np.stack([[np.bincount(c.ravel(), minlength=256) for c in np.moveaxis(image, -1, 0)] for image in x])


def color_scale(x, scales, low, high):
    scales = scales[:, None, None].astype(np.float64)
    return np.clip(x * scales[..., 0] + scales[..., 1], low, high).astype(x.dtype)


def color_matrix(x, matrices, low, high):
    y = (matrices[:, None, None, :, :3] * x[..., None, :].astype(np.float64)).sum(-1) + matrices[:, None, None, :, 3]
    return _rounded(np.clip(y, low, high), x.dtype)


def color_turn(x, pairs, low, high):
    rgb = (x.astype(np.float64) - low) / (high - low)
    value, span = rgb.max(-1), np.ptp(rgb, -1)
    r, g, b = np.moveaxis(rgb, -1, 0)
    rest = np.choose(rgb.argmax(-1), (g - b, b - r, r - g)) / np.where(span > 0, 6 * span, 1)
    pairs = pairs[:, None, None].astype(np.float64)
    hue = (rest + rgb.argmax(-1) / 3 * (span > 0) + pairs[..., 0]) % 1 * 6
    saturation = np.clip(span / np.where(value > 0, value, 1) * pairs[..., 1], 0, 1)
    shares = np.stack([np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4)], -1)
    y = value[..., None] * (1 - saturation[..., None] * (1 - np.clip(shares, 0, 1)))
    return _rounded(y * (high - low) + low, x.dtype)


def _rounded(y, dtype):
    return np.clip(np.floor(y + 0.5), 0, 255).astype(dtype) if dtype == np.uint8 else y.astype(dtype)
