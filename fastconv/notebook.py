"""HTML that notebooks show instead of a repr: tables and short texts.

It knows no class of fastconv; whoever has a `_repr_html_` gives plain values. Contract: every text is escaped here, so
that no name that a user gave becomes markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def printable(text: Any) -> str:
    """The text without characters that no file may hold; newlines stay."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in str(text))


def table(title: str, head: Sequence[Any], rows: Iterable[Sequence[Any]], notes: Iterable[Any] = ()) -> str:
    """A table under its title, with one line a note below."""
    cells = ["".join(f"<td style='text-align:left'>{_escaped(cell)}</td>" for cell in row) for row in rows]
    return (
        f"<div><b>{_escaped(title)}</b><table><thead><tr>"
        + "".join(f"<th style='text-align:left'>{_escaped(cell)}</th>" for cell in head)
        + "</tr></thead><tbody>"
        + "".join(f"<tr>{row}</tr>" for row in cells)
        + "</tbody></table>"
        + "".join(f"<div>{_escaped(note)}</div>" for note in notes)
        + "</div>"
    )


def text(title: str, body: str = "") -> str:
    """A title, and a body that keeps its lines."""
    return f"<div><b>{_escaped(title)}</b>{f'<pre>{_escaped(body)}</pre>' if body else ''}</div>"


def _escaped(value):
    return escape(printable(value))
