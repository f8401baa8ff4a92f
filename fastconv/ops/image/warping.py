"""Images read at other places: affine and perspective maps, elastic distortion, and any coordinates.

Contract: places are computed in float64, pixel 0 is at 0; "bilinear" or "nearest" between the cells. Past the ends stand
`fill_value` ("constant"), the end's cell ("nearest"), or the image once more ("wrap", "mirror", "reflect"). Gradients go to
the images; map_coordinates' to its coordinates, too.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ... import kernels, rng
from ...kernels.image import MODES
from ...tensor import Op, Tensor
from ..dropout import RandomNormal
from .batches import as_floats, as_given, on_batch, one_of
from .filters import filtered
from .taps import gaussian

INTERPOLATIONS = ("nearest", "bilinear")


class Warp(Op):
    """(N, H, W, C) read at the places of `maps` (N, 8), as kernels.warp_forward says; uint8 too."""

    kernels = True

    def forward(self, x, *, maps, mode, nearest, fill):
        if len(maps) != len(x):
            kernels.cannot_be_repeated()
            maps = np.ascontiguousarray(np.broadcast_to(maps, (len(x), 8)))
        self.old, self.how = x.shape[1:3], {"maps": maps, "mode": mode, "nearest": nearest}
        return kernels.warp_forward(x, fill=fill, **self.how)

    exact = forward

    def backward(self, dy):
        return kernels.warp_backward(dy, self.old, **self.how)


class WarpTo(Op):
    """(N, H, W, C) read at the places (N, H, W, 2) of a second input, which gets no gradient."""

    integers = (1,)

    def forward(self, x, places, *, mode, nearest, fill):
        places = np.ascontiguousarray(places, np.float64)
        self.old, self.how = x.shape[1:3], {"places": places, "mode": mode, "nearest": nearest}
        return kernels.warp_forward(x, fill=fill, **self.how)

    exact = forward

    def backward(self, dy):
        return kernels.warp_backward(dy, self.old, **self.how), None


def affine_transform(
    images: Any, transform: Any, interpolation: str = "bilinear", fill_mode: str = "constant", fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images moved by affine maps: `transform` holds eight numbers, or a row of them for each image of a batch.

    (a0, a1, a2, b0, b1, b2, c0, c1): the pixel at (x, y) of the result is the image's at (a0 x + a1 y + a2, b0 x + b1 y +
    b2). c0 and c1 must be 0: perspective_transform takes maps that are not affine.
    """
    maps = _numbers("transform", transform, 8)
    if np.any(maps[:, 6:]):
        raise ValueError("transform must be affine: its last two numbers, c0 and c1, are 0. See perspective_transform.")
    return _warped(images, maps, interpolation, fill_mode, fill_value, data_format)


def perspective_transform(
    images: Any, start_points: Any, end_points: Any, interpolation: str = "bilinear", fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images seen from elsewhere: what is at the four `start_points` (x, y) comes to the four `end_points`.

    Both are (4, 2), or (N, 4, 2) for a batch, top left, top right, bottom left, bottom right.
    """
    return _warped(images, homographies(start_points, end_points), interpolation, "constant", fill_value, data_format)


def homographies(start_points: Any, end_points: Any) -> np.ndarray:
    """(N, 8): the maps that bring the end points to the start points."""
    start, end = (np.asarray(p.data if isinstance(p, Tensor) else p, float) for p in (start_points, end_points))
    if start.shape != end.shape or start.shape[-2:] != (4, 2) or start.ndim not in (2, 3):
        raise ValueError(
            f"start_points and end_points must be four points (x, y), (4, 2), or (N, 4, 2); got {start.shape} and {end.shape}."
        )
    start, end = start.reshape(-1, 4, 2), end.reshape(-1, 4, 2)
    table = np.zeros((len(start), 4, 2, 8))  # a row for x and one for y of each point
    table[:, :, 0, 0:2] = table[:, :, 1, 3:5] = end
    table[:, :, 0, 2] = table[:, :, 1, 5] = 1
    table[..., 6:] = -start[..., None] * end[:, :, None, :]
    try:
        return np.linalg.solve(table.reshape(-1, 8, 8), start.reshape(-1, 8, 1))[..., 0]
    except np.linalg.LinAlgError:
        raise ValueError("No perspective leads through points of which three lie on a line: see end_points.") from None


def _numbers(name, values, count):
    """(N, count) float64, of one row or several."""
    array = np.asarray(values.data if isinstance(values, Tensor) else values)
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2) or array.shape[-1] != count:
        raise ValueError(
            f"{name} must hold {count} numbers, or a row of them an image; got {array.dtype} {array.shape}."
        )
    return np.array(array, np.float64, ndmin=2)


def _warped(images, maps, interpolation, fill_mode, fill_value, data_format):
    nearest = one_of("interpolation", interpolation, INTERPOLATIONS) == "nearest"
    one_of("fill_mode", fill_mode, MODES)

    def warped(x):
        batch, rows = x.shape[0], maps
        if batch is not None and len(rows) != batch:
            if len(rows) != 1:
                raise ValueError(f"A batch of {batch} images takes one map, or one for each; got {len(rows)}.")
            rows = np.ascontiguousarray(np.broadcast_to(rows, (batch, 8)))
        return Warp.apply(x, maps=rows, mode=fill_mode, nearest=nearest, fill=float(fill_value))

    return on_batch(warped, images, data_format, raw=True)


def elastic_transform(
    images: Any, alpha: float = 20.0, sigma: float = 5.0, interpolation: str = "bilinear", fill_mode: str = "reflect",
    fill_value: float = 0.0, seed: Any = None, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images whose pixels are moved by random fields: normal numbers of deviation `sigma`, blurred by `sigma` pixels and
    multiplied by `alpha`.

    `seed` as in fastconv.random. The fields of rows and columns are independent.
    """
    nearest = one_of("interpolation", interpolation, INTERPOLATIONS) == "nearest"
    one_of("fill_mode", fill_mode, MODES)
    source = rng.source(seed)
    alpha, sigma = float(alpha), float(sigma)
    if not sigma > 0:
        raise ValueError(f"sigma must be positive; got {sigma}.")

    def moved(x):
        if None in x.shape:
            return Warp.apply(x, maps=np.zeros((1, 8)), mode=fill_mode, nearest=nearest, fill=float(fill_value))
        places = _Places.apply(_fields(x.shape, sigma, source), scale=alpha)
        return WarpTo.apply(x, places, mode=fill_mode, nearest=nearest, fill=float(fill_value))

    return on_batch(moved, images, data_format, raw=True)


def _fields(shape, sigma, source):
    """(N, H, W, 2) normal numbers of this deviation, blurred."""
    fields = RandomNormal.apply(
        shape=(*shape[:3], 2), dtype=np.dtype(np.float64), mean=0.0, stddev=sigma, source=source
    )
    weights = gaussian(int(6 * sigma) | 1, sigma)
    return filtered(fields, weights, weights)


class _Places(Op):
    """Each pixel's own row and column, and `scale` of what it is moved by."""

    def forward(self, x, *, scale):
        rows, columns = x.shape[1:3]
        return x * scale + np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)


class MapCoordinates(Op):
    """x, of any rank, at coordinates (rank, ...), in float64 of NumPy's."""

    integers = (1,)

    def forward(self, x, at, *, order, mode, fill):
        at = np.asarray(at, np.float64)
        self.at_dtype, self.size = at.dtype, x.shape
        low = np.floor(at) if order else np.trunc(at + np.copysign(0.5, at))
        self.share = at - low if order else np.zeros_like(at)
        y = np.zeros(at.shape[1:])
        self.corners = []
        for corner in itertools.product((0, 1) if order else (0,), repeat=len(at)):
            cells, valid = [], np.ones(at.shape[1:], bool)
            for axis, step in enumerate(corner):
                index = _cells(low[axis].astype(np.int64) + step, x.shape[axis], mode)
                valid &= (index >= 0) & (index < x.shape[axis])
                cells.append(np.clip(index, 0, x.shape[axis] - 1))
            values = np.where(valid, x[tuple(cells)], fill)
            self.corners.append((corner, tuple(cells), valid, values))
            y += self._weight(corner) * values
        return y.astype(x.dtype)

    def _weight(self, corner, without=None):
        weight = np.ones(self.share.shape[1:])
        for axis, step in enumerate(corner):
            if axis != without:
                weight *= self.share[axis] if step else 1 - self.share[axis]
        return weight

    def backward(self, dy):
        dx, by_place = np.zeros(self.size, dy.dtype), np.zeros(self.share.shape)
        for corner, cells, valid, values in self.corners:
            np.add.at(dx, cells, np.where(valid, dy * self._weight(corner), 0).astype(dy.dtype))
            for axis, step in enumerate(corner if len(self.corners) > 1 else ()):
                by_place[axis] += (1 if step else -1) * dy * values * self._weight(corner, axis)
        return dx, by_place.astype(dy.dtype)

    @staticmethod
    def shape(x, at, **attributes):
        return tuple(at[1:])


def _cells(index, size, mode):
    """The cell that stands for this one, which may lie past the ends; such a one where the fill value stands."""
    if mode == "constant":
        return index
    if mode == "nearest" or size == 1:
        return np.clip(index, 0, size - 1)
    if mode == "wrap":
        return index % size
    period = 2 * size - (2 if mode == "mirror" else 0)
    rest = index % period
    return np.where(rest < size, rest, period - rest - (mode == "reflect"))


def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Tensor:
    """An array of any rank read at `coordinates` (rank, ...), a row of places for each of its axes.

    `order` 0 takes the nearest cell, 1 interpolates between two on each axis.
    """
    one_of("order", order, (0, 1))
    one_of("fill_mode", fill_mode, MODES)
    x, given = as_floats(inputs)
    if not isinstance(coordinates, Tensor):
        coordinates = np.asarray(coordinates)
        if coordinates.dtype.kind not in "fiu":
            raise TypeError(f"coordinates must be numbers; got {coordinates.dtype}.")
        coordinates = coordinates.astype(x.dtype)
    if len(coordinates.shape) < 2 or coordinates.shape[0] != x.ndim:
        raise ValueError(
            f"coordinates must be ({x.ndim}, ...), a row for each axis of inputs; got {coordinates.shape}."
        )
    if 0 in x.shape:
        raise ValueError(f"There is nothing to read in inputs of shape {x.shape}.")
    y = MapCoordinates.apply(x, coordinates, order=int(order), mode=fill_mode, fill=float(fill_value))
    return as_given(y, given)
