"""Pictures of training: loss and metrics over epochs, and the loss over learning rates.

It trains a copy only. Contract: values that are not finite leave gaps, and the title counts them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.plotting.figures import BLUE, GREY, ORANGE, TITLE, check_count, new_figure, numbers, plain, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def history(history: Any, title: str | None = None) -> Figure:
    """Loss and metrics by epoch, one panel each, training and validation together; a ring marks validation's best.

    `history`: a model that was trained, what its `fit` returned, or any dict of name -> one number an epoch. TypeError
    for anything else, ValueError where there is no complete epoch.
    """
    logs = history
    while hasattr(logs, "history"):  # of a model, of a History
        logs = logs.history
    if logs is None:
        raise ValueError(f"{history.name!r} was not trained here, so it has no history.")
    if not isinstance(logs, Mapping):
        raise TypeError(
            f"history must be what model.fit returned, or a dict of name -> numbers; got {type(history).__name__}."
        )
    curves = {str(name): np.asarray(values, "float64").ravel() for name, values in logs.items()}
    curves = {name: values for name, values in curves.items() if values.size}
    if not curves:
        raise ValueError("history holds no complete epoch, so there is nothing to draw.")
    panels = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(max(4.2 * columns, 5), 3.2 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for name, ax in zip(panels, axes):
        for key, colour, label in ((name, BLUE, "training"), (f"val_{name}", ORANGE, "validation")):
            if key in curves:
                _curve(ax, curves[key], colour, label)
        if f"val_{name}" in curves:
            _mark_best(ax, name, curves[f"val_{name}"])
        ax.set(title=plain(name), xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        ax.legend()
    for ax in axes:  # those that are left
        ax.set_axis_off()
    broken = sum(int((~np.isfinite(values)).sum()) for values in curves.values())
    epochs = max(map(len, curves.values()))
    text = title or f"Training over {epochs} epoch{'s' * (epochs > 1)}"
    figure.suptitle(wrapped(text + (f" ({broken} values are not finite)" if broken else ""), figure), fontsize=TITLE)
    return figure


def _curve(ax, values, colour, label):
    epochs = np.arange(1, len(values) + 1)
    marker = "o" if len(values) < 25 else None
    line = "--" if label == "validation" else "-"
    ax.plot(epochs, np.where(np.isfinite(values), values, np.nan), line, color=colour, marker=marker, markersize=3,
            label=label)  # fmt: skip


_RISING = ("acc", "precision", "recall", "auc", "iou", "f1", "fbeta", "r2", "cosine", "top_k", "dice")


def _mark_best(ax, name, values):
    finite = np.isfinite(values)
    if not finite.any():
        return
    rises = name != "loss" and any(part in name.lower() for part in _RISING)
    best = int(np.argmax(np.where(finite, values, -np.inf)) if rises else np.argmin(np.where(finite, values, np.inf)))
    ax.plot([best + 1], [values[best]], "o", markersize=9, markerfacecolor="none", markeredgecolor="black",
            label=f"best: {values[best]:.4g}, epoch {best + 1}")  # fmt: skip


def learning_rate_finder(
    model: Any, x: Any, y: Any, low: float = 1e-6, high: float = 1.0, steps: int = 100, batch_size: int = 32,
    seed: int = 0,
) -> Figure:  # fmt: skip
    """The loss of a short training in which the learning rate rises from `low` to `high`, and where it falls fastest.

    A copy of the compiled model is trained for up to `steps` batches of x and y, drawn by `seed`, until the smoothed
    loss is four times its least; the model itself stays as it is. The title names the learning rate where the smoothed
    loss falls fastest; the axes' lines hold the numbers. ValueError for a model that is not compiled and for wrong
    numbers.
    """
    if getattr(model, "optimizer", None) is None or not hasattr(model, "train_on_batch"):
        raise ValueError(
            "learning_rate_finder trains a copy of the model: compile it before, with its optimizer and loss."
        )
    if not 0 < low < high < math.inf:
        raise ValueError(f"low and high must be learning rates with 0 < low < high; got {low!r} and {high!r}.")
    steps, batch_size = check_count(steps, "steps"), check_count(batch_size, "batch_size")
    if steps < 10:
        raise ValueError(f"steps must be at least 10, to see where the loss falls; got {steps}.")
    x, y = numbers(x, "x"), numbers(y, "y")
    if len(x) != len(y) or not len(x):
        raise ValueError(f"x and y must hold the same number of samples, one at least; got {len(x)} and {len(y)}.")
    rates, losses = _rising_run(copy.deepcopy(model), x, y, np.geomspace(low, high, steps), batch_size, seed)
    smooth = _smoothed(losses)
    figure = new_figure(6.4, 4)
    ax = figure.subplots()
    ax.plot(rates, losses, color=GREY, alpha=0.5, linewidth=1, label="loss of a batch")
    ax.plot(rates, smooth, color=BLUE, label="smoothed")
    title, best = f"Learning rates for {plain(model.name)}", _steepest(rates, smooth)
    if best is not None:
        ax.axvline(rates[best], color=ORANGE, linestyle="--", label=f"falls fastest: {rates[best]:.1e}")
        title += f": the loss falls fastest at {rates[best]:.1e}"
    else:
        title += ": the loss does not fall. Begin at a lower rate, or with a model that is not trained yet"
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    ax.grid(alpha=0.3)
    ax.legend()
    figure.suptitle(wrapped(title, figure), fontsize=TITLE)
    return figure


def _rising_run(trained, x, y, rates, batch_size, seed):
    """(rates, losses) of the steps until the loss is not finite or four times its least."""
    generator, order, losses = np.random.default_rng(seed), np.empty(0, "int64"), []
    for rate in rates:
        if len(order) < min(batch_size, len(x)):
            order = generator.permutation(len(x))
        batch, order = order[:batch_size], order[batch_size:]
        trained.optimizer.learning_rate = float(rate)
        loss = trained.train_on_batch(x[batch], y[batch])
        loss = float(loss[0] if isinstance(loss, list) else loss)
        if not math.isfinite(loss):
            break
        losses.append(loss)
        means = _smoothed(losses)
        if len(losses) > 10 and means[-1] > 4 * means.min():
            break
    if not losses:
        raise ValueError("The loss of the first batch is not finite: look for NaN in x, y or the weights.")
    return rates[: len(losses)], np.array(losses)


def _steepest(rates, smooth):
    """The place where the smoothed loss falls fastest, None where it does not fall by a tenth."""
    least = int(np.argmin(smooth))  # behind it, the loss only rises
    if least < 2 or smooth[least] > 0.9 * smooth[:least].max():
        return None
    return int(np.argmin(np.gradient(smooth, np.log(rates))[: least + 1]))


def _smoothed(losses):
    """A running mean that forgets, without the start's bias."""
    mean, result = 0.0, []
    for n, loss in enumerate(losses, 1):
        mean = 0.9 * mean + 0.1 * loss
        result.append(mean / (1 - 0.9**n))
    return np.array(result)
