"""Rescaling and Normalization: integers come in without a warning, statistics come from the data."""

import warnings

import numpy as np
import pytest

from fastconv import Input, Model, Sequential, layers
from fastconv.models import clone_model, load_model

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 6, 6, 3), "uint8")
LABELS = np.arange(30) % 3


def functional(first, dtype):
    inputs = Input((6, 6, 3), dtype=dtype)
    return Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(first(inputs))))


def stack(first, dtype):
    return Sequential([Input((6, 6, 3), dtype=dtype), first, layers.Flatten(), layers.Dense(3, activation="softmax")])


def nested(first, dtype):
    return stack(Sequential([layers.Identity(), first]), None)


def adapted():
    layer = layers.Normalization()
    layer.adapt(PIXELS)
    return layer


@pytest.mark.parametrize("dtype", ["uint8", "int32", None])
@pytest.mark.parametrize("make", [functional, stack, nested])
@pytest.mark.parametrize("first", [lambda: layers.Rescaling(1 / 255), adapted], ids=["Rescaling", "Normalization"])
def test_integers_are_taken_without_a_warning(make, first, dtype, tmp_path):
    model = make(first(), dtype)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(PIXELS, LABELS, batch_size=10, verbose=0)
        found = model.predict(PIXELS)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, model.predict(PIXELS.astype("float32")), rtol=1e-5)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert again.rescales
    np.testing.assert_array_equal(again.predict(PIXELS), found)
    assert clone_model(model).rescales


def test_others_still_warn():
    model = stack(layers.Identity(), None)
    assert not model.rescales
    with pytest.warns(UserWarning, match="Scale them"):
        model.predict(PIXELS)


def test_rescaling_takes_any_numbers():
    for dtype in ("uint8", "int64", "float64"):
        y = layers.Rescaling(1 / 127.5, -1)(np.array([[0, 255]], dtype))
        assert y.dtype == "float32"
        np.testing.assert_allclose(y, [[-1, 1]], atol=1e-6)
    assert layers.Rescaling(0.5)(Input((2,), dtype="uint8")).dtype == "float32"


@pytest.mark.parametrize("axis, others", [(-1, (0, 1, 2)), ((1, 3), (0, 2)), (None, (0, 1, 2, 3))])
@pytest.mark.parametrize("samples", [30, 2500])  # 2500 are read in parts
def test_adapt_takes_numpys_statistics(axis, others, samples):
    x = np.resize(PIXELS, (samples, 6, 6, 3))
    layer = layers.Normalization(axis)
    layer.adapt(x)
    expected = (x - x.mean(others, keepdims=True)) / x.std(others, keepdims=True)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)
    assert [weight.name for weight in layer.weights] == ["mean", "variance", "count"] and not layer.trainable_weights
    undo = layers.Normalization(axis, invert=True)
    undo.adapt(x)
    np.testing.assert_allclose(undo(layer(x)), x, rtol=1e-3, atol=1e-2)


def test_what_never_varies_becomes_zero():
    layer = layers.Normalization()
    layer.adapt(np.full((4, 2), 7.0))
    np.testing.assert_array_equal(layer(np.full((1, 2), 7.0)), [[0, 0]])


def test_adapting_again_is_seen_by_recorded_predictions():
    layer = layers.Normalization()
    model = Sequential([Input((3,)), layer])
    x = np.random.default_rng(0).standard_normal((8, 3))
    for scale in (1, 5):
        layer.adapt(x * scale)
        for _ in range(3):
            np.testing.assert_allclose(model.predict(x * scale).std(0), 1, rtol=1e-5)
