"""Inputs: what a model is given, brought to what its `Input`s declare: one array, its rank, whole numbers kept whole.

It checks no sizes; `Model.check_input` does. Contract: what does not fit is given back as it came.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.graph import Call, sources
from fastconv.layers.shapes import array_of
from fastconv.nest import flatten
from fastconv.tensor import Tensor


def one_input(inputs):
    """`inputs` for a model that takes one: a list of one array is that array, a list of samples becomes one."""
    if not isinstance(inputs, (list, tuple)):
        return inputs
    if len(inputs) == 1 and isinstance(inputs[0], (np.ndarray, Tensor)):
        return inputs[0]
    return array_of(inputs, "x")


def ranked(given, wanted):
    """An array with the last axis of 1 that its Input declares put there or, where it declares none, taken away, as Keras
    does; one that does not fit then is what it was."""
    shape = getattr(given, "shape", ())
    if len(shape) == len(wanted) - 1 and wanted[-1] == 1 and _fits(shape, wanted[:-1]):
        return given[..., None]
    if len(shape) == len(wanted) + 1 and shape[-1] == 1 and _fits(shape[:-1], wanted):
        return given[..., 0]
    return given


def _fits(shape, wanted):
    return len(shape) > 1 and all(None in (size, known) or size == known for size, known in zip(shape[1:], wanted[1:]))


def whole_inputs(graph):
    """For each input of a graph its dtype, where that is of integers and no layer of fastconv's takes it; else None."""
    takers: dict[int, list[Any]] = {}
    for node in graph.nodes:
        for leaf in sources(node):
            takers.setdefault(id(leaf), []).append(node)
    return [
        tensor.dtype
        if tensor.dtype.kind != "f"
        and all(isinstance(n, Call) or getattr(n.layer, "keeps_integers", False) for n in takers.get(id(tensor), ()))
        else None
        for tensor in flatten(graph.inputs)
    ]
