"""Objects and nests of them as JSON values, and back: `serialize_keras_object` and its inverse.

It imports nothing and calls nothing that is not in a table (registry.TABLES, FUNCTIONS) or offered by the program
itself (custom_objects.py). Contract: `deserialize(serialize(x))` equals x for numbers, strings, None, lists, tuples,
dicts with string keys, slices, NumPy arrays and dtypes, and for objects of fastconv's classes or registered ones; what
a config cannot hold raises ValueError or TypeError that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastconv import custom_objects as own
from fastconv import registry
from fastconv.custom_objects import custom_object_scope

FUNCTIONS: dict[str, Mapping[str, Callable[..., Any]]] = {}  # "fastconv.activations" -> its functions by name


def serialize(obj: Any) -> Any:
    """`obj` as JSON values."""
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, list):
        return [serialize(part) for part in obj]
    if isinstance(obj, tuple):
        return {"class_name": "__tuple__", "config": [serialize(part) for part in obj]}
    if isinstance(obj, dict):
        unfit = next((key for key in obj if not isinstance(key, str)), None)
        if unfit is not None:
            raise TypeError(f"A config holds dicts with strings as keys; got the key {unfit!r}.")
        return {key: serialize(part) for key, part in obj.items()}
    if isinstance(obj, np.dtype):
        return {"class_name": "__dtype__", "config": obj.name}
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, slice):
        return {"class_name": "__slice__", "config": [serialize(end) for end in (obj.start, obj.stop, obj.step)]}
    if isinstance(obj, np.ndarray) and obj.dtype.kind in "biuf":
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, type) or not hasattr(obj, "get_config"):
        return _function(obj)
    return registry.described(obj)


def _function(thing: Any) -> dict[str, Any]:
    """The entry of a class or function by its name."""
    name, room = own.name_of(thing), registry.room_of(thing)
    if name is None:
        name = next((known for known, entry in FUNCTIONS.get(room, {}).items() if entry is thing), None)
    if name is None or not callable(thing):
        raise ValueError(
            f"{thing!r:.100} cannot be put into a config: it has no get_config(), and is no function that fastconv "
            "knows. Register functions and classes with @fastconv.saving.register_keras_serializable()."
        )
    return {"module": room, "class_name": "function", "config": name}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `serialize` described; ValueError, with near matches, for an unknown name.

    `custom_objects` maps names to classes or functions of the program's own.
    """
    with custom_object_scope(custom_objects):
        return _deserialize(config)


def _deserialize(config: Any) -> Any:
    if isinstance(config, list):
        return [_deserialize(part) for part in config]
    if not isinstance(config, dict):
        return config
    if not registry.is_entry(config):
        return {key: _deserialize(part) for key, part in config.items()}
    kind, value = config["class_name"], config.get("config")
    if kind in _VALUES:
        return _VALUES[kind](value)
    room = str(config.get("module"))
    if kind == "function":
        return _named_function(value, room)
    return _table(room, config).build(config)


def _named_function(name: Any, room: str) -> Any:
    found = own.find(name)
    if found is None:
        known = FUNCTIONS.get(room, {})
        if name not in known:
            raise registry.unknown_name("function", name, [*known, *own.names()])
        found = known[name]
    return found


def _table(room: str, config: dict[str, Any]) -> registry.Registry:
    """The table in which the class of an entry is looked up, by its module or else by its name alone."""
    if room in registry.TABLES:
        return registry.TABLES[room]
    tables = list(dict.fromkeys(registry.TABLES.values()))
    knowing = [table for table in tables if table.knows(config["class_name"])]
    return (knowing or tables)[0]


def revived(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments in `config`, those that `serialize` wrote made objects again; all others as they are, since
    constructors take names and configs of initializers and their kind."""
    if not isinstance(config, dict):
        raise TypeError(f"A config is a dict of arguments, as get_config gives it; got {config!r}.")
    return {name: _revive(value) for name, value in config.items()}


def _revive(value: Any) -> Any:
    if isinstance(value, list):
        return [_revive(part) for part in value]
    if isinstance(value, dict):
        if registry.is_entry(value):
            kind = value["class_name"]
            made = "module" in value or "registered_name" in value or kind in _VALUES or own.find(kind) is not None
            return _deserialize(value) if made else value
        return {key: _revive(part) for key, part in value.items()}
    return value


_VALUES: dict[str, Callable[[Any], Any]] = {
    "__tuple__": lambda value: tuple(map(_deserialize, value)),
    "__slice__": lambda value: slice(*value),
    "__dtype__": np.dtype,
    "__numpy__": lambda value: np.array(value["value"], value["dtype"]),
}


def texts(value: Any) -> list[str] | None:
    """A list or tuple of texts as a list; None for anything else."""
    if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        return list(value)
    return None
