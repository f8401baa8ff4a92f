"""Layers that draw random numbers: what they draw, from which seed, and in graphs."""

import numpy as np
import pytest
from test_planning import plans

from fastconv import Input, Model, layers
from fastconv.testing import gradcheck
from fastconv.utils import set_random_seed

ONES = np.ones((40, 10, 10, 25), "float32")
NORMAL = np.random.default_rng(0).standard_normal((400, 250)).astype("float32")

LAYERS = [
    lambda **k: layers.Dropout(0.25, **k), lambda **k: layers.SpatialDropout2D(0.25, **k),
    lambda **k: layers.GaussianNoise(0.5, **k), lambda **k: layers.GaussianDropout(0.2, **k),
    lambda **k: layers.AlphaDropout(0.25, **k),
]  # fmt: skip
each = pytest.mark.parametrize("make", LAYERS, ids=lambda make: type(make()).__name__)


@each
def test_only_in_training_and_by_seed(make):
    layer = make(seed=3)
    np.testing.assert_array_equal(layer(ONES), ONES)
    first, second = (layer(ONES, training=True).numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(make(seed=3)(ONES, training=True), first)

    def common():
        set_random_seed(5)
        return make()(ONES, training=True).numpy()

    np.testing.assert_array_equal(common(), common())


@each
def test_gradients_in_training(make):
    gradcheck(lambda x: make(seed=2, dtype="float64")(x, training=True), np.arange(1.0, 25).reshape(2, 3, 2, 2))


@each
def test_nothing_is_drawn_for_a_rate_of_zero(make):
    layer = make()
    vars(layer).update(rate=0.0, stddev=0.0)
    np.testing.assert_array_equal(layer(ONES, training=True), ONES)


def test_what_is_kept_and_what_is_zero():
    y = layers.Dropout(0.25, (None, 1, 1, None), seed=1)(ONES, training=True).numpy()
    z = layers.SpatialDropout2D(0.25, seed=1)(ONES, training=True).numpy()
    np.testing.assert_array_equal(y, z)
    assert set(np.unique(z)) == {0, np.float32(1 / 0.75)} and abs((z == 0).mean() - 0.25) < 0.05
    assert not np.ptp(z, axis=(1, 2)).any() and np.ptp(z, axis=0).any()
    assert not layers.SpatialDropout2D(1)(ONES, training=True).numpy().any()


def test_noise_has_its_mean_and_deviation():
    y = layers.GaussianNoise(0.5, seed=1)(ONES, training=True).numpy()
    assert y.mean() == pytest.approx(1, abs=0.01) and y.std() == pytest.approx(0.5, rel=0.01)
    y = layers.GaussianDropout(0.2, seed=1)(ONES * 3, training=True).numpy()
    assert y.mean() == pytest.approx(3, rel=0.01) and y.std() == pytest.approx(1.5, rel=0.01)


def test_alpha_dropout_keeps_mean_and_variance():
    y = layers.AlphaDropout(0.3, seed=1)(NORMAL, training=True).numpy()
    least, count = np.unique(y, return_counts=True)
    assert count.max() == pytest.approx(0.3 * y.size, rel=0.02) and least[count.argmax()] < -0.8
    assert y.mean() == pytest.approx(0, abs=0.02) and y.std() == pytest.approx(1, rel=0.02)


@each
def test_drawn_with_training_true_it_always_draws(make):
    """Monte-Carlo dropout: random in predict too, planned or not, and no draw is lost to the drawing."""
    inputs = Input((10, 10, 25), batch_size=4)
    layer = make(seed=3)
    model = Model(inputs, layer(inputs, training=True))
    twin = make(seed=3)
    for _ in range(4):
        np.testing.assert_array_equal(model.predict(ONES[:4]), twin(ONES[:4], training=True))
    assert plans(model)
