"""Sequential: a stack of layers, one after another.

Its graph is drawn as soon as the input's shape is known. Contract: layers are built then (input_shape=, Input, `build`,
or the first call), and adding to a built model builds the new layer at once, or raises and leaves the model as it was.
A declared input (input_shape=, Input) is the only one that is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastconv.graph import Graph, Node
from fastconv.layers import InputLayer, Layer
from fastconv.layers.base import building, building_within
from fastconv.layers.misfits import remedy
from fastconv.layers.shapes import flatten_shapes
from fastconv.models import configs
from fastconv.models.inputs import one_input, ranked
from fastconv.models.model import Model
from fastconv.symbolic import KerasTensor


class Sequential(Model):
    """Layers called one after another.

    >>> model = fastconv.Sequential([layers.Input((28, 28, 1)), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(10)])
    >>> model.predict(np.zeros((5, 28, 28, 1))).shape
    (5, 10)

    `layers` is a list of layers, whose first may be `Input(shape)`; `name` and `trainable` are as in Layer.
    `model(x)` gives a Tensor, `predict` an array.
    """

    def __init__(
        self, layers: Sequence[Layer | KerasTensor] | None = None, trainable: bool = True, name: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(layers, Layer):
            more = ", ..." if isinstance(trainable, Layer) else ""
            raise TypeError(f"Sequential takes one list of layers; got the layer {layers.name!r}: write [layer{more}].")
        if isinstance(trainable, str):  # fastconv 0.1 took the name second
            trainable, name = True, trainable
        super().__init__(name=name, trainable=trainable)
        self._input = None
        self._stack = []
        self._extend(layers or ())
        if not trainable:
            self.trainable = False

    # The stack

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without Input."""
        return list(self._stack)

    def _sublayers(self):
        if type(self) is Sequential:
            return self._stack
        held = {id(layer): layer for layer in self._stack}  # attributes may hold further ones, for an own call
        held |= {id(layer): layer for layer in super()._sublayers() if layer is not self._input}
        return list(held.values())

    def add(self, layer: Layer | KerasTensor, rebuild: bool = True) -> None:
        """Puts `layer` on top. TypeError for a non-layer; ValueError for a layer or a name that is there already,
        or for one that cannot take the output below it. `rebuild` changes nothing here."""
        self._extend([layer])

    def _extend(self, layers):
        """As `add` for each of these layers, but all or none, and in time that grows as their number."""
        stack, entry = list(self._stack), self._input
        held, names = {id(self), *map(id, stack)}, {layer.name for layer in stack}
        shape = known = None  # what comes out of the stack, and what goes in, once they are known
        for layer in layers:
            if isinstance(layer, KerasTensor) and isinstance(layer.source, Node):
                layer = layer.source.layer  # what Input gives
            self._check_new(layer, held, names)
            if isinstance(layer, InputLayer):
                if entry or stack or self.built:
                    raise ValueError(
                        f"Input must be the first thing in a Sequential; {self.name!r} has an input already."
                    )
                entry = layer
                continue
            first = not (stack or self.built)
            if first and not entry and layer._input_shape:
                entry = InputLayer(layer._input_shape, dtype=layer.dtype)
            known = known or (entry._build_shape if entry else self._build_shape)
            if first and known is None and layer._build_shape:  # a layer that is built knows a shape, but declares none
                shapes = flatten_shapes(layer._build_shape)
                known = (None, *shapes[0][1:]) if len(shapes) == 1 else layer._build_shape
            if known is not None:
                shape = self._shape_above(known) if shape is None else shape
                with building, building_within(self):
                    layer.build(shape)
                shape = layer.compute_output_shape(shape)
            stack.append(layer)
            held.add(id(layer))
            names.add(layer.name)
        self._input = entry
        if len(stack) > len(self._stack):
            self._stack, self._checked_shape, self._graph = stack, None, None
        if known is None and entry:
            known = entry._build_shape
        if known is not None and self._stack and not self.built:
            self.build(known)

    def _check_new(self, layer, held, names):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(f"add() needs a layer, not its class: write {layer.__name__}(...).")
        if not isinstance(layer, Layer):
            hint = " Add layers one by one, or give Sequential the list." if isinstance(layer, (list, tuple)) else ""
            if isinstance(layer, str):
                hint = f" An activation is layers.Activation({layer!r}), or an argument of the layer before."
            raise TypeError(f"add() needs a layer; got {layer!r}.{hint}")
        if id(layer) in held:
            raise ValueError(f"Layer {layer.name!r} is in {self.name!r} already; a Sequential takes each layer once.")
        if layer.name in names:
            raise ValueError(f"{self.name!r} has a layer named {layer.name!r} already; layer names must differ.")

    def pop(self, rebuild: bool = True) -> Layer:
        """Takes the top layer off and returns it; ValueError if there is none. `rebuild` changes nothing here."""
        if not self._stack:
            raise ValueError(f"{self.name!r} has no layer to pop.")
        self._checked_shape = self._graph = None
        self._stack, top = self._stack[:-1], self._stack[-1]
        return top

    @property
    def graph(self) -> Graph | None:
        """The graph of the stack, drawn when it is first asked for; None before the input's shape is known."""
        if self._graph is None and self.built and self._stack:
            if self._input:
                start = self._input.output
            else:
                start = InputLayer(self._build_shape[1:], dtype=self._dtype).output
            x = start
            for layer in self._stack:
                x = layer(x)
            object.__setattr__(self, "_graph", Graph(start, x, self.name))
        return self._graph

    def __getstate__(self):
        return super().__getstate__() | {"_graph": None}

    # Layer

    def build(self, input_shape: Any = None) -> None:
        """Builds every layer for inputs of this shape, the batch included: `(None, 28, 28, 1)`."""
        shape = tuple(input_shape)
        self._check_declared(shape)
        for layer in self._stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, inputs: Any) -> Any:
        whole = self._input is not None and self._input._dtype.kind != "f" and self.graph is not None
        x = self._typed(inputs) if whole else inputs
        for layer in self._stack:
            x = layer(x)
        return x

    def arrange(self, inputs: Any) -> Any:
        if isinstance(inputs, dict) and len(inputs) == 1:
            return next(iter(inputs.values()))
        return self._ranked(one_input(inputs))

    def _ranked(self, inputs):
        known = (None, *self._input.shape) if self._input else self._build_shape
        return inputs if known is None else ranked(inputs, known)

    @property
    def output_names(self) -> list[str]:
        return [self._stack[-1].name if self._stack else "output"]

    def check_input(self, shape: Any) -> None:
        if not self._stack:
            raise ValueError(f"{self.name!r} has no layers; add some before it is called.")
        self._check_declared(shape)
        self._stack[0].check_input(shape)
        if self.built and not self._input and shape[1:] != self._build_shape[1:]:
            try:
                self._shape_above(shape)
            except ValueError as error:  # of a layer somewhere inside: say what it means for the model
                raise ValueError(
                    f"{self.name!r} was built for inputs of shape {self._build_shape}; got {tuple(shape)}."
                    f"{remedy(shape, self._build_shape)} ({error})"
                ) from None

    def _check_declared(self, shape):
        declared = self._input.shape if self._input else shape[1:]
        if len(shape) != len(declared) + 1 or any(
            size not in (wanted, None) for size, wanted in zip(shape[1:], declared) if wanted is not None
        ):
            raise ValueError(
                f"{self.name!r} takes inputs of shape {(None, *declared)}, as its input declares; got {tuple(shape)}."
                f"{remedy(shape, (None, *declared))}"
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_declared(input_shape)
        return self._shape_above(input_shape)

    def _shape_above(self, shape):
        for layer in self._stack:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def _dtype(self):
        return self._stack[0]._dtype if self._stack else np.dtype("float32")

    @_dtype.setter
    def _dtype(self, value):
        """The first layer's counts, not the base class's default."""

    # Files

    def get_config(self) -> dict[str, Any]:
        return configs.sequential_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Sequential:
        """The model that get_config described, with fresh weights; `custom_objects` maps names to own layers."""
        return configs.sequential_from_config(cls, config, custom_objects)
