"""InputSpec, and Specified: what a layer says of its inputs, its build and its output, and how it reads them.

Nothing is computed here. Contract: `input_spec` is checked whenever inputs of another shape come, before `call`;
`build_from_config(get_build_config())` builds an equal layer as this one was built.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from fastconv.config import DTypePolicy
from fastconv.layers.holder import Holder
from fastconv.layers.shapes import flatten_shapes, map_shapes
from fastconv.nest import flatten, map_leaves
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor


class InputSpec:
    """What an input has to be: `shape` (the batch in front, None for any size), or `ndim`, `max_ndim`, `min_ndim` and
    `axes`, a dict from an axis to its size. `allow_last_axis_squeeze` lets a last axis of size 1 be missing, or be
    there beyond the shape. `dtype`, `name` and `optional` are kept and not checked: inputs are converted.
    """

    def __init__(
        self,
        dtype: str | None = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype, self.name, self.optional = dtype, name, bool(optional)
        self.shape = None if shape is None else tuple(None if s is None else operator.index(s) for s in shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        try:
            self.axes = {operator.index(axis): size for axis, size in (axes or {}).items()}
        except (AttributeError, TypeError):
            raise TypeError(
                f"InputSpec: axes must be a dict from axes to sizes, such as {{-1: 3}}; got {axes!r}."
            ) from None
        self.allow_last_axis_squeeze = bool(allow_last_axis_squeeze)
        most = max_ndim if self.ndim is None else self.ndim
        if most is not None and any(not -most <= axis < most for axis in self.axes):
            raise ValueError(f"InputSpec: axes must be among {most} axes; got {axes}.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """The InputSpec that `get_config` described."""
        return cls(**config)

    def __repr__(self):
        return f"InputSpec({', '.join(f'{name}={value!r}' for name, value in vars(self).items() if value)})"

    def fault(self, shape: tuple) -> str | None:
        """What is wrong with an input of this shape, or None."""
        wanted, ndim = self.shape, self.ndim
        if self.allow_last_axis_squeeze and wanted is not None and abs(len(shape) - ndim) == 1:
            longer = shape if len(shape) > ndim else wanted
            if longer[-1] == 1:
                shape, wanted = shape[: len(longer) - 1], wanted[: len(longer) - 1]
                ndim = len(wanted)
        if ndim is not None and len(shape) != ndim:
            return f"{ndim} axes"
        if self.max_ndim is not None and len(shape) > self.max_ndim:
            return f"at most {self.max_ndim} axes"
        if self.min_ndim is not None and len(shape) < self.min_ndim:
            return f"at least {self.min_ndim} axes"
        for axis, size in self.axes.items():
            if size is not None and (not -len(shape) <= axis < len(shape) or shape[axis] not in (size, None)):
                return f"size {size} along axis {axis}"
        if wanted is not None and any(a not in (b, None) for a, b in zip(shape, wanted) if b is not None):
            return f"the shape {wanted}"
        return None


@functools.cache
def parameters_of(method, required=False) -> tuple[str, ...]:
    """The names of what a method takes, or of what it must be given."""
    named = [
        p for p in inspect.signature(method).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return tuple(p.name for p in named[1:] if not required or p.default is p.empty)


def _shape_given(value):
    """The shape, or nest of them, of what a call was given, its batch open; None for what has none."""
    if isinstance(value, (Tensor, np.ndarray)):
        return (None, *value.shape[1:])
    return map_leaves(_shape_given, value) if isinstance(value, (list, tuple, dict)) else None


class Specified(Holder):
    """Base class of Layer: the half that says what it takes and gives."""

    _input_spec = None
    _build_shapes = None  # by name, where `build` takes several

    @property
    def dtype(self) -> str:
        """The dtype of the weights and of what is computed: "float32" or "float64"."""
        return self._dtype.name

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The policy of that name."""
        return DTypePolicy(self.dtype)

    @property
    def compute_dtype(self) -> str:
        """The same as `dtype`."""
        return self.dtype

    @property
    def variable_dtype(self) -> str:
        """The same as `dtype`."""
        return self.dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs are converted to: `dtype`."""
        return self.dtype

    @property
    def input(self) -> Any:
        """The tensors of the layer's first call in a graph; AttributeError if there was none."""
        return self._drawn().args[0]

    @property
    def output(self) -> Any:
        """What the layer's first call in a graph gave; AttributeError if there was none."""
        return self._drawn().outputs

    def _drawn(self):
        if self._node is None:
            raise AttributeError(
                f"Layer {self.name!r} was not called in a graph, so it has no input and output tensors."
            )
        return self._node

    @property
    def input_spec(self) -> InputSpec | Sequence[InputSpec] | None:
        """An InputSpec, or a nest of them for several inputs, that inputs must satisfy; None asks for nothing."""
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value: InputSpec | Sequence[InputSpec] | None) -> None:
        for spec in flatten(value):
            if value is not None and not isinstance(spec, InputSpec):
                raise TypeError(f"{self._title()}: input_spec must be an InputSpec, or a nest of them; got {spec!r}.")
        self._input_spec = value
        self._checked_shape = None

    def _check_spec(self, shape):
        """Raises ValueError where inputs of this shape, or nest of shapes, do not satisfy input_spec."""
        specs, shapes = flatten(self._input_spec), flatten_shapes(shape)
        if len(specs) != len(shapes):
            raise ValueError(f"{self._title()} takes {len(specs)} inputs, by its input_spec; got {len(shapes)}.")
        for spec, one in zip(specs, shapes):
            fault = spec.fault(one)
            if fault:
                raise ValueError(f"{self._title()} takes inputs of {fault}, by its input_spec; got the shape {one}.")

    def get_build_config(self) -> dict | None:
        """`{"input_shape": ...}`, with which the layer was built, or None before; `{"shapes_dict": {name: shape}}`
        where its build takes several."""
        if self._build_shapes is not None:
            return {"shapes_dict": self._build_shapes}
        return None if self._build_shape is None else {"input_shape": self._build_shape}

    def build_from_config(self, config: dict) -> None:
        """Builds the layer as `get_build_config` says; None, or no "input_shape", does nothing."""
        if config and config.get("shapes_dict"):
            self.build(*[map_shapes(lambda shape: shape, shape) for shape in config["shapes_dict"].values()])
        if config and config.get("input_shape") is not None:
            self.build(map_shapes(lambda shape: shape, config["input_shape"]))

    def compute_output_spec(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """The KerasTensor, or nest of them, that stands for what a call on such inputs gives; builds the layer."""
        x = map_leaves(lambda leaf: KerasTensor(leaf.shape, leaf.dtype), self.prepare(inputs))
        return self.draw_inside(x, *args, training=training, **kwargs)

    def stateless_call(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not for fastconv, whose layers hold their weights: raises NotImplementedError."""
        raise NotImplementedError(
            f"{self._title()}: stateless_call is for JAX. Call the layer; for other weights, set_weights before."
        )

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> NoReturn:
        """Not for fastconv, which computes in float32 and float64: raises NotImplementedError."""
        raise NotImplementedError(
            f"{self._title()}: quantize is not for fastconv, which computes in float32 and float64."
        )

    def _named_inputs(self, kwargs):
        """The first argument of `call`, taken out of the keywords."""
        name = next(iter(parameters_of(type(self).call)), "inputs")
        if name not in kwargs:
            raise TypeError(f"{self._title()} was called on nothing: give it its inputs, first or as {name}=.")
        return kwargs.pop(name)

    def _build_for_all(self, inputs, args, kwargs):
        """Builds a layer whose `build(a_shape, b_shape)` asks for the shapes of several arguments of `call`."""
        given = inspect.signature(type(self).call).bind_partial(self, inputs, *args, **kwargs).arguments
        names = parameters_of(type(self).build, True)
        unknown = [name for name in names if name.removesuffix("_shape") not in parameters_of(type(self).call)]
        if unknown:
            raise TypeError(
                f"{self._title()}: build takes {', '.join(names)}, but call has no argument of which {unknown[0]!r} is "
                "the shape. Name each as an argument of call, with _shape behind it."
            )
        shapes = {name: _shape_given(given.get(name.removesuffix("_shape"))) for name in names}
        self.build(*shapes.values())
        self._build_shapes = shapes
