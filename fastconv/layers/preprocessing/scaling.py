"""Layers that bring raw data to a range in which networks learn: Rescaling, and Normalization by the data's statistics.

Not here: normalization by batches (normalization.py). Contract: they take integers too, declared by
`Input(shape, dtype="uint8")` or not, and give floats; a model that has one expects large inputs, and warns of none.
"""

from __future__ import annotations

import itertools
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

    one_tensor = True

    rescales = True

    def _floats(self, inputs):
        return inputs if inputs.dtype == self._dtype else ops.cast(inputs, self._dtype)

    def _number_or_list(self, name, value):
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
        self.scale, self.offset = self._number_or_list("scale", scale), self._number_or_list("offset", offset)

    def call(self, inputs: Any) -> Tensor:
        x = self._floats(inputs)
        if isinstance(self.scale, list) or isinstance(self.offset, list):
            return ops.add(ops.multiply(x, self.scale), self.offset)
        return Linear.apply(x, scale=self.scale, offset=self.offset)


class Normalization(Preprocessing):
    """`(x - mean) / sqrt(variance)`, one mean and variance for each entry of `axis` (an int, several, or None for one).

    They are given, for the entries of `axis` in order, or come from `adapt(data)`; then they are weights that are not
    trained (mean, variance, count). `invert=True` undoes it: `x * sqrt(variance) + mean`. Once the layer is built,
    `mean` and `variance` broadcast against its inputs.
    """

    supports_masking = True
    kept_as = {"mean": "input_mean", "variance": "input_variance"}

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
        self.input_mean = None if mean is None else self._number_or_list("mean", mean)
        self.input_variance = None if variance is None else self._number_or_list("variance", variance)
        if self.input_variance is not None and np.min(self.input_variance) < 0:
            raise ValueError(f"Normalization: variance must be at least 0; got {variance!r}.")
        self.adapt_mean = self.adapt_variance = self.count = None

    @property
    def mean(self) -> Tensor | None:
        """The mean of each entry, None before there is one."""
        return self._found(self.input_mean, self.adapt_mean)

    @property
    def variance(self) -> Tensor | None:
        """The variance of each entry, None before there is one."""
        return self._found(self.input_variance, self.adapt_variance)

    def _found(self, given, adapted):
        if not self.built:
            return None
        return Tensor(self._placed(adapted.data if given is None else given, self._build_shape))

    def _placed(self, value, shape):
        """`value`, of the layer's axes or of all, as an array that broadcasts against inputs of this shape."""
        sizes, kept = [shape[axis] for axis in self._axes(shape)], self._kept(shape)
        kept[0] = 1
        value = np.asarray(value, self.dtype)
        return np.broadcast_to(value, sizes).reshape(kept) if value.ndim <= len(sizes) else np.broadcast_to(value, kept)

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
        if self.input_mean is not None:
            for name, value in (("mean", self.input_mean), ("variance", self.input_variance)):
                try:
                    self._placed(value, input_shape)
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
        """Takes mean and variance from `data`: an array of samples, or batches of them, in a list, a data set or any
        iterable, of which those that are tuples have the samples first. `steps`: the number of batches to read, all by
        default; `batch_size` changes nothing."""
        if self.input_mean is not None:
            raise ValueError(f"{self._title()} was given its mean and variance; adapt has nothing to do.")
        count, mean, squares = 0, 0.0, 0.0
        for part in itertools.chain.from_iterable(map(_parts, itertools.islice(_batches(data), steps))):
            self.ensure_built(part.shape)
            axes = self._axes(part.shape)
            others = tuple(axis for axis in range(part.ndim) if axis not in axes)
            number = part.size / max(np.prod([part.shape[axis] for axis in axes]), 1)
            center = part.mean(others, keepdims=True)
            apart = center - mean
            squares = squares + np.square(part - center).sum(others, keepdims=True)
            squares = squares + np.square(apart) * (count * number / (count + number))
            mean = mean + apart * (number / (count + number))
            count += number
        if not count:
            raise ValueError(f"{self._title()}: adapt needs samples; got none.")
        for weight, value in ((self.adapt_mean, mean), (self.adapt_variance, squares / count), (self.count, count)):
            weight.assign(np.reshape(value, weight.shape).astype(weight.dtype))

    def call(self, inputs: Any) -> Tensor:
        x, kept = self._floats(inputs), self._kept(inputs.shape)
        if self.input_mean is not None:
            mean, variance = (self._placed(v, inputs.shape) for v in (self.input_mean, self.input_variance))
        else:
            mean, variance = ops.reshape(self.adapt_mean, kept), ops.reshape(self.adapt_variance, kept)
        deviation = ops.maximum(ops.sqrt(variance), 1e-7)
        if self.invert:
            return ops.add(ops.multiply(x, deviation), mean)
        return ops.divide(ops.subtract(x, mean), deviation)


def _batches(data):
    """The arrays of samples in `data`, which is one, or holds some."""
    rows = isinstance(data, (list, tuple)) and not any(
        isinstance(part, (np.ndarray, Tensor)) for one in data for part in (one if isinstance(one, tuple) else (one,))
    )
    if rows or isinstance(data, (np.ndarray, Tensor)) or hasattr(data, "__array__"):
        yield numbers(data, "data")
        return
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    for batch in (data[place] for place in range(len(data))) if indexed else data:
        yield numbers(batch[0] if isinstance(batch, (tuple, list)) else batch, "data")


def _parts(data):
    """The samples in float64, some at a time."""
    return (data[start : start + _ROWS].astype(np.float64) for start in range(0, len(data), _ROWS))
