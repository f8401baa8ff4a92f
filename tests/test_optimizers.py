"""Optimizers against Keras' formulas written in NumPy; state, settings, errors."""

import numpy as np
import pytest

from fastconv import optimizers
from fastconv.tensor import Parameter

rng = np.random.default_rng(0)
GRADIENTS = rng.standard_normal((5, 3, 4))


def run(optimizer, start):
    weight = Parameter(start.copy())
    for gradient in GRADIENTS:
        optimizer.apply([gradient], [weight])
    assert weight.version == 5 and optimizer.iterations == 5
    return weight.data


def sgd(w, rate, momentum, nesterov):
    v = np.zeros_like(w)
    for g in GRADIENTS:
        v = momentum * v - rate * g
        w = w + (momentum * v - rate * g if nesterov else v)
    return w


def adam(w, rate=0.001, b1=0.9, b2=0.999, epsilon=1e-7):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(GRADIENTS, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)
    return w


TABLE = [
    (optimizers.SGD(), lambda w: sgd(w, 0.01, 0, False)),
    (optimizers.SGD(0.1, momentum=0.9), lambda w: sgd(w, 0.1, 0.9, False)),
    (optimizers.SGD(0.1, 0.9, nesterov=True), lambda w: sgd(w, 0.1, 0.9, True)),
    (optimizers.Adam(), adam),
    (optimizers.Adam(0.1, 0.5, 0.9, 1e-3), lambda w: adam(w, 0.1, 0.5, 0.9, 1e-3)),
]


@pytest.mark.parametrize("optimizer, formula", TABLE, ids=lambda v: None)
def test_formulas(optimizer, formula):
    start = rng.standard_normal((3, 4))
    twin = type(optimizer).from_config(optimizer.get_config())
    np.testing.assert_allclose(run(optimizer, start), formula(start), rtol=1e-12)
    np.testing.assert_array_equal(run(twin, start), run(optimizers.get(repr_config(optimizer)), start))


def repr_config(optimizer):
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def test_state_belongs_to_each_weight():
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    first, second = Parameter(np.zeros(2)), Parameter(np.zeros(2))
    optimizer.apply([np.ones(2)], [first])
    optimizer.apply_gradients([(np.ones(2), second), (np.ones(2), first)])
    np.testing.assert_allclose([first.data, second.data], [[-0.29] * 2, [-0.1] * 2])


def test_no_gradient_leaves_a_weight_alone():
    weight = Parameter(np.ones(2))
    optimizers.Adam().apply([None], [weight])
    assert weight.version == 0 and (weight.data == 1).all()


def test_the_learning_rate_may_change():
    optimizer = optimizers.get("sgd")
    optimizer.learning_rate = 1
    weight = Parameter(np.zeros(2))
    optimizer.apply([np.ones(2)], [weight])
    assert (weight.data == -1).all() and optimizer.get_config()["learning_rate"] == 1.0


ERRORS = [
    (lambda: optimizers.get("adm"), ValueError, "Did you mean 'Adam'"),
    (lambda: optimizers.get("rmsprop"), ValueError, "Known: Adam, SGD"),
    (lambda: optimizers.get(None), TypeError, "optimizer"),
    (lambda: optimizers.SGD(lr=0.1), TypeError, "Did you mean 'learning_rate'"),
    (lambda: optimizers.SGD(clipnorm=1.0), TypeError, "not support"),
    (lambda: optimizers.SGD(-0.1), ValueError, "learning_rate must be finite and at least 0"),
    (lambda: optimizers.SGD(float("nan")), ValueError, "learning_rate"),
    (lambda: optimizers.SGD("0.1"), TypeError, "learning_rate must be a number"),
    (lambda: optimizers.SGD(0.1, 1.5), ValueError, "momentum must be between 0 and 1"),
    (lambda: optimizers.Adam(beta_1=1), ValueError, "below 1"),
    (lambda: optimizers.SGD().apply([], [Parameter(np.ones(2))]), ValueError, "one gradient a weight"),
    (lambda: optimizers.SGD().apply([np.ones(3)], [Parameter(np.ones(2))]), ValueError, "must have shape"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
