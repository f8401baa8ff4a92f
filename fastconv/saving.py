"""Model files: one safetensors file, with the architecture as JSON in its metadata.

No code is stored and none is run: layers come from the closed registry, or from `custom_objects` that the caller
passes. Contract: a file is written whole or not at all; a file that is corrupt, truncated, foreign or does not fit
raises ValueError naming it, and the model it was meant for keeps its weights. Tensors are named "conv2d/kernel", by
layer and weight; a model file also holds the optimizer's state ("optimizer.velocity/conv2d/kernel").
"""

from __future__ import annotations

import json
import os
import re
import warnings
import zlib

import numpy as np

from fastconv import losses, metrics, optimizers, registry
from fastconv.files import write_whole
from fastconv.layers.base import snake_case, uninitialized_weights

FORMAT_VERSION = "1"
_REBUILD_ERRORS = (
    TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, MemoryError,
    NotImplementedError,
)  # fmt: skip


def save_model(model, path) -> None:
    """Writes architecture, weights, compile settings and optimizer state to `path`.

    Compile settings with functions of the user's own cannot be stored; they are left out with a warning. A layer with
    such a function, or an unbuilt model, raises ValueError.
    """
    if not model.built:
        raise _unbuilt(model)
    tensors, facts = _tensors(model), {"model": json.dumps(model.get_config())}
    if model.optimizer is not None:
        try:
            facts["compile"] = json.dumps(_compile_config(model))
        except ValueError as error:
            warnings.warn(f"{path} holds no compile settings: {error} Compile the model again after load_model.",
                          stacklevel=3)  # fmt: skip
        else:
            tensors |= _optimizer_tensors(model)
    _write(path, tensors, facts)


def load_model(path, custom_objects=None, compile=True):
    """The Sequential that `model.save(path)` wrote, compiled as it was, with its optimizer's state.

    `custom_objects` maps names to layer, loss, metric or optimizer classes of your own; `compile=False` leaves the
    compile settings aside. Loading draws no random numbers.
    """
    from fastconv.models import Sequential

    tensors, facts = _read(path)
    if "model" not in facts:
        raise ValueError(f"{path} holds weights only: build the model, then call model.load_weights({str(path)!r}).")
    try:
        with uninitialized_weights():
            model = Sequential.from_config(json.loads(facts["model"]), custom_objects)
            if not model.built:
                raise ValueError("it has no input shape")
    except _REBUILD_ERRORS as error:
        raise ValueError(f"{path}: the model in it cannot be rebuilt: {_reason(error)}") from error
    _assign(model, tensors, path)
    if compile and "compile" in facts:
        try:
            _compile(model, json.loads(facts["compile"]), tensors, custom_objects)
        except _REBUILD_ERRORS as error:
            raise ValueError(f"{path}: its compile settings cannot be restored: {_reason(error)}") from error
    return model


def save_weights(model, path) -> None:
    """Writes the weights alone, by layer and weight."""
    if not model.built:
        raise _unbuilt(model)
    _write(path, _tensors(model), {})


def load_weights(model, path) -> None:
    """Puts the weights of a file (of `save` or `save_weights`) into a built model; all of them, or none."""
    if not model.built:
        raise _unbuilt(model)
    _assign(model, _read(path)[0], path)


# Names

def weight_names(model) -> dict:
    """"conv2d/kernel" to Parameter. A layer with an automatic name counts by its class within the model, so that
    the names do not depend on what was made before; a layer that the user named keeps its name."""
    names = {}
    taken = {layer.name for layer in model.layers if not _automatic(layer)}
    for layer in model.layers:
        stem, count = layer.name, 0
        if _automatic(layer):
            kind = stem = snake_case(type(layer).__name__)
            while stem in taken:
                count += 1
                stem = f"{kind}_{count}"
        taken.add(stem)
        for name, weight in _layer_names(layer).items():
            names[f"{stem}/{name}"] = weight
    return names


def _automatic(layer) -> bool:
    return re.fullmatch(re.escape(snake_case(type(layer).__name__)) + r"(_\d+)?", layer.name) is not None


def _layer_names(layer) -> dict:
    if hasattr(layer, "layers"):
        return weight_names(layer)
    names = {}
    for weight in layer.weights:
        name, count = weight.name, 0
        while name in names:
            count += 1
            name = f"{weight.name}_{count}"
        names[name] = weight
    return names


# Compile settings

def _compile_config(model) -> dict:
    return {
        "optimizer": registry.serialize(model.optimizer),
        "iterations": model.optimizer.iterations,
        "loss": registry.serialize(model.loss),
        "metrics": [registry.serialize(metric) for metric in model._metrics],
    }


def _compile(model, config, tensors, custom_objects):
    optimizer = optimizers.get(config["optimizer"], custom_objects)
    model.compile(
        optimizer,
        losses.get(config["loss"], custom_objects),
        [metrics.get(metric, custom_objects) for metric in config["metrics"]],
    )
    optimizer.iterations = int(config["iterations"])
    for name, weight in weight_names(model).items():
        for slot, array in zip(optimizer.slots, optimizer.slot_arrays(weight)):
            saved = tensors.get(f"optimizer.{slot}/{name}")
            if saved is not None:
                _check(f"optimizer.{slot}/{name}", saved, array)
                array[...] = saved


def _optimizer_tensors(model) -> dict:
    optimizer, tensors = model.optimizer, {}
    for name, weight in weight_names(model).items():
        if weight in optimizer._state:
            for slot, array in zip(optimizer.slots, optimizer.slot_arrays(weight)):
                tensors[f"optimizer.{slot}/{name}"] = array
    return tensors


# Files

def _tensors(model) -> dict:
    return {name: weight.data for name, weight in weight_names(model).items()}


def _checksum(tensors, facts) -> str:
    total = 0
    for key in sorted(facts.keys() - {"checksum"}):
        total = zlib.crc32(f"{key}={facts[key]}\n".encode(), total)
    for name in sorted(tensors):
        total = zlib.crc32(np.ascontiguousarray(tensors[name]), zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def _write(path, tensors, facts):
    from safetensors.numpy import save

    from fastconv import __version__

    path = os.path.realpath(path)
    if path.endswith((".keras", ".h5")):
        raise ValueError(f"fastconv writes safetensors, not Keras' formats; name the file *.safetensors: {path!r}.")
    facts = {"format": "fastconv", "format_version": FORMAT_VERSION, "fastconv_version": __version__} | facts
    write_whole(path, save(tensors, metadata=facts | {"checksum": _checksum(tensors, facts)}))


def _read(path):
    """(tensors, metadata) of a file that is whole and ours."""
    from safetensors import SafetensorError, safe_open

    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, not a model file.")
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, TypeError, ValueError, AttributeError, UnicodeError) as error:
        raise ValueError(f"{path} is no safetensors file, or is damaged: {_reason(error)}") from error
    if facts.get("format") != "fastconv":
        raise ValueError(f"{path} is a safetensors file, but not one of fastconv's.")
    if facts.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {facts.get('format_version')!r}; this fastconv reads {FORMAT_VERSION!r}. "
            f"It was written by fastconv {facts.get('fastconv_version')}."
        )
    if facts.get("checksum") != _checksum(tensors, facts):
        raise ValueError(f"{path} is damaged: its checksum does not fit its content.")
    return tensors, facts


def _assign(model, tensors, path):
    """All weights from the tensors of their names, after every one was checked."""
    weights = weight_names(model)
    saved = {name: array for name, array in tensors.items() if not name.startswith("optimizer.")}
    missing, extra = sorted(weights.keys() - saved.keys()), sorted(saved.keys() - weights.keys())
    if missing or extra:
        raise ValueError(
            f"{path} does not fit the model {model.name!r}: it lacks {', '.join(missing) or 'nothing'}, and has "
            f"{', '.join(extra) or 'nothing'} beyond the model."
        )
    try:
        for name, weight in weights.items():
            _check(name, saved[name], weight.data)
    except ValueError as error:
        raise ValueError(f"{path} does not fit the model {model.name!r}: {error}") from None
    for name, weight in weights.items():
        weight.assign(saved[name])


def _check(name, saved, wanted):
    if saved.shape != wanted.shape or saved.dtype != wanted.dtype:
        raise ValueError(
            f"{name} has shape {saved.shape} and dtype {saved.dtype}; {wanted.shape} and {wanted.dtype} are needed."
        )


def _unbuilt(model) -> ValueError:
    return ValueError(f"{model.name!r} is not built, so it has no weights yet: give it an input shape, or call it.")


def _reason(error) -> str:
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
