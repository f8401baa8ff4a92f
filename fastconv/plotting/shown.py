"""The Figure that pictures are: matplotlib's, which notebooks show without pyplot or a backend of theirs.

Loaded with matplotlib, at the first picture. Contract: it is a matplotlib.figure.Figure in every other way.
"""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A Figure with a PNG of itself for notebooks."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=100)
        return stream.getvalue()
