"""Filters of images: Gaussian blur, edges, and the similarity that is measured through a blur.

Contract: each is sums along rows and columns (taps.py), with zeros past the images' ends where the size stays.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...kernels.geometry import per_axis
from ...tensor import Tensor
from ..elementwise import add, divide, multiply, square, subtract
from ..joining import concatenate, split, stack
from ..reductions import mean
from ..shaping import moveaxis
from .batches import as_floats, as_given, is_channels_first, on_batch
from .taps import filter_taps, gaussian, resample


def gaussian_blur(
    images: Any,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images blurred by normal curves: `kernel_size` cells and the deviation `sigma`, each (along the width, along the
    height) or one number."""
    counts = per_axis("kernel_size", kernel_size, 2)
    deviations = np.broadcast_to(np.asarray(sigma, float), (2,)).tolist()
    if min(deviations) <= 0:
        raise ValueError(f"sigma must be positive; got {sigma!r}.")
    columns, rows = (gaussian(count, deviation) for count, deviation in zip(counts, deviations))
    return on_batch(lambda x: filtered(x, rows, columns), images, data_format)


def filtered(x, rows: Sequence[float], columns: Sequence[float], same: bool = True):
    """x (N, H, W, C) by weights along its rows' axis, then along its columns'."""
    for axis, weights in enumerate((tuple(rows), tuple(columns)), 1):
        places = x.shape[axis] if same or x.shape[axis] is None else None
        x = resample(x, axis, places, filter_taps, weights, same)
    return x


def sobel_edges(images: Any, data_format: str | None = None) -> Tensor:
    """A batch of images with a new last axis of two: the slopes down and to the right, by Sobel's filters."""
    first = is_channels_first(data_format)
    x, given = as_floats(images)
    if x.ndim != 4:
        raise ValueError(f"sobel_edges expects a batch of images, four axes; got shape {x.shape}.")
    x = moveaxis(x, 1, -1) if first else x
    smooth, slope = (1.0, 2.0, 1.0), (-1.0, 0.0, 1.0)
    edges = [filtered(x, slope, smooth), filtered(x, smooth, slope)]
    y = stack([moveaxis(edge, -1, 1) if first else edge for edge in edges], axis=-1)
    return as_given(y, given)


def ssim(
    image1: Any, image2: Any, max_val: float = 1.0, filter_size: int = 11, filter_sigma: float = 1.5, k1: float = 0.01,
    k2: float = 0.03, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """The structural similarity of two images, or of each two of two batches: a number, or one a pair.

    `max_val` is the largest difference of two values; a window of `filter_size` normal weights of deviation
    `filter_sigma` moves within the images. It has a gradient in both; of integers it is a float, too.
    """
    (a, _), (b, _) = as_floats(image1), as_floats(image2)
    size = operator.index(filter_size)
    if a.shape != b.shape:
        raise ValueError(f"image1 and image2 must have one shape; got {a.shape} and {b.shape}.")
    weights, c1, c2 = gaussian(size, float(filter_sigma)), (k1 * max_val) ** 2, (k2 * max_val) ** 2

    def blur(x):
        return filtered(x, weights, weights, same=False)

    def similarity(both):
        if any(cells is not None and cells < size for cells in both.shape[1:3]):
            raise ValueError(f"Images of {both.shape[1:3]} cells have no room for a window of {size}: filter_size.")
        a, b = split(both, 2, axis=-1)
        mean_a, mean_b = blur(a), blur(b)
        squares, product = add(square(mean_a), square(mean_b)), multiply(mean_a, mean_b)
        variances = subtract(blur(add(square(a), square(b))), squares)
        covariance = subtract(blur(multiply(a, b)), product)
        over = multiply(add(multiply(product, 2.0), c1), add(multiply(covariance, 2.0), c2))
        return mean(divide(over, multiply(add(squares, c1), add(variances, c2))), axis=(1, 2, 3))

    return on_batch(similarity, concatenate([a, b], axis=-3 if is_channels_first(data_format) else -1), data_format)
