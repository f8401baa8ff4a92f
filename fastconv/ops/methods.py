"""Tensor's operators and methods, and NumPy's functions on a Tensor: which op each one is.

Contract: the names and the arguments are NumPy's. A NumPy function that has no op raises a TypeError that says what to
call; those that only look at values (saving, printing, comparing memory) take a Tensor for its array.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np

from ..tensor import Tensor
from . import comparisons, copying, elementwise, functions, indexing, linear, products, reductions, scans, shaping
from .casting import cast, copy
from .indexing import get_item


def _reflected(operation):
    return lambda self, other: operation(other, self)


def _several(operation):
    """A method that takes its axes or sizes one by one or as one tuple: x.reshape(2, 3) or x.reshape((2, 3))."""

    def method(self: Tensor, *numbers: int | Sequence[int]) -> Tensor:
        return operation(self, numbers[0] if len(numbers) == 1 else numbers or None)

    return method


def _flat(self: Tensor) -> Tensor:
    """All elements in one row."""
    return shaping.reshape(self, -1)


def _compared(operation):
    """A comparison with what is no number, such as None or a string, is left to Python, which compares identities."""

    def method(self, other):
        if other is None or isinstance(other, (str, bytes, dict, set, type)) or not _is_numbers(other):
            return NotImplemented
        return operation(self, other)

    return method


def _is_numbers(value):
    return isinstance(value, (Tensor, np.ndarray, np.generic, bool, int, float, list, tuple)) or hasattr(
        value, "__array__"
    )


def _contains(self, value):
    return bool(reductions.any(comparisons.equal(self, value)))


BINARY = {
    "add": elementwise.add, "sub": elementwise.subtract, "mul": elementwise.multiply, "truediv": elementwise.divide,
    "pow": elementwise.power, "matmul": linear.matmul, "floordiv": functions.floor_divide, "mod": functions.mod,
    "and": comparisons.bitwise_and, "or": comparisons.bitwise_or, "xor": comparisons.bitwise_xor,
    "lshift": comparisons.left_shift, "rshift": comparisons.right_shift,
}  # fmt: skip
COMPARISONS = {
    "eq": comparisons.equal, "ne": comparisons.not_equal, "lt": comparisons.less, "le": comparisons.less_equal,
    "gt": comparisons.greater, "ge": comparisons.greater_equal,
}  # fmt: skip
METHODS = {
    **{f"__{name}__": operation for name, operation in BINARY.items()},
    **{f"__r{name}__": _reflected(operation) for name, operation in BINARY.items()},
    **{f"__{name}__": _compared(operation) for name, operation in COMPARISONS.items()},
    "__neg__": elementwise.negative,
    "__pos__": lambda self: self,
    "__abs__": elementwise.abs,
    "__invert__": comparisons.bitwise_invert,
    "__divmod__": lambda self, other: (functions.floor_divide(self, other), functions.mod(self, other)),
    "__round__": lambda self, decimals=0: functions.round(self, decimals),
    "__contains__": _contains,
    "__getitem__": get_item,
    "sum": reductions.sum,
    "prod": reductions.prod,
    "mean": reductions.mean,
    "max": reductions.max,
    "min": reductions.min,
    "var": reductions.var,
    "std": reductions.std,
    "any": reductions.any,
    "all": reductions.all,
    "argmax": reductions.argmax,
    "argmin": reductions.argmin,
    "cumsum": scans.cumsum,
    "cumprod": scans.cumprod,
    "clip": elementwise.clip,
    "round": functions.round,
    "dot": products.dot,
    "copy": copy,
    "repeat": copying.repeat,
    "take": indexing.take,
    "squeeze": shaping.squeeze,
    "swapaxes": shaping.swapaxes,
    "reshape": _several(shaping.reshape),
    "transpose": _several(shaping.transpose),
    "T": property(shaping.transpose),
    "flatten": _flat,
    "ravel": _flat,
    "astype": cast,
}

# NumPy's functions with an op of the same name and meaning: how many arguments may stand by position, and the names
# that NumPy gives them, in the op's order. The universal functions are found by name alone.
FUNCTIONS = {
    **dict.fromkeys(["sum", "mean", "max", "min", "amax", "amin", "any", "all", "argmax", "argmin", "median"], ("a", "axis")),
    **dict.fromkeys(["prod", "std", "var", "ptp", "count_nonzero", "nansum", "nanmean", "nanmax", "nanmin"], ("a", "axis")),
    **dict.fromkeys(["nanstd", "nanvar", "nanprod", "nanmedian", "squeeze", "sort", "argsort"], ("a", "axis")),
    **dict.fromkeys(["cumsum", "cumprod", "nancumsum", "nancumprod"], ("a", "axis", "dtype")),
    **dict.fromkeys(["quantile", "percentile", "nanquantile", "nanpercentile"], ("a", "q", "axis")),
    **dict.fromkeys(["ravel", "nonzero", "ndim", "size", "shape", "copy", "diagflat"], ("a",)),
    **dict.fromkeys(["concatenate", "stack", "hstack", "vstack", "dstack"], ("arrays", "axis")),
    **dict.fromkeys(["split", "array_split", "hsplit", "vsplit", "dsplit"], ("ary", "indices_or_sections", "axis")),
    **dict.fromkeys(["zeros_like", "ones_like", "empty_like"], ("a", "dtype")),
    **dict.fromkeys(["tril", "triu", "diag"], ("m", "k")),
    **dict.fromkeys(["trace", "diagonal"], ("a", "offset", "axis1", "axis2")),
    **dict.fromkeys(["dot", "inner", "outer", "vdot", "kron"], ("a", "b")),
    **dict.fromkeys(["isclose", "allclose"], ("a", "b", "rtol", "atol", "equal_nan")),
    **dict.fromkeys(["isneginf", "isposinf", "isreal", "sinc", "fliplr", "flipud"], ("x",)),
    "append": ("arr", "values", "axis"), "average": ("a", "axis", "weights"), "bincount": ("x", "weights", "minlength"),
    "broadcast_to": ("array", "shape"), "clip": ("a", "a_min", "a_max"), "cross": ("a", "b"), "diff": ("a", "n", "axis"),
    "digitize": ("x", "bins"), "einsum": (), "expand_dims": ("a", "axis"), "flip": ("m", "axis"),
    "full_like": ("a", "fill_value", "dtype"), "histogram": ("a", "bins", "range"), "isin": ("element", "test_elements"),
    "meshgrid": (), "moveaxis": ("a", "source", "destination"), "nan_to_num": ("x",), "pad": ("array", "pad_width", "mode"),
    "repeat": ("a", "repeats", "axis"), "reshape": ("a", "shape"), "roll": ("a", "shift", "axis"), "rot90": ("m", "k", "axes"),
    "round": ("a", "decimals"), "around": ("a", "decimals"), "searchsorted": ("a", "v", "side"),
    "select": ("condlist", "choicelist", "default"), "swapaxes": ("a", "axis1", "axis2"), "take": ("a", "indices", "axis"),
    "take_along_axis": ("arr", "indices", "axis"), "tensordot": ("a", "b", "axes"), "tile": ("A", "reps"),
    "transpose": ("a", "axes"), "trapezoid": ("y", "x", "dx", "axis"), "unique": ("ar",), "vander": ("x", "N", "increasing"),
    "where": ("condition", "x", "y"), "inv": ("a",), "det": ("a",), "norm": ("x", "ord", "axis"), "solve": ("a", "b"),
}  # fmt: skip
VARIADIC = {"einsum", "meshgrid"}
OTHER_NAMES = {"around": "round", "absolute": "abs", "remainder": "mod", "invert": "bitwise_invert", "divide": "divide",
               "positive": "convert_to_tensor", "degrees": "rad2deg", "radians": "deg2rad"}  # fmt: skip
LOOKS = {
    "array2string", "array_equal", "array_equiv", "array_repr", "array_str", "can_cast", "common_type", "copyto", "iscomplexobj",
    "isrealobj", "may_share_memory", "min_scalar_type", "result_type", "save", "savetxt", "savez", "savez_compressed",
    "shares_memory",
}  # fmt: skip


def _no_op(name, hint=""):
    return TypeError(
        f"np.{name} has no counterpart on a fastconv.Tensor{hint}. Call it on the array, np.{name}(np.asarray(x)) or "
        f"x.numpy(), which leaves the tape; or use fastconv.ops."
    )


def _op(name):
    from fastconv import ops

    return getattr(ops, OTHER_NAMES.get(name, name), None)


def _array_ufunc(self, ufunc, method, *inputs, **options):
    name, operation = ufunc.__name__, _op(ufunc.__name__)
    if method != "__call__" or operation is None:
        raise _no_op(name if method == "__call__" else f"{name}.{method}")
    if options.get("out") is not None:
        raise _no_op(name, " with out=, an array that it would write into")
    if {key for key, value in options.items() if not (key == "where" and value is True)}:
        raise _no_op(name, f" with {', '.join(options)}")
    return operation(*inputs)


def _array_function(self, function, types, args, kwargs):
    name = function.__name__
    if name in LOOKS and function.__module__.startswith("numpy"):
        return function(*_as_arrays(args), **_as_arrays(kwargs))
    if name not in FUNCTIONS or not function.__module__.startswith("numpy"):
        raise _no_op(name)
    names, operation = FUNCTIONS[name], _op(name)
    if name in VARIADIC:
        return operation(*args, **kwargs)
    given = dict(zip(names, args))
    options = {key: value for key, value in kwargs.items() if key not in names and value is not None}
    if len(args) > len(names) or options.keys() - {"keepdims", "initial", "method", "constant_values", "indexing"}:
        raise _no_op(name, f" with {', '.join(options) or 'so many arguments'}")
    given.update({key: value for key, value in kwargs.items() if key in names})
    own = dict(zip(names, inspect.signature(operation).parameters))
    return operation(**{own[key]: value for key, value in given.items()}, **options)


def _as_arrays(values):
    if isinstance(values, dict):
        return {key: _as_arrays(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)([_as_arrays(value) for value in values])
    return np.asarray(values) if isinstance(values, Tensor) else values


def attach(cls: type[Tensor]) -> None:
    """Give the class its operators and methods."""
    for name, method in METHODS.items():
        setattr(cls, name, method)
    cls.__array_ufunc__ = _array_ufunc
    cls.__array_function__ = _array_function
