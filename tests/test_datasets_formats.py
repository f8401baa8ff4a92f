"""Data sets in other forms than MNIST's: CIFAR, EMNIST, MedMNIST, time series; made small, damaged, and hostile.

Every set is found in FASTCONV_DATA_DIR, as files that were downloaded by hand are; tests/test_datasets.py has the network.
"""

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from fastconv import datasets
from fastconv.datasets import (
    _files,
    _pickles,
    cifar10,
    cifar100,
    emnist,
    fashion_mnist,
    kmnist,
    medmnist,
    mnist,
    ucr,
)

RNG = np.random.default_rng(0)


def bytes_of(shape, below=256):
    return RNG.integers(0, below, shape, np.uint8)


@pytest.fixture
def put(monkeypatch, tmp_path):
    """A function that puts files, {path: bytes}, into FASTCONV_DATA_DIR; the network is forbidden."""
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return put


def same(found, expected):
    for (x, y), (x_expected, y_expected) in zip(found, expected, strict=True):
        assert x.flags.writeable and y.flags.writeable
        np.testing.assert_array_equal(x, x_expected)
        np.testing.assert_array_equal(y, y_expected)


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


def zipped(entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npz(arrays, save=np.savez_compressed):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def tarred(entries):
    """A .tar.gz of files, {path: bytes}, or of TarInfos as they are."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in entries.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return stream.getvalue()


# Sets of MNIST's layout

SMALL = {
    "x_train": bytes_of((6, 28, 28)),
    "y_train": bytes_of(6, 10),
    "x_test": bytes_of((3, 28, 28)),
    "y_test": bytes_of(3, 10),
}
PAIRS = [(SMALL["x_train"], SMALL["y_train"]), (SMALL["x_test"], SMALL["y_test"])]
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def four(folder, ending=".gz"):
    return {f"{folder}/{name}{ending}": gzip.compress(idx(array)) if ending else idx(array)
            for name, array in zip(IDX_NAMES, SMALL.values())}  # fmt: skip


@pytest.mark.parametrize("module, files", [
    (fashion_mnist, four("fashion_mnist")), (fashion_mnist, four("fashion-mnist", "")),
    (fashion_mnist, four("FashionMNIST/raw")), (mnist, four("MNIST/raw", "")), (kmnist, four("kmnist")),
    (kmnist, {f"kmnist-{name}.npz": npz({"arr_0": array}) for name, array in
              zip(("train-imgs", "train-labels", "test-imgs", "test-labels"), SMALL.values())}),
])  # fmt: skip
def test_sets_of_mnists_layout(put, monkeypatch, module, files):
    monkeypatch.setattr(module, "DATASET", module.DATASET._replace(shapes={k: a.shape for k, a in SMALL.items()}))
    put(files)
    same(module.load_data(), PAIRS)


def test_mnists_files_do_not_pass_for_another_sets(put):
    put(four("mnist") | four("."))
    for module in (fashion_mnist, kmnist):
        with pytest.raises(
            OSError, match=f"{module.DATASET.name} is not available(.|\n)*FASTCONV_OFFLINE(.|\n)*What to do"
        ):
            module.load_data()


def test_the_advice_leads_to_a_place_where_files_are_found(put, monkeypatch):
    monkeypatch.setattr(
        fashion_mnist, "DATASET", fashion_mnist.DATASET._replace(shapes={k: a.shape for k, a in SMALL.items()})
    )
    put({})
    with pytest.raises(
        OSError, match="get train-images.*put it into a folder fashion_mnist, and set FASTCONV_DATA_DIR"
    ):
        fashion_mnist.load_data()
    put(four("fashion_mnist"))
    same(fashion_mnist.load_data(), PAIRS)
    with pytest.raises(OSError, match="get cifar-10-binary.tar.gz from https://.*, and set FASTCONV_DATA_DIR"):
        cifar10.load_data()


# CIFAR

CIFAR_SHAPES = {"x_train": (10, 32, 32, 3), "y_train": (10, 1), "x_test": (2, 32, 32, 3), "y_test": (2, 1)}
FORMS = {
    cifar10: ("cifar-10-batches-bin", "cifar-10-batches-py", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]),
    cifar100: ("cifar-100-binary", "cifar-100-python", ["train", "test"]),
}


@pytest.fixture(params=FORMS, ids=lambda module: module.__name__.rpartition(".")[2])
def cifar(request, monkeypatch):
    """(module, {file name: (images, [labels, ...])}, the pairs) of a small set."""
    module = request.param
    for name in {"DATASET", "COARSE_DATASET"} & vars(module).keys():
        monkeypatch.setattr(module, name, getattr(module, name)._replace(shapes=CIFAR_SHAPES))
    names = FORMS[module][2]
    files = {}
    for name in names:
        count = 2 if name == names[-1] else 10 // (len(names) - 1)
        labels = [bytes_of(count, 20), bytes_of(count, 100)] if module is cifar100 else [bytes_of(count, 10)]
        files[name] = (bytes_of((count, 32, 32, 3)), labels)
    train, test = list(files.values())[:-1], list(files.values())[-1]
    pairs = [(np.concatenate([x for x, _ in train]), np.concatenate([y[-1] for _, y in train])[:, None]),
             (test[0], test[1][-1][:, None])]  # fmt: skip
    return module, files, pairs


def record(images, labels):
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([np.stack(labels, axis=1), planes], axis=1).tobytes()


def python2(value):
    """The pickle of a value as Python 2, which the publisher used, writes it."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(key) + python2(part) for key, part in value.items()) + b"u"
    if isinstance(value, list):
        return b"]q\x07(" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, bytes):
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"M" + value.to_bytes(2, "little")
    shape = b"".join(map(python2, value.shape)) + b"\x86"
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85U\x01b\x87Rq\x02(K\x01" + shape
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + python2(value.tobytes()) + b"tb"
    )  # fmt: skip


def pickled(images, labels):
    keys = [b"labels"] if len(labels) == 1 else [b"coarse_labels", b"fine_labels"]
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    lists = {key: row.tolist() for key, row in zip(keys, labels)}
    return (
        b"\x80\x02"
        + python2({b"batch_label": b"a batch", **lists, b"data": planes, b"filenames": [b"a.png", b"b.png"]})
        + b"."
    )


def cifar_files(module, files, form):
    binary, python, _ = FORMS[module]
    folder, make = (binary, record) if "bin" in form else (python, pickled)
    ending = ".bin" if "bin" in form else ""
    loose = {f"{folder}/{name}{ending}": make(*content) for name, content in files.items()}
    if "tar" not in form:
        return loose
    readme = {f"{folder}/readme.html": b"hello"}
    archive = {"cifar-10-batches": "cifar-10", "cifar-100": "cifar-100"}[folder.rpartition("-")[0]]
    return {
        f"{archive}-{'binary' if 'bin' in form else 'python'}.tar.gz": tarred(readme | dict(reversed(loose.items())))
    }


@pytest.mark.parametrize("form", ["bin tar", "bin", "python tar", "python"])
def test_cifar_in_all_its_forms(put, cifar, form):
    module, files, pairs = cifar
    put(cifar_files(module, files, form))
    same(module.load_data(), pairs)
    if module is cifar100:
        (_, y), _ = module.load_data("coarse")
        np.testing.assert_array_equal(y[:, 0], files["train"][1][0])


def test_cifar_may_lie_in_its_own_folder(put, cifar):
    module, files, pairs = cifar
    name = module.__name__.rpartition(".")[2]
    put({f"{name}/{path}": content for path, content in cifar_files(module, files, "python tar").items()})
    same(module.load_data(), pairs)
    if module is cifar10:
        (x, y), _, names = datasets.load("cifar10")
        assert x.shape == (10, 32, 32, 3) and y.shape == (10,) and names == list(cifar10.CLASSES)


def entry(name, **facts):
    made = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(made, key, value)
    return made


BIN = "cifar-100-binary/train.bin"


@pytest.mark.parametrize("files, message", [
    ({BIN: b"1234", "cifar-100-binary/test.bin": b""}, "train.bin is not cifar100's: it must have 30,740 bytes; it has 4"),
    ({BIN: b"1234"}, "only a part of cifar100: .*test.bin is missing"),
    ({"cifar-100-binary.tar.gz": b"<html>"}, "cannot be read as a tar archive"),
    ({"cifar-100-binary.tar.gz": tarred({BIN: bytes(30740)})[:-200]}, "cannot be read as a tar archive"),
    ({"cifar-100-binary.tar.gz": tarred({BIN: bytes(30740)})}, "cifar-100-binary/test.bin is missing"),
    ({"cifar-100-binary.tar.gz": tarred({"../../" + BIN: bytes(30740)})}, "is missing"),
    ({"cifar-100-binary.tar.gz": tarred({BIN: entry(BIN, type=tarfile.SYMTYPE, linkname="/etc/passwd")})}, "is missing"),
    ({"cifar-100-binary.tar.gz": tarred({"x": bytes(60 << 20)})}, "unpacks to more than"),
    ({"cifar-100-binary.tar.gz": gzip.compress(entry(BIN, size=8 << 30).tobuf())}, "must have at most"),
    ({"cifar-100-binary.tar.gz": gzip.compress(entry("x", type=b"x", size=8 << 30).tobuf() + bytes(60 << 20))}, "tar archive"),
    ({"cifar-100-binary.tar.gz": bytes(2 << 20)}, "must hold at most"),
], ids=range(11))  # fmt: skip
def test_cifar_refuses(put, monkeypatch, files, message):
    monkeypatch.setattr(cifar100, "DATASET", cifar100.DATASET._replace(shapes=CIFAR_SHAPES))
    put(files)
    with pytest.raises(ValueError, match=message):
        cifar100.load_data()


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("echo never",)


PIXELS = np.zeros((1, 3), np.uint8)


@pytest.mark.parametrize("content, message", [
    (pickle.dumps(Evil(), 2), "asks for .*system', which is no array"),
    (pickle.dumps({b"data": Evil()}, 4), "instruction"), (pickle.dumps([1], 2), "no dict"),
    (b"\x80\x02cbuiltins\neval\nU\x011\x85R.", "asks for 'builtins eval'"),
    (b"\x80\x02cnumpy\nndarray\nK\x01\x85R.", "calls what is no array"),
    (b"\x80\x02}cnumpy\ndtype\nR.", "calls what is no array"), (b"\x80\x02c" + b"x" * 99, "name without end"),
    (b"\x80\x02}U\x01aT\xff\xff\xff\x7fx", "ends early"), (b"\x80\x02}", "ends early"), (b"", "ends early"),
    (b"\x80\x02}r\xff\xff\xff\x7f]]e.", "do not fit together"), (b"}]K\x01s.", "do not fit together"), (b"}h\x05.", "do not fit together"),
    (b"\x80\x02" + python2({b"data": PIXELS}).replace(b"u1K", b"O8K") + b".", "not one of bytes"),
    (b"\x80\x02" + python2({b"data": PIXELS}).replace(b"K\x01K\x03\x86", b"M\xff\xffM\xff\xff\x86") + b".", "not one of bytes"),
    (b"(" * 2000, "more than 1,000 instructions"), (b"\x80\x02B\x00\x00\x00\x01" + bytes(9) + b".", "ends early"),
], ids=range(17))  # fmt: skip
def test_pickles_that_are_anything_else_are_refused(monkeypatch, content, message):
    monkeypatch.setattr(_pickles, "MOST_STEPS", 1000)
    with pytest.raises(ValueError, match=message):
        _pickles.read(content)


def test_pickles_of_todays_python_are_read_as_well():
    found = _pickles.read(b"\x80\x02" + python2({b"data": PIXELS, b"n": 300, b"l": [1, 2], b"e": []}) + b".")
    np.testing.assert_array_equal(found.pop(b"data"), PIXELS)
    assert found == {b"n": 300, b"l": [1, 2], b"e": []}
    assert _pickles.read(pickle.dumps({b"a": [b"x" * 300, (1, None, True), -7]}, 3))[b"a"][1:] == [(1, None, True), -7]


def test_a_batch_with_other_contents_names_itself(put, monkeypatch):
    monkeypatch.setattr(cifar100, "DATASET", cifar100.DATASET._replace(shapes=CIFAR_SHAPES))
    good = pickled(bytes_of((10, 32, 32, 3)), [bytes_of(10, 20), bytes_of(10, 100)])
    for content, message in ((good.replace(b"fine_labels", b"find_labels"), "its fine_labels must be 10"),
                             (good.replace(b"U\x04data", b"U\x04date"), "its data must be 10 rows of 3,072")):  # fmt: skip
        put({"cifar-100-python/train": content, "cifar-100-python/test": good})
        with pytest.raises(ValueError, match=f"cifar-100-python.train is not cifar100's: {message}"):
            cifar100.load_data()


def test_labels_out_of_range(put, monkeypatch):
    monkeypatch.setattr(cifar100, "DATASET", cifar100.DATASET._replace(shapes=CIFAR_SHAPES))
    batch = {name: record(bytes_of((count, 32, 32, 3)), [np.full(count, 5, np.uint8), np.full(count, 100, np.uint8)])
             for name, count in (("train", 10), ("test", 2))}  # fmt: skip
    put({f"cifar-100-binary/{name}.bin": content for name, content in batch.items()})
    with pytest.raises(ValueError, match="train.bin: y_train must hold labels from 0 to 99; got 100"):
        cifar100.load_data()
    with pytest.raises(ValueError, match="'fine' or 'coarse'"):
        cifar100.load_data("both")


def test_cifars_tables():
    assert (
        len(set(cifar10.CLASSES)) == 10
        and len(set(cifar100.CLASSES)) == 100
        and len(set(cifar100.COARSE_CLASSES)) == 20
    )
    assert [source.name for (source,) in cifar10.DATASET.mirrors] == ["cifar-10-binary.tar.gz"] * 2


# EMNIST


@pytest.fixture
def letters(monkeypatch):
    """The four files of a small split, and what they hold."""
    monkeypatch.setitem(emnist.SPLITS, "letters", emnist.SPLITS["letters"]._replace(train=4, test=2))
    arrays = {}
    for part, count in (("train", 4), ("test", 2)):
        arrays[f"emnist-letters-{part}-images-idx3-ubyte"] = bytes_of((count, 28, 28))
        arrays[f"emnist-letters-{part}-labels-idx1-ubyte"] = bytes_of(count, 26) + 1
    x, y, x_test, y_test = arrays.values()
    return arrays, [(x.transpose(0, 2, 1), y - 1), (x_test.transpose(0, 2, 1), y_test - 1)]


@pytest.mark.parametrize("make", [
    lambda gz: {"emnist/gzip.zip": zipped({f"gzip/{name}": content for name, content in gz.items()})},
    lambda gz: {"emnist.zip": zipped(gz)}, lambda gz: {f"emnist/gzip/{name}": content for name, content in gz.items()},
    lambda gz: {f"EMNIST/raw/{name.removesuffix('.gz')}": gzip.decompress(content) for name, content in gz.items()}, dict,
])  # fmt: skip
def test_emnist_is_upright_and_counts_from_0(put, letters, make):
    arrays, pairs = letters
    put(make({f"{name}.gz": gzip.compress(idx(array)) for name, array in arrays.items()}))
    same(emnist.load_data("letters"), pairs)
    (x, _), _, names = datasets.load("emnist_letters")
    assert x.shape == (4, 28, 28, 1) and names[0] == "a" and len(names) == 26


def test_emnist_refuses(put, letters):
    arrays, _ = letters
    gz = {f"{name}.gz": gzip.compress(idx(array)) for name, array in arrays.items()}
    first, second, *_ = gz
    whole = zipped(gz)
    for content, message in (
        (b"<html>", "emnist.zip cannot be read as a zip archive"), (whole[:-99], "cannot be read as a zip archive"),
        (zipped({first: gz[first]}), f"{second} is missing"),
        (zipped(gz | {first: gzip.compress(idx(arrays[first[:-3]][:3]))}), "must be an IDX file of uint8"),
        (zipped(gz | {first: gz[first][:-40]}), f"{first}: damaged gzip data"),
        (zipped(gz | {second: gzip.compress(idx(np.zeros(4, np.uint8)))}), "labels from 1 on; got 0"),
        (zipped(gz | {second: gzip.compress(idx(np.full(4, 27, np.uint8)))}), "labels from 0 to 25; got 26"),
        (whole[:60] + bytes([whole[60] ^ 255]) + whole[61:], "emnist.zip"),
    ):  # fmt: skip
        put({"emnist.zip": content})
        with pytest.raises(ValueError, match=message):
            emnist.load_data()
    with pytest.raises(ValueError, match="split must be one of letters, digits, balanced"):
        emnist.load_data("byname")
    assert [len(split.classes) for split in emnist.SPLITS.values()] == [26, 10, 47, 10, 47, 62]


# MedMNIST


@pytest.fixture
def counts(monkeypatch):
    for name in ("pathmnist", "chestmnist", "organmnist3d"):
        monkeypatch.setitem(medmnist.INFO, name, medmnist.INFO[name]._replace(counts=(4, 2, 3)))


def parts(sample, classes=2, labels=1):
    return {f"{part}_{kind}": bytes_of((count, *sample)) if kind == "images" else bytes_of((count, labels), classes)
            for part, count in (("train", 4), ("val", 2), ("test", 3)) for kind in ("images", "labels")}  # fmt: skip


@pytest.mark.parametrize("name, size, sample, labels", [
    ("pathmnist", 28, (28, 28, 3), 1), ("pathmnist", 64, (64, 64, 3), 1), ("chestmnist", 28, (28, 28), 14),
    ("organmnist3d", 28, (28, 28, 28), 1), ("organmnist3d", 64, (64, 64, 64), 1),
])  # fmt: skip
def test_medmnist_in_three_parts(put, counts, name, size, sample, labels):
    arrays = parts(sample, labels=labels)
    file = f"{name}.npz" if size == 28 else f"{name}_{size}.npz"
    put({f"medmnist/{file}" if size == 64 else file: npz(arrays)})
    x, y, x_val, y_val, x_test, y_test = arrays.values()
    same(medmnist.load_data(name, size), [(x, y), (x_val, y_val), (x_test, y_test)])
    (found, labelled), (held_out, _), names = datasets.load(name if size == 28 else f"{name}_{size}")
    assert found.shape == (4, *sample) + (1,) * (sample[-1] != 3) and len(held_out) == 3
    assert labelled.shape == ((4,) if labels == 1 else (4, 14)) and names == list(medmnist.INFO[name].classes)


@pytest.mark.parametrize("change, message", [
    ({"train_labels": np.array([[0], [1], [2], [3]], np.int64)}, None),
    ({"train_labels": np.array([[0], [1], [2], [300]])}, "must lie from 0 to 255"),
    ({"train_labels": np.array([[0], [1], [2], [99]], np.uint8)}, "labels from 0 to 8; got 99"),
    ({"train_labels": np.array([[None]] * 4)}, "train_labels must be uint8"),
    ({"train_images": np.zeros((4, 28, 28, 3))}, "train_images must be uint8"),
    ({"val_images": np.zeros((2, 28, 28), np.uint8)}, "val_images must be uint8"),
], ids=range(6))  # fmt: skip
def test_medmnist_holds_what_it_should(put, counts, change, message):
    put({"pathmnist.npz": npz(parts((28, 28, 3)) | change)})
    if message is None:
        assert medmnist.load_data("pathmnist")[0][1].dtype == np.uint8
        return
    with pytest.raises(ValueError, match=message):
        medmnist.load_data("pathmnist")


def test_medmnists_table():
    assert len(medmnist.INFO) == 18
    for name, row in medmnist.INFO.items():
        assert len(row.md5) == (4 if row.rank == 2 else 2) and all(len(md5) == 32 for md5 in row.md5)
        assert medmnist.dataset(name, 64).mirrors[0][0].name == f"{name}_64.npz"
    assert len(medmnist.INFO["chestmnist"].classes) == 14
    with pytest.raises(ValueError, match="Did you mean 'pathmnist'"):
        medmnist.load_data("pathmnst")
    with pytest.raises(ValueError, match="organmnist3d must be one of 28, 64; got 224"):
        medmnist.load_data("organmnist3d", 224)


# Time series

TS = "#comment\n@problemName Toy\n@univariate false\n@classLabel true up down\n@data\n"


def test_ts(tmp_path):
    path = tmp_path / "toy.ts"
    path.write_text(TS + "1,2,3:4,5,6:down\n\n-1e1,2,3:4,5,6.5:up\n")
    x, y, classes = ucr.load_ts(path)
    np.testing.assert_array_equal(x, np.float32([[[1, 4], [2, 5], [3, 6]], [[-10, 4], [2, 5], [3, 6.5]]]))
    assert x.dtype == np.float32 and y.tolist() == [1, 0] and y.dtype == np.int64 and classes == ["up", "down"]
    path.write_text("@targetlabel true\n@data\n1,2:0.5\n3,4:7\n")
    x, y, classes = ucr.load_ts(str(path))
    assert x.shape == (2, 2, 1) and y.tolist() == [0.5, 7] and y.dtype == np.float32 and classes is None


def test_ts_of_unequal_lengths_with_missing_values(tmp_path):
    path = tmp_path / "toy.ts"
    path.write_text("@classLabel true 1 2\n@data\n1,?,3:1\n4:2\n")
    with pytest.raises(ValueError, match="series of 1 steps, others have 3: give pad_value"):
        ucr.load_ts(path, missing_value=0.0)
    with pytest.raises(ValueError, match="1 missing values: give missing_value"):
        ucr.load_ts(path, pad_value=0.0)
    x, _, _ = ucr.load_ts(path, pad_value=-1.0, missing_value=9.0)
    np.testing.assert_array_equal(x[..., 0], [[1, 9, 3], [4, -1, -1]])
    kept, _, _ = ucr.load_ts(path, 0.0, np.nan)
    np.testing.assert_array_equal(kept[..., 0], [[1, np.nan, 3], [4, 0, 0]])


def test_tsv(tmp_path):
    path = tmp_path / "toy.tsv"
    path.write_text("10\t1\t2\n-1\t3\t4\n2\t5\tNaN\n")
    x, y, classes = ucr.load_ts(path, pad_value=0.0)
    np.testing.assert_array_equal(x[..., 0], [[1, 2], [3, 4], [5, 0]])
    assert classes == ["-1", "2", "10"] and y.tolist() == [2, 0, 1]


@pytest.mark.parametrize("text, message", [
    ("", "no @data"), ("hello\n", "line 1: a .ts file begins with lines of @"), (TS, "holds no series"),
    ("@data\n1,2\n", "neither @classLabel nor @targetLabel"), (TS + "1,2:up\n1:2:up\n", "line 7 has 2 channels"),
    (TS + "1,2:3:up", "line 6: the channels of a series must be equally long"), (TS + "1,x:up", "line 6: 'x' is no number"),
    (TS + "1,2:left", "label 'left', which is none of up, down"), (TS + "1,inf:up", "too large for float32"),
    ("@timestamps true\n@classLabel true a\n@data\n", "timestamps, which are not supported"),
    (TS + "(2020-01-01,3),(2020-01-02,4):up", "timestamps|is no number"), ("@targetLabel true\n@data\n1:?\n", "series 1 is missing"),
    (TS + "up\n", "line 6 has 0 channels"), ("\x00\xff" * 40, "begins with lines of @"),
], ids=range(14))  # fmt: skip
def test_ts_refuses(tmp_path, text, message):
    (tmp_path / "toy.ts").write_text(text)
    with pytest.raises(ValueError, match=message):
        ucr.load_ts(tmp_path / "toy.ts")


TRAIN, TEST = "@classLabel true a b\n@data\n1,2:a\n3,4:b\n", "@classLabel true a b\n@data\n5,6:b\n"


@pytest.mark.parametrize("files", [
    {"GunPoint/GunPoint_TRAIN.ts": TRAIN, "GunPoint/GunPoint_TEST.ts": TEST},
    {"ucr/GunPoint_TRAIN.ts": TRAIN, "ucr/GunPoint_TEST.ts": TEST},
    {"UCRArchive_2018/GunPoint/GunPoint_TRAIN.tsv": "a\t1\t2\nb\t3\t4\n", "UCRArchive_2018/GunPoint/GunPoint_TEST.tsv": "b\t5\t6\n"},
    {"GunPoint.zip": {"GunPoint_TRAIN.ts": TRAIN, "GunPoint_TEST.ts": TEST, "../evil.txt": "no"}},
], ids=["folder", "ucr", "archive of 2018", "zip"])  # fmt: skip
def test_time_series_by_name(put, files):
    put({name: zipped(text) if isinstance(text, dict) else text.encode() for name, text in files.items()})
    (x, y), (x_test, y_test) = ucr.load_data("GunPoint")
    np.testing.assert_array_equal(x[..., 0], [[1, 2], [3, 4]])
    assert y.tolist() == [0, 1] and x_test.shape == (1, 2, 1) and y_test.tolist() == [1]
    assert datasets.load("ucr/GunPoint")[2] == ["a", "b"]


def test_time_series_in_a_folder(put):
    root = put({"my/Own_TRAIN.ts": TRAIN.encode(), "my/Own_TEST.ts": TEST.encode()})
    (x, _), _, names = datasets.load(root / "my")
    assert x.shape == (2, 2, 1) and names == ["a", "b"]


def test_time_series_that_are_not_there_or_fit_not(put):
    root = put({"A/A_TRAIN.ts": TRAIN.encode(), "A/A_TEST.ts": TEST.replace("5,6", "5,6,7").encode(), "B.zip": b"PK"})
    with pytest.raises(
        OSError, match="C is not available(.|\n)*no checksum(.|\n)*get C.zip from https://www.timeseries"
    ):
        ucr.load_data("C")
    with pytest.raises(ValueError, match="A_TRAIN.ts has series of 2 steps, others have 3"):
        ucr.load_data("A")
    assert ucr.load_data("A", pad_value=0.0)[0][0].shape == (2, 3, 1)
    with pytest.raises(ValueError, match="B.zip cannot be read as a zip archive"):
        ucr.load_data("B")
    damaged = bytearray(zipped({"D_TRAIN.ts": TRAIN, "D_TEST.ts": TEST}))
    damaged[50:60] = bytes(10)
    put({"D.zip": bytes(damaged)})
    with pytest.raises(ValueError, match="D_TRAIN.ts"):
        ucr.load_data("D")
    with pytest.raises(ValueError, match="name must be that of a set"):
        ucr.load_data("../A")
    assert root.is_dir()


# All of them


def test_the_tables_are_https_with_checksums_but_where_sums_are_strong():
    tables = [module.DATASET for module in (mnist, fashion_mnist, kmnist, cifar10, cifar100)]
    tables += [emnist.dataset("letters"), *(medmnist.dataset(name) for name in medmnist.INFO)]
    for source in (source for table in tables for mirror in table.mirrors for source in mirror):
        assert len(source.checksum) in (32, 64) and int(source.checksum, 16)
        assert source.url.startswith("https://") or len(source.checksum) == 64


def test_md5_guards_a_download_too(monkeypatch, tmp_path, counts):
    monkeypatch.delenv("FASTCONV_DATA_DIR", raising=False)
    monkeypatch.delenv("FASTCONV_OFFLINE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arrays = parts((28, 28, 3))
    origin = tmp_path / "pathmnist.npz"
    origin.write_bytes(npz(arrays))
    for md5, works in (("0" * 32, False), (hashlib.md5(origin.read_bytes()).hexdigest(), True)):
        table = medmnist.dataset("pathmnist")._replace(mirrors=((_files.Source(origin.as_uri(), md5),),))
        if works:
            x, y, *_ = arrays.values()
            same(_files.load(table)[:1], [(x, y)])
        else:
            with pytest.raises(OSError, match="wrong content: .* MD5"):
                _files.load(table)
        assert [path.name for path in (tmp_path / "cache").rglob("*.*")] == ["pathmnist.npz"] * works
