"""InputSpec, and Specified: what a layer says of its inputs, its build and its output, to people and to files.

Nothing is computed here. Contract: `input_spec` is checked whenever inputs of another shape come, before `call`;
`build_from_config(get_build_config())` builds an equal layer as this one was built.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from fastconv.layers.holder import Holder
from fastconv.layers.shapes import flatten_shapes, map_shapes
from fastconv.nest import flatten, map_leaves
from fastconv.symbolic import KerasTensor


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


class Specified(Holder):
    """Base class of Layer: the half that says what it takes and gives."""

    _input_spec = None

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
        """`{"input_shape": ...}`, with which the layer was built, or None before."""
        return None if self._build_shape is None else {"input_shape": self._build_shape}

    def build_from_config(self, config: dict) -> None:
        """Builds the layer as `get_build_config` says; None, or no "input_shape", does nothing."""
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
