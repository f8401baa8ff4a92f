"""Classes and functions of the user's own, by name: what configs may name beyond fastconv's tables.

It holds names and makes nothing; registry.py and activations.py ask it. Contract: `find` looks in the scopes that this
thread is in, the innermost first, then among what was registered for good; only what the program itself put there is
ever found, so a file can name the user's classes but bring none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import FunctionType, NoneType, TracebackType
from typing import Any, TypeVar

_Thing = TypeVar("_Thing", bound=Callable[..., Any])
_registered: dict[str, Any] = {}  # what get_custom_objects gives
_names: dict[Any, str] = {}  # thing -> the name it was registered under


class _Scopes(threading.local):
    tables: tuple[dict[str, Any], ...] = ()


_scopes = _Scopes()


class CustomObjectScope:
    """`with CustomObjectScope({"MyLayer": MyLayer}): ...`: configs that are read inside may name these things.

    `custom_objects` is a dict from names to classes or functions, or None for none. Scopes nest, and belong to one
    thread.
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None):
        if not isinstance(custom_objects or {}, Mapping):
            raise TypeError(
                f"custom_objects must be a dict from names to classes or functions; got {custom_objects!r}."
            )
        self.custom_objects = dict(custom_objects or {})
        self._previous: list[tuple[dict[str, Any], ...]] = []  # one object may be entered again

    def __enter__(self) -> CustomObjectScope:
        self._previous.append(_scopes.tables)
        if self.custom_objects:
            _scopes.tables = (self.custom_objects, *_scopes.tables)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _scopes.tables = self._previous.pop()


custom_object_scope = CustomObjectScope


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[_Thing], _Thing]:
    """The decorator that registers a class or a function as "package>name", by default under its own name, so that
    configs and files hold it and are read without `custom_objects`.

    A class needs `get_config`. ValueError for a name that another thing has; a class that is defined anew (in a
    notebook) takes its name over.
    """
    if not isinstance(package, str):
        raise TypeError(
            f"package must be a string; got {package!r}. The decorator is called: @register_keras_serializable()."
        )

    def register(thing: _Thing) -> _Thing:
        full = f"{package}>{name or thing.__name__}"
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(
                f"{thing.__name__} needs a method get_config() to be registered: it returns its arguments."
            )
        known = _registered.get(full)
        if known is not None and _place(known) != _place(thing):
            raise ValueError(f"{full!r} is registered already, for {known!r}: choose another name or package.")
        _registered[full], _names[thing] = thing, full
        return thing

    return register


def get_custom_objects() -> dict[str, Any]:
    """The dict of what is registered for good; what a program puts into it, configs may name."""
    return _registered


def get_registered_name(obj: Any) -> str:
    """The name that a class or function was registered under, else its own."""
    name = registered_name(obj) or getattr(obj, "__name__", None)
    if name is None:
        raise TypeError(f"obj must be a class or a function; got {obj!r}.")
    return name


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """The class or function of this name: of the scopes, the registered ones, `custom_objects`, or `module_objects`;
    None if there is none."""
    for argument, value in (("custom_objects", custom_objects), ("module_objects", module_objects)):
        if not isinstance(value, (Mapping, NoneType)):
            raise TypeError(f"{argument} must be a dict of classes and functions by name, or None; got {value!r}.")
    found = find(name, custom_objects)
    return (module_objects or {}).get(name) if found is None else found


def registered_name(thing: Any) -> str | None:
    """The "package>name" of a thing that was registered, or None."""
    try:
        return _names.get(thing)
    except TypeError:  # it cannot be hashed, so it was not registered
        return None


def find(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The thing of this name in `custom_objects`, the scopes, or among the registered ones; None if there is none."""
    for table in (custom_objects or {}, *_scopes.tables, _registered):
        if isinstance(name, str) and name in table:
            return table[name]
    return None


def name_of(thing: Any) -> str | None:
    """The name under which `find` gives this thing back, or None; a named function of the program's own has its own
    name, which who reads the config offers in `custom_objects`."""
    full = registered_name(thing)
    if full is not None:
        return full
    for table in (*_scopes.tables, _registered):
        for name, entry in table.items():
            if entry is thing:
                return name
    own = isinstance(thing, FunctionType) and thing.__module__.partition(".")[0] != __name__.partition(".")[0]
    return thing.__name__ if own and thing.__name__.isidentifier() else None  # a lambda has none


def names(custom_objects: Mapping[str, Any] | None = None) -> list[str]:
    """All names that `find` knows now."""
    return [name for table in (custom_objects or {}, *_scopes.tables, _registered) for name in table]


def _place(thing: Any) -> tuple[Any, Any]:
    """Where a thing was defined: a class that is made anew at its place replaces the old one."""
    return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
