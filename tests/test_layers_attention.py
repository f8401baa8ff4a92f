"""Attention: values against NumPy, heads, masks, plans and files. Against Keras: tests/test_keras_parity_layers.py."""

import numpy as np
import pytest

import fastconv
from fastconv import layers, ops
from fastconv.models import load_model
from fastconv.testing import gradcheck


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


Q, V, K = normal(2, 3, 4), normal(2, 5, 4, seed=1), normal(2, 5, 4, seed=2)
VALUE_MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)


def test_attention_is_a_weighted_mean():
    layer = layers.Attention(dtype="float64")
    shares = softmax(Q @ K.swapaxes(1, 2))
    y, found = layer([Q, V, K], return_attention_scores=True)
    np.testing.assert_allclose(found, shares)
    np.testing.assert_allclose(y, shares @ V)
    np.testing.assert_allclose(layer([Q, V]), softmax(Q @ V.swapaxes(1, 2)) @ V)


def test_attention_sees_what_masks_let_it():
    layer, query_mask = layers.Attention(dtype="float64"), np.array([[1, 1, 0], [1, 0, 1]], bool)
    _, shares = layer([Q, V], mask=[query_mask, VALUE_MASK], use_causal_mask=True, return_attention_scores=True)
    allowed = VALUE_MASK[:, None] & np.tri(3, 5, dtype=bool)
    reached = allowed.any(-1)
    assert not shares.numpy()[~allowed & reached[..., None]].any()
    y = layer([Q, V], mask=[query_mask, None]).numpy()
    assert not y[~query_mask].any() and y[query_mask].all()


def test_additive_attention():
    layer = layers.AdditiveAttention(dtype="float64")
    y = layer([Q, V])
    scores = (layer.scale.numpy() * np.tanh(Q[:, :, None] + V[:, None])).sum(-1)
    np.testing.assert_allclose(y, softmax(scores) @ V)


def heads(x, kernel, bias):
    return np.einsum("btf,fhd->bhtd", x, kernel) + bias[:, None]


def filled(layer, *inputs, **arguments):
    layer(*inputs, **arguments)
    for number, weight in enumerate(layer.weights):
        weight.assign(normal(*weight.shape, seed=number))
    return layer


def twin(layer, allowed=None, groups=1):
    w = [weight.numpy() for weight in layer.weights]
    q, k, v = heads(Q, *w[0:2]), heads(V, *w[2:4]), heads(V, *w[4:6])
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    shares = softmax(scores if allowed is None else np.where(allowed, scores, -np.inf))
    return np.einsum("bhtd,hdo->bto", shares @ v, w[6]) + w[7], shares


MULTI = pytest.mark.parametrize(
    "make, groups",
    [
        (lambda **k: layers.MultiHeadAttention(2, 3, **k), 1),
        (lambda **k: layers.GroupQueryAttention(3, 4, 2, **k), 2),
    ],
    ids=("multi", "group"),
)


@MULTI
def test_heads(make, groups):
    layer = filled(make(dtype="float64"), Q, V)
    y, shares = layer(Q, V, return_attention_scores=True)
    expected, expected_shares = twin(layer, groups=groups)
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    np.testing.assert_allclose(shares, expected_shares, rtol=1e-10)
    allowed = VALUE_MASK[:, None, None] & (np.arange(5) <= np.arange(3)[:, None] + 4)
    np.testing.assert_allclose(layer(Q, V, attention_mask=allowed[:, 0]), twin(layer, allowed, groups)[0], rtol=1e-10)
    np.testing.assert_allclose(layer(Q, V, value_mask=VALUE_MASK), twin(layer, VALUE_MASK[:, None, None], groups)[0])
    causal = np.tri(3, 5, dtype=bool)
    np.testing.assert_allclose(layer(Q, V, use_causal_mask=True), twin(layer, causal, groups)[0], rtol=1e-10)
    assert gradcheck(lambda q, v: layer(q, v, value_mask=VALUE_MASK), Q, V)


@MULTI
def test_windows_and_gates(make, groups):
    layer = filled(make(sliding_window=2, dtype="float64"), Q, V)
    band = np.abs(np.arange(5) - np.arange(3)[:, None]) < 2
    np.testing.assert_allclose(layer(Q, V), twin(layer, band, groups)[0], rtol=1e-10)
    gated = make(use_gate=True)
    gated(Q, V)
    assert [weight.shape for weight in gated.gate_dense.weights] == [
        weight.shape for weight in gated.query_dense.weights
    ]


@MULTI
def test_masks_travel_through_heads(make, groups):
    x = layers.Embedding(6, 4, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    layer = make()
    y = layer(x, x)
    np.testing.assert_array_equal(y._keras_mask, x._keras_mask)
    _, shares = layer(x, x, return_attention_scores=True)
    assert not shares.numpy()[1, :, :, 1:].any()


@MULTI
def test_heads_in_plans_and_files(make, groups, tmp_path):
    a, b = fastconv.Input((None, 4)), fastconv.Input((5, 4))
    model = fastconv.Model([a, b], layers.Dense(1)(make(dropout=0.1)(a, b, use_causal_mask=True)))
    assert model.output_shape == (None, None, 1)
    model.save(tmp_path / "m.safetensors")
    other = load_model(tmp_path / "m.safetensors")
    for one in (model, other):
        one.compile("sgd", "mse", run_eagerly=one is other)
    found = []
    for one in (model, other):
        fastconv.utils.set_random_seed(3)
        losses = [one.train_on_batch([Q, V], np.zeros((2, 3, 1))) for _ in range(4)]
        found.append([losses, [one.predict([Q, V]).tolist() for _ in range(3)]])
    assert found[0] == found[1]


def test_shapes_of_output_and_axes():
    layer = layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=(2, 7))
    assert layer(Q, V).shape == (2, 3, 2, 7) == layer.compute_output_shape(Q.shape, V.shape)
    grid = layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))
    y, shares = grid(normal(2, 3, 2, 4), normal(2, 4, 5, 4), return_attention_scores=True)
    assert y.shape == (2, 3, 2, 4) and shares.shape == (2, 2, 3, 2, 4, 5)
    rows = layers.MultiHeadAttention(2, 3, attention_axes=2)
    y, shares = rows(normal(2, 3, 2, 4), normal(2, 3, 5, 4), return_attention_scores=True)
    assert y.shape == (2, 3, 2, 4) and shares.shape == (2, 3, 2, 2, 5)
    twins = [one.from_config(one.get_config()) for one in (layer, grid)]
    assert twins[0].compute_output_shape((None, 3, 4)) == (None, 3, 2, 7) and twins[1].attention_axes == (1, 2)


def test_einsum_dense_is_einsum():
    for equation, sizes, bias, shape in (
        ("abc,cd->abd", (None, 6), "d", (2, 3, 4)), ("...x,xy->...y", 6, "y", (2, 3, 4)),
        ("ab...,bc->ac...", 6, "c", (2, 3, 4)), ("abc,bde->acde", (None, 2, 3), "ce", (2, 3, 4)),
        ("...a,abc->...bc", (2, 5), "bc", (2, 3, 4)), ("...a,abc->...bc", (2, 5), "b", (2, 3, 4)),
        ("abc,bcd->ad", 7, "d", (2, 3, 4)), ("abc,cbd->ad", 7, "d", (2, 3, 4)),
    ):  # fmt: skip
        layer = layers.EinsumDense(equation, sizes, bias_axes=bias, dtype="float64")
        x = normal(*shape)
        y = filled(layer, x)(x)
        np.testing.assert_allclose(y, np.einsum(equation, x, layer.kernel.numpy()) + layer.bias.numpy(), rtol=1e-10)
        assert y.shape == layer.compute_output_shape(shape)


ERRORS = [
    (lambda: layers.Attention()(Q), ValueError, "query, value"),
    (lambda: layers.Attention(score_mode="add"), ValueError, "score_mode"),
    (lambda: layers.MultiHeadAttention(0, 3), ValueError, "num_heads"),
    (lambda: layers.MultiHeadAttention(2, 3)(Q, V, K[:, :2]), ValueError, "as many steps"),
    (lambda: layers.MultiHeadAttention(2, 3)(Q[0], V), ValueError, r"\(batch, steps, features\)"),
    (lambda: layers.GroupQueryAttention(3, 4, 3), ValueError, "multiple of num_key_value_heads"),
    (lambda: layers.EinsumDense("ab,bc", 3), ValueError, "equation must be like"),
    (lambda: layers.EinsumDense("abc,cd->abd", 3)(Q), ValueError, "output_shape must have a size"),
    (lambda: layers.EinsumDense("ab,bc->ac", 3)(Q), ValueError, "does not fit the input shape"),
    (lambda: layers.EinsumDense("...b,bc->...c", 3, bias_axes="b")(Q), ValueError, "bias_axes"),
]  # fmt: skip


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_a_transformers_block_trains():
    x = fastconv.Input((6,), dtype="int32")
    y = layers.Embedding(9, 8, mask_zero=True)(x)
    y = layers.LayerNormalization()(layers.add([y, layers.MultiHeadAttention(2, 4)(y, y)]))
    y = layers.Dense(1)(layers.GlobalAveragePooling1D()(y))
    model = fastconv.Model(x, y)
    model.compile("adam", "mse")
    ids = np.random.default_rng(0).integers(0, 9, (16, 6))
    ids[:, 0] = 1
    history = model.fit(ids, (ids == 3).sum(1, keepdims=True), epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert np.isfinite(ops.convert_to_numpy(model(ids))).all()
