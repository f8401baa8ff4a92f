"""Model files: round trips, names, and files that must be refused without harm."""

import json
import os

import numpy as np
import pytest
from helpers import python
from safetensors import safe_open
from safetensors.numpy import save_file

from fastconv import Sequential, layers, losses, models, optimizers, rng, saving
from fastconv.utils import set_random_seed

X = np.random.default_rng(0).standard_normal((8, 6, 6, 2)).astype("float32")
Y = np.eye(3)[np.arange(8) % 3]


def network(first=4, name=None, dtype="float32"):
    return Sequential([
        layers.Conv2D(first, 3, padding=1, groups=2, activation="relu", input_shape=(6, 6, 2), name=name, dtype=dtype),
        layers.Conv2D(4, 3, padding=((1, 0), (0, 1)), use_bias=False, dtype=dtype),
        layers.GlobalAveragePooling2D(dtype=dtype),
        layers.Dropout(0.2, seed=3, dtype=dtype),
        layers.Dense(3, activation="softmax", kernel_initializer=layers_he(), dtype=dtype),
    ])  # fmt: skip


def layers_he():
    from fastconv.initializers import HeNormal

    return HeNormal(seed=2)


def trained(optimizer="adam"):
    set_random_seed(0)
    model = network()
    model.compile(optimizer, losses.CategoricalCrossentropy(), ["acc"])
    model.fit(X, Y, batch_size=4, verbose=0)
    return model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("optimizer", ["sgd", optimizers.SGD(0.1, 0.9, nesterov=True), "adam"], ids=str)
def test_a_model_comes_back_whole_and_trains_on(path, optimizer):
    model = trained(optimizer)
    model.get_layer(index=0).trainable = False
    model.save(path)
    state = np.random.get_state()[1].tolist()
    twin = models.load_model(path)
    assert np.random.get_state()[1].tolist() == state
    assert twin.get_config() == model.get_config()
    assert twin.optimizer.get_config() == model.optimizer.get_config()
    assert twin.metrics_names == ["loss", "acc"] and len(twin.trainable_weights) == 3
    for each in (model, twin):
        each.get_layer(index=3)._generator = rng.SeedGenerator(5)
        each.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert model.history.history == twin.history.history
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))


def test_what_a_file_holds(path):
    trained().save(path)
    with safe_open(path, "numpy") as file:
        facts, names = file.metadata(), set(file.keys())
    weights = {"conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "dense/kernel", "dense/bias"}
    slots = {f"optimizer.{slot}/{name}" for slot in ("momentum", "velocity") for name in weights}
    assert names == weights | slots
    assert facts["format"] == "fastconv" and facts["format_version"] == "1"
    assert [layer["class_name"] for layer in json.loads(facts["model"])["layers"]][:2] == ["InputLayer", "Conv2D"]


def test_a_file_loads_in_another_process(path):
    model = trained()
    model.save(path)
    program = f"from fastconv import models; print(models.load_model({str(path)!r}).count_params())"
    result = python("-c", program)
    assert result.stdout.strip() == str(model.count_params()), result.stderr


def test_nested_and_open_sized_models(path):
    body = Sequential([layers.Conv1D(2, 3), layers.ReLU(6.0)], name="body")
    model = Sequential([layers.Input((None, 2), name="trace"), body, layers.GlobalMaxPooling1D(), layers.Dense(1)])
    model.save(path)
    x = np.ones((2, 9, 2))
    np.testing.assert_array_equal(models.load_model(path).predict(x), model.predict(x))
    assert models.load_model(path).input_shape == (None, None, 2)


def test_a_model_built_by_its_first_call(path):
    model = Sequential([layers.Dense(2, dtype="float64")])
    model(X[:, 0, 0])
    model.save(path)
    assert models.load_model(path).predict(X[:, 0, 0]).dtype == "float64"


class Twice(layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


def test_own_layers_need_custom_objects(path):
    Sequential([Twice(3.0, input_shape=(2,))]).save(path)
    with pytest.raises(ValueError, match=r"cannot be rebuilt: Unknown layer 'Twice'"):
        models.load_model(path)
    assert models.load_model(path, {"Twice": Twice}).predict(np.ones((1, 2)))[0, 0] == 3


def test_functions_of_ones_own(path):
    model = network()
    model.compile("sgd", lambda y_true, y_pred: (y_true - y_pred) ** 2)
    with pytest.warns(UserWarning, match="no compile settings"):
        model.save(path)
    assert models.load_model(path).optimizer is None
    with pytest.raises(ValueError, match="has a function for activation"):
        Sequential([layers.Activation(lambda x: x, input_shape=(2,))]).save(path)


# Weights

def test_weights_go_by_name_whatever_was_made_before(path):
    model = trained()
    model.save_weights(path)
    for _ in range(3):
        layers.Conv2D(1, 1)  # the automatic names move on
    twin = network()
    assert twin.layers[1].name != model.layers[1].name
    twin.load_weights(path)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    model.save(path)  # a whole model serves too
    twin.load_weights(path)
    with pytest.raises(ValueError, match="damaged|weights only"):
        model.save_weights(path)
        models.load_model(path)


def test_named_layers_may_change_places(path):
    def stack(*names):
        return Sequential([layers.Dense(3, input_shape=(3,), name=names[0]), layers.Dense(3, name=names[1])])

    first, second = stack("a", "b"), stack("b", "a")
    first.save_weights(path)
    second.load_weights(path)
    np.testing.assert_array_equal(first.get_layer("a").get_weights()[0], second.get_layer("a").get_weights()[0])


@pytest.mark.parametrize("other, message", [
    (lambda: network(first=2), r"conv2d/kernel has shape \(3, 3, 1, 4\)"),
    (lambda: network(dtype="float64"), "float64"),
    (lambda: network(name="eye"), "lacks.*eye/kernel"),
    (lambda: Sequential([layers.Dense(3, input_shape=(4,))]), "conv2d/bias.*beyond"),
])  # fmt: skip
def test_weights_that_do_not_fit_change_nothing(path, other, message):
    trained().save_weights(path)
    model = other()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(path)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


# Damage

def test_every_damaged_byte_is_found(path):
    trained().save(path)
    content = path.read_bytes()
    model = network()
    before = model.get_weights()
    random = np.random.default_rng(1)
    places = [*range(16), *random.integers(0, len(content), 150)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        refused(path, model)
    for size in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        refused(path, model)
    path.write_bytes(content + b"x")
    refused(path, model)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


def refused(path, model):
    for load in (models.load_model, model.load_weights):
        with pytest.raises(ValueError, match=path.name):
            load(path)


def forged(path, config, **facts):
    facts = {"format": "fastconv", "format_version": "1", "model": json.dumps(config)} | facts
    tensors = {"dense/kernel": np.zeros((2, 2), "f4")}
    save_file(tensors, path, facts | {"checksum": saving._checksum(tensors, facts)})


def dense(**config):
    return {"name": "m", "layers": [
        {"class_name": "InputLayer", "config": {"shape": [2]}}, {"class_name": "Dense", "config": config}
    ]}  # fmt: skip


FORGERIES = [
    [], {}, None, {"layers": 3}, {"layers": [{}]}, {"layers": []},
    {"layers": [{"class_name": "os.system", "config": {}}]},
    dense(units=10**15), dense(units=10**6), dense(units="2"), dense(units=-1), dense(unit=2), dense(units=2, name=[]),
    dense(units=2, activation={"class_name": "eval"}), dense(units=2, use_bias=True), dense(units=2, dtype="object"),
]  # fmt: skip


@pytest.mark.parametrize("config", FORGERIES, ids=str)
def test_forged_models_are_refused(path, config):
    forged(path, config)
    with pytest.raises(ValueError, match=path.name):
        models.load_model(path)


def test_the_forger_could_have_done_right(path):
    forged(path, dense(units=2, use_bias=False))
    assert models.load_model(path).output_shape == (None, 2)
    forged(path, dense(units=2, use_bias=False), format_version="99")
    with pytest.raises(ValueError, match="format version '99'"):
        models.load_model(path)
    save_file({"a": np.zeros(2)}, path)
    with pytest.raises(ValueError, match="not one of fastconv's"):
        models.load_model(path)


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    model = trained()
    model.save(path)
    content = path.read_bytes()

    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        model.save(path)
    assert path.read_bytes() == content and os.listdir(path.parent) == [path.name]


ERRORS = [
    (lambda: Sequential([layers.Dense(2)]).save("m.safetensors"), ValueError, "not built"),
    (lambda: Sequential([layers.Dense(2)]).load_weights("m.safetensors"), ValueError, "not built"),
    (lambda: network().save("m.keras"), ValueError, "safetensors"),
    (lambda: models.load_model("."), ValueError, "folder"),
    (lambda: models.load_model("no such file.safetensors"), FileNotFoundError, "no such file"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
