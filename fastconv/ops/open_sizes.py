"""Functions that need to know sizes, on tensors without data whose sizes are open.

What such a function draws depends on sizes (which cells lie on a diagonal, where parts begin), so it cannot be drawn
before they are known: an op `Later` stands for it until then. Contract: its shape has None wherever the result's size
depends on an open one; with known sizes it is the function itself, gradient and kernels included.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..nest import flatten, pack
from ..symbolic import KerasTensor
from ..tensor import Op, Tensor

F = TypeVar("F", bound=Callable[..., Any])
_FUNCTIONS: dict[str, Callable[..., Any]] = {}
_SIZES = (240, 120)  # what open sizes are taken for; many parts are equal in them
_LEAST = 1  # and this one, where the function takes it: it shows which sizes are the least of two


class Later(Op):
    """Result number `place` of a function of the table, on its tensors and `options`."""

    integers = (0, 1)

    @classmethod
    def apply(cls, *inputs: Any, **attributes: Any) -> Any:
        if any(map(_is_open, inputs)):
            return super().apply(*inputs, **attributes)
        made = _FUNCTIONS[attributes["function"]](*inputs, **attributes["options"])
        return flatten(made)[attributes["place"]]

    @staticmethod
    def shape(*shapes: Any, function: str, options: dict, place: int, kinds: Sequence[str], result: str) -> tuple:
        return _probed(function, [KerasTensor(shape, kind) for shape, kind in zip(shapes, kinds)], options)[1][place]

    @staticmethod
    def dtype(given: Any, /, *, result: str, **attributes: Any) -> Any:
        return np.dtype(result)


def _is_open(x):
    return isinstance(x, Tensor) and x.symbolic and None in x.shape


def _probed(function, tensors, options):
    """(the result's structure on known sizes, the shape of each of its tensors)."""
    found = []
    for size in (*_SIZES, _LEAST):
        known = [KerasTensor([size if n is None else n for n in x.shape], x.dtype) for x in tensors]
        try:
            found.append(_FUNCTIONS[function](*known, **options))
        except ValueError:
            if size != _LEAST:
                raise
    columns = zip(*[[leaf.shape for leaf in flatten(structure)] for structure in found])
    shapes = [tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*column)) for column in columns]
    return found[0], shapes


def open_sizes(tensors: int = 1) -> Callable[[F], F]:
    """For functions whose first so many arguments are tensors: on open sizes they are drawn as a Later."""

    def decorate(function: F) -> F:
        _FUNCTIONS[function.__name__] = function
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            given = args[:tensors] if len(args) >= tensors else (*args, *kwargs.values())
            if not any(map(_is_open, given)):
                return function(*args, **kwargs)
            options = dict(signature.bind(*args, **kwargs).arguments)
            inputs = [options.pop(name) for name in list(signature.parameters)[:tensors]]
            return _later(function.__name__, inputs, options)

        return wrapper  # type: ignore[return-value]

    return decorate


def _later(name, inputs, options):
    from .casting import convert_to_tensor

    inputs = [convert_to_tensor(x) for x in inputs]
    made, _ = _probed(name, inputs, options)
    kinds = [x.dtype.name for x in inputs]
    drawn = [
        Later.apply(*inputs, function=name, options=options, place=place, kinds=kinds, result=leaf.dtype.name)
        for place, leaf in enumerate(flatten(made))
    ]
    return pack(made, drawn)
