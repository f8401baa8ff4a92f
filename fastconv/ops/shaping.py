"""Ops that move, select or convert elements without computing with them.

Contract: reshape, transpose and basic indexing share their input's memory, as in NumPy; advanced indexing and cast
copy.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from ..tensor import FLOAT32, FLOAT64, Op, Tensor
from .common import normalize_axes, normalize_axis


class Reshape(Op):
    kernels = True

    @staticmethod
    def shape(x, *, shape):
        if -1 in shape:
            known = [n for n in x if n is not None]
            size = None if len(known) < len(x) else math.prod(known)
            rest = math.prod(n for n in shape if n != -1)
            return tuple((None if size is None else size // rest) if n == -1 else n for n in shape)
        return tuple(shape)

    def forward(self, x, *, shape):
        self.shape = x.shape
        return x.reshape(shape)

    def backward(self, dy):
        return dy.reshape(self.shape)


class Transpose(Op):
    def forward(self, x, *, axes):
        self.inverse = np.argsort(axes) if axes else None
        return x.transpose(axes)

    def backward(self, dy):
        return dy.transpose(self.inverse)


class GetItem(Op):
    def forward(self, x, *, index):
        self.shape, self.index = x.shape, index
        return x[index]

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        if all(part is None or part is ... or isinstance(part, (int, np.integer, slice)) for part in parts):
            dx[self.index] = dy
        else:  # an array of indices may name an element twice
            np.add.at(dx, self.index, dy)
        return dx


class Cast(Op):
    def forward(self, x, *, dtype):
        self.dtype = x.dtype
        return x.astype(dtype)

    def backward(self, dy):
        return dy.astype(self.dtype)


def reshape(x, newshape):
    """x with another shape of the same size; one entry of `newshape` may be -1."""
    shape = tuple(newshape) if hasattr(newshape, "__len__") else (operator.index(newshape),)
    return Reshape.apply(x, shape=shape)


def transpose(x, axes=None):
    """x with its axes in the order `axes`; reversed without."""
    return Transpose.apply(x, axes=None if axes is None else normalize_axes(tuple(axes), len(axes)))


def get_item(x, index):
    """x[index], with NumPy's basic and advanced indexing."""
    return GetItem.apply(x, index=index)


def cast(x, dtype):
    """x in "float32" or "float64"; its gradient comes back in x's dtype."""
    if np.dtype(dtype) not in (FLOAT32, FLOAT64):
        raise TypeError(f"dtype must be 'float32' or 'float64'; got {dtype!r}.")
    return Cast.apply(x, dtype=np.dtype(dtype))


def convert_to_tensor(x, dtype=None):
    """x itself if it is a Tensor (of `dtype`), else a Tensor on it, converted to `dtype` if that is given."""
    if isinstance(x, Tensor):
        return x if dtype is None or np.dtype(dtype) == x.dtype else cast(x, dtype)
    return Tensor(x, dtype=dtype)


def one_hot(x, num_classes, axis=-1, dtype="float32"):
    """Integer labels of any shape as vectors with a single 1, along a new axis of size `num_classes` at `axis`.

    A label outside 0..num_classes - 1 raises ValueError, an x that does not hold integers TypeError.
    """
    labels = check_labels("x", x, operator.index(num_classes))
    vectors = np.zeros((math.prod(labels.shape), num_classes), dtype)
    vectors[np.arange(len(vectors)), labels.reshape(-1)] = 1
    vectors = vectors.reshape(*labels.shape, num_classes)
    return Tensor(np.moveaxis(vectors, -1, normalize_axis(axis, vectors.ndim)))


def check_labels(name, labels, num_classes):
    """`labels` as an int64 array of numbers from 0 to num_classes - 1; labels without data are what they are."""
    if isinstance(labels, Tensor) and labels.symbolic:
        return labels
    array = labels.data if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integer class numbers; got {array.dtype}. Use {name}.astype('int64').")
    if array.size and not (array.min() >= 0 and array.max() < num_classes):
        wrong = array[(array < 0) | (array >= num_classes)].flat[0]
        raise ValueError(
            f"{name} holds the label {wrong}, but with {num_classes} classes labels go from 0 to {num_classes - 1}."
        )
    return array.astype(np.int64, copy=False)
