"""Keras 3's files: models there and back, and files that are wrong or hostile; needs h5py. tests/test_keras_parity_files.py
holds them against Keras itself."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from fastconv import Input, Model, Sequential, layers, metrics, ops, optimizers, schedules  # noqa: E402
from fastconv.models import load_model  # noqa: E402

X = np.random.default_rng(0).standard_normal((3, 10, 10, 2)).astype("float32")


def branched():
    inputs = Input((10, 10, 2))
    z = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    z = layers.Add()([layers.Conv2D(4, 3, padding="same", name="mine")(z), z])
    inner = Sequential(
        [Input((10, 10, 4)), layers.SeparableConv2D(3, 3), layers.Flatten(), layers.Dense(3)], name="inner"
    )
    return Model(inputs, inner(z))


def stacked():
    return Sequential(
        [Input((10, 10, 2)), layers.Conv2D(3, 3, strides=2, use_bias=False), layers.Flatten(), layers.Dense(2)]
    )


def two_ends():
    inputs = [Input((10, 10, 2), name="x")]
    z = layers.Flatten()(inputs[0])
    return Model(inputs, {"one": layers.Dense(2)(z), "two": [layers.Dense(3)(z), z]})


def drawn_ops():
    """Ops outside of layers: numbers and arrays beside tensors, slices, axes."""
    inputs = Input((10, 10, 2))
    z = 1 - 2.0 * layers.Conv2D(2, 1, name="add")(inputs) / 3 + inputs
    z = ops.relu6(z) + ops.sigmoid(z[:, 2:, ..., :1]).__getitem__((slice(None), slice(0, 1))) * np.array(
        [0.5, 2], "float32"
    )
    z = ops.concatenate([ops.mean(z, axis=(1, 2), keepdims=True), ops.max(z, axis=(1, 2), keepdims=True)], axis=-1)
    z = ops.expand_dims(ops.squeeze(ops.squeeze(z, 1), 1), -1)
    return Model(inputs, ops.softmax(ops.gelu(ops.reshape(ops.transpose(z, (0, 2, 1)), (-1, 4)))))


def chosen():
    """Comparisons, orders, copies and casts outside of layers."""
    x = Input((10, 10, 2))
    y = ops.where(ops.logical_or(x > 0.5, x <= 0.2), ops.sort(x, axis=1), ops.floor(3 * x)) + ops.cumsum(x, axis=2)
    y = ops.pad(ops.repeat(y, 2, axis=1), ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=0.5)
    y = ops.concatenate([ops.take(y, np.array([0, 2]), axis=1), ops.tile(y, (1, 2, 1, 1))], axis=1)
    return Model(x, [ops.one_hot(ops.argmax(y, axis=1), 50), ops.cast(ops.any(y > 1, axis=(1, 2)), "float32")])


@pytest.mark.parametrize("make", [branched, stacked, two_ends, drawn_ops, chosen])
def test_a_model_there_and_back(tmp_path, make):
    model = make()
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    for one, other in zip(leaves(model.predict(X, verbose=0)), leaves(again.predict(X, verbose=0))):
        np.testing.assert_array_equal(one, other)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def leaves(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [value] if parts is None else [leaf for part in parts for leaf in leaves(part)]


def test_masks_and_networks_within_wrappers_come_back_as_keras_writes_them(tmp_path):
    steps, mask = Input((4, 5, 2)), Input((4,), dtype="bool")
    each = layers.TimeDistributed(Sequential([Input((5, 2)), layers.Flatten(), layers.Dense(3)], name="each"))
    model = Model([steps, mask], layers.GRU(2)(each(steps), mask=mask))
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    config = json.loads(parts["config.json"])
    (entry,) = [entry for entry in config["config"]["layers"] if entry["class_name"] == "TimeDistributed"]
    assert {name: entry["config"]["layer"][name] for name in ("module", "class_name", "registered_name")} == {
        "module": "keras", "class_name": "Sequential", "registered_name": None,
    }  # fmt: skip
    entry["config"]["layer"]["config"]["dtype"] = policy
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    again = load_model(tmp_path / "m.keras")
    given = [X[:, :4, :5], np.array([[True, True, False, False], [True] * 4, [False] * 4])]
    np.testing.assert_array_equal(model.predict(given, verbose=0), again.predict(given, verbose=0))


def test_compile_settings_there_and_back(tmp_path):
    model = stacked()
    model.compile("adam", "mse", metrics=["mae"])
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    y = np.zeros((3, 2), "float32")
    assert again.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
    assert load_model(tmp_path / "m.keras", compile=False).optimizer is None


def test_an_optimizer_goes_on_with_its_state(tmp_path):
    model, y = stacked(), np.zeros((3, 2), "float32")
    model.compile(optimizers.Adam(schedules.CosineDecay(0.1, 9), use_ema=True), "mse", metrics=["accuracy"])
    model.fit(X, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert again.optimizer.iterations == 2
    for each in (model, again):
        each.fit(X, y, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_a_model_within_two_models_stays_one(tmp_path):
    inner = Sequential([Input((4,)), layers.Dense(4)], name="inner")
    inputs, twice = Input((4,)), Input((4,))
    outer = Model(inputs, layers.Dense(4)(inner(inputs)), name="outer")
    model = Model(twice, inner(outer(twice)))
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    assert again.get_layer("outer").get_layer("inner") is again.get_layer("inner")
    assert len(again.weights) == len(model.weights)
    np.testing.assert_array_equal(model.predict(X[:, 0, :2, :].reshape(3, 4)), again.predict(X[:, 0, :2].reshape(3, 4)))


def test_settings_that_keras_does_not_have_stay_out(tmp_path):
    model = stacked()
    model.compile("sgd", "mse", metrics=[metrics.ConfusionMatrix(2)])
    with pytest.warns(UserWarning, match="no compile settings: ConfusionMatrix"):
        model.save(tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras").optimizer is None


def steps(file, value):
    del file["optimizer/vars/0"]
    file["optimizer/vars"]["0"] = np.asarray(value)


STATES = [  # how a file is changed, what is said
    (lambda file: steps(file, -1), "iterations must be"), (lambda file: steps(file, [1, 2]), r"needs \(\)"),
    (lambda file: steps(file, np.bytes_(b"7")), "numbers of at most"), (lambda file: file.pop("optimizer/vars/3"), "holds 7"),
    (lambda file: file.move("optimizer/vars", "spare") or file["optimizer"].update(vars=h5py.SoftLink("/spare")), "no group"),
]  # fmt: skip


@pytest.mark.parametrize("change, message", STATES, ids=range(len(STATES)))
def test_a_state_that_does_not_fit_is_left_out(tmp_path, change, message):
    model = changed(tmp_path / "m.keras", weights=lambda file: change(file), optimizer="adam")
    with pytest.warns(UserWarning, match=f"its optimizer starts anew: .*{message}"):
        again = load_model(tmp_path / "m.keras")
    assert again.optimizer.iterations == 0 and model.optimizer.iterations == 1


@pytest.mark.parametrize("name", ["m.weights.h5", "m.keras"])
def test_weights_alone(tmp_path, name):
    model, twin = branched(), branched()
    (model.save if name.endswith("keras") else model.save_weights)(tmp_path / name)
    twin.load_weights(tmp_path / name)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))


class Own(Model):
    def __init__(self):
        super().__init__()
        self.first, self.rest = layers.Conv2D(2, 3), [layers.Flatten(), layers.Dense(2)]

    def call(self, x):
        for layer in (self.first, *self.rest):
            x = layer(x)
        return x


def test_what_a_file_of_keras_cannot_hold(tmp_path):
    inputs = Input((10, 10, 2))
    with pytest.raises(ValueError, match=r"the op Later.*a layer.*safetensors"):
        Model(inputs, ops.roll(layers.Conv2D(2, 1)(inputs), 1, 1)).save(tmp_path / "m.keras")
    model = Own()
    model(X)
    with pytest.raises(ValueError, match="written in Python"):
        model.save(tmp_path / "m.keras")
    for layer, message in (
        (layers.Conv2D(2, 3, padding=((1, 0), (0, 1))), "ZeroPadding"),
        (layers.DepthwiseConv3D(2), "not of Keras"),
    ):
        shape = (10, 10, 2) if isinstance(layer, layers.Conv2D) else (5, 5, 5, 2)
        with pytest.raises(ValueError, match=message):
            Sequential([Input(shape), layer]).save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


# Files that are wrong


def changed(path, config=None, weights=None, extra=None, optimizer=None):
    """A good archive with something else in it."""
    model = stacked()
    if optimizer is not None:
        model.compile(optimizer, "mse")
        model.fit(X, np.zeros((3, 2)), verbose=0)
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        entry = json.loads(parts["config.json"])
        config(entry)
        parts["config.json"] = json.dumps(entry)
    if weights is not None:
        content = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            weights(file)
        parts["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, **(extra or {})}.items():
            archive.writestr(name, content)
    return model


def layer_of(entry, i):
    return entry["config"]["layers"][i]


def code(entry):
    layer_of(entry, 1)["config"]["activation"] = {"class_name": "__lambda__", "config": {"code": "x"}}


def foreign(entry):
    layer_of(entry, 1).update(module="os", class_name="system", registered_name="os>system")


def bomb(entry):
    layer_of(entry, 3)["config"]["units"] = 1 << 28


def half(entry):
    layer_of(entry, 1)["config"]["dtype"] = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "mixed_float16"},
    }


def strange(entry):
    layer_of(entry, 1)["config"]["renorm"] = True


def external(file):
    file["layers/conv2d/vars"].move("0", "spare")
    file["layers/conv2d/vars"]["0"] = h5py.ExternalLink("/etc/hostname", "/x")


def soft(file):
    file["layers/conv2d/vars"].move("0", "1")
    file["layers/conv2d/vars"]["0"] = h5py.SoftLink("/layers/conv2d/vars/1")


def outside(file):
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"].create_dataset("0", (3, 3, 2, 3), "float32", external=[("/etc/hostname", 0, 216)])


def hollow(file):
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"].create_dataset("0", (3, 3, 2, 3), "float32", chunks=True)


def other_shape(file):
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"]["0"] = np.zeros((3, 3, 2, 4))


def letters(file):
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"].create_dataset("0", (3, 3, 2, 3), "S8")


def lacking(file):
    del file["layers/dense"]


def beyond(file):
    file["layers/dense_1/vars/0"] = np.zeros(3)


@pytest.mark.parametrize("how, message", [
    ({"config": code}, "lambda"), ({"config": foreign}, "Unknown layer"), ({"config": bomb}, "larger than what is stored"),
    ({"config": half}, "mixed_float16"), ({"config": strange}, "renorm=True"), ({"weights": external}, "no array of this file|holds 2"),
    ({"weights": soft}, "holds 2|no array"), ({"weights": outside}, "outside"), ({"weights": hollow}, "holds none"),
    ({"weights": other_shape}, r"shape \(3, 3, 2, 4\)"), ({"weights": letters}, "numbers"), ({"weights": lacking}, "no group"), ({"weights": beyond}, "1 layers beyond"),
    ({"extra": {"../x": b""}}, "must hold"), ({"extra": {"config.json": b"[" * 100000}}, "Recursion|expecting|Expecting|duplicate|must hold"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wrong_file_is_refused_by_name(tmp_path, how, message):
    path = tmp_path / "m.keras"
    model = changed(path, **how)
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"m\.keras: .*({message})"):
        load_model(path)
    if "weights" in how:
        with pytest.raises(ValueError, match=message):
            model.load_weights(path)
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)


def entry(module, name, config, registered=None):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
ATTACKS = {  # an entry in the place of a layer, or of an activation
    "CVE-2024-3660": ({"layer": entry("keras.layers", "Lambda", {"name": "l", "function": LAMBDA})}, "lambda"),
    "CVE-2024-3660, older form": (
        {"layer": entry("keras.layers", "Lambda", {"name": "l", "function": ["4wEAAAA=", None, None], "function_type": "lambda"})},
        "function",
    ),
    "CVE-2025-1550": ({"layer": entry("subprocess", "Popen", {"args": ["true"]}, "subprocess>Popen")}, "Unknown layer"),
    "CVE-2025-1550, inbound": ({"activation": entry("os", "function", "system", "system")}, "system"),
    "CVE-2025-8747": (
        {"activation": entry("keras.utils", "function", "get_file", "get_file")}, "get_file",
    ),
    "CVE-2025-8747, as a layer": (
        {"layer": entry("keras.layers", "Lambda", {"name": "l", "function": entry("keras.utils", "function", "get_file")})},
        "get_file",
    ),
    "CVE-2025-9906": (
        {"activation": entry("keras.config", "function", "enable_unsafe_deserialization")}, "enable_unsafe",
    ),
    "CVE-2025-9906, as a class": (
        {"layer": entry("keras.src.backend.common.global_state", "set_global_attribute", {})}, "Unknown layer",
    ),
    "CVE-2025-12058": (
        {"layer": entry("keras.layers", "StringLookup", {"name": "s", "vocabulary": "/etc/passwd"})}, "Unknown layer",
    ),
    "CVE-2025-12058, by network": (
        {"layer": entry("keras.layers", "IndexLookup", {"vocabulary": "http://localhost/x"})}, "Unknown layer",
    ),
    "CVE-2026-1462": ({"layer": entry("keras.layers", "TFSMLayer", {"filepath": "/tmp/x"})}, "Unknown layer"),
    "CVE-2026-1462, as torch": ({"layer": entry("keras.layers", "TorchModuleWrapper", {"module": "x"})}, "Unknown layer"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_on_record(tmp_path, name):
    change, message = ATTACKS[name]

    def put(found):
        if "layer" in change:
            found["config"]["layers"][1] = change["layer"]
        else:
            layer_of(found, 1)["config"]["activation"] = change["activation"]

    changed(tmp_path / "m.keras", config=put)
    with pytest.raises(ValueError, match=rf"m\.keras: .*{message}"):
        load_model(tmp_path / "m.keras", safe_mode=False)


def test_shape_bombs_take_no_memory(tmp_path):
    """CVE-2026-0897: 256 GB that a file of some KB declares, in the config, in the weights, or by compression."""

    def declared(file):
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars"].create_dataset("0", (1 << 18, 1 << 18), "float32", chunks=(1 << 10, 1 << 10))

    def both(entry):
        layer_of(entry, 1)["config"].update(filters=1 << 30)

    cases = [{"weights": declared}, {"config": both}, {"extra": {"config.json": b" " * (80 << 20)}, "replace": True}]
    for case in cases:
        replace = case.pop("replace", False)
        changed(tmp_path / "m.keras", **({} if replace else case))
        if replace:
            with zipfile.ZipFile(tmp_path / "m.keras") as archive:
                parts = {name: archive.read(name) for name in archive.namelist()} | case["extra"]
            with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in parts.items():
                    archive.writestr(name, content)
            del parts, case
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"m\.keras: "):
            load_model(tmp_path / "m.keras")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 150 << 20


def test_a_hostile_compile_config_is_left_out(tmp_path):
    def put(found):
        found["compile_config"] = {"optimizer": entry("os", "system", {"command": "true"}), "loss": "mse"}

    changed(tmp_path / "m.keras", config=put)
    with pytest.warns(UserWarning, match=r"compile settings were left out: Unknown optimizer 'system'"):
        assert load_model(tmp_path / "m.keras").optimizer is None


@pytest.mark.parametrize("version", ["4.0.0", "2.15", None, 5])
def test_files_of_another_keras(tmp_path, version):
    changed(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, content in (parts | {"metadata.json": json.dumps({"keras_version": version})}).items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=rf"m\.keras: it was written by Keras {version}"):
        load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 1000])
def test_no_file_of_keras(tmp_path, content):
    for name in ("m.keras", "m.weights.h5"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            load_model(tmp_path / name) if name.endswith("keras") else stacked().load_weights(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nothing.keras")
