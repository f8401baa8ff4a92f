"""Layers that mix each image of a batch with another, and their labels as well: MixUp and CutMix.

Contract: labels are numbers that can be mixed, such as one-hot vectors, floats (N, ...). One image alone stays itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.layers.annotations import Factor, Seed, Shape
from fastconv.layers.preprocessing.filters import interval
from fastconv.layers.preprocessing.images import Draws, ImageLayer, by_parts, column, limits
from fastconv.tensor import Tensor


class Mixing(ImageLayer):
    """Base class: `draw` gives (what each image is mixed with, its own share, ...)."""

    def changed_labels(self, labels: np.ndarray, how: Any, single: bool) -> Any:
        if single or how is None:
            return labels
        order, share = how[:2]
        array = labels.data if isinstance(labels, Tensor) else np.asarray(labels)
        if array.ndim < 2 or len(array) != len(order):
            raise ValueError(
                f"{self._title()} mixes labels of shape (batch, classes), such as ops.one_hot gives; got {array.shape}."
            )
        dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)
        share = share.reshape(-1, *(1,) * (array.ndim - 1))
        return Tensor((share * array + (1 - share) * array[order]).astype(dtype))


class MixUp(Mixing):
    """A weighted sum of each image and another one of the batch; the weights are of the distribution Beta(alpha, alpha)."""

    def __init__(
        self, alpha: Factor = 0.2, data_format: str | None = None, seed: Seed | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < math.inf:
            raise ValueError(f"MixUp: alpha must be a positive number; got {alpha!r}.")
        self.alpha = alpha
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        order = np.argsort(random.uniform(shape[0]), kind="stable")
        return order, random.generator().beta(self.alpha, self.alpha, shape[0])

    def changed(self, x: np.ndarray, how: Any) -> Any:
        order, share = how

        def mixed(n, samples):
            own = column(share[n], samples)
            return samples * own + x[order[n]] * (1 - own)

        y = by_parts(x, mixed)

        def gradient(dy):
            dx = dy * column(share, dy)
            dx[order] += dy * column(1 - share, dy)
            return dx

        return y, gradient


class CutMix(Mixing):
    """Puts a rectangle of another image of the batch over each one; the labels' shares are the areas'.

    The rectangle's share is of the distribution Beta(f, f), with f between two numbers of `factor`, of 0 to 1; a number f
    is 0 to f.
    """

    def __init__(
        self, factor: Factor = 1.0, seed: Seed | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor = limits(self, "factor", factor, 0, 1)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        if count == 1:
            return None
        alpha = float(random.uniform(1, *self.factor)[0]) + 1e-6
        side = np.sqrt(1 - random.generator().beta(alpha, alpha, count))
        left, right = interval(random, count, width, side)
        top, bottom = interval(random, count, height, side)
        order = np.argsort(random.uniform(count), kind="stable")
        own = 1 - (right - left) * (bottom - top) / max(height * width, 1)
        return order, own, (left, right, top, bottom)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if how is None:
            return x, lambda dy: dy
        order, _, boxes = how
        places = [(slice(top, bottom), slice(left, right)) for left, right, top, bottom in zip(*boxes)]
        y = x.copy()
        for n, place in enumerate(places):
            y[(n, *place)] = x[(order[n], *place)]

        def gradient(dy):
            dx = dy.copy()
            for n, place in enumerate(places):
                dx[(n, *place)] = 0
            for n, place in enumerate(places):
                dx[(order[n], *place)] += dy[(n, *place)]
            return dx

        return y, gradient
