"""What Keras 3's files hold of training: the arguments of compile as JSON, the optimizer's state as arrays.

Keras keeps `optimizer/vars/<i>`: the number of steps, the learning rate (unless a schedule gives it), then the state of
each weight, in the order in which Keras' optimizers make it. Contract: `restore` compiles a model and gives its optimizer
the state of a file, all of it or none; what does not fit is a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv import losses, metrics, optimizers, registry
from fastconv.kerasfile import configs, weights, writing
from fastconv.optimizers import Nadam, Optimizer
from fastconv.tensor import Parameter

COMPILED = {"loss": losses.get, "loss_weights": None, "metrics": metrics.get, "weighted_metrics": metrics.get}
GROUP = "optimizer/vars"


def config_of(model: Any) -> dict[str, Any]:
    """The compile config of a compiled model; ValueError for what Keras does not have or a file cannot hold."""
    settings = model._trainer.objective.get_config()
    rooms = {"loss": "fastconv.losses", "metrics": "fastconv.metrics", "weighted_metrics": "fastconv.metrics"}
    written = {key: writing.write(_placed(value, rooms.get(key))) for key, value in settings.items()}
    return {"optimizer": writing.write(registry.serialize(model.optimizer)), **written}


def _placed(value, room):
    """A nest of entries, each with the room that its class stands in: some names are a loss's and a metric's."""
    if isinstance(value, (list, tuple)):
        return [_placed(part, room) for part in value]
    if not isinstance(value, dict):
        return value
    if registry.is_entry(value):
        return {"module": room, **value}
    return {key: _placed(part, room) for key, part in value.items()}


def restore(model: Any, settings: dict, file: Any) -> None:
    """Compiles the model by a compile config and takes the optimizer's state out of an open HDF5 file."""
    made = {name: configs.clean(settings.get(name)) for name in ("optimizer", *COMPILED)}
    objective = {name: _objects(made[name], get) if get else made[name] for name, get in COMPILED.items()}
    model.compile(optimizer=optimizers.get(made["optimizer"]), **objective)
    _read(file, model)


def _objects(value, get):
    """A nest of names and configs with an object for each config."""
    if registry.is_entry(value):
        return get(value)
    if isinstance(value, dict):
        return {key: _objects(part, get) for key, part in value.items()}
    return [_objects(part, get) for part in value] if isinstance(value, list) else value


# State


def write(file: Any, model: Any) -> None:
    """Puts the optimizer's state into an open HDF5 file; of one that took no step, the first numbers alone."""
    optimizer, group = model.optimizer, file.create_group(GROUP)
    group.attrs["name"] = optimizer.name
    state = list(_state(optimizer, model.trainable_weights))
    for i, (slot, weight) in enumerate(state if optimizer.calls else _head(optimizer)):
        group.create_dataset(str(i), data=_value(optimizer, slot, weight))


def _read(file, model):
    optimizer = model.optimizer
    group = weights.child(file, GROUP, missing=True)
    names = [] if group is None else sorted(group.keys(), key=lambda name: (len(name), name))
    head, state = _head(optimizer), list(_state(optimizer, model.trainable_weights))
    if len(names) not in (0, len(head), len(state)):
        raise ValueError(
            f"{GROUP} holds {len(names)} arrays, and {type(optimizer).__name__} on these weights has {len(state)}: its state was "
            "left out."
        )
    found = []
    for name, (slot, weight) in zip(names, state):
        old = _value(optimizer, slot, weight)
        found.append((slot, weight, weights.array(group, f"{GROUP}/{name}", name, old.shape, old.dtype, slot)))
    for slot, weight, value in found:
        if slot == "iteration":
            optimizer.calls = int(value)
        elif slot == "learning_rate":
            optimizer.learning_rate = float(str(np.float32(value)))  # 0.001, not 0.0010000000474974513
        elif slot == "product":
            continue  # of the weights of all steps before, which Nadam knows by their number
        elif slot is None:
            weight.assign(value)
        else:
            np.copyto(_slot(optimizer, slot, weight), value)


def _head(optimizer):
    return [("iteration", None), *([("learning_rate", None)] if type(optimizer._learning_rate) is float else [])]


def _state(optimizer: Optimizer, trained: list[Parameter]) -> Iterator[tuple[str | None, Parameter | None]]:
    """(slot, weight) for all that Keras keeps of an optimizer, in its order; no slot for a variable of its own."""
    yield from _head(optimizer)
    yield from optimizer.state_order(trained)
    if isinstance(optimizer, Nadam):
        yield "product", None
    yield from ((None, variable) for variable in optimizer._own_variables)


def _slot(optimizer, slot, weight):
    return optimizer.slot_arrays(weight)[optimizer.all_slots.index(slot)]


def _value(optimizer, slot, weight):
    if slot == "iteration":
        return np.asarray(optimizer.calls, np.int32 if optimizer.calls < 2**31 else np.int64)
    if slot == "learning_rate":
        return np.asarray(optimizer._learning_rate, np.float32)
    if slot == "product":
        return np.asarray(math.prod(optimizer._weight(step + 1) for step in range(optimizer.iterations)), np.float32)
    return weight.data if slot is None else _slot(optimizer, slot, weight)
