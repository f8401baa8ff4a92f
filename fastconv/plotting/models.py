"""`utils.plot_model`: a drawn model in a file; the layout and SVG are drawing's.

Contract: `.svg` and `.dot` need no other package; `.png` and `.pdf` are drawn by matplotlib from the same layout, in
light colours.
"""

from __future__ import annotations

import os
from typing import Any

from fastconv import files
from fastconv.drawing import Drawing, Show, model_to_dot
from fastconv.drawing.layout import FONT, Layout
from fastconv.drawing.svg import COLOURS, INK, LINE, arrow, texts_of

_INCH = 96  # pixels of a layout
_MOST = 65_000  # pixels a side that a PNG's library takes


def plot_model(
    model: Any, to_file: str | os.PathLike | None = "model.png", show_shapes: bool = False, show_dtype: bool = False,
    show_layer_names: bool = False, rankdir: str = "TB", expand_nested: bool = False, dpi: int = 200,
    show_layer_activations: bool = False, show_trainable: bool = False, splines: Any = "ortho",
) -> Drawing:  # fmt: skip
    """Draws a model's graph into a file, after `keras.utils.plot_model`, without Graphviz; returns the Drawing, which
    notebooks show.

    `to_file`: .svg or .dot, which need nothing else, .png or .pdf, which need matplotlib (`pip install
    'fastconv[plot]'`), or None for no file. `show_...`: what a box says beside its kind. `rankdir`: "TB" from top to
    bottom, "BT", "LR" or "RL". `expand_nested`: models inside with their layers. `dpi`: pixels an inch of a .png; other
    formats have none. `splines` changes nothing in pictures drawn here: lines are curves. ValueError for a model that
    is not built or has no graph, an ending that is none of these, and a PNG that would be too large.
    """
    ending = None if to_file is None else os.path.splitext(os.fsdecode(to_file))[1].lower()
    if ending not in (None, ".svg", ".dot", ".png", ".pdf"):
        raise ValueError(f"to_file must end in .svg, .png, .pdf or .dot; got {str(to_file)!r}.")
    if isinstance(dpi, bool) or not isinstance(dpi, (int, float)) or not 10 <= dpi <= 2400:
        raise ValueError(f"dpi must be a number from 10 to 2400; got {dpi!r}.")
    show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    drawing = Drawing(model, show, rankdir)
    if to_file is None:
        return drawing
    if ending == ".svg":
        files.write_whole(to_file, drawing.svg.encode())
    elif ending == ".dot":
        model_to_dot(
            model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, int(dpi), False,
            show_layer_activations, show_trainable, splines,
        ).write(to_file)  # fmt: skip
    else:
        longest = max(drawing.layout[:2]) / _INCH * dpi
        if ending == ".png" and longest > _MOST:
            raise ValueError(
                f"The PNG would be {longest:.0f} pixels long, more than {_MOST}: give a dpi below "
                f"{int(_MOST / longest * dpi)}, or a name that ends in .svg."
            )
        files.write_whole(to_file, _rendered(drawing.layout, str(ending)[1:], dpi))
    return drawing


def _rendered(layout: Layout, kind: str, dpi: float) -> bytes:
    """The picture as a file's bytes, by matplotlib."""
    import io

    from fastconv.plotting.figures import new_figure

    figure = new_figure(layout.width / _INCH, layout.height / _INCH, constrained=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, layout.width), ylim=(layout.height, 0))
    axes.set_axis_off()
    for placed in layout.boxes:
        if placed.is_frame:
            _draw_box(axes, placed)
    for line in layout.lines:
        _draw_line(axes, line)
    for placed in layout.boxes:
        if not placed.is_frame:
            _draw_box(axes, placed)
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=dpi)
    return stream.getvalue()


def _draw_box(axes, placed):
    from matplotlib.patches import FancyBboxPatch

    colours = COLOURS[placed.box.family]
    axes.add_patch(
        FancyBboxPatch(
            (placed.x, placed.y), placed.width, placed.height, boxstyle="round,pad=0,rounding_size=5",
            facecolor=colours.ground, edgecolor=colours.border, linewidth=1.9 if placed.box.is_output else 0.9,
        )
    )  # fmt: skip
    for text, x, y, is_title in texts_of(placed):
        weight = "bold" if is_title else "normal"
        size = FONT * 72 / _INCH
        axes.text(x, y, text, fontsize=size, color=INK, ha="center", va="baseline", weight=weight, parse_math=False)


def _draw_line(axes, points):
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    codes = [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1)
    axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=LINE, linewidth=1.1))
    axes.add_patch(Polygon(arrow(points), closed=True, facecolor=LINE, edgecolor="none"))
