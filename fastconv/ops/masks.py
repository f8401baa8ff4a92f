"""Masks: which time steps of a batch count, as boolean tensors that go beside the values.

Not here: who hands masks on (layers/masks.py). Contract: a mask is bool, True where a step counts; ops that read one
take it as floats of 0 and 1 (`as_floats`), which is what kernels multiply by. No gradient flows into a mask.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor
from .common import broadcast_shape, unbroadcast
from .joining import Concatenate
from .shaping import cast


class _Mask(Op):
    """Base class: the result is bool."""

    @staticmethod
    def dtype(given, /, **attributes):
        return np.dtype(bool)


class DiffersMask(_Mask):
    """x != value, of each element, or of any along the last axis."""

    integers = (0,)

    def forward(self, x, *, value, any_last):
        found = x != value
        return found.any(axis=-1) if any_last else found

    def backward(self, dy):
        return None

    @staticmethod
    def shape(x, *, value, any_last):
        return x[:-1] if any_last else x


class EitherMask(_Mask):
    """The logical or of two masks, which broadcast."""

    integers = (0, 1)

    def forward(self, a, b):
        return np.logical_or(a, b)

    def backward(self, dy):
        return None, None

    @staticmethod
    def shape(a, b):
        return broadcast_shape("mask", a, b)


class JoinMasks(_Mask):
    """Masks of arrays of these shapes, all True for None, as the mask of the arrays side by side along `axis`."""

    integers = tuple(range(64))

    @staticmethod
    def shape(*given, shapes, axis):
        return Concatenate.shape(*shapes, axis=axis)[:-1]

    def forward(self, *masks, shapes, axis):
        full = [np.ones(shape, bool) if mask is None else
                np.broadcast_to(mask if mask.ndim == len(shape) else mask[..., None], shape)
                for mask, shape in zip(masks, shapes)]  # fmt: skip
        return np.concatenate(full, axis).any(axis=-1)

    def backward(self, dy):
        return ()


class Select(Op):
    """a where the mask, floats of 0 and 1 that broadcast, is 1, else b; 0 where b is None."""

    kernels = True

    @staticmethod
    def shape(mask, a, b=None):
        return broadcast_shape("select", *[shape for shape in (mask, a, b) if shape is not None])

    def forward(self, mask, a, b):
        self.mask, self.shapes = mask, (a.shape, None if b is None else b.shape)
        y = kernels.combine("gate", a, mask)
        return y if b is None else kernels.combine("add", y, kernels.combine("gate_rest", b, mask))

    def backward(self, dy):
        da = unbroadcast(kernels.combine("gate", dy, self.mask), self.shapes[0]) if self.needs[1] else None
        db = unbroadcast(kernels.combine("gate_rest", dy, self.mask), self.shapes[1]) if self.needs[2] else None
        return None, da, db


def differs(x, value, any_last=False) -> Tensor:
    """The mask of x != value; with `any_last`, of whether any entry of the last axis differs."""
    return DiffersMask.apply(x, value=float(value), any_last=bool(any_last))


def either(a, b) -> Tensor:
    """True where one of two masks is."""
    return EitherMask.apply(a, b)


def side_by_side(masks, shapes, axis) -> Tensor:
    """The mask of arrays of these shapes that are joined along `axis`, from theirs, None where all counts."""
    return JoinMasks.apply(*masks, shapes=tuple(shapes), axis=axis)


def as_floats(mask, dtype) -> Tensor:
    """A mask (bool, or numbers of which 0 is False) as floats of 0 and 1."""
    if getattr(mask, "dtype", None) != np.dtype(bool):
        mask = differs(mask, 0)
    return cast(mask, dtype)


def select(mask, a, b=None) -> Tensor:
    """a where `mask`, floats of 0 and 1, is 1, else b, or 0; the other's NaN and infinities do not come through."""
    return Select.apply(mask, a, b)
