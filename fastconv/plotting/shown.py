"""The Figure that pictures are: matplotlib's, which notebooks show without pyplot or a backend of theirs.

Loaded with matplotlib, at the first picture. Contract: it is a matplotlib.figure.Figure in every other way; there is no
window to `show`, and it says so.
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

    def show(self, warn: bool = True) -> None:
        """For Figures of pyplot: raises AttributeError, as matplotlib does, in words that say what to do."""
        raise AttributeError(
            "this Figure has no window: savefig('picture.png') writes it; notebooks show it by themselves"
        )
