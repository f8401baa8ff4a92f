"""Names and configs that become objects: the Registry of one kind of class, and what the classes in it share.

It knows no class by name; initializers, losses, metrics, optimizers and layers each make their own table. Contract:
nothing outside a table and what the program itself offers (custom_objects.py) is ever imported or called, so a config
from a file can build only those classes; an unknown name is an error with near matches.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import numbers
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from fastconv import custom_objects as own
from fastconv.absent import near_names
from fastconv.custom_objects import custom_object_scope

_LISTED = 20  # names, up to which all are told beside the near ones
_WRAPPERS: set[type] = set()  # the classes whose objects stand for a function
TABLES: dict[str, Registry] = {}  # "fastconv.losses" -> the Registry of the classes that stand there


def unknown_name(kind: str, name: Any, known: Collection[str]) -> ValueError:
    """The error for a name that is not in a table: near matches first, then all that there is, unless
    that is much and some are near."""
    if "_" in str(name) and str(name).islower():  # answered as it was asked
        known = {entry if entry.islower() or ">" in entry else snake_case(entry) for entry in known}
    near = near_names(str(name), known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    if not near or sum(">" not in entry for entry in known) <= _LISTED:  # a program's own have a ">"
        hint += f" Known: {', '.join(sorted(known))}."
    return ValueError(f"Unknown {kind} {name!r}.{hint}")


def reject_arguments(
    owner: str, given: Iterable[str], accepted: Collection[str], not_built: Collection[str] = ()
) -> None:
    """Raises TypeError for the first name in `given`, if any: `owner` does not take it.

    `accepted` are the names it takes (near matches are offered), `not_built` Keras' names that are still to come.
    """
    for name in given:
        if name in not_built:
            raise TypeError(f"{owner} does not support Keras' argument {name!r} yet; leave it out.")
        near = "learning_rate" if name == "lr" else next(iter(difflib.get_close_matches(name, accepted)), None)
        hint = f" Did you mean {near!r}?" if near in accepted else ""
        raise TypeError(f"{owner} has no argument {name!r}.{hint} It takes: {', '.join(accepted)}.")


def require_arguments(cls: type, count: int, given: Collection[str]) -> None:
    """Raises TypeError where the constructor of `cls` needs arguments beyond the first `count` that are not `given`."""
    code = getattr(cls.__init__, "__code__", None)
    if code is None:
        return
    end = code.co_argcount - len(cls.__init__.__defaults__ or ())
    missing = [name for name in code.co_varnames[1 + count : end] if name not in given]
    if missing:
        needed = ", ".join(code.co_varnames[1:end])
        raise TypeError(f"{cls.__name__} needs {' and '.join(missing)} too: {cls.__name__}({needed}, ...).")


def checked_number(owner: Any, argument: str, value: Any, most: float = math.inf) -> float:
    """`value` as a float from 0 to `most`, finite; TypeError or ValueError naming the owner's class and argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{type(owner).__name__}: {argument} must be a number; got {value!r}.")
    if not 0 <= value <= most or value == math.inf:
        limit = "finite and at least 0" if most == math.inf else f"between 0 and {most}"
        raise ValueError(f"{type(owner).__name__}: {argument} must be {limit}; got {value!r}.")
    return float(value)


def checked_whole(owner: Any, argument: str, value: Any, least: int = 1) -> int:
    """`value`, an int or one of NumPy's, as an int of at least `least`; ValueError naming the owner's class and argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(
            f"{type(owner).__name__}: {argument} must be a whole number of at least {least}; got {value!r}."
        )
    return int(value)


def checked_choice(owner, argument: str, value, choices):
    """`value` if it is one of `choices`; else a ValueError naming the owner's class and argument, with near matches."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        near = difflib.get_close_matches(str(value), [choice for choice in choices if isinstance(choice, str)], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{type(owner).__name__}: {argument} must be one of {', '.join(map(repr, choices))}; got {value!r}.{hint}"
        )
    return value


def accepted_arguments(cls) -> tuple[str, ...] | None:
    """The keywords that the constructor of `cls` takes, in order; None where it takes any."""
    names = []
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        code = getattr(init, "__code__", None)
        if code is None:
            continue
        count = code.co_argcount + code.co_kwonlyargcount
        names += [name for name in code.co_varnames[1:count] if name not in names]
        if not code.co_flags & _VARKEYWORDS:
            return tuple(names)
    return tuple(names) if cls.__init__ is object.__init__ else None


_VARKEYWORDS = 0x08  # the flag of code with **keywords


def snake_case(name: str) -> str:
    """Keras' rule for automatic names: MaxPooling2D is max_pooling2d, ReLU is re_lu."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def free_name(stem: str, taken: set[str], counts: dict[str, int]) -> str:
    """The first of stem, stem_1, stem_2, ... that is not `taken`, where it is put; `counts` are those tried before."""
    while True:
        counts[stem] = count = counts.get(stem, -1) + 1
        name = f"{stem}_{count}" if count else stem
        if name not in taken:
            taken.add(name)
            return name


def _fold(name: str) -> str:
    return name.lower().replace("_", "")


class Registry:
    """A closed table of classes of one kind, found by name; case and underscores do not matter.

    `classes` stand under their own names, `aliases` map further names to them, `wrap` makes an object of the kind of a
    function. What the caller passes as
    `custom_objects`, is inside such a scope, or has registered goes before the table; nothing else is ever imported or
    called.
    """

    def __init__(
        self, kind: str, classes: Iterable[type], aliases: Mapping[str, type] | None = None, wrap: type | None = None
    ):  # fmt: skip
        self.kind, self.wrap = kind, wrap
        if wrap is not None:
            _WRAPPERS.add(wrap)
        self._names = {cls.__name__: cls for cls in classes} | dict(aliases or {})
        self._folded = {_fold(name): cls for name, cls in self._names.items()}
        TABLES.update((room_of(cls), self) for cls in self._names.values())

    def add(self, cls: type) -> type:
        """Puts a class of fastconv's into the table, under its name."""
        self._names[cls.__name__] = self._folded[_fold(cls.__name__)] = cls
        TABLES[room_of(cls)] = self
        return cls

    def find(
        self, name: str, custom_objects: Mapping[str, Any] | None = None, from_config: bool = False
    ) -> Any:  # fmt: skip
        """The class of this name, which a program wrote, or a config; ValueError with near matches if there is none."""
        cls = own.find(name, custom_objects)
        if cls is None:  # "Accuracy" is a class, "accuracy" stands for more
            cls = self._names.get(name) or self._folded.get(_fold(name))
        if cls is None:
            known = [*self._names, *own.names(custom_objects)]
            error = unknown_name(self.kind, name, known)
            if near_names(name, known) and not from_config:  # rather a slip than a class of the program's own
                raise error
            raise ValueError(
                f"{error} One of your own: pass it in custom_objects={{{name!r}: ...}}, or register it with "
                "@fastconv.saving.register_keras_serializable()."
            )
        return cls

    def knows(self, name: str) -> bool:
        """Whether the table itself has this name."""
        return _fold(name) in self._folded

    def find_entry(self, entry: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The class that a config of `serialize` names: by the name that it was registered under, or its own."""
        registered = own.find(entry.get("registered_name"), custom_objects)
        return self.find(entry["class_name"], custom_objects, True) if registered is None else registered

    def build(self, entry: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that a config of `serialize` describes; what stands within it may be in `custom_objects` too."""
        with custom_object_scope(custom_objects):
            cls = self.find_entry(entry)
            if not hasattr(cls, "from_config"):
                raise ValueError(f"{entry['class_name']!r} is no {self.kind}: it has no from_config(config).")
            return cls.from_config(entry.get("config") or {})

    def get(self, identifier: Any, base: type, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """An object of class `base` from a name, a config, a class, or the object itself."""
        if isinstance(identifier, base):
            return identifier
        if isinstance(identifier, str):
            return self._made(self.find(identifier, custom_objects))
        if isinstance(identifier, type) and issubclass(identifier, base):
            return identifier()
        if is_entry(identifier):
            if identifier["class_name"] == "function":
                return self._made(self.find(identifier["config"], custom_objects, True))
            return self.build(identifier, custom_objects)
        raise TypeError(f"Expected a name, a config or an object for the {self.kind}; got {identifier!r}.")

    def _made(self, found: Any) -> Any:
        """An object of a class, or of a function of the program's own."""
        return found() if isinstance(found, type) else found if self.wrap is None else self.wrap(found)


def room_of(thing: Any) -> str:
    """The package-level module of a class or function: "fastconv.layers", or "__main__"."""
    return ".".join(str(getattr(thing, "__module__", None)).split(".")[:2])


def is_entry(value: Any) -> bool:
    """Whether a value has the form of what `serialize` gives."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str)


def serialize(thing: Any) -> dict[str, Any]:
    """`{"class_name": ..., "config": ...}` of an initializer, loss, metric, optimizer or layer, and its
    "registered_name" if it has one; of what stands for a function of the program's own, that one's name."""
    if type(thing) in _WRAPPERS and not vars(thing).get("_kwargs"):
        name = own.name_of(getattr(thing, "function", None) or getattr(thing, "fn", None))
        if name is not None:
            return {"class_name": "function", "config": name}
    if isinstance(thing, type) or not hasattr(thing, "get_config"):
        raise TypeError(f"serialize takes an object with a get_config(), such as a layer or a loss; got {thing!r}.")
    entry = {"class_name": type(thing).__name__, "config": _plain(thing.get_config())}
    registered = own.registered_name(type(thing))
    return entry if registered is None else {**entry, "registered_name": registered}


def described(thing: Any) -> dict[str, Any]:
    """What `serialize` gives, and in which module the table stands that has the thing's class, or the first of its bases
    that is in one."""
    rooms = [room_of(base) for base in type(thing).__mro__]
    return {"module": next((room for room in rooms if room in TABLES), rooms[0]), **serialize(thing)}


def _plain(value):
    """A part of a config, with the objects in it described: what a get_config of the program's own may hold."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value] if type(value) is list else type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return described(value) if hasattr(value, "get_config") and not isinstance(value, type) else value


class Configurable:
    """What every class in a Registry has: a config of JSON values that builds an equal object, and a repr.

    `_arguments` names the constructor's arguments, each kept as an attribute of that name.
    """

    _arguments: tuple[str, ...] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Names an unknown keyword with what is near it."""
        accepted = accepted_arguments(cls) if kwargs else None
        if accepted is not None:
            reject_arguments(cls.__name__, [name for name in kwargs if name not in accepted], accepted)
        return super().__new__(cls)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {argument: getattr(self, argument) for argument in self._arguments or self._kept_arguments()}

    def _kept_arguments(self):
        """The constructor's arguments that are attributes too, where a class does not list them."""
        return [name for name in accepted_arguments(type(self)) or () if hasattr(self, name)]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The object that `get_config` describes."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


_F = TypeVar("_F", bound=Callable[..., Any])


def keywords_checked(method: _F) -> _F:
    """The method, which says of a keyword that it does not take what is near it."""
    names = inspect.signature(method).parameters

    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        if not kwargs.keys() <= names.keys():
            unknown = [name for name in kwargs if name not in names]
            reject_arguments(f"{type(self).__name__}.{method.__name__}", unknown, [*names][1:])
        return method(self, *args, **kwargs)

    return wrapper  # type: ignore[return-value]
