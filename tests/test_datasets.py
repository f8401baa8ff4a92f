"""fastconv.datasets: what ships, what is found, what is downloaded, and what is refused.

The network is a server on 127.0.0.1 and MNIST is a small synthetic set of the same structure; no test reaches
out, and none needs MNIST itself.
"""

import gzip
import hashlib
import http.server
import io
import os
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import python

from fastconv.datasets import _files, _network, mnist, mnist_mini

SHAPES = {"x_train": (6, 28, 28), "y_train": (6,), "x_test": (3, 28, 28), "y_test": (3,)}
ARRAYS = {key: np.random.default_rng(0).integers(0, 10, shape, np.uint8) for key, shape in SHAPES.items()}
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def npz(arrays=ARRAYS, save=np.savez_compressed):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


MIRRORS = [[source.name for source in mirror] for mirror in mnist.DATASET.mirrors]
NPZ = npz()
IDX = {IDX_NAMES[key]: idx(array) for key, array in ARRAYS.items()}
IDX_GZ = {name + ".gz": gzip.compress(content) for name, content in IDX.items()}


def assert_loads():
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    for key, array in zip(SHAPES, (x_train, y_train, x_test, y_test)):
        assert array.dtype == np.uint8 and array.flags.writeable
        np.testing.assert_array_equal(array, ARRAYS[key])


class Server(http.server.ThreadingHTTPServer):
    """Answers a GET of a name in `answers` with its bytes, or lets its function answer; counts requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests, self.closing = {"mnist.npz": NPZ, **IDX_GZ}, [], threading.Event()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        self.server.requests.append(name)
        answer = self.server.answers[name]
        if callable(answer):
            answer(self)
        else:
            self.reply(answer)

    def reply(self, body, status=200, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def stall(handler):
    handler.reply(NPZ[:1000], length=len(NPZ))
    handler.server.closing.wait(10)


def drip(handler):
    handler.reply(b"", length=len(NPZ))
    for position in range(len(NPZ)):
        handler.wfile.write(NPZ[position : position + 1])
        if handler.server.closing.wait(0.02):
            break


BAD_ANSWERS = {
    "corrupt": NPZ[:-1] + bytes([NPZ[-1] ^ 1]),
    "403": lambda handler: handler.reply(b"<html>Forbidden</html>", status=403),
    "500": lambda handler: handler.reply(b"", status=500),
    "login page": b"<html>Log in to this network first</html>",
    "stall": stall,
    "drip": drip,
    "half": lambda handler: handler.reply(NPZ[: len(NPZ) // 2], length=len(NPZ)),
    "half, no length": lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + NPZ[: len(NPZ) // 2]),
    "oversize": bytes(3 << 20),
    "no http": lambda handler: handler.wfile.write(b"\x00\x01\x02\r\n"),
    "empty": b"",
}


@pytest.fixture(autouse=True)
def synthetic_mnist(monkeypatch, tmp_path):
    """The small set in MNIST's place, an empty cache, no settings, no waiting."""
    for name in ("FASTCONV_DATA_DIR", "FASTCONV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(mnist, "DATASET", mnist.DATASET._replace(shapes=SHAPES))
    for name, value in {"RETRY_DELAY": 0.0, "STALL_TIMEOUT": 0.3, "TOTAL_TIMEOUT": 0.6, "SLOWEST": 1e12}.items():
        monkeypatch.setattr(_network, name, value)


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        checksums = {
            "mnist.npz": hashlib.sha256(NPZ).hexdigest(),
            **{name + ".gz": hashlib.sha256(content).hexdigest() for name, content in IDX.items()},
        }
        mirrors = tuple(
            tuple(_files.Source(server.url(name), checksums[name], name != "mnist.npz") for name in names)
            for names in MIRRORS
        )
        monkeypatch.setattr(mnist, "DATASET", mnist.DATASET._replace(mirrors=mirrors))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    """A function that fills FASTCONV_DATA_DIR with files given by relative path."""
    root = tmp_path / "data"
    (root / "mnist").mkdir(parents=True)
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(root))
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")

    def fill(files):
        for name, content in files.items():
            (root / name).write_bytes(content)
        return root

    return fill


def cached():
    folder = _files.cache_dir() / "mnist"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# What ships


def test_mnist_mini_is_complete():
    (x_train, y_train), (x_test, y_test) = mnist_mini.load_data()
    assert x_train.shape == (4000, 28, 28) and x_test.shape == (1000, 28, 28)
    assert x_train.dtype == x_test.dtype == y_train.dtype == y_test.dtype == np.uint8
    assert x_train.max() == x_test.max() == 255
    np.testing.assert_array_equal(np.bincount(y_train), [400] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [100] * 10)


def test_mnist_mini_arrays_are_the_callers_own():
    mnist_mini.load_data()[0][0][:] = 0
    assert mnist_mini.load_data()[0][0].any()


# FASTCONV_DATA_DIR


@pytest.mark.parametrize(
    "files",
    [
        {"mnist/" + name: content for name, content in IDX_GZ.items()},
        {"mnist/" + name: content for name, content in IDX.items()},
        {"mnist/" + name: content for name, content in zip(IDX_GZ, IDX.values())},  # .gz that a browser unpacked
        {"mnist.npz": NPZ},
        {"mnist/mnist.npz": NPZ},
        {"mnist.npz": npz(save=np.savez)},
    ],
    ids=["gz", "plain", "misnamed", "npz", "folder npz", "uncompressed npz"],
)
def test_data_dir(data_dir, files):
    data_dir(files)
    assert_loads()


X_NAME, Y_NAME = IDX_NAMES["x_train"], IDX_NAMES["y_test"]


def with_bad(name, content):
    good = {"mnist/" + other: IDX[other] for other in IDX if other != name.removesuffix(".gz")}
    return {**good, "mnist/" + name: content}


def zipped(entries, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy_header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HEADER = b"{'descr': '|u1', 'fortran_order': False, 'shape': (6, 28, 28), }\n"
HOSTILE_HEADERS = [
    HEADER[:-6], HEADER.replace(b"}", b"[1]: 2}"), b"-" * 9000 + b"1", b"(" * 9000, b"{1: 2, 'a': 3}", b"'''", b" 1\n2",
    b"", b"{'descr': ('|u1', -5), 'fortran_order': False, 'shape': (1,)}", b"\xff\xfe",
]  # fmt: skip


@pytest.mark.parametrize(
    "files, named, match",
    [
        (with_bad(X_NAME, IDX[X_NAME][:-1]), X_NAME, "must have 4,720 bytes"),
        (with_bad(X_NAME, IDX[X_NAME] + b"\0"), X_NAME, "is longer"),
        (with_bad(X_NAME, b""), X_NAME, "nothing"),
        (with_bad(X_NAME, b"<html>Forbidden</html>"), X_NAME, "begins with 3c68746d6c"),
        (with_bad(X_NAME, idx(ARRAYS["x_test"])), X_NAME, "IDX file of uint8"),
        (with_bad(X_NAME, bytes(2 << 20)), X_NAME, "at most"),
        (with_bad(X_NAME + ".gz", IDX_GZ[X_NAME + ".gz"][:-9]), X_NAME, "damaged gzip"),
        (with_bad(X_NAME + ".gz", b"\x1f\x8b" + b"?" * 40), X_NAME, "damaged gzip"),
        (with_bad(X_NAME + ".gz", gzip.compress(bytes(20 << 20))), X_NAME, "IDX file"),
        (with_bad(X_NAME + ".gz", gzip.compress(IDX[X_NAME] + bytes(20 << 20))), X_NAME, "is longer"),
        (with_bad(Y_NAME, idx(np.array([1, 10, 0], np.uint8))), Y_NAME, "labels from 0 to 9; got 10"),
        ({"mnist/" + X_NAME: IDX[X_NAME]}, IDX_NAMES["y_train"], "only a part of mnist"),
    ],
)
def test_data_dir_refuses_idx(data_dir, files, named, match):
    root = data_dir(files)
    with pytest.raises(ValueError, match=match) as caught:
        mnist.load_data()
    assert named in str(caught.value) and str(root) in str(caught.value)


@pytest.mark.parametrize(
    "content, match",
    [
        (NPZ[:2000], "must be an .npz file"),
        (b"<html>", "must be an .npz file"),
        (npz({"x_train": ARRAYS["x_train"]}), "y_train is missing"),
        (npz({**ARRAYS, "y_test": ARRAYS["y_test"].astype(int)}), "y_test must be uint8"),
        (npz({**ARRAYS, "x_test": ARRAYS["x_train"]}), "x_test must be uint8"),
        (npz({**ARRAYS, "y_test": np.array([1, 2, None])}), "y_test must be uint8"),
        (npz({**ARRAYS, "y_test": np.full(3, 77, np.uint8)}), "from 0 to 9; got 77"),
        (zipped({"x_train.npy": bytes(20 << 20)}), "x_train is not written in .npy format 1.0"),
        (
            zipped(
                {
                    "x_train.npy": npy_header(
                        b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28), }\n"
                    )
                }
            ),
            "x_train must",
        ),
        *[(zipped({"x_train.npy": npy_header(text)}), "a header that cannot be read") for text in HOSTILE_HEADERS],
        (zipped({"x_train.npy": npy_header(HEADER) + bytes(99)}), "must hold 4,704 bytes; it holds 99"),
        (zipped({"x_train.npy": npy_header(HEADER) + bytes(4705)}), "must hold 4,704 bytes; it holds more than 4,704"),
        (zipped({"x_train.npy": b"\x93NUMPY\x03\x00"}), "format"),
        (zipped({"x_train.npy": b""}, zipfile.ZIP_BZIP2), "compression"),
    ],
    ids=lambda value: value if isinstance(value, str) else "npz",
)
def test_data_dir_refuses_npz(data_dir, content, match):
    root = data_dir({"mnist.npz": content})
    with pytest.raises(ValueError, match=match) as caught:
        mnist.load_data()
    assert str(root / "mnist.npz") in str(caught.value)


def test_data_dir_takes_fortran_order(data_dir):
    data_dir({"mnist.npz": npz({key: np.asfortranarray(array) for key, array in ARRAYS.items()})})
    assert_loads()


def test_data_dir_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="FASTCONV_DATA_DIR must name a folder"):
        mnist.load_data()


def test_data_dir_without_mnist_goes_on(monkeypatch, tmp_path, server):
    monkeypatch.setenv("FASTCONV_DATA_DIR", str(tmp_path))
    assert_loads()


# The cache and the mirrors


def test_the_real_table_is_https_with_checksums():
    for mirror in mnist.DATASET.mirrors:
        for source in mirror:
            assert source.url.startswith("https://") and re.fullmatch("[0-9a-f]{64}", source.checksum)


def test_download_is_cached(server):
    assert_loads()
    assert cached() == ["mnist.npz"]
    assert_loads()
    assert server.requests == ["mnist.npz"]


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_bad_mirror_leaves_nothing_and_the_next_serves(server, bad):
    server.answers["mnist.npz"] = BAD_ANSWERS[bad]
    assert_loads()
    assert cached() == sorted(IDX_GZ)


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_no_good_mirror_says_what_to_do(server, bad):
    server.answers["mnist.npz"] = BAD_ANSWERS[bad]
    server.answers[X_NAME + ".gz"] = BAD_ANSWERS["403"]
    with pytest.raises(OSError, match="mnist is not available") as caught:
        mnist.load_data()
    for part in (server.url("mnist.npz"), server.url(X_NAME), "HTTP 403", "FASTCONV_DATA_DIR", "mnist_mini"):
        assert part in str(caught.value)
    assert cached() == []


@pytest.mark.parametrize(
    "bad, attempts",
    [
        ("half", 3),
        ("500", 3),
        ("403", 1),
        ("corrupt", 1),
        ("oversize", 1),
    ],
)
def test_only_passing_troubles_are_retried(server, bad, attempts):
    server.answers["mnist.npz"] = BAD_ANSWERS[bad]
    assert_loads()
    assert server.requests.count("mnist.npz") == attempts


def test_retry_succeeds(server):
    def once(handler):
        server.answers["mnist.npz"] = NPZ
        BAD_ANSWERS["half"](handler)

    server.answers["mnist.npz"] = once
    assert_loads()
    assert server.requests == ["mnist.npz"] * 2 and cached() == ["mnist.npz"]


def test_recompressed_idx_is_accepted(server):
    server.answers["mnist.npz"] = BAD_ANSWERS["403"]
    server.answers.update({name + ".gz": gzip.compress(content, 1) for name, content in IDX.items()})
    assert_loads()


def test_interrupted_mirror_is_completed(server):
    server.answers["mnist.npz"] = BAD_ANSWERS["403"]
    last = Y_NAME + ".gz"
    server.answers[last] = BAD_ANSWERS["403"]
    with pytest.raises(OSError):
        mnist.load_data()
    server.answers[last] = IDX_GZ[last]
    server.requests.clear()
    assert_loads()
    assert server.requests == ["mnist.npz", last]


@pytest.mark.parametrize("content", [NPZ[:1000], b"", bytes(2 << 20)], ids=["half", "empty", "long"])
def test_damaged_cache_is_replaced(server, content):
    path = _files.cache_dir() / "mnist" / "mnist.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert_loads()
    assert path.read_bytes() == NPZ


def test_offline_forbids_the_network(server, monkeypatch):
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")
    with pytest.raises(OSError, match="FASTCONV_OFFLINE"):
        mnist.load_data()
    assert server.requests == []
    monkeypatch.setenv("FASTCONV_OFFLINE", "0")
    assert_loads()
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")
    assert_loads()


def test_unwritable_cache_costs_a_warning_only(server, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.warns(UserWarning, match="cannot keep"):
        assert_loads()


def test_interrupt_leaves_no_partial_file(server, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mnist.load_data()
    assert cached() == []


def test_several_at_once(server):
    with ThreadPoolExecutor(4) as pool:
        for result in [pool.submit(assert_loads) for _ in range(4)]:
            result.result()
    assert cached() == ["mnist.npz"]


def test_import_loads_no_network_modules():
    program = (
        "import sys, fastconv.datasets; print({'urllib.request', 'http.client', 'gzip', 'tempfile'} & {*sys.modules})"
    )
    answer = python("-c", program)
    assert answer.stdout.strip() == "set()"
