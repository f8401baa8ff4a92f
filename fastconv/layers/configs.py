"""What a layer's constructor arguments are, as JSON for files and as text for people.

It reads signatures and attributes, so that a layer which keeps its arguments under their own names needs no code for
saving or printing. It builds nothing. Contract: `type(layer)(**get_config(layer))` makes an equal layer.
"""

from __future__ import annotations

import functools
import inspect

from fastconv import activations, initializers, registry, serialization
from fastconv.custom_objects import custom_object_scope

_PACKAGE = __package__.partition(".")[0] + "."
_COMMON = ("name", "trainable", "dtype", "input_shape")
_UNUSUAL = {"activity_regularizer": None, "autocast": True}  # of Layer: in a config only if they are something else


@functools.cache
def arguments(cls) -> dict[str, inspect.Parameter]:
    """The named constructor arguments of a layer class, followed through **kwargs up to Layer's own."""
    found = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    for name in getattr(cls, "made", ()):  # out of the other arguments
        found.pop(name, None)
    return found


def signature(cls) -> inspect.Signature:
    """What a layer class takes, for help() and completion: its own arguments, then those that **kwargs hands on."""
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]
    names = {p.name for p in own}
    beyond = [p.replace(kind=p.KEYWORD_ONLY) for name, p in arguments(cls).items() if name not in names]
    shown = [p for p in own if p.kind is not p.VAR_KEYWORD]
    return inspect.Signature(sorted([*shown, *beyond], key=lambda p: p.kind))


def copied(layer, **changes):
    """A layer like `layer`, with weights of its own and these arguments changed. Classes and functions of the program's
    own that it holds need not be registered: they are at hand."""
    held = [value for one in layer.flatten_layers() for value in (one, *vars(one).values())]
    own = {}
    for value in held:
        thing = value if inspect.isfunction(value) else type(value)
        if not str(thing.__module__).startswith(_PACKAGE) and (
            inspect.isfunction(value) or hasattr(thing, "get_config")
        ):
            own[thing.__name__] = thing
    with custom_object_scope(own):
        return type(layer).from_config(layer.get_config() | changes)


def get_config(layer) -> dict:
    """Name to JSON value of every argument but input_shape, which a Sequential keeps."""
    config = {}
    for name, parameter in arguments(type(layer)).items():
        if name == "input_shape":
            continue
        name_kept = layer.kept_as.get(name, name)
        if hasattr(layer, name_kept):
            value = getattr(layer, name_kept)
        elif "_given" in vars(layer) and (name in layer._given or parameter.default is not parameter.empty):
            value = layer._given.get(name, parameter.default)
        else:
            raise NotImplementedError(
                f"{type(layer).__name__} must keep its argument {name!r} as self.{name}, or define get_config()."
            )
        if name in _UNUSUAL and value is _UNUSUAL[name]:
            continue
        if isinstance(value, registry.Configurable):
            value = registry.serialize(value)
        elif _holds_objects(value):
            value = serialization.serialize(value)
        elif callable(value):
            given, value = value, activations.name_of(value)
            if value is None:
                raise ValueError(
                    f"Layer {layer.name!r} has a function for {name}, {given!r}, which a config cannot "
                    f"hold: use a name ({', '.join(activations.TABLE)}), a layer of your own, or register the function "
                    "with @fastconv.saving.register_keras_serializable()."
                )
        config[name] = value
    return config


def _holds_objects(value) -> bool:
    """Whether a value is an object that gives its config, such as a layer, or a container of some."""
    if isinstance(value, (list, tuple)):
        return any(map(_holds_objects, value))
    if isinstance(value, dict):
        return any(map(_holds_objects, value.values()))
    return hasattr(value, "get_config") and not isinstance(value, type)


def describe(layer) -> str:
    """`Conv2D(32, (5, 5), activation='relu')`: the arguments that differ from their defaults."""
    shown = []
    for name, parameter in arguments(type(layer)).items():
        value = getattr(layer, layer.kept_as.get(name, name), None)
        if name in _COMMON or _is_default(value, layer.implied.get(name, parameter.default)):
            continue
        if callable(value) and not isinstance(value, registry.Configurable):
            value = activations.name_of(value) or getattr(value, "__name__", type(value).__name__)
        shown.append(repr(value) if parameter.default is parameter.empty else f"{name}={value!r}")
    return f"{type(layer).__name__}({', '.join(shown)})"


def _is_default(value, default) -> bool:
    if isinstance(value, initializers.Initializer):
        return repr(value) == repr(initializers.get(default)) if isinstance(default, str) else False
    if isinstance(value, tuple) and not isinstance(default, tuple):
        return value == (default,) * len(value)
    return value == default or (default is None and (value is activations.linear or value == "channels_last"))
