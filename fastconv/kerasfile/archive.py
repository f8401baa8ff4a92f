"""Opening, checking and writing Keras 3's files.

A `.keras` file is a zip of metadata.json, config.json and model.weights.h5; `.weights.h5` is the last one alone.
Contract: as in __init__.py; the file is written whole or not at all.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from fastconv import losses, metrics, optimizers, registry
from fastconv.files import write_whole
from fastconv.kerasfile import Path, configs, is_archive, weights
from fastconv.layers.holder import uninitialized_weights
from fastconv.serialization import texts

VERSION = "3.0.0"  # of Keras, whose form is written
CONFIG_LIMIT = 64 << 20  # bytes of JSON
ROOMS = ("optimizers", "losses", "metrics")
COMPILED = ("loss", "loss_weights", "metrics", "weighted_metrics")
PARTS = ("metadata.json", "config.json", "model.weights.h5")


def load_model(path: Path, compile: bool = True) -> Any:
    """The model of a `.keras` file, compiled as it was; its optimizer starts anew."""
    with _reported(path), _opened(path) as archive:
        config = json.loads(_limited(archive, "config.json"))
        size = archive.getinfo("model.weights.h5").compress_size
        # How well its arrays are compressed is not known, but what can be is: about 1000 to 1.
        with uninitialized_weights(max(64 << 20, 1024 * size)):
            model = configs.read_model(config)
        if not model.built:
            raise ValueError("the model in it has no input shape")
        if (names := texts(json.loads(_limited(archive, PARTS[0])).get("class_names"))) is not None:
            model.class_names = names
        with archive.open("model.weights.h5") as part, _h5(part, "r") as file:
            _assign(model, file)
    settings = config.get("compile_config")
    if compile and settings:
        try:
            _compile(model, settings)
        except (ValueError, TypeError, KeyError) as error:
            warnings.warn(f"{path}: its compile settings were left out: {error} Compile the model again.", stacklevel=3)
    return model


def save_model(model: Any, path: Path) -> None:
    """Writes a built Sequential or Model(inputs, outputs) as a `.keras` file, which Keras 3 loads."""
    with _reported(path):
        entry = configs.write_model(model)
        if model.optimizer is not None:
            entry["compile_config"] = _compile_config(model)
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d@%H:%M:%S")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        names = texts(model.class_names)
        facts = {} if names is None else {"class_names": names}  # Keras passes over it
        archive.writestr(PARTS[0], json.dumps({"keras_version": VERSION, "date_saved": date, **facts}))
        archive.writestr(PARTS[1], json.dumps(entry))
        archive.writestr(PARTS[2], _weights_bytes(model))
    write_whole(path, out.getvalue())


def save_weights(model: Any, path: Path) -> None:
    """Writes a built model's weights as a `.weights.h5` file, which Keras 3's `load_weights` takes."""
    write_whole(path, _weights_bytes(model))


def load_weights(model: Any, path: Path) -> None:
    """Puts the weights of a `.weights.h5` or `.keras` file into a built model; all of them, or none."""
    with _reported(path):
        if is_archive(path):
            with _opened(path) as archive, archive.open("model.weights.h5") as part, _h5(part, "r") as file:
                _assign(model, file)
        else:
            with open(path, "rb") as part, _h5(part, "r") as file:
                _assign(model, file)


def _assign(model, file):
    found = [(weight, array) for group, layer, own in weights.places(model)
             for weight, array in zip(own, weights.read(file, group, layer, own))]  # fmt: skip
    if {id(weight) for weight, _ in found} != {id(weight) for weight in model.weights}:
        raise ValueError("the model holds weights at places that Keras' files have no name for")
    for weight, array in found:
        weight.assign(array)


def _weights_bytes(model):
    content = io.BytesIO()
    with _h5(content, "w") as file:
        weights.write(file, model)
    return content.getvalue()


def _h5(file, mode):
    try:
        import h5py
    except ImportError as error:
        raise ImportError("Keras' files need h5py: pip install 'fastconv[keras]'.") from error
    return h5py.File(file, mode)


@contextmanager
def _opened(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if sorted(names) != sorted(PARTS):
            raise ValueError(f"it must hold {', '.join(PARTS)}; it holds {', '.join(names[:5]) or 'nothing'}")
        yield archive


def _limited(archive, name):
    with archive.open(name) as part:
        content = part.read(CONFIG_LIMIT + 1)
    if len(content) > CONFIG_LIMIT:
        raise ValueError(f"{name} is longer than {CONFIG_LIMIT:,} bytes")
    return content


@contextmanager
def _reported(path):
    """Whatever a wrong file leads to is a ValueError that names it."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None and error.filename is not None:
            raise  # there is no such file, or it may not be read
        raise ValueError(f"{path}: it is damaged, or no file of Keras 3: {error}.") from error
    except Exception as error:  # a file may hold anything, and lead to any error
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: {reason.rstrip('.')}.") from error


# Compile settings


def _compile(model, settings):
    made = {name: configs.clean(settings.get(name)) for name in ("optimizer", *COMPILED)}
    tables = {"loss": losses.get, "metrics": metrics.get, "weighted_metrics": metrics.get}
    model.compile(
        optimizer=optimizers.get(made["optimizer"]), loss_weights=made["loss_weights"],
        **{name: _objects(made[name], get) for name, get in tables.items()},
    )  # fmt: skip


def _objects(value, get):
    """A nest of names and configs with an object for each config."""
    if registry.is_entry(value):
        return get(value)
    if isinstance(value, dict):
        return {key: _objects(part, get) for key, part in value.items()}
    return [_objects(part, get) for part in value] if isinstance(value, list) else value


def _compile_config(model):
    settings = {"optimizer": registry.serialize(model.optimizer), **model._trainer.objective.get_config()}
    return {key: _with_rooms(value) for key, value in settings.items()}


def _with_rooms(value):
    """Entries with the module that Keras looks their class up in."""
    if isinstance(value, (list, tuple)):
        return [_with_rooms(part) for part in value]
    if not isinstance(value, dict):
        return value
    entry = {key: _with_rooms(part) for key, part in value.items()}
    if not registry.is_entry(value):
        return entry
    room = next((room for room in ROOMS if registry.TABLES[f"fastconv.{room}"].knows(value["class_name"])), None)
    return entry if room is None else {**entry, "module": f"keras.{room}", "registered_name": None}
