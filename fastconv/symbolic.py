"""Tensors without data: a shape and a dtype that stand for what will be computed.

An operation on one computes no numbers: it asks its Op for the output's shape. Inside a Trace each such operation is
noted, in order, which is what program.py runs; elsewhere the result remembers the operation that made it, which is
what graph.py walks. No graph, no kernel and no layer is known here. Contract: shapes hold None where a size is open;
whoever asks a symbolic tensor for its values gets a NoValues that says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from .tensor import FLOAT32, NoValues, Op, Parameter, Tensor, _mode, unify

next_order = itertools.count(1).__next__  # of what is drawn


class KerasTensor(Tensor):
    """What a layer or an op gives for symbolic inputs; made by `fastconv.Input` at the start.

    `shape` is a tuple with None where a size is open, `dtype` a NumPy dtype, `source` the Call or graph node that made
    it; `record_history` changes nothing: that is always known. It has no values: `numpy()`, `float()` and the like raise.
    """

    __slots__ = ("_shape", "_dtype", "name", "source", "place")
    symbolic = True

    def __init__(
        self, shape: Sequence[int | None], dtype: Any = "float32", sparse: bool = False, ragged: bool = False,
        record_history: bool = True, name: str | None = None, source: Any = None,
    ):  # fmt: skip
        if sparse or ragged:
            raise ValueError("fastconv has dense tensors only: leave sparse and ragged out.")
        self._shape, self._dtype = tuple(shape), np.dtype(dtype)
        self.name, self.source = name, source
        self.place = 0  # among the outputs of its source
        self._requires_grad, self._grad, self._node, self._logits = False, None, None, None

    @property
    def shape(self) -> tuple[Any, ...]:
        """The tuple of sizes, None where one is open."""
        return self._shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    @property
    def dtype(self) -> np.dtype:
        """The values' dtype."""
        return self._dtype

    @property
    def size(self) -> int | None:  # type: ignore[override]
        """The number of elements; None where a size is open."""
        return None if None in self._shape else int(np.prod(self._shape))

    @property
    def data(self) -> NoReturn:  # type: ignore[override]
        raise NoValues(
            f"This tensor of shape {self._shape} has no values: it stands for what a layer or an op will compute. Use "
            "fastconv.ops on it, or call the model on arrays."
        )

    @data.setter
    def data(self, value: Any) -> NoReturn:
        raise NoValues("A tensor without data takes none.")

    def detach(self) -> KerasTensor:
        return self

    def draw(self, op: type[Op], inputs: Sequence[Any], attributes: dict[str, Any]) -> KerasTensor:
        """The result of an operation that has this tensor among its inputs."""
        return draw(op, inputs, attributes)

    def __len__(self) -> int:
        if not self._shape or self._shape[0] is None:
            raise TypeError(f"A symbolic tensor of shape {self._shape} has no known length.")
        return self._shape[0]

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"<KerasTensor shape={self._shape}, dtype={self._dtype}{name}>"

    __str__ = __repr__


class Call:
    """One operation on symbolic tensors: an Op class, its inputs (KerasTensors, Parameters, arrays or None), its
    attributes, and its output."""

    __slots__ = ("op", "inputs", "attributes", "output", "order")

    def __init__(self, op, inputs, attributes, output):
        self.op, self.inputs, self.attributes, self.output = op, inputs, attributes, output
        self.order = next_order()
        output.source = self

    def __repr__(self) -> str:
        return f"{self.op.__name__} {self.output.shape}"


def draw(op: type[Op], inputs: Sequence[Any], attributes: dict[str, Any]) -> KerasTensor:
    """`op` on symbolic inputs: a tensor of its output's shape, which remembers the Call."""
    values = [value if _is_live(value) or not isinstance(value, Tensor) else value.data for value in inputs]
    values = unify(op.__name__, values, op.integers, op.exact is not None)
    floats = [value.dtype for place, value in enumerate(values) if value is not None and place not in op.integers]
    shape = op.shape(*[None if value is None else tuple(value.shape) for value in values], **attributes)
    output = KerasTensor(shape, op.dtype(floats[0] if floats else FLOAT32, **attributes))
    Call(op, tuple(values), attributes, output)
    return output


def _is_live(value):
    """Whether a program must look at it anew each time: another value, or a weight."""
    return isinstance(value, (KerasTensor, Parameter))


class Trace:
    """`with Trace() as trace: ...` notes in `trace.calls` what this thread's operations on symbolic tensors and on weights
    would compute; those on plain arrays alone are constants, and computed."""

    def __init__(self):
        self.calls: list[Call] = []

    def __enter__(self):
        self._before = _mode.draw
        _mode.draw = self._draw
        return self

    def __exit__(self, *exception):
        _mode.draw = self._before

    def _draw(self, op, inputs, attributes):
        if not op.stateful and not any(map(_is_live, inputs)):
            _mode.draw = None
            try:
                return op.apply(*inputs, **attributes)
            finally:
                _mode.draw = self._draw
        for value in inputs:
            if isinstance(value, Tensor) and value.requires_grad and not _is_live(value):
                raise NoValues("A Tensor that requires a gradient, and is no weight of the model, takes part.")
        output = draw(op, inputs, attributes)
        self.calls.append(output.source)
        return output


def is_tracing() -> bool:
    """Whether this thread draws a Trace."""
    return _mode.draw is not None
