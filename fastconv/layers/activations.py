"""Activation layers: Activation by name or function, and those with arguments or a weight of their own.

Not here: the functions and their names (fastconv.activations). Contract: the output has the input's shape, but for
Activation of a function that changes it, such as "glu".
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import activations, ops
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, RegularizerLike, Shape
from fastconv.layers.base import Layer
from fastconv.ops.activations import prelu
from fastconv.ops.masks import as_floats, select
from fastconv.registry import checked_number
from fastconv.tensor import Tensor, TensorLike


class Activation(Layer):
    """Applies `activation`, a name or a function, to every value."""

    supports_masking = True

    def __init__(self, activation: ActivationLike, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


class SameShape(Layer):
    """Base class of those whose output has the input's shape, whatever `call` computes."""

    supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        return tuple(input_shape)


class ReLU(SameShape):
    """x from `threshold` to `max_value` (None: no limit), max_value above, negative_slope * (x - threshold) below.

    All three are at least 0.
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else checked_number(self, "max_value", max_value)
        self.negative_slope = checked_number(self, "negative_slope", negative_slope)
        self.threshold = checked_number(self, "threshold", threshold)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(SameShape):
    """x above 0, negative_slope * x below; `alpha` is the slope's older name."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = checked_number(self, "negative_slope", negative_slope)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)


class PReLU(SameShape):
    """x above 0, alpha * x below: a slope for each place of a sample, which is trained.

    `shared_axes` are those along which the places share one, such as [1, 2] for one a channel of images. Weight: alpha.
    """

    def __init__(
        self, alpha_initializer: InitializerLike | None = "Zeros", alpha_regularizer: RegularizerLike | None = None,
        alpha_constraint: ConstraintLike | None = None, shared_axes: int | Sequence[int] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self._keep_rules(
            alpha_initializer=alpha_initializer, alpha_regularizer=alpha_regularizer, alpha_constraint=alpha_constraint
        )
        if shared_axes is not None:
            axes = shared_axes if hasattr(shared_axes, "__len__") else [shared_axes]
            shared_axes = [operator.index(axis) for axis in axes]
        self.shared_axes = shared_axes
        self.alpha = None

    def check_input(self, shape: Shape) -> None:
        if self.built and self._sizes(shape) != self.alpha.shape:
            raise ValueError(
                f"{self._title()} was built for the input shape {self._build_shape}, with alpha of shape "
                f"{self.alpha.shape}; got {tuple(shape)}."
            )

    def build(self, input_shape: Shape) -> None:
        if any(not 1 <= axis < len(input_shape) for axis in self.shared_axes or ()):
            raise ValueError(
                f"{self._title()}: shared_axes must be from 1 to {len(input_shape) - 1}, for the input shape "
                f"{input_shape}; got {self.shared_axes}."
            )
        sizes = self._sizes(input_shape)
        if None in sizes:
            raise ValueError(
                f"{self._title()} needs known sizes for its weights; got the input shape {input_shape}. Name the open "
                "axes in shared_axes."
            )
        self.alpha = self._add_ruled("alpha", sizes)

    def _sizes(self, shape):
        return tuple(1 if axis in (self.shared_axes or ()) else size for axis, size in enumerate(shape) if axis)

    def call(self, inputs: Tensor) -> Tensor:
        return prelu(inputs, self.alpha)


class ELU(SameShape):
    """x above 0, alpha * (exp(x) - 1) below."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = checked_number(self, "alpha", alpha)

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, self.alpha)


class Softmax(SameShape):
    """`exp(x)` normalised to sum 1 along `axis`, an int (default: the last) or several.

    Called with a `mask` that broadcasts to the input, it gives 0 where that is False, and the others sum to 1.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        try:
            self.axis = tuple(map(operator.index, axis)) if hasattr(axis, "__len__") else operator.index(axis)
        except TypeError:
            raise TypeError(f"Softmax: axis must be an int or several, such as -1 or (1, 2); got {axis!r}.") from None

    def call(self, inputs: Tensor, mask: TensorLike | None = None) -> Tensor:
        if mask is None:
            return self._softmax(inputs)
        mask = as_floats(mask, inputs.dtype)
        least = np.full((1,) * inputs.ndim, -1e9, inputs.dtype)
        return select(mask, self._softmax(select(mask, inputs, least)))

    def _softmax(self, inputs: Tensor) -> Tensor:
        if not isinstance(self.axis, tuple):
            return activations.softmax(inputs, self.axis)
        powers = ops.exp(ops.subtract(inputs, ops.max(inputs, self.axis, keepdims=True)))
        return ops.divide(powers, ops.sum(powers, self.axis, keepdims=True))
