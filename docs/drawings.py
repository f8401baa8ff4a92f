"""The drawings of kernels.md as SVG, made when the documentation is built.

Nothing is measured here. Contract: lines and texts take the page's colour, so that a drawing is read on white and on
black; fills are two colours that colour-blind readers tell apart; each drawing says in words what it shows.
"""

import pathlib
from html import escape

BLUE, ORANGE = "#3b8fd4", "#e08a1e"


class Drawing:
    """Shapes on a canvas of `width` x `height` pixels."""

    def __init__(self, width, height, label):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-label="{escape(label)}" fill="none" stroke="currentColor" font-size="13" '
            'font-family="system-ui, sans-serif">'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="currentColor" stroke="none"/></marker></defs>'
        ]

    def box(self, x, y, width, height, fill=None, strength=0.45, line=1.0):
        colour = f'fill="{fill}" fill-opacity="{strength}"' if fill else ""
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" {colour} stroke-width="{line}"/>')

    def grid(self, x, y, rows, columns, size, fill=None, cells=None, strength=0.45):
        """Cells of `size`; `cells` maps (row, column) to a fill of its own, `fill` is that of all others."""
        for row in range(rows):
            for column in range(columns):
                own = (cells or {}).get((row, column), fill)
                self.box(x + column * size, y + row * size, size, size, own, strength, 0.7)

    def text(self, x, y, text, anchor="middle", size=13, bold=False):
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{weight} fill="currentColor" stroke="none">'
            f"{escape(text)}</text>"
        )

    def arrow(self, x1, y1, x2, y2):
        self.parts.append(f'<path d="M{x1} {y1} L{x2} {y2}" stroke-width="1.4" marker-end="url(#tip)"/>')

    def svg(self):
        return "\n".join([*self.parts, "</svg>\n"])


def register_tile():
    d = Drawing(700, 366, "A register tile: 14 inputs, each multiplied with 32 weights, added to 28 vectors of sums")
    d.text(96, 20, "input, a run of pixels", bold=True)
    for m in range(14):
        d.box(60, 62 + 20 * m, 72, 20, None, line=0.7)
        d.box(60 + 24, 62 + 20 * m, 24, 20, ORANGE, 0.6, 0.7)
    d.text(96, 56, "channel c", size=12)
    d.text(96, 360, "14 pixels", size=12)
    d.text(400, 20, "one row of the packed weights: tap t, channel c, 32 filters", bold=True)
    for v in range(2):
        for lane in range(16):
            d.box(222 + v * 184 + lane * 11, 30, 11, 20, BLUE, 0.6, 0.7)
    for m in range(14):
        d.arrow(134, 72 + 20 * m, 214, 72 + 20 * m)
        for v in range(2):
            for lane in range(16):
                d.box(222 + v * 184 + lane * 11, 62 + 20 * m, 11, 20, BLUE, 0.18, 0.4)
            d.box(222 + v * 184, 62 + 20 * m, 176, 20, line=1.2)
    d.text(174, 66, "broadcast", size=11)
    d.text(402, 360, "28 registers of 16 sums each, which stay there over all taps and channels")
    d.text(616, 62 + 145, "+= x · w", "start")
    return d.svg()


def winograd():
    d = Drawing(
        700, 300, "Winograd F(2x2, 3x3): inputs and weights become 16 points each, which are multiplied one by one"
    )
    d.text(84, 20, "input, 4 × 4 of it", bold=True)
    inside = {(r, c): ORANGE for r in range(4) for c in range(4)}
    d.grid(24, 32, 6, 6, 20, cells=inside)
    d.box(24 + 40, 32, 80, 80, line=2)
    d.text(84, 172, "the next tile overlaps it by 2", size=12)
    d.arrow(150, 72, 232, 72)
    d.text(190, 64, "Bᵀ x B", size=12)
    d.text(282, 20, "16 points", bold=True)
    d.grid(242, 32, 4, 4, 20, ORANGE)
    d.text(84, 204, "weights, 3 × 3", bold=True)
    d.grid(54, 214, 3, 3, 20, BLUE)
    d.arrow(120, 244, 232, 244)
    d.text(178, 236, "G w Gᵀ, once", size=12)
    d.grid(242, 204, 4, 4, 20, BLUE)
    d.text(282, 162, "⊙", size=26)
    d.arrow(334, 156, 412, 156)
    d.text(372, 140, "16 products,", size=12)
    d.text(372, 178, "summed over", size=12)
    d.text(372, 193, "channels", size=12)
    d.grid(422, 116, 4, 4, 20, ORANGE, {(r, c): BLUE for r in range(4) for c in range(4) if (r + c) % 2})
    d.arrow(512, 156, 590, 156)
    d.text(550, 148, "Aᵀ m A", size=12)
    d.grid(600, 136, 2, 2, 20, ORANGE, strength=0.8)
    d.text(620, 124, "4 outputs", bold=True)
    d.text(620, 196, "16 products, not 36", size=12)
    return d.svg()


def sparse_backward():
    d = Drawing(
        700, 250, "Backward through max-pooling: of 36 positions of the convolution's map only 8 have a gradient"
    )
    winners = [(0, 1), (1, 2), (0, 5), (3, 0), (2, 3), (3, 4), (5, 1), (4, 2), (5, 5)]
    cut = (3, 4)
    d.text(93, 20, "pooled map's gradient", bold=True)
    d.grid(48, 70, 3, 3, 30, BLUE, {(1, 2): None})
    d.text(48 + 75, 70 + 50, "cut", size=12)
    d.text(93, 190, "where ReLU cut: none", size=12)
    d.arrow(150, 115, 246, 115)
    d.text(198, 88, "index of the", size=12)
    d.text(198, 104, "winner, a byte", size=12)
    d.text(346, 20, "convolution's map: 8 of 36", bold=True)
    d.grid(256, 32, 6, 6, 30, cells={place: BLUE for place in winners if place != cut}, strength=0.75)
    for row in range(3):
        for column in range(3):
            d.box(256 + 60 * column, 32 + 60 * row, 60, 60, line=2)
    d.text(346, 236, "the map itself is never in memory", size=12)
    d.arrow(446, 115, 520, 115)
    d.text(483, 88, "only the", size=12)
    d.text(483, 104, "winners", size=12)
    d.text(600, 70, "kernel's gradient", bold=True)
    d.text(600, 90, "8 windows of x, weighed", size=12)
    d.text(600, 140, "input's gradient", bold=True)
    d.text(600, 160, "8 kernels, weighed", size=12)
    return d.svg()


def plans():
    d = Drawing(700, 330, "A model's call: drawn and run the first time, recorded the second, and then repeated in C")
    d.text(110, 20, "drawn: Ops", bold=True)
    d.text(350, 20, "fused: a table of patterns", bold=True)
    d.text(590, 20, "recorded: kernel jobs", bold=True)
    rows = ("Conv", "Relu", "MaxPool", "Flatten", "MatMul", "Softmax")
    for n, name in enumerate(rows):
        d.box(50, 36 + 32 * n, 120, 24, ORANGE if n < 3 else BLUE, 0.3)
        d.text(110, 53 + 32 * n, name)
    d.box(290, 36, 120, 88, ORANGE, 0.3)
    d.text(350, 85, "ConvPool")
    for n, name in enumerate(rows[3:]):
        d.box(290, 132 + 32 * n, 120, 24, BLUE, 0.3)
        d.text(350, 149 + 32 * n, name)
    jobs = (("conv_pool_forward", ORANGE), ("dense_forward", BLUE), ("softmax", BLUE))
    for n, (name, colour) in enumerate(jobs):
        d.box(505, 36 + 32 * n, 170, 24, colour, 0.3)
        d.text(590, 53 + 32 * n, name)
    d.text(590, 152, "Flatten moves nothing; weights", size=12)
    d.text(590, 168, "are packed before, once", size=12)
    d.arrow(178, 80, 282, 80)
    d.arrow(178, 176, 282, 176)
    d.arrow(418, 64, 497, 50)
    d.arrow(418, 176, 497, 96)
    for x, width, name in (
        (40, 150, "call 1: draw, run"),
        (200, 150, "call 2: record"),
        (360, 300, "call 3 and on: replay"),
    ):
        d.box(x, 260, width, 30, None, line=1.2)
        d.text(x + width / 2, 280, name)
    d.text(510, 312, "no Python between the kernels", size=12)
    d.arrow(190, 275, 199, 275)
    d.arrow(350, 275, 359, 275)
    return d.svg()


DRAWINGS = (register_tile, winograd, sparse_backward, plans)


def write(folder: pathlib.Path) -> None:
    """Writes each drawing as `<its name>.svg` into `folder`."""
    folder.mkdir(exist_ok=True)
    for drawing in DRAWINGS:
        (folder / f"{drawing.__name__}.svg").write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    write(pathlib.Path(__file__).parent / "drawings")
