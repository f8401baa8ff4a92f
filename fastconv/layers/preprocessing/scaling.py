"""Layers that bring raw data to a range in which networks learn: Rescaling, and Normalization by the data's statistics.

Not here: normalization by batches (normalization.py). Contract: they take integers too, declared by
`Input(shape, dtype="uint8")` or not, and give floats; a model that has one expects large inputs, and warns of none.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.layers.annotations import Shape
from fastconv.layers.base import Layer
from fastconv.layers.shapes import numbers
from fastconv.ops.elementwise import Linear
from fastconv.tensor import Tensor

_ROWS = 1 << 10  # samples that adapt reads at once, as float64


class Preprocessing(Layer):
    """Base class: its inputs are large, and of any dtype."""

    rescales = True

    def _floats(self, inputs):
        return inputs if inputs.dtype == self._dtype else ops.cast(inputs, self._dtype)

    def _given(self, name, value):
        """A number or a nested list of numbers, as a config holds them."""
        array = numbers(np.asarray(value), f"{type(self).__name__}: {name}")
        if not np.isfinite(array).all():
            raise ValueError(f"{type(self).__name__}: {name} must be finite; got {value!r}.")
        return array.tolist()


class Rescaling(Preprocessing):
    """`x * scale + offset`: Rescaling(1 / 255) brings pixels to 0..1, Rescaling(1 / 127.5, -1) to -1..1.

    Both are a number, or a list that broadcasts against x, such as one number a channel.
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = self._given("scale", scale), self._given("offset", offset)

    def call(self, inputs: Any) -> Tensor:
        x = self._floats(inputs)
        if isinstance(self.scale, list) or isinstance(self.offset, list):
            return ops.add(ops.multiply(x, self.scale), self.offset)
        return Linear.apply(x, scale=self.scale, offset=self.offset)


class Normalization(Preprocessing):
    """`(x - mean) / sqrt(variance)`, one mean and variance for each entry of `axis` (an int, several, or None for one).

    They are given, or come from `adapt(data)`; then they are weights that are not trained (mean, variance, count).
    `invert=True` undoes it: `x * sqrt(variance) + mean`.
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError("Normalization takes mean and variance together, or neither and adapt(data).")
        if axis is not None:
            axis = tuple(map(operator.index, axis)) if hasattr(axis, "__len__") else operator.index(axis)
        self.axis, self.invert = axis, bool(invert)
        self.mean = None if mean is None else self._given("mean", mean)
        self.variance = None if variance is None else self._given("variance", variance)
        if self.variance is not None and np.min(self.variance) < 0:
            raise ValueError(f"Normalization: variance must be at least 0; got {variance!r}.")
        self.adapt_mean = self.adapt_variance = self.count = None

    def _axes(self, shape) -> tuple:
        axes = () if self.axis is None else self.axis if isinstance(self.axis, tuple) else (self.axis,)
        found = sorted({axis % len(shape) for axis in axes if -len(shape) <= axis < len(shape)} - {0})
        if len(found) < len(axes) or any(shape[axis] is None for axis in found):
            raise ValueError(
                f"{self._title()}: axis must name different axes of known size, not the batch; got {self.axis} for the "
                f"input shape {tuple(shape)}."
            )
        return tuple(found)

    def _kept(self, shape) -> list:
        """A shape that broadcasts along all but the layer's axes."""
        axes = self._axes(shape)
        return [size if axis in axes else 1 for axis, size in enumerate(shape)]

    def check_input(self, shape: Shape) -> None:
        kept = self._kept(shape)
        if self.built and kept[1:] != self._kept(self._build_shape)[-len(kept) + 1 :]:
            raise ValueError(f"{self._title()} was built for the input shape {self._build_shape}; got {tuple(shape)}.")

    def build(self, input_shape: Shape) -> None:
        sizes = tuple(input_shape[axis] for axis in self._axes(input_shape))
        if self.mean is not None:
            for name, value in (("mean", self.mean), ("variance", self.variance)):
                try:
                    np.broadcast_to(value, self._kept(input_shape))
                except ValueError:
                    raise ValueError(
                        f"{self._title()}: {name} of shape {np.shape(value)} does not fit the sizes {sizes} along axis "
                        f"{self.axis} of the input shape {input_shape}."
                    ) from None
            return
        self.adapt_mean = self.add_weight(sizes, "zeros", trainable=False, name="mean")
        self.adapt_variance = self.add_weight(sizes, "ones", trainable=False, name="variance")
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Takes mean and variance from `data`, an array of samples; `batch_size` and `steps` change nothing."""
        if self.mean is not None:
            raise ValueError(f"{self._title()} was given its mean and variance; adapt has nothing to do.")
        data = data.data if isinstance(data, Tensor) else numbers(data, "data")
        if not data.size:
            raise ValueError(f"{self._title()}: adapt needs samples; got data of shape {data.shape}.")
        self.ensure_built(data.shape)
        axes = self._axes(data.shape)
        others = tuple(axis for axis in range(data.ndim) if axis not in axes)
        count = data.size / max(np.prod([data.shape[axis] for axis in axes]), 1)
        mean = sum(part.sum(others, keepdims=True) for part in _parts(data)) / count
        variance = sum(np.square(part - mean).sum(others) for part in _parts(data)) / count
        for weight, value in ((self.adapt_mean, mean), (self.adapt_variance, variance), (self.count, count)):
            weight.assign(np.reshape(value, weight.shape).astype(weight.dtype))

    def call(self, inputs: Any) -> Tensor:
        x, kept = self._floats(inputs), self._kept(inputs.shape)
        if self.mean is not None:
            mean, variance = (np.broadcast_to(np.asarray(v, x.dtype), kept) for v in (self.mean, self.variance))
        else:
            mean, variance = ops.reshape(self.adapt_mean, kept), ops.reshape(self.adapt_variance, kept)
        deviation = ops.maximum(ops.sqrt(variance), 1e-7)
        if self.invert:
            return ops.add(ops.multiply(x, deviation), mean)
        return ops.divide(ops.subtract(x, mean), deviation)


def _parts(data):
    """The samples in float64, some at a time."""
    return (data[start : start + _ROWS].astype(np.float64) for start in range(0, len(data), _ROWS))
