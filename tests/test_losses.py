"""Losses against plain NumPy and values of Keras: formulas, weights, reductions, names, target forms, errors."""

import numpy as np
import pytest

from fastconv import Tensor, losses, ops
from fastconv.testing import gradcheck

rng = np.random.default_rng(0)
logits = rng.standard_normal((6, 4))
probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
labels = np.array([0, 3, 1, 2, 2, 0])
one_hot = np.eye(4)[labels]
crossentropy = -np.log(probabilities[np.arange(6), labels])
bits = rng.integers(0, 2, (6, 1))
chance = rng.uniform(0.1, 0.9, (6, 1))
binary = -np.where(bits, np.log(chance), np.log(1 - chance))[:, 0]

# name, settings, target, output, one value a sample
TABLE = [
    ("categorical_crossentropy", {}, one_hot, probabilities, crossentropy),
    ("categorical_crossentropy", {"from_logits": True}, one_hot, logits, crossentropy),
    ("sparse_categorical_crossentropy", {}, labels, probabilities, crossentropy),
    ("sparse_categorical_crossentropy", {"from_logits": True}, labels[:, None], logits, crossentropy),
    ("binary_crossentropy", {}, bits, chance, binary),
    ("binary_crossentropy", {"from_logits": True}, bits[:, 0], np.log(chance / (1 - chance)), binary),
    ("mean_squared_error", {}, one_hot, logits, ((one_hot - logits) ** 2).mean(-1)),
    ("mse", {}, logits[:, 0], logits[:, 1:2], (logits[:, 0] - logits[:, 1]) ** 2),
]


@pytest.mark.parametrize("name, settings, target, output, expected", TABLE, ids=lambda v: v if type(v) is str else None)
def test_values_and_gradients(name, settings, target, output, expected):
    loss = type(losses.loss_of(name))(**settings)
    np.testing.assert_allclose(loss(target, output).item(), expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(loss(target.tolist(), output).item(), expected.mean(), rtol=1e-5)
    if name != "mse":
        np.testing.assert_allclose(getattr(losses, name)(target, output, **settings), expected, rtol=1e-5)
    gradcheck(lambda y: loss(target, y), output)


def test_targets_of_any_dtype():
    output = probabilities.astype("float32")
    for dtype in ("float64", "int64", "uint8", "bool"):
        value = losses.loss_of("categorical_crossentropy")(one_hot.astype(dtype), output)
        assert value.dtype == "float32"
    for dtype in ("uint8", "float64", "int32"):
        losses.loss_of("sparse_categorical_crossentropy")(labels.astype(dtype), output)


def test_a_final_softmax_is_stable():
    huge = Tensor(np.array([[1000.0, 0.0]]), requires_grad=True)
    value = losses.CategoricalCrossentropy()(np.array([[0.0, 1.0]]), ops.softmax(huge))
    value.backward()
    assert value.item() == 1000 and np.allclose(huge.grad, [[1, -1]])


def test_get_takes_names_classes_objects_configs_and_functions():
    own = losses.CategoricalCrossentropy(from_logits=True)
    assert losses.get(own) is own
    assert losses.get({"class_name": "CategoricalCrossentropy", "config": own.get_config()}).from_logits
    assert isinstance(losses.get(losses.MeanSquaredError), losses.MeanSquaredError)
    for name in ("MSE", "MeanSquaredError", "mean_squared_error"):
        assert isinstance(losses.loss_of(name), losses.MeanSquaredError)
    assert isinstance(losses.loss_of(losses.binary_crossentropy), losses.BinaryCrossentropy)
    double = losses.loss_of(lambda y_true, y_pred: 2 * ops.mean(ops.square(y_true - y_pred), axis=-1))
    np.testing.assert_allclose(double(one_hot, logits).item(), 2 * ((one_hot - logits) ** 2).mean())


ERRORS = [
    (lambda: losses.get("categorical_crosentropy"), ValueError, "Did you mean 'categorical_crossentropy'"),
    (lambda: losses.get(3), TypeError, "loss"),
    (lambda: losses.CategoricalCrossentropy(label_smoothing=1.5), ValueError, "label_smoothing must be a number from 0"),
    (lambda: losses.MeanSquaredError("sums"), ValueError, "reduction must be one of .* Did you mean 'sum'"),
    (lambda: losses.MeanSquaredError()(one_hot, logits, np.ones(5)), ValueError, "sample_weight of shape .5,. does not"),
    (lambda: losses.CategoricalCrossentropy(from_logit=True), TypeError, "from_logits"),
    (lambda: losses.loss_of("categorical_crossentropy")(labels, probabilities), ValueError,
     r"sparse_categorical_crossentropy.*to_categorical\(y, 4\)"),
    (lambda: losses.loss_of("sparse_categorical_crossentropy")(one_hot, probabilities), ValueError,
     "loss='categorical_crossentropy'"),
    (lambda: losses.loss_of("sparse_categorical_crossentropy")(labels + 1, probabilities), ValueError, "label 4"),
    (lambda: losses.loss_of("sparse_categorical_crossentropy")(labels + 0.5, probabilities), TypeError, "integer"),
    (lambda: losses.loss_of("mse")(labels, logits), ValueError, "output's shape"),
    (lambda: losses.loss_of("sparse_categorical_crossentropy")(np.full(6, np.inf), probabilities), ValueError, "infinity"),
    (lambda: losses.SparseCategoricalCrossentropy(ignore_class="x"), TypeError, "ignore_class must be a whole number"),
    (lambda: losses.SparseCategoricalCrossentropy(axis=2)(labels, probabilities), ValueError, "axis must be between"),
    (lambda: losses.loss_of("sparse_categorical_crossentropy")(labels, 0.5), ValueError, "axis must be"),
    (lambda: losses.loss_of("circle")(labels + 0.5, probabilities), ValueError, "circle expects integer labels"),
    (lambda: losses.CategoricalCrossentropy(axis=2)(one_hot, probabilities), ValueError, "axis must be between -2 and 1"),
    (lambda: losses.CategoricalFocalCrossentropy(axis=2)(one_hot, probabilities), ValueError, "axis must be between"),
    (lambda: losses.categorical_generalized_cross_entropy(labels + 1, probabilities, 0.5), ValueError, "label 4"),
    (lambda: losses.loss_of("categorical_generalized_cross_entropy")(labels, 0.5, 0.5), ValueError, "axis must be"),
    (lambda: losses.loss_of("mse")(one_hot + 1j, probabilities), TypeError, "y_true must hold real numbers; got complex"),
    (lambda: losses.loss_of("mse")(one_hot.astype(str), probabilities), TypeError, "y_true must hold real numbers; got <U"),
    (lambda: losses.loss_of("hinge")(one_hot.astype(object), probabilities), TypeError, "y_true must hold real numbers"),
    (lambda: losses.loss_of("mse")(np.ma.array(one_hot, mask=one_hot > 0), probabilities), TypeError, "hides elements"),
    (lambda: losses.loss_of("mse")(np.zeros((0, 2)), np.zeros((0, 2))), ValueError, "empty batch"),
]  # fmt: skip


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
