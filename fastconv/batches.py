"""Batches: what `fit` is given becomes nests of arrays of equally many samples, cut and gathered batch by batch.

It trains nothing. Contract: the first axis counts samples; nothing is converted but in a batch of its own; weights of
samples are one array for each output of the model, or None for no weights at all.
"""

from __future__ import annotations

import math

import numpy as np

from fastconv import kernels
from fastconv.layers.shapes import array_of, cast, numbers
from fastconv.nest import flatten, map_leaves


def samples(nest) -> int:
    """How many there are."""
    return len(nest) if isinstance(nest, np.ndarray) else len(flatten(nest)[0])


def cut(nest, start, stop):
    """A nest of the samples from `start` to `stop`; None stays None."""
    return None if nest is None else map_leaves(lambda leaf: leaf[start:stop], nest)


def gather(nest, chosen, dtype, everything=False):
    """A nest of the samples with these numbers, floats (or `everything`) in `dtype`; None stays None."""
    if nest is None:
        return None
    return map_leaves(
        lambda leaf: _gather(leaf, chosen, dtype if everything or leaf.dtype.kind == "f" else leaf.dtype), nest
    )


def _gather(array, chosen, dtype):
    """`array[chosen]` in `dtype`, on cached memory where no conversion is needed."""
    if array.dtype != dtype or dtype.kind != "f" or not (array.flags.c_contiguous and array.flags.aligned):
        return cast(array[chosen], dtype)
    out = kernels.empty((len(chosen), *array.shape[1:]), dtype)
    return array.take(chosen, axis=0, out=out, mode="clip")  # "raise" would buffer a second copy


def as_nest(values, names, what):
    """`values` for `names`: as they are for one, else in their order; lists of numbers are one array."""
    if isinstance(values, dict):
        if set(values) != set(names):
            raise ValueError(f"{what} must have one entry for each of {', '.join(names)}; got {', '.join(values)}.")
        return [values[name] for name in names]
    if len(names) > 1:
        if not isinstance(values, (list, tuple)) or len(values) != len(names):
            raise ValueError(f"{what} must be a list or dict of {len(names)} arrays, for {', '.join(names)}.")
        return list(values)
    if isinstance(values, (list, tuple)) and len(values) == 1 and isinstance(values[0], np.ndarray):
        return values[0]
    return array_of(values, what) if isinstance(values, (list, tuple)) else values


def pair(validation_data):
    """(x, y, "validation", weights or None) of `(x, y)` or `(x, y, sample_weight)`."""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        shape = getattr(validation_data, "shape", None)
        kind = f"a {type(validation_data).__name__} of shape {shape}" if shape is not None else "other data"
        if isinstance(validation_data, (tuple, list)):
            kind = f"{len(validation_data)} of them"
        raise ValueError(
            f"validation_data must be a pair (x, y), or (x, y, sample_weight), or an iterable of batches; got {kind}. "
            "For a share of the training data, leave it out and give validation_split=0.2."
        )
    x, y, *weight = validation_data
    return x, y, "validation", weight[0] if weight else None


def split(data, share):
    """(data, held-out data or None) of (x, y, weights): the last `share` of the samples is held out."""
    if isinstance(share, (str, bool)) or not 0 <= share < 1:
        raise ValueError(f"validation_split must be at least 0 and below 1; got {share!r}.")
    if not share:
        return data, None
    count = samples(data[0])
    kept = math.floor(count * (1 - share))
    if not kept:
        raise ValueError(f"validation_split={share} of {count} samples leaves none for training.")
    return tuple(cut(part, 0, kept) for part in data), tuple(cut(part, kept, count) for part in data)


def weights(y, names, sample_weight, class_weight, caller, classes=None):
    """An array of weights for each output, or None where none are given; `classes`: how many a single output has."""
    targets = flatten(y)
    if sample_weight is None and class_weight is None:
        return None
    if sample_weight is not None and class_weight is not None:
        raise ValueError(f"{caller}: give sample_weight or class_weight, not both; multiply them yourself.")
    if class_weight is not None:
        if len(names) > 1:
            raise ValueError(f"{caller}: class_weight is for models of one output; give sample_weight, one for each.")
        return [_by_class(targets[0], class_weight, caller, classes)]
    given = as_nest(sample_weight, names, "sample_weight")
    given = given if isinstance(given, list) else [given]
    found = []
    for weight, target in zip(given, targets):
        if weight is None:
            found.append(np.ones(len(target), np.float32))
            continue
        weight = numbers(weight, "sample_weight")
        fits = weight.ndim and len(weight) == len(target) and weight.ndim <= max(target.ndim, 1)
        if not fits:
            raise ValueError(
                f"{caller}: sample_weight must have one number for each of the {len(target)} samples, or one for each "
                f"target of shape {target.shape}; got shape {weight.shape}."
            )
        if weight.dtype.kind == "f" and not np.isfinite(weight).all():
            raise ValueError(f"{caller}: sample_weight holds NaN or infinite numbers.")
        found.append(weight if weight.dtype.kind == "f" else weight.astype(np.float32))
    return found


def check_some(shares):
    """Raises ValueError where weights are given and all of them are 0."""
    if shares is not None and not any(weight.any() for weight in shares):
        raise ValueError(
            "fit: the weights of all samples are 0, so that there is nothing to learn: look at sample_weight or class_weight."
        )


def _by_class(target, class_weight, caller, classes):
    """The weight of each target's class, of one-hot targets or integer labels; 1 for classes without a weight."""
    if not isinstance(class_weight, dict):
        raise TypeError(f"{caller}: class_weight must be a dict of numbers by class; got {class_weight!r}.")
    one_hot = target.ndim > 1 and target.shape[-1] > 1 and _is_one_hot(target)
    labels = target.argmax(axis=-1) if one_hot else target[..., 0] if _has_one(target) else target
    if labels.dtype.kind not in "biu" and not np.array_equal(labels, np.trunc(labels)):
        raise ValueError(f"{caller}: class_weight goes with classes; the targets hold numbers that are no classes.")
    classes = target.shape[-1] if one_hot else classes
    for key in class_weight:
        whole = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
        if not whole or not 0 <= key < (math.inf if classes is None else classes):
            known = "from 0 on" if classes is None else f"from 0 to {classes - 1}"
            raise ValueError(f"{caller}: class_weight has a weight for {key!r}; classes are numbers {known}.")
        weight = class_weight[key]
        if not isinstance(weight, (int, float, np.number)) or not math.isfinite(weight):
            raise ValueError(f"{caller}: the weight of class {key} must be a finite number; got {weight!r}.")
    labels = labels.astype(np.int64)
    table = np.ones(max([int(labels.max(initial=0)), *class_weight]) + 1, np.float32)
    for key, weight in class_weight.items():
        table[key] = weight
    return np.where(labels >= 0, table[np.maximum(labels, 0)], np.float32(1))


def _is_one_hot(target):
    rows = target[:64].reshape(-1, target.shape[-1])
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=-1) == 1).all())


def _has_one(target):
    return target.ndim > 1 and target.shape[-1] == 1
