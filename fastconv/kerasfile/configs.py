"""Architectures in Keras 3's JSON, and back.

Contract: classes come from our closed registries or from what the program registered or offers, ops of a graph from
`fastconv.ops` alone; code in a config (a Lambda's) is refused, and what a layer of ours does not take is an error unless
it has the value that changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import custom_objects as own_classes
from fastconv import ops, registry
from fastconv.graph import Node
from fastconv.layers import REGISTRY, InputLayer, Layer
from fastconv.layers import configs as layer_configs
from fastconv.layers.base import snake_case
from fastconv.layers.shapes import map_shapes
from fastconv.nest import flatten

SHARED = (
    "shared_by_models"  # our mark on a layer that an earlier entry describes; Keras, which knows none, makes another
)
MODELS = ("Functional", "Model", "Sequential")
OURS = ("DepthwiseConv3D", "SeparableConv3D", "ConfusionMatrix", "OneCycle")  # classes that Keras does not have
NOT_TAKEN = dict.fromkeys(  # arguments of every layer that some of Keras' do not take
    ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Discretization"), ("trainable",)
)
IDLE = {  # arguments of Keras that we do not have, and the values which change nothing
    "sparse": (False,), "ragged": (False,), "optional": (False,), "synchronized": (False,), "renorm": (False,),
    "renorm_clipping": (None,), "renorm_momentum": (0.99,), "quantization_config": (None,), "lora_rank": (None,),
    "lora_alpha": (None,), "input_axes": (None,), "output_axes": (None,), "seed": (None,), "use_cudnn": ("auto",),
    "loss_scale_factor": (None,), "autocast": (True,), "rms_scaling": (False,), "activity_regularizer": (None,),
}  # fmt: skip
ROOMS = {  # our rooms, as Keras names them in a config
    f"fastconv.{room}": f"keras.{room}"
    for room in ("initializers", "regularizers", "constraints", "layers", "losses", "metrics", "optimizers")
} | {"fastconv.schedules": "keras.optimizers.schedules"}


def read_model(entry: dict, made: dict | None = None) -> Any:
    """The model of a Keras config; `made` are the layers so far, by class and name."""
    made = {} if made is None else made
    kind, config = entry["class_name"], entry["config"]
    if kind == "Sequential":
        layers = [read_layer(part, made) for part in config["layers"]]
        model = REGISTRY.find("Sequential")(layers, name=config.get("name"))
        if not model.built and config.get("build_input_shape"):
            model.build(tuple(config["build_input_shape"]))
    elif kind in MODELS and "input_layers" in config:
        model = _read_graph(config, made)
    else:
        model = _read_own(entry)
    model._trainable = bool(config.get("trainable", True))
    return model


def _read_own(entry):
    """The model of a class that the program registered or offers, built as it was."""
    kind, name = entry["class_name"], entry.get("registered_name") or entry["class_name"]
    if own_classes.find(name) is None:
        raise ValueError(
            f"a {kind} is no Sequential and no Model(inputs, outputs): pass its class in custom_objects={{{name!r}: ...}}, "
            "or build it, then call load_weights."
        )
    model = REGISTRY.build(clean(entry))
    shape = (entry.get("build_config") or {}).get("input_shape")
    if not model.built and shape:
        model.build(map_shapes(tuple, shape))
    return model


def read_layer(entry: dict, made: dict) -> Any:
    """The layer, or inner model, of an entry of a Keras config; the same one where models share it."""
    kind, registered = entry["class_name"], entry.get("registered_name")
    key = kind, (entry.get("config") or {}).get("name")
    if key in made and (entry.get("shared_object_id") or entry.get(SHARED)):
        return made[key]
    own_model = "build_config" in entry and kind not in MODELS and not REGISTRY.knows(kind)
    inner = own_model or (kind in MODELS and registered in (None, kind))
    made[key] = layer = read_model(entry, made) if inner else REGISTRY.build(clean(entry))
    return layer


def _read_graph(config, layers):
    made: dict[tuple, list] = {}  # (layer's name, number of its call) -> the tensors that it gave
    waiting = []
    for entry in config["layers"]:
        name = entry["name"]
        if entry["class_name"] == "InputLayer":
            made[name, 0] = [read_layer(entry, layers).output]
            continue
        if str(entry.get("module", "")).startswith("keras.src.ops."):
            call = _op(entry)
        else:
            call = read_layer(entry, layers)
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
    config = {key: clean(part) for key, part in (config or {}).items()}
    own = registered not in (None, kind) or own_classes.find(kind) is not None
    entry = {"class_name": kind, "config": config if own else _fitting(kind, config)}
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
    known = layer_configs.signature(REGISTRY.find(kind)).parameters
    kept = {}
    for key, value in config.items():
        if key in known or key in ("build_input_shape",):
            kept[key] = value
        elif key not in IDLE or value not in IDLE[key]:
            raise ValueError(f"{kind} has {key}={value!r}, which fastconv's does not take")
    return kept


# Writing


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
    """The entry of a model that is written in Python, in a class that is registered or in a scope."""
    entry = registry.serialize(model)
    if own_classes.find(entry.get("registered_name") or entry["class_name"]) is None:
        raise ValueError(
            f"{model.name!r} is written in Python, which a .keras file holds by the name of its class alone: register "
            f"{entry['class_name']} with @fastconv.saving.register_keras_serializable(). save_weights('x.weights.h5') needs "
            "no name, or save it as *.safetensors"
        )
    return {**write(entry), "build_config": {"input_shape": shape}}


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
    if kind == "__tuple__":
        return {"class_name": kind, "items": write(config)}
    if kind.startswith("__"):
        return value
    if kind == "function":
        own = own_classes.find(config) is not None
        return {**value, "module": "builtins", "registered_name": config} if own else config
    if kind == "AutoAccuracy":  # the name "accuracy", which Keras too resolves by the shapes
        return config["name"] if config["name"] in ("acc", "accuracy") else "accuracy"
    if registered is not None or own_classes.find(kind) is not None:
        return {"module": None, "class_name": kind, "config": write(config), "registered_name": registered or kind}
    room = value.get(
        "module", next((r for r in ROOMS if r in registry.TABLES and registry.TABLES[r].knows(kind)), None)
    )
    if kind in OURS or room not in ROOMS:
        raise ValueError(f"{kind} is not of Keras' classes, and not registered as one of your own")
    return {
        "module": ROOMS[room],
        "class_name": kind,
        "config": _for_keras(kind, write(config)),
        "registered_name": None,
    }


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
        if key.endswith("activation") and isinstance(value, str) and own_classes.find(value) is not None:
            config[key] = write({"class_name": "function", "config": value})
    return {key: value for key, value in config.items() if key not in NOT_TAKEN.get(kind, ())}


def _write_graph(model, written):
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
        entry = write_layer(layer, written)
        nodes = [] if isinstance(layer, InputLayer) else calls[id(layer)]
        inbound = [{"args": value(list(node.args)), "kwargs": value(dict(node.kwargs))} for node in nodes]
        layers.append({**entry, "name": layer.name, "inbound_nodes": inbound})

    def ends(nest):
        if isinstance(nest, dict):
            return {key: ends(part) for key, part in nest.items()}
        return [ends(part) for part in nest] if isinstance(nest, (list, tuple)) else history(nest)

    return {"layers": layers, "input_layers": ends(graph.inputs), "output_layers": ends(graph.outputs)}
