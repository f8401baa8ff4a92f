"""What a model's own steps call, and its compile settings as JSON."""

import json

import numpy as np
import pytest

from fastconv import Input, Model, Sequential, callbacks, layers, models, ops, optimizers

X, Y = np.random.default_rng(0).random((6, 4), "float32"), np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]


def compiled():
    model = Sequential([Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(optimizers.SGD(0.2, 0.9), "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_compile_settings_are_json_and_come_back():
    model = compiled()
    config = json.loads(json.dumps(model.get_compile_config()))
    twin = models.model_from_json(model.to_json())
    assert twin.get_compile_config() is None
    twin.compile_from_config(config)
    twin.set_weights(model.get_weights())
    assert twin.get_compile_config() == config and twin.optimizer.momentum == 0.9
    assert model.train_on_batch(X, Y) == twin.train_on_batch(X, Y)


def test_metrics_are_counted_and_reset():
    model = compiled()
    wanted = model.evaluate(X, Y, verbose=0)[1]
    model.reset_metrics()
    for part in (slice(0, 2), slice(2, 6)):
        logs = model.compute_metrics(X[part], Y[part], model(X[part]))
    assert logs == model.get_metrics_result() == {"accuracy": pytest.approx(wanted)}
    model.reset_metrics()
    assert model.compute_metrics(X[:2], Y[:2], Y[:2]) == {"accuracy": 1.0} and model.metrics[0].result() == 1.0
    assert model.jit_compile is False


@pytest.mark.parametrize("size", [2, 32])
def test_an_own_predict_step_is_what_predict_calls(size):
    class Doubled(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

        def predict_step(self, data):
            (x,) = data
            return ops.multiply(self(x, training=False), 2.0)

    model = Doubled()
    np.testing.assert_array_equal(model.predict(X, batch_size=size), 2 * np.concatenate(
        [model(X[start : start + size]).numpy() for start in range(0, 6, size)]))  # fmt: skip


class Guided(Model):
    """Counts in its steps as Keras' guide to them does: the loss into the metric of that name, the batch into others."""

    def train_step(self, data):
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        self.zero_grad()
        loss.backward()
        self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        return self.counted(loss, y, y_pred)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self.counted(self.compute_loss(y=y, y_pred=y_pred), y, y_pred)

    def counted(self, loss, y, y_pred):
        for metric in self.metrics:
            metric.update_state(*([loss] if metric.name == "loss" else [y, y_pred]))
        return {metric.name: metric.result() for metric in self.metrics}


def test_own_steps_count_the_loss_among_the_metrics():
    plain, histories = compiled(), []
    for kind in (Model, Guided):
        model = kind(plain.inputs[0], plain.outputs[0])
        model.compile(optimizers.SGD(0.0), "categorical_crossentropy", metrics=["accuracy"])
        histories.append(model.fit(X, Y, batch_size=3, epochs=2, validation_data=(X, Y), verbose=0).history)
    assert set(histories[0]) == set(histories[1]) and model.metrics_names == ["loss", "accuracy"]
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values)


@pytest.mark.parametrize(
    "base", [Model, type("Calling", (Model,), {"train_step": lambda self, data: Model.train_step(self, data)})]
)
def test_an_own_compute_metrics_says_what_is_reported(base):
    class Reporting(base):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            return {**super().compute_metrics(x, y, y_pred, sample_weight), "largest": ops.max(y_pred)}

    plain = compiled()
    model = Reporting(plain.inputs[0], plain.outputs[0])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert set(history) == {f"{mode}{name}" for mode in ("", "val_") for name in ("loss", "accuracy", "largest")}
    assert history["val_largest"][0] == pytest.approx(model.predict(X).max())
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == pytest.approx(history["val_loss"][0])


class Flip(layers.Layer):
    """Has nothing to build."""

    def call(self, inputs):
        return ops.flip(inputs, axis=-1)


class Pair(Model):
    """Two networks with a step of their own, and no call: nothing ever builds the model itself."""

    def __init__(self, value):
        super().__init__()
        self.flip = Flip()
        self.networks = [Sequential([Input((4,)), layers.Dense(n, kernel_initializer=value)]) for n in (2, 3)]

    def train_step(self, data):
        return {"loss": 1.0}


@pytest.mark.parametrize("file", ["m.weights.h5", "m.safetensors"])
def test_models_that_are_never_called_keep_their_weights_in_files(file, tmp_path):
    if file.endswith(".h5"):
        pytest.importorskip("h5py")
    model, twin = Pair("ones"), Pair("zeros")
    model.compile("sgd")
    keeper = callbacks.ModelCheckpoint(tmp_path / file, monitor="loss", save_weights_only=True)
    model.fit(X, verbose=0, callbacks=[keeper])
    twin.load_weights(tmp_path / file)
    assert twin.count_params() == 25 and all(map(np.array_equal, model.get_weights(), twin.get_weights()))
    twin.networks.append(layers.Dense(2))
    with pytest.raises(ValueError, match="not built"):
        twin.save_weights(tmp_path / file)


def test_a_model_may_say_that_it_is_built():
    model = Pair("ones")
    model.built = True
    model.compile("sgd")
    assert model.fit(X, Y, verbose=0).history == {"loss": [1.0]}
    assert model.output_shape is None and model.output_names == ["output"] and "3 layers" in repr(model)


def test_errors_say_what_to_do():
    model = Sequential([Input((4,)), layers.Dense(3)])
    with pytest.raises(RuntimeError, match="compute_metrics.* needs a compiled model"):
        model.compute_metrics(X, Y, Y)
    with pytest.raises(NotImplementedError, match="model.save"):
        model.export("there", "onnx")
