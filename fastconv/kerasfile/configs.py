"""Architectures in Keras 3's JSON, and back.

Contract: classes come from our closed registries or from what the program registered or offers, ops of a graph from
`fastconv.ops` alone; code in a config (a Lambda's) is refused, and what a layer of ours does not take is an error unless
it has the value that changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import activations, ops, registry
from fastconv.graph import Node
from fastconv.layers import REGISTRY, InputLayer, Layer
from fastconv.layers import configs as layer_configs
from fastconv.layers.base import snake_case
from fastconv.nest import flatten

MODELS = ("Functional", "Model", "Sequential")
IDLE = {  # arguments of Keras that we do not have, and the values which change nothing
    "sparse": (False,), "ragged": (False,), "optional": (False,), "synchronized": (False,), "renorm": (False,),
    "renorm_clipping": (None,), "renorm_momentum": (0.99,), "quantization_config": (None,), "lora_rank": (None,),
    "lora_alpha": (None,), "input_axes": (None,), "output_axes": (None,), "seed": (None,), "use_cudnn": ("auto",),
    "loss_scale_factor": (None,), "autocast": (True,), "rms_scaling": (False,), "activity_regularizer": (None,),
}  # fmt: skip
ROOMS = {  # our rooms, as Keras names them in a config
    f"fastconv.{room}": f"keras.{room}" for room in ("initializers", "regularizers", "constraints", "layers")
}


def read_model(entry: dict) -> Any:
    """The model of a Keras config."""
    kind, config = entry["class_name"], entry["config"]
    if kind == "Sequential":
        layers = [read_layer(part) for part in config["layers"]]
        model = REGISTRY.find("Sequential")(layers, name=config.get("name"))
        if not model.built and config.get("build_input_shape"):
            model.build(tuple(config["build_input_shape"]))
    elif kind in MODELS and "input_layers" in config:
        model = _read_graph(config)
    else:
        raise ValueError(f"a {kind} is no Sequential and no Model(inputs, outputs): build it, then call load_weights.")
    model._trainable = bool(config.get("trainable", True))
    return model


def read_layer(entry: dict) -> Any:
    """The layer, or inner model, of an entry of a Keras config."""
    if entry["class_name"] in MODELS and not entry.get("registered_name"):
        return read_model(entry)
    value = clean(entry)
    return REGISTRY.build(value)


def _read_graph(config):
    made: dict[tuple, list] = {}  # (layer's name, number of its call) -> the tensors that it gave
    waiting = []
    for entry in config["layers"]:
        name = entry["name"]
        if entry["class_name"] == "InputLayer":
            made[name, 0] = [read_layer(entry).output]
            continue
        if str(entry.get("module", "")).startswith("keras.src.ops."):
            call = _op(entry)
        else:
            call = read_layer(entry)
        waiting += [(name, number, call, node) for number, node in enumerate(entry["inbound_nodes"])]

    def tensor(history):
        name, number, place = history
        return made[name, number][place]

    while waiting:
        left = []
        for name, number, call, node in waiting:
            if any((history[0], history[1]) not in made for history in _histories(node)):
                left.append((name, number, call, node))
                continue
            args, kwargs = _values(node.get("args", []), tensor), _values(node.get("kwargs", {}), tensor)
            kwargs = {key: value for key, value in kwargs.items() if not (key in ("mask", "training") and not value)}
            made[name, number] = flatten(call(*args, **kwargs))
        if len(left) == len(waiting):
            raise ValueError("the graph has a cycle, or reads what no layer gives")
        waiting = left
    ends = [_ends(config[key], tensor) for key in ("input_layers", "output_layers")]
    return REGISTRY.find("Model")(*ends, name=config.get("name"))


def _ends(spec, tensor):
    """The tensors of "input_layers" or "output_layers": a nest of [name, call, place]."""
    if isinstance(spec, dict):
        return {key: _ends(part, tensor) for key, part in spec.items()}
    if len(spec) == 3 and isinstance(spec[0], str) and isinstance(spec[1], int):
        return tensor(spec)
    parts = [_ends(part, tensor) for part in spec]
    return parts[0] if len(parts) == 1 else parts


def _op(entry):
    name = snake_case(entry["class_name"])
    function = getattr(ops, name, None) if name in ops.__all__ else None
    if function is None:
        raise registry.unknown_name("op", name, ops.__all__)
    more = {key: clean(value) for key, value in entry["config"].items() if key not in ("name", "dtype", "trainable")}
    return lambda *args, **kwargs: function(*args, **more, **kwargs)


def _histories(value):
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [value["config"]["keras_history"]]
        return [found for part in value.values() for found in _histories(part)]
    return [found for part in value for found in _histories(part)] if isinstance(value, list) else []


def _values(value, tensor):
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return tensor(value["config"]["keras_history"])
        return (
            {key: _values(part, tensor) for key, part in value.items()} if "class_name" not in value else clean(value)
        )
    return [_values(part, tensor) for part in value] if isinstance(value, list) else value


def clean(value: Any) -> Any:
    """A value of a Keras config as our constructors take it."""
    if isinstance(value, list):
        return [clean(part) for part in value]
    if not isinstance(value, dict):
        return value
    if not registry.is_entry(value):
        return {key: clean(part) for key, part in value.items()}
    kind, config = value["class_name"], value.get("config")
    if kind == "__lambda__":
        raise ValueError("it holds a Python lambda, code that fastconv does not run; give it a named function")
    if kind == "DTypePolicy":
        if config.get("name") not in ("float32", "float64"):
            raise ValueError(f"it computes in {config.get('name')}; fastconv computes in float32 and float64")
        return config["name"]
    if kind == "__tuple__":
        return tuple(clean(part) for part in value["items"])
    if kind == "__numpy__":
        return np.array(config["value"], config["dtype"])
    if kind == "__slice__":
        return slice(*config)
    if kind == "function":
        return config if value.get("registered_name") in (None, "function") else value["registered_name"]
    registered = value.get("registered_name")
    entry = {"class_name": kind, "config": _fitting(kind, {key: clean(part) for key, part in (config or {}).items()})}
    if REGISTRY.knows(kind):
        entry["module"] = "fastconv.layers"  # by which a wrapper's config makes it a layer
    return entry if registered in (None, kind) else {**entry, "registered_name": registered}


def _fitting(kind, config):
    """The arguments that our class of this name takes; the others must be without effect."""
    if not REGISTRY.knows(kind):
        return {key: value for key, value in config.items() if value is not None or key not in IDLE}
    if kind == "InputLayer" and "batch_shape" in config:
        size, *shape = config.pop("batch_shape")
        config |= {"shape": tuple(shape), "batch_size": size}
    known = layer_configs.arguments(REGISTRY.find(kind))
    kept = {}
    for key, value in config.items():
        if key in known or key in ("build_input_shape",):
            kept[key] = value
        elif key not in IDLE or value not in IDLE[key]:
            raise ValueError(f"{kind} has {key}={value!r}, which fastconv's does not take")
    return kept


# Writing


def write_model(model: Any) -> dict:
    """The Keras config of a Sequential or a Model(inputs, outputs)."""
    shape = list(model._build_shape) if isinstance(model._build_shape, (tuple, list)) else None
    common = {"name": model.name, "trainable": model.trainable, "dtype": model._dtype.name}
    if hasattr(model, "_stack"):
        stack = [model._input, *model._stack] if model._input else model._stack
        config = {**common, "layers": [write_layer(layer) for layer in stack], "build_input_shape": shape}
        return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}
    if getattr(model, "graph", None) is None:
        raise ValueError(
            f"{model.name!r} is written in Python, which a .keras file cannot hold; save_weights('x.weights.h5') can, or "
            "save it as *.safetensors."
        )
    return {
        "module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
        "config": {**common, **_write_graph(model)},
    }  # fmt: skip


def write_layer(layer: Layer) -> dict:
    """The entry of a layer, or inner model, in a Keras config."""
    if hasattr(layer, "layers"):
        return write_model(layer)
    config = registry.serialize(layer)["config"]
    if config.get("groups") == 1 and type(layer).__name__.endswith("Transpose"):
        del config["groups"]  # ours alone
    if isinstance(layer, InputLayer):
        config = {"batch_shape": [layer.batch_size, *layer.shape], "dtype": layer._dtype.name, "name": layer.name}
    return {
        "module": "keras.layers",
        "class_name": type(layer).__name__,
        "config": _named(config),
        "registered_name": None,
    }


def _named(value):
    """Our config's values as Keras writes them: entries with their modules."""
    if isinstance(value, tuple):
        return [_named(part) for part in value]
    if isinstance(value, list):
        return [_named(part) for part in value]
    if not isinstance(value, dict):
        return value
    if not registry.is_entry(value):
        return {key: _named(part) for key, part in value.items()}
    for room, module in ROOMS.items():
        table = registry.TABLES.get(room)
        if table is not None and table.knows(value["class_name"]):
            return {**value, "module": module, "config": _named(value["config"]), "registered_name": None}
    if value["class_name"] == "function" and value.get("module") == activations.__name__:
        return value["config"]
    raise ValueError(f"{value['class_name']} is not of Keras' layers, initializers, regularizers or constraints")


def _write_graph(model):
    graph = model.graph
    calls: dict[int, list] = {}  # a layer -> its calls in their order
    starts = [tensor.source for tensor in flatten(graph.inputs)]
    for node in [*starts, *graph.nodes]:
        if not isinstance(node, Node):
            raise ValueError(
                f"its graph holds the op {node.op.__name__} outside of a layer, which a .keras file of ours cannot: use a "
                "layer (layers.Add for +, layers.Rescaling for * and + with numbers), or save it as *.safetensors"
            )
        calls.setdefault(id(node.layer), []).append(node)

    def history(tensor):
        node = tensor.source
        return [node.layer.name, calls[id(node.layer)].index(node), tensor.place]

    def value(part):
        if isinstance(part, dict):
            return {key: value(leaf) for key, leaf in part.items()}
        if isinstance(part, (list, tuple)):
            return [value(leaf) for leaf in part]
        if hasattr(part, "source"):
            config = {"shape": list(part.shape), "dtype": np.dtype(part.dtype).name, "keras_history": history(part)}
            return {"class_name": "__keras_tensor__", "config": config}
        if part is None or isinstance(part, (bool, int, float, str)):
            return part
        raise ValueError(f"a call in its graph has the argument {part!r:.60}, which a .keras file cannot hold")

    layers = []
    for layer in graph.layers:
        entry = write_layer(layer)
        nodes = [] if isinstance(layer, InputLayer) else calls[id(layer)]
        inbound = [{"args": value(list(node.args)), "kwargs": value(dict(node.kwargs))} for node in nodes]
        layers.append({**entry, "name": layer.name, "inbound_nodes": inbound})

    def ends(nest):
        if isinstance(nest, dict):
            return {key: ends(part) for key, part in nest.items()}
        return [ends(part) for part in nest] if isinstance(nest, (list, tuple)) else history(nest)

    return {"layers": layers, "input_layers": ends(graph.inputs), "output_layers": ends(graph.outputs)}
