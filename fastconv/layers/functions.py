"""Lambda and ActivityRegularization: a function as a layer, and a penalty on what passes.

Contract: a Lambda computes in ops on Tensors, as `call` of a layer does; a file holds it only where its function has a
name that files may use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastconv import activations, regularizers
from fastconv.layers.base import Layer
from fastconv.layers.shapes import map_shapes
from fastconv.nest import flatten


class Lambda(Layer):
    """`function(inputs, **arguments)` as a layer, also with `mask` and `training` where the function has such
    arguments.

    `output_shape` is that of one sample, or a function of the input's shape; without it the ops say. `mask` is the
    output's mask, or a function of inputs and their mask. A model with it is saved if the function is registered:
    `@fastconv.saving.register_keras_serializable()` above it; else get_config raises, and says so. A function keeps no
    weights: for those write a layer.
    """

    made = ("output_shape",)
    keeps_integers = True

    def __init__(
        self, function: Callable[..., Any] | str, output_shape: Any = None, mask: Any = None,
        arguments: dict[str, Any] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.function = activations.get(function) if isinstance(function, str) else function
        if not callable(self.function):
            raise TypeError(f"Lambda: function must be a function; got {function!r}.")
        self._output_shape = output_shape
        self.mask = activations.get(mask) if isinstance(mask, str) else mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        self._takes = frozenset(_parameters(self.function)) & {"mask", "training"}

    def get_config(self) -> dict:
        shape = self._output_shape
        if callable(shape):
            shape = activations.name_of(shape)
            if shape is None:
                raise ValueError(
                    f"{self._title()}: output_shape is a function, which a config cannot hold: give a tuple."
                )
        return super().get_config() | {"output_shape": shape}

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        own = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: own[name] for name in self._takes})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What `mask` says."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = activations.get(self._output_shape) if isinstance(self._output_shape, str) else self._output_shape
        if shape is None:
            return super().compute_output_shape(input_shape)
        if callable(shape):
            return shape(input_shape)
        batch = flatten(input_shape)[0]
        return map_shapes(lambda one: (batch, *one), shape)


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function of C's may not say
        return ()


class ActivityRegularization(Layer):
    """Gives what it is given, and adds `l1 * sum(|x|) + l2 * sum(x ** 2)` to the loss, for each sample of the batch."""

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def get_config(self) -> dict:
        return {name: value for name, value in super().get_config().items() if name != "activity_regularizer"}

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)
