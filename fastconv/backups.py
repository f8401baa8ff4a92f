"""Backups: what a run of `fit` needs to go on elsewhere, in one tensor file, and how a run takes it up again.

modelfile.py knows models and their names, tensorfile.py the file. Contract: a backup holds the weights, every optimizer
of the model, epoch and step, all random streams, the sums of the running epoch, and what callbacks want kept (arrays
among it, too); `load` takes all of it or raises ValueError, naming the file, and takes none.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fastconv import modelfile, rng, tensorfile
from fastconv.layers.shapes import map_shapes
from fastconv.optimizers import Optimizer
from fastconv.tensor import Tensor

VERSION = 1


def save(model: Any, path: modelfile.Path, epoch: int, step: int) -> None:
    """Writes the state of the model's run after `step` steps of an epoch, whole or not at all."""
    trainer, arrays = model._trainer, {}
    optimizers = _optimizers(model)
    kept = {
        "results": trainer.run.sums or trainer.run.results.get_state(),
        "callbacks": [[type(callback).__name__, callback.get_state()] for callback in trainer.run.callbacks.callbacks],
        "variables": {name: [v.data for v in optimizer._own_variables] for name, optimizer in optimizers.items()},
    }
    facts = {
        "version": VERSION, "epoch": epoch, "step": step, "shape": model._build_shape, "began": trainer.began,
        "drawn": trainer.drawn, "random": rng.get_state(), "sources": [source.state.tolist() for source in _sources(model)],
        "optimizers": {name: [o.calls, float(o.learning_rate), o.holds_averages] for name, o in optimizers.items()},
        "kept": _packed(kept, arrays),
    }  # fmt: skip
    tensors = {name: weight.data for name, weight in modelfile.weight_names(model).items()} | arrays
    for name, optimizer in optimizers.items():
        tensors |= modelfile.optimizer_tensors(model, optimizer, name)
    tensorfile.write(path, tensors, {"training": json.dumps(facts)})


def load(model: Any, path: modelfile.Path) -> dict[str, Any]:
    """Puts what `save` wrote into the compiled model, builds it where it is not, and gives the facts for the run."""
    optimizers = _optimizers(model)
    with tensorfile.opened(path) as saved:
        if "training" not in saved.facts:
            raise ValueError(f"{path} is no backup of a run.")
        facts = json.loads(saved.facts["training"])
        if facts.get("version") != VERSION:
            raise ValueError(f"{path} is a backup of another version of fastconv: take it away to start anew.")
        if not model.built and facts["shape"] is not None:
            model.build(map_shapes(tuple, facts["shape"]))
        modelfile.check_fit(model, saved)
        if facts["optimizers"].keys() != optimizers.keys():
            raise ValueError(
                f"{path} holds the state of {len(facts['optimizers'])} optimizers; the model has {len(optimizers)}."
            )
        weights = modelfile.weight_names(model)
        arrays = {name: weight.array for name, weight in weights.items()}
        for name, optimizer in optimizers.items():
            arrays |= modelfile.state_arrays(model, saved, optimizer, name)
        found = {name: np.empty_like(array) for name, array in arrays.items()}
        found |= {
            name: np.empty(entry.shape, entry.dtype)
            for name, entry in saved.tensors.items()
            if name.startswith(modelfile.KEPT)
        }
        saved.read(found)
    for name, array in arrays.items():
        np.copyto(array, found[name])
    for weight in weights.values():
        weight.version += 1
    facts["kept"] = _unpacked(facts["kept"], found)
    _take(model, optimizers, facts)
    return facts


def _take(model, optimizers, facts):
    """The optimizers' numbers and own variables, and the streams that layers have for themselves."""
    for name, optimizer in optimizers.items():
        calls, rate, averages = facts["optimizers"][name]
        optimizer.calls, optimizer.holds_averages = calls, averages
        if optimizer.learning_rate != rate:
            optimizer.learning_rate = rate
        values = facts["kept"]["variables"][name]
        if len(values) != len(optimizer._own_variables):
            optimizer.build(model.trainable_weights)
        for variable, value in zip(optimizer._own_variables, values):
            variable.assign(value)
    for source, state in zip(_sources(model), facts["sources"]):
        source.state[...] = np.array(state, np.uint64)


def _optimizers(model):
    """The optimizer of compile under "", and those that are the model's attributes by their names."""
    own = {name: value for name, value in vars(model).items() if isinstance(value, Optimizer)}
    return {"": model.optimizer} | {name: value for name, value in own.items() if value is not model.optimizer}


def _sources(model):
    """The streams of random numbers that the model's layers have of their own."""
    found = [value for layer in model.flatten_layers() for value in vars(layer).values()]
    return [value for value in found if isinstance(value, rng.SeedGenerator)]


def _packed(value, arrays):
    """JSON values, with a place in `arrays` for each array."""
    if isinstance(value, dict):
        return {key: _packed(part, arrays) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(part, arrays) for part in value]
    if isinstance(value, np.ndarray):
        name = f"{modelfile.KEPT}{len(arrays)}"
        arrays[name] = np.array(value, np.float32 if value.dtype == np.float32 else np.float64)
        return {modelfile.KEPT: name}
    if isinstance(value, (np.generic, Tensor)):
        return _packed(value.item() if value.size == 1 else value.data, arrays)
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ValueError(
            f"A backup holds numbers, texts and arrays of the logs and of callbacks' get_state(); got {value!r:.80}."
        )
    return value


def _unpacked(value, arrays):
    if isinstance(value, list):
        return [_unpacked(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if modelfile.KEPT in value:
        return arrays[value[modelfile.KEPT]]
    return {key: _unpacked(part, arrays) for key, part in value.items()}
