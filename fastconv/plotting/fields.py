"""Which cells of the input a place in a layer's maps can depend on, from the windows of the layers between.

It computes no values. Contract: spans are (first, last) an axis, in the input's cells, not cut to its size; what is not
known to look at windows or at single cells (Flatten, global pools, attention, a user's layer) sees everything.
"""

from __future__ import annotations

from typing import Any

from fastconv.graph import Call, Node, sources
from fastconv.kernels.geometry import Window
from fastconv.layers import BatchNormalization, Concatenate, Dense, Dot, Identity, Layer, Rescaling, Softmax
from fastconv.layers.convolutional import Convolution
from fastconv.layers.pooling import Pooling
from fastconv.layers.reshaping import Cropping, UpSampling, ZeroPadding
from fastconv.layers.transposed import ConvTranspose
from fastconv.nest import flatten

Spans = list[tuple[int, int]]
EVERYTHING = None
_OPEN = 1 << 20  # stands for a size of None
_SINGLE_ROOMS = ("activations", "regularization", "merging")
_SINGLE_OPS = ("elementwise", "activations", "functions")
_SINGLE = (BatchNormalization, Concatenate, Dense, Identity, Rescaling)


def receptive_span(model: Any, layer: Layer, position: tuple[int, ...]) -> Spans | None:
    """The spans of the model's input that the layer's output at `position` depends on; None: everything."""
    found = _back(model.graph, layer, position, {})
    return _joined([found[id(tensor)] for tensor in flatten(model.graph.inputs) if id(tensor) in found])


def _joined(several: list[Spans | None]) -> Spans | None:
    """The least spans that hold all of these."""
    known = [spans for spans in several if spans is not EVERYTHING]
    if len(known) < len(several) or not known:
        return EVERYTHING
    return [(min(low for low, _ in axis), max(high for _, high in axis)) for axis in zip(*known)]


def _back(graph, layer, position, wanted):
    """`wanted`, tensor -> spans, with those of all that they depend on; the walk begins where the layer is called
    last."""
    begun = bool(wanted)
    for node in reversed(graph.nodes):
        outputs = [node.output] if isinstance(node, Call) else flatten(node.outputs)
        if not begun and isinstance(node, Node) and node.layer is layer:
            begun, wanted[id(outputs[0])] = True, [(place, place) for place in position]
        inner = getattr(getattr(node, "layer", None), "graph", None)
        asked = [wanted[id(tensor)] for tensor in outputs if id(tensor) in wanted]
        if inner is not None and (asked or not begun):
            found = _inside(inner, layer, position, wanted, outputs)
            begun = begun or bool(found)
            pairs = [(tensor, found[id(start)]) for start, tensor in zip(flatten(inner.inputs), node.inputs)
                     if id(start) in found]  # fmt: skip
        else:
            spans = _joined(asked)
            pairs = [(tensor, _needs(node, spans, tensor, outputs[0])) for tensor in sources(node)] if asked else []
        for tensor, spans in pairs:
            known = [wanted[id(tensor)]] if id(tensor) in wanted else []
            wanted[id(tensor)] = _joined([*known, spans])
    return wanted


def _inside(graph, layer, position, wanted, outputs):
    """As `_back` for the graph of a model inside, whose outputs are these tensors of the outer one."""
    starts = {
        id(inner): wanted[id(outer)] for inner, outer in zip(flatten(graph.outputs), outputs) if id(outer) in wanted
    }
    return _back(graph, layer, position, starts)


def _needs(node, spans, source, output) -> Spans | None:
    """The spans of one input that a node's output needs at these spans."""
    rank = len(output.shape) - 2
    if spans is EVERYTHING or len(spans) != rank or len(source.shape) != rank + 2:
        return EVERYTHING
    if isinstance(node, Call):
        is_single = node.op.__module__.rpartition(".")[2] in _SINGLE_OPS
    elif not type(node.layer).call.__module__.startswith("fastconv."):
        return EVERYTHING  # a call of the user's own may do anything
    else:
        windows = _windows(node.layer, source.shape[1:-1])
        if windows is not None:
            return [through(*span) for through, span in zip(windows, spans)]
        is_single = _looks_at_single_cells(node.layer)
    if not is_single:
        return EVERYTHING
    sizes = list(zip(source.shape[1:-1], output.shape[1:-1]))
    if any(size not in (1, out) for size, out in sizes):
        return EVERYTHING
    return [(0, 0) if size == 1 != out else span for (size, out), span in zip(sizes, spans)]


def _looks_at_single_cells(layer):
    if isinstance(layer, Dot) or (isinstance(layer, Softmax) and layer.axis != -1):
        return False
    return isinstance(layer, _SINGLE) or type(layer).__module__.rpartition(".")[2] in _SINGLE_ROOMS


def _windows(layer, sizes):
    """A function (first, last) -> (first, last) for each axis of a layer that looks through windows, else None."""
    sizes = tuple(_OPEN if size is None else size for size in sizes)
    if isinstance(layer, ConvTranspose):
        w = Window.transposed(
            sizes, layer.kernel_size, layer.strides, layer.padding, layer.output_padding, layer.dilation_rate
        )
        rows = zip(w.kernel, w.strides, w.dilation, w.padding)
        return [
            lambda a, b, k=k, s=s, d=d, p=p[0]: (-((-(a + p - (k - 1) * d)) // s), (b + p) // s) for k, s, d, p in rows
        ]
    if isinstance(layer, (Convolution, Pooling)):
        size = getattr(layer, "kernel_size", None) or layer.pool_size
        w = Window.of(sizes, size, layer.strides, layer.padding, layer.dilation_rate)
        rows = zip(w.kernel, w.strides, w.dilation, w.padding)
        return [lambda a, b, k=k, s=s, d=d, p=p[0]: (a * s - p, b * s - p + (k - 1) * d) for k, s, d, p in rows]
    if isinstance(layer, UpSampling):
        more = int(layer.interpolation != "nearest")
        return [lambda a, b, n=n: (a // n - more, b // n + more) for n in layer.size]
    if isinstance(layer, (ZeroPadding, Cropping)):
        ends, sign = (layer.padding, -1) if isinstance(layer, ZeroPadding) else (layer.cropping, 1)
        ends = ends if layer.rank > 1 else (ends,)
        return [lambda a, b, low=low: (a + sign * low, b + sign * low) for low, _ in ends]
    return None
