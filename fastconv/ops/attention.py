"""Attention as one function of queries, keys and values: Keras' `dot_product_attention`.

Not here: the layers (layers/multi_head.py, layers/attention.py), which have weights. Contract: arrays are (batch, length,
heads, size), as in Keras; it is made of other ops, so its gradients are theirs.
"""

from __future__ import annotations

import math

import numpy as np

from ..tensor import Tensor, TensorLike
from .activations import softmax, tanh
from .casting import convert_to_tensor, promoted
from .comparisons import greater_equal, where
from .copying import repeat
from .creation import arange
from .elementwise import add, multiply
from .linear import matmul
from .shaping import expand_dims, transpose

__all__ = ["dot_product_attention"]


def dot_product_attention(
    query: TensorLike, key: TensorLike, value: TensorLike, bias: TensorLike | None = None,
    mask: TensorLike | None = None, scale: float | None = None, is_causal: bool = False,
    flash_attention: bool | None = None, attn_logits_soft_cap: float | None = None,
) -> Tensor:  # fmt: skip
    """For each query the mean of the values, weighed by softmax(scale * query @ key + bias).

    `query` is (batch, T, heads, size), `key` and `value` (batch, S, their heads, size), of as many heads or of a divisor
    of them, which queries then share; the result has query's shape. `scale` is 1 / sqrt(size) without one. `bias` and
    `mask` (False or 0 hides a key) broadcast to (batch, heads, T, S); `is_causal` hides the keys behind a query's own place;
    `attn_logits_soft_cap` keeps scores below that number by tanh. `flash_attention` is taken, without effect.
    """
    query, key, value = map(convert_to_tensor, promoted(query, key, value, floats=True))
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim != 4:
            raise ValueError(f"{name} must be (batch, length, heads, size); got shape {array.shape}.")
    heads, size = query.shape[2:]
    if key.shape[3] != size or value.shape[2] != key.shape[2] or heads % key.shape[2]:
        raise ValueError(
            "key must have query's size, and value key's heads, whose number divides query's; "
            f"got query {query.shape}, key {key.shape}, value {value.shape}."
        )
    if key.shape[2] != heads:
        key, value = (repeat(array, heads // key.shape[2], axis=2) for array in (key, value))
    scale = 1 / math.sqrt(size) if scale is None else scale
    query, key, value = (transpose(array, (0, 2, 1, 3)) for array in (query, key, value))
    scores = multiply(matmul(query, transpose(key, (0, 1, 3, 2))), scale)
    if attn_logits_soft_cap is not None:
        if not attn_logits_soft_cap > 0:
            raise ValueError(f"attn_logits_soft_cap must be above 0; got {attn_logits_soft_cap!r}.")
        scores = multiply(tanh(multiply(scores, 1 / attn_logits_soft_cap)), attn_logits_soft_cap)
    if bias is not None:
        scores = add(scores, bias)
    hidden = float(np.finfo(scores.dtype).min) * 0.7  # finite: a query that sees no key has a mean of all, not NaN
    if mask is not None:
        scores = where(mask, scores, hidden)
    if is_causal:
        steps, places = scores.shape[2:]
        if None in (steps, places):
            raise ValueError(f"is_causal needs known lengths; got {steps} queries and {places} keys.")
        scores = where(greater_equal(expand_dims(arange(steps), 1), arange(places)), scores, hidden)
    return transpose(matmul(softmax(scores), value), (0, 2, 1, 3))
