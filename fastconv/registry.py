"""Names and configs that become objects: the Registry of one kind of class, and what the classes in it share.

It knows no class by name; initializers, losses, metrics, optimizers and layers each make their own table.
Contract: nothing outside a table is ever imported or called, so a config from a file can build only the table's
classes; an unknown name is an error with near matches.
"""

from __future__ import annotations

import difflib
import math
import numbers
import re


def unknown_name(kind: str, name, known) -> ValueError:
    """The error for a name that is not in a table: near matches first, then all that there is."""
    spelled = {_fold(entry): entry for entry in known}
    near = [spelled[match] for match in difflib.get_close_matches(_fold(str(name)), spelled, n=3, cutoff=0.6)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ValueError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(sorted(known))}.")


def reject_arguments(owner: str, given, accepted, not_built=()) -> None:
    """Raises TypeError for the first name in `given`, if any: `owner` does not take it.

    `accepted` are the names it takes (near matches are offered), `not_built` Keras' names that are still to come.
    """
    for name in given:
        if name in not_built:
            raise TypeError(f"{owner} does not support Keras' argument {name!r} yet; leave it out.")
        near = "learning_rate" if name == "lr" else next(iter(difflib.get_close_matches(name, accepted)), None)
        hint = f" Did you mean {near!r}?" if near in accepted else ""
        raise TypeError(f"{owner} has no argument {name!r}.{hint} It takes: {', '.join(accepted)}.")


def checked_number(owner, argument: str, value, most=math.inf) -> float:
    """`value` as a float from 0 to `most`, finite; TypeError or ValueError naming the owner's class and argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{type(owner).__name__}: {argument} must be a number; got {value!r}.")
    if not 0 <= value <= most or value == math.inf:
        limit = "finite and at least 0" if most == math.inf else f"between 0 and {most}"
        raise ValueError(f"{type(owner).__name__}: {argument} must be {limit}; got {value!r}.")
    return float(value)


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


def _fold(name: str) -> str:
    return name.lower().replace("_", "")


class Registry:
    """A closed table of classes of one kind, found by name; case and underscores do not matter.

    `classes` stand under their own names, `aliases` map further names to them. Nothing outside the table is ever
    imported or called, so a config from a file can build these classes and no others.
    """

    def __init__(self, kind: str, classes, aliases=None):
        self.kind = kind
        self._names = {cls.__name__: cls for cls in classes} | (aliases or {})
        self._folded = {_fold(name): cls for name, cls in self._names.items()}

    def find(self, name: str, custom_objects=None) -> type:
        """The class of this name, from `custom_objects` first; ValueError with near matches if there is none."""
        cls = (custom_objects or {}).get(name) or self._folded.get(_fold(name))
        if cls is None:
            raise unknown_name(self.kind, name, [*self._names, *(custom_objects or {})])
        return cls

    def get(self, identifier, base: type, custom_objects=None):
        """An object of class `base` from a name, a config, a class, or the object itself."""
        if isinstance(identifier, base):
            return identifier
        if isinstance(identifier, str):
            return self.find(identifier, custom_objects)()
        if isinstance(identifier, type) and issubclass(identifier, base):
            return identifier()
        if isinstance(identifier, dict) and isinstance(identifier.get("class_name"), str):
            return self.find(identifier["class_name"], custom_objects).from_config(identifier.get("config", {}))
        raise TypeError(f"Expected a name, a config or an object for the {self.kind}; got {identifier!r}.")


def serialize(thing) -> dict:
    """`{"class_name": ..., "config": ...}` of an initializer, loss, metric, optimizer or layer."""
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


class Configurable:
    """What every class in a Registry has: a config of JSON values that builds an equal object, and a repr.

    `_arguments` names the constructor's arguments, each kept as an attribute of that name.
    """

    _arguments: tuple[str, ...] = ()

    def __new__(cls, *args, **kwargs):
        """Names an unknown keyword with what is near it."""
        accepted = accepted_arguments(cls) if kwargs else None
        if accepted is not None:
            reject_arguments(cls.__name__, [name for name in kwargs if name not in accepted], accepted)
        return super().__new__(cls)

    def get_config(self) -> dict:
        """The constructor's arguments as JSON values."""
        return {argument: getattr(self, argument) for argument in self._arguments or self._kept_arguments()}

    def _kept_arguments(self):
        """The constructor's arguments that are attributes too, where a class does not list them."""
        return [name for name in accepted_arguments(type(self)) or () if hasattr(self, name)]

    @classmethod
    def from_config(cls, config: dict):
        """The object that `get_config` describes."""
        return cls(**config)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"
