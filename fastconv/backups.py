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
    trainer, arrays, state = model._trainer, {}, numbers(model)
    kept = {
        "results": trainer.run.sums or trainer.run.results.get_state(),
        "callbacks": [[type(callback).__name__, callback.get_state()] for callback in trainer.run.callbacks.callbacks],
        "variables": state["variables"],
    }
    facts = {
        "version": VERSION, "epoch": epoch, "step": step, "shape": model._build_shape, "began": trainer.began,
        "drawn": trainer.drawn, "random": rng.get_state(), "sources": state["sources"], "optimizers": state["optimizers"],
        "shards": _shards(model), "kept": _packed(kept, arrays),
    }  # fmt: skip
    tensors = {name: weight.data for name, weight in modelfile.weight_names(model).items()} | arrays
    for name, optimizer in optimizers(model).items():
        tensors |= modelfile.optimizer_tensors(model, optimizer, name)
    tensorfile.write(path, tensors, {"training": json.dumps(facts)})


def load(model: Any, path: modelfile.Path) -> dict[str, Any]:
    """Puts what `save` wrote into the compiled model, builds it where it is not, and gives the facts for the run."""
    known = optimizers(model)
    with tensorfile.opened(path) as saved:
        if "training" not in saved.facts:
            raise ValueError(f"{path} is no backup of a run.")
        facts = json.loads(saved.facts["training"])
        if facts.get("version") != VERSION:
            raise ValueError(f"{path} is a backup of another version of fastconv: take it away to start anew.")
        if facts.get("shards") != _shards(model):
            raise ValueError(
                f"{path} is a backup of a run with {_in_shards(facts.get('shards'))}, and this one has "
                f"{_in_shards(_shards(model))}, which gives other results: set that distribution, or take the file away to "
                "start anew."
            )
        if not model.built and facts["shape"] is not None:
            model.build(map_shapes(tuple, facts["shape"]))
        modelfile.check_fit(model, saved)
        if facts["optimizers"].keys() != known.keys():
            raise ValueError(
                f"{path} holds the state of {len(facts['optimizers'])} optimizers; the model has {len(known)}."
            )
        weights = modelfile.weight_names(model)
        arrays = {name: weight.array for name, weight in weights.items()}
        for name, optimizer in known.items():
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
    take_numbers(model, facts | {"variables": facts["kept"]["variables"]})
    return facts


def numbers(model: Any) -> dict[str, Any]:
    """The optimizers' numbers and own variables, and the streams that layers have for themselves."""
    found = optimizers(model).items()
    return {
        "optimizers": {name: [o.calls, float(o.learning_rate), o.holds_averages] for name, o in found},
        "variables": {name: [variable.data for variable in o._own_variables] for name, o in found},
        "sources": [stream.state.tolist() for stream in streams(model)],
    }


def take_numbers(model: Any, state: dict[str, Any]) -> None:
    """Puts what `numbers` gave into a model of the same structure."""
    for name, optimizer in optimizers(model).items():
        calls, rate, averages = state["optimizers"][name]
        optimizer.calls, optimizer.holds_averages = calls, averages
        if optimizer.learning_rate != rate:
            optimizer.learning_rate = rate
        values = state["variables"][name]
        if len(values) != len(optimizer._own_variables):
            optimizer.build(model.trainable_weights)
        for variable, value in zip(optimizer._own_variables, values):
            variable.assign(value)
    for stream, values in zip(streams(model), state["sources"]):
        stream.state[...] = np.array(values, np.uint64)


def optimizers(model: Any) -> dict[str, Optimizer]:
    """The optimizer of compile under "", and those that are the model's attributes by their names."""
    own = {name: value for name, value in vars(model).items() if isinstance(value, Optimizer)}
    return {"": model.optimizer} | {name: value for name, value in own.items() if value is not model.optimizer}


def streams(model: Any) -> list[rng.SeedGenerator]:
    """The streams of random numbers that the model's layers have of their own."""
    found = [value for layer in model.flatten_layers() for value in vars(layer).values()]
    return [value for value in found if isinstance(value, rng.SeedGenerator)]


def _shards(model):
    return None if model._trainer.sharding is None else model._trainer.sharding.shards


def _in_shards(number):
    return "no distribution" if number is None else f"DataParallel(shards={number})"


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
