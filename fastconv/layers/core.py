"""Layers that have no window: Input, Flatten, Dense, Dropout, Activation, ReLU, Softmax.

Contract as in base.py; the batch is the first axis, and Dense and Softmax take any number of axes after it.
"""

from __future__ import annotations

import math

import numpy as np

from fastconv import initializers, ops, rng
from fastconv.graph import Node
from fastconv.layers import activations
from fastconv.layers.base import Layer, sample_shape
from fastconv.layers.spatial import check_data_format, positive
from fastconv.symbolic import KerasTensor, NoValues


class InputLayer(Layer):
    """The declared input of a Sequential; made by `Input`."""

    def __init__(self, shape, batch_size=None, dtype=None, name=None):
        integers = np.dtype(dtype).kind in "iub" if dtype is not None else False
        super().__init__(name=name, dtype=None if integers else dtype)
        if integers:
            self._dtype = np.dtype(dtype)
        self.shape = sample_shape(shape, "shape")
        self.batch_size = None if batch_size is None else positive(batch_size, "batch_size", self)
        self.build((self.batch_size, *self.shape))
        self._start()

    def _start(self):
        self.note_call(Node(self, (), {}, KerasTensor((self.batch_size, *self.shape), self._dtype, self.name)))

    @property
    def output(self):
        """The tensor at which a graph starts."""
        if self._node is None:  # a copy's
            self._start()
        return self._node.outputs

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


def Input(
    shape=None, batch_size=None, dtype=None, sparse=None, ragged=None, batch_shape=None, name=None, tensor=None, optional=False
) -> KerasTensor:
    """The start of a graph, or a Sequential's declared input: a tensor without data, on which layers are called.

    `shape` is that of one sample, such as (28, 28, 1), with None where a size is open; `batch_shape` has the batch in
    front. `dtype` is "float32", "float64", or an integer type for what a layer such as Rescaling converts.
    """
    if sparse or ragged or tensor is not None or optional:
        raise ValueError("Input takes no sparse, ragged, optional or given tensors here; leave these arguments out.")
    if (shape is None) == (batch_shape is None):
        raise ValueError("Input needs either shape, of one sample, or batch_shape, with the batch in front.")
    if shape is None:
        batch_size, *shape = batch_shape
    return InputLayer(tuple(shape) if hasattr(shape, "__len__") else shape, batch_size, dtype, name).output


class Flatten(Layer):
    """`(batch, ...)` to `(batch, product of the rest)`."""

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        check_data_format(data_format, self)
        self.data_format = data_format

    def call(self, inputs):
        features = self.compute_output_shape(inputs.shape)[1]
        if features is None:
            raise NoValues("The number of features follows from sizes that are open.")
        return ops.reshape(inputs, (-1, features))

    def compute_output_shape(self, input_shape):
        sizes = input_shape[1:]
        return (input_shape[0], None if None in sizes else math.prod(sizes))


class Dense(Layer):
    """`activation(x @ kernel + bias)` on the last axis: `(batch, ..., features)` to `(batch, ..., units)`.

    Weights: kernel `(features, units)`, bias `(units,)`. Arguments as in Keras.
    """

    def __init__(
        self, units, activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.units = positive(units, "units", self)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel = self.bias = None

    def build(self, input_shape):
        self.check_input(input_shape)
        self.kernel = self.add_weight((input_shape[-1], self.units), self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias")

    def check_input(self, shape):
        if len(shape) < 2:
            raise ValueError(f"Dense expects (batch, ..., features); got {tuple(shape)}. One sample: x = x[None].")
        if not shape[-1]:
            raise ValueError(f"Dense needs a known, positive number of features; got the input shape {tuple(shape)}.")
        if self.built and shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"Layer {self.name!r} (Dense) was built for {self.kernel.shape[0]} features; got {shape[-1]} in the "
                f"input shape {tuple(shape)}."
            )

    def call(self, inputs):
        return self.activation(ops.dense(inputs, self.kernel, self.bias))

    def compute_output_shape(self, input_shape):
        self.check_input(input_shape)
        return (*input_shape[:-1], self.units)


class Dropout(Layer):
    """In training, zeroes a share `rate` of the values and scales the others by `1 / (1 - rate)`.

    `rate` is from 0 to 1. An integer `seed` gives the layer a random stream of its own; without one it draws from
    the common stream (`fastconv.utils.set_random_seed`).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(rate, (bool, str)) or not 0 <= rate <= 1:
            raise ValueError(f"Dropout: rate must be between 0 and 1; got {rate!r}.")
        self.rate = float(rate)
        self.seed = seed
        self._generator = None if seed is None else rng.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        if self.rate == 1:
            return inputs * 0.0
        return ops.dropout(inputs, self.rate, seed=self._generator)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


class Activation(Layer):
    """Applies `activation`, a name or a function, to every value."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


class ReLU(Layer):
    """`max(x, 0)`, at most `max_value` if given, and `negative_slope * x` below 0. `threshold` is 0 only, so far."""

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("max_value", max_value), ("negative_slope", negative_slope)):
            if value is not None and not value >= 0:
                raise ValueError(f"ReLU: {name} must be at least 0; got {value!r}.")
        if threshold:
            raise ValueError(f"ReLU: a threshold other than 0 is not built yet; got {threshold!r}.")
        self.max_value = None if max_value is None else float(max_value)
        self.negative_slope = float(negative_slope)
        self.threshold = 0.0

    def call(self, inputs):
        y = ops.relu(inputs)
        if self.max_value is not None:
            y = ops.minimum(y, self.max_value)
        return y - self.negative_slope * ops.relu(-inputs) if self.negative_slope else y

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


class Softmax(Layer):
    """`exp(x)` normalised to sum 1 along `axis` (default: the last)."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        return ops.softmax(inputs, self.axis)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)
