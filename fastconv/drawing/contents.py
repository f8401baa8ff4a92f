"""What is drawn of a model: a box for each input and each call of a layer or an op, a line for each tensor between.

It knows the graph, no places and no format. Contract: boxes stand in the order in which they were drawn, so every line
leads from a box to a later one; a layer that is called twice has two boxes; a model inside is one box, which holds its
own contents where `nested` asks for them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastconv.graph import Call, Node, sources
from fastconv.nest import flatten
from fastconv.notebook import printable

# The room that a layer's class, or the nearest base of it, comes from says which colour its box has.
_FAMILIES = {
    "convolutional": "conv", "depthwise": "conv", "transposed": "conv", "conv_lstm": "conv", "pooling": "pool",
    "core": "dense", "einsum_dense": "dense", "merging": "merge",
}  # fmt: skip


class Show(NamedTuple):
    """What a box says beside its kind; names as the arguments of Keras' plot_model."""

    shapes: bool = True
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False
    nested: bool = False


class Box(NamedTuple):
    """`title` and further `rows` of text; `family` is its colour's; `is_output` of the model; `inside`: of a model."""

    title: str
    rows: tuple[str, ...]
    family: str
    is_output: bool = False
    inside: Contents | None = None


class Contents(NamedTuple):
    """`lines` are pairs of places in `boxes`, (from, to)."""

    name: str
    boxes: list[Box]
    lines: list[tuple[int, int]]


def contents_of(model: Any, show: Show) -> Contents:
    """The contents of a model's graph; TypeError for what is no model, ValueError for one that has no graph."""
    return _Walk(graph_of(model), _line(model.name), show).contents


def graph_of(model: Any) -> Any:
    """The graph of a model, or an error that says why there is none."""
    if not hasattr(model, "graph") or not hasattr(model, "layers"):
        raise TypeError(f"Only models are drawn: Sequential or Model; got {type(model).__name__}.")
    if model.graph is not None:
        return model.graph
    if not model.layers:
        raise ValueError(f"{model.name!r} has no layers to draw.")
    if not model.built:
        raise ValueError(
            f"{model.name!r} is not built, so its shapes are not known: begin it with fastconv.Input(shape), or call "
            "it on data before it is drawn."
        )
    raise ValueError(
        f"{model.name!r} has no graph to draw, since its call is written in Python. summary() lists its layers; a "
        "Model of inputs and outputs can be drawn."
    )


class _Walk:
    """One pass over a graph, box by box."""

    def __init__(self, graph, name, show):
        self.show, self.calls = show, {}
        self.outputs = {id(tensor) for tensor in flatten(graph.outputs)}
        self.contents = Contents(name, [], [])
        self.places = {}  # id of a tensor -> the box that gives it
        for tensor in flatten(graph.inputs):
            source = tensor.source
            layer = source.layer if isinstance(source, Node) and not source.inputs else None
            self._add(self._input_box(layer, tensor), [], [tensor])
        for node in graph.nodes:
            outputs = [node.output] if isinstance(node, Call) else flatten(node.outputs)
            self._add(self._box(node, outputs), sources(node), outputs)

    def _add(self, box, inputs, outputs):
        place = len(self.contents.boxes)
        is_output = any(id(tensor) in self.outputs for tensor in outputs)
        self.contents.boxes.append(box._replace(is_output=is_output))
        self.contents.lines.extend(dict.fromkeys((self.places[id(tensor)], place) for tensor in inputs))
        self.places.update((id(tensor), place) for tensor in outputs)

    def _input_box(self, layer, tensor):
        title = "Input" if layer is None else self._title(layer.name, type(layer).__name__)
        return Box(title, tuple(self._rows([tensor])), "input")

    def _box(self, node, outputs):
        if isinstance(node, Call):
            return Box(_line(node.op.__name__), tuple(self._rows(outputs)), "merge")
        layer, kind = node.layer, type(node.layer).__name__
        count = self.calls[id(layer)] = self.calls.get(id(layer), 0) + 1
        title = self._title(layer.name, kind) + (f", call {count}" if count > 1 else "")
        rows, activation = [], getattr(layer, "activation", None)
        if self.show.activations and callable(activation):
            rows.append(f"activation: {getattr(activation, '__name__', type(activation).__name__)}")
        rows += self._rows(outputs)
        if self.show.trainable:
            rows.append("trainable" if layer.trainable else "not trainable")
        inner = getattr(layer, "graph", None)
        inside = _Walk(inner, _line(layer.name), self.show).contents if self.show.nested and inner else None
        return Box(title, tuple(map(_line, rows)), _family(layer), inside=inside)

    def _title(self, name, kind):
        return _line(f"{name} ({kind})" if self.show.names else kind)

    def _rows(self, tensors):
        rows = []
        if self.show.shapes:
            rows.append(", ".join(str(tensor.shape) for tensor in tensors))
        if self.show.dtype:
            rows.append(", ".join(dict.fromkeys(str(tensor.dtype) for tensor in tensors)))
        return rows


def _line(text):
    return printable(text).replace("\n", "?")


def _family(layer):
    if hasattr(layer, "layers") and hasattr(layer, "graph"):
        return "model"
    rooms = (base.__module__.rpartition(".")[2] for base in type(layer).__mro__ if "fastconv." in base.__module__)
    return next((_FAMILIES[room] for room in rooms if room in _FAMILIES), "other")
