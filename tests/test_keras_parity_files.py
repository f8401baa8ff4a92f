"""Models and weights that go from Keras to fastconv and back by file, where both are installed: equal outputs."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
pytest.importorskip("h5py")

import fastconv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
LIBRARIES = (fastconv, keras)


def residual(k):
    inputs = k.Input((12, 12, 3))
    z = k.layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(inputs)
    z = k.layers.BatchNormalization(momentum=0.9)(z)
    z = k.layers.Add()([k.layers.DepthwiseConv2D(3, padding="same")(z), z])
    z = k.layers.Concatenate()([k.layers.MaxPooling2D(2)(z), k.layers.AveragePooling2D(2)(z)])
    inner = k.Sequential([k.Input((6, 6, 8)), k.layers.Conv2D(3, 3), k.layers.Flatten(), k.layers.Dense(5)])
    return k.Model(inputs, k.layers.Softmax()(inner(z)))


def several(k):
    a, b = k.Input((12, 12, 3), name="a"), k.Input((4,), name="b")
    twin = k.layers.Conv2D(2, 3, strides=2, name="twin")
    z = k.layers.Subtract()([twin(a), k.layers.LeakyReLU(negative_slope=0.2)(twin(a))])
    z = k.layers.GroupNormalization(2)(z)
    z = k.layers.Flatten()(z)
    return k.Model([a, b], {"one": k.layers.Dense(2)(z), "two": k.layers.Concatenate()([z, b])})


def upward(k):
    return k.Sequential([
        k.Input((12, 12, 3)), k.layers.Conv2DTranspose(3, 3, strides=2, padding="same"), k.layers.PReLU(shared_axes=[1, 2]),
        k.layers.SeparableConv2D(4, 3), k.layers.LayerNormalization(), k.layers.GlobalMaxPooling2D(), k.layers.Dropout(0.5),
    ])  # fmt: skip


def recurrent(k):
    inputs = k.Input((12, 4))
    z = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))(inputs)
    z = k.layers.TimeDistributed(k.layers.Dense(4))(z)
    z = k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(4)], return_sequences=True)(z)
    return k.Model(inputs, k.layers.GRU(4)(k.layers.Conv1D(3, 3, padding="causal")(z)))


def inputs_of(model):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def same(one, other):
    x = inputs_of(one)
    results = [model.predict(x, verbose=0) for model in (one, other)]
    if not isinstance(results[0], dict):
        results = [{"only": result} for result in results]
    assert results[0].keys() == results[1].keys()
    for key in results[0]:
        np.testing.assert_allclose(results[0][key], results[1][key], atol=1e-5)


@pytest.mark.parametrize("make", [residual, several, upward, recurrent])
@pytest.mark.parametrize("way", ["theirs to ours", "ours to theirs"])
def test_a_model_moves(tmp_path, make, way):
    source, target = LIBRARIES[::-1] if way.startswith("theirs") else LIBRARIES
    model = make(source)
    model.set_weights(
        [np.random.default_rng(i).uniform(0.1, 1, np.shape(w)) for i, w in enumerate(model.get_weights())]
    )
    model.compile(source.optimizers.Adam(1e-2), "mse")
    model.save(tmp_path / "m.keras")
    again = target.models.load_model(tmp_path / "m.keras")
    same(model, again)
    assert float(np.asarray(again.optimizer.learning_rate)) == pytest.approx(1e-2)
    model.save_weights(tmp_path / "m.weights.h5")
    fresh = make(target)
    fresh.load_weights(tmp_path / "m.weights.h5")
    same(model, fresh)
