"""Pictures of what a model answers about whole samples: confusions, mistakes, features.

Predictions of every cell are cells.py's. Contract: probabilities and scores become classes by their largest value; arrays of unequal length, and labels that no
column stands for, are refused before anything is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.graph import Node
from fastconv.models import Model
from fastconv.plotting import figures
from fastconv.plotting.figures import BLUE, TITLE, check_classes, check_count, class_name, plain
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor, no_grad

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES = 1000


def confusion_matrix(
    y_true: Any, y_pred: Any, classes: Any = None, normalize: bool = False, title: str | None = None
) -> Figure:
    """How often each class (rows) was taken for each (columns); the title gives the accuracy.

    `y_true`: class numbers, (n,) or (n, 1), or one-hot rows. `y_pred`: class numbers, or rows of probabilities or
    scores, or one probability each of class 1. `classes`: their names. `normalize`: shares of each row instead of
    counts. Numbers stand in the cells of up to 20 classes. ValueError for what does not fit together.
    """
    true, predicted, count = _classes_of(y_true, y_pred)
    names = check_classes(classes, count)
    count = max(count, len(names or ()))
    if count > _MOST_CLASSES:
        raise ValueError(f"confusion_matrix draws up to {_MOST_CLASSES} classes; y_true and y_pred have {count}.")
    counts = np.zeros((count, count), "int64")
    np.add.at(counts, (true, predicted), 1)
    shown = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) if normalize else counts
    side = min(max(0.45 * count + 1.8, 3.6), 11)
    figure = figures.new_figure(side + 1.5, side + 0.3)
    ax = figure.subplots()
    image = ax.imshow(shown, cmap="cividis", vmin=0, vmax=1 if normalize else max(int(shown.max()), 1))
    if count <= 20:
        _write_cells(ax, shown, image)
    marks = range(0, count, -(-count // 64))  # every class, every second, ...: a gap now and then would mislead
    labels = [class_name(names, n) for n in marks]
    ax.set_xticks(marks, labels, rotation=0 if max(map(len, labels)) < 4 else 90, fontsize=8)
    ax.set_yticks(marks, labels, fontsize=8)
    ax.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=ax, label="share of the row" if normalize else "samples", fraction=0.046, pad=0.03)
    text = title or f"Accuracy {np.mean(true == predicted):.2%} of {len(true):,} samples"
    figure.suptitle(figures.wrapped(text, figure), fontsize=TITLE)
    return figure


def _write_cells(ax, shown, image):
    """The numbers, dark on bright cells and bright on dark ones."""
    for (row, column), value in np.ndenumerate(shown):
        red, green, blue, _ = image.cmap(image.norm(value))
        colour = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        if shown.dtype.kind == "f":
            text = f"{value:.2f}".removeprefix("0") if 0 < value < 1 else f"{value:.0f}"
        else:
            text = str(value) if value < 100_000 else f"{value / 1000:.0f}k"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=8 if len(text) < 5 else 6)


def mistakes(
    x: Any, y_true: Any, y_pred: Any, classes: Any = None, max_samples: int = 24, title: str | None = None
) -> Figure:
    """The samples that were taken for another class, the surest first: true class, predicted class and its probability.

    `x`: samples, (n, ..., channels), or squares and cubes without channels. `y_pred`: rows of probabilities or
    scores, class numbers, or a model, which then predicts x. `y_true` and `classes` as in confusion_matrix.
    The figure says so where there is no mistake. ValueError for what does not fit together.
    """
    max_samples = check_count(max_samples, "max_samples", 400)
    x = figures.numbers(x, "x")
    y_pred = figures.predicted(y_pred, x)
    true, predicted, count = _classes_of(y_true, y_pred)
    if len(x) != len(true):
        raise ValueError(f"x and y_true must hold the same number of samples; got {len(x)} and {len(true)}.")
    names, sure = check_classes(classes, count), _probabilities(y_pred, predicted)
    samples = figures.with_channels(x)
    wrong = np.flatnonzero(true != predicted)
    if sure is not None:
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    shown = wrong[:max_samples]
    text = title or f"{len(wrong)} mistakes in {len(x):,} samples"
    if len(wrong) > len(shown):
        text += f"; the {len(shown)} surest" if sure is not None else f"; the first {len(shown)}"
    if not len(shown):
        figure, axes = figures.grid(1, 1, 4.2, text, high=0.5)
        axes[0, 0].text(0.5, 0.5, "No mistake to show.", ha="center", va="center", transform=axes[0, 0].transAxes)
        figures.clear(axes.flat)
        return figure
    rows, columns = figures.rows_for(len(shown))
    figure, axes = figures.grid(rows, columns, 1.35, text, high=1.65)
    for ax, n in zip(axes.flat, shown):
        figures.show(ax, np.asarray(samples[n], "float64"))
        share = "" if sure is None else f" {sure[n]:.0%}"
        words = f"is {class_name(names, true[n], 12)}\nsaid {class_name(names, predicted[n], 10)}{share}"
        ax.set_title(words, fontsize=8, pad=3)
    figures.clear(axes.flat[len(shown) :])
    return figure


def feature_embedding(
    model: Any, x: Any, y: Any = None, layer: Any = None, classes: Any = None, title: str | None = None
) -> Figure:
    """Samples as points: the two directions in which what a layer makes of them varies most (principal components).

    `model`: a model, of which the output of `layer` (default: what its last layer with weights is given) is taken for
    the samples x; None: x holds features already, (n, ...). `y`: class numbers or one-hot rows, for colours and marks;
    `classes` their names. The axes say which share of the variance they show. ValueError for fewer than three samples,
    features that are not finite, and a layer that the model has not.
    """
    x = figures.numbers(x, "x")
    if len(x) < 3:
        raise ValueError(f"feature_embedding needs at least 3 samples; got {len(x)}.")
    name, features = ("features", x) if model is None else _features(model, x, layer)
    features = features.reshape(len(x), -1).astype("float64")
    if not np.isfinite(features).all():
        raise ValueError(f"{figures.not_finite(features)} of the features are not finite, so they have no directions.")
    centred = features - features.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :2] * sizes[:2]
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    shares = np.append(sizes**2 / max(float((sizes**2).sum()), 1e-300), [0.0, 0.0])
    figure = figures.new_figure(6.2, 5)
    ax = figure.subplots()
    _scatter(ax, points, y, classes)
    ax.set(xlabel=f"component 1 ({shares[0]:.0%} of the variance)", ylabel=f"component 2 ({shares[1]:.0%})")
    ax.grid(alpha=0.3)
    text = title or f"{len(x):,} samples by {name}, {features.shape[1]:,} numbers each"
    figure.suptitle(figures.wrapped(text, figure), fontsize=TITLE)
    return figure


def _scatter(ax, points, y, classes):
    if y is None:
        ax.scatter(*points.T, s=14, color=BLUE, alpha=0.7)
        return
    labels = _labels(y, "y")
    if len(labels) != len(points):
        raise ValueError(f"x and y must hold the same number of samples; got {len(points)} and {len(labels)}.")
    present = np.unique(labels)
    names = check_classes(classes, int(labels.max()) + 1)
    from matplotlib import colormaps

    colours = colormaps["viridis"](np.linspace(0, 0.95, len(present)))
    for n, (label, colour) in enumerate(zip(present, colours)):
        rows = labels == label
        ax.scatter(*points[rows].T, s=18, color=[colour], marker="osD^vP*X<>"[n % 10], alpha=0.75, linewidths=0,
                   label=class_name(names, label) if n < 24 else None)  # fmt: skip
    if len(present) > 1:
        title = "class" if len(present) <= 24 else f"class (24 of {len(present)})"
        ax.legend(title=title, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def _features(model, x, layer):
    """(what they are, features of each sample) by a layer, in batches; only a layer of a model inside keeps all maps of
    its few samples."""
    figures.check_model(model)
    nodes = [node for node in model.graph.nodes if isinstance(node, Node)]
    if layer is None:
        last = next((node for node in reversed(nodes) if node.layer.weights), None)
        if last is None:
            raise ValueError(f"{model.name!r} has no layer with weights: name the layer whose output is meant.")
        return plain(_origin(last.inputs[0])), _predicted_tensor(model, last.inputs[0], x)
    found = figures.find_layer(model, layer)
    node = next((node for node in reversed(nodes) if node.layer is found), None)
    if node is not None and isinstance(node.outputs, KerasTensor):
        return plain(found.name), _predicted_tensor(model, node.outputs, x)
    parts = []
    for start in range(0, len(x), 8):
        with no_grad():
            calls, _ = figures.run(model, x[start : start + 8])
        output = next((output for called, output in reversed(calls) if called is found), None)
        if not isinstance(output, Tensor):
            raise ValueError(f"The layer {found.name!r} gives no one tensor: name another layer.")
        parts.append(output.numpy())
    return plain(found.name), np.concatenate(parts)


def _predicted_tensor(model, tensor, x):
    if tensor.source is None or (isinstance(tensor.source, Node) and not tensor.source.inputs):
        return x
    return Model(model.graph.inputs, tensor, name=model.name).predict(x)


def _origin(tensor):
    """What made a tensor."""
    return tensor.source.layer.name if isinstance(tensor.source, Node) else tensor.source.op.__name__.lower()


# Labels


def _labels(y, name, what="class numbers"):
    """Class numbers of (n,), from such numbers, (n, 1), or rows of scores or one-hot."""
    array = figures.numbers(y, name)
    if array.ndim == 2 and array.shape[1] > 1:
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds {figures.not_finite(array)} values that are not finite: it tells no class.")
        return array.argmax(axis=1)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{name} must hold {what}, (n,), or one row a sample; got the shape {array.shape}.")
    array = array.reshape(len(array))
    if array.dtype.kind == "f":
        if not (np.isfinite(array) & (array == np.trunc(array))).all():
            raise ValueError(f"{name} must hold whole class numbers; it holds fractions or values that are not finite.")
    if array.min() < 0:
        raise ValueError(f"{name} must hold class numbers from 0; got {array.min()}.")
    return array.astype("int64")


def _classes_of(y_true, y_pred):
    """(true, predicted, how many classes)."""
    true, array = _labels(y_true, "y_true"), figures.numbers(y_pred, "y_pred")
    columns = array.shape[1] if array.ndim == 2 else 1
    if _is_binary(array):
        predicted, columns = (array.reshape(-1) > 0.5).astype("int64"), 2
    else:
        predicted = _labels(array, "y_pred", "class numbers or rows of probabilities")
    if len(true) != len(predicted):
        raise ValueError(
            f"y_true and y_pred must hold the same number of samples; got {len(true)} and {len(predicted)}."
        )
    count = max(int(true.max()), int(predicted.max())) + 1
    if columns > 1 and count > columns:
        raise ValueError(
            f"y_true holds the class {int(true.max())}; y_pred tells {columns} classes, 0 to {columns - 1}."
        )
    return true, predicted, max(count, columns)


def _is_binary(array):
    """Whether these are probabilities of class 1: numbers between 0 and 1, not all whole."""
    if array.dtype.kind != "f" or not (array.ndim == 1 or array.ndim == 2 and array.shape[1] == 1) or not array.size:
        return False
    return bool((array >= 0).all() and (array <= 1).all() and (array != np.trunc(array)).any())


def _probabilities(y_pred, predicted):
    """The probability of the predicted class of each sample, None where y_pred has class numbers."""
    array = figures.numbers(y_pred, "y_pred").astype("float64")
    if _is_binary(array):
        share = array.reshape(-1)
        return np.where(predicted == 1, share, 1 - share)
    if array.ndim != 2 or array.shape[1] < 2:
        return None
    if array.min() < 0 or not np.allclose(array.sum(axis=1), 1, atol=1e-3):  # scores
        array = np.exp(array - array.max(axis=1, keepdims=True))
        array /= array.sum(axis=1, keepdims=True)
    return array[np.arange(len(array)), predicted]
