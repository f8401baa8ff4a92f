"""Pictures of what a model says of every cell of a sample: steps of signals, pixels, voxels.

Answers about whole samples are results.py's. Contract: images hold the values, or the class of the largest score; cells
that have none stay white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.plotting import figures
from fastconv.plotting.figures import BLUE, ORANGE, check_classes, check_count, class_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def predictions(
    x: Any, y_pred: Any, y_true: Any = None, max_samples: int = 4, classes: Any = None, title: str | None = None
) -> Figure:
    """Samples beside what a model says of every cell: curves over signals, masks of images, slices of volumes.

    `x`: samples (n, *spatial, channels), or squares and cubes without channels. `y_pred`, and `y_true` where it is
    known: one row of numbers a cell, (n, *spatial, k), or one number, (n, *spatial); or y_pred is a model, which
    predicts x. Of k > 1 numbers a cell of an image or a volume the largest gives the class; one number a cell is drawn
    as it is; signals are drawn as curves. Of volumes the slice with most that is not background (class 0) is shown. At
    most `max_samples` samples, the first ones. ValueError where the shapes do not fit.
    """
    x = figures.numbers(x, "x")
    shown = min(check_count(max_samples, "max_samples", 64), len(x))
    if not shown:
        raise ValueError("predictions needs at least one sample; x is empty.")
    total, x = len(x), figures.with_channels(x[:shown])
    y_pred = figures.predicted(y_pred, x) if hasattr(y_pred, "predict") else figures.numbers(y_pred, "y_pred")[:shown]
    kinds = [("predicted", _dense(y_pred, x, "y_pred"))]
    if y_true is not None:
        kinds.insert(0, ("true", _dense(figures.numbers(y_true, "y_true")[:shown], x, "y_true")))
    broken = sum(figures.not_finite(values) for _, values in kinds)
    text = title or f"Predictions for {shown} of {total:,} samples"
    text += f" ({broken} values are not finite)" if broken else ""
    if x.ndim == 3:
        return _signal_predictions(x, kinds, text)
    masks = [(name, _classes_of_cells(values)) for name, values in kinds]
    cuts = [None] * shown
    if x.ndim == 5:
        cuts = [_busiest(masks[0][1][n]) for n in range(shown)]
        masks = [(name, np.stack([mask[n, cut] for n, cut in enumerate(cuts)])) for name, mask in masks]
    return _mask_predictions(x, masks, cuts, check_classes(classes, 1), text)


def _signal_predictions(x, kinds, text):
    figure, axes = figures.grid(len(x), 1, 7, text, high=1.9)
    for n, ax in enumerate(axes[:, 0]):
        for channel in figures.sampled(x.shape[-1], 3):
            ax.plot(
                x[n, :, channel], color=figures.GREY, linewidth=0.9, alpha=0.8, label="signal" if channel == 0 else None
            )
        for name, values in kinds:
            for channel in figures.sampled(values.shape[-1], 3):
                line, colour = ("--", ORANGE) if name == "predicted" else ("-", BLUE)
                label = name if channel == 0 else None
                ax.plot(values[n, :, channel], line, linewidth=1.4, color=colour, label=label)
        figures.step_axis(ax, x.shape[1])
        ax.margins(x=0.01)
    axes[0, 0].legend(fontsize=8, loc="best")
    return figure


def _mask_predictions(x, masks, cuts, classes, text):
    from matplotlib import colormaps

    figure, axes = figures.grid(len(x), 1 + len(masks), 2.1, text, bar=True)
    is_class = masks[-1][1].dtype.kind in "iub"
    low, high = figures.finite_range(np.concatenate([np.ravel(mask).astype("float64") for _, mask in masks]))
    if is_class:  # a colour a class
        low, high = low - 0.5, high + 0.5
    image, bands = None, round(high - low) if is_class else 256
    for n, row in enumerate(axes):
        figures.show(row[0], np.asarray(x[n], "float64"), cuts[n])
        row[0].set_ylabel("" if cuts[n] is None else f"slice {cuts[n]} of {x.shape[1]}", fontsize=8)
        for ax, (_, mask) in zip(row[1:], masks):
            values = mask[n].astype("float64")
            image = ax.imshow(
                np.where(np.isfinite(values), values, np.nan), cmap=colormaps["viridis"].resampled(bands), vmin=low,
                vmax=high if high > low else low + 1, interpolation="nearest",
            )  # fmt: skip
    for ax, name in zip(axes[0], ["sample", *(name for name, _ in masks)]):
        ax.set_title(name, fontsize=9)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, label="class" if is_class else "")
    if is_class and bands <= 12:
        ticks = np.arange(round(low + 0.5), round(high + 0.5))
        named = classes is not None and len(classes) > high
        bar.set_ticks(ticks, labels=[class_name(classes if named else None, int(n)) for n in ticks])
    return figure


def _classes_of_cells(values):
    """The class of each cell, NaN where a score is not finite; of one number a cell, that number."""
    if values.shape[-1] == 1:
        return values[..., 0]
    known = np.isfinite(values).all(axis=-1)
    return values.argmax(axis=-1) if known.all() else np.where(known, values.argmax(axis=-1), np.nan)


def _busiest(mask):
    """The slice of a volume's mask with most that is not background."""
    return int((np.nan_to_num(mask) > (0.5 if mask.dtype.kind == "f" else 0)).sum(axis=(1, 2)).argmax())


def _dense(values, x, name):
    """Predictions of every cell as (n, *spatial, k)."""
    if values.shape == x.shape[:-1]:
        values = values[..., None]
    if values.shape[:-1] != x.shape[:-1]:
        raise ValueError(
            f"{name} must have one value, or one row, for each cell of x, {x.shape[:-1]}; got {values.shape}. "
            "For one answer a sample, see mistakes and confusion_matrix."
        )
    return values
