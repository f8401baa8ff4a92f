"""Pictures of what an output comes from: gradients by the input and by maps, and receptive fields.

Contract: gradients are of the score before a last softmax or sigmoid, which does not flatten; the model's weights and
their `grad` stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import ops
from fastconv.autodiff import gradients
from fastconv.plotting import fields, figures
from fastconv.plotting.figures import ORANGE, class_name, plain
from fastconv.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def saliency(model: Any, sample: Any, target: int | None = None, classes: Any = None) -> Figure:
    """Where a sample's values matter to a class: the size of the gradient of its score by each, the largest channel's.

    `sample`: one sample as the model takes it, with or without a batch axis of 1. `target`: the class, a place in the
    output's last axis; default: the predicted one. `classes`: names of classes. Signals of 1D are curves over the
    gradient's colours; of volumes the slice with the largest gradient is shown. ValueError for a model without a graph
    or with several inputs or outputs, a sample that does not fit, and a class that there is not.
    """
    x, _, score, title = _scored(model, sample, target, classes)
    slopes = gradients(score, x)
    if slopes is None:
        raise ValueError(
            f"The score of {model.name!r} has no gradient by its input: an Embedding, or whole numbers, pass none on."
        )
    strength = np.abs(slopes[0]).max(axis=-1) if slopes.ndim > 2 else np.abs(slopes[0])
    return _overlaid(x.numpy()[0], strength, f"Saliency for {title}", "|gradient|")


def grad_cam(model: Any, sample: Any, layer: Any = None, target: int | None = None, classes: Any = None) -> Figure:
    """Where a layer's maps speak for a class (Grad-CAM): their sum, weighed by mean gradients, where it is positive.

    `layer`: a name, a place in `model.layers` or a layer, also of a model inside; default: the last that convolves or
    pools and is not the output. `sample`, `target` and `classes` as in saliency. The maps are laid over the sample; of
    volumes the slice with the largest value is shown. ValueError as saliency, and for a layer without maps.
    """
    x, calls, score, title = _scored(model, sample, target, classes)
    found, maps = _maps_of(model, calls, layer, spare_output=True)
    slopes = gradients(score, maps)
    values = maps.numpy()[0]
    if slopes is None:
        cam = np.zeros(values.shape[:-1])
    else:
        cam = np.maximum((slopes[0].mean(axis=tuple(range(values.ndim - 1))) * values).sum(axis=-1), 0)
    note = "" if cam.any() else " (nothing in these maps speaks for it)"
    return _overlaid(x.numpy()[0], cam, f"Grad-CAM of {plain(found.name)} for {title}{note}", "weight of evidence")


def receptive_field(
    model: Any, layer: Any = None, position: Any = None, sample: Any = None, samples: int = 8, seed: int = 0
) -> Figure:
    """Which part of the input one place in a layer's maps sees: what it can depend on, and what it does depend on.

    A frame shows what it can, by the layers' windows; colours the size of its gradient by each cell. `layer` as in
    grad_cam, the output included; `position`: one index a spatial axis, default: the middle. The gradient is that of
    `sample`, or the mean of `samples` ones of noise, drawn by `seed`, where none is given. Of volumes the slice through
    the middle of the frame is shown. ValueError as grad_cam, for a position outside the maps, and where the input's
    sizes are open and no sample is given.
    """
    figures.check_model(model)
    batch = (
        _noise(model, figures.check_count(samples, "samples"), seed)
        if sample is None
        else figures.one_sample(model, sample)
    )
    x = Tensor(np.asarray(batch, "float32"), requires_grad=True)
    found, maps = _maps_of(model, figures.run(model, x)[0], layer)
    sizes = tuple(maps.shape)[1:-1]
    place = _position(position, sizes, found)
    slopes = gradients(ops.sum(maps[(slice(None), *place)]), x)
    strength = np.abs(np.zeros(x.shape) if slopes is None else slopes).max(axis=-1).mean(axis=0)
    spans = fields.receptive_span(model, found, place)
    whole = strength.shape
    if spans is None or len(spans) != len(whole):
        spans, seen = [(0, size - 1) for size in whole], "everything"
    else:
        seen = " × ".join(str(high - low + 1) for low, high in spans) + " cells"
    at, of, over = (", ".join(map(str, place)), *(" × ".join(map(str, many)) for many in (sizes, whole)))
    title = f"{plain(found.name)} at {at} of {of} sees {seen} of {over}"
    clipped = [(max(low, 0), min(high, size - 1)) for (low, high), size in zip(spans, whole)]
    if any(span != cut for span, cut in zip(spans, clipped)):
        title += ", its padding included"
    return _framed(None if sample is None else np.asarray(batch)[0], strength, clipped, title)


# Scores and maps


def _scored(model, sample, target, classes):
    """(input, calls, score, what it is for): all on one tape."""
    figures.check_model(model)
    if len(model.outputs) != 1:
        raise ValueError(
            f"{model.name!r} gives {len(model.outputs)} outputs; this picture is of one. Use "
            "Model(model.inputs, one of them)."
        )
    x = Tensor(figures.one_sample(model, sample).astype("float32"), requires_grad=True)
    calls, output = figures.run(model, x)
    output = output[0] if isinstance(output, (list, tuple)) else output
    if not output.requires_grad:
        raise ValueError(f"The output of {model.name!r} has no gradient by its input: a layer between passes none on.")
    kind, scores, axis = output._logits or (None, output, None)
    if axis not in (None, -1, output.ndim - 1):
        kind, scores = None, output
    values = output.numpy().reshape(-1, output.shape[-1])
    if not np.isfinite(values).all():
        raise ValueError(
            f"The output of {model.name!r} for this sample is not finite: look for NaN in it or the weights."
        )
    count = output.shape[-1]
    number = _target(target, count, values)
    named = class_name(figures.check_classes(classes, count), number, 40) if count > 1 or classes else "the output"
    words = f"class {named}" if count > 1 else named
    if len(values) == 1:
        what = f"p = {values[0, number]:.3f}" if kind else f"score {values[0, number]:.3g}"
        words += f" ({what})"
    return x, calls, ops.sum(scores[..., number]), words


def _target(target, count, values):
    if target is None:
        return int(values.sum(axis=0).argmax())
    if isinstance(target, bool) or not hasattr(target, "__index__") or not 0 <= target < count:
        raise ValueError(f"target must be a class from 0 to {count - 1}; got {target!r}.")
    return int(target)


def _maps_of(model, calls, layer, spare_output=False):
    """(layer, its maps) of the last call of the layer, or of the last layer that convolves or pools."""
    maps = {id(called): (called, output) for called, output in calls
            if isinstance(output, Tensor) and figures.has_maps(tuple(output.shape))}  # fmt: skip
    if layer is not None:
        found = figures.find_layer(model, layer)
        if id(found) not in maps:
            raise figures.refuse_layer(found, "maps", [known.name for known, _ in maps.values()])
        entry = maps[id(found)]
    else:
        last = calls[-1][1] if spare_output and calls else None
        usual = [entry for entry in maps.values() if entry[1] is not last and figures.convolves_or_pools(entry[0])]
        if not (usual or maps):
            raise ValueError(f"{model.name!r} has no layer with maps: its outputs are rows of numbers.")
        entry = usual[-1] if usual else next(iter(maps.values()))
    if not entry[1].requires_grad:
        raise ValueError(f"The maps of {entry[0].name!r} have no gradient by the input: a layer below passes none on.")
    return entry


def _noise(model, samples, seed):
    shape = tuple(model.inputs[0].shape)[1:]
    if len(model.inputs) != 1 or None in shape:
        raise ValueError(
            f"{model.name!r} takes inputs of shape {model.input_shape}: give a sample of the size that you mean."
        )
    return np.random.default_rng(seed).random((samples, *shape), "float32")


def _position(position, sizes, layer):
    if position is None:
        return tuple(size // 2 for size in sizes)
    try:
        place = tuple(int(index) for index in (position if hasattr(position, "__len__") else (position,)))
    except (TypeError, ValueError):
        place = ()
    if len(place) != len(sizes) or any(not 0 <= index < size for index, size in zip(place, sizes)):
        raise ValueError(
            f"position must be {len(sizes)} indices, one a spatial axis, within the maps {sizes} of {layer.name!r}; "
            f"got {position!r}."
        )
    return place


# Pictures


def _overlaid(sample, strength, title, label):
    """The sample, and strength laid over it, which may have fewer cells."""
    rank = sample.ndim - 1
    if rank not in (1, 2, 3) or strength.ndim != rank:
        if strength.ndim != 1 and rank != 0:
            raise ValueError(
                f"A sample of shape {sample.shape} has no picture here: 1D, 2D and 3D samples with channels do."
            )
    broken = figures.not_finite(strength)
    title += f" ({broken} values are not finite)" if broken else ""
    if rank == 0:
        return _bars(strength, title, label)
    if rank == 1:
        figure, axes = figures.grid(1, 1, 6.4, title, high=2.6)
        ax = axes[0, 0]
        figures.show(ax, sample, color="black")
        low, high = ax.get_ylim()
        image = ax.imshow(
            strength[None], aspect="auto", extent=(-0.5, len(sample) - 0.5, low, high), cmap="viridis", alpha=0.6
        )
        ax.set(ylim=(low, high), xlim=(-0.5, len(sample) - 0.5))
        figures.step_axis(ax, len(sample))
        figure.colorbar(image, ax=ax, label=label)
        return figure
    if rank == 3:
        cut = int(np.nan_to_num(strength).max(axis=(1, 2)).argmax())
        place = min(int((cut + 0.5) * len(sample) / len(strength)), len(sample) - 1)
        title += f", slice {place} of {len(sample)}"
        sample, strength = sample[place], strength[cut]
    figure, axes = figures.grid(1, 2, 3.0, title, bar=True)
    figures.show(axes[0, 0], sample)
    axes[0, 0].set_title("sample", fontsize=9)
    grey = figures.picture(sample)
    figures.show(axes[0, 1], (grey[..., :3].mean(axis=-1) if grey.ndim == 3 else grey)[..., None])
    extent = (-0.5, sample.shape[1] - 0.5, sample.shape[0] - 0.5, -0.5)
    image = axes[0, 1].imshow(strength, cmap="viridis", alpha=0.65, extent=extent, interpolation="nearest")
    axes[0, 1].set_title(label, fontsize=9)
    figure.colorbar(image, ax=axes[0, 1], fraction=0.046, pad=0.03)
    return figure


def _bars(strength, title, label):
    figure = figures.new_figure(6.4, 3)
    ax = figure.subplots()
    ax.bar(np.arange(strength.size), np.ravel(strength), color=figures.BLUE)
    ax.set(xlabel="input", ylabel=label)
    figure.suptitle(figures.wrapped(title, figure), fontsize=figures.TITLE)
    return figure


def _framed(sample, strength, spans, title):
    rank = strength.ndim
    if rank not in (1, 2, 3):
        raise ValueError("Receptive fields are of inputs of 1D, 2D and 3D with channels.")
    if rank == 1:
        figure, axes = figures.grid(1, 1, 6.4, title, high=2.6)
        ax = axes[0, 0]
        ax.plot(strength, color=figures.BLUE, label="|gradient|")
        ax.axvspan(spans[0][0] - 0.5, spans[0][1] + 0.5, color=ORANGE, alpha=0.2, label="can be seen")
        figures.step_axis(ax, len(strength))
        ax.legend()
        return figure
    if rank == 3:
        cut = sum(spans[0]) // 2
        title += f"; slice {cut} of {len(strength)}"
        strength, spans, sample = strength[cut], spans[1:], None if sample is None else sample[cut]
    figure, axes = figures.grid(1, 1 if sample is None else 2, 3.2, title, bar=True)
    image = axes[0, -1].imshow(strength, cmap="viridis", interpolation="nearest")
    axes[0, -1].set_title("|gradient| in the frame of what can be seen", fontsize=9)
    figure.colorbar(image, ax=axes[0, -1], fraction=0.046, pad=0.03)
    if sample is not None:
        figures.show(axes[0, 0], sample)
        axes[0, 0].set_title("sample", fontsize=9)
    for ax in axes.flat:
        _frame(ax, spans)
    return figure


def _frame(ax, spans):
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = spans
    ax.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1, fill=False, edgecolor=ORANGE, linewidth=2
        )
    )
