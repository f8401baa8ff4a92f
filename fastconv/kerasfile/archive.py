"""Opening, checking and writing Keras 3's files.

A `.keras` file is a zip of metadata.json, config.json and model.weights.h5; `.weights.h5` is the last one alone.
Contract: as in __init__.py; the file is written whole or not at all.
"""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from fastconv.files import check_regular, write_whole
from fastconv.kerasfile import Path, configs, is_archive, is_legacy, legacy, training, weights, writing
from fastconv.layers.holder import uninitialized_weights
from fastconv.progress import warn_user
from fastconv.serialization import texts

VERSION = "3.0.0"  # of Keras, whose form is written
CONFIG_LIMIT = 64 << 20  # bytes of JSON
PARTS = ("metadata.json", "config.json", "model.weights.h5")


def load_model(path: Path, compile: bool = True) -> Any:
    """The model of a `.keras` file, compiled as it was, with its optimizer's state."""
    problem = None
    check_regular(path, "model file")
    with _reported(path), _opened(path) as archive:
        facts = _facts(archive)
        config = json.loads(_limited(archive, "config.json"))
        size = archive.getinfo("model.weights.h5").compress_size
        # How well its arrays are compressed is not known, but what can be is: about 1000 to 1.
        with uninitialized_weights(max(64 << 20, 1024 * size)):
            model = configs.read_model(config)
        if not model.built:
            raise ValueError("the model in it has no input shape")
        if (names := texts(facts.get("class_names"))) is not None:
            model.class_names = names
        with archive.open("model.weights.h5") as part, _h5(part, "r") as file:
            _assign(model, file)
            if compile and config.get("compile_config"):
                try:
                    training.restore(model, config["compile_config"], file)
                except (ValueError, TypeError, KeyError) as error:
                    problem = error
    if problem is not None:
        what = "its compile settings were left out" if model.optimizer is None else "its optimizer starts anew"
        warn_user(f"{path}: {what}: {problem} Compile the model again.")
    return model


def save_model(model: Any, path: Path) -> None:
    """Writes a built Sequential or Model(inputs, outputs) as a `.keras` file, which Keras 3 loads."""
    with _reported(path):
        entry, compiled = writing.write_model(model), model.optimizer is not None
        if compiled:
            try:
                entry["compile_config"] = training.config_of(model)
            except ValueError as error:
                compiled = False
                warn_user(f"{path} holds no compile settings: {error} Compile the model again after load_model.")
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d@%H:%M:%S")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        names = texts(model.class_names)
        facts = {} if names is None else {"class_names": names}  # Keras passes over it
        archive.writestr(PARTS[0], json.dumps({"keras_version": VERSION, "date_saved": date, **facts}))
        archive.writestr(PARTS[1], json.dumps(entry))
        archive.writestr(PARTS[2], _weights_bytes(model, compiled))
    write_whole(path, out.getvalue())


def save_weights(model: Any, path: Path) -> None:
    """Writes a built model's weights as a `.weights.h5` file, which Keras 3's `load_weights` takes."""
    write_whole(path, _weights_bytes(model))


def load_weights(model: Any, path: Path) -> None:
    """Puts the weights of a `.weights.h5` or `.keras` file, or of Keras 2's `.h5`, into a built model; all, or none."""
    check_regular(path, "file of weights")
    with _reported(path):
        if is_archive(path):
            with _opened(path) as archive, archive.open("model.weights.h5") as part, _h5(part, "r") as file:
                _assign(model, file)
        else:
            with open(path, "rb") as part, _h5(part, "r") as file:
                old = is_legacy(path) or ("layer_names" in file.attrs and "layers" not in file)
                _assign_all(model, legacy.read(file, model)) if old else _assign(model, file)


def _assign(model, file):
    known = {path.split("/")[1] for path, *_ in weights.places(model) if path.startswith("layers/")}
    beyond = sorted(set(weights.child(file, "layers", missing=True) or ()) - known) if known else []
    if beyond:
        raise ValueError(f"it holds {len(beyond)} layers beyond the model's: {', '.join(beyond[:5])}")
    found, read, stores, kept = [], set(), [], []
    for group, layer, own in weights.places(model):
        # A layer that models share is in the file once.
        if not (layer in read and weights.child(file, group, missing=True) is None):
            if weights.keeps_itself(layer):
                stores.append((layer, weights.read_own(file, group, layer)))
                kept += own
            else:
                found += zip(own, weights.read(file, group, layer, own))
            read.add(layer)
    _assign_all(model, found, kept)
    for layer, store in stores:
        layer.load_own_variables(store)


def _assign_all(model, found, kept=()):
    """`kept` are the weights that their layers take by themselves."""
    if {id(weight) for weight in (*(weight for weight, _ in found), *kept)} != {id(weight) for weight in model.weights}:
        raise ValueError("the model holds weights at places that Keras' files have no name for")
    for weight, array in found:
        weight.assign(array)


def _weights_bytes(model, compiled=False):
    content = io.BytesIO()
    with _h5(content, "w") as file:
        weights.write(file, model)
        if compiled:
            training.write(file, model)
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


def _facts(archive):
    """What metadata.json says; ValueError where it names another Keras."""
    facts = json.loads(_limited(archive, "metadata.json"))
    if not str(facts.get("keras_version")).startswith("3."):
        raise ValueError(f"it was written by Keras {facts.get('keras_version')}; fastconv reads the files of Keras 3")
    return facts


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
