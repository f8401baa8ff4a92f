"""Weights of other libraries: PyTorch's state dicts in .pt and safetensors, Keras 2's .h5, and files that are wrong or
hostile. The .pt files are written here, opcode by opcode; tests/test_torch_parity.py reads PyTorch's own."""

import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import fastconv
from fastconv import Input, Model, Sequential, layers, ops

X = np.random.default_rng(0).standard_normal((3, 6, 6, 2)).astype("float32")


def network(**names):
    """A convolution, a depthwise one, a transposed one, normalization, and a Dense layer behind a Flatten."""
    return Sequential([
        Input((6, 6, 2)), layers.Conv2D(4, 3, name=names.get("conv")), layers.BatchNormalization(epsilon=1e-5), layers.ReLU(),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), layers.Conv2DTranspose(3, 2, strides=2),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(5, activation="relu"), layers.Dense(2),
    ])  # fmt: skip


MODULES = ("0", "1", "3", "4", "7", "9")  # of the Sequential that PyTorch would have


def state_dict(model, modules=MODULES, flattened=(8, 8, 3)):
    """What PyTorch has for these weights, in its layouts."""
    found, known = {}, [layer for layer in model.layers if layer.weights]
    for name, layer in zip(modules, known, strict=True):
        arrays = [np.array(array) for array in layer.get_weights()]
        if isinstance(layer, layers.DepthwiseConv2D):
            arrays[0] = arrays[0].transpose(2, 3, 0, 1).reshape(-1, 1, *arrays[0].shape[:2])
        elif arrays[0].ndim == 4:
            arrays[0] = arrays[0].transpose(3, 2, 0, 1)
        elif arrays[0].ndim == 2 and len(arrays[0]) == np.prod(flattened):
            arrays[0] = arrays[0].reshape(*flattened, -1).transpose(3, 2, 0, 1).reshape(arrays[0].shape[1], -1)
        elif arrays[0].ndim == 2:
            arrays[0] = arrays[0].T
        parts = ("weight", "bias", "running_mean", "running_var")
        found |= {f"{name}.{part}": np.ascontiguousarray(array) for part, array in zip(parts, arrays)}
        if len(arrays) == 4:
            found[f"{name}.num_batches_tracked"] = np.array(7)
    return found


def drawn(model, seed=0):
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.1, 1, weight.shape) for weight in model.get_weights()])
    return model


# A file of torch.save


class Global:
    """A name that a pickle asks for, and what it calls with it."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


class Storage:
    def __init__(self, *pid):
        self.pid = pid


def pickled(value):
    if isinstance(value, dict):
        items = b"".join(pickled(key) + pickled(part) for key, part in value.items())
        return b"}(" + items + b"u"
    if isinstance(value, (tuple, list)):
        return b"(" + b"".join(map(pickled, value)) + b"t"
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        packed = value.to_bytes(9, "little", signed=True)
        return b"\x8a\x09" + packed
    if isinstance(value, Storage):
        return pickled(value.pid) + b"Q"
    call = pickled(value.arguments) + b"R" if value.arguments else b""
    return f"c{value.module}\n{value.name}\n".encode() + call


KINDS = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def tensor(archive, array, **changed):
    """The call that makes a tensor, its numbers put into the archive; `changed` lies about it."""
    key = str(len(archive))
    archive[f"archive/data/{key}"] = changed.get("content", array.tobytes())
    kind = Global("torch", changed.get("kind", KINDS[array.dtype.name]))
    pid = changed.get("pid", ("storage", kind, key, "cpu", changed.get("count", array.size)))
    strides = changed.get("strides", tuple(step // array.itemsize for step in array.strides))
    parts = (Storage(*pid), changed.get("offset", 0), changed.get("shape", array.shape), strides)
    return Global("torch._utils", "_rebuild_tensor_v2", *parts, False, Global("collections", "OrderedDict"))


def torch_file(path, arrays, wrap=lambda value: value, compression=zipfile.ZIP_STORED, pickle=None, **changed):
    """A file as torch.save writes it; `changed` lies about each array."""
    archive = {}
    value = wrap({name: tensor(archive, np.asarray(array), **changed) for name, array in arrays.items()})
    content = b"\x80\x02" + (pickled(value) if pickle is None else pickle) + b"."
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, part in {"archive/data.pkl": content, "archive/byteorder": b"little", **archive}.items():
            file.writestr(name, part)


def write(path, arrays):
    torch_file(path, arrays) if path.suffix == ".pt" else save_file(dict(arrays), path)


@pytest.fixture(params=["w.pt", "w.safetensors"])
def path(request, tmp_path):
    return tmp_path / request.param


# Reading


def check_equal(model, twin):
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_dict_by_itself(path):
    """Kernels turned, the Linear behind a Flatten reordered, counts dropped: modules that hold the same differ in numbers."""
    model, twin = drawn(network()), drawn(network(), 1)
    write(path, state_dict(model))
    twin.load_weights(path)
    check_equal(model, twin)


WRAPS = {
    "parameters": lambda value: {
        k: Global("torch._utils", "_rebuild_parameter", v, True, {}) for k, v in value.items()
    },
    "in a checkpoint": lambda value: {"epoch": 3, "state_dict": value, "optimizer": {"lr": 1}},
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_forms_of_a_state_dict(tmp_path, wrap):
    model, twin = drawn(network()), drawn(network(), 1)
    torch_file(tmp_path / "w.pth", state_dict(model), WRAPS[wrap])
    twin.load_weights(tmp_path / "w.pth")
    check_equal(model, twin)


@pytest.mark.parametrize("dtype, atol", [("float64", 0), ("float16", 1e-3)])
def test_other_floats_are_converted(path, dtype, atol):
    model, twin = drawn(network()), drawn(network(), 1)
    write(
        path,
        {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in state_dict(model).items()},
    )
    twin.load_weights(path)
    for one, other in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(one, other, atol=atol)


def test_views_of_a_storage_are_cut_out(tmp_path):
    dense = Sequential([Input((3,)), layers.Dense(2)])
    values = np.arange(12, dtype="float32")
    parts = {
        "fc.weight": {"shape": (2, 3), "strides": (1, 4), "offset": 1},
        "fc.bias": {"shape": (2,), "strides": (5,), "offset": 2},
    }
    archive = {}
    value = {name: tensor(archive, values, **changed) for name, changed in parts.items()}
    torch_file(tmp_path / "w.pt", {}, pickle=pickled(value))
    with zipfile.ZipFile(tmp_path / "w.pt", "a") as file:
        for name, content in archive.items():
            file.writestr(name, content)
    dense.load_weights(tmp_path / "w.pt")
    np.testing.assert_array_equal(dense.get_weights()[0], [[1, 2], [5, 6], [9, 10]])
    np.testing.assert_array_equal(dense.get_weights()[1], [2, 7])


FLAT = {
    "Flatten": layers.Flatten, "Reshape": lambda: layers.Reshape((-1,)), "an op": lambda: lambda x: ops.reshape(x, (-1, 48)),
}  # fmt: skip


def functional(flat):
    inputs = Input((6, 6, 2))
    z = layers.BatchNormalization()(FLAT[flat]()(layers.Conv2D(3, 3)(inputs)))
    return Model(inputs, layers.Dense(2)(layers.ReLU()(ops.tanh(z))))


@pytest.mark.parametrize("flat", FLAT)
def test_features_behind_a_flatten_are_reordered_up_to_the_next_dense(path, flat):
    """In a graph, through a normalization of single features."""
    model, twin = drawn(functional(flat)), drawn(functional(flat), 1)
    arrays = state_dict(model, ("0", "2", "4"), (4, 4, 3))
    for part in ("weight", "bias", "running_mean", "running_var"):
        arrays[f"2.{part}"] = np.ascontiguousarray(arrays[f"2.{part}"].reshape(4, 4, 3).transpose(2, 0, 1)).reshape(-1)
    write(path, arrays)
    twin.load_weights(path)
    check_equal(model, twin)


class Written(Model):
    def __init__(self):
        super().__init__()
        self.conv, self.flat, self.head = layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2)

    def call(self, x):
        return self.head(self.flat(ops.relu(self.conv(x))))


@pytest.mark.parametrize("axes, slopes", [([1, 2], [0.1, 0.2, 0.3]), ([1, 2, 3], [0.25])])
def test_slopes_that_places_share(path, axes, slopes):
    slopes = np.array(slopes, "float32")
    write(path, {"0.weight": slopes})
    model = Sequential([Input((4, 4, 3)), layers.PReLU(shared_axes=axes)])
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0].ravel(), slopes)


def test_a_model_written_in_python(path):
    models = [Written(), Written()]
    for seed, model in enumerate(models):
        model(X)
        drawn(model, seed)
    write(path, state_dict(models[0], ("conv", "head"), (4, 4, 3)))
    models[1].load_weights(path)
    check_equal(*models)


NAMED = ("stem.conv", "stem.norm", "dw", "up", "fc.1", "fc.2")
LAYERS = ("eye", "batch_normalization", "depthwise_conv2d", "conv2d_transpose", "dense", "dense_1")


@pytest.mark.parametrize("kind", ["modules", "weights", "function"])
def test_names_by_a_map(path, kind):
    model, twin = drawn(network(conv="eye")), drawn(network(conv="eye"), 1)
    arrays = state_dict(model, NAMED)
    write(path, arrays | {"head.weight": np.zeros((7, 7), "float32")})
    by_module = dict(zip(NAMED, LAYERS))
    parts = {"weight": "kernel", "bias": "bias"}
    norms = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    full = {}
    for name in arrays:
        module, _, part = name.rpartition(".")
        if part != "num_batches_tracked":
            full[name] = f"{by_module[module]}/{(norms if module == 'stem.norm' else parts)[part]}"
    name_map = {"modules": by_module | {"head": None}, "weights": full | {"head.weight": None}, "function": full.get}[
        kind
    ]
    twin.load_weights(path, name_map=name_map)
    check_equal(model, twin)


def test_arrays_of_our_own_layout_in_a_safetensors_file(tmp_path):
    model, twin = drawn(network()), drawn(network(), 1)
    arrays = {name: weight.numpy() for name, weight in fastconv.modelfile.weight_names(model).items()}
    save_file(arrays | {"step": np.zeros(2, "float32")}, tmp_path / "w.safetensors")
    twin.load_weights(tmp_path / "w.safetensors")
    check_equal(model, twin)


def test_what_cannot_be_told_is_shown_side_by_side(tmp_path):
    """Two Dense layers of one shape, whose names say nothing of their order, which safetensors does not keep."""
    model = Sequential([Input((3,)), layers.Dense(3), layers.Dense(3)])
    arrays = {
        f"{name}.{part}": np.ones(shape, "float32")
        for name in "ab"
        for part, shape in (("weight", (3, 3)), ("bias", (3,)))
    }
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(
        ValueError, match=r"(?s)name_map=.*in the file +in the model.*a.bias \(3,\) +dense/kernel \(3, 3\)"
    ):
        model.load_weights(tmp_path / "w.safetensors")
    torch_file(tmp_path / "w.pt", arrays)
    model.load_weights(tmp_path / "w.pt")  # a .pt keeps it


def test_a_part_of_a_file(path):
    model, twin = drawn(network()), drawn(network(), 1)
    arrays = state_dict(model, NAMED)
    arrays["fc.2.weight"] = np.zeros((9, 5), "float32")
    write(path, arrays)
    maps = dict(zip(NAMED, LAYERS)) | {"stem.conv": "conv2d"}
    before = twin.get_weights()
    with pytest.raises(
        ValueError, match=r"(?s)no array of the right shape for dense_1/kernel.*\(9, 5\) +dense_1/kernel \(2, 5\)"
    ):
        twin.load_weights(path, name_map=maps)
    for one, other in zip(before, twin.get_weights()):
        np.testing.assert_array_equal(one, other)
    with pytest.warns(UserWarning, match="dense_1/kernel: these weights stay"):
        twin.load_weights(path, skip_mismatch=True, name_map=maps)
    np.testing.assert_array_equal(twin.get_weights()[0], model.get_weights()[0])
    np.testing.assert_array_equal(twin.get_weights()[-2], before[-2])


MAPS = [
    ({}, "name_map says nothing of"), ({"0": "conv"}, "Unknown weight or layer for '0.(weight|bias)' in name_map: 'conv'"),
    (dict.fromkeys(MODULES, "dense"), "two arrays|Unknown weight or layer"), ([], "must be a dict or a function"),
]  # fmt: skip


@pytest.mark.parametrize("name_map, message", MAPS, ids=range(len(MAPS)))
def test_maps_that_are_wrong(path, name_map, message):
    write(path, state_dict(network()))
    with pytest.raises((ValueError, TypeError), match=message):
        network().load_weights(path, name_map=name_map)


# Files that are wrong

ONE = {"fc.weight": np.ones((2, 3), "float32"), "fc.bias": np.ones(2, "float32")}
SYSTEM = b"cos\nsystem\n" + pickled(("true",)) + b"R"
LIES = {
    "a name of Python's": ({"pickle": SYSTEM}, "asks for os.system"),
    "another name of torch": ({"pickle": b"ctorch.hub\nload\n" + pickled(("x",)) + b"R"}, "torch.hub.load"),
    "builtins": ({"pickle": b"cbuiltins\ngetattr\n"}, "builtins.getattr"),
    "an object": ({"pickle": b"(icollections\nOrderedDict\n"}, "does INST"), "an extension": ({"pickle": b"\x82\x01"}, "does EXT1"),
    "a new object": ({"pickle": b"ccollections\nOrderedDict\n)\x81"}, "does NEWOBJ"),
    "a memo of gigabytes": ({"pickle": b"}r" + struct.pack("<I", 2**31)}, "does LONG_BINPUT"),
    "bytes of gigabytes": ({"pickle": b"\x96" + struct.pack("<Q", 2**40)}, "expected|does"),
    "a whole model": ({"wrap": lambda value: Global("__main__", "Net")}, "save model.state_dict"),
    "a list": ({"pickle": pickled((1, 2))}, "a tuple, not a state dict"), "nothing": ({"pickle": b"}"}, "0 state dicts"),
    "beyond its storage": ({"offset": 4}, "within its storage"), "long strides": ({"strides": (2**40, 1)}, "within|described|strides"),
    "negative strides": ({"strides": (-3, 1)}, "no sizes"), "a bomb of a shape": ({"shape": (2**31, 2**31), "strides": (0, 0)}, "within"),
    "texts as sizes": ({"shape": ("2", "3")}, "no sizes"), "fewer strides": ({"strides": ()}, "the strides"),
    "a storage of gigabytes": ({"count": 2**40}, "are declared"), "a short storage": ({"content": b"1234"}, "are declared"),
    "no such storage": ({"pid": ("storage", Global("torch", "FloatStorage"), "../../x", "cpu", 6)}, "no item named|x"),
    "no storage": ({"pid": ("module", Global("torch", "FloatStorage"), "0", "cpu", 6)}, "no storage"),
    "unknown numbers": ({"kind": "QInt8Storage"}, "torch.QInt8Storage"), "compressed": ({"compression": zipfile.ZIP_DEFLATED}, "declared"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_hostile_state_dict_is_refused_by_name(tmp_path, name):
    changes, message = LIES[name]
    torch_file(tmp_path / "w.pt", ONE, **changes)
    model = Sequential([Input((3,)), layers.Dense(2)])
    before = model.get_weights()
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"(?s)w\.pt.*({message})"):
        model.load_weights(tmp_path / "w.pt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}.", b"x" * 100])
def test_no_file_of_pytorch(tmp_path, content):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pt is damaged, or of a PyTorch before 1\.6"):
        network().load_weights(tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError):
        network().load_weights(tmp_path / "nothing.pt")
    with pytest.raises(ValueError, match="is a folder"):
        (tmp_path / "folder.pt").mkdir()
        network().load_weights(tmp_path / "folder.pt")


def test_an_archive_of_a_later_zip_is_named(tmp_path):
    torch_file(tmp_path / "w.pt", ONE)
    content = bytearray((tmp_path / "w.pt").read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 128  # the version that its first entry needs
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pt is damaged.*version 12\.8"):
        network().load_weights(tmp_path / "w.pt")


def test_every_damaged_byte_of_a_state_dict_is_no_crash(tmp_path):
    torch_file(tmp_path / "w.pt", ONE)
    content, random = (tmp_path / "w.pt").read_bytes(), np.random.default_rng(0)
    model = Sequential([Input((3,)), layers.Dense(2)])
    for place in random.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[place] ^= 1 << random.integers(8)
        (tmp_path / "w.pt").write_bytes(damaged)
        try:
            model.load_weights(tmp_path / "w.pt")
        except ValueError as error:
            assert "w.pt" in str(error)


# Keras 2


def legacy(path, model, change=None, whole=False):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = root.create_group(layer.name)
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = [f"{layer.name}/{weight.name}:0" for weight in weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, weights):
                group[name] = weight.numpy()
        if change is not None:
            change(root)


@pytest.mark.parametrize("name, whole", [("w.h5", False), ("w.hdf5", True), ("w.h5", True), ("w.weights.h5", False)])
def test_weights_of_keras_2(tmp_path, name, whole):
    model, twin = drawn(network()), drawn(network(), 1)
    legacy(tmp_path / name, model, whole=whole)
    twin.load_weights(tmp_path / name)
    check_equal(model, twin)
    with pytest.raises(ValueError, match="weights alone: build the model"):
        fastconv.models.load_model(tmp_path / name)


def listed(root, names):
    root.attrs["layer_names"] = names


CHANGES = [
    (lambda root: listed(root, [b"conv2d"]), "weights of|no group"), (lambda root: listed(root, [b"../x"]), "no group"),
    (lambda root: root[next(iter(root))].attrs.__delitem__("weight_names"), "weights of"),
    (lambda root: [root[name].attrs.__setitem__("weight_names", [b"a/b"] * 2) for name in root], "weights of 9 layers"),
]  # fmt: skip


@pytest.mark.parametrize("change, message", CHANGES, ids=range(len(CHANGES)))
def test_a_wrong_file_of_keras_2_is_refused(tmp_path, change, message):
    model = network()
    legacy(tmp_path / "w.h5", model, change)
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"w\.h5: .*({message})"):
        model.load_weights(tmp_path / "w.h5")
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)
