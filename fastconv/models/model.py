"""Model: a layer of layers that can be trained and saved, drawn as a graph or written as a `call`.

It holds a model's structure and how it is called; training.py and description.py hold the rest of what a user asks of it,
graph.py the graph, planning.py the programs. Contract: `Model(inputs, outputs)` runs the graph between these tensors; a
subclass defines `call`, and its layers are built at the first call.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv import ops, registry
from fastconv.graph import Graph, Node
from fastconv.layers import Layer, calls, masks
from fastconv.layers.misfits import remedy
from fastconv.layers.shapes import array_of, flatten_shapes, map_shapes
from fastconv.models.description import Description
from fastconv.models.inputs import one_input, ranked, whole_inputs
from fastconv.models.training import Training
from fastconv.nest import flatten, map_leaves, pack
from fastconv.ops.shards import in_shard
from fastconv.planning import Planner
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor
from fastconv.trainer import Trainer


class Model(Training, Description, Layer):
    """`Model(inputs, outputs)`: the graph from tensors of `fastconv.Input` to tensors that layers gave, each one tensor or
    a nest of them; or subclass it, make layers in `__init__` and compute in `call(inputs)`.

    >>> inputs = fastconv.Input((8, 8, 3))
    >>> x = layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    >>> outputs = layers.GlobalAveragePooling2D()(layers.Add()([inputs, x]))
    >>> fastconv.Model(inputs, outputs).output_shape
    (None, 3)

    `name` and `trainable` are as in Layer. TypeError for what is no tensor of a graph, ValueError where an output is
    not reached from the inputs.
    """

    class_names: list[str] | None = None  # what the outputs stand for, where that is known; saved with the model
    _graph = None

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._planner, self._trainer = Planner(), Trainer(self)
        if (inputs is None) != (outputs is None):
            raise TypeError("Model takes inputs and outputs together; a subclass with a call of its own takes neither.")
        if inputs is not None:
            self._graph = Graph(inputs, outputs, self.name)
            self._dtype = next((t.dtype for t in flatten(inputs) if t.dtype.kind == "f"), self._dtype)
            self.build(map_leaves(lambda tensor: tensor.shape, inputs))
            if not trainable:
                self.trainable = False

    # Structure

    @property
    def layers(self) -> list[Layer]:
        """The layers that the model consists of."""
        return list(self._graph.layers) if self._graph else self._sublayers()

    def _sublayers(self):
        return self._graph.layers if self._graph else super()._sublayers()

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this `name`, or at this `index`; ValueError, with near matches, if there is none."""
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError("get_layer takes either name or index.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self.name!r} has {len(layers)} layers; got index {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise registry.unknown_name(f"layer in {self.name!r}:", name, [layer.name for layer in layers])

    @property
    def rescales(self) -> bool:
        """Whether integers are expected as inputs: they are declared as such, or a layer makes them small."""
        return any(t.dtype.kind != "f" for t in self.inputs or ()) or any(layer.rescales for layer in self._sublayers())

    @property
    def inputs(self) -> list[KerasTensor] | None:
        """The input tensors of the graph; None where the model has no graph."""
        return None if self.graph is None else flatten(self.graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor] | None:
        """The output tensors of the graph; None where the model has no graph."""
        return None if self.graph is None else flatten(self.graph.outputs)

    @property
    def input(self) -> Any:
        """The graph's inputs as they were given; AttributeError where there is no graph."""
        return self._known_graph().inputs

    @property
    def output(self) -> Any:
        """The graph's outputs as they were given; AttributeError where there is no graph."""
        return self._known_graph().outputs

    def _known_graph(self):
        if self.graph is None:
            raise AttributeError(
                f"{self.name!r} has no graph: it has no declared input, or its call is written in Python."
            )
        return self.graph

    @property
    def graph(self) -> Graph | None:
        """What was drawn, or None."""
        return self._graph

    @property
    def input_shape(self) -> Any:
        """`(None, 28, 28, 1)`, or a nest of such; None before it is known."""
        return self._build_shape

    @property
    def output_shape(self) -> Any:
        """`(None, 10)`, or a nest of such; None before it is known."""
        return None if self._build_shape is None else self.compute_output_shape(self._build_shape)

    @property
    def input_names(self) -> list[str]:
        """The names by which a dict gives the inputs."""
        return _names(self.graph.inputs, "input") if self.graph else ["input"]

    @property
    def output_names(self) -> list[str]:
        """The names by which losses, metrics and targets are given: those of the layers that make the outputs."""
        known = vars(self).get("_output_names")
        if known is None:
            if self.graph:
                known = _names(self.graph.outputs, "output")
            elif not self.built or self._build_shape is None:
                return ["output"]  # nobody knows better yet
            else:
                symbols = map_shapes(lambda shape: KerasTensor(shape, self._dtype), self._build_shape)
                known = _names_of(self.draw_inside(symbols))
            vars(self)["_output_names"] = known
        return known

    @property
    def takes_one(self) -> bool:
        """Whether the model takes one input, not a nest."""
        return self._graph is None or isinstance(self._graph.inputs, KerasTensor)

    def arrange(self, inputs: Any) -> Any:
        """`inputs` in the structure of the graph's: dicts by name, single values in or out of their list."""
        if self.graph is None:
            leaves = flatten(inputs)
            return inputs if any(isinstance(leaf, (Tensor, np.ndarray)) for leaf in leaves) else array_of(inputs, "x")
        wanted, names = self.graph.inputs, self.input_names
        if isinstance(inputs, dict) and not isinstance(wanted, dict):
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    f"{self.name!r} needs the inputs {', '.join(names)}; got {', '.join(map(str, inputs))}."
                )
            return pack(wanted, [inputs[name] for name in names])
        if isinstance(wanted, dict):
            if isinstance(inputs, dict):
                return {name: inputs[name] for name in wanted} if set(wanted) <= set(inputs) else self._misfit(inputs)
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            return pack(wanted, inputs) if len(inputs) == len(wanted) else self._misfit(inputs)
        if isinstance(wanted, (list, tuple)):
            inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            leaves = flatten(inputs)
            return pack(wanted, leaves) if len(leaves) == len(flatten(wanted)) else self._misfit(inputs)
        return self._ranked(one_input(inputs))

    def _ranked(self, inputs):
        return inputs if self._graph is None else ranked(inputs, self._graph.inputs.shape)

    def _misfit(self, inputs):
        raise ValueError(
            f"{self.name!r} takes {len(self.inputs)} inputs ({', '.join(self.input_names)}); got {len(flatten(inputs))}."
        )

    # Calling

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if not (type(inputs) in _ARRAYS and self.takes_one):
            inputs = self.arrange(inputs)
        else:
            inputs = self._ranked(inputs)
        inputs = self.prepare(inputs)
        if not (args or kwargs or self._trainer.run_eagerly or in_shard()) and masks.of(inputs) is None:
            if not (inputs.symbolic if isinstance(inputs, Tensor) else any(leaf.symbolic for leaf in flatten(inputs))):
                calls.begin(self)
                output = self._planner.call(self, inputs, calls.in_training(training))
                if output is not None:
                    return output
        return self.call_prepared(inputs, *args, training=training, **kwargs)

    def call(self, inputs: Any) -> Any:
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define call(self, inputs), or be made as Model(inputs, outputs)."
            )
        return self._graph.run(self._typed(inputs))

    def _typed(self, inputs):
        """Inputs that were declared to be integers as such, where ops or layers of the user's own take them; layers of
        fastconv's take them as floats."""
        graph, dtypes = vars(self).get("_declared", (None, ()))
        if graph is not self._graph:
            graph, dtypes = self._graph, whole_inputs(self._graph)
            object.__setattr__(self, "_declared", (graph, dtypes))
        if not any(dtypes):
            return inputs
        leaves = zip(flatten(inputs), dtypes)
        return pack(inputs, [leaf if dtype is None else ops.cast(leaf, dtype) for leaf, dtype in leaves])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks of the outputs, or a nest of them, None where there is none; `inputs` have the masks
        `previous_mask`, where given."""
        leaves = [
            leaf if previous_mask is None else masks.bare(leaf) for leaf in flatten(map_leaves(self._convert, inputs))
        ]
        for leaf, mask in zip(leaves, flatten(previous_mask) if previous_mask is not None else ()):
            leaf._keras_mask = mask
        return masks.of(self.run(pack(inputs, leaves)))

    def note_masks(self, x: Any, previous: Any, outputs: Any) -> None:
        """The layers inside have put them there."""

    def build(self, input_shape: Any) -> None:
        """Builds every layer for inputs of this shape, or nest of shapes, the batch included."""
        if self._graph is None:
            dtype = self._dtype
            leaves = map_shapes(lambda shape: KerasTensor(shape, dtype), input_shape)
            self.draw_inside(leaves)

    def check_input(self, shape: Any) -> None:
        if self._graph is None:
            return
        wanted, given = flatten_shapes(map_leaves(lambda t: t.shape, self._graph.inputs)), flatten_shapes(shape)
        for name, declared, shape in zip(self.input_names, wanted, given):
            fits = len(shape) == len(declared) and all(
                size in (declared_size, None) or declared_size is None
                for size, declared_size in zip(shape[1:], declared[1:])
            )
            if not fits:
                raise ValueError(
                    f"{self.name!r} takes inputs of shape {declared} for {name!r}, as its Input declares; got {tuple(shape)}."
                    f"{remedy(shape, declared)}"
                )

    def layer_outputs(self, inputs: Any) -> Iterator[tuple[Layer, Any]]:
        """(layer, its output) for each layer's call, in order, without training."""
        if self.graph is None:
            return
        found = []

        def call(layer, args, kwargs):
            found.append((layer, layer(*args, **kwargs)))
            return found[-1][1]

        self.graph.run(self.prepare(self.arrange(inputs)), call)
        yield from found

    def drop_plans(self) -> None:
        """Frees the memory of recorded programs; the next calls draw and record them anew."""
        self._planner.clear()

    def explain(self) -> str:
        """How the shapes seen so far run: recorded in C, step by step, or eagerly, and then which line is the reason."""
        return self._planner.explain()

    # What the trainer asks, and copies

    def has_own(self, *names: str) -> bool:
        """Whether the class overrides one of these methods of Model."""
        return any(getattr(type(self), name) is not getattr(Model, name) for name in names)

    def planned_gradients(self, x: Any, y: Any, weights: Any, sample_weight: Any = None) -> Any:
        """As Planner.gradients; None where the step runs eagerly."""
        if self._trainer.run_eagerly or not self.built or in_shard():
            return None
        return self._planner.gradients(self, x, y, weights, sample_weight)

    def __copy__(self):
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        vars(other)["_planner"] = Planner()
        vars(other)["_trainer"] = trainer = copy.copy(self._trainer)
        trainer.model = other
        return other

    def __repr__(self):
        shapes = f", {self.input_shape} -> {self.output_shape}" if self.built else ", not built"
        return f"<{type(self).__name__} {self.name!r}: {len(self.layers)} layers{shapes}>"


_ARRAYS = (np.ndarray, Tensor)


def _names(structure, kind) -> list[str]:
    """A name for each tensor: its key in a dict, or that of the layer that made it, made unique."""
    if isinstance(structure, dict) and not any(isinstance(part, (dict, list, tuple)) for part in structure.values()):
        return list(structure)
    names, taken, counts = [], set(), {}
    for number, tensor in enumerate(flatten(structure), 1):
        name = tensor.source.layer.name if isinstance(tensor.source, Node) else tensor.name or f"{kind}_{number}"
        names.append(registry.free_name(name, taken, counts))
    return names


def _names_of(outputs):
    """The names of what a `call` written in Python gives: a dict's keys, else numbers, one output's is "output"."""
    if isinstance(outputs, dict) and len(outputs) == len(flatten(outputs)):
        return list(outputs)
    count = len(flatten(outputs))
    return [f"output_{number + 1}" for number in range(count)] if count > 1 else ["output"]
