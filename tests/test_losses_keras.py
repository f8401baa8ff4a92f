"""Losses against values of Keras 3.15 on JAX: formulas, settings, reductions, weights; and their gradients."""

import numpy as np
import pytest

import fastconv
from fastconv import losses, ops
from fastconv.testing import gradcheck

rng = np.random.default_rng(1)
target, logits = rng.standard_normal((2, 6, 4)).astype("float32")
chances = rng.uniform(0.1, 0.9, (6, 4)).astype("float32")
shares = chances / chances.sum(-1, keepdims=True)
labels = np.array([0, 3, 1, 2, 2, 0])
one_hot = np.eye(4, dtype="float32")[labels]
bits = rng.integers(0, 2, (6, 4)).astype("float32")
weights = np.array([1, 2, 0.5, 0, 1, 3], "float32")
pixels, maps = rng.integers(0, 3, (2, 3, 3)), rng.uniform(0.1, 1, (2, 3, 3, 3)).astype("float32")

VALUES = [
    (lambda: losses.MeanSquaredError("sum")(target, logits), 10.4616098),
    (lambda: losses.MeanSquaredError()(target, logits, weights), 2.3090312),
    (lambda: losses.MeanSquaredError("mean_with_sample_weight")(target, logits, weights), 1.8472251),
    (lambda: losses.MeanAbsoluteError()(target, logits), 1.0332911),
    (lambda: losses.MeanAbsolutePercentageError()(target, logits), 494.6748962),
    (lambda: losses.MeanSquaredLogarithmicError()(one_hot, chances), 0.1349094),
    (lambda: losses.Huber(0.5)(target, logits), 0.4016705),
    (lambda: losses.LogCosh()(target, logits), 0.5654477),
    (lambda: losses.Poisson()(one_hot, chances), 0.6248333),
    (lambda: losses.CosineSimilarity()(target, logits), 0.0431387),
    (lambda: losses.Hinge()(bits, logits), 1.1685349),
    (lambda: losses.SquaredHinge()(bits, logits), 2.2552183),
    (lambda: losses.CategoricalHinge()(one_hot, logits), 1.8580613),
    (lambda: losses.KLDivergence()(one_hot, shares), 1.0810021),
    (lambda: losses.BinaryCrossentropy(False, 0.1)(bits, chances), 0.5524929),
    (lambda: losses.BinaryCrossentropy(True, 0.1)(bits, logits), 0.8567597),
    (lambda: losses.CategoricalCrossentropy(True, 0.2)(one_hot, logits), 1.7256536),
    (lambda: losses.SparseCategoricalCrossentropy(False, 2)(pixels, maps), 1.2149318),
    (lambda: losses.SparseCategoricalCrossentropy(False, 2, "sum")(pixels, maps), 15.7941132),
    (lambda: losses.BinaryFocalCrossentropy()(bits, chances), 0.1656658),
    (lambda: losses.BinaryFocalCrossentropy(True, 0.3, 1.5, True, 0.1)(bits, logits), 0.1861243),
    (lambda: losses.CategoricalFocalCrossentropy()(one_hot, shares), 0.1187459),
    (lambda: losses.CategoricalFocalCrossentropy(0.5, 1.5, True, 0.1)(one_hot, logits), 0.6835999),
    (lambda: losses.CategoricalGeneralizedCrossEntropy(0.7)(labels, shares), 0.7567895),
    (lambda: losses.Dice()(bits, chances), 0.3074061),
    (lambda: losses.Dice("none", axis=1)(bits, chances),
     [0.3542898, 0.2262027, 0.4067238, 0.3351792, 0.3142194, 0.1943185]),
    (lambda: losses.Tversky(0.3, 0.7)(bits, chances), 0.2895827),
    (lambda: losses.Circle(10.0)(labels, logits), 8.0585623),
]  # fmt: skip


@pytest.mark.parametrize("program, expected", VALUES, ids=[name for name, _ in enumerate(VALUES)])
def test_values_of_keras(program, expected):
    np.testing.assert_allclose(np.asarray(program()), expected, rtol=2e-6, atol=1e-6)


GRADIENTS = [  # loss, target, output
    (losses.MeanAbsoluteError(), target, logits),
    (losses.MeanAbsolutePercentageError("sum"), target, logits),
    (losses.MeanSquaredLogarithmicError(), one_hot, chances),
    (losses.Huber(0.5), target, logits),
    (losses.LogCosh(), target, logits),
    (losses.Poisson(), one_hot, chances),
    (losses.CosineSimilarity(), target, logits),
    (losses.Hinge(), bits, logits),
    (losses.SquaredHinge(), bits, logits),
    (losses.CategoricalHinge(), one_hot, logits),
    (losses.KLDivergence(), one_hot, shares),
    (losses.BinaryCrossentropy(True, 0.1), bits, logits),
    (losses.CategoricalCrossentropy(True, 0.1), one_hot, logits),
    (losses.SparseCategoricalCrossentropy(True, 2), pixels, maps),
    (losses.BinaryFocalCrossentropy(True), bits, chances),
    (losses.CategoricalFocalCrossentropy(gamma=1.5), one_hot, shares),
    (losses.CategoricalGeneralizedCrossEntropy(), labels, shares),
    (losses.Dice(axis=1), bits, chances),
    (losses.Tversky(0.3, 0.7), bits, chances),
    (losses.Circle(5.0), labels, logits / 4),
]


@pytest.mark.parametrize("loss, y_true, y_pred", GRADIENTS, ids=lambda v: getattr(v, "name", ""))
def test_gradients(loss, y_true, y_pred):
    weights = np.linspace(0.5, 2, len(y_pred))
    gradcheck(lambda y: loss(y_true, y, sample_weight=weights), y_pred.astype("float64"))


@pytest.mark.parametrize("name", [n for n in losses.__all__ if n[0].isupper() and n != "Loss"])
def test_configs_names_and_functions(name):
    """Each class comes back from its config, is found by its name and its function, and takes Keras' reductions."""
    loss = getattr(losses, name)(reduction="sum", name="own", dtype="float64")
    twin = losses.deserialize(losses.serialize(loss))
    assert type(twin) is type(loss) and twin.get_config() == loss.get_config() and twin.reduction == "sum"
    assert twin.dtype == "float64" and type(losses.loss_of(name)) is type(losses.loss_of(loss.formula)) is type(loss)


def test_masks_of_pixels_leave_the_mean():
    """A pixel of ignore_class, inside the classes or not, changes neither the value nor the gradient."""
    marked = np.where(pixels == 2, 255, pixels)
    values = []
    for targets, ignored in ((pixels, 2), (marked, 255)):
        y = fastconv.Tensor(maps, requires_grad=True)
        loss = losses.SparseCategoricalCrossentropy(ignore_class=ignored)(targets, ops.softmax(y))
        loss.backward()
        assert (y.grad[pixels == 2] == 0).all() and y.grad[pixels != 2].any()
        values.append(loss.item())
    kept = -np.log(np.take_along_axis(np.exp(maps) / np.exp(maps).sum(-1, keepdims=True), pixels[..., None], -1))[
        ..., 0
    ]
    np.testing.assert_allclose(values, kept[pixels != 2].mean(), rtol=1e-6)


def test_weights_take_one_number_a_sample_or_a_value():
    loss, weight = losses.SparseCategoricalCrossentropy(reduction="none"), np.array([2.0, 0.5])
    plain = loss(pixels, maps).numpy()
    for given in (weight, weight[:, None], np.broadcast_to(weight[:, None, None], plain.shape)):
        np.testing.assert_allclose(loss(pixels, maps, given), plain * weight[:, None, None], rtol=1e-6)
    assert losses.MeanSquaredError("mean_with_sample_weight")(target, logits, np.zeros(6)).item() == 0
    less = losses.MeanSquaredError("mean_with_sample_weight")(target, logits, -weights).item()
    assert less == pytest.approx(1.8472251, rel=1e-6)  # of signs that cancel out


@pytest.mark.parametrize("reduction", ["none", None])
def test_values_follow_a_column_of_weights(reduction):
    """As in Keras: weights (N, 1) make values (N,) a column, too; weights (N,) leave them."""
    loss = losses.MeanSquaredError(reduction)
    plain = ((target - logits) ** 2).mean(-1)
    np.testing.assert_allclose(loss(target, logits, weights[:, None]), (plain * weights)[:, None], rtol=1e-5)
    assert loss(target, logits, weights).shape == loss(target, logits).shape == (6,)


class Capped(losses.Loss):
    def __init__(self, most=1.0, **kwargs):
        super().__init__(**kwargs)
        self.most = most

    def call(self, y_true, y_pred):
        return ops.mean(ops.minimum(ops.abs(ops.subtract(y_pred, y_true)), self.most), axis=-1)


def test_a_loss_of_ones_own():
    assert Capped().name == "capped"
    loss = Capped(0.5, name="capped", reduction="sum")
    expected = np.minimum(np.abs(target - logits), 0.5).mean(-1).sum()
    np.testing.assert_allclose(loss(target, logits).item(), expected, rtol=1e-6)
    assert Capped.from_config(loss.get_config()).get_config() == loss.get_config()
    with pytest.raises(TypeError, match="Capped has no argument 'mots'. Did you mean 'most'"):
        Capped(mots=1)
