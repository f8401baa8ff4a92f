"""Pictures of layers: the filters that they learned, and the maps that they make of a sample.

It reads weights and runs the model once. Contract: images hold the weights and activations themselves, unscaled; what
is more than fits is sampled evenly, and the title says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.layers.depthwise import DepthwiseConv, SeparableConv
from fastconv.layers.transposed import ConvTranspose
from fastconv.plotting import figures
from fastconv.plotting.figures import check_count, plain, sampled
from fastconv.tensor import no_grad

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(model: Any, layer: Any = None, max_filters: int = 32, max_channels: int = 8) -> Figure:
    """The kernels of a convolution: of one or three input channels as pictures, of more as a row of slices a filter.

    `layer`: its name, its place in `model.layers`, or itself; default: the first that convolves. At most `max_filters`
    filters and `max_channels` slices of each are drawn, evenly spread. One scale holds for all, dark below 0 and bright
    above it; kernels over three input channels are shown as colours, from the least weight to the largest. 1D
    kernels are curves, or taps by channels; those of 3D are slices of their first axis. ValueError for a
    model that is not built and a layer without kernels.

    >>> model = fastconv.Sequential([layers.Input((28, 28, 1)), layers.Conv2D(8, 5)])
    >>> plotting.filters(model).savefig("filters.png")
    """
    max_filters = check_count(max_filters, "max_filters", 256)
    max_channels = check_count(max_channels, "max_channels", 64)
    layer, kernel = _kernel(model, layer)
    broken = figures.not_finite(kernel)
    *_, channels, count = kernel.shape
    rank = kernel.ndim - 2
    chosen = sampled(count, max_filters)
    pictures = {1: _signals, 2: _images, 3: _volumes}[rank]
    title = f"{plain(layer.name)}: {_of(len(chosen), count, 'filter')} of {' × '.join(map(str, kernel.shape[:-1]))}"
    return pictures(kernel, chosen, max_channels, title + (f" ({broken} weights are not finite)" if broken else ""))


def _of(shown, count, what):
    return f"{count} {what}{'s' * (count > 1)}" if shown == count else f"{shown} of {count} {what}s"


def _kernel(model, layer):
    """(layer, kernel of (*sizes, input channels, filters)); depthwise ones have a filter for each channel."""
    if not getattr(model, "built", True) or not hasattr(model, "layers"):
        figures.check_model(model)
    known = {id(found): found for found in figures.all_layers(model) if _raw_kernel(found) is not None}
    if layer is None:
        if not known:
            raise ValueError(f"{model.name!r} has no layer that convolves, so it has no filters to show.")
        found = next(iter(known.values()))
    else:
        found = figures.find_layer(model, layer)
        if id(found) not in known:
            raise figures.refuse_layer(found, "filters", [one.name for one in known.values()])
    kernel = _raw_kernel(found)
    if isinstance(found, (DepthwiseConv, SeparableConv)):
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    elif isinstance(found, ConvTranspose):
        kernel = np.swapaxes(kernel, -1, -2)
    return found, kernel


def _raw_kernel(layer):
    """The weights that slide over space, or None."""
    for name in ("depthwise_kernel", "kernel"):
        weight = vars(layer).get(name)
        if weight is not None and hasattr(layer, "kernel_size") and 3 <= weight.ndim <= 5:
            return weight.numpy()
    return None


def _images(kernel, chosen, most, title):
    channels = kernel.shape[-2]
    if channels == 3:
        low, high = figures.finite_range(kernel)
        scaled = np.nan_to_num((kernel - low) / ((high - low) or 1))
        rows, columns = figures.rows_for(len(chosen))
        figure, axes = figures.grid(rows, columns, 1.0, title + ", as colours", high=1.15)
        for ax, n in zip(axes.flat, chosen):
            ax.imshow(scaled[..., n], interpolation="nearest")
            ax.set_title(str(n), fontsize=8, pad=2)
        figures.clear(axes.flat[len(chosen) :])
        return figure
    if channels == 1:
        return _squares([(str(n), kernel[..., 0, n]) for n in chosen], figures.rows_for(len(chosen)), kernel, title)
    shown = sampled(channels, most)
    cells = [(f"ch {c}" if n == chosen[0] else "", kernel[..., c, n]) for n in chosen for c in shown]
    return _squares(cells, (len(chosen), len(shown)), kernel, _sliced(title, shown, channels, "channel"), chosen)


def _volumes(kernel, chosen, most, title):
    depth, channels = kernel.shape[0], kernel.shape[-2]
    cuts, shown = sampled(depth, most), sampled(channels, max(most // depth, 1))
    cells = [
        (f"ch {c}, z {z}" if n == chosen[0] else "", kernel[z, ..., c, n]) for n in chosen for c in shown for z in cuts
    ]
    title = _sliced(title, shown, channels, "channel") + f", slices along z{'' if len(cuts) == depth else ' (sampled)'}"
    return _squares(cells, (len(chosen), len(cuts) * len(shown)), kernel, title, chosen)


def _sliced(title, shown, count, what):
    return f"{title}; a row a filter" + ("" if len(shown) == count else f", {_of(len(shown), count, what)}")


def _squares(cells, form, kernel, title, rows=None):
    """Square images on one scale that is even about 0, with its bar."""
    figure, axes = figures.grid(*form, 0.9, title, high=1.08 if rows is None else 0.92, bar=True)
    low, high = figures.finite_range(kernel)
    bound = max(abs(low), abs(high)) or 1
    image = None
    for ax, (text, cell) in zip(axes.flat, cells):
        image = ax.imshow(cell, cmap="gray", vmin=-bound, vmax=bound, interpolation="nearest")
        ax.set_title(text, fontsize=8, pad=2)
    if rows is not None:
        for ax, n in zip(axes[:, 0], rows):
            ax.set_ylabel(str(n), fontsize=8, rotation=0, ha="right", va="center")
    figures.clear(axes.flat[len(cells) :])
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, label="weight")
    return figure


def _signals(kernel, chosen, most, title):
    rows, columns = figures.rows_for(len(chosen), 6)
    figure, axes = figures.grid(rows, columns, 1.5, title, high=1.35, bar=kernel.shape[1] > 1)
    low, high = figures.finite_range(kernel)
    bound = max(abs(low), abs(high)) or 1
    image = None
    for ax, n in zip(axes.flat, chosen):
        ax.set_title(str(n), fontsize=8, pad=2)
        if kernel.shape[1] == 1:
            ax.axhline(0, color=figures.GREY, linewidth=0.6)
            ax.plot(kernel[:, 0, n], "o-", color=figures.BLUE, markersize=3)
            ax.set_ylim(-1.1 * bound, 1.1 * bound)
        else:
            image = ax.imshow(
                kernel[:, :, n].T, cmap="gray", vmin=-bound, vmax=bound, aspect="auto", interpolation="nearest"
            )
    figures.clear(axes.flat[len(chosen) :])
    if image is not None:
        figure.supxlabel("tap", fontsize=9)
        figure.supylabel("input channel", fontsize=9)
        figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, label="weight")
    else:
        axes[0, 0].set_yticks([-bound, 0, bound], [f"{-bound:.2g}", "0", f"{bound:.2g}"], fontsize=7)
        figure.supxlabel("tap", fontsize=9)
    return figure


def activation_maps(model: Any, sample: Any, layers: Any = None, max_channels: int = 8) -> Figure:
    """A sample on its way through the network: a row of maps for each layer, the sample itself above.

    `sample`: one sample as the model takes it, with or without a batch axis of 1. `layers`: names, places or layers,
    one or a list; default: every layer that convolves or pools, up to 12 of them. Of each at most `max_channels` maps
    are drawn, evenly spread; a map's own range decides its colours, from dark (least) to bright. 1D maps are curves, of
    3D maps the middle slice is shown. NaN stays white, and the row counts it. ValueError for a model without a graph, a
    sample that does not fit, and a layer without maps.
    """
    max_channels = check_count(max_channels, "max_channels", 64)
    figures.check_model(model)
    x = figures.one_sample(model, sample)
    with no_grad():
        calls, _ = figures.run(model, x)
    outputs = {id(layer): (layer, output) for layer, output in calls if not isinstance(output, (list, tuple, dict))}
    maps = {key: (layer, output.numpy()[0]) for key, (layer, output) in outputs.items()
            if figures.has_maps(tuple(output.shape))}  # fmt: skip
    chosen, more = _chosen(model, maps, layers)
    columns = max(min(max_channels, max(array.shape[-1] for _, array in chosen)), 2)
    figure, axes = figures.grid(len(chosen) + 1, columns, 1.25, _maps_title(model, more), high=1.3)
    figures.show(axes[0, 0], np.asarray(x[0], "float64"))
    axes[0, 0].set_ylabel("sample", fontsize=8)
    axes[0, 0].set_title(_volume_note(x[0]), fontsize=8, pad=2)
    figures.clear(axes[0, 1:])
    for row, (layer, array) in zip(axes[1:], chosen):
        _maps_row(row, layer, array, sampled(array.shape[-1], columns))
    return figure


def _maps_title(model, more):
    return f"What {plain(model.name)} makes of a sample" + (f" ({more} layers are not shown)" if more else "")


def _chosen(model, maps, layers):
    """([(layer, maps)], how many are left out)."""
    if layers is not None:
        wanted = [figures.find_layer(model, one) for one in (layers if isinstance(layers, (list, tuple)) else [layers])]
        for layer in wanted:
            if id(layer) not in maps:
                raise figures.refuse_layer(layer, "maps", [known.name for known, _ in maps.values()])
        return [maps[id(layer)] for layer in wanted], 0
    found = [entry for entry in maps.values() if figures.convolves_or_pools(entry[0])] or list(maps.values())
    if not found:
        raise ValueError(f"{model.name!r} has no layer with maps: its outputs are rows of numbers.")
    kept = [found[n] for n in sampled(len(found), 12)]
    return kept, len(found) - len(kept)


def _maps_row(row, layer, array, channels):
    sizes = " × ".join(map(str, array.shape[:-1]))
    count = array.shape[-1]
    text = f"{plain(layer.name)}\n{sizes}\n{_of(len(channels), count, 'map')}"
    broken = figures.not_finite(array)
    row[0].set_ylabel(text + (f"\n{broken} not finite" if broken else ""), fontsize=8)
    for ax, channel in zip(row, channels):
        figures.show(ax, array[..., channel : channel + 1].astype("float64"), cmap="viridis")
        ax.set_title(str(channel), fontsize=8, pad=2)
    figures.clear(row[len(channels) :])


def _volume_note(sample):
    return f"z {sample.shape[0] // 2} of {sample.shape[0]}" if sample.ndim == 4 else ""
