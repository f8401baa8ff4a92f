"""Attention and AdditiveAttention: each query takes a mean of the values, weighted by how well their keys fit.

Heads, projections and their weights are multi_head.py's. Contract: called on [query, value] or [query, value, key],
(batch, steps, features) each; masks are a list of those of query and value.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastconv import ops, registry, rng
from fastconv.layers.annotations import Seed
from fastconv.layers.base import Layer
from fastconv.layers.shapes import is_shape
from fastconv.ops.masks import as_floats, select
from fastconv.registry import checked_number
from fastconv.symbolic import NoValues, is_tracing


@functools.lru_cache(maxsize=64)
def band(queries: int, keys: int, dtype, behind=None, ahead=None) -> np.ndarray:
    """(queries, keys): 1 where a key is at most `behind` places before a query and `ahead` after it, else 0; None is
    without limit. The same object at each call."""
    distance = np.arange(keys) - np.arange(queries)[:, None]
    allowed = np.ones(distance.shape, bool)
    if behind is not None:
        allowed &= distance >= -behind
    if ahead is not None:
        allowed &= distance <= ahead
    array = allowed.astype(dtype)
    array.flags.writeable = False
    return array


class Attention(Layer):
    """`softmax(query @ key.T) @ value`; key is value where it is not given.

    `score_mode` is "dot", or "concat" for `sum(tanh(query + key))` of each pair, times a weight. `use_scale` multiplies
    scores (in "concat": the sum) by a weight. `dropout` is that of the shares. Call with `use_causal_mask=True` for
    queries that see no later step, and `return_attention_scores=True` for (output, shares). Weights: scale `()`,
    concat_score_weight `()`, where used.
    """

    def __init__(
        self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, seed: Seed | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise registry.unknown_name("score_mode", score_mode, ("dot", "concat"))
        self.use_scale, self.score_mode = bool(use_scale), score_mode
        self.dropout = checked_number(self, "dropout", dropout, 1)
        self.seed = seed
        self._generator = None if seed is None else rng.SeedGenerator(seed)
        self.scale = self.concat_score_weight = None

    def check_input(self, shape: Any) -> None:
        if is_shape(shape) or isinstance(shape, dict) or len(shape) not in (2, 3):
            raise ValueError(f"{self._title()} takes [query, value] or [query, value, key]; got the shape {shape}.")

    def build(self, input_shape: Any) -> None:
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def compute_output_shape(self, input_shape: Any) -> Any:
        query, value = input_shape[:2]
        return (*query[:-1], value[-1])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The query's."""
        return None if mask is None else mask[0]

    def scores(self, query: Any, key: Any) -> Any:
        """(batch, queries, keys): how well each key fits each query."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        pairs = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        pairs = pairs if self.scale is None else ops.multiply(pairs, self.scale)
        return ops.multiply(ops.sum(ops.tanh(pairs), axis=-1), self.concat_score_weight)

    def call(
        self, inputs: Any, mask: Any = None, training: bool = False, return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        query, value = inputs[:2]
        key = inputs[-1]
        query_mask, value_mask = (None, None) if mask is None else tuple(mask[:2])
        scores = self.scores(query, key)
        for allowed in self._allowed(scores, value_mask, use_causal_mask):
            scores = ops.add(scores, ops.multiply(ops.subtract(allowed, 1.0), 1e9))
        shares = ops.softmax(scores, axis=-1)
        if training and self.dropout:
            shares = ops.dropout(shares, self.dropout, None, self._generator)
        output = ops.matmul(shares, value)
        if query_mask is not None:
            output = select(ops.expand_dims(as_floats(query_mask, output.dtype), -1), output)
        return (output, shares) if return_attention_scores else output

    def _allowed(self, scores, value_mask, causal):
        """Floats of 0 and 1 that broadcast to the scores."""
        found = []
        if value_mask is not None:
            allowed = as_floats(value_mask, scores.dtype)
            found.append(ops.expand_dims(allowed, -2) if allowed.ndim == 2 else allowed)
        if causal:
            found.append(causal_mask(scores))
        if len(found) == 2:
            found = [ops.multiply(*found)]
        return found


def causal_mask(scores, behind=None, ahead=0):
    """`band` for scores (..., queries, keys)."""
    queries, keys = scores.shape[-2:]
    if None in (queries, keys) and scores.symbolic and not is_tracing():
        raise NoValues("A mask of steps is drawn where their number is known.")
    return band(queries, keys, scores.dtype, behind, ahead)


class AdditiveAttention(Attention):
    """Attention by `sum(scale * tanh(query + key))` of each pair; scale is a weight `(features,)`, 1 without `use_scale`."""

    made = ("score_mode",)

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def scores(self, query: Any, key: Any) -> Any:
        pairs = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(pairs if self.scale is None else ops.multiply(pairs, self.scale), axis=-1)
