"""A layout as SVG.

It computes no places. Contract: one document without outer files or scripts; texts are escaped; boxes carry their own
ground, so that they can be read on light and dark pages, and change with `prefers-color-scheme`.
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from fastconv.drawing.layout import FONT, LEADING, Layout, Placed, Point


class Colours(NamedTuple):
    """Of a family of boxes: ground, border, and ground on dark pages."""

    ground: str
    border: str
    dark: str


INK, LINE, DARK_INK = "#16202a", "#76828e", "#eef2f6"
COLOURS = {
    "input": Colours("#ffffff", "#5a6672", "#1c232a"),
    "conv": Colours("#d8e8fa", "#2f6fb3", "#173759"),
    "pool": Colours("#fde7c9", "#b86e00", "#523408"),
    "dense": Colours("#d6efe2", "#16805a", "#0f4530"),
    "merge": Colours("#f0dff6", "#8a45a5", "#44214f"),
    "model": Colours("#f4f6f8", "#5a6672", "#232b33"),
    "other": Colours("#e9edf0", "#76828e", "#303a43"),
}
_FONTS = "system-ui, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
_ROUND = 5


def svg_of(layout: Layout, name: str) -> str:
    """The SVG document of a layout."""
    width, height = (max(round(size), 1) for size in layout[:2])
    label = escape(f"The layers of {name}", quote=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fastconv-model" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{label}">',
        f"<style>{_style()}</style>",
        f'<g font-family="{_FONTS}" font-size="{FONT}" text-anchor="middle" fill="{INK}">',
        *[_box(placed) for placed in layout.boxes if placed.is_frame],
        *[_line(line) for line in layout.lines],
        *[_box(placed) for placed in layout.boxes if not placed.is_frame],
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _style():
    """What dark pages change. Rules name this document alone: in a page, they would reach what else is there. All else
    stands in attributes, since not every reader of SVG keeps rules."""
    of = ".fastconv-model "
    dark = [f"{of}text{{fill:{DARK_INK}}}", *[f"{of}.{family}{{fill:{c.dark}}}" for family, c in COLOURS.items()]]
    return f"@media (prefers-color-scheme:dark){{{''.join(dark)}}}"


def _box(placed: Placed) -> str:
    box, x, y, width, height, _ = placed
    colours, border = COLOURS[box.family], 2.5 if box.is_output else 1.2
    parts = [
        f'<rect class="{box.family}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{_ROUND}" '
        f'fill="{colours.ground}" stroke="{colours.border}" stroke-width="{border}"/>'
    ]
    for text, middle, baseline, is_title in texts_of(placed):
        weight = ' font-weight="600"' if is_title else ""
        parts.append(f'<text{weight} x="{middle:.1f}" y="{baseline:.1f}">{escape(text)}</text>')
    return "".join(parts)


def texts_of(placed: Placed) -> list[tuple[str, float, float, bool]]:
    """(text, its middle, its baseline, whether it is the title) of each row of a box."""
    rows = [placed.box.title, *placed.box.rows]
    middle = placed.x + placed.width / 2
    return [(text, middle, placed.y + LEADING * (n + 1) - 1, n == 0) for n, text in enumerate(rows)]


def _line(points: list[Point]) -> str:
    start, *rest = [f"{x:.1f} {y:.1f}" for x, y in points]
    curves = " ".join(f"C{rest[n]} {rest[n + 1]} {rest[n + 2]}" for n in range(0, len(rest), 3))
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in arrow(points))
    path = f'<path d="M{start} {curves}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
    return f'{path}<polygon points="{corners}" fill="{LINE}"/>'


def arrow(points: list[Point]) -> list[Point]:
    """The corners of the head at the end of a line, which arrives along an axis."""
    (from_x, from_y), (x, y) = points[-3], points[-1]
    length = abs(x - from_x) + abs(y - from_y)
    across, along = (x - from_x) / length, (y - from_y) / length
    back_x, back_y = x - 7 * across, y - 7 * along
    return [(x, y), (back_x - 4 * along, back_y + 4 * across), (back_x + 4 * along, back_y - 4 * across)]
