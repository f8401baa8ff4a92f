"""A model's contents as DOT, the language of Graphviz, for those who have it; nothing here runs it.

Contract: names are numbers of boxes, texts are quoted, so that no name of a layer can break the file.
"""

from __future__ import annotations

import os
from typing import Any

from fastconv import files
from fastconv.drawing.contents import Contents, Show, contents_of
from fastconv.drawing.layout import DIRECTIONS


class Dot:
    """DOT text, which has the two methods of pydot's graph that need no Graphviz: `to_string()` and `write(path)`."""

    def __init__(
        self, contents: Contents, rankdir: str = "TB", dpi: int = 200, splines: Any = "ortho", subgraph: bool = False
    ) -> None:
        if rankdir not in DIRECTIONS:
            raise ValueError(f"rankdir must be one of {', '.join(map(repr, DIRECTIONS))}; got {rankdir!r}.")
        kind = f"subgraph {_quoted('cluster_' + contents.name)}" if subgraph else f"digraph {_quoted(contents.name)}"
        settings = [f"label={_quoted(contents.name)};"] if subgraph else []
        settings += [f"rankdir={rankdir};", f"dpi={int(dpi)};", f"splines={_quoted(str(splines).lower())};"]
        lines = [*settings, "node [shape=box, fontname=sans];", *_body(contents, "n")]
        self._text = "\n".join([f"{kind} {{", *[f"  {line}" for line in lines], "}", ""])

    def to_string(self) -> str:
        """The text."""
        return self._text

    def write(self, path: str | os.PathLike) -> None:
        """Writes the text to a file; `dot -Tpng path -o model.png` of Graphviz draws it."""
        files.write_whole(path, self._text.encode())

    def __str__(self) -> str:
        return self._text


def model_to_dot(
    model: Any, show_shapes: bool = False, show_dtype: bool = False, show_layer_names: bool = True, rankdir: str = "TB",
    expand_nested: bool = False, dpi: int = 200, subgraph: bool = False, show_layer_activations: bool = False,
    show_trainable: bool = False, splines: Any = "ortho",
) -> Dot:  # fmt: skip
    """A model's graph as DOT, after `keras.utils.model_to_dot`, without pydot: `to_string()` gives the text,
    `write(path)` writes it.

    `show_...`: what a box says beside its kind; `rankdir`: "TB", "BT", "LR" or "RL"; `expand_nested`: models inside
    with their layers; `subgraph`: a cluster to stand in another graph; `dpi` and `splines` are Graphviz' settings.
    ValueError for a model that is not built or has no graph.
    """
    show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    return Dot(contents_of(model, show), rankdir, dpi, splines, subgraph)


def _body(contents, prefix):
    """The statements for boxes and lines; a model inside is a cluster, and its lines go to its first and last box."""
    for place, box in enumerate(contents.boxes):
        label = _quoted("\n".join([box.title, *box.rows]))
        if box.inside is None:
            yield f"{prefix}{place} [label={label}];"
        else:
            yield f"subgraph cluster_{prefix}{place} {{"
            yield f"  label={label};"
            yield from (f"  {line}" for line in _body(box.inside, f"{prefix}{place}_"))
            yield "}"
    for source, target in contents.lines:
        yield f"{_end(contents, source, prefix, -1)} -> {_end(contents, target, prefix, 0)};"


def _end(contents, place, prefix, which):
    inside = contents.boxes[place].inside
    if inside is None:
        return f"{prefix}{place}"
    return _end(inside, range(len(inside.boxes))[which], f"{prefix}{place}_", which)


def _quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
