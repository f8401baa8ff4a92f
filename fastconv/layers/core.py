"""The first and the last layer of most networks: Input and Dense.

Contract as in base.py; the batch is the first axis, and Dense takes any number of axes after it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import activations, ops
from fastconv.graph import Node
from fastconv.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    DTypeLike,
    InitializerLike,
    RegularizerLike,
    Shape,
)
from fastconv.layers.base import Layer
from fastconv.layers.shapes import sample_shape
from fastconv.layers.spatial import positive
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor


class InputLayer(Layer):
    """The declared input of a Sequential, or of a graph, whose tensor is its `output`; arguments as Input's."""

    sparse = ragged = batch_shape = input_tensor = None
    optional = False

    def __init__(
        self, shape: Sequence[int | None] | None = None, batch_size: int | None = None, dtype: DTypeLike | None = None,
        sparse: bool | None = None, ragged: bool | None = None, batch_shape: Sequence[int | None] | None = None,
        input_tensor: Tensor | None = None, optional: bool = False, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if sparse or ragged or input_tensor is not None or optional:
            raise ValueError(
                "Input takes no sparse, ragged, optional or given tensors here; leave these arguments out."
            )
        if (shape is None) == (batch_shape is None):
            raise ValueError("Input needs either shape, of one sample, or batch_shape, with the batch in front.")
        if shape is None:
            batch_size, *shape = batch_shape
        integers = isinstance(dtype, (str, type, np.dtype)) and np.dtype(dtype).kind in "iub"
        super().__init__(name=name, dtype=None if integers else dtype, **kwargs)
        if integers:
            self._dtype = np.dtype(dtype)
        self.shape = sample_shape(shape, "shape")
        self.batch_size = None if batch_size is None else positive(batch_size, "batch_size", self)
        self.build((self.batch_size, *self.shape))
        self._start()

    def _start(self):
        self.note_call(Node(self, (), {}, KerasTensor((self.batch_size, *self.shape), self._dtype, name=self.name)))

    @property
    def output(self) -> KerasTensor:
        """The tensor at which a graph starts."""
        if self._node is None:  # a copy's
            self._start()
        return self._node.outputs

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict:
        return {"shape": self.shape, "batch_size": self.batch_size, "dtype": self.dtype, "name": self.name}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: DTypeLike | None = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: Tensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """The start of a graph, or a Sequential's declared input: a tensor without data, on which layers are called.

    `shape` is that of one sample, such as (28, 28, 1), with None where a size is open; `batch_shape` has the batch in
    front. `dtype` is "float32", "float64", or an integer type for what a layer such as Rescaling converts.

    >>> layers.Conv2D(8, 3)(fastconv.Input((28, 28, 1))).shape
    (None, 26, 26, 8)
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name).output


class Dense(Layer):
    """`activation(x @ kernel + bias)` on the last axis: `(batch, ..., features)` to `(batch, ..., units)`.

    >>> layers.Dense(10, activation="softmax")(np.zeros((8, 1024))).shape
    (8, 10)

    Weights: kernel `(features, units)`, bias `(units,)`. Arguments as in Keras; the initializers, regularizers and
    constraints of the weights as in Layer.
    """

    one_tensor = True

    supports_masking = True

    def __init__(
        self, units: int, activation: ActivationLike | None = None, use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive(units, "units", self)
        self.activation = activations.get(activation)
        if self.units == 1 and self.activation is activations.softmax:
            warnings.warn(
                f"{type(self).__name__}(1, activation='softmax') always gives 1, as a softmax over one value does. For two "
                "classes use activation='sigmoid' with loss='binary_crossentropy'.",
                stacklevel=2,
            )
        self.use_bias = bool(use_bias)
        self._keep_rules(
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self.kernel = self.bias = None

    def build(self, input_shape: Shape) -> None:
        self.check_input(input_shape)
        self.kernel = self._add_ruled("kernel", (input_shape[-1], self.units))
        if self.use_bias:
            self.bias = self._add_ruled("bias", (self.units,))

    def check_input(self, shape: Shape) -> None:
        if len(shape) < 2:
            raise ValueError(f"Dense expects (batch, ..., features); got {tuple(shape)}. One sample: x = x[None].")
        if not shape[-1]:
            raise ValueError(f"Dense needs a known, positive number of features; got the input shape {tuple(shape)}.")
        if self.built and shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"Layer {self.name!r} (Dense) was built for {self.kernel.shape[0]} "
                f"feature{'s' * (self.kernel.shape[0] > 1)}; got {shape[-1]} in the input shape {tuple(shape)}."
            )

    def call(self, inputs: Tensor) -> Tensor:
        y = ops.dense(inputs, self.kernel, self.bias)
        return y if self.activation is None else self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        return (*input_shape[:-1], self.units)
