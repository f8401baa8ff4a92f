"""What all pictures share: matplotlib, brought in when it is needed, figures, samples as pictures, and refusals.

Not a picture itself. Contract: figures are matplotlib.figure.Figure, made without pyplot: no window, no backend, no
state; colours are viridis, cividis, gray and four that colour-blind readers tell apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.layers import Layer
from fastconv.registry import unknown_name
from fastconv.tensor import Tensor

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#6b7280"
TITLE = 11
_WINDOWED = ("convolutional", "depthwise", "transposed", "pooling")


def new_figure(width: float, height: float, constrained: bool = True) -> Any:
    """An empty Figure of this size in inches; ImportError, naming the extra, without matplotlib."""
    try:
        from fastconv.plotting.shown import ShownFigure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install 'fastconv[plot]'.") from error
    figure = ShownFigure(figsize=(width, height), layout="constrained" if constrained else None)
    if constrained:
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    return figure


def grid(
    rows: int, columns: int, cell: float = 1.3, title: str = "", high: float | None = None, bar: bool = False
) -> tuple[Any, Any]:  # fmt: skip
    """(figure, array of axes (rows, columns)) for pictures in cells of so many inches, without ticks; `bar`: with room
    for a colour bar at the right."""
    height = cell if high is None else high
    figure = new_figure(max(columns * cell + 0.3, 3.4) + (1.0 if bar else 0), rows * height + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    if title:
        figure.suptitle(wrapped(title, figure), fontsize=TITLE)
    return figure, axes


def wrapped(text: str, figure: Any) -> str:
    """A title in lines that the figure's width holds."""
    import textwrap

    columns = max(int(figure.get_figwidth() * 11.5), 20)
    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, columns))


def plain(text: Any) -> str:
    """A name of the user's, in which matplotlib finds no formula."""
    return str(text).replace("$", r"\$")


# Models and layers


def check_model(model: Any) -> Any:
    """A model that has a graph; TypeError or ValueError in words for anything else."""
    from fastconv.drawing.contents import graph_of

    graph_of(model)
    for layer in all_layers(model):
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"Pictures are of models with the channels last; {layer.name!r} has data_format='channels_first'."
            )
    return model


def one_sample(model: Any, sample: Any) -> np.ndarray:
    """`sample` as a batch of one for a model of one input; TypeError or ValueError where it does not fit."""
    if len(model.inputs) != 1:
        raise ValueError(
            f"{model.name!r} takes {len(model.inputs)} inputs; this picture is of models that take one, such as "
            "Model(model.inputs[0], ...)."
        )
    array = numbers(sample, "sample")
    wanted = tuple(model.inputs[0].shape)[1:]
    for candidate in (array[None], array[None, ..., None], array):
        shape = candidate.shape
        if len(shape) == len(wanted) + 1 and shape[0] == 1:
            if all(size in (want, None) or want is None for size, want in zip(shape[1:], wanted)):
                return candidate
    raise ValueError(
        f"sample must be one sample of shape {wanted}, as {model.name!r} takes them; got {array.shape}."
        + (" Take one of the batch: x[0]." if array.ndim == len(wanted) + 1 else "")
    )


def numbers(value: Any, name: str) -> np.ndarray:
    """An array of numbers; TypeError for anything else."""
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of numbers; got {type(value).__name__} of {array.dtype}.")
    return array


def run(model: Any, x: Any) -> tuple[list[tuple[Layer, Any]], Any]:
    """([(layer, what it gave)] of each call, those in models inside too, in order; the model's output).

    A Tensor that requires a gradient keeps all of it on the tape.
    """
    found, output = calls(model, x)
    return [(layer, made) for layer, _, made in found], output


def calls(model: Any, x: Any) -> tuple[list[tuple[Layer, Any, Any]], Any]:
    """As `run`, but (layer, the arguments that it was given, what it gave)."""
    found = []

    def call(layer, args, kwargs):
        if getattr(layer, "graph", None) is not None and len(args) == 1 and not kwargs:
            output = layer.graph.run(layer.prepare(layer.arrange(args[0])), call)
        else:
            output = layer(*args, **kwargs)
        found.append((layer, args, output))
        return output

    return found, model.graph.run(model.prepare(model.arrange(x)), call)


def all_layers(model: Any) -> list[Layer]:
    """The layers of a model, those of models inside after the model that holds them."""
    found = []
    for layer in model.layers:
        found += [layer, *(all_layers(layer) if getattr(layer, "layers", None) and hasattr(layer, "graph") else [])]
    return found


def find_layer(model: Any, layer: Any) -> Layer:
    """The layer that a name, a place in `model.layers` or the layer itself says; it may be in a model inside."""
    layers = all_layers(model)
    if isinstance(layer, Layer):
        if not any(layer is known for known in layers):
            raise ValueError(f"The layer {layer.name!r} is not in {model.name!r}.")
        return layer
    if isinstance(layer, str):
        for known in layers:
            if known.name == layer:
                return known
        raise unknown_name(f"layer in {model.name!r}:", layer, [known.name for known in layers])
    if isinstance(layer, bool) or not hasattr(layer, "__index__"):
        raise TypeError(f"layer must be a name, a number or a layer of {model.name!r}; got {layer!r}.")
    return model.get_layer(index=int(layer))


def has_maps(shape: Any) -> bool:
    """Whether an output of this shape, the batch included, is maps: channels over one to three axes."""
    return isinstance(shape, tuple) and 3 <= len(shape) <= 5


def convolves_or_pools(layer: Layer) -> bool:
    """Whether a layer is a convolution or a pool, or of a class made from one."""
    return any(base.__module__.rpartition(".")[2] in _WINDOWED for base in type(layer).__mro__)


def refuse_layer(layer: Layer, what: str, known: list[str]) -> ValueError:
    """The error for a layer that cannot be pictured."""
    names = ", ".join(known) if known else "none"
    return ValueError(f"The layer {layer.name!r} ({type(layer).__name__}) has no {what}. Layers that have: {names}.")


# Samples and maps as pictures


def sampled(count: int, most: int) -> list[int]:
    """Up to `most` numbers below count, evenly spread."""
    if count <= most:
        return list(range(count))
    return [round(n * (count - 1) / (most - 1)) for n in range(most)] if most > 1 else [0]


def check_count(value: Any, name: str, most: int | None = None) -> int:
    """A whole number from 1, up to what a figure holds."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1 or (most and value > most):
        bounds = f"from 1 to {most}" if most else "of at least 1"
        raise ValueError(f"{name} must be a whole number {bounds}; got {value!r}.")
    return int(value)


def picture(array: np.ndarray) -> np.ndarray:
    """One sample of 2D, (rows, columns, channels), as an image: colours 0..1 where it has three channels, else the
    first channel's values."""
    array = np.asarray(array, "float64")
    if array.shape[-1] not in (3, 4):
        return array[..., 0]
    low, high = finite_range(array)
    if low < 0 or high > 1:
        low, high = (0, 255) if 0 <= low and 1 < high <= 255 else (low, high)
        array = (array - low) / ((high - low) or 1)
    return np.nan_to_num(np.clip(array, 0, 1))


def finite_range(array: np.ndarray) -> tuple[float, float]:
    """(least, largest) of the finite values; (0, 1) where there is none."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def show(ax: Any, array: np.ndarray, place: int | None = None, cmap: str = "gray", **options: Any) -> Any:
    """Draws one sample (spatial axes, channels): lines of a signal, an image, the slice `place` of a volume's first
    axis (default: the middle). Values that are not finite stay white in images and leave gaps in lines."""
    if array.ndim < 3:
        array = array.reshape(len(array), -1)
        for channel in sampled(array.shape[1], 4):
            ax.plot(np.where(np.isfinite(array[:, channel]), array[:, channel], np.nan), linewidth=1, **options)
        ax.margins(x=0)
        return None
    if array.ndim == 4:
        array = array[array.shape[0] // 2 if place is None else place]
    image = picture(array)
    if image.ndim == 2:
        low, high = finite_range(image)
        options = {"vmin": low, "vmax": high if high > low else low + 1, **options}
        image = np.where(np.isfinite(image), image, np.nan)
    return ax.imshow(image, cmap=cmap, interpolation="nearest", **options)


def step_axis(ax: Any, length: int) -> None:
    """Numbers below a signal."""
    ax.set_xticks(sampled(length, 6))
    ax.set_xlabel("step", fontsize=9)
    ax.tick_params(labelsize=8)


def predicted(y_pred: Any, x: np.ndarray) -> np.ndarray:
    """An array of predictions, or what a model predicts for x."""
    if hasattr(y_pred, "predict"):
        found = y_pred.predict(x)
        if isinstance(found, (list, tuple, dict)):
            raise ValueError(f"{y_pred.name!r} gives several outputs: predict x yourself, and give one of them.")
        return found
    return numbers(y_pred, "y_pred")


def with_channels(x: np.ndarray) -> np.ndarray:
    """Samples (n, *spatial, channels): single numbers a step, and squares and cubes of more than four cells, have none
    yet."""
    if x.ndim == 2 or (x.ndim in (3, 4) and x.shape[-1] > 4 and x.shape[-1] == x.shape[-2]):
        return x[..., None]
    if not 3 <= x.ndim <= 5:
        raise ValueError(
            f"x must hold samples of 1D, 2D or 3D with channels, (n, ..., channels); got the shape {x.shape}."
        )
    return x


def not_finite(array: np.ndarray) -> int:
    """How many values are NaN or infinite."""
    return int(np.size(array) - np.isfinite(array).sum())


def rows_for(count: int, most: int = 8) -> tuple[int, int]:
    """(rows, columns) of a grid for so many pictures, wider than high, with few cells left."""
    least = min(most, count, max(math.ceil(math.sqrt(count)), 4))
    columns = min(range(least, min(most, least + 2, count) + 1), key=lambda wide: -count % wide)
    return math.ceil(count / columns), columns


def clear(axes: Any) -> None:
    """Hides axes that show nothing."""
    for ax in axes:
        ax.set_axis_off()


def class_name(classes: Any, number: int, most: int = 16) -> str:
    """The name of a class, cut to so many characters, or its number."""
    name = str(number if classes is None else classes[number])
    return plain(name if len(name) <= most else name[: most - 1] + "…")


def check_classes(classes: Any, count: int) -> list[str] | None:
    """`classes` as a list of at least so many names; ValueError where there are fewer."""
    if classes is None:
        return None
    classes = [str(name) for name in classes]
    if len(classes) < count:
        raise ValueError(f"classes names {len(classes)} classes; there are {count}.")
    return classes
