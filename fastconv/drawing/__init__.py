"""A model drawn: boxes for calls of layers, lines for tensors, from its graph to SVG or DOT; no Graphviz.

Not for numbers, which fastconv.plotting shows. contents.py says what is drawn, layout.py where, svg.py and dot.py how.
Contract: one model gives one text; what a user named stands in it escaped.
"""

from __future__ import annotations

from typing import Any

from fastconv.drawing.contents import Contents, Show, contents_of
from fastconv.drawing.dot import Dot, model_to_dot
from fastconv.drawing.layout import Layout, arrange
from fastconv.drawing.svg import svg_of

__all__ = ["Contents", "Dot", "Drawing", "Layout", "Show", "contents_of", "model_to_dot"]


class Drawing:
    """A drawn model, which notebooks show: `layout` says where everything is, `svg` is the text of the picture."""

    def __init__(self, model: Any, show: Show, rankdir: str = "TB") -> None:
        contents = contents_of(model, show)
        self.name = contents.name
        self.layout = arrange(contents, rankdir)

    @property
    def svg(self) -> str:
        """The SVG document, light or dark as the reader's system is."""
        return svg_of(self.layout, self.name)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Drawing of {self.name!r}: {len(self.layout.boxes)} boxes, {len(self.layout.lines)} lines>"
