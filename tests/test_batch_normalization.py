"""BatchNormalization in networks: moving statistics, freezing, graphs, and the recorded step of a residual network."""

import numpy as np
import pytest
from test_planning import plans

from fastconv import Input, Model, Sequential, layers, optimizers
from fastconv.models import load_model
from fastconv.testing import gradcheck

rng = np.random.default_rng(0)
X = (rng.standard_normal((12, 8, 8, 3)) * 2 + 1).astype("float32")
Y = np.eye(4, dtype="float32")[np.arange(12) % 4]


def block(x, filters, strides=1):
    """A residual block, its shortcut a convolution where the shapes differ."""
    y = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(y))
    y = layers.BatchNormalization(momentum=0.8)(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    if strides != 1 or x.shape[-1] != filters:
        x = layers.BatchNormalization()(layers.Conv2D(filters, 1, strides, use_bias=False)(x))
    return layers.ReLU()(layers.add([x, y]))


def residual(seed_from=None):
    inputs = Input((8, 8, 3))
    x = block(layers.Conv2D(8, 3, padding="same", activation="relu")(inputs), 8)
    x = block(x, 12, strides=2)
    x = layers.concatenate([layers.MaxPooling2D()(x), layers.AveragePooling2D()(x)])
    outputs = layers.Dense(4, activation="softmax")(layers.Dropout(0.2, seed=1)(layers.GlobalAveragePooling2D()(x)))
    model = Model(inputs, outputs)
    if seed_from is not None:
        model.set_weights(seed_from.get_weights())
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_recorded_step_of_a_residual_network_has_the_bits_of_the_step_by_step_one(optimizer, tmp_path):
    model = residual()
    twin = residual(model)
    twin._planner.records = False
    for each in (model, twin):
        each.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    for size in (6, 6, 6, 4, 4, 4):
        assert model.train_on_batch(X[:size], Y[:size]) == twin.train_on_batch(X[:size], Y[:size])
        assert all(map(np.array_equal, model.get_weights(), twin.get_weights()))
    assert len(plans(model)) == 2 and not plans(twin)
    for _ in range(3):
        np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(X), twin.predict(X))


def test_a_planned_network_agrees_with_its_layers_one_by_one():
    model = residual()
    twin = residual(model)
    model.compile("sgd", "categorical_crossentropy")
    twin.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    for _ in range(4):
        assert model.train_on_batch(X, Y) == pytest.approx(twin.train_on_batch(X, Y), rel=1e-4)
    for one, other in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_residual_network_learns():
    model = residual()
    model.compile(optimizers.Adam(0.01), "categorical_crossentropy")
    first, *_, last = model.fit(X, Y, batch_size=6, epochs=8, verbose=0).history["loss"]
    assert last < first / 2


@pytest.mark.parametrize("axis", [-1, 1])
def test_moving_statistics_after_some_steps_are_numpys(axis):
    layer = layers.BatchNormalization(axis, momentum=0.7)
    model = Sequential([Input((4, 3)), layer, layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse")
    size = 3 if axis == -1 else 4
    mean, variance = np.zeros(size), np.ones(size)
    others = (0, 1) if axis == -1 else (0, 2)
    for step in range(5):
        x = np.random.default_rng(step).standard_normal((6, 4, 3)).astype("float32") * 3 + step
        model.train_on_batch(x, np.zeros((6, 2)))
        mean, variance = 0.7 * mean + 0.3 * x.mean(others), 0.7 * variance + 0.3 * x.var(others)
    assert plans(model)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)
    expected = (x - np.expand_dims(mean, others)) / np.sqrt(np.expand_dims(variance, others) + 1e-3)
    gamma, beta = (np.expand_dims(weight.numpy(), others) for weight in (layer.gamma, layer.beta))
    np.testing.assert_allclose(layer(x), expected * gamma + beta, rtol=1e-4, atol=1e-4)


def test_weights_are_keras_weights_in_keras_order():
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    assert [weight.name for weight in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [weight.name for weight in layer.trainable_weights] == ["gamma", "beta"]
    assert [float(weight.numpy()[0]) for weight in layer.weights] == [1, 0, 0, 1]


def test_gradients_in_training():
    layer = layers.BatchNormalization(1, dtype="float64")
    gradcheck(lambda x: layer(x, training=True), rng.standard_normal((3, 2, 4)))


def base():
    inputs = Input((8, 8, 3))
    return Model(inputs, layers.BatchNormalization(momentum=0.5, name="bn")(layers.Conv2D(4, 3, name="conv")(inputs)))


def statistics(model):
    return [weight.copy() for weight in model.get_layer("bn").get_weights()[2:]]


def on_top(inner, **call):
    inputs = Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(inner(inputs, **call))
    model = Model(inputs, layers.Dense(4, activation="softmax")(x))
    model.compile("sgd", "categorical_crossentropy")
    return model


def trained(model, steps=4):
    for _ in range(steps):
        model.train_on_batch(X, Y)
    return model


def test_frozen_it_is_in_inference_mode():
    inner = base()
    inner.trainable = False
    before, x = statistics(inner), X[:2]
    trained(on_top(inner))
    assert all(map(np.array_equal, statistics(inner), before))
    bn = inner.get_layer("bn")
    np.testing.assert_array_equal(bn(np.ones((1, 4)), training=True), bn(np.ones((1, 4))))  # nor needs two values
    inner.trainable = True
    model = trained(on_top(inner))
    assert not np.array_equal(statistics(inner)[0], before[0])
    assert not np.array_equal(model.predict(x), model(x, training=True))


def test_freezing_between_recorded_steps_is_seen():
    inner = base()
    model = trained(on_top(inner))
    moved = statistics(inner)
    inner.get_layer("bn").trainable = False
    gamma = inner.get_layer("bn").gamma.numpy()
    trained(model)
    assert all(map(np.array_equal, statistics(inner), moved))
    np.testing.assert_array_equal(inner.get_layer("bn").gamma, gamma)
    inner.get_layer("bn").trainable = True
    trained(model)
    assert not np.array_equal(statistics(inner)[0], moved[0])


def test_drawn_with_training_false_it_stays_in_inference_mode(tmp_path):
    """Keras' way to fine-tune: base(x, training=False). Its weights are trained, its statistics stay."""
    inner = base()
    model = on_top(inner, training=False)
    before, kernel = statistics(inner), inner.get_layer("conv").kernel.numpy()
    trained(model)
    assert plans(model) and all(map(np.array_equal, statistics(inner), before))
    assert not np.array_equal(inner.get_layer("conv").kernel, kernel)
    np.testing.assert_array_equal(model(X, training=True), model(X))
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")  # the file knows the mode
    kept = [weight.copy() for weight in again.get_weights()]
    np.testing.assert_array_equal(again(X, training=True), again(X))
    assert all(map(np.array_equal, again.get_weights(), kept))


def test_drawn_with_training_true_it_always_is_in_training():
    inputs = Input((4,))
    model = Model(inputs, layers.BatchNormalization()(inputs, training=True))
    x = rng.standard_normal((6, 4)).astype("float32")
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x).mean(0), 0, atol=1e-6)
    assert model.layers[1].moving_mean.numpy().any()


def test_one_value_a_channel_is_refused_in_training():
    model = Sequential([Input((3,)), layers.BatchNormalization(name="bn"), layers.Dense(1)])
    model.compile("sgd", "mse")
    message = r"'bn' \(BatchNormalization\) got the shape \(1, 3\).*no variance.*larger batches"
    for _ in range(3):
        with pytest.raises(ValueError, match=message):
            model.train_on_batch(np.ones((1, 3)), np.ones((1, 1)))
    assert not model.layers[0].moving_mean.numpy().any()
    assert model.predict(np.ones((1, 3))).shape == (1, 1)
    assert layers.BatchNormalization()(np.ones((1, 5, 3)), training=True).shape == (1, 5, 3)
