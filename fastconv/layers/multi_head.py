"""MultiHeadAttention and GroupQueryAttention: attention by several heads, each on projections of its own.

Attention on what is given is attention.py's. Contract: called as `layer(query, value, key=value)`, (batch, steps,
features) each; arguments, weights and their order are Keras'. A mask is True, or 1, where attention is allowed; several
are combined by and.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from fastconv import ops, rng
from fastconv.layers.annotations import ConstraintLike, InitializerLike, RegularizerLike
from fastconv.layers.attention import causal_mask
from fastconv.layers.base import Layer
from fastconv.layers.cells import constant
from fastconv.layers.einsum_dense import EinsumDense
from fastconv.layers.shapes import is_shape, map_shapes
from fastconv.layers.spatial import positive
from fastconv.ops.masks import as_floats, select
from fastconv.registry import checked_number
from fastconv.symbolic import is_tracing

_LEAST = -1e30  # a score that no key has


class Heads(Layer):
    """Base class: projections of query, key and value to (batch, steps, heads, size), attention, and the way back.

    A subclass sets `dropout`, `use_bias`, `use_gate`, `sliding_window` and what `_rules` reads by `_set_heads`, and
    gives `_projections()`: name and (heads, size) of each."""

    supports_masking = True
    attention_axes = None
    _shape_back = None  # of the output's last axes, the query's features by default

    def _set_heads(self, dropout, use_bias, sliding_window, flash_attention, use_gate, seed, **rules):
        self.dropout = checked_number(self, "dropout", dropout, 1)
        self.use_bias, self.use_gate = bool(use_bias), bool(use_gate)
        self.sliding_window = None if sliding_window is None else positive(sliding_window, "sliding_window", self)
        self.flash_attention = flash_attention
        if flash_attention and self.dropout:
            raise ValueError(f"{type(self).__name__}: flash_attention=True goes without dropout, as in Keras.")
        self.seed = seed
        self._generator = None if seed is None else rng.SeedGenerator(seed)
        self._keep_rules(**rules)

    # Building

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Makes the projections for inputs of these shapes; value is query, and key value, where not given."""
        if not is_shape(query_shape):
            query_shape, value_shape, key_shape = (*query_shape, None, None)[:3]
        shapes = {"query": query_shape, "gate": query_shape, "value": value_shape or query_shape}
        shapes["key"] = key_shape or shapes["value"]
        for name, sizes in self._projections():
            dense = EinsumDense(
                "...a,abc->...bc", sizes, bias_axes="bc" if self.use_bias else None, **self._rules(name)
            )
            dense.build(shapes[name])
            dense.supports_masking = True  # the masks are this layer's matter
            setattr(self, f"{name}_dense", dense)
        back = self._shape_back or (query_shape[-1],)
        letters = "defghij"[: len(back)]
        self.output_dense = EinsumDense(
            f"...bc,bc{letters}->...{letters}", back, bias_axes=letters if self.use_bias else None,
            **self._rules("attention_output"),
        )  # fmt: skip
        heads, size = dict(self._projections())["query"][0], dict(self._projections())["value"][1]
        self.output_dense.build((*query_shape[:-1], heads, size))

    def _rules(self, name):
        kinds = [
            f"{weight}_{kind}" for weight in ("kernel", "bias") for kind in ("regularizer", "constraint", "initializer")
        ]
        rules = {kind: getattr(self, kind) for kind in kinds}
        if self.activity_regularizer is not None:
            rules["activity_regularizer"] = self.activity_regularizer
        return {**rules, "name": name, "dtype": self.dtype, "trainable": self._trainable,
                "activation": "sigmoid" if name == "gate" else None}  # fmt: skip

    def compute_output_shape(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> Any:
        """The shape of the output alone."""
        query = query_shape if is_shape(query_shape) else query_shape[0]
        return (*query[:-1], *(self._shape_back or query[-1:]))

    # Calling

    def __call__(self, query: Any, value: Any, key: Any = None, **kwargs: Any) -> Any:
        """The output for arrays or Tensors; see the class."""
        tensors = [self._convert(x) for x in (query, value, *(() if key is None else (key,)))]
        self._check(*[x.shape for x in tensors])
        if not self.built:
            self.build(map_shapes(lambda shape: (None, *shape[1:]), [x.shape for x in tensors]))
        return self.call_prepared(*tensors, **kwargs)

    def _check(self, query, value, key=None):
        key = value if key is None else key
        if any(len(shape) < 3 for shape in (query, value, key)) or value[1:-1] != key[1:-1]:
            raise ValueError(
                f"{self._title()} takes query, value and key of shape (batch, steps, features), as many steps in value "
                f"and key; got {query}, {value} and {key}."
            )

    def call(
        self, query: Any, value: Any, key: Any = None, query_mask: Any = None, value_mask: Any = None,
        key_mask: Any = None, attention_mask: Any = None, return_attention_scores: bool = False,
        training: bool = False, use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        key = value if key is None else key
        gate = self.gate_dense(query) if self.use_gate else None
        given = query
        query, key, value = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        key, value = self._shared(key), self._shared(value)
        axes = self._axes(query.ndim)
        q, v, k = self._by_heads(query, axes), self._by_heads(value, axes), self._by_heads(key, axes, turned=True)
        scores = ops.matmul(ops.multiply(q, 1 / math.sqrt(query.shape[-1])), k)
        allowed = None
        if is_tracing() or not given.symbolic:  # a mask changes no shape
            masks = (query_mask, value_mask, key_mask, attention_mask)
            allowed = self._allowed(masks, scores, use_causal_mask, len(axes))
        if allowed is not None:
            scores = select(allowed, scores, _least(scores))
        shares = ops.softmax(scores, axis=-1)
        if allowed is not None and (self.dropout or return_attention_scores or query.ndim != 4):
            shares = select(allowed, shares)  # where nothing is allowed, as Keras has it in these cases
        dropped = ops.dropout(shares, self.dropout, None, self._generator) if training and self.dropout else shares
        output = self._from_heads(ops.matmul(dropped, v), query, axes)
        output = self.output_dense(output if gate is None else ops.multiply(output, gate))
        if not return_attention_scores:
            return output
        return output, self._spread(shares, query, key, axes)

    def _shared(self, x):
        return x

    # Layouts: (batch, *other, *attention, heads, size) and (batch, *other, heads, steps, size)

    def _axes(self, ndim):
        """The axes over which attention goes, of a projection."""
        if self.attention_axes is None:
            return tuple(range(1, ndim - 2))
        return tuple(axis if axis >= 0 else axis + ndim - 1 for axis in self.attention_axes)

    def _by_heads(self, x, axes, turned=False):
        """`turned`: (batch, *other, heads, size, steps)."""
        others = [axis for axis in range(x.ndim - 2) if axis not in axes]
        last = (x.ndim - 1, *axes) if turned else (*axes, x.ndim - 1)
        y = ops.transpose(x, [*others, x.ndim - 2, *last])
        sizes = (x.shape[-1], -1) if turned else (-1, x.shape[-1])
        return y if len(axes) == 1 else ops.reshape(y, (*_open(y.shape[: len(others) + 1]), *sizes))

    def _from_heads(self, y, query, axes):
        """The inverse of `_by_heads`, for values of another size."""
        others = [axis for axis in range(query.ndim - 2) if axis not in axes]
        if len(axes) > 1:
            sizes = [query.shape[axis] for axis in axes]
            y = ops.reshape(y, (*_open(y.shape[:-2]), *sizes, y.shape[-1]))
        order = [*others, query.ndim - 2, *axes, query.ndim - 1]
        return ops.transpose(y, [order.index(axis) for axis in range(query.ndim)])

    def _spread(self, shares, query, key, axes):
        """(batch, *other, heads, *queries, *keys)."""
        if len(axes) == 1:
            return shares
        sizes = [x.shape[axis] for x in (query, key) for axis in axes]
        return ops.reshape(shares, (*_open(shares.shape[:-2]), *sizes))

    # Masks

    def _allowed(self, masks, scores, causal, axes):
        """Floats of 0 and 1 that broadcast to the scores, or None where all is allowed."""
        query, value, key, attention = masks
        found = [ops.expand_dims(as_floats(mask, scores.dtype), place)
                 for mask, place in ((query, -1), (value, -2), (key, -2)) if mask is not None]  # fmt: skip
        if causal:
            found.append(causal_mask(scores))
        if self.sliding_window is not None:
            found.append(causal_mask(scores, self.sliding_window - 1, self.sliding_window - 1))
        if attention is not None:
            attention = as_floats(attention, scores.dtype)
            if axes > 1:
                attention = ops.reshape(attention, (*attention.shape[: attention.ndim - 2 * axes], *scores.shape[-2:]))
            found.append(attention)
        allowed = None
        for mask in found:
            allowed = mask if allowed is None else ops.multiply(allowed, mask)
        if allowed is None:
            return None
        allowed = ops.convert_to_tensor(allowed)
        missing = scores.ndim - allowed.ndim  # the heads, and axes that no mask knows, stand before the steps
        return ops.expand_dims(allowed, tuple(range(-2 - missing, -2))) if missing else allowed


def _least(scores):
    return constant(_LEAST, (1,) * scores.ndim, scores.dtype)


def _open(sizes):
    """A shape for `reshape`, whose one size of None is -1."""
    return tuple(-1 if size is None else size for size in sizes)


class MultiHeadAttention(Heads):
    """Attention by `num_heads` heads of size `key_dim` (of `value_dim` for values, if given).

    `output_shape` is the size of the output's last axis, or the sizes of its last axes; the query's features by
    default. `attention_axes` are the axes over which attention goes, all between batch and features by default.
    `sliding_window` lets a query see keys less than so many steps away. `use_gate` multiplies what the heads give by a
    sigmoid of the query. `flash_attention` changes nothing. Weights: kernel and bias of query, key, gate, value and
    the output. Call with masks, `attention_mask` (batch, queries, keys), `use_causal_mask` and
    `return_attention_scores`."""

    made = ("output_shape",)

    def __init__(
        self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0, use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None, attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None, flash_attention: bool | None = None,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        use_gate: bool = False, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.num_heads = positive(num_heads, "num_heads", self)
        self.key_dim = positive(key_dim, "key_dim", self)
        self.value_dim = self.key_dim if value_dim is None else positive(value_dim, "value_dim", self)
        if output_shape is not None:
            sizes = output_shape if hasattr(output_shape, "__len__") else (output_shape,)
            self._shape_back = tuple(map(operator.index, sizes))
        if attention_axes is not None:
            axes = attention_axes if hasattr(attention_axes, "__len__") else (attention_axes,)
            self.attention_axes = tuple(map(operator.index, axes))
        self._set_heads(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip

    def get_config(self) -> dict:
        return super().get_config() | {"output_shape": None if self._shape_back is None else list(self._shape_back)}

    def _projections(self):
        keys, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        gate = [("gate", values)] if self.use_gate else []
        return [("query", keys), ("key", keys), *gate, ("value", values)]


class GroupQueryAttention(Heads):
    """Attention by `num_query_heads` heads of size `head_dim`, of which groups share one of `num_key_value_heads` heads
    of keys and values; other arguments as MultiHeadAttention's."""

    def __init__(
        self, head_dim: int, num_query_heads: int, num_key_value_heads: int, dropout: float = 0.0,
        use_bias: bool = True, sliding_window: int | None = None, flash_attention: bool | None = None,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        use_gate: bool = False, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.head_dim = positive(head_dim, "head_dim", self)
        self.num_query_heads = positive(num_query_heads, "num_query_heads", self)
        self.num_key_value_heads = positive(num_key_value_heads, "num_key_value_heads", self)
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"GroupQueryAttention: num_query_heads must be a multiple of num_key_value_heads; got "
                f"{num_query_heads} and {num_key_value_heads}."
            )
        self._set_heads(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip

    def _projections(self):
        queries, keys = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        gate = [("gate", queries)] if self.use_gate else []
        return [("query", queries), ("key", keys), *gate, ("value", keys)]

    def _shared(self, x):
        return ops.repeat(x, self.num_query_heads // self.num_key_value_heads, axis=-2)
