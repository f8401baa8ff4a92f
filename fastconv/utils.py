"""Small helpers for the user's program, after `keras.utils`.

Not a place for internals. Contract: arrays in, arrays out; wrong labels are an error, never wrapped around.
"""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastconv import nest, rng
from fastconv.absent import explain as _explain
from fastconv.backend import clear_session, is_keras_tensor, standardize_dtype
from fastconv.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from fastconv.data.elements import at_least
from fastconv.data.feeding import is_stream
from fastconv.data.folders import image_dataset_from_directory
from fastconv.data.images import array_to_img, img_to_array, load_img, save_img
from fastconv.data.pydataset import PyDataset, Sequence
from fastconv.data.series import split_stream, timeseries_dataset_from_array
from fastconv.downloads import get_file
from fastconv.drawing import model_to_dot
from fastconv.graph import Node, sources
from fastconv.plotting.models import plot_model
from fastconv.progress import Progbar
from fastconv.rng import set_random_seed
from fastconv.saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor

__all__ = [
    "CustomObjectScope", "Progbar", "PyDataset", "Sequence", "array_to_img", "clear_session", "custom_object_scope",
    "deserialize_keras_object", "disable_interactive_logging", "enable_interactive_logging", "get_custom_objects",
    "get_file", "get_registered_name", "get_registered_object", "get_source_inputs", "image_dataset_from_directory",
    "img_to_array", "is_interactive_logging_enabled", "is_keras_tensor", "load_img", "model_to_dot",
    "normalize", "pack_x_y_sample_weight", "pad_sequences", "plot_model", "register_keras_serializable", "save_img", "serialize_keras_object",
    "set_random_seed", "split_dataset", "standardize_dtype", "timeseries_dataset_from_array", "to_categorical",
    "unpack_x_y_sample_weight",
]  # fmt: skip


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows for integer labels, as `keras.utils.to_categorical`.

    `x` holds whole numbers in [0, num_classes), in any shape; a last axis of size 1 is dropped when others
    stand before it. Returns float64 of shape `x.shape + (num_classes,)`. `num_classes` defaults to the
    largest label + 1: give it when `x` may lack the last class.

    Raises ValueError for a label outside the range and for an empty `x` without num_classes, TypeError for
    labels that are no numbers.

    >>> utils.to_categorical([2, 0], num_classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
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


def normalize(x: ArrayLike | Tensor, axis: int = -1, order: int | float = 2) -> np.ndarray | Tensor:
    """`x` divided by the lengths of its vectors along `axis`, by the norm of this `order`; vectors of length 0 stay.

    An array of floats for an array or a list, a Tensor for a Tensor. ValueError for an order below 1.
    """
    from fastconv import ops

    if order < 1:
        raise ValueError(f"order must be at least 1; got {order!r}.")
    if isinstance(x, Tensor):
        return ops.normalize(x, axis, order)
    x = np.atleast_1d(np.asarray(x))
    if x.dtype.kind not in "biuf":
        raise TypeError(f"normalize expects numbers; x is {x.dtype}.")
    x = x if x.dtype.kind == "f" else x.astype(np.float64)  # powers of bytes would overflow
    length = _norms(x, axis, order)
    return np.asarray(x / np.where(length == 0, 1, length), x.dtype)


def _norms(x: np.ndarray, axis: int, order: int | float) -> np.ndarray:
    """The norms along one axis, kept as an axis of size 1."""
    sizes = np.abs(x)
    if order == math.inf:
        return sizes.max(axis, keepdims=True)
    return np.sum(sizes**order, axis, keepdims=True) ** (1 / order)


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The tuple of those that are given, as data sets hold a batch; a lone x that is no tuple or list is itself."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a batch of data, None for what it lacks; a batch that is no tuple or list is x.

    ValueError for more than three.
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(f"A batch holds x, (x, y) or (x, y, sample_weight); got {len(data)} parts.")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def split_dataset(
    dataset: Any, left_size: float | int | None = None, right_size: float | int | None = None, shuffle: bool = False,
    seed: int | None = None, preferred_backend: str | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Two parts of a data set: an array, a list of samples, or a tuple or dict of arrays whose first axis counts
    samples.

    `left_size` and `right_size` are numbers of samples, or shares of them as floats between 0 and 1; the one that is
    left out takes the rest. `shuffle` draws the samples' order first, from `seed` or the common stream. Each part has
    the data set's form, with arrays; a Dataset, or another iterable of single samples, is read whole and gives two
    Datasets. `preferred_backend` must be None: there are no other kinds of data sets here.
    """
    if preferred_backend is not None:
        raise ValueError("split_dataset gives arrays or Datasets: leave preferred_backend out.")
    if is_stream(dataset):
        return split_stream(dataset, left_size, right_size, shuffle, seed)
    columns = _columns(dataset)
    count = len(nest.flatten(columns)[0])
    left, right = _sizes(count, left_size, right_size)
    order = np.arange(count)
    if shuffle:
        (rng.generator() if seed is None else rng.seeded(seed)).shuffle(order)
    parts = order[:left], order[len(order) - right :]
    first, second = (nest.map_leaves(lambda column, rows=rows: column[rows], columns) for rows in parts)
    return first, second


def _columns(dataset: Any) -> Any:
    """The data set as a nest of arrays of one length."""
    if isinstance(dataset, list):
        columns = np.asarray(dataset)
    else:
        columns = nest.map_leaves(lambda leaf: leaf.numpy() if isinstance(leaf, Tensor) else np.asarray(leaf), dataset)
    leaves = nest.flatten(columns)
    if not leaves or any(leaf.ndim == 0 or leaf.dtype == object for leaf in leaves):
        raise TypeError(
            "split_dataset takes an array, a list of samples of one shape, or a tuple or dict of arrays; got "
            f"{type(dataset).__name__}."
        )
    if len({len(leaf) for leaf in leaves}) > 1:
        raise ValueError(
            f"The arrays have different numbers of samples: {', '.join(str(len(leaf)) for leaf in leaves)}."
        )
    return columns


def _sizes(count: int, left: float | int | None, right: float | int | None) -> tuple[int, int]:
    """The numbers of samples of two parts."""
    if left is None and right is None:
        raise ValueError("split_dataset needs left_size or right_size.")
    found = []
    for name, size in (("left_size", left), ("right_size", right)):
        if isinstance(size, bool) or not isinstance(size, (int, float, np.number, type(None))):
            raise TypeError(f"{name} must be a number of samples or a share of them; got {size!r}.")
        whole = size is None or isinstance(size, (int, np.integer))
        if size is not None and not (0 < size <= count if whole else 0 < size < 1):
            raise ValueError(f"{name} must be from 1 to the {count} samples, or a share between 0 and 1; got {size!r}.")
        found.append(size if size is None else int(size) if whole else round(size * count))
    first = count - found[1] if found[0] is None else found[0]
    second = count - first if found[1] is None else found[1]
    if first + second > count:
        raise ValueError(f"left_size and right_size take {first} and {second} samples of {count}.")
    if not first or not second:
        raise ValueError(f"One part of {count} samples would be empty: choose another size.")
    return first, second


def pad_sequences(
    sequences: list[Any] | tuple[Any, ...], maxlen: int | None = None, dtype: str = "int32", padding: str = "pre",
    truncating: str = "pre", value: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Sequences of different lengths as one array of `(sequences, maxlen, ...)`.

    Short ones get `value` in front (`padding="pre"`) or behind ("post"), long ones lose their beginning
    (`truncating="pre"`) or end ("post"). `maxlen` is by default the longest one's length. ValueError where entries have
    different shapes, or are no integers of such a `dtype`; TypeError for what is no list of sequences.
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(f"{name} must be 'pre' or 'post'; got {choice!r}.")
    if not hasattr(sequences, "__len__") or not all(hasattr(sequence, "__len__") for sequence in sequences):
        raise TypeError("sequences must be a list of lists or arrays.")
    arrays = [np.asarray(sequence) for sequence in sequences]
    shapes = {array.shape[1:] for array in arrays if len(array)} or {()}
    if len(shapes) > 1:
        raise ValueError(f"The entries of the sequences have different shapes: {sorted(shapes)}.")
    longest = max(map(len, arrays), default=0) if maxlen is None else at_least(0, "maxlen", maxlen)
    padded = np.full((len(arrays), longest, *shapes.pop()), _held("value", value, dtype))
    for row, array in zip(padded, arrays):
        kept = array[:longest] if truncating == "post" else array[max(len(array) - longest, 0) :]
        if len(kept):
            start = 0 if padding == "post" else longest - len(kept)
            row[start : start + len(kept)] = _held("sequences", kept, dtype)
    return padded


def _held(name, values, dtype):
    """`values` in `dtype`; ValueError where that is of integers and would cut something off."""
    array, dtype = np.asarray(values), np.dtype(dtype)
    imaginary = array.dtype.kind == "c" and dtype.kind in "biuf"
    with np.errstate(invalid="ignore"):
        cast = (array.real if imaginary else array).astype(dtype)
    if imaginary or dtype.kind in "biu" and array.dtype.kind in "biuf":
        lost = array[cast != array]
        if lost.size:
            raise ValueError(f"{name}: {dtype} does not hold {lost[0]}. Give another dtype, such as 'float32'.")
    return cast


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """The tensors of `fastconv.Input` that a tensor without data comes from, each once."""
    if not isinstance(tensor, KerasTensor):
        raise TypeError(f"get_source_inputs needs a tensor of a graph; got {type(tensor).__name__}.")
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        leaf = stack.pop()
        node = leaf.source
        if node is None or (isinstance(node, Node) and not node.inputs):
            found[id(leaf)] = leaf
        elif id(node) not in seen:
            seen.add(id(node))
            stack += reversed(sources(node))
    return list(found.values())


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
