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
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastconv import foreign, kerasfile, optimizers, registry, tensorfile
from fastconv.compiled import Objective
from fastconv.layers.base import Layer
from fastconv.layers.holder import uninitialized_weights
from fastconv.progress import warn_user
from fastconv.registry import free_name, snake_case
from fastconv.serialization import texts

Path = str | os.PathLike[str]
KEPT = "kept/"  # how the names of arrays begin that a backup holds for callbacks and metrics


def save_model(model: Any, filepath: Path, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Writes architecture, weights, compile settings and optimizer state to `filepath`; `zipped` changes nothing.

    `overwrite=False` raises FileExistsError where there is a file. Compile settings with functions of the user's own
    that are not registered cannot be stored; they are left out with a warning. A layer with such a function, or an
    unbuilt model, raises ValueError.
    """
    _check_target(model, filepath, overwrite)
    if not model.built:
        raise _unbuilt(model)
    if kerasfile.is_archive(filepath):
        kerasfile.save_model(model, filepath)
        return
    _warn_of_own_variables(model, filepath)
    tensors, facts = _tensors(model), {"model": json.dumps(registry.serialize(model))}
    if (names := texts(model.class_names)) is not None:
        facts["class_names"] = json.dumps(names)
    if model.optimizer is not None:
        try:
            facts["compile"] = json.dumps(_compile_config(model))
        except ValueError as error:
            warn_user(f"{filepath} holds no compile settings: {error} Compile the model again after load_model.")
        else:
            tensors |= optimizer_tensors(model, model.optimizer)
    _write(filepath, tensors, facts)


def load_model(path: Path, build: Callable[[dict[str, Any]], Any], compile: bool = True) -> Any:
    """The model, made by `build(config)`, that `model.save(path)` wrote, compiled as it was, with its optimizer's
    state.

    `compile=False` leaves the compile settings aside. Loading draws no random numbers. A `.keras` file is Keras 3's.
    """
    if kerasfile.is_archive(path):
        return kerasfile.load_model(path, compile)
    if kerasfile.is_weights(path) or kerasfile.is_legacy(path) or foreign.is_torch(path):
        raise ValueError(
            f"{path} is read for its weights alone: build the model, then call model.load_weights({str(path)!r})."
        )
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
            if not hasattr(model, "layers"):
                raise ValueError(f"it is a layer, {type(model).__name__}, and no model")
            if not model.built:
                raise ValueError("it has no input shape")
        except Exception as error:  # a config may hold anything, and lead to any error
            raise ValueError(f"{path}: the model in it cannot be rebuilt: {_reason(error)}") from error
        check_fit(model, saved)
        weights = weight_names(model)
        arrays = {name: weight.array for name, weight in weights.items()}
        if compile and "compile" in saved.facts:
            try:
                arrays |= _compile(model, json.loads(saved.facts["compile"]), saved)
            except Exception as error:
                raise ValueError(
                    f"{path}: its compile settings cannot be restored: {_reason(error)} compile=False leaves them aside."
                ) from error
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
    _warn_of_own_variables(model, filepath)
    _write(filepath, _tensors(model), {})


def _warn_of_own_variables(model, path):
    """A safetensors file holds weights by name, and nothing else."""
    for layer in model.flatten_layers():
        if type(layer).save_own_variables is not Layer.save_own_variables:
            warn_user(
                f"{path} holds the weights of {layer.name!r}, not what its save_own_variables says: save to a .keras or "
                ".weights.h5 file, for which it is called."
            )


def load_weights(
    model: Any, filepath: Path, skip_mismatch: bool = False,
    name_map: Mapping[str, Any] | Callable[[str], Any] | None = None,
) -> None:  # fmt: skip
    """Puts the weights of a file into a built model; all of them, or none. See Model.load_weights."""
    _check_complete(model)
    if kerasfile.is_weights(filepath) or kerasfile.is_archive(filepath) or kerasfile.is_legacy(filepath):
        for name, value in (("skip_mismatch", skip_mismatch), ("name_map", name_map)):
            if value:
                raise ValueError(f"{name} is not for files of Keras; {filepath} must fit the model.")
        kerasfile.load_weights(model, filepath)
        return
    if name_map is not None or foreign.is_foreign(filepath):
        foreign.load_weights(model, weight_names(model), filepath, name_map, skip_mismatch)
        return
    with tensorfile.opened(filepath) as saved:
        weights = weight_names(model)
        if skip_mismatch:
            weights = _fitting(weights, saved)
        else:
            check_fit(model, saved)
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
        warn_user(f"{saved.path} does not fit {_listed(left)}: these weights stay as they are.")
    return fit


def _check_complete(model):
    if not hasattr(model, "is_complete"):
        raise TypeError(f"model must be a model; got {model!r:.80}.")
    if not model.is_complete():
        raise _unbuilt(model)


def _check_target(model, path, overwrite):
    _check_complete(model)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path} is there already, and overwrite=False keeps it.")


# Names


def weight_names(model) -> dict:
    """ "conv2d/kernel" to Parameter; a weight of the model's own has its name alone. A layer with an automatic name
    counts by its class within the model, so that the names do not depend on what was made before; a layer that the
    user named keeps its name."""
    taken, counts = set(), {}
    names = {free_name(weight.name, taken, counts): weight for weight in [*model._weights, *model._fixed_weights]}
    layers = model._sublayers()
    taken, counts = {layer.name for layer in layers if not _automatic(layer)}, {}
    for layer in layers:
        stem = free_name(snake_case(type(layer).__name__), taken, counts) if _automatic(layer) else layer.name
        for name, weight in _layer_names(layer).items():
            names[f"{stem}/{name}"] = weight
    return names


def _automatic(layer) -> bool:
    return re.fullmatch(re.escape(snake_case(type(layer).__name__)) + r"(_\d+)?", layer.name) is not None


def _layer_names(layer) -> dict:
    if hasattr(layer, "layers"):
        return weight_names(layer)
    taken, counts = set(), {}
    return {free_name(weight.name, taken, counts): weight for weight in layer.kept_weights()}


# Compile settings


def _compile_config(model) -> dict:
    return {
        "optimizer": registry.serialize(model.optimizer),
        "iterations": model.optimizer.calls,
        **model._trainer.objective.get_config(),
    }


def _compile(model, config, saved) -> dict:
    """Compiles the model; the optimizer's state arrays for which the file has a tensor, by its name."""
    optimizer = optimizers.get(config["optimizer"])
    model._trainer.restore(optimizer, Objective.from_config(config))
    optimizer.calls = config["iterations"]
    return state_arrays(model, saved, optimizer)


def state_arrays(model: Any, saved: tensorfile.Opened, optimizer: Any, owner: str = "") -> dict[str, np.ndarray]:
    """An optimizer's state arrays for which there is a tensor in a file, by its name; `owner` as in
    optimizer_tensors."""
    arrays = {}
    for name, weight in weight_names(model).items():
        stored = [_slot_name(owner, slot, name) for slot in optimizer.all_slots]
        if any(entry in saved.tensors for entry in stored):
            for entry, array in zip(stored, optimizer.slot_arrays(weight)):
                _check(entry, saved.tensors.get(entry), array)
                arrays[entry] = array
    return arrays


def optimizer_tensors(model: Any, optimizer: Any, owner: str = "") -> dict[str, np.ndarray]:
    """An optimizer's state by the names that a file has for it; `owner` is the model's attribute that holds it, "" for
    that of compile."""
    return {
        _slot_name(owner, slot, name): array
        for name, weight in weight_names(model).items() if weight in optimizer._state
        for slot, array in zip(optimizer.all_slots, optimizer.slot_arrays(weight))
    }  # fmt: skip


def _slot_name(owner, slot, name):
    return f"optimizer{':' if owner else ''}{owner}.{slot}/{name}"


# Files


def _tensors(model) -> dict:
    return {name: weight.data for name, weight in weight_names(model).items()}


def check_name(path: Path, weights: bool) -> None:
    """Raises ValueError for a name of another kind of file, before there is anything to write; `weights`: alone."""
    if not (kerasfile.is_weights if weights else kerasfile.is_archive)(path):
        _check_ending(os.fsdecode(path))


def _check_ending(path):
    if os.path.realpath(path).endswith((".keras", ".h5", ".hdf5", ".pt", ".pth")):
        raise ValueError(
            f"A model goes into *.safetensors or *.keras, weights alone into *.safetensors or *.weights.h5; got {path!r}."
        )


def _write(path, tensors, facts):
    path = os.fsdecode(path)
    _check_ending(path)
    tensorfile.write(path, tensors, facts)


def check_fit(model: Any, saved: tensorfile.Opened) -> None:
    """Raises ValueError unless the file holds the model's weights and, for some of them, an optimizer's state."""
    weights, found = weight_names(model), saved.tensors.keys()
    missing = sorted(weights.keys() - found)
    beyond = [name for name in found - weights.keys() if _state_of(name) not in weights]
    extra = sorted(name for name in beyond if not name.startswith(KEPT))
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
    return name.partition("/")[2] if name.startswith(("optimizer.", "optimizer:")) else ""


def _matches(saved, wanted):
    return saved is not None and saved.shape == wanted.shape and saved.dtype == wanted.dtype


def _check(name, saved, wanted):
    if saved is None:
        raise ValueError(f"{name} is not there, and other parts of the optimizer's state are.")
    if not _matches(saved, wanted):
        raise ValueError(
            f"{name} has shape {saved.shape} and dtype {saved.dtype}; {wanted.shape} and {wanted.dtype} are needed."
        )


def _unbuilt(model) -> ValueError:
    return ValueError(f"{model.name!r} is not built, so it has no weights yet: give it an input shape, or call it.")


def _reason(error) -> str:
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
