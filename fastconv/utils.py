"""Small helpers for the user's program, after `keras.utils`.

Not a place for internals. Contract: arrays in, arrays out; wrong labels are an error, never wrapped around.
"""

from numbers import Integral

import numpy as np

from fastconv.rng import set_random_seed

__all__ = ["set_random_seed", "to_categorical"]


def to_categorical(x, num_classes=None):
    """One-hot rows for integer labels, as `keras.utils.to_categorical`.

    `x` holds whole numbers in [0, num_classes), in any shape; a last axis of size 1 is dropped when others
    stand before it. Returns float64 of shape `x.shape + (num_classes,)`. `num_classes` defaults to the
    largest label + 1: give it when `x` may lack the last class.

    Raises ValueError for a label outside the range and for an empty `x` without num_classes, TypeError for
    labels that are no numbers.
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "buif":
        raise TypeError(f"to_categorical expects integer labels; x is {labels.dtype}.")
    if labels.dtype.kind == "f" and not np.all(np.isfinite(labels) & (labels == np.trunc(labels))):
        raise ValueError("to_categorical expects integer labels; x holds fractions, NaN or infinities.")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if not labels.size:
            raise ValueError("to_categorical cannot infer num_classes from an empty x; give num_classes.")
        num_classes = int(labels.max()) + 1
    elif not isinstance(num_classes, Integral) or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number of at least 1; got {num_classes!r}.")
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"to_categorical expects labels from 0 to {num_classes - 1} (num_classes - 1); "
            f"x ranges from {labels.min()} to {labels.max()}."
        )
    categorical = np.zeros((labels.size, num_classes))
    categorical[np.arange(labels.size), labels.ravel().astype(np.int64)] = 1
    return categorical.reshape(*labels.shape, num_classes)
