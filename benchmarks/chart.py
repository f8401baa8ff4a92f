"""The charts, as PNG or SVG files: one panel for each kind of result that a run holds, or the summary of a whole table.

matplotlib is imported here only, when a chart is asked for. Contract: bars start at zero, except on axes that say
they are logarithmic and for ratios, whose logarithmic bars start at 1 (a tie): to the right fastconv is faster, to
the left slower. Machine and versions stand under the panels.
"""

import textwrap

from .contestants import CONTESTANTS, OURS, TORCH_FORMATS
from .results import geomean

COLOURS = {"forward": "#1f77b4", "backward": "#ff7f0e", OURS: "#1f77b4", "other": "#b0b0b0"}


def draw(results, path):
    """Every shape and contestant, panel under panel; ValueError where the results hold nothing to draw."""
    panels = [panel for panel in (_conv, _step, _inference, _memory) if panel(results, None)]
    heights = [panel(results, None) for panel in panels]
    _paint(results, path, [[panel] for panel in panels], heights, width=8)


def summary(results, path):
    """What `table` measured, on one page: time, memory and size side by side; ValueError as above."""
    pairs = ((_step, _memory), (_inference_1, _imports), (_inference_100, _installed))
    rows = [[panel for panel in pair if panel(results, None)] for pair in pairs]
    rows = [row for row in (*rows, [_means] if _means(results, None) else []) if row]
    _paint(results, path, rows, [max(panel(results, None) for panel in row) for row in rows], width=11)


def _paint(results, path, rows, heights, width):
    """`rows` of one or two panels each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if not rows:
        raise ValueError("nothing to draw; it shows conv, train, infer and startup")
    figure = pyplot.figure(figsize=(width, 0.75 * len(rows) + sum(heights) + 0.6), layout="constrained")
    grid = figure.add_gridspec(len(rows), 2, height_ratios=heights)
    for i, panels in enumerate(rows):
        for j, panel in enumerate(panels):
            axis = figure.add_subplot(grid[i, j] if len(panels) == 2 else grid[i, :])
            panel(results, axis)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=8)
    figure.suptitle(
        "The tutorial's network, and single layers; shorter bars are better where a unit stands", fontsize=10
    )
    figure.supxlabel(textwrap.fill(_footer(results), 15 * width), fontsize=7)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


# A panel draws on `axis`, or with None returns its height in inches: 0 where the results lack it.


def _conv(results, axis):
    names = list(dict.fromkeys(row.name for row in results.suite("conv")))
    if axis is None:
        return 0.27 * len(names)
    for what, shift in (("forward", -0.2), ("backward", 0.2)):
        for row in results.suite("conv"):
            if row.what == what and row.has(OURS) and row.best(TORCH_FORMATS):
                ratio = row.ratio(TORCH_FORMATS)
                axis.barh(names.index(row.name) + shift, ratio - 1, 0.38, left=1, color=COLOURS[what])
        axis.barh(0, 0, color=COLOURS[what], label=what)
    axis.set_xscale("log")
    axis.axvline(1, color="black", linewidth=0.8)
    low, high = axis.get_xlim()
    ticks = [2.0**power for power in range(-6, 7) if low <= 2.0**power <= high]
    axis.set_xticks(ticks, [f"{tick:g}x" if tick >= 1 else f"1/{1 / tick:g}x" for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axis.set_title("Convolution: PyTorch's better format / fastconv (right of 1x: fastconv is faster)", fontsize=9)


def _step(results, axis):
    rows = results.suite("train")[:1]
    times = {name: 1e3 * row.time(name) for row in rows for name in row.seconds if row.has(name)}
    return _bars(axis, _labelled(times), "Training step, batch 100, ms")


def _inference(results, axis, batches=None):
    rows = [row for row in results.suite("infer") if row.what == "call" and (batches is None or row.name in batches)]
    times = {}
    for row in rows:
        group = "" if batches else f"{row.name}: "
        times |= _labelled({name: 1e3 * row.time(name) for name in row.seconds if row.has(name)}, group)
    title = f"Inference{''.join(f', {name}' for name in batches or ())}, ms"
    return _bars(axis, times, title, log=batches is None)


def _inference_1(results, axis):
    return _inference(results, axis, ("batch 1",))


def _inference_100(results, axis):
    return _inference(results, axis, ("batch 100",))


def _memory(results, axis):
    memory = (results.startup or {}).get("memory", {})
    above = {name: 1e-6 * (use["peak"] - use["data"]) for name, use in memory.items()}
    return _bars(axis, _labelled(above), "Peak memory while training, above the data, MB")


def _imports(results, axis):
    imports = (results.startup or {}).get("imports", {})
    return _bars(axis, {label: 1e3 * seconds for label, seconds in imports.items()}, "Import time, ms")


def _installed(results, axis):
    installed = (results.startup or {}).get("installed", {})
    sizes = {label: 1e-6 * size["all"] for label, size in installed.items()}
    return _bars(axis, sizes, "Installed size with what it needs, MB")


def _means(results, axis):
    """Geometric means over the shapes of convolution and pooling."""
    ratios = {}
    for suite, kind in (("conv", "Convolution"), ("pool", "Pooling")):
        for what in ("forward", "backward"):
            rows = [row for row in results.suite(suite) if row.what == what]
            rows = [row.ratio(TORCH_FORMATS) for row in rows if row.has(OURS) and row.best(TORCH_FORMATS)]
            if rows:
                ratios[f"{kind} {what}, mean of {len(rows)} shapes"] = geomean(rows)
    if axis is None:
        return 0.24 * len(ratios)
    bars = axis.barh(range(len(ratios)), [ratio - 1 for ratio in ratios.values()], left=1, color=COLOURS[OURS])
    axis.bar_label(bars, [f"{ratio:.2f}x" for ratio in ratios.values()], fontsize=8, padding=2)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(range(len(ratios)), list(ratios))
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_title("PyTorch's better format / fastconv, geometric means (right of 1: fastconv is faster)",
                   fontsize=9)  # fmt: skip
    return None


def _labelled(values, group=""):
    return {group + CONTESTANTS[name].label: value for name, value in values.items()}


def _bars(axis, values, title, log=False):
    """`values`: {label: number}; the shortest first, within "group: " where labels begin so."""
    if axis is None:
        return 0.24 * len(values)
    labels = sorted(values, key=lambda label: (label.rpartition(": ")[0], values[label]))
    ours = [label.rpartition(": ")[2].startswith(OURS) for label in labels]
    colours = [COLOURS[OURS] if own else COLOURS["other"] for own in ours]
    bars = axis.barh(range(len(labels)), [values[label] for label in labels], color=colours)
    numbers = [f"{values[label]:,.0f}" if values[label] >= 100 else f"{values[label]:.3g}" for label in labels]
    axis.bar_label(bars, numbers, fontsize=8, padding=2)
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.margins(x=0.1)
    if log:
        axis.set_xscale("log")
        title += ", logarithmic"
    axis.set_title(title, fontsize=9)
    return None


def _footer(results):
    versions = {}
    for found in results.versions.values():
        versions = found | versions  # the first one's word counts: fastconv's own, not its AVX2 twin's
    versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    settings = results.settings
    busy = "THE MACHINE WAS BUSY; " if results.busy else ""
    return (f"{busy}{results.machine['CPU']}, {settings['threads']} threads; {versions}; "
            f"medians of {settings['rounds']} interleaved rounds, one process a framework")  # fmt: skip
