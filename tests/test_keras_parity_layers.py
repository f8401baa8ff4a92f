"""Parity with Keras on JAX, where it is installed: layers with its weights, forward and gradients, masks included."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "jax":
    pytest.skip("gradients of Keras' are taken by JAX", allow_module_level=True)
jax = pytest.importorskip("jax")

from fastconv import Tensor, layers, ops  # noqa: E402
from fastconv.nest import flatten  # noqa: E402

MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
SEQ = (3, 5, 4)


def row(name, *args, shape=SEQ, mask=None, call=None, **kwargs):
    """A layer by name, its arguments, the shape of its input (or shapes of several), and what it is called with."""
    title = f"{name} {args or ''} {kwargs or ''}{' masked' if mask is not None else ''}"
    return pytest.param(name, args, kwargs, shape, {"mask": mask} if mask is not None else call or {}, id=title)


ROWS = [
    row(name, 6, shape=SEQ, mask=mask, **kwargs)
    for name in ("SimpleRNN", "LSTM", "GRU")
    for mask in (None, MASK)
    for kwargs in (
        {}, {"return_sequences": True}, {"return_sequences": True, "return_state": True, "go_backwards": True},
        {"return_sequences": True, "zero_output_for_mask": True}, {"zero_output_for_mask": True}, {"use_bias": False},
    )
] + [
    row("GRU", 6, reset_after=False), row("GRU", 6, reset_after=False, use_bias=False, activation="relu"),
    row("RNN", lambda m: [m.LSTMCell(5), m.GRUCell(4)], return_sequences=True, mask=MASK),
    row("RNN", lambda m: m.StackedRNNCells([m.SimpleRNNCell(5), m.LSTMCell(4)]), return_state=True),
    row("ConvLSTM1D", 3, 2, return_sequences=True, shape=(2, 3, 5, 2)),
    row("ConvLSTM2D", 3, (2, 3), 2, "same", shape=(2, 3, 5, 4, 2), return_state=True),
    row("ConvLSTM3D", 2, 2, shape=(2, 3, 3, 4, 3, 2), go_backwards=True),
    row("Bidirectional", lambda m: m.LSTM(3)), row("Bidirectional", lambda m: m.GRU(3, return_sequences=True), "sum"),
    row("Bidirectional", lambda m: m.LSTM(3, return_sequences=True, return_state=True), "ave", mask=MASK),
    row("Bidirectional", lambda m: m.SimpleRNN(3, return_sequences=True), None, mask=MASK),
    row("Bidirectional", lambda m: m.GRU(3, return_state=True), "mul"),
    row("Bidirectional", lambda m: m.GRU(3), "concat", backward_layer=lambda m: m.LSTM(2, go_backwards=True)),
    row("TimeDistributed", lambda m: m.Dense(3), mask=MASK), row("TimeDistributed", lambda m: m.GRU(3), shape=(2, 3, 5, 4)),
    row("TimeDistributed", lambda m: m.Conv2D(2, 2), shape=(2, 3, 4, 5, 2)),
    row("TimeDistributed", lambda m: m.BatchNormalization(), shape=(2, 3, 4), call={"training": True}),
    row("SpectralNormalization", lambda m: m.Dense(3), shape=(2, 4)), row("Masking", 0.5),
    row("SpectralNormalization", lambda m: m.Conv2D(3, 2), power_iterations=3, shape=(2, 4, 5, 2), call={"training": True}),
    row("EinsumDense", "abc,cd->abd", (None, 6), "relu", "d"), row("EinsumDense", "...x,xy->...y", 6, bias_axes="y"),
    row("EinsumDense", "ab...,bc->ac...", 6, bias_axes="c"), row("EinsumDense", "abc,cde->abde", (None, 2, 3), bias_axes="de"),
    row("EinsumDense", "abc,bcd->ad", 7), row("UnitNormalization", (1, 2)),
    *[row(name, shape=shape, use_scale=scale, call=call)
      for name in ("Attention", "AdditiveAttention") for scale in (False, True)
      for shape in ([(2, 3, 4), (2, 5, 4)], [(2, 3, 4), (2, 5, 4), (2, 5, 4)])
      for call in ({}, {"mask": [MASK[:2, :3], MASK[1:, :5]], "return_attention_scores": True, "use_causal_mask": True})],
    row("Attention", score_mode="concat", shape=[(2, 3, 4), (2, 5, 4)], use_scale=True),
    row("Softmax", shape=(3, 5), mask=MASK), row("Softmax", (0, 1), shape=(3, 5)), row("GlobalAveragePooling1D", mask=MASK),
    row("GlobalAveragePooling1D", keepdims=True, mask=MASK),
    row("Discretization", [-0.5, 0.1, 0.9], output_mode="one_hot"), row("Discretization", [-0.5, 0.1, 0.9]),
    row("Discretization", [-0.5, 0.1, 0.9], output_mode="count", shape=(3, 5)),
    row("LSTM", 6, activation=None, recurrent_activation="hard_sigmoid", unit_forget_bias=False),
]  # fmt: skip


HEADS = [(2, 3, 4), (2, 5, 4)]
MULTI = [
    row(name, *args, shape=shape, call=call, **kwargs)
    for name, args in (("MultiHeadAttention", (2, 3)), ("GroupQueryAttention", (3, 4, 2)))
    for shape, kwargs, call in (
        (HEADS, {}, {}), (HEADS, {"use_bias": False, "use_gate": True}, {"return_attention_scores": True}),
        ([*HEADS, (2, 5, 6)], {}, {"attention_mask": MASK[:, None, :][:2] | np.eye(3, 5, dtype=bool)}),
        (HEADS, {"sliding_window": 2}, {"use_causal_mask": True}),
        (HEADS, {}, {"use_causal_mask": True, "return_attention_scores": True}),
        (HEADS, {}, {"value_mask": MASK[:2]}), (HEADS, {}, {"key_mask": MASK[:2]}),
    )
] + [
    row("MultiHeadAttention", 2, 3, value_dim=5, output_shape=(2, 3), shape=HEADS,
        call={"return_attention_scores": True}),
    row("MultiHeadAttention", 2, 3, attention_axes=(1, 2), shape=[(2, 3, 2, 4), (2, 2, 5, 4)]),
    row("MultiHeadAttention", 2, 3, attention_axes=2, shape=[(2, 3, 2, 4), (2, 3, 5, 4)],
        call={"return_attention_scores": True}),
]  # fmt: skip


def build(module, name, args, kwargs):
    """The layer; arguments that are lists of layers, or one, are functions of the module."""
    args = [argument(module) if callable(argument) else argument for argument in args]
    return getattr(module, name)(*args, **{k: v(module) if callable(v) else v for k, v in kwargs.items()})


def data(shape, seed):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name, args, kwargs, shape, call", ROWS + MULTI)
def test_layers_have_keras_values_and_gradients(name, args, kwargs, shape, call):
    several = isinstance(shape, list)
    xs = [data(one, seed) for seed, one in enumerate(shape if several else [shape])]
    theirs, ours = build(keras.layers, name, args, kwargs), build(layers, name, args, kwargs)
    many = name.endswith("HeadAttention") or name.startswith("Group")  # takes its inputs one by one

    def arguments(values):
        return values if many else [values if several else values[0]]

    theirs(*arguments(xs), **call)
    weights = [data(weight.shape, 9) * np.float32(0.5) for weight in theirs.weights]
    theirs.set_weights(weights)
    ours(*arguments(xs), **call)
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in weights]
    ours.set_weights(weights)

    trainable = [v.value for v in theirs.trainable_variables]
    rest = [v.value for v in theirs.non_trainable_variables]

    def loss(values, inputs):
        outputs, _ = theirs.stateless_call(values, rest, *arguments(inputs), **call)
        leaves = jax.tree_util.tree_leaves(outputs)
        return sum(((leaf * data(leaf.shape, 7)).sum() for leaf in leaves), 0.0), leaves

    (_, expected), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(trainable, xs)
    inputs = [Tensor(array, requires_grad=True) for array in xs]
    found = flatten(ours(*arguments(inputs), **call))
    assert [leaf.shape for leaf in found] == [leaf.shape for leaf in expected]
    for leaf, wanted in zip(found, expected):
        np.testing.assert_allclose(leaf.numpy(), wanted, rtol=2e-4, atol=2e-5)
    if not found[0].requires_grad or (name, call) == ("SpectralNormalization", {"training": True}):
        return  # JAX differentiates through what the latter writes into its kernel
    total = ops.add(0.0, sum(ops.sum(ops.multiply(leaf, data(leaf.shape, 7))) for leaf in found))
    total.backward()
    leaves = [*ours.trainable_weights, *inputs]
    for leaf, wanted in zip(leaves, [*gradients[0], *gradients[1]]):
        grad = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
        np.testing.assert_allclose(grad, wanted, rtol=2e-4, atol=2e-5)
