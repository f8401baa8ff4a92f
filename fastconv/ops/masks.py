"""Masks: which time steps of a batch count, as boolean tensors that go beside the values.

Not here: who hands masks on (layers/masks.py). Contract: a mask is bool, True where a step counts; ops that read one
take it as floats of 0 and 1 (`as_floats`), which is what kernels multiply by. No gradient flows into a mask.
"""

from __future__ import annotations

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import cast, convert_to_tensor
from .common import unbroadcast
from .comparisons import logical_or, not_equal
from .creation import ones_like, zeros_like
from .joining import concatenate
from .reductions import any as any_of
from .shaping import expand_dims


class Select(Op):
    """a where the mask, floats of 0 and 1 that broadcast, is 1, else b; 0 where b is None."""

    kernels = True

    @staticmethod
    def shape(mask, a, b=None):
        return kernels.broadcast_shape(mask, a if b is None else kernels.broadcast_shape(a, b))

    def forward(self, mask, a, b):
        self.mask, self.shapes = mask, (a.shape, None if b is None else b.shape)
        y = kernels.combine("gate", a, mask)
        return y if b is None else kernels.combine("add", y, kernels.combine("gate_rest", b, mask))

    def backward(self, dy):
        da = unbroadcast(kernels.combine("gate", dy, self.mask), self.shapes[0]) if self.needs[1] else None
        db = unbroadcast(kernels.combine("gate_rest", dy, self.mask), self.shapes[1]) if self.needs[2] else None
        return None, da, db


def differs(x: TensorLike, value: float, any_last: bool = False) -> Tensor:
    """The mask of x != value; with `any_last`, of whether any entry of the last axis differs."""
    found = not_equal(x, value)
    return any_of(found, axis=-1) if any_last else found


def side_by_side(masks: list, arrays: list, axis: int) -> Tensor:
    """The mask of arrays that are joined along `axis`, from theirs, None where all counts."""
    full = []
    for mask, x in zip(masks, arrays):
        if mask is None:
            mask = ones_like(x, "bool")
        elif len(mask.shape) < len(x.shape):
            mask = logical_or(expand_dims(mask, -1), zeros_like(x, "bool"))
        full.append(mask)
    return any_of(concatenate(full, axis), axis=-1)


def as_floats(mask: TensorLike, dtype) -> Tensor:
    """A mask (bool, or numbers of which 0 is False) as floats of 0 and 1."""
    mask = convert_to_tensor(mask)
    return cast(mask if mask.dtype.kind == "b" else not_equal(mask, 0), dtype)


def select(mask: TensorLike, a: TensorLike, b: TensorLike | None = None) -> Tensor:
    """a where `mask`, floats of 0 and 1, is 1, else b, or 0; the other's NaN and infinities do not come through."""
    return Select.apply(mask, a, b)
