"""Model files: round trips, names, and files that must be refused without harm."""

import json
import os
import tracemalloc

import numpy as np
import pytest
from helpers import python
from safetensors import safe_open
from safetensors.numpy import save_file

from fastconv import Sequential, layers, losses, modelfile, models, optimizers, rng, tensorfile
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
    model.compile(optimizer, losses.CategoricalCrossentropy(), metrics=["acc"])
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
    assert [layer["class_name"] for layer in json.loads(facts["model"])["config"]["layers"]][:2] == [
        "InputLayer",
        "Conv2D",
    ]


def test_equal_models_are_equal_files(path):
    """So that a SHA-256 tells whether two runs had the same bits; safetensors' own order of facts changes each time."""
    model, files = trained(), set()
    for _ in range(4):
        model.save(path)
        files.add(path.read_bytes())
    models.load_model(path).save(path)
    assert files == {path.read_bytes()}
    start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert start % 8 == 0  # where tensors begin, for those who map the file


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
    save_file(tensors, path, facts | {"checksum": tensorfile.checksum(tensors, facts)})


def dense(**config):
    return {"name": "m", "layers": [
        {"class_name": "InputLayer", "config": {"shape": [2]}}, {"class_name": "Dense", "config": config}
    ]}  # fmt: skip


FORGERIES = [
    [], {}, None, {"layers": 3}, {"layers": [{}]}, {"layers": []},
    {"layers": [{"class_name": "os.system", "config": {}}]},
    dense(units=10**15), dense(units=10**6), dense(units="2"), dense(units=-1), dense(unit=2), dense(units=2, name=[]),
    dense(units=2, activation={"class_name": "eval"}), dense(units=2, use_bias=True), dense(units=2, dtype="object"),
    dense(units=2, dtype="9" * 5000), {"class_name": "MaxPooling1D", "config": {}},
]  # fmt: skip


@pytest.mark.parametrize("config", FORGERIES, ids=lambda config: str(config)[:150])
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


def with_header(path, header, data=16, length=None):
    """A file with this header (bytes, or an object for JSON) and as many bytes of data, which cost no space on disk."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + data)


def tensor(shape=(2, 2), begin=0, end=16, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


CONFIG = dense(units=2, use_bias=False)
FACTS = {"format": "fastconv", "format_version": "1", "model": json.dumps(CONFIG), "checksum": "0"}
TWICE = json.dumps({"__metadata__": FACTS, "a": tensor(), "b": tensor()}).replace('"b"', '"a"').encode()
HEADERS = {
    "longer than the file": (b"{}", {"length": 1000}), "longer than memory": (b"{}", {"length": 2**63}),
    "none": (b"", {}), "no JSON": (b"{,}", {}), "no object": ([], {}), "no UTF-8": (b'{"\xff": 1}', {}),
    "deep": (b"[" * 200_000, {}), "huge number": (b'{"a": ' + b"9" * 5000 + b"}", {}), "a name twice": (TWICE, {}),
    "facts are numbers": ({"__metadata__": {"format": 1}}, {}), "facts are a list": ({"__metadata__": []}, {}),
    "half a letter": (b'{"__metadata__": {"format": "\\ud800"}}', {}),
    **{name: ({"__metadata__": FACTS, "dense/kernel": entry}, {}) for name, entry in {
        "negative": tensor((-2, -2)), "another size": tensor((2, 3)), "fractions": tensor((2.0, 2)),
        "bools": tensor((True, 4)), "many axes": tensor([1] * 99), "begins later": tensor((), 12),
        "open end": tensor(end=8), "beyond": tensor((9,), end=36), "integers": tensor(dtype="I32"), "a list": [],
        "no dtype": tensor(dtype=[]), "nothing": {}, "a size past 64 bits": tensor([2**64, 0], end=0),
    }.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_damaged_headers_are_refused(path, name):
    header, options = HEADERS[name]
    with_header(path, header, **options)
    refused(path, Sequential([layers.Dense(2, use_bias=False, input_shape=(2,))]))


# Memory and time


def peak_of(function, *arguments):
    """The most memory that the call took, in bytes, and what it returned or raised."""
    tracemalloc.start()
    try:
        result = function(*arguments)
    except ValueError as error:
        result = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, result


def test_what_a_file_declares_takes_no_memory_before_it_is_known_to_be_there(path):
    forged(path, dense(units=10**8, use_bias=False))
    peak, error = peak_of(models.load_model, path)
    assert peak < 1 << 20 and "cannot be rebuilt" in str(error) and path.name in str(error)


def test_a_long_file_that_does_not_fit_is_not_read(path):
    long = tensor((1 << 28,), end=1 << 30)
    model = Sequential([layers.Dense(2, use_bias=False, input_shape=(2,))])
    for name in ("dense/kernel", "dense/other", "optimizer.velocity/other"):
        with_header(path, {"__metadata__": FACTS, name: long}, data=1 << 30)
        for load in (models.load_model, model.load_weights):
            peak, error = peak_of(load, path)
            assert peak < 1 << 20 and "does not fit" in str(error) and path.name in str(error)


def test_loading_takes_the_memory_of_the_weights(path):
    model = Sequential([layers.Dense(1000, input_shape=(1000,), use_bias=False)])
    model.save(path)
    size = os.path.getsize(path)
    for load in (models.load_model, model.load_weights):
        assert peak_of(load, path)[0] < size + (2 << 20)


def test_loading_takes_time_for_each_layer_but_not_for_each_two(path, monkeypatch):
    calls, shape = [], layers.Dense.compute_output_shape
    monkeypatch.setattr(layers.Dense, "compute_output_shape", lambda *args: (calls.append(1), shape(*args))[1])
    model = Sequential([layers.Dense(2, input_shape=(2,)), *[layers.Dense(2) for _ in range(199)]])
    model.save(path)
    assert models.load_model(path).count_params() == model.count_params()
    assert len(calls) < 200 * 10


# Names and settings that a file may hold


def test_names_that_look_like_others(path):
    model = Sequential([
        layers.Dense(2, input_shape=(2,)), layers.Dense(2, name="dense_1_"), layers.Dense(2),
        layers.Dense(2, name="optimizer.dense"), layers.Dense(2),
    ])  # fmt: skip
    assert list(modelfile.weight_names(model))[::2] == [
        "dense/kernel", "dense_1_/kernel", "dense_1/kernel", "optimizer.dense/kernel", "dense_2/kernel",
    ]  # fmt: skip
    model.compile(optimizers.SGD(0.1, 0.9), "mse")
    model.fit(X[:, 0, 0], X[:, 0, 0], verbose=0)
    model.save(path)
    np.testing.assert_array_equal(models.load_model(path).predict(X[:, 0, 0]), model.predict(X[:, 0, 0]))


class Ramp(layers.Layer):
    def build(self, input_shape):
        self.ramp = self.add_weight((input_shape[-1],), "zeros", name="ramp")
        self.ramp.assign(np.arange(input_shape[-1], dtype="f4"))

    def call(self, inputs):
        return inputs * self.ramp


def test_a_layer_may_write_to_its_weights_as_it_is_built(path):
    model = Sequential([Ramp(input_shape=(3,))])
    model.set_weights([np.array([5, 6, 7])])
    model.save(path)
    np.testing.assert_array_equal(models.load_model(path, {"Ramp": Ramp}).get_weights()[0], [5, 6, 7])


class Loads(layers.Layer):
    def __init__(self, file, **kwargs):
        super().__init__(**kwargs)
        self.file = file

    def build(self, input_shape):
        models.load_model(self.file)
        self.add_weight(input_shape[1:], name="drawn")

    def call(self, inputs):
        return inputs


def test_a_layer_may_load_a_model_as_it_is_built(path):
    inner = str(path.with_name("inner.safetensors"))
    network().save(inner)
    Sequential([Loads(inner, input_shape=(3,))]).save(path)
    state = rng.generator().bit_generator.state
    models.load_model(path, {"Loads": Loads})
    assert rng.generator().bit_generator.state == state


@pytest.mark.parametrize("iterations", [-1, 0.5, "3", None, True, 10**400, float("nan")], ids=lambda v: str(v)[:9])
def test_iterations_are_counted(path, iterations):
    settings = {"optimizer": "sgd", "loss": "mse", "metrics": []}
    forged(path, CONFIG, compile=json.dumps(settings | {"iterations": 7}))
    assert models.load_model(path).optimizer.iterations == 7
    forged(path, CONFIG, compile=json.dumps(settings | {"iterations": iterations}))
    with pytest.raises(ValueError, match=f"{path.name}: its compile settings.*iterations"):
        models.load_model(path)


# Paths


@pytest.mark.parametrize("name", ["pipe", "pipe.keras", "/dev/null"])
def test_what_is_no_file_is_not_waited_for(path, name):
    if name != "/dev/null":
        name = path.with_name(name)
        os.mkfifo(name)
    result = python("-c", f"from fastconv import models; models.load_model({str(name)!r})")
    assert f"ValueError: {name} is a pipe, a device or a socket, not a model file." in result.stderr


def test_a_file_that_may_not_be_read(path):
    path.write_bytes(b"private")
    path.chmod(0)
    user = os.geteuid()
    if not user:
        os.seteuid(65534)  # the superuser may read all
    try:
        with pytest.raises(PermissionError, match=path.name):
            models.load_model(path)
    finally:
        os.seteuid(user)


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
    (lambda: network().save("m.h5"), ValueError, "safetensors"),
    (lambda: network().save("m.pt"), ValueError, "safetensors"),  # which load_model would take for PyTorch's
    (lambda: network().save_weights("m.pth"), ValueError, "safetensors"),
    (lambda: models.load_model("."), ValueError, "folder"),
    (lambda: models.load_model("no such file.safetensors"), FileNotFoundError, "no such file"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_compile_settings_of_fastconv_0_1_0():
    """Its losses and optimizers had fewer arguments, and its Accuracy was what the name "accuracy" stands for."""
    config = {
        "optimizer": {"class_name": "Adam", "config": {
            "learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "name": "adam"}},
        "loss": {"class_name": "CategoricalCrossentropy", "config": {
            "from_logits": False, "axis": -1, "name": "categorical_crossentropy"}},
        "loss_weights": None,
        "metrics": [{"class_name": "Accuracy", "config": {"name": "accuracy"}}],
    }  # fmt: skip
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile_from_config(config)
    x, y = np.ones((6, 4), np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(1 / 3) and model.optimizer.beta_2 == 0.999
