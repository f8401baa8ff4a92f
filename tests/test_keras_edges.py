"""What Keras does at the edges of its interface, as constants: masks, names in logs, own layers and models, configs.

Not here: values of ops and layers (test_keras_parity*.py compare those where Keras is installed).
"""

import numpy as np
import pytest
from helpers import normal

import fastconv
from fastconv import Input, Tensor, layers, losses, metrics, models, ops, testing

X, Y = normal((8, 4), "float32"), normal((8, 3), "float32", 1)
STEPS = np.array([[[1, 5], [2, 5], [0, 0], [0, 0]]] * 10, "float32")


# Masks


def test_batch_normalization_counts_what_the_mask_shows():
    inputs = layers.Input((None, 2))
    layer = layers.BatchNormalization(momentum=0.0)
    model = fastconv.Model(inputs, layer(layers.Masking()(inputs)))
    model.compile("sgd", "mse")
    model.fit(STEPS, STEPS, batch_size=10, verbose=0)
    np.testing.assert_allclose(layer.moving_mean, [1.5, 5.0], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, [0.25, 0.0], atol=1e-5)


def test_batch_normalization_of_nothing_but_hidden_steps():
    layer = layers.BatchNormalization(scale=False, center=False)
    y = layer(np.zeros((4, 5), "float32"), mask=np.zeros(4, bool), training=True)
    np.testing.assert_array_equal(y, np.zeros((4, 5)))


ONE, OTHER = [[[0, 0], [1, 2], [0, 0], [3, 4]]], [[[0, 0], [0, 0], [1, 2], [3, 4]]]


@pytest.mark.parametrize("name, hidden, one_mask, both_masks", [
    ("Multiply", 0, [[[0, 0], [0, 0], [1, 2], [9, 16]]], [[[0, 0], [1, 2], [1, 2], [9, 16]]]),
    ("Maximum", 0, [[[0, 0], [1, 2], [1, 2], [3, 4]]], [[[0, 0], [1, 2], [1, 2], [3, 4]]]),
    ("Minimum", 0, [[[0, 0], [0, 0], [1, 2], [3, 4]]], [[[0, 0], [1, 2], [1, 2], [3, 4]]]),
])  # fmt: skip
def test_merges_leave_out_what_masks_hide(name, hidden, one_mask, both_masks):
    one, other = (layers.Masking(hidden)(np.array(x, "float32")) for x in (ONE, OTHER))
    plain = getattr(layers, name)()([one, np.array(OTHER, "float32")])
    np.testing.assert_array_equal(plain, one_mask)
    assert getattr(plain, "_keras_mask", None) is None
    both = getattr(layers, name)()([one, other])
    np.testing.assert_array_equal(both, both_masks)
    np.testing.assert_array_equal(both._keras_mask, [[False, True, True, True]])


def test_a_mask_of_merged_tensors_is_a_list():
    with pytest.raises(ValueError, match="mask must be a list"):
        layers.Add().compute_mask([X, X], X[..., 0] > 0)


# Layers


class Doubled(layers.Dropout):
    """One of the user's on a layer of fastconv's."""


class Built(layers.Dropout):
    def build(self, input_shape):
        pass


class Bare(layers.Layer):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("make, built", [
    (lambda: layers.MaxPooling2D(), True), (lambda: layers.Flatten(), True), (lambda: Doubled(0.5), True),
    (lambda: layers.Dense(2), False), (lambda: Built(0.5), False), (Bare, False), (layers.Add, False),
])  # fmt: skip
def test_layers_without_weights_are_built_when_made(make, built):
    assert make().built is built


@pytest.mark.parametrize("make, shape", [
    (lambda: layers.Dense(3, activation="relu"), (2, 4)), (lambda: layers.Conv1D(3, 2, activation="relu"), (2, 4, 2)),
    (lambda: layers.SeparableConv1D(3, 2, activation="relu"), (2, 4, 2)),
    (lambda: layers.DepthwiseConv1D(2, activation="relu"), (2, 4, 2)),
    (lambda: layers.Conv1DTranspose(3, 2, activation="relu"), (2, 4, 2)),
])  # fmt: skip
def test_an_activation_can_be_taken_away(make, shape):
    fastconv.utils.set_random_seed(0)
    layer, x = make(), normal((20, *shape[1:]), "float32")
    y = layer(x).numpy()
    layer.activation = None
    assert (layer(x).numpy() < 0).any()
    np.testing.assert_array_equal(np.maximum(layer(x), 0), y)


@pytest.mark.filterwarnings("ignore:data_format")
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_upsampling_under_a_common_layout(interpolation, monkeypatch):
    x = normal((2, 4, 5, 3), "float32")
    expected = ops.image.resize(x, (8, 15), interpolation, data_format="channels_last").numpy()
    monkeypatch.setattr("fastconv.config.image_data_format", lambda: "channels_first")
    y = layers.UpSampling2D((2, 3), interpolation=interpolation)(np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(y, np.moveaxis(expected, -1, 1), atol=1e-6)


@pytest.mark.parametrize(
    "n, kind", [([3], TypeError), (3.5, TypeError), ("3", TypeError), (0, ValueError), (True, TypeError)]
)
def test_numbers_of_cells_are_whole(n, kind):
    with pytest.raises(kind, match="RepeatVector: n must be a positive integer"):
        layers.RepeatVector(n)


@pytest.mark.parametrize("make, given, expected", [
    (lambda: layers.STFTSpectrogram(frame_length=4, frame_step=2), (2, None, 3), (2, None, 9)),
    (lambda: layers.STFTSpectrogram(frame_length=4, padding="same", expand_dims=True), (None, 11, 3), (None, 6, 3, 3)),
    (lambda: layers.STFTSpectrogram("stft", 4, data_format="channels_first"), (None, 2, None), (None, 12, None)),
    (lambda: layers.MelSpectrogram(8, 4, num_mel_bins=5), (None, None), (None, 5, None)),
    (lambda: layers.MelSpectrogram(8, 4, num_mel_bins=5), (2, 20), (2, 5, 6)),
])  # fmt: skip
def test_spectrograms_of_open_lengths(make, given, expected):
    assert make()(layers.Input(batch_shape=given)).shape == make().compute_output_shape(given) == expected
    whole = tuple(20 if size is None else size for size in given)
    real = make()(normal(whole, "float32")).shape
    assert all(size in (None, known) for size, known in zip(expected, real)) and len(real) == len(expected)


def test_older_arguments_of_recurrent_layers():
    assert (
        "implementation"
        not in layers.LSTM.from_config(layers.LSTM(2).get_config() | {"implementation": 1}).get_config()
    )


# Normalization


def batches(kind):
    rows = np.split(normal((24, 3, 2), "float32") * 3 + 1, [5, 16])
    made = {"array": lambda: np.concatenate(rows), "list": lambda: rows, "generator": lambda: iter(rows),
            "pairs": lambda: [(part, part[:, 0]) for part in rows], "rows": lambda: np.concatenate(rows).tolist()}  # fmt: skip
    return made[kind](), np.concatenate(rows)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None])
@pytest.mark.parametrize("kind", ["array", "list", "generator", "pairs", "rows"])
def test_normalization_adapts_to(kind, axis):
    data, x = batches(kind)
    layer = layers.Normalization(axis=axis)
    layer.adapt(data)
    others = tuple(a for a in range(3) if axis is None or a not in {a % 3 for a in np.atleast_1d(axis)})
    np.testing.assert_allclose(layer.mean, x.mean(others, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(layer.variance, x.var(others, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(layer(x), (x - x.mean(others, keepdims=True)) / x.std(others, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("axis, mean, shape, kept", [
    (2, np.arange(5.0), (2, 4, 5, 3), (1, 1, 5, 1)), ((1, 2), np.zeros((4, 5)), (None, 4, 5, 3), (1, 4, 5, 1)),
    ((1, 2), np.arange(5.0), (2, 4, 5, 3), (1, 4, 5, 1)), (-1, 5.0, (3, 7), (1, 7)), (None, 5.0, (3, 7), (1, 1)),
])  # fmt: skip
def test_normalization_with_given_statistics(axis, mean, shape, kept):
    layer = layers.Normalization(axis, mean, np.ones_like(mean))
    assert layer.mean is None
    layer.build(shape)
    assert layer.mean.shape == kept
    x = normal((2, *shape[1:]), "float32")
    np.testing.assert_allclose(layer(x), x - layer.mean.numpy(), rtol=1e-6)
    twin = layers.Normalization.from_config(layer.get_config())
    np.testing.assert_array_equal(twin(x), layer(x))


# Own layers and models


class Units(layers.Layer):
    """Keeps its arguments under other names, and has no get_config."""

    def __init__(self, units, scale=2.0, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units, kernel_initializer="ones")
        self.factor = scale

    def call(self, inputs):
        return self.dense(inputs) * self.factor


class Around(layers.Layer):
    """Its get_config gives a layer and an initializer as they are."""

    def __init__(self, inner, start, **kwargs):
        super().__init__(**kwargs)
        self.inner = fastconv.saving.deserialize_keras_object(inner) if isinstance(inner, dict) else inner
        self.start = fastconv.initializers.get(start)

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "inner": self.inner, "start": self.start}


OWN = {"Units": Units, "Around": Around}
each_own_layer = pytest.mark.parametrize("make", [
    lambda: Units(3, 4.0), lambda: Units(3), lambda: Units(units=2, name="u"),
    lambda: Around(layers.Dense(2), fastconv.initializers.Constant(3.0)),
])  # fmt: skip


@each_own_layer
def test_configs_of_own_layers(make):
    model = fastconv.Sequential([layers.Input((4,)), make()])
    twin = models.model_from_json(model.to_json(), OWN)
    assert twin.to_json() == model.to_json()
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


@each_own_layer
def test_files_of_own_layers(make, tmp_path):
    pytest.importorskip("h5py")
    model = fastconv.Sequential([layers.Input((4,)), make()])
    model.save(tmp_path / "own.keras")
    np.testing.assert_array_equal(models.load_model(tmp_path / "own.keras", OWN).predict(X), model.predict(X))


class Table(layers.Layer):
    def build(self, input_shape):
        self.table = self.add_weight((10, 3), "ones", name="table")

    def call(self, inputs):
        return ops.take(self.table, inputs, axis=0)


@pytest.mark.parametrize("take", [
    lambda x: Table()(x), layers.Lambda(lambda x: ops.one_hot(x, 10)), lambda x: ops.one_hot(x // 2, 10),
    lambda x: layers.Embedding(10, 3)(x),
])  # fmt: skip
def test_integers_reach_own_layers_and_ops_as_such(take):
    inputs = layers.Input((4,), dtype="int32")
    model = fastconv.Model(inputs, layers.Dense(1)(layers.Flatten()(take(inputs))))
    x = np.arange(8).reshape(2, 4)
    model.compile("sgd", "mse")
    model.fit(x, np.ones((2, 1)), verbose=0)
    np.testing.assert_allclose(model.predict(x), model(x), rtol=1e-6)
    assert Table()(x).shape == (2, 4, 3) and Table()(x[0, 0]).shape == (3,)


class Counted(layers.Layer):
    def build(self, input_shape):
        self.calls = self.add_weight(dtype="int32", trainable=False, name="calls")
        self.flag = self.add_weight((2,), "ones", "bool", False)

    def call(self, inputs):
        self.calls.assign_add(1)
        return inputs


def test_weights_of_integers():
    layer = Counted()
    layer(X), layer(X)
    assert [weight.dtype for weight in layer.weights] == ["int32", "bool"] and not layer.trainable_weights
    assert int(layer.calls) == 2 and layer.flag.numpy().all()
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64'"):
        layer.add_weight((), dtype="int32")


class Says(layers.Layer):
    def call(self, inputs, training=False):
        assert training
        return inputs

    def compute_output_spec(self, inputs, training=False):
        return fastconv.KerasTensor((*inputs.shape, 7), inputs.dtype)


def test_an_own_compute_output_spec_is_asked():
    inputs = layers.Input((3,))
    outputs = Says()(inputs)
    assert outputs.shape == (None, 3, 7)
    fastconv.Model(inputs, outputs)(X[:, :3], training=True)


class OfOpenSizes(layers.Layer):
    """Computes with the size of an axis of its input, which is open while a model is drawn; keeps masks."""

    supports_masking = True

    def __init__(self, compute, **kwargs):
        super().__init__(**kwargs)
        self.compute = compute

    def build(self, input_shape):
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="ones")

    def call(self, inputs):
        return self.compute(self.token, inputs)


@pytest.mark.parametrize("compute, shape", [
    (lambda token, x: ops.concatenate([ops.broadcast_to(token, (ops.shape(x)[0], 1, 3)), x], 1), (None, 5, 3)),
    (lambda token, x: ops.concatenate([ops.tile(token, (x.shape[0], 1, 1)), x], 1), (None, 5, 3)),
    (lambda token, x: x * ops.ones((ops.shape(x)[0], 4, 1)) * token, (None, 4, 3)),
    (lambda token, x: x + ops.reshape(ops.cast(ops.arange(x.shape[0]), "float32"), (-1, 1, 1)) * token, (None, 4, 3)),
    (lambda token, x: ops.reshape(x + token, (ops.shape(x)[0] * 4, 3)), (None, 3)),
    (lambda token, x: ops.reshape(x + token, (x.shape[0], ops.shape(x)[1], 1, -1)), (None, 4, 1, 3)),
    (lambda token, x: (x * token)[: len(x) // 2], (None, 4, 3)),
    (lambda token, x: with_another_inside(x) * token, (None, 4, 3)),
])  # fmt: skip
def test_own_layers_may_compute_with_the_number_of_samples(compute, shape):
    inputs = layers.Input((4, 3))
    outputs = OfOpenSizes(compute)(layers.Masking()(inputs))
    assert outputs.shape == shape and len(outputs._keras_mask.shape) == 2
    model = fastconv.Model(inputs, layers.Dense(1)(outputs))
    for count in (2, 6):
        assert model(np.ones((count, 4, 3), "float32")).shape == model.predict(np.ones((count, 4, 3))).shape


def with_another_inside(x):
    """Another layer of that kind, within the call of one."""
    return OfOpenSizes(lambda token, y: y + ops.zeros((y.shape[0], 1, 1)))(x)


def test_own_layers_may_compute_with_every_size():
    def doubled(token, x):
        count, height, width, _ = ops.shape(x)
        return ops.reshape(x * ops.ones((1, 1, 1, 4)), (count, height * 2, width * 2, 1)) * ops.sum(token)

    inputs = layers.Input((None, None, 1))
    model = fastconv.Model(inputs, OfOpenSizes(doubled)(inputs))
    assert model.output_shape == (None, None, None, 1)
    assert model.predict(np.ones((2, 3, 5, 1))).shape == (2, 6, 10, 1)


def test_faults_of_an_own_call_are_raised_as_they_are():
    with pytest.raises(TypeError, match="works on float32"):
        OfOpenSizes(lambda token, x: x + ops.ones((x.shape[0], 4, 1)) * "2")(layers.Input((4, 3)))
    with pytest.raises(ValueError, match="number of axes depends"):
        OfOpenSizes(lambda token, x: x if x.shape[0] > 30 else x[0])(layers.Input((4, 3)))
    with pytest.raises(TypeError, match="start must be a number"):
        ops.arange(None)


class Scaled(fastconv.Model):
    """A model of the functional kind with an argument of its own."""

    def __init__(self, *args, scale=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale

    def get_config(self):
        return super().get_config() | {"scale": self.scale}


def test_own_arguments_of_a_functional_model():
    inputs = layers.Input((4,))
    assert Scaled.from_config(Scaled(inputs, layers.Dense(2)(inputs), scale=3).get_config()).scale == 3


class Written(fastconv.Model):
    def __init__(self, units=3):
        super().__init__()
        self.dense, self.seen = layers.Dense(units), metrics.Mean(name="seen")

    def call(self, inputs):
        return self.dense(inputs)


class Drawn(fastconv.Model):
    """Of the functional kind, with a layer and a weight beside its graph, which its own call uses."""

    def __init__(self):
        inputs = layers.Input((4,))
        first = layers.Dense(3)
        super().__init__(inputs, layers.Dense(2)(first(inputs)))
        self.after, self.again = layers.Dense(3), first
        self.scale = self.add_weight((3,), "ones", name="scale")

    def call(self, inputs):
        return self.after(super().call(inputs)) * self.scale


class Stacked(fastconv.Sequential):
    """The same, as a Sequential."""

    def __init__(self):
        super().__init__([layers.Input((4,)), layers.Dense(3), layers.Dense(2)])
        self.after = layers.Dense(3)
        self.scale = self.add_weight((3,), "ones", name="scale")

    def call(self, inputs):
        return self.after(super().call(inputs)) * self.scale


@pytest.mark.parametrize("file", ["m.safetensors", "m.weights.h5"])
@pytest.mark.parametrize("make", [Drawn, Stacked])
def test_layers_and_weights_beside_a_graph_are_trained_and_kept(make, file, tmp_path):
    pytest.importorskip("h5py")
    x, y = normal((8, 4), "float32", 0), normal((8, 3), "float32", 1)
    model, twin = make(), make()
    model(x), twin(x)
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    assert len(before) == len(model.trainable_weights) == 7 and len(model.layers) == 3 - isinstance(model, Stacked)
    assert not any(map(np.array_equal, before, model.get_weights()))
    model.save_weights(tmp_path / file)
    twin.load_weights(tmp_path / file)
    assert all(map(np.array_equal, model.get_weights(), twin.get_weights()))


def test_clones_are_compiled_alike():
    model = fastconv.Sequential([layers.Input((4,)), layers.Dense(3)])
    assert not model.compiled and not models.clone_model(model).compiled
    model.compile(fastconv.optimizers.SGD(0.3), "mse", metrics=["mae"])
    twin = models.clone_model(model)
    assert twin.compiled and float(twin.optimizer.learning_rate) == pytest.approx(0.3)
    assert models.clone_model(Written(2))(X).shape == (8, 2)


@pytest.mark.parametrize("declared, given", [((28, 28, 1), (2, 28, 28)), ((4,), (2, 4, 1)), ((3, 1), (2, 3))])
def test_a_last_axis_of_1_may_be_left_out(declared, given):
    inputs, x = layers.Input(declared), normal(given, "float32")
    flat = layers.Dense(2)(layers.Flatten()(inputs))
    model = fastconv.Model(inputs, flat)
    whole = model(x.reshape(2, *declared)).numpy()
    stacked = fastconv.Sequential([inputs, *model.layers[1:]])
    for found in (model(x), model.predict(x), stacked(x), stacked.predict(x)):
        np.testing.assert_allclose(found, whole, rtol=1e-6)


# Training


class Stepping(Written):
    def train_step(self, data):
        logs = super().train_step(data)
        return logs | {"twice": 2 * logs["loss"]}

    def test_step(self, data):
        logs = super().test_step(data)
        return logs | {"twice": 2 * logs["loss"]}


def test_own_steps_call_those_of_model():
    fastconv.utils.set_random_seed(0)
    plain, own = Written(), Stepping()
    plain.build((None, 4)), own.build((None, 4))
    own.set_weights(plain.get_weights())
    for model in (plain, own):
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, Y, batch_size=3, epochs=2, verbose=0, shuffle=False, validation_data=(X, Y))
    theirs, ours = plain.history.history, own.history.history
    assert {*ours} - {*theirs} == {"twice", "val_twice"}
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)
    np.testing.assert_allclose(ours["val_twice"], 2 * np.array(ours["val_loss"]))
    assert own.test_on_batch(X, Y, return_dict=True)["twice"] == pytest.approx(2 * own.evaluate(X, Y, verbose=0)[0])
    assert {*own.train_on_batch(X, Y, return_dict=True)} == {"loss", "mae", "seen", "twice"}


class Counting(Written):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.modes = [*getattr(self, "modes", ()), training]
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        self.seen.update_state(loss * 4)
        return loss


def test_metrics_of_the_models_own_are_reported():
    model = Counting()
    model.compile("sgd", "mse")
    history = model.fit(X, Y, batch_size=8, verbose=0, epochs=2).history
    np.testing.assert_allclose(history["seen"], 4 * np.array(history["loss"]), rtol=1e-6)
    model.evaluate(X, Y, verbose=0)
    assert all(model.modes[:-1]) and model.modes[-1] is False


class Two(fastconv.Model):
    def __init__(self, form):
        super().__init__()
        self.form, self.one, self.other = form, layers.Dense(1), layers.Dense(2)

    def call(self, inputs):
        return self.form(a=self.one(inputs), b=self.other(inputs))


@pytest.mark.parametrize("form, loss, targets, names", [
    (dict, {"a": "mse", "b": "mae"}, {"a": Y[:, :1], "b": Y[:, 1:]}, ["loss", "a_loss", "b_loss"]),
    (lambda a, b: [a, b], ["mse", "mae"], [Y[:, :1], Y[:, 1:]], ["loss", "output_1_loss", "output_2_loss"]),
    (dict, {"b": ["mse"]}, {"a": Y[:, :1], "b": Y[:, 1:]}, ["loss"]),
])  # fmt: skip
def test_several_outputs_of_an_own_call(form, loss, targets, names):
    model = Two(form)
    model.compile("sgd", loss)
    history = model.fit(X, targets, verbose=0).history
    assert list(history) == names
    assert all(np.isfinite(value).all() for value in history.values())


@pytest.mark.parametrize("loss, plain, weighted, names", [
    ("mse", ["mae"], ["mae"], ["loss", "mae", "weighted_mae"]),
    (["mse"], ["mae"], ["mae"], ["loss", "mae", "weighted_mae"]),
    ({"out": ["mse"]}, {"out": ["mae", "mse"]}, {"out": "mae"}, ["loss", "mae", "mse", "weighted_mae"]),
    ("mse", [["mae", "mse"]], None, ["loss", "mae", "mse"]), ("mse", None, ["mae"], ["loss", "mae"]),
])  # fmt: skip
def test_names_of_metrics(loss, plain, weighted, names):
    model = fastconv.Sequential([layers.Input((4,)), layers.Dense(3, name="out")])
    model.compile("sgd", loss, metrics=plain, weighted_metrics=weighted)
    assert list(model.fit(X, Y, verbose=0).history) == names


def three_outputs(as_dict):
    """Outputs 1, 2 and 3 for ones, which are named p, d and a, from layers of the shapes (4, 1), (4, 2) and (4, 3)."""
    inputs = layers.Input((4,))
    start = fastconv.initializers.Constant
    ends = {n: layers.Dense(k, kernel_initializer=start(k / 4), name=n)(inputs) for k, n in enumerate("pda", 1)}
    return fastconv.Model(inputs, ends if as_dict else list(ends.values()))


@pytest.mark.parametrize("as_dict, loss, metrics, expected", [
    (True, dict.fromkeys("pda", "mse"), {"p": ["mae"], "a": ["mae"], "d": ["mae", "msle"]}, [14, 1, 4, 9, 3, 2, 1.207, 1]),
    (True, dict.fromkeys("dap", "mse"), {"d": ["mae"], "a": ["mae"]}, [14, 4, 9, 1, 3, 2]),
    (True, dict.fromkeys("dp", "mse"), {"d": ["mae"], "a": ["mae"]}, [5, 4, 1, 3, 2]), (True, "mse", None, [14, 9, 4, 1]),
    (False, ["mse"] * 3, [["mse", "mae"], [], ["msle"]], [14, 1, 4, 9, 1.922, 1, 1]),
])  # fmt: skip
def test_results_of_several_outputs_are_listed_in_keras_order(as_dict, loss, metrics, expected):
    model = three_outputs(as_dict)
    model.compile("sgd", loss, metrics=metrics)
    targets = [np.zeros((2, k), "float32") for k in (1, 2, 3)]
    targets = dict(zip("pda", targets)) if as_dict else targets
    assert model.evaluate(np.ones((2, 4)), targets, verbose=0) == pytest.approx(expected, abs=1e-3)


def test_weights_of_a_dict_of_outputs_follow_its_sorted_keys():
    assert [weight.shape for weight in three_outputs(as_dict=True).weights[::2]] == [(4, 3), (4, 2), (4, 1)]
    assert [weight.shape for weight in three_outputs(as_dict=False).weights[::2]] == [(4, 1), (4, 2), (4, 3)]


def test_an_output_takes_one_loss():
    model = fastconv.Sequential([layers.Input((4,)), layers.Dense(3, name="out")])
    model.compile("sgd", {"out": ["mse", "mae"]})
    with pytest.raises(ValueError, match="output 'out' takes one loss"):
        model.fit(X, Y, verbose=0)


def test_switches_of_a_compiled_model():
    model = Written()
    model.compile("sgd", "mse")
    model.run_eagerly, model.jit_compile = True, False
    assert model.run_eagerly and not model.jit_compile
    assert model.optimizer.learning_rate.value == np.float32(0.01)


# Losses, metrics, optimizers, callbacks


def test_losses_by_name():
    assert losses.get("mse") is losses.get("mean_squared_error") is losses.mean_squared_error
    assert losses.get("mse")(Y, Y + 1).shape == (8,)
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert losses.get(None) is metrics.get(None) is fastconv.optimizers.get(None) is None
    assert losses.get(losses.huber) is losses.huber and losses.deserialize("kld") is losses.kl_divergence


@pytest.mark.parametrize("metric, names", [
    (metrics.TruePositives(), ["true_positives"]), (metrics.FalseNegatives(), ["false_negatives"]),
    (metrics.Precision(), ["true_positives", "false_positives"]),
    (metrics.Recall(), ["true_positives", "false_negatives"]),
    (metrics.AUC(), ["true_positives", "false_positives", "true_negatives", "false_negatives"]),
])  # fmt: skip
def test_variables_of_counting_metrics(metric, names):
    metric.update_state([0, 1, 1], [0.2, 0.7, 0.1])
    assert [variable.name for variable in metric.variables] == names
    metric.reset_state()
    assert not any(np.any(variable) for variable in metric.variables)


def test_thresholds_of_auc():
    metric = metrics.AUC(thresholds=[0.5, 0.3])
    assert metric.thresholds == [0.0, 0.3, 0.5, 1.0]
    assert metrics.AUC.from_config(metric.get_config()).thresholds == metric.thresholds
    assert metrics.AUC(num_thresholds=3).thresholds == [0.0, 0.5, 1.0]


def test_an_ignored_class_has_no_weight():
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=0)
    metric.update_state([0, 1, 2], [[0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.1, 0.8, 0.1]], [0.5, 1.5, 2.0])
    assert metric.result() == pytest.approx((1.5 * -np.log(0.95) + 2 * -np.log(0.1)) / 3.5, rel=1e-4)


def test_gradients_of_another_dtype_move_weights():
    weight = fastconv.Variable(np.ones(3, "float32"))
    fastconv.optimizers.SGD(0.5).apply([np.ones(3, "float64")], [weight])
    np.testing.assert_array_equal(weight, np.full(3, 0.5, "float32"))
    assert weight.dtype == "float32"


def test_the_best_of_a_monitor_can_be_set():
    stopper = fastconv.callbacks.EarlyStopping("loss")
    assert stopper.best is None
    stopper.best = 0.1
    assert stopper.best == pytest.approx(0.1)


# The rest


def test_constant_arrays():
    values = np.arange(6, dtype="float32").reshape(2, 3)
    made = fastconv.initializers.Constant(values)
    for one in (made, fastconv.initializers.get(fastconv.initializers.serialize(made))):
        np.testing.assert_array_equal(one((4, 2, 3)), np.broadcast_to(values, (4, 2, 3)))
    with pytest.raises(ValueError, match=r"Constant: the values of shape \(2, 3\)"):
        made((3, 2))


def test_seed_generators_by_config():
    one = fastconv.random.SeedGenerator(7)
    twin = fastconv.random.SeedGenerator.from_config(one.get_config())
    first, second = one.next(), one.next()
    assert first.shape == (2,) and first.dtype == "uint32" and not np.array_equal(first, second)
    np.testing.assert_array_equal([twin.next(), twin.next()], [first, second])


def test_dropping_everything():
    x = Tensor(np.ones((2, 3), "float32"), requires_grad=True)
    ops.sum(ops.dropout(x, 1.0)).backward()
    np.testing.assert_array_equal(fastconv.random.dropout(np.ones((2, 3), "float32"), 1.0), np.zeros((2, 3)))
    np.testing.assert_array_equal(x.grad, np.zeros((2, 3)))


OPEN = fastconv.KerasTensor((None, 3))  # float32, as all that nobody gave a dtype


@pytest.mark.parametrize("call, shape", [
    (lambda: ops.one_hot(OPEN, 5), (None, 3, 5)), (lambda: ops.multi_hot(OPEN, 5), (None, 5)),
    (lambda: ops.take(np.ones((4, 2), "float32"), OPEN, axis=0), (None, 3, 2)),
    (lambda: ops.in_top_k(fastconv.KerasTensor((None,)), OPEN, 2), (None,)),
])  # fmt: skip
def test_shapes_of_open_indices(call, shape):
    assert call().shape == shape


def open_tensor(*shape):
    return fastconv.KerasTensor(shape)


SIZES = [  # a function of tensors, their open shapes, the results' open shapes, sizes for what is open
    (ops.tril, [(None, 3, None)], [(None, 3, None)], 4), (lambda x: ops.triu(x, 1), [(None, None)], [(None, None)], 5),
    (ops.diag, [(None,)], [(None, None)], 3), (ops.diag, [(None, 3)], [(None,)], 2),
    (lambda x: ops.diagonal(x, axis1=1, axis2=2), [(None, 3, None)], [(None, None)], 2),
    (lambda x: ops.trace(x, axis1=0, axis2=2), [(None, 3, None)], [(3,)], 4),
    (lambda x: ops.split(x, 2), [(None, 3)], [(None, 3)] * 2, 6),
    (lambda x: ops.split(x, [1, 2], axis=1), [(None, 3)], [(None, 1)] * 3, 6),
    (lambda x: ops.array_split(x, 3, 1), [(2, None)], [(2, None)] * 3, 7),
    (lambda x: ops.roll(x, 2), [(None, 3)], [(None, 3)], 4), (ops.diagflat, [(None, 2)], [(None, None)], 2),
    (ops.kron, [(None, 2), (3, 2)], [(None, 4)], 2), (ops.dot, [(None, 2, 3), (None, 3, 2)], [(None, 2, None, 2)], 4),
    (ops.vander, [(None,)], [(None, None)], 3), (lambda x: ops.einsum("ii", x), [(None, 3)], [()], 3),
    (lambda x, y: ops.concatenate([x, y], None), [(None, 2), (3, None)], [(None,)], 4),
]  # fmt: skip


@pytest.mark.parametrize("function, shapes, results, size", SIZES)
def test_open_sizes(function, shapes, results, size):
    """The shapes, and a model drawn on them: its values and gradients are those of the function itself."""
    found = function(*[open_tensor(*shape) for shape in shapes])
    found = found if isinstance(found, list) else [found]
    assert [tensor.shape for tensor in found] == results
    inputs = [layers.Input(batch_shape=shape) for shape in shapes]
    outputs = function(*inputs)
    model = models.model_from_json(fastconv.Model(inputs, outputs).to_json())
    values = [normal([size if n is None else n for n in shape], "float32", k) for k, shape in enumerate(shapes)]
    given, plain = ([Tensor(x, requires_grad=True) for x in values] for _ in range(2))
    drawn, direct = fastconv.tree.flatten(model(given)), fastconv.tree.flatten(function(*plain))
    for one, other in zip(drawn, direct, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    for tensors in (drawn, direct):
        sum(ops.sum(tensor * (k + 1)) for k, tensor in enumerate(tensors)).backward()
    for one, other in zip(given, plain):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-6)


@pytest.mark.parametrize("function, given, result", [
    (ops.cumsum, "int8", "int8"), (ops.cumprod, "uint16", "uint16"), (ops.cumsum, "bool", "int32"),
    (ops.diag, "bool", "bool"), (ops.diagflat, "bool", "bool"), (ops.tril, "bool", "bool"), (ops.sum, "int8", "int32"),
])  # fmt: skip
def test_dtypes_of_narrow_integers(function, given, result):
    assert function(np.ones((2, 2), given)).dtype == function(fastconv.KerasTensor((2, 2), given)).dtype == result


# Ops: rank 0, dtypes, axes, open sizes and limits

BITS, BYTES = np.array([True, False]), np.array([1, 2], "uint8")


@pytest.mark.parametrize("made, shape, dtype", [
    (lambda: ops.flip(3), (), "int32"), (lambda: ops.transpose(3), (), "int32"),
    (lambda: ops.erfinv(0.5), (), "float32"), (lambda: ops.outer(BYTES, 2), (2, 1), "uint8"),
    (lambda: ops.append(BYTES, 2), (3,), "uint8"), (lambda: ops.mod(BITS, True), (2,), "int32"),
    (lambda: ops.floor_divide(BITS, BITS | True), (2,), "int32"), (lambda: ops.power(BITS, BITS), (2,), "int32"),
    (lambda: ops.left_shift(BITS, BITS), (2,), "int32"), (lambda: ops.fmax(BITS, BITS), (2,), "bool"),
    (lambda: ops.median(np.zeros((0, 3), "float32"), axis=-1), (0,), "float32"),
    (lambda: ops.linspace(Input((3,)), Input((3,)), 5, axis=1), (None, 5, 3), "float32"),
    (lambda: ops.geomspace(Input((3,)), 2.0, 5), (5, None, 3), "float32"),
])  # fmt: skip
def test_shapes_and_dtypes_at_the_edges_of_ops(made, shape, dtype):
    result = made()
    assert (result.shape, result.dtype) == (shape, dtype)


def test_softmax_over_all_axes():
    x = np.exp(X) / np.exp(X).sum()
    np.testing.assert_allclose(ops.softmax(X, axis=None), x, rtol=1e-5)
    np.testing.assert_allclose(ops.log_softmax(X, axis=None), np.log(x), rtol=1e-5)


@pytest.mark.parametrize("low, high", [(None, 0.2), (-0.1, None), (None, None)])
def test_clip_with_one_limit(low, high):
    np.testing.assert_array_equal(ops.clip(X, low, high), X if low is high else np.clip(X, low, high))


def test_an_axis_of_open_size_is_not_squeezed():
    assert ops.squeeze(Input((1, 3))).shape == (None, 3)
    with pytest.raises(ValueError, match="open size"):
        ops.squeeze(Input((1, 3)), axis=0)


def test_cholesky_inverse_reads_one_triangle():
    matrix = np.tril(normal((3, 3), "float32")) + 3 * np.eye(3, dtype="float32")
    expected = np.linalg.inv(matrix @ matrix.T)
    np.testing.assert_allclose(ops.cholesky_inverse(matrix + np.triu(matrix.T, 1)), expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_linspace():
    start, stop = normal((2, 3), "float64"), normal((3,), "float64", 1)
    testing.gradcheck(lambda a, b: ops.linspace(a, b, 4, axis=-1), start, stop)
    testing.gradcheck(lambda a, b: ops.linspace(a, b, 4, endpoint=False), start, stop)


def attention_by_hand(query, key, value, bias, mask):
    scores = np.einsum("btnh,bsnh->bnts", query, key) / np.sqrt(query.shape[-1]) + bias
    scores = np.exp(np.where(mask, scores, -np.inf))
    return np.einsum("bnts,bsnh->btnh", scores / scores.sum(-1, keepdims=True), value)


def test_attention_of_arrays():
    query, key, value = (
        normal((2, 5, 4, 3), "float64"),
        normal((2, 6, 2, 3), "float64", 1),
        normal((2, 6, 2, 3), "float64", 2),
    )
    bias, seen = normal((4, 5, 6), "float64", 3), np.tril(np.ones((5, 6), bool))
    many = [np.repeat(array, 2, axis=2) for array in (key, value)]
    expected = attention_by_hand(query, *many, bias, seen)
    for options in ({"mask": seen}, {"mask": seen.astype("int32")}, {"is_causal": True}):
        np.testing.assert_allclose(ops.dot_product_attention(query, key, value, bias, **options), expected, rtol=1e-6)
    testing.gradcheck(lambda *given: ops.dot_product_attention(*given, is_causal=True), query, key, value, bias)
    assert ops.dot_product_attention(Input((5, 4, 3)), Input((6, 2, 3)), Input((6, 2, 3))).shape == (None, 5, 4, 3)
    blind = ops.dot_product_attention(query, *many, mask=np.zeros((5, 6), bool))
    np.testing.assert_allclose(blind, np.broadcast_to(many[1].mean(1, keepdims=True), query.shape), rtol=1e-6)


@pytest.mark.parametrize("query, key, words", [
    ((2, 5, 3), (2, 6, 2, 3), "query must be"), ((2, 5, 4, 3), (2, 6, 3, 3), "divides query's"),
    ((2, 5, 4, 3), (2, 6, 4, 2), "query's size"),
])  # fmt: skip
def test_attention_of_other_shapes_is_refused(query, key, words):
    key = np.ones(key, "float32")
    with pytest.raises(ValueError, match=words):
        ops.dot_product_attention(np.ones(query, "float32"), key, key)


def test_layers_are_described_and_made_again():
    layer = layers.Conv2D(3, 2, kernel_regularizer="l2", name="seen")
    again = layers.deserialize(layers.serialize(layer))
    assert type(again) is layers.Conv2D and again.get_config() == layer.get_config()
    assert layers.deserialize({"class_name": "Dense", "config": {"units": 3}}).units == 3
    for wrong, error in ((losses.serialize(losses.Huber()), ValueError), ({"class_name": "Danse"}, ValueError)):
        with pytest.raises(error):
            layers.deserialize(wrong)
    with pytest.raises(TypeError, match="layer must be"):
        layers.serialize(losses.Huber())
