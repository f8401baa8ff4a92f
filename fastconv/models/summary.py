"""The table that `Model.summary` prints, and that notebooks show: layers, output shapes, parameters, connections.

It reads a model's graph and computes nothing. Contract: one row a layer, in Keras' order; connections are shown where a
layer has another input than the row above.
"""

from __future__ import annotations

import re
import textwrap

from fastconv.graph import Call, Node, sources
from fastconv.layers import Layer
from fastconv.nest import flatten

_OPEN = 30  # layers whose drawing a notebook shows without a click


def summary(
    model, line_length=None, positions=None, expand_nested=False, show_trainable=False, layer_range=None
) -> str:
    """The text; arguments as Model.summary's."""
    titles = ["Layer (type)", "Output Shape", "Param #"]
    rows = _rows(model, layer_range, expand_nested)
    branches = any(row[4] for row in rows)
    titles += ["Connected to"] * branches + ["Trainable"] * show_trainable
    cells = [titles]
    for indent, layer, shape, count, connected in rows:
        name = f"{indent}{layer.name} ({type(layer).__name__})"
        cells.append([name, shape, count] + [connected] * branches + ["Y" if layer.trainable else "N"] * show_trainable)
    widths = _widths(cells, line_length, positions)
    lines = []
    for row in cells:
        wrapped = [_wrap(cell, width) for cell, width in zip(row, widths)]
        for i in range(max(map(len, wrapped))):
            parts = [cell[i] if i < len(cell) else "" for cell in wrapped]
            aligned = [
                f"{part:>{width}}" if n == 2 else f"{part:<{width}}"
                for n, (part, width) in enumerate(zip(parts, widths))
            ]
            lines.append("  ".join(aligned).rstrip())
    bar = sum(widths) + 2 * (len(widths) - 1)
    head = len(lines) - sum(max(len(_wrap(c, w)) for c, w in zip(row, widths)) for row in cells[1:])
    text = [f'Model: "{model.name}"', "-" * bar, *lines[:head], "=" * bar, *lines[head:], "-" * bar]
    return "\n".join(text + _totals(model))


def html(model) -> str:
    """The same table for notebooks, and the model drawn below it where it has a graph."""
    from fastconv import notebook

    rows = [(layer.name, type(layer).__name__, *rest) for _, layer, *rest in _rows(model, None, False)]
    head = ["Layer", "Type", "Output Shape", "Param #", "Connected to"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    table = notebook.table(f'Model: "{model.name}"', head, rows, _totals(model))
    if not (model.built and model.layers and model.graph):
        return table
    is_open = " open" if len(rows) <= _OPEN else ""
    return f"{table}<details{is_open}><summary>Its graph</summary>{model.to_svg()}</details>"


def _totals(model):
    trainable, fixed = model.trainable_weights, model.non_trainable_weights
    kinds = ("Total", trainable + fixed), ("Trainable", trainable), ("Non-trainable", fixed)
    lines = [f"{title} params: {_size(weights)}" for title, weights in kinds]
    if not model.built:
        lines.append("Not built yet: shapes are known after the first call, or with Input or input_shape=.")
    return lines


def _rows(model, layer_range, expand_nested, indent=""):
    """(indent, layer, shape, count, connections) of each layer."""
    layers = model.layers
    graph = model.graph if model.built else None
    rows, before = [], None
    if layer_range:
        layers = _within(layers, layer_range)
    for layer in layers:
        shape, connected = "?", ""
        if graph is not None:
            nodes = [node for node in graph.nodes if isinstance(node, Node) and node.layer is layer]
            if nodes:
                shape = str(_nest_of_shapes(nodes[0].outputs))
                origins = [_origin_name(t) for node in nodes for t in sources(node)]
                if (
                    before is not None
                    and (len(origins) != 1 or origins[0] != before)
                    or (before is None and len(origins) > 1)
                ):
                    connected = ", ".join(origins)
            else:
                shape = str(_nest_of_shapes(layer.output)) if layer._node else "?"
        before = layer.name
        count = f"{layer.count_params():,}" if layer.built else "unbuilt"
        rows.append((indent, layer, shape, count, connected))
        if expand_nested and hasattr(layer, "layers"):
            rows += _rows(layer, None, True, indent + "  ")
    return rows


def _nest_of_shapes(structure):
    leaves = flatten(structure)
    return leaves[0].shape if len(leaves) == 1 else [leaf.shape for leaf in leaves]


def _origin_name(tensor) -> str:
    """The layer that made a tensor, through ops that stand in the graph by themselves."""
    source = tensor.source
    if isinstance(source, Call):
        return f"{source.op.__name__.lower()}({', '.join(_origin_name(t) for t in sources(source))})"
    return source.layer.name if isinstance(source, Node) else "?"


def _within(layers: list[Layer], layer_range) -> list[Layer]:
    if len(layer_range) != 2:
        raise ValueError(f"layer_range must be two layer names, the first and the last to show; got {layer_range!r}.")
    ends = [[i for i, layer in enumerate(layers) if re.match(name, layer.name)] for name in layer_range]
    if not all(ends):
        missing = layer_range[0 if not ends[0] else 1]
        raise ValueError(
            f"layer_range: no layer's name begins as {missing!r}; there are {', '.join(x.name for x in layers)}."
        )
    return layers[min(ends[0]) : max(ends[1]) + 1]


def _widths(cells, line_length, positions):
    widths = [max(map(len, column)) for column in zip(*cells)]
    if positions:
        if all(p <= 1 for p in positions):
            positions = [p * (line_length or 100) for p in positions]
        stops = [0, *map(int, positions)]
        return [max(b - a - 2, 8) for a, b in zip(stops, stops[1:])][: len(widths)]
    if line_length and sum(widths) + 2 * (len(widths) - 1) > line_length:
        over = sum(widths) + 2 * (len(widths) - 1) - line_length
        while over > 0 and max(widths) > 8:
            widths[widths.index(max(widths))] -= 1
            over -= 1
    return widths


def _wrap(text, width):
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def _size(weights) -> str:
    count, size = sum(weight.data.size for weight in weights), float(sum(weight.data.nbytes for weight in weights))
    units = ["B", "KB", "MB", "GB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{count:,} ({size:.2f} {units[0]})"
