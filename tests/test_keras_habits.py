"""Habits of Keras programs that the examiner's programs met, one test each: what a user writes, and what comes of it.

Whole programs are in test_programs.py and tests/programs; values against Keras in test_keras_parity*.py.
"""

import json

import numpy as np
import pytest

import fastconv as keras
from fastconv import layers, models, ops

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = X[:, :1]


def dense(*more, units=1, **options):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(units, **options), *more])
    model.compile("sgd", "mse")
    return model


def cubed(x):
    return x**3


class Scaled(layers.Layer):
    def call(self, inputs):
        return inputs * 2.0


class Net(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [[layers.Dense(units, activation=cubed)], [Scaled(), layers.Dense(1)]]

    def call(self, inputs):
        for block in self.blocks:
            for layer in block:
                inputs = layer(inputs)
        return inputs

    def get_config(self):
        return {"units": self.units}


@pytest.mark.parametrize("make", [lambda: dense(activation=cubed), Net], ids=["function", "model"])
def test_keras_files_hold_own_things_by_name_and_are_read_with_custom_objects(make, tmp_path):
    pytest.importorskip("h5py")
    model = make()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    mine = {"Net": Net, "Scaled": Scaled, "cubed": cubed}
    again = models.load_model(tmp_path / "m.keras", custom_objects=mine)
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-6)
    with pytest.raises(ValueError, match="custom_objects|Unknown activation 'cubed'"):
        models.load_model(tmp_path / "m.keras")


class Cell(layers.Layer):
    """A recurrent cell of one's own, which no one registered."""

    def __init__(self, units, start="ones", **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.start = keras.initializers.get(start)

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), self.start)

    def call(self, inputs, states):
        output = ops.tanh(ops.matmul(inputs, self.kernel) + states[0])
        return output, [output]


class Half(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return ops.full(shape, 0.5)


HOLDERS = [
    lambda: layers.RNN(Cell(2)), lambda: layers.RNN([Cell(2, Half()), layers.LSTMCell(3)]),
    lambda: layers.Bidirectional(layers.RNN(Cell(2))), lambda: layers.TimeDistributed(Scaled()),
    lambda: layers.Dense(2, kernel_initializer=Half(), activation=cubed),
]  # fmt: skip


@pytest.mark.parametrize("make", HOLDERS, ids=range(len(HOLDERS)))
def test_own_things_within_layers_are_cloned_and_read_from_files_unregistered(make, tmp_path):
    pytest.importorskip("h5py")
    model = keras.Sequential([keras.Input((6, 3)), make()])
    assert models.clone_model(model).count_params() == model.count_params()
    x = np.stack([X[:, :3]] * 6, axis=1)
    mine = {"Cell": Cell, "Half": Half, "Scaled": Scaled, "cubed": cubed}
    for name in ("m.keras", "m.safetensors"):
        model.save(tmp_path / name)
        again = models.load_model(tmp_path / name, custom_objects=mine)
        np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_a_loss_of_the_users_own_comes_back_from_a_keras_file(tmp_path):
    pytest.importorskip("h5py")

    def half(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=-1) / 2

    model = dense()
    model.compile("sgd", half, metrics=[half])
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"half": half})
    assert again.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))


def test_a_schedule_may_compute_with_ops():
    class Warmup(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return ops.minimum(ops.cast(step, "float32"), 3.0) * 0.01

    model = dense()
    model.compile(keras.optimizers.SGD(Warmup()), "mse")
    model.fit(X, Y, batch_size=8, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)


def test_a_metric_of_several_values_is_logged_by_their_names():
    class Counts(keras.metrics.Metric):
        def __init__(self, name="counts"):
            super().__init__(name=name)
            self.seen = self.add_weight(shape=(2,), initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.assign_add(ops.ones((2,)))

        def result(self):
            return {"first": self.seen[0], "both": ops.sum(self.seen)}

    model = dense()
    model.compile("sgd", "mse", metrics=[Counts()])
    assert set(model.compute_metrics(X, Y, model(X))) == {"first", "both"}
    assert model.fit(X, Y, batch_size=8, verbose=0).history | {"loss": None} == {
        "loss": None,
        "first": [2.0],
        "both": [4.0],
    }


def test_an_optimizer_of_the_users_own_keeps_state_as_keras_teaches():
    class Heavy(keras.optimizers.Optimizer):
        def build(self, variables):
            super().build(variables)
            self.speeds = [self.add_variable_from_reference(one, name="speed") for one in variables]

        def update_step(self, gradient, variable, learning_rate):
            speed = self.speeds[self._get_variable_index(variable)]
            self.assign(speed, speed * 0.9 + gradient)
            self.assign_sub(variable, speed * learning_rate)

    mine, ours = dense(), dense()
    ours.set_weights(mine.get_weights())
    for model, optimizer in ((mine, Heavy(0.01)), (ours, keras.optimizers.SGD(0.01, momentum=0.9))):
        model.compile(optimizer, "mse")
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(mine.get_weights()[0], ours.get_weights()[0], rtol=1e-5)


def test_lora_is_refused_in_words():
    assert not hasattr(layers.Dense(2), "enable_lora")
    with pytest.raises(AttributeError, match="trains whole weights; freeze layers"):
        layers.Dense(2).enable_lora(2)


@pytest.mark.parametrize(
    "given, near", [({"patients": 3}, "patience"), ({"restore_best_weight": True}, "best_weights")]
)
def test_a_callback_names_the_argument_that_was_meant(given, near):
    with pytest.raises(TypeError, match=f"EarlyStopping has no argument.*Did you mean '.*{near}'"):
        keras.callbacks.EarlyStopping(**given)


def test_layers_know_their_policy():
    policy = layers.Dense(2, dtype="float64").dtype_policy
    assert (policy.name, layers.Dense(2, dtype=policy).dtype) == ("float64", "float64")


def test_an_endpoint_layer_takes_targets_and_counts_a_metric():
    class Endpoint(layers.Layer):
        def __init__(self):
            super().__init__()
            self.error = keras.metrics.MeanSquaredError(name="error")

        def call(self, targets, outputs):
            self.add_loss(ops.mean(ops.square(targets - outputs)))
            self.error.update_state(targets, outputs)
            return outputs

    x, targets = keras.Input((6,)), keras.Input((1,))
    model = keras.Model([x, targets], Endpoint()(targets, layers.Dense(1)(x)))
    model.compile("sgd")
    history = model.fit([X, Y], verbose=0, batch_size=16).history
    assert history["loss"] == pytest.approx(history["error"], rel=1e-5)


@pytest.mark.parametrize("wrap", [list, tuple])
def test_a_model_of_lists_of_one_takes_and_gives_the_tensor_itself(wrap, tmp_path):
    inner = dense()
    model = keras.Model(wrap(inner.inputs), wrap(inner.outputs))
    assert (model.input_shape, model.output_shape) == ((None, 6), (None, 1))
    for given in (X, [X]):
        np.testing.assert_array_equal(model.predict(given), inner.predict(X))
        assert model(given).shape == (16, 1)
    model.compile("sgd", "mse")
    model.fit([X], [Y], verbose=0)
    model.save(tmp_path / "m.safetensors")
    assert (
        models.load_model(tmp_path / "m.safetensors").output_shape
        == models.clone_model(model).output_shape
        == (None, 1)
    )


def test_a_model_of_a_list_of_one_input_stands_first_in_a_sequential():
    base = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(4)])
    trunk = keras.Model(base.inputs, base.layers[-2].output)
    assert keras.Sequential([trunk, layers.Dense(3)]).output_shape == (None, 3)


def test_checkpoints_make_their_folder(tmp_path):
    path = str(tmp_path / "runs" / "one" / "{epoch:02d}.safetensors")
    dense().fit(X, Y, epochs=2, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(path)])
    assert sorted(file.name for file in (tmp_path / "runs" / "one").iterdir()) == ["01.safetensors", "02.safetensors"]


def test_to_json_takes_what_json_takes():
    model = dense()
    text = model.to_json(indent=2)
    assert "\n  " in text and json.loads(text) == json.loads(model.to_json())
    assert models.model_from_json(text).count_params() == 7


@pytest.mark.parametrize("name", ["MeanSquaredError", "CosineSimilarity", "KLDivergence", "Huber"])
def test_gradients_flow_through_targets_that_a_network_made(name):
    layer = layers.Dense(3, activation="softmax")
    layer.build((None, 6))
    online = np.full((16, 3), 1 / 3, "float32")
    getattr(keras.losses, name)()(layer(X), online).backward()
    assert np.abs(layer.kernel.grad).sum() > 0


@keras.saving.register_keras_serializable("habits")
class Counting(layers.Layer):
    """Keeps a number that is no weight, beside one that is."""

    def __init__(self, seen=0, **kwargs):
        super().__init__(**kwargs)
        self.seen = seen

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        store["seen"], store["scale"] = np.int64(self.seen), self.scale.numpy()

    def load_own_variables(self, store):
        self.seen = int(store["seen"])
        self.scale.assign(store["scale"])


@pytest.mark.parametrize("name", ["own.keras", "own.weights.h5"])
def test_a_layer_says_itself_what_keras_files_hold_of_it(tmp_path, name):
    pytest.importorskip("h5py")
    model = dense(Counting(7))
    model.layers[-1].scale.assign(3.0)
    if name.endswith(".keras"):
        model.save(tmp_path / name)
        again = models.load_model(tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
        again = dense(Counting())
        again.load_weights(tmp_path / name)
    assert again.layers[-1].seen == 7
    assert np.array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.warns(UserWarning, match=r"'counting.*save_own_variables.*\.keras or \.weights\.h5"):
        model.save_weights(tmp_path / "own.safetensors")


def test_an_own_array_that_declares_more_than_it_holds_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path, model = tmp_path / "own.weights.h5", dense(Counting(7))
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        group = file["layers/counting/vars"]
        del group["seen"]
        group.create_dataset("seen", data=np.zeros(1 << 20), compression="gzip")
    with pytest.raises(ValueError, match="layers/counting/vars/seen.*as many bytes as it declares"):
        model.load_weights(path)
    assert model.layers[-1].seen == 7
