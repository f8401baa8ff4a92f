"""Model files: one tensor file (tensorfile.py), with the architecture as JSON among its facts.

Keras 3's files, known by their endings, are kerasfile/'s. No code is stored and none is run: layers come from the
closed registry, or from what the program offers (custom_objects.py). Contract: a file is written whole or not at all; a file that is corrupt, truncated, foreign or does
not fit raises ValueError naming it, and the model it was meant for keeps its weights. No memory is taken for weights
before the file is known to hold as much. Tensors are named "conv2d/kernel", by layer and weight; a model file also
holds the optimizer's state ("optimizer.velocity/conv2d/kernel").
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import kerasfile, optimizers, registry, tensorfile
from fastconv.compiled import Objective
from fastconv.layers.holder import uninitialized_weights
from fastconv.registry import snake_case
from fastconv.serialization import texts

Path = str | os.PathLike[str]


def save_model(model: Any, filepath: Path, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Writes architecture, weights, compile settings and optimizer state to `filepath`; `zipped` changes nothing.

    `overwrite=False` raises FileExistsError where there is a file. Compile settings with functions of the user's own
    that are not registered cannot be stored; they are left out with a warning. A layer with such a function, or an
    unbuilt model, raises ValueError.
    """
    _check_target(model, filepath, overwrite)
    if kerasfile.is_archive(filepath):
        kerasfile.save_model(model, filepath)
        return
    tensors, facts = _tensors(model), {"model": json.dumps(registry.serialize(model))}
    if (names := texts(model.class_names)) is not None:
        facts["class_names"] = json.dumps(names)
    if model.optimizer is not None:
        try:
            facts["compile"] = json.dumps(_compile_config(model))
        except ValueError as error:
            warnings.warn(f"{filepath} holds no compile settings: {error} Compile the model again after load_model.",
                          stacklevel=3)  # fmt: skip
        else:
            tensors |= _optimizer_tensors(model)
    _write(filepath, tensors, facts)


def load_model(path: Path, build: Callable[[dict[str, Any]], Any], compile: bool = True) -> Any:
    """The model, made by `build(config)`, that `model.save(path)` wrote, compiled as it was, with its optimizer's
    state.

    `compile=False` leaves the compile settings aside. Loading draws no random numbers. A `.keras` file is Keras 3's.
    """
    if kerasfile.is_archive(path):
        return kerasfile.load_model(path, compile)
    with tensorfile.opened(path) as saved:
        if "model" not in saved.facts:
            raise ValueError(
                f"{path} holds weights only: build the model, then call model.load_weights({str(path)!r})."
            )
        try:
            with uninitialized_weights(saved.size):
                config = json.loads(saved.facts["model"])
                if "class_name" not in config:  # fastconv 0.1.0, which had Sequential only
                    config = {"class_name": "Sequential", "config": config}
                model = build(config)
            if not model.built:
                raise ValueError("it has no input shape")
        except Exception as error:  # a config may hold anything, and lead to any error
            raise ValueError(f"{path}: the model in it cannot be rebuilt: {_reason(error)}") from error
        _check_fit(model, saved)
        weights = weight_names(model)
        arrays = {name: weight.array for name, weight in weights.items()}
        if compile and "compile" in saved.facts:
            try:
                arrays |= _compile(model, json.loads(saved.facts["compile"]), saved.tensors)
            except Exception as error:
                raise ValueError(f"{path}: its compile settings cannot be restored: {_reason(error)}") from error
        if (names := _class_names(saved)) is not None:
            model.class_names = names
        saved.read(arrays)
        for weight in weights.values():
            weight.version += 1
    return model


def _class_names(saved):
    """The names in a file; None where there are none, or the text is no list of names."""
    try:
        return texts(json.loads(saved.facts.get("class_names", "null")))
    except ValueError:
        return None


def save_weights(model: Any, filepath: Path, overwrite: bool = True, max_shard_size: float | None = None) -> None:
    """Writes the weights alone, by layer and weight, to one file: `max_shard_size`, which would split it, is refused.

    `overwrite=False` raises FileExistsError where there is a file.
    """
    if max_shard_size is not None:
        raise ValueError("save_weights writes one file, of any size: leave max_shard_size out.")
    _check_target(model, filepath, overwrite)
    if kerasfile.is_weights(filepath):
        kerasfile.save_weights(model, filepath)
        return
    _write(filepath, _tensors(model), {})


def load_weights(model: Any, filepath: Path, skip_mismatch: bool = False) -> None:
    """Puts the weights of a file (of `save` or `save_weights`) into a built model; all of them, or none.

    `skip_mismatch=True` takes those whose names and shapes fit, leaves the model's others as they are, and warns which.
    """
    if not model.built:
        raise _unbuilt(model)
    if kerasfile.is_weights(filepath) or kerasfile.is_archive(filepath):
        if skip_mismatch:
            raise ValueError(f"skip_mismatch is for fastconv's own files; {filepath} must fit the model.")
        kerasfile.load_weights(model, filepath)
        return
    with tensorfile.opened(filepath) as saved:
        weights = weight_names(model)
        if skip_mismatch:
            weights = _fitting(weights, saved)
        else:
            _check_fit(model, saved)
        arrays = {name: np.empty_like(weight.data) for name, weight in weights.items()}
        saved.read(arrays)
    for name, weight in weights.items():
        weight.assign(arrays[name])


def _fitting(weights, saved) -> dict:
    """Those of the weights for which the file holds an array of their shape and dtype; warns of the others."""
    found = {name: saved.tensors.get(name) for name in weights}
    fit = {
        name: weights[name] for name, entry in found.items()
        if entry is not None and (entry.shape, entry.dtype) == (weights[name].shape, weights[name].dtype)
    }  # fmt: skip
    left = [name for name in weights if name not in fit]
    if left:
        warnings.warn(f"{saved.path} does not fit {_listed(left)}: these weights stay as they are.", stacklevel=4)
    return fit


def _check_target(model, path, overwrite):
    if not model.built:
        raise _unbuilt(model)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path} is there already, and overwrite=False keeps it.")


# A run that goes on


def save_training(model, path, facts) -> None:
    """Writes weights, the optimizer's state, and `facts`, JSON values, to one file."""
    optimizer = model.optimizer
    facts = facts | {"iterations": optimizer.calls, "rate": float(optimizer.learning_rate)}
    tensors = _tensors(model) | _optimizer_tensors(model)
    tensorfile.write(path, tensors, {"training": json.dumps(facts)})


def load_training(model, path) -> dict:
    """Puts what `save_training` wrote into the compiled model, and gives the facts; all of it, or a ValueError."""
    with tensorfile.opened(path) as saved:
        if "training" not in saved.facts:
            raise ValueError(f"{path} is no backup of a run.")
        _check_fit(model, saved)
        facts = json.loads(saved.facts["training"])
        weights = weight_names(model)
        arrays = {name: weight.array for name, weight in weights.items()} | _state_arrays(model, saved.tensors)
        found = {name: np.empty_like(array) for name, array in arrays.items()}
        saved.read(found)
    for name, array in arrays.items():
        np.copyto(array, found[name])
    for weight in weights.values():
        weight.version += 1
    model.optimizer.calls = facts["iterations"]
    if model.optimizer.learning_rate != facts["rate"]:
        model.optimizer.learning_rate = facts["rate"]
    return facts


# Names


def weight_names(model) -> dict:
    """ "conv2d/kernel" to Parameter. A layer with an automatic name counts by its class within the model, so that
    the names do not depend on what was made before; a layer that the user named keeps its name."""
    names = {}
    taken, counts = {layer.name for layer in model.layers if not _automatic(layer)}, {}
    for layer in model.layers:
        stem = _free(snake_case(type(layer).__name__), taken, counts) if _automatic(layer) else layer.name
        for name, weight in _layer_names(layer).items():
            names[f"{stem}/{name}"] = weight
    return names


def _free(stem, taken, counts) -> str:
    """The first of stem, stem_1, stem_2, ... that is not `taken`, where it is put; `counts` are those tried before."""
    while True:
        counts[stem] = count = counts.get(stem, -1) + 1
        name = f"{stem}_{count}" if count else stem
        if name not in taken:
            taken.add(name)
            return name


def _automatic(layer) -> bool:
    return re.fullmatch(re.escape(snake_case(type(layer).__name__)) + r"(_\d+)?", layer.name) is not None


def _layer_names(layer) -> dict:
    if hasattr(layer, "layers"):
        return weight_names(layer)
    taken, counts = set(), {}
    return {_free(weight.name, taken, counts): weight for weight in layer.weights}


# Compile settings


def _compile_config(model) -> dict:
    return {
        "optimizer": registry.serialize(model.optimizer),
        "iterations": model.optimizer.calls,
        **model._trainer.objective.get_config(),
    }


def _compile(model, config, saved) -> dict:
    """Compiles the model; the optimizer's state arrays for which there is a tensor in `saved`, by its name."""
    optimizer = optimizers.get(config["optimizer"])
    model._trainer.restore(optimizer, Objective.from_config(config))
    optimizer.calls = config["iterations"]
    return _state_arrays(model, saved)


def _state_arrays(model, saved) -> dict:
    """The optimizer's state arrays for which there is a tensor in `saved`, by its name."""
    optimizer, arrays = model.optimizer, {}
    for name, weight in weight_names(model).items():
        for slot, array in zip(optimizer.all_slots, optimizer.slot_arrays(weight)):
            stored = f"optimizer.{slot}/{name}"
            if stored in saved:
                _check(stored, saved[stored], array)
                arrays[stored] = array
    return arrays


def _optimizer_tensors(model) -> dict:
    optimizer, tensors = model.optimizer, {}
    for name, weight in weight_names(model).items():
        if weight in optimizer._state:
            for slot, array in zip(optimizer.all_slots, optimizer.slot_arrays(weight)):
                tensors[f"optimizer.{slot}/{name}"] = array
    return tensors


# Files


def _tensors(model) -> dict:
    return {name: weight.data for name, weight in weight_names(model).items()}


def _write(path, tensors, facts):
    path = os.fsdecode(path)
    if os.path.realpath(path).endswith((".keras", ".h5")):
        raise ValueError(
            f"A model goes into *.safetensors or *.keras, weights alone into *.safetensors or *.weights.h5; got {path!r}."
        )
    tensorfile.write(path, tensors, facts)


def _check_fit(model, saved):
    """Raises ValueError unless the file holds the model's weights and, for some of them, an optimizer's state."""
    weights, found = weight_names(model), saved.tensors.keys()
    missing = sorted(weights.keys() - found)
    extra = sorted(name for name in found - weights.keys() if _state_of(name) not in weights)
    if missing or extra:
        raise ValueError(
            f"{saved.path} does not fit the model {model.name!r}: it lacks {_listed(missing)}, and has "
            f"{_listed(extra)} beyond the model."
        )
    try:
        for name, weight in weights.items():
            _check(name, saved.tensors[name], weight.data)
    except ValueError as error:
        raise ValueError(f"{saved.path} does not fit the model {model.name!r}: {error}") from None


def _listed(names) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more or "nothing"


def _state_of(name) -> str:
    """The weight that "optimizer.velocity/conv2d/kernel" is a state of; empty for other names."""
    return name.partition("/")[2] if name.startswith("optimizer.") else ""


def _matches(saved, wanted):
    return saved is not None and saved.shape == wanted.shape and saved.dtype == wanted.dtype


def _check(name, saved, wanted):
    if not _matches(saved, wanted):
        raise ValueError(
            f"{name} has shape {saved.shape} and dtype {saved.dtype}; {wanted.shape} and {wanted.dtype} are needed."
        )


def _unbuilt(model) -> ValueError:
    return ValueError(f"{model.name!r} is not built, so it has no weights yet: give it an input shape, or call it.")


def _reason(error) -> str:
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
