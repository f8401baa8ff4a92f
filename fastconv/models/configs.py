"""Models as JSON values, and back: what files and `to_json` hold of an architecture.

It knows no weights and runs nothing. Contract: layers come from the closed registry or from what the program offers
(custom_objects.py), ops from the closed table of Op classes; a config that fits neither raises ValueError, and nothing
in it is ever executed.
"""

from __future__ import annotations

import json

import numpy as np

from fastconv import ops, registry
from fastconv.custom_objects import custom_object_scope
from fastconv.graph import Node
from fastconv.layers import REGISTRY, InputLayer, Layer
from fastconv.layers.configs import copied
from fastconv.nest import flatten, map_leaves
from fastconv.symbolic import Call, KerasTensor
from fastconv.tensor import Op

CONSTANT = 4096  # elements that an array among an op's arguments may have


def from_entry(entry: dict, custom_objects=None) -> Layer:
    """The layer or model of a `{"class_name": ..., "config": ...}`."""
    return REGISTRY.build(entry, custom_objects)


# Sequential


def sequential_config(model) -> dict:
    config = {"name": model.name, "trainable": model.trainable, "build_input_shape": None}
    stack = [model._input, *model._stack] if model._input else model._stack
    config["layers"] = [registry.serialize(layer) for layer in stack]
    if model.built and not model._input:
        config["build_input_shape"] = list(model._build_shape)
    return config


def sequential_from_config(cls, config, custom_objects=None):
    model = cls(name=config.get("name"))
    with custom_object_scope(custom_objects):
        model._extend(from_entry(entry) for entry in config["layers"])
    if config.get("build_input_shape"):
        model.build(config["build_input_shape"])
    model._trainable = bool(config.get("trainable", True))
    return model


# Graphs: each layer once, then the nodes in order; a tensor is [node's number, place among its outputs].


_GRAPH = ("name", "trainable", "layers", "nodes", "input_layers", "inputs", "outputs")  # what graph_config gives


def graph_config(model) -> dict:
    graph = model.graph
    layers = list(graph.layers)
    starts = [_origin(tensor) for tensor in flatten(graph.inputs)]
    numbers = {id(node): i for i, node in enumerate([*starts, *graph.nodes])}
    places = {id(layer): i for i, layer in enumerate(layers)}

    def tensor(leaf):
        return {"tensor": [numbers[id(leaf.source)], leaf.place]}

    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": [registry.serialize(layer) for layer in layers],
        "nodes": [_node_config(node, places, tensor) for node in graph.nodes],
        "input_layers": [places[id(node.layer)] for node in starts],
        "inputs": _nest_config(graph.inputs, tensor),
        "outputs": _nest_config(graph.outputs, tensor),
    }


def _origin(tensor):
    if not isinstance(tensor.source, Node) or not isinstance(tensor.source.layer, InputLayer):
        raise ValueError(
            f"{tensor!r} is an inner tensor of another model, from which this one starts; a file cannot hold that. Build "
            "the model from an Input of its own."
        )
    return tensor.source


def _node_config(node, places, tensor):
    if isinstance(node, Call):
        return {
            "op": node.op.__name__,
            "inputs": [_value_config(leaf, tensor) for leaf in node.inputs],
            "attributes": {name: _value_config(value, tensor) for name, value in node.attributes.items()},
        }
    return {
        "layer": places[id(node.layer)],
        "args": _nest_config(node.args, tensor),
        "kwargs": _nest_config(node.kwargs, tensor),
    }


def _nest_config(structure, tensor):
    """Nests as JSON values: tuples and lists are told apart, and leaves are `_value_config`'s."""
    if isinstance(structure, dict):
        return {"dict": {key: _nest_config(part, tensor) for key, part in structure.items()}}
    if isinstance(structure, (list, tuple)):
        kind = "list" if isinstance(structure, list) else "tuple"
        return {kind: [_nest_config(part, tensor) for part in structure]}
    return _value_config(structure, tensor)


def _value_config(value, tensor):
    if isinstance(value, KerasTensor):
        return tensor(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, dict)):
        return _nest_config(value, tensor)
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, (np.ndarray, np.generic)) and np.size(value) <= CONSTANT:
        array = np.asarray(value)
        return {"array": array.reshape(-1).tolist(), "shape": list(array.shape), "dtype": array.dtype.name}
    raise ValueError(
        f"An op of the graph has the argument {type(value).__name__} {value!r:.60}, which a file cannot hold: put it into a layer "
        "of your own."
    )


def graph_from_config(cls, config, custom_objects=None):
    """The model that graph_config described."""
    with custom_object_scope(custom_objects):
        layers = [from_entry(entry) for entry in config["layers"]]
    tensors = []  # the outputs of each node
    for place in config["input_layers"]:
        if not isinstance(layers[place], InputLayer):
            raise ValueError("an input of the graph is no InputLayer")
        tensors.append([layers[place].output])

    def tensor(reference):
        number, place = reference
        if not (0 <= number < len(tensors)):
            raise ValueError("a node of the graph reads what a later one makes")
        return tensors[number][place]

    for node in config["nodes"]:
        tensors.append(flatten(_run_node(node, layers, tensor)))
    further = {name: value for name, value in config.items() if name not in _GRAPH}  # of a class of the user's own
    inputs, outputs = _nest(config["inputs"], tensor), _nest(config["outputs"], tensor)
    model = cls(inputs=inputs, outputs=outputs, name=config.get("name"), **further)
    model._trainable = bool(config.get("trainable", True))
    return model


def _run_node(node, layers, tensor):
    if "op" in node:
        attributes = {name: _nest(value, tensor) for name, value in node["attributes"].items()}
        return _op(node["op"]).apply(*[_nest(value, tensor) for value in node["inputs"]], **attributes)
    args, kwargs = _nest(node["args"], tensor), _nest(node["kwargs"], tensor)
    return layers[node["layer"]](*args, **kwargs)


def _nest(config, tensor):
    if isinstance(config, list):
        return [_nest(part, tensor) for part in config]
    if not isinstance(config, dict):
        return config
    (kind, value), *rest = config.items()
    if kind == "tensor":
        return tensor(value)
    if kind == "dict":
        return {key: _nest(part, tensor) for key, part in value.items()}
    if kind in ("list", "tuple"):
        parts = [_nest(part, tensor) for part in value]
        return parts if kind == "list" else tuple(parts)
    if kind == "slice":
        return slice(*value)
    if kind == "ellipsis":
        return Ellipsis
    if kind == "array":
        rest = dict(rest)
        return np.array(value, rest["dtype"]).reshape(rest["shape"])
    if kind == "dtype":
        return np.dtype(value)
    raise ValueError(f"an argument of the graph is of the unknown kind {kind!r}")


def _op(name):
    """The Op class of this name, of fastconv.ops' own."""
    found, stack = {}, [Op]
    while stack:
        for cls in stack.pop().__subclasses__():
            if cls.__module__.startswith(ops.__name__ + "."):
                found[cls.__name__] = cls
            stack.append(cls)
    if name not in found:
        raise registry.unknown_name("op", name, found)
    return found[name]


# Copies


def clone(model, input_tensors=None, clone_function=None, call_function=None, recursive=False):
    """See models.clone_model."""
    twin = _twin(model, input_tensors, clone_function, call_function, recursive)
    if getattr(model, "compiled", False):
        try:
            config = model.get_compile_config()
        except ValueError:  # functions of the user's own: the twin is to be compiled
            return twin
        twin.compile_from_config(config)
    return twin


def _twin(model, input_tensors, clone_function, call_function, recursive):

    def copy_of(layer):
        if recursive and hasattr(layer, "graph"):
            return clone(layer, None, clone_function, call_function, True)
        return (clone_function or copied)(layer)

    if not hasattr(model, "graph"):
        raise ValueError(f"clone_model needs a model; got the layer {model.name!r}.")
    if model.graph is None and not hasattr(model, "_stack"):  # it is written in Python
        return copied(model) if model.has_own("get_config") else type(model)(**model._given)
    if hasattr(model, "_stack"):
        if call_function is not None:
            raise ValueError(
                "clone_model: call_function calls the layers of a Model(inputs, outputs); this is a Sequential."
            )
        twin = type(model)(name=model.name)
        layers = ([model._input] if model._input else []) + model._stack
        twin._extend(copied(layer) if isinstance(layer, InputLayer) else copy_of(layer) for layer in layers)
        if model.built and not twin.built:
            twin.build(model._build_shape)
        return twin
    graph = model.graph
    copies = {id(layer): copy_of(layer) for layer in graph.layers if not isinstance(layer, InputLayer)}
    if input_tensors is None:
        inputs = map_leaves(lambda t: InputLayer(t.shape[1:], dtype=t.dtype, name=t.source.layer.name
                                                 if isinstance(t.source, Node) else None).output, graph.inputs)  # fmt: skip
    else:
        inputs = input_tensors
    call = call_function or (lambda layer, *args, **kwargs: layer(*args, **kwargs))
    outputs = graph.run(inputs, lambda layer, args, kwargs: call(copies[id(layer)], *args, **kwargs))
    return type(model)(inputs, outputs, name=model.name)


def from_json(text, custom_objects=None):
    """The model that `Model.to_json` described; ValueError where the text is none."""
    try:
        entry = json.loads(text)
        return from_entry(entry, custom_objects)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"This JSON describes no model: {type(error).__name__}: {error}.") from error
