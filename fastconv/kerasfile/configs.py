"""Architectures out of Keras 3's JSON; writing.py is the way back.

Contract: classes come from our closed registries or from what the program registered or offers, ops of a graph from
`fastconv.ops` alone; code in a config (a Lambda's) is refused, and what a layer of ours does not take is an error unless
it has the value that changes nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from fastconv import custom_objects as own_classes
from fastconv import ops, registry
from fastconv.layers import REGISTRY
from fastconv.layers import configs as layer_configs
from fastconv.layers.base import snake_case
from fastconv.layers.shapes import map_shapes
from fastconv.nest import flatten

SHARED = "shared_by_models"  # our mark on a layer that an earlier entry describes; Keras makes another one
MODELS = ("Functional", "Model", "Sequential")
IDLE = {  # arguments of Keras that we do not have, and the values which change nothing
    "sparse": (False,), "ragged": (False,), "optional": (False,), "synchronized": (False,), "renorm": (False,),
    "renorm_clipping": (None,), "renorm_momentum": (0.99,), "quantization_config": (None,), "lora_rank": (None,),
    "lora_alpha": (None,), "input_axes": (None,), "output_axes": (None,), "seed": (None,), "use_cudnn": ("auto",),
    "loss_scale_factor": (None,), "autocast": (True,), "rms_scaling": (False,), "activity_regularizer": (None,),
}  # fmt: skip


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
            idle = {key for key in ("mask", "training") if kwargs.get(key) is None or kwargs[key] is False}
            kwargs = {key: value for key, value in kwargs.items() if key not in idle}
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
    if name == "get_item":  # JSON knows no tuples
        return lambda x, key: function(x, tuple(key) if isinstance(key, list) else key)
    left = {"name", "trainable"} | {"dtype"} - {*inspect.signature(function).parameters}
    more = {key: clean(value) for key, value in entry["config"].items() if key not in left}
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
    if kind == "__tensor__":
        return np.array(config["value"], config["dtype"])
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__slice__":
        return slice(config.get("start"), config.get("stop"), config.get("step"))
    if kind == "function":
        return config if value.get("registered_name") in (None, "function") else value["registered_name"]
    registered = value.get("registered_name")
    if kind in MODELS and registered in (None, kind):  # in a layer, as a wrapper's
        return read_model(value)
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
