"""Files and configs, under Keras' names: models in files, their weights alone, and objects as JSON values.

Not the file's format, which is modelfile.py's, and no table of classes. Contract: reading runs nothing that stands in a
file; it builds fastconv's own classes, and those that the program registered or passes as `custom_objects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastconv import losses, metrics, optimizers, schedules  # noqa: F401 (their tables)
from fastconv.absent import explain as _explain
from fastconv.custom_objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from fastconv.modelfile import load_weights, save_weights
from fastconv.models import load_model, save_model
from fastconv.serialization import deserialize
from fastconv.serialization import serialize as serialize_keras_object

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects", "get_registered_name",
    "get_registered_object", "load_model", "load_weights", "register_keras_serializable", "save_model", "save_weights",
    "serialize_keras_object",
]  # fmt: skip


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object, or nest of objects, that `serialize_keras_object` described.

    `custom_objects` maps names to classes or functions of the program's own. ValueError, with near matches, for an
    unknown name. `safe_mode` changes nothing: a config never holds code.
    """
    return deserialize(config, custom_objects)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
