"""Constraints: their values, and that every step of an optimizer ends with them, planned as eagerly."""

import numpy as np
import pytest
from helpers_ops import values
from test_planned_training import batch, check, pair

from fastconv import Sequential, Tensor, constraints, kernels, layers, ops, optimizers
from fastconv.constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from fastconv.tensor import Parameter
from fastconv.utils import set_random_seed

EPSILON = 1e-7


def norm(w, axis):
    return np.sqrt((w * w).sum(axis, keepdims=True))


def between(w, low, high, rate, axis):
    n = norm(w, axis)
    return w * (rate * np.clip(n, low, high) + (1 - rate) * n) / (EPSILON + n)


ROWS = {  # constraint, its formula
    "max_norm": (MaxNorm(), lambda w: w * np.clip(norm(w, 0), 0, 2) / (EPSILON + norm(w, 0))),
    "max_norm of filters": (MaxNorm(0.5, [0, 1, 2]), lambda w: between(w, 0, 0.5, 1, (0, 1, 2))),
    "non_neg": (NonNeg(), lambda w: np.maximum(w, 0)),
    "unit_norm": (UnitNorm(), lambda w: w / (EPSILON + norm(w, 0))),
    "unit_norm of the last": (UnitNorm(-1), lambda w: w / (EPSILON + norm(w, -1))),
    "min_max_norm": (MinMaxNorm(), lambda w: between(w, 0, 1, 1, 0)),
    "min_max_norm by shares": (MinMaxNorm(0.5, 1.0, 0.3, [0, 1, 2]), lambda w: between(w, 0.5, 1, 0.3, (0, 1, 2))),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ROWS)
def test_value(name, dtype):
    constraint, formula = ROWS[name]
    w = values(3, 3, 2, 4, dtype=dtype)
    found = constraint(Tensor(w))
    assert found.dtype == dtype and found.shape == w.shape
    np.testing.assert_allclose(found.numpy(), formula(w.astype("float64")), rtol=16 * np.finfo(dtype).eps)


def test_keras_numbers():
    rng = np.random.default_rng(0)
    rng.normal(size=(4, 3))
    k = Tensor(rng.normal(size=(3, 3, 2, 4)).astype("float32"))
    rows = [MaxNorm(), MaxNorm(1.5, [0, 1, 2]), UnitNorm([0, 1, 2]), MinMaxNorm(0.5, 1.0, 0.3, [0, 1, 2])]
    found = [constraint(k).numpy().ravel()[:2] for constraint in rows]
    expected = [[-1.8946358, -0.21879163], [-0.91701585, -0.08372501], [-0.61134392, -0.05581668],
                [-1.81092453, -0.16989915]]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("given, kind, config", [
    ("max_norm", MaxNorm, {"max_value": 2.0, "axis": 0}), ("NonNeg", NonNeg, {}), (UnitNorm, UnitNorm, {"axis": 0}),
    (MinMaxNorm(axis=(0, 1)), MinMaxNorm, {"min_value": 0.0, "max_value": 1.0, "rate": 1.0, "axis": [0, 1]}),
    ({"class_name": "MaxNorm", "config": {"max_value": 1.0, "axis": [0]}}, MaxNorm, {"max_value": 1.0, "axis": [0]}),
])  # fmt: skip
def test_get_and_serialize(given, kind, config):
    found = constraints.get(given)
    assert type(found) is kind and found.get_config() == config
    again = constraints.deserialize(constraints.serialize(found))
    assert type(again) is kind and again.get_config() == config


def test_get_leaves_functions_and_none():
    assert constraints.get(None) is None and constraints.get(ops.relu) is ops.relu
    assert (constraints.max_norm, constraints.non_neg, constraints.unit_norm) == (MaxNorm, NonNeg, UnitNorm)


ERRORS = [
    (lambda: constraints.get("max_norms"), ValueError, "Did you mean 'max_norm'"),
    (lambda: constraints.get(3), TypeError, "constraint"),
    (lambda: MaxNorm(-1), ValueError, "MaxNorm: max_value must be finite and at least 0"),
    (lambda: MinMaxNorm(2, 1), ValueError, "min_value must not exceed max_value"),
    (lambda: MinMaxNorm(rate=2), ValueError, "rate must be between 0 and 1"),
    (lambda: UnitNorm("rows"), TypeError, "axis must be an int or several"),
    (lambda: UnitNorm(4)(Tensor(np.ones((2, 2)))), ValueError, "axis must be between"),
    (lambda: constraints.Constraint()(Tensor(1.0)), NotImplementedError, "__call__"),
    (lambda: constraints.serialize(ops.relu), TypeError, "subclass"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def stack():
    return [
        layers.Conv2D(8, 3, kernel_constraint=MaxNorm(0.5, [0, 1, 2]), bias_constraint="non_neg"),
        layers.BatchNormalization(gamma_constraint=UnitNorm(), beta_constraint=lambda w: ops.clip(w, -0.01, 0.01)),
        layers.DepthwiseConv2D(3, depthwise_constraint="non_neg", activation="relu"), layers.Flatten(),
        layers.Dense(4, activation="softmax", kernel_constraint=MinMaxNorm(0.1, 0.2), kernel_regularizer="l2"),
    ]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_planned_step_has_the_eager_bits_and_ends_within_bounds(optimizer):
    models = pair(stack, (9, 9, 3), optimizer)
    check(models, [batch((9, 9, 3), 4, size, i)[:2] for i, size in enumerate([4, 4, 4, 7, 4])])
    models[1].compile(optimizer, "categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    models[0].compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    check(models, [batch((9, 9, 3), 4, 4, 9 + i)[:2] for i in range(3)])
    conv, batch_norm, depthwise, _, dense = models[0].layers
    assert norm(conv.kernel.data, (0, 1, 2)).max() < 0.5 + 1e-6 and conv.bias.data.min() >= 0
    assert norm(batch_norm.gamma.data, 0) == pytest.approx(1) and abs(batch_norm.beta.data).max() <= np.float32(0.01)
    assert depthwise.kernel.data.min() == 0 and 0.1 - 1e-6 < norm(dense.kernel.data, 0).min()
    assert norm(dense.kernel.data, 0).max() < 0.2 + 1e-6


def test_the_same_bits_at_any_number_of_threads(restore_threads):
    found = []
    for number in (1, 2, 3, 5):
        kernels.set_num_threads(number)
        set_random_seed(3)
        model = Sequential([layers.Input((9, 9, 3)), *stack()])
        model.compile("adam", "categorical_crossentropy")
        for i in range(4):
            model.train_on_batch(*batch((9, 9, 3), 4, 16, i)[:2])
        found.append([weight.tobytes() for weight in model.get_weights()])
    assert found[0] == found[1] == found[2] == found[3]


def test_an_optimizer_applies_them_to_what_it_moves():
    moved, left, free = (Parameter(np.array([-1.0, 1.0], "float32")) for _ in range(3))
    moved.constraint = left.constraint = NonNeg()
    version = moved.version
    optimizers.SGD(1.0).apply([np.ones(2, "float32"), None, np.ones(2, "float32")], [moved, left, free])
    assert moved.data.tolist() == [0.0, 0.0] and left.data.tolist() == [-1.0, 1.0] and free.data.tolist() == [-2.0, 0.0]
    assert moved.version > version and not moved.data.flags.writeable and moved.grad is None


def test_a_constraint_of_another_shape_is_refused():
    weight = Parameter(np.ones((2, 3), "float32"), name="kernel")
    weight.constraint = lambda w: ops.sum(w, 0)
    with pytest.raises(ValueError, match="'kernel' has shape"):
        optimizers.SGD(1.0).apply([np.ones((2, 3), "float32")], [weight])
