"""Architectures as Keras 3's JSON: what configs.py reads back.

Contract: what is written, Keras loads with equal outputs; a class, an op or an argument that Keras does not have is a
ValueError that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import custom_objects as own_classes
from fastconv import registry
from fastconv.graph import Node
from fastconv.kerasfile.configs import MODELS, SHARED
from fastconv.layers import REGISTRY, InputLayer, Layer
from fastconv.nest import flatten
from fastconv.serialization import FUNCTIONS
from fastconv.tensor import Tensor

OURS = ("DepthwiseConv3D", "SeparableConv3D", "ConfusionMatrix", "OneCycle")  # classes that Keras does not have
NOT_TAKEN = dict.fromkeys(  # arguments of every layer that some of Keras' do not take
    ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Discretization"), ("trainable",)
)
ROOMS = {  # our rooms, as Keras names them in a config
    f"fastconv.{room}": f"keras.{room}"
    for room in ("initializers", "regularizers", "constraints", "layers", "losses", "metrics", "optimizers")
} | {"fastconv.schedules": "keras.optimizers.schedules"}
CONSTANT = 4096  # numbers that an array among an op's arguments may have


def _same(room, *names):
    return {name: (room, name, None) for name in names}


def _axes(attributes):
    axes = list(attributes["axes"])
    return {"axis": axes[0] if len(axes) == 1 else axes}


def _only(*names):
    """The config of an Op whose attributes of these names are Keras' arguments."""
    return lambda found: {name: list(found[name]) if isinstance(found[name], tuple) else found[name] for name in names}


def _repeated(found):
    axes = [axis for axis, factor in enumerate(found["factors"]) if factor != 1] or [0]
    if len(axes) > 1:
        raise ValueError("its graph repeats along several axes at once outside of a layer: take one op for each")
    return {"repeats": found["factors"][axes[0]], "axis": axes[0]}


_reduced = _only("axis", "keepdims")


OPS: dict[str, tuple[str, str, Callable[[dict], dict] | None]] = {  # our Op -> Keras' room, its name, and its config
    **_same("numpy", "Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "Power", "Matmul", "Negative", "Square"),
    **_same("numpy", "Sqrt", "Exp", "Log", "Log1p", "Expm1", "Reciprocal", "Tanh", "GetItem"),
    **_same("nn", "Relu", "Sigmoid", "Silu", "Softplus", "Softsign", "HardSigmoid", "HardSilu", "Selu"),
    **{name: ("numpy", name, _reduced) for name in ("Sum", "Mean", "Max", "Min", "Prod", "Var")},
    "Abs": ("numpy", "Absolute", None),
    "Clip": ("numpy", "Clip", lambda found: {"x_min": found["low"], "x_max": found["high"]}),
    **{name: ("numpy", name, _only("axis")) for name in ("Concatenate", "Sort", "Take", "TakeAlongAxis", "Cumsum", "Cumprod")},
    **_same("math", "Rsqrt", "Erf"), **_same("core", "StopGradient"),
    "Where": ("numpy", "Where", None), "Order": ("numpy", "Argsort", _only("axis")),
    "Round": ("numpy", "Round", _only("decimals")), "BroadcastTo": ("numpy", "BroadcastTo", _only("shape")),
    "Tile": ("numpy", "Tile", lambda found: {"repeats": list(found["factors"])}), "Repeat": ("numpy", "Repeat", _repeated),
    "Pad": ("numpy", "Pad", lambda found: {"pad_width": [list(pair) for pair in found["pairs"]]}),
    "Cast": ("core", "Cast", lambda found: {"dtype": found["dtype"].name}),
    "OneHot": ("nn", "OneHot", lambda found: {
        "num_classes": found["num_classes"], "axis": found["axis"], "dtype": found["dtype"].name
    }),
    "Reshape": ("numpy", "Reshape", lambda found: {"newshape": list(found["shape"])}),
    "Transpose": ("numpy", "Transpose", lambda found: {"axes": list(found["axes"])}),
    "ExpandDims": ("numpy", "ExpandDims", _axes), "Squeeze": ("numpy", "Squeeze", _axes), "Flip": ("numpy", "Flip", _axes),
    "Softmax": ("nn", "Softmax", lambda found: {"axis": -1}), "LogSoftmax": ("nn", "LogSoftmax", lambda found: {"axis": -1}),
    "Elu": ("nn", "Elu", lambda found: {"alpha": found["alpha"]}),
    "LeakyRelu": ("nn", "LeakyRelu", lambda found: {"negative_slope": found["slope"]}),
    "Gelu": ("nn", "Gelu", lambda found: {"approximate": False}),
    "GeluTanh": ("nn", "Gelu", lambda found: {"approximate": True}),
}  # fmt: skip
EXTRA = {"GetItem": "key", "Take": "indices"}  # attributes that are arguments of Keras' call
BY_FUNCTION = ("Comparison", "Function", "Pair", "Found")  # Ops of many functions, each a class of Keras'
MATH = ("erfc", "erfinv")  # of these, the ones that are not in Keras' room "numpy"


def write_model(model: Any, written: set[int] | None = None) -> dict:
    """The Keras config of a Sequential or a Model(inputs, outputs); `written` are the ids of the layers so far."""
    written = set() if written is None else written
    shape = list(model._build_shape) if isinstance(model._build_shape, (tuple, list)) else None
    common = {"name": model.name, "trainable": model.trainable, "dtype": model._dtype.name}
    if hasattr(model, "_stack"):
        stack = [model._input, *model._stack] if model._input else model._stack
        config = {**common, "layers": [write_layer(layer, written) for layer in stack], "build_input_shape": shape}
        return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}
    if getattr(model, "graph", None) is None:
        return _write_own(model, shape)
    return {
        "module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
        "config": {**common, **_write_graph(model, written)},
    }  # fmt: skip


def _write_own(model, shape):
    """The entry of a model that is written in Python: its class by name, which who loads it registers or offers."""
    return {**write(registry.serialize(model)), "build_config": {"input_shape": shape}}


def write_layer(layer: Layer, written: set[int]) -> dict:
    """The entry of a layer, or inner model, in a Keras config."""
    if isinstance(layer, InputLayer):
        config = {"batch_shape": [layer.batch_size, *layer.shape], "dtype": layer._dtype.name, "name": layer.name}
        entry = {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}
    else:
        entry = write_model(layer, written) if hasattr(layer, "layers") else write(registry.serialize(layer))
    mark = {SHARED: True} if id(layer) in written else {}
    written.add(id(layer))
    return {**entry, **mark}


def write(value: Any) -> Any:
    """Our config's values as Keras writes them: entries with the module that Keras looks their class up in."""
    if isinstance(value, (list, tuple)):
        return [write(part) for part in value]
    if not isinstance(value, dict):
        return value
    if not registry.is_entry(value):
        return {key: write(part) for key, part in value.items()}
    kind, registered, config = value["class_name"], value.get("registered_name"), value.get("config")
    if kind in MODELS and registered is None:  # in a layer, as a wrapper's
        return write_model(REGISTRY.build(value))
    if kind == "__tuple__":
        return {"class_name": kind, "items": write(config)}
    if kind.startswith("__"):
        return value
    if kind == "function":
        return {**value, "module": "builtins", "registered_name": config} if _is_own(config) else config
    if kind == "AutoAccuracy":  # the name "accuracy", which Keras too resolves by the shapes
        return config["name"] if config["name"] in ("acc", "accuracy") else "accuracy"
    if registered is not None or own_classes.find(kind) is not None:
        return {"module": None, "class_name": kind, "config": write(config), "registered_name": registered or kind}
    room = value.get(
        "module", next((r for r in ROOMS if r in registry.TABLES and registry.TABLES[r].knows(kind)), None)
    )
    if kind in OURS:
        raise ValueError(f"{kind} is not of Keras' classes: save the model as *.safetensors")
    if room not in ROOMS:  # a class of the user's own: who loads it names it in custom_objects
        return {"module": None, "class_name": kind, "config": write(config), "registered_name": kind}
    return {
        "module": ROOMS[room],
        "class_name": kind,
        "config": _for_keras(kind, write(config)),
        "registered_name": None,
    }


def _is_own(name):
    """Whether a function's name is that of one of the program's own."""
    known = any(name in table for table in FUNCTIONS.values())
    return own_classes.find(name) is not None or not known


def _for_keras(kind, config):
    """The arguments that Keras' class of this name takes; ours alone must be without effect."""
    if kind.endswith("Transpose") and config.pop("groups", 1) != 1:
        raise ValueError(f"{kind} has groups, which Keras' does not take: save the model as *.safetensors")
    if isinstance(config.get("padding"), list) and ("Conv" in kind or "Pool" in kind):
        raise ValueError(
            f"{kind} has padding={config['padding']}, and Keras knows 'same', 'valid' and 'causal' only: put a ZeroPadding "
            "layer before it, or save the model as *.safetensors"
        )
    for key, value in config.items():
        if key.endswith("activation") and isinstance(value, str) and _is_own(value):
            config[key] = write({"class_name": "function", "config": value})
    return {key: value for key, value in config.items() if key not in NOT_TAKEN.get(kind, ())}


def _write_graph(model, written):
    graph = model.graph
    calls: dict[int, list] = {}  # a layer -> its calls in their order
    names: dict[int, str] = {}  # a call of an op -> its name
    taken, counts = {layer.name for layer in graph.layers}, {}
    for node in [*[tensor.source for tensor in flatten(graph.inputs)], *graph.nodes]:
        if isinstance(node, Node):
            calls.setdefault(id(node.layer), []).append(node)
        else:
            names[id(node)] = registry.free_name(registry.snake_case(node.op.__name__), taken, counts)

    def history(tensor):
        node = tensor.source
        if id(node) in names:
            return [names[id(node)], 0, tensor.place]
        return [node.layer.name, calls[id(node.layer)].index(node), tensor.place]

    def value(part):
        if isinstance(part, dict):
            return {key: value(leaf) for key, leaf in part.items()}
        if isinstance(part, (list, tuple)):
            return [value(leaf) for leaf in part]
        if hasattr(part, "source"):
            config = {"shape": list(part.shape), "dtype": np.dtype(part.dtype).name, "keras_history": history(part)}
            return {"class_name": "__keras_tensor__", "config": config}
        return _constant(part)

    layers = []
    for layer in graph.layers:
        entry = write_layer(layer, written)
        nodes = [] if isinstance(layer, InputLayer) else calls[id(layer)]
        inbound = [{"args": value(list(node.args)), "kwargs": value(dict(node.kwargs))} for node in nodes]
        layers.append({**entry, "name": layer.name, "inbound_nodes": inbound})
    for node in graph.nodes:
        if id(node) in names:
            layers.append(_write_op(node, names[id(node)], value))

    def ends(nest):
        if isinstance(nest, dict):
            return {key: ends(part) for key, part in nest.items()}
        return [ends(part) for part in nest] if isinstance(nest, (list, tuple)) else history(nest)

    return {"layers": layers, "input_layers": ends(graph.inputs), "output_layers": ends(graph.outputs)}


def _constant(part):
    """A value among the arguments of a call."""
    if part is None or isinstance(part, (bool, int, float, str)):
        return part
    if isinstance(part, slice):
        return {"class_name": "__slice__", "config": {"start": part.start, "stop": part.stop, "step": part.step}}
    if part is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    array = part.data if isinstance(part, Tensor) else part
    if isinstance(array, (np.ndarray, np.generic)) and array.size <= CONSTANT:
        return {"class_name": "__tensor__", "config": {"value": array.tolist(), "dtype": array.dtype.name}}
    raise ValueError(f"a call in its graph has the argument {part!r:.60}, which a .keras file cannot hold")


def _write_op(call, name, value):
    """The entry of an op that stands in a graph outside of a layer."""
    kind, found = call.op.__name__, call.attributes
    if kind == "ClippedRelu" and found == {"most": 6.0}:
        room, title, config = "nn", "Relu6", None
    elif kind in OPS:
        room, title, config = OPS[kind]
    elif kind in BY_FUNCTION and found["function"] != "isclose":  # which has limits that Keras keeps elsewhere
        function = found["function"]
        room, title = "math" if function in MATH else "numpy", "".join(map(str.capitalize, function.split("_")))
        config = _only(
            *[key for key in ("axis", "keepdims") if key in found and (key, function) != ("keepdims", "count_nonzero")]
        )
    else:
        raise ValueError(
            f"its graph holds the op {kind} outside of a layer, which a .keras file of ours cannot: put it into a layer, or "
            "save the model as *.safetensors"
        )
    args = [found["number"] if part is None and "number" in found else part for part in call.inputs]
    args += [found[EXTRA[kind]]] if kind in EXTRA else []
    kwargs = {"constant_values": found["value"]} if kind == "Pad" else {}
    if kind == "OneHot" and found["axis"] == len(call.inputs[0].shape):  # the last one, which Keras knows as -1 alone
        found = {**found, "axis": -1}
    args = [args] if kind == "Concatenate" else args
    return {
        "module": f"keras.src.ops.{room}", "class_name": title, "registered_name": title, "name": name,
        "config": {"name": name, **(config(found) if config else {})},
        "inbound_nodes": [{"args": value(args), "kwargs": kwargs}],
    }  # fmt: skip
