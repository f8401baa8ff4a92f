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


def attentive(k):
    inputs = k.Input((6, 8))
    z = k.layers.MultiHeadAttention(2, 4, output_shape=8, use_gate=True)(inputs, inputs)
    z = k.layers.GroupQueryAttention(4, 4, 2)(z, z)
    z = k.layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(k.layers.Attention()([z, inputs]))
    return k.Model(inputs, k.layers.LayerNormalization()(z))


def shared(k):
    """A model that stands in another one, and is called beside it."""
    inner = k.Sequential([k.Input((8, 8, 4)), k.layers.Conv2D(4, 3, padding="same"), k.layers.BatchNormalization()])
    inputs = k.Input((8, 8, 4))
    outer = k.Model(inputs, k.layers.Conv2D(4, 1)(inner(inputs)))
    inputs = k.Input((8, 8, 4))
    return k.Model(inputs, k.layers.GlobalMaxPooling2D()(inner(outer(inputs))))


def prepared(k):
    return k.Sequential([
        k.Input((8, 8, 3)), k.layers.Rescaling(0.5, offset=0.1), k.layers.Normalization(), k.layers.RandomFlip("horizontal"),
        k.layers.RandomRotation(0.1), k.layers.CenterCrop(6, 6), k.layers.SpectralNormalization(k.layers.Conv2D(3, 2)),
        k.layers.Flatten(), k.layers.Discretization(bin_boundaries=[0.0, 1.0]), k.layers.CategoryEncoding(3, "count"),
    ])  # fmt: skip


def drawn(k):
    """Ops outside of layers."""
    inputs = k.Input((6, 4))
    z = 1 - 2.0 * k.layers.Dense(4)(inputs) / 3 + inputs
    z = k.ops.relu6(z)[:, 1:3] * k.ops.sigmoid(-z[:, 2:4, ...]) + np.array([1, 2, 3, 4], "float32")
    z = k.ops.concatenate([k.ops.mean(z, axis=1, keepdims=True), k.ops.max(z, axis=1, keepdims=True)], axis=-1)
    z = k.ops.expand_dims(k.ops.squeeze(z, 1), -1)
    z = k.ops.reshape(k.ops.transpose(z, (0, 2, 1)), (-1, 8))
    z = k.ops.gelu(k.ops.leaky_relu(k.ops.clip(z, -1, 1) ** 2)) + k.ops.sqrt(k.ops.abs(z))
    return k.Model(inputs, k.ops.softmax(k.ops.maximum(z, 0.1)))


def chosen(k):
    """Comparisons, orders, copies and choices outside of layers."""
    x = inputs = k.Input((6, 4))
    ops = k.ops
    y = ops.where(ops.logical_or(x > 0.5, ops.less_equal(x, -0.5)), x, ops.sin(x)) + ops.floor(3 * x)
    y = ops.sort(y, axis=1) + ops.cast(ops.argsort(y, axis=-1), "float32") + ops.mod(ops.cumsum(x, axis=1), 2.0)
    y = ops.concatenate([ops.tile(y, (1, 1, 2)), ops.repeat(y, 2, axis=-1)], axis=1)
    y = ops.pad(ops.take(y, np.array([0, 2, 3]), axis=1), ((0, 0), (1, 0), (0, 2)), constant_values=0.5)
    y = (
        y * ops.cast(ops.isfinite(y), "float32")
        + ops.rsqrt(ops.square(y) + 1)
        + ops.erf(y)
        + ops.erfinv(ops.tanh(y) / 2)
    )
    best = ops.one_hot(ops.argmax(y, axis=-1), 10) + ops.broadcast_to(ops.round(y[:, :1], 1), (2, 4, 10))
    some = ops.cast(ops.any(y > 1, axis=-1), "float32") + ops.cast(ops.count_nonzero(y, axis=-1), "float32")
    return k.Model(inputs, [ops.stop_gradient(best), some, ops.maximum(ops.arctan2(y, 1.5), 0.1)])


def inputs_of(model):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def same(one, other):
    x = inputs_of(one)
    results = [model.predict(x, verbose=0) for model in (one, other)]
    if not isinstance(results[0], dict):
        results = [dict(enumerate(result if isinstance(result, list) else [result])) for result in results]
    assert results[0].keys() == results[1].keys()
    for key in results[0]:
        np.testing.assert_allclose(results[0][key], results[1][key], atol=1e-5)


@pytest.mark.parametrize("make", [residual, several, upward, recurrent, attentive, shared, prepared, drawn, chosen])
@pytest.mark.parametrize("way", ["theirs to ours", "ours to theirs"])
def test_a_model_moves(tmp_path, make, way):
    source, target = LIBRARIES[::-1] if way.startswith("theirs") else LIBRARIES
    model = make(source)
    if make is prepared:
        model.layers[1].adapt(np.random.default_rng(0).standard_normal((20, 8, 8, 3)))
    else:
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


def optimizers_of(k):
    """Of each kind one, and what changes what is kept."""
    kinds, schedules = k.optimizers, k.optimizers.schedules
    names = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion", "Ftrl", "Muon")
    return {name: getattr(kinds, name)(0.05) for name in names} | {
        "momentum": kinds.SGD(0.05, momentum=0.9, nesterov=True), "amsgrad": kinds.Adam(0.05, amsgrad=True),
        "centered": kinds.RMSprop(0.05, momentum=0.5, centered=True), "clipped": kinds.Adam(0.05, clipnorm=0.1),
        "accumulated": kinds.Adam(0.05, gradient_accumulation_steps=3),
        "cosine": kinds.SGD(schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=2)),
        "piecewise": kinds.SGD(schedules.PiecewiseConstantDecay([2, 4], [0.1, 0.05, 0.01])),
    }  # fmt: skip


@pytest.mark.parametrize("name", optimizers_of(fastconv))
@pytest.mark.parametrize("way", ["theirs to ours", "ours to theirs"])
def test_training_goes_on_in_the_other_library(tmp_path, name, way):
    """The optimizer's state, its schedule, the loss and the metrics are in the file: both go on alike."""
    source, target = LIBRARIES[::-1] if way.startswith("theirs") else LIBRARIES
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.1, 1, (8, 3)).astype("float32"), np.eye(4, dtype="float32")[np.arange(8) % 4]
    model = source.Sequential([source.Input((3,)), source.layers.Dense(5, "tanh"), source.layers.Dense(4)])
    loss = source.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    metrics = ["accuracy", source.metrics.CosineSimilarity(), source.metrics.Accuracy(name="equal")]
    model.compile(optimizers_of(source)[name], loss, metrics=metrics, weighted_metrics=["mse"])
    settings = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(x, y, **settings)
    model.save(tmp_path / "m.keras")
    again = target.models.load_model(tmp_path / "m.keras")
    histories = [each.fit(x, y, **settings).history for each in (model, again)]
    assert histories[0].keys() == histories[1].keys()
    for key in histories[0]:
        np.testing.assert_allclose(histories[0][key], histories[1][key], rtol=1e-3, atol=1e-4)
    for one, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_allclose(one, other, atol=2e-4)


def own_things(k):
    """A layer, a function and a model of one's own, registered with a library."""

    @k.saving.register_keras_serializable("tests")
    def doubled(x):
        return k.ops.tanh(x) * 2

    @k.saving.register_keras_serializable("tests")
    class Scale(k.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            self.gain = self.add_weight(shape=(input_shape[-1],), name="gain")
            self.built = True

        def call(self, x):
            return doubled(x * self.gain * self.factor)

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    @k.saving.register_keras_serializable("tests")
    class Net(k.Model):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self._last = k.layers.Dense(2)
            self.blocks = [k.layers.Dense(units, activation=doubled), {"scale": Scale(3.0)}]

        def build(self, input_shape):
            self.blocks[0].build(input_shape)
            self.blocks[1]["scale"].build((None, self.units))
            self._last.build((None, self.units))
            self.built = True

        def call(self, x):
            return self._last(self.blocks[1]["scale"](self.blocks[0](x)))

        def get_config(self):
            return {"units": self.units}

    return Net


OWN = {k: own_things(k) for k in LIBRARIES}


@pytest.mark.parametrize("way", ["theirs to ours", "ours to theirs"])
def test_a_model_of_ones_own_moves(tmp_path, way):
    source, target = LIBRARIES[::-1] if way.startswith("theirs") else LIBRARIES
    x = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
    model = OWN[source](5)
    model.build((None, 3))
    model.save(tmp_path / "m.keras")
    again = target.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(model.predict(x, verbose=0), again.predict(x, verbose=0), atol=1e-5)
