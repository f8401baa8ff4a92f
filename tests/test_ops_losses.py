"""Cross-entropies: values against their formula, gradients, the stable path from logits, labels that do not fit."""

import numpy as np
import pytest
from helpers_ops import DTYPES, values

from fastconv import Tensor, no_grad, ops
from fastconv.testing import gradcheck

LABELS = np.array([2, 0, 4])


def probabilities(*shape, dtype="float64"):
    p = values(*shape, positive=True, seed=9)
    return (p / p.sum(-1, keepdims=True)).astype(dtype)


def one_hot(labels=LABELS, dtype="float64"):
    return np.eye(5, dtype=dtype)[labels]


@pytest.mark.parametrize("dtype", DTYPES)
def test_categorical_values(dtype):
    p, target = probabilities(3, 5, dtype=dtype), probabilities(3, 5, dtype=dtype)[::-1]
    loss = ops.categorical_crossentropy(target, p)
    assert loss.dtype == dtype
    np.testing.assert_allclose(loss.data, -(target * np.log(p)).sum(-1), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_logits_equals_from_probabilities(dtype):
    x, target = values(3, 5, dtype=dtype), one_hot(dtype=dtype)
    expected = ops.categorical_crossentropy(target, ops.softmax(x).data).data
    np.testing.assert_allclose(ops.categorical_crossentropy(target, x, from_logits=True).data, expected, rtol=1e-5)
    np.testing.assert_allclose(ops.categorical_crossentropy(target, ops.softmax(x)).data, expected, rtol=1e-5)
    np.testing.assert_allclose(ops.sparse_categorical_crossentropy(LABELS, x, True).data, expected, rtol=1e-5)
    column = LABELS[:, None].astype("uint8")
    np.testing.assert_allclose(ops.sparse_categorical_crossentropy(column, ops.softmax(x)).data, expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_axes_and_leading_axes(axis):
    x = values(4, 3, 5)
    labels = np.argmax(values(4, 3, 5, seed=3), axis)
    target = np.moveaxis(np.eye(x.shape[axis])[labels], -1, axis)
    expected = -(target * ops.log_softmax(x, axis).data).sum(axis)
    for loss in (
        ops.categorical_crossentropy(target, x, True, axis),
        ops.categorical_crossentropy(target, ops.softmax(x, axis), axis=axis),
        ops.categorical_crossentropy(target, ops.softmax(x, axis).data, axis=axis),
        ops.sparse_categorical_crossentropy(labels, x, True, axis),
        ops.sparse_categorical_crossentropy(labels, ops.softmax(x, axis).data, axis=axis),
    ):
        np.testing.assert_allclose(loss.data, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "function, shapes",
    [
        (lambda x, t: ops.categorical_crossentropy(t, x, from_logits=True), [(3, 5), (3, 5)]),
        (lambda x, t: ops.categorical_crossentropy(t, x, from_logits=True, axis=1), [(2, 3, 4), (2, 3, 4)]),
        (lambda x, t: ops.categorical_crossentropy(t, ops.softmax(x)), [(3, 5), (3, 5)]),
        (lambda x: ops.sparse_categorical_crossentropy(LABELS, x, from_logits=True), [(3, 5)]),
        (lambda x: ops.sparse_categorical_crossentropy(LABELS, ops.softmax(x) * 1), [(3, 5)]),
        (lambda x, t: ops.binary_crossentropy(t, x, from_logits=True), [(3, 5), (3, 5)]),
        (lambda x, t: ops.binary_crossentropy(t, ops.sigmoid(x)), [(), ()]),
        (lambda x, t: ops.binary_crossentropy(t, ops.sigmoid(x) * 1), [(3,), (3,)]),
    ],
)
def test_gradients(function, shapes):
    assert gradcheck(function, *[values(*shape, seed=i) for i, shape in enumerate(shapes)])


def test_binary_values():
    x, target = values(3, 4), probabilities(3, 4)
    p = 1 / (1 + np.exp(-x))
    expected = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    for loss in (
        ops.binary_crossentropy(target, p),
        ops.binary_crossentropy(target, x, from_logits=True),
        ops.binary_crossentropy(target, ops.sigmoid(x)),
    ):
        np.testing.assert_allclose(loss.data, expected)


def test_final_softmax_and_sigmoid_use_the_stable_path():
    x = Tensor([[1000.0, 0.0]], requires_grad=True)
    target = np.array([[0, 1]], "float32")
    for loss in (
        lambda: ops.categorical_crossentropy(target, ops.softmax(x)),
        lambda: ops.sparse_categorical_crossentropy([1], ops.softmax(x)),
        lambda: ops.binary_crossentropy(1 - target, ops.sigmoid(-x)),
    ):
        with no_grad():
            assert loss().data.max() == 1000
        x.grad = None
        loss().sum().backward()
        assert abs(x.grad[0, 0]) == 1


def test_only_the_direct_result_of_softmax_is_linked():
    x = Tensor([[1000.0, 0.0]])
    target = np.array([[0, 1]], "float32")
    for output in (ops.softmax(x).detach(), ops.softmax(x) * 1.0, ops.softmax(x).data):
        np.testing.assert_allclose(ops.categorical_crossentropy(target, output).data, -np.log(1e-7), rtol=1e-5)


def test_masked_classes_cost_nothing():
    x = np.array([[0.0, -np.inf, 0.0]])
    loss = ops.categorical_crossentropy(np.array([[1.0, 0, 0]]), x, from_logits=True)
    np.testing.assert_allclose(loss.data, [np.log(2)])


def test_batch_of_zero():
    x = Tensor(np.zeros((0, 5)), requires_grad=True)
    loss = ops.sparse_categorical_crossentropy(np.zeros(0, int), ops.softmax(x))
    loss.sum().backward()
    assert loss.shape == (0,) and x.grad.shape == (0, 5)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda y: ops.categorical_crossentropy(LABELS, y), ValueError, "sparse_categorical.*to_categorical"),
        (lambda y: ops.categorical_crossentropy(LABELS[:, None], y), ValueError, "sparse_categorical_crossentropy"),
        (lambda y: ops.categorical_crossentropy(np.ones((3, 4)), y), ValueError, r"shape \(3, 5\); got \(3, 4\)"),
        (lambda y: ops.categorical_crossentropy(one_hot().astype(int), y), TypeError, r"target.astype\('float64'\)"),
        (lambda y: ops.categorical_crossentropy(one_hot(dtype="float32"), y), TypeError, "float64; got float32"),
        (lambda y: ops.sparse_categorical_crossentropy([0, 1, 5], y), ValueError, "the label 5.*5 classes.*0 to 4"),
        (lambda y: ops.sparse_categorical_crossentropy([0, -1, 2], y), ValueError, "the label -1"),
        (lambda y: ops.sparse_categorical_crossentropy([0, 1], y), ValueError, r"shape \(3,\).*got \(2,\)"),
        (lambda y: ops.sparse_categorical_crossentropy(one_hot(), y), TypeError, "integer class numbers; got float64"),
        (lambda y: ops.binary_crossentropy(np.ones(3), y), ValueError, "one shape"),
        (lambda y: ops.binary_crossentropy(np.ones((3, 5), int), y), TypeError, "astype"),
    ],
)
def test_targets_that_do_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call(probabilities(3, 5))
