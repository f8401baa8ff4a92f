"""Where the boxes and lines of a drawing stand: rows by depth, branches side by side, skips as curves around.

It computes places and knows no format. Contract: boxes do not overlap, no line crosses a box, and the result depends on
the contents alone. Places are pixels from the top left.

Layers get rows by their greatest depth; a line that passes rows holds a place in each of them, so that it runs between
boxes. Rows are ordered by the mean places of what they are tied to; then each box goes as near to its neighbours as the
order allows, which for one row is a monotone regression. All is computed from top to bottom and turned at the end.
"""

from __future__ import annotations

from typing import NamedTuple

from fastconv.drawing.contents import Box, Contents

FONT, LEADING = 12, 17  # pixels: size of text, and from row to row
_PAD, _APART, _GAP, _MARGIN, _SKIP = 10, 22, 30, 12, 10
_HEAD = 8  # of the gap, which lines enter straight
_PORT = 14  # how far from a box's corner lines begin and end
DIRECTIONS = ("TB", "BT", "LR", "RL")
_NARROW, _WIDE = frozenset("iljtfrI.,:;()[]'| "), frozenset("mwMW@%")

Point = tuple[float, float]


class Placed(NamedTuple):
    """A box with its left, top, width and height; `is_frame`: its contents are drawn within."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    is_frame: bool = False


class Layout(NamedTuple):
    """The picture's size; its boxes, frames first; its lines, each a list of points: the first, then three for each
    cubic curve (two that bend it, and its end)."""

    width: float
    height: float
    boxes: list[Placed]
    lines: list[list[Point]]


def width_of(text: str, is_title: bool = False) -> float:
    """About the pixels that a text takes in the widest of the common sans-serif fonts; titles are bold."""
    units = sum(0.36 if c in _NARROW else 0.92 if c in _WIDE else 0.7 if c.isupper() else 0.62 if c.isascii() else 1
                for c in text)  # fmt: skip
    return units * FONT * (1.1 if is_title else 1)


def arrange(contents: Contents, rankdir: str = "TB") -> Layout:
    """The layout of contents, from top to bottom ("TB"), bottom to top, left to right ("LR") or right to left."""
    if rankdir not in DIRECTIONS:
        raise ValueError(f"rankdir must be one of {', '.join(map(repr, DIRECTIONS))}; got {rankdir!r}.")
    inner = [None if box.inside is None else arrange(box.inside, rankdir) for box in contents.boxes]
    sizes = _sizes(contents.boxes, inner)
    sideways = rankdir in ("LR", "RL")
    rows = _Rows([size[::-1] if sideways else size for size in sizes], contents.lines)

    def turned(point):
        along = rows.length - point[1] if rankdir in ("BT", "RL") else point[1]
        return (along, point[0]) if sideways else (point[0], along)

    width, height = (rows.length, rows.breadth) if sideways else (rows.breadth, rows.length)
    boxes, lines = [], [[turned(point) for point in line] for line in rows.curves(contents.lines)]
    for place, box in enumerate(contents.boxes):
        (x, y), (w, h) = turned((rows.x[place], rows.middle(place))), sizes[place]
        left, top = x - w / 2, y - h / 2
        boxes.append(Placed(box, left, top, w, h, inner[place] is not None))
        if inner[place] is not None:
            right, down = left + (w - inner[place].width) / 2, top + h - inner[place].height
            boxes += [p._replace(x=p.x + right, y=p.y + down) for p in inner[place].boxes]
            lines += [[(px + right, py + down) for px, py in line] for line in inner[place].lines]
    return Layout(width, height, boxes, lines)


def _sizes(boxes, inner):
    """(width, height) of each box; those without contents have one width, which keeps columns straight."""
    texts = [max([width_of(box.title, is_title=True), *map(width_of, box.rows)]) + 2 * _PAD for box in boxes]
    plain = max((text for text, layout in zip(texts, inner) if layout is None), default=0)
    sizes = []
    for box, text, layout in zip(boxes, texts, inner):
        width, height = plain, (1 + len(box.rows)) * LEADING + 9
        if layout is not None:
            width, height = max(text, layout.width), height + layout.height
        sizes.append((width, height))
    return sizes


class _Rows:
    """Vertices (boxes, then what holds a line's place in a row) in rows; `x` are their middles, `breadth` and `length`
    the picture's size across and along."""

    def __init__(self, sizes, lines):
        self.sizes = list(sizes)
        self.count = len(sizes)
        self.row = self._depths(lines)
        self.above, self.below = [[] for _ in sizes], [[] for _ in sizes]
        self.holders = {}  # (box, row) -> the vertex that holds its lines' place there
        for line in lines:
            path = self._path(line)
            for upper, lower in zip(path, path[1:]):
                if lower not in self.below[upper]:
                    self.below[upper].append(lower)
                    self.above[lower].append(upper)
        self.rows = [[] for _ in range(max(self.row, default=-1) + 1)]
        for vertex, row in enumerate(self.row):
            self.rows[row].append(vertex)
        self._order()
        self._place()

    def _depths(self, lines):
        depth = [0] * self.count
        for source, target in sorted(lines, key=lambda line: line[1]):
            depth[target] = max(depth[target], depth[source] + 1)
        targets = {target for _, target in lines}
        first = {}  # box -> the least depth that it is used at
        for source, target in lines:
            first[source] = min(first.get(source, depth[target]), depth[target])
        return [first.get(n, d + 1) - 1 if n not in targets else d for n, d in enumerate(depth)]

    def _path(self, line):
        """The vertices of a line: its ends, and one in each row between; the lines of one box share these."""
        source, target = line
        path = [source]
        for row in range(self.row[source] + 1, self.row[target]):
            if (source, row) not in self.holders:
                self.holders[source, row] = len(self.sizes)
                self.sizes.append((_SKIP, 0))
                self.row.append(row)
                self.above.append([])
                self.below.append([])
            path.append(self.holders[source, row])
        return [*path, target]

    def _order(self):
        """Sorts each row by the mean places of the vertices that it is tied to, down and up and down again."""
        place = [0] * len(self.sizes)
        for sweep in range(6):
            for row in reversed(self.rows) if sweep % 2 == 0 and sweep else self.rows:
                if sweep:
                    self._sort(row, place, self.below if sweep % 2 == 0 else self.above)
                for n, vertex in enumerate(row):
                    place[vertex] = n

    def _sort(self, row, place, ties):
        row.sort(key=lambda v: sum(place[t] for t in ties[v]) / len(ties[v]) if ties[v] else place[v])

    def _place(self):
        self.x = [0.0] * len(self.sizes)
        for row in self.rows:
            self._settle(row, [0.0] * len(row))
        for sweep in range(24):  # the last one goes down, which straightens columns
            ties = self.above if sweep % 2 else self.below
            for row in self.rows if sweep % 2 else reversed(self.rows):
                self._settle(row, [self._wished(v, ties[v]) for v in row])
        left = min((self.x[v] - self.sizes[v][0] / 2 for v in range(len(self.x))), default=0)
        self.x = [x - left + _MARGIN for x in self.x]
        self.breadth = max((self.x[v] + self.sizes[v][0] / 2 for v in range(len(self.x))), default=0) + _MARGIN
        self.deep = [max((self.sizes[v][1] for v in row), default=0) for row in self.rows]
        self.top = [_MARGIN + sum(self.deep[:n]) + n * _GAP for n in range(len(self.rows))]
        self.length = (self.top[-1] + self.deep[-1] if self.rows else 0) + _MARGIN

    def _wished(self, vertex, ties):
        """Where a vertex would be: boxes above boxes, what holds a line's place in line."""
        is_box = vertex < self.count
        weights = [1.0 if (t < self.count) is is_box else 1e-3 for t in ties]
        total = sum(weights)
        return sum(w * self.x[t] for w, t in zip(weights, ties)) / total if total else self.x[vertex]

    def _settle(self, row, wished):
        """Gives a row the places nearest to those wished that keep its order and distances."""
        starts, start = [], 0.0
        for n, vertex in enumerate(row):
            start += (self.sizes[row[n - 1]][0] + self.sizes[vertex][0]) / 2 + _APART if n else 0
            starts.append(start)
        blocks = []  # [mean, weight, how many], rising
        for vertex, wish, start in zip(row, wished, starts):
            blocks.append([wish - start, 1.0 if vertex < self.count else 1e-3, 1])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                (mean, weight, many), (other, heavy, more) = blocks[-2:]
                blocks[-2:] = [[(mean * weight + other * heavy) / (weight + heavy), weight + heavy, many + more]]
        settled = [mean for mean, _, many in blocks for _ in range(many)]
        for vertex, mean, start in zip(row, settled, starts):
            self.x[vertex] = mean + start

    def middle(self, vertex):
        """The place along of a vertex: the middle of its row."""
        return self.top[self.row[vertex]] + self.deep[self.row[vertex]] / 2

    def curves(self, lines):
        """The points of each line, from the lower edge of one box to the upper edge of the other."""
        return [self._curve(self._path(line)) for line in lines]

    def _curve(self, path):
        points = []
        for upper, lower in zip(path, path[1:]):
            start, end = self._ports(upper, lower)
            y0 = self.middle(upper) + self.sizes[upper][1] / 2 if upper < self.count else self._bottom(upper)
            y1 = self.middle(lower) - self.sizes[lower][1] / 2 if lower < self.count else self.top[self.row[lower]]
            if points:  # straight through the row
                points += [points[-1], (start, y0), (start, y0)]
            else:
                points.append((start, y0))
            top = self.top[self.row[lower]] - _HEAD  # curves bend in the gap alone: boxes may be less deep
            bend = (self._bottom(upper) + top) / 2
            points += [(start, bend), (end, bend), (end, top)]
        return [*points, (end, top), (end, y1), (end, y1)]

    def _bottom(self, vertex):
        return self.top[self.row[vertex]] + self.deep[self.row[vertex]]

    def _ports(self, upper, lower):
        """Where across a line leaves one vertex and arrives at the next: straight where they face each other."""
        (low, high), (left, right) = (
            (self.x[v] - reach, self.x[v] + reach)
            for v, reach in ((v, max(self.sizes[v][0] / 2 - _PORT, 0)) for v in (upper, lower))
        )
        if low <= right and left <= high:
            shared = min(max((self.x[upper] + self.x[lower]) / 2, low, left), high, right)
            return shared, shared
        return (high, left) if high < left else (low, right)
