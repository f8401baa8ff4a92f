"""Sequential: a stack of layers that is itself a layer, and can be trained and saved.

It knows the order of layers and their shapes, and prints them; the training loop is trainer.py, files are saving.py.
Contract: layers are built as soon as the input's shape is known (input_shape=, Input, `build`, or the first call),
and adding to a built model builds the new layer at once, or raises and leaves the model as it was. Calls that record
nothing on the tape go through planning.py.
"""

from __future__ import annotations

import numpy as np

from fastconv import registry, saving
from fastconv.layers import InputLayer, Layer, fusion
from fastconv.layers import find as find_layer
from fastconv.layers.base import in_training
from fastconv.planning import Planner
from fastconv.tensor import is_recording
from fastconv.trainer import Trainer

__all__ = ["Sequential", "load_model"]

load_model = saving.load_model


class Sequential(Trainer, Layer):
    """Layers called one after another: `Sequential([Conv2D(8, 3, input_shape=(28, 28, 1)), Flatten(), Dense(10)])`.

    `layers` is a list of layers, whose first may be `Input(shape)`; `name` and `trainable` are as in Layer.
    `model(x)` gives a Tensor, `predict` an array.
    """

    _cut = None  # the stack, its layers' changes and its runs, see _runs

    def __init__(self, layers=None, name=None, trainable=True):
        super().__init__(name=name, trainable=trainable)
        self._input = None
        self._stack = []
        self._planner = Planner()
        if isinstance(layers, Layer):
            raise TypeError(f"Sequential takes a list of layers; got the layer {layers.name!r}: write [layer].")
        self._extend(layers or ())
        if not trainable:
            self.trainable = False

    # The stack

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without Input."""
        return list(self._stack)

    def add(self, layer: Layer) -> None:
        """Puts `layer` on top. TypeError for a non-layer; ValueError for a layer or a name that is there already,
        or for one that cannot take the output below it."""
        self._extend([layer])

    def _extend(self, layers):
        """As `add` for each of these layers, but all or none, and in time that grows as their number."""
        stack, entry = list(self._stack), self._input
        held, names = {id(self), *map(id, stack)}, {layer.name for layer in stack}
        known = entry._build_shape if entry else self._build_shape
        shape = None if known is None else self._shape_above(known)
        for layer in layers:
            self._check_new(layer, held, names)
            if isinstance(layer, InputLayer):
                if stack or known is not None:
                    raise ValueError(
                        f"Input must be the first thing in a Sequential; {self.name!r} has an input already."
                    )
                entry = layer
                known = shape = layer._build_shape
                continue
            declared = layer._input_shape or (layer._build_shape or ())[1:]
            if declared and known is None and not stack:
                entry = InputLayer(declared, dtype=layer.dtype)
                known = shape = entry._build_shape
            if known is not None:
                layer.build(shape)
                shape = tuple(layer.compute_output_shape(shape))
            stack.append(layer)
            held.add(id(layer))
            names.add(layer.name)
        self._input = entry
        if len(stack) > len(self._stack):
            self._stack = stack
            self._checked_shape = None
        if stack and known is not None and not self.built:
            self.build(known)

    def _check_new(self, layer, held, names):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(f"add() needs a layer, not its class: write {layer.__name__}(...).")
        if not isinstance(layer, Layer):
            raise TypeError(f"add() needs a layer; got {layer!r}.")
        if id(layer) in held:
            raise ValueError(f"Layer {layer.name!r} is in {self.name!r} already; a Sequential takes each layer once.")
        if layer.name in names:
            raise ValueError(f"{self.name!r} has a layer named {layer.name!r} already; layer names must differ.")

    def pop(self) -> Layer:
        """Takes the top layer off and returns it; ValueError if there is none."""
        if not self._stack:
            raise ValueError(f"{self.name!r} has no layer to pop.")
        self._checked_shape = None
        self._stack, top = self._stack[:-1], self._stack[-1]
        return top

    def get_layer(self, name=None, index=None) -> Layer:
        """The layer of this `name`, or at this `index`; ValueError, with near matches, if there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer takes either name or index.")
        if index is not None:
            if not -len(self._stack) <= index < len(self._stack):
                raise ValueError(f"{self.name!r} has {len(self._stack)} layers; got index {index}.")
            return self._stack[index]
        for layer in self._stack:
            if layer.name == name:
                return layer
        raise registry.unknown_name(f"layer in {self.name!r}", name, [layer.name for layer in self._stack])

    # Layer

    def build(self, input_shape):
        """Builds every layer for inputs of this shape, the batch included: `(None, 28, 28, 1)`."""
        shape = tuple(input_shape)
        for layer in self._stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def __call__(self, inputs, training=None):
        if type(self) is Sequential and self._stack and not is_recording() and not in_training(training):
            inputs = self._convert(inputs)
            output = self._planner.run(self, inputs)
            if output is not None:
                return output
        return super().__call__(inputs, training)

    def _gradients(self, x, y, weights):
        if type(self) is Sequential and self._stack:
            planned = self._planner.gradients(self, x, y, weights)
            if planned is not None:
                return planned
        return super()._gradients(x, y, weights)

    def drop_plans(self):
        """Frees the memory of plans; the next calls plan anew."""
        self._planner.clear()

    def call(self, inputs):
        x = inputs
        for run in self._runs():
            x = fusion.call(run, x) if len(run) > 1 else run[0](x)
        return x

    def _runs(self):
        """The stack in lists of layers, each of which runs as one operation or is a layer by itself."""
        stack, changes = self._stack, [layer._changes for layer in self._stack]
        if self._cut is None or self._cut[0] is not stack or self._cut[1] != changes:
            vars(self)["_cut"] = (stack, changes, fusion.runs(stack))  # a note, by which no plan becomes stale
        return self._cut[2]

    def check_input(self, shape):
        if not self._stack:
            raise ValueError(f"{self.name!r} has no layers; add some before it is called.")
        self._stack[0].check_input(shape)

    def compute_output_shape(self, input_shape):
        return self._shape_above(input_shape)

    def _shape_above(self, shape):
        for layer in self._stack:
            shape = layer.compute_output_shape(tuple(shape))
        return tuple(shape)

    def _sublayers(self):
        return self._stack

    @property
    def _dtype(self):
        return self._stack[0]._dtype if self._stack else np.dtype("float32")

    @_dtype.setter
    def _dtype(self, value):
        """The first layer's counts, not the base class's default."""

    @property
    def input_shape(self):
        """`(None, 28, 28, 1)`; None before it is known."""
        return self._build_shape

    @property
    def output_shape(self):
        """`(None, 10)`; None before it is known."""
        return None if self._build_shape is None else self._shape_above(self._build_shape)

    def __repr__(self):
        shapes = f", {self.input_shape} -> {self.output_shape}" if self.built else ", not built"
        return f"<Sequential {self.name!r}: {len(self._stack)} layers{shapes}>"

    def summary(self, print_fn=None) -> None:
        """Prints a table of layers, output shapes and parameter counts; `print_fn` takes the text, default print."""
        rows = [("Layer (type)", "Output Shape", "Param #")]
        shape = self._build_shape
        for layer in self._stack:
            shape = None if shape is None else layer.compute_output_shape(shape)
            count = f"{layer.count_params():,}" if layer.built else "unbuilt"
            rows.append((f"{layer.name} ({type(layer).__name__})", "?" if shape is None else str(shape), count))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        trainable, fixed = self.trainable_weights, self.non_trainable_weights
        bar = len(lines[0])
        lines = [f'Model: "{self.name}"', "-" * bar, lines[0], "=" * bar, *lines[1:], "-" * bar]
        for title, weights in (("Total", trainable + fixed), ("Trainable", trainable), ("Non-trainable", fixed)):
            lines.append(f"{title} params: {_size(weights)}")
        if not self.built:
            lines.append("Not built yet: shapes are known after the first call, or with Input or input_shape=.")
        (print_fn or print)("\n".join(lines))

    # Files

    def get_config(self) -> dict:
        config = {"name": self.name, "trainable": self.trainable, "build_input_shape": None}
        stack = [self._input, *self._stack] if self._input else self._stack
        config["layers"] = [registry.serialize(layer) for layer in stack]
        if self.built and not self._input:
            config["build_input_shape"] = list(self._build_shape)
        return config

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        """The model that get_config described, with fresh weights; `custom_objects` maps names to own layers."""
        model = cls(name=config.get("name"))
        known = {"Sequential": cls} | (custom_objects or {})
        model._extend(_from_config(entry, known, custom_objects) for entry in config["layers"])
        if config.get("build_input_shape"):
            model.build(config["build_input_shape"])
        model._trainable = bool(config.get("trainable", True))
        return model

    def save(self, path) -> None:
        """Writes architecture, weights and compile settings to one safetensors file; see fastconv.saving."""
        saving.save_model(self, path)

    def save_weights(self, path) -> None:
        """Writes the weights alone to one safetensors file."""
        saving.save_weights(self, path)

    def load_weights(self, path) -> None:
        """Takes the weights of a file by name; on any mismatch raises ValueError and changes nothing."""
        saving.load_weights(self, path)


def _from_config(entry, known, custom_objects) -> Layer:
    found = find_layer(entry["class_name"], known)
    nested = {"custom_objects": custom_objects} if issubclass(found, Sequential) else {}
    return found.from_config(entry["config"], **nested)


def _size(weights) -> str:
    count, size = sum(weight.data.size for weight in weights), float(sum(weight.data.nbytes for weight in weights))
    units = ["B", "KB", "MB", "GB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{count:,} ({size:.2f} {units[0]})"
