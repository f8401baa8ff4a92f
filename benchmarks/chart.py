"""The chart: one panel for each kind of result that a run holds, as a PNG or SVG file.

matplotlib is imported here only, when a chart is asked for. Contract: bars start at zero, except on axes that say
they are logarithmic and for ratios, whose logarithmic bars start at 1 (a tie): to the right fastconv is faster, to
the left slower. Machine and versions stand under the panels.
"""

import textwrap

from .contestants import CONTESTANTS, OURS, TORCH_FORMATS

COLOURS = {"forward": "#1f77b4", "backward": "#ff7f0e", OURS: "#1f77b4", "other": "#b0b0b0"}


def draw(results, path):
    """Write the chart; ValueError where the results hold nothing to draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [panel for panel in (_conv, _step, _inference, _memory) if panel(results, None)]
    if not panels:
        raise ValueError("nothing to draw; it shows conv, train, infer and startup")
    heights = [panel(results, None) for panel in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(8, 0.75 * len(panels) + sum(heights) + 0.6), squeeze=False, layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for panel, axis in zip(panels, axes[:, 0]):
        panel(results, axis)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    figure.supxlabel(textwrap.fill(_footer(results), 120), fontsize=7)
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
    rows = results.suite("train")
    times = {name: 1e3 * rows[0].time(name) for name in rows[0].seconds if rows[0].has(name)} if rows else {}
    return _bars(axis, times, "Training step of the tutorial's network, batch 100, ms (shorter is better)")


def _inference(results, axis):
    rows = [row for row in results.suite("infer") if row.what == "call"]
    times = {(row.name, name): 1e3 * row.time(name) for row in rows for name in row.seconds if row.has(name)}
    return _bars(axis, times, "Inference of the tutorial's network, ms a call (shorter is better)", log=True)


def _memory(results, axis):
    memory = (results.startup or {}).get("memory", {})
    above = {name: 1e-6 * (use["peak"] - use["data"]) for name, use in memory.items()}
    return _bars(axis, above, "Peak memory above the loaded data while training, MB (shorter is better)")


def _bars(axis, values, title, log=False):
    """`values`: {contestant, or (group, contestant): number}, shortest first."""
    if axis is None:
        return 0.24 * len(values)
    values = {key if isinstance(key, tuple) else ("", key): value for key, value in values.items()}
    keys = sorted(values, key=lambda key: (key[0], values[key]))
    colours = [COLOURS[OURS] if CONTESTANTS[name].environment == OURS else COLOURS["other"] for _, name in keys]
    bars = axis.barh(range(len(keys)), [values[key] for key in keys], color=colours)
    axis.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
    labels = [f"{group}: {CONTESTANTS[name].label}" if group else CONTESTANTS[name].label for group, name in keys]
    axis.set_yticks(range(len(keys)), labels)
    axis.invert_yaxis()
    axis.margins(x=0.1)
    if log:
        axis.set_xscale("log")
        title += ", logarithmic"
    axis.set_title(title, fontsize=9)


def _footer(results):
    versions = {}
    for found in results.versions.values():
        versions = found | versions  # the first one's word counts: fastconv's own, not its AVX2 twin's
    versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    settings = results.settings
    return (f"{results.machine['CPU']}, {settings['threads']} threads; {versions}; "
            f"medians of {settings['rounds']} interleaved rounds, one process a framework")  # fmt: skip
