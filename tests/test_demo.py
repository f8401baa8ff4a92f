"""The page of `fastconv demo`: what it is told of a network, what its server refuses, how it ends. No browser; that is
test_demo_browser.py's. Contract: small networks, mnist-mini, requests to this machine only."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import numpy as np
import pytest
from helpers import INSTALLED
from helpers_demo import PAD, drawing, request, served, unpacked

import fastconv
from fastconv import Input, Model, Sequential, layers
from fastconv.cli import main
from fastconv.cli.digits import placed
from fastconv.cli.recipes import Recipe
from fastconv.datasets import mnist_mini
from fastconv.demo.seeing import MOST_MAPS, Viewer, check
from fastconv.demo.session import Busy, Session

QUICK = Recipe("adam", 0.01, 200, 1, "falling", "fast")
LONG = QUICK._replace(epochs=1000)


@pytest.fixture(scope="module")
def digits():
    return mnist_mini.load_data()[1][0]


def net(*stack, shape=(28, 28, 1)):
    fastconv.utils.set_random_seed(0)
    return Sequential([Input(shape), *stack])


def small():
    return net(layers.Conv2D(3, 5, activation="relu"), layers.MaxPooling2D(4), layers.Flatten(),
               layers.Dense(10, activation="softmax"))  # fmt: skip


def looked(model, image):
    return unpacked(Viewer(model).look(image[..., None]))


# What a network makes of an image


def test_maps_and_probabilities_are_the_models_own(digits):
    model = small()
    head, image, [(conv, kept), (pooled, _)] = looked(model, digits[0])
    x = digits[:1, ..., None].astype("float32") / 255
    np.testing.assert_allclose(head["probabilities"], model.predict(x, verbose=0)[0], atol=1e-6)
    assert (image == digits[0]).all()
    for layer, seen, told in zip(model.layers, (conv, pooled), head["layers"]):
        values = Model(model.inputs[0], layer.output).predict(x, verbose=0)[0]
        assert told["high"] == values.max() and told["size"] == list(values.shape[:2])
        np.testing.assert_allclose(seen, np.moveaxis(values, 2, 0) / values.max() * 255, atol=0.5001)


def test_kept_pixels_are_the_largest_of_their_windows(digits):
    model = small()
    kept = looked(model, digits[0])[2][0][1]
    values = Model(model.inputs[0], model.layers[0].output).predict(digits[:1, ..., None] / np.float32(255), verbose=0)[
        0
    ]
    windows = values.reshape(6, 4, 6, 4, 3).transpose(4, 0, 2, 1, 3).reshape(3, 6, 6, 16)
    first = np.eye(16, dtype="uint8")[windows.argmax(-1)] * (windows.max(-1) > windows.min(-1))[..., None]
    np.testing.assert_array_equal(kept, first.reshape(3, 6, 6, 4, 4).transpose(0, 1, 3, 2, 4).reshape(3, 24, 24))
    assert 0 < kept.sum() < 3 * 36


def test_equal_windows_keep_nothing_and_padded_ones_what_they_hold():
    assert not looked(small(), np.zeros((28, 28), "uint8"))[2][0][1].any()
    overlapping = net(layers.Conv2D(2, 3, use_bias=False), layers.MaxPooling2D(3, strides=2, padding="same"),
                      layers.GlobalAveragePooling2D())  # fmt: skip
    noise = np.random.default_rng(0).integers(0, 256, (28, 28)).astype("uint8")
    kept = looked(overlapping, noise)[2][0][1]
    assert 2 * 49 < kept.sum() <= 2 * 13 * 13  # 13 x 13 windows share pixels


def test_an_empty_image_is_held_against_the_last_drawing(digits):
    viewer = Viewer(net(layers.Conv2D(2, 3, bias_initializer="ones"), layers.Flatten(), layers.Dense(10)))
    blank = np.zeros((28, 28, 1), "uint8")
    assert unpacked(viewer.look(blank))[2][0][0].min() == 255
    largest = unpacked(viewer.look(digits[0][..., None]))[0]["layers"][0]["high"]
    assert unpacked(viewer.look(blank))[2][0][0].max() == round(255 / largest) < 200


INNER = Sequential([Input((28, 28, 1)), layers.Conv2D(2, 3), layers.ReLU()])
SHOWN = [
    ("what repeats its input is not shown", lambda: net(layers.Dropout(0.5), layers.Conv2D(2, 3), layers.Dropout(0.5),
     layers.MaxPooling2D(), layers.Flatten(), layers.Dense(7), layers.Dense(10)),
     [("Conv2D", 26, 26), ("MaxPooling2D", 13, 13), ("Dense", 1, 7)]),
    ("a model inside shows its layers", lambda: net(INNER, layers.Flatten(), layers.Dense(10)),
     [("Conv2D", 26, 26), ("ReLU", 26, 26)]),
    ("large maps are thinned out", lambda: net(layers.UpSampling2D(8), layers.GlobalAveragePooling2D(), layers.Dense(3)),
     [("UpSampling2D", 56, 56), ("GlobalAveragePooling2D", 1, 1)]),
    ("no layer but the last", lambda: net(layers.Flatten(), layers.Dense(10)), []),
    ("numbers are thinned out", lambda: net(layers.Flatten(), layers.Dense(1000), layers.Dense(10)), [("Dense", 1, 500)]),
]  # fmt: skip


@pytest.mark.parametrize("make, expected", [row[1:] for row in SHOWN], ids=[row[0] for row in SHOWN])
def test_layers_shown(make, expected, digits):
    head = looked(make(), digits[0])[0]
    assert [(layer["kind"], layer["rows"], layer["columns"]) for layer in head["layers"]] == expected


def test_pooling_is_known_behind_a_layer_that_repeats(digits):
    head = looked(SHOWN[0][1](), digits[0])[0]
    assert head["layers"][0]["pool"] == {"size": [2, 2], "strides": [2, 2], "place": 1}


def test_many_maps_and_layers_are_sampled_and_counted(digits):
    deep = net(*(layers.Conv2D(2, 3, padding="same") for _ in range(20)), layers.Conv2D(100, 3), layers.Flatten(),
               layers.Dense(10))  # fmt: skip
    head = looked(deep, digits[0])[0]
    assert len(head["layers"]) == 16 and head["left_out"] == 5
    assert head["layers"][-1]["count"] == 100 and len(head["layers"][-1]["shown"]) == MOST_MAPS


def test_numbers_that_are_none_are_counted(digits):
    model = small()
    model.layers[0].set_weights([np.full((5, 5, 1, 3), np.nan, "float32"), np.zeros(3, "float32")])
    head = looked(model, digits[0])[0]
    assert head["probabilities"] is None and head["layers"][0]["broken"] == 3 * 24 * 24
    assert {value for filter in Viewer(model).filters()["values"] for value in filter} == {128}


OUTPUTS = [("softmax", 10), (None, 10), ("sigmoid", 1)]


@pytest.mark.parametrize("activation, classes", OUTPUTS)
def test_probabilities_of_any_output_sum_to_one(activation, classes, digits):
    head = looked(net(layers.Flatten(), layers.Dense(classes, activation=activation)), digits[0])[0]
    assert len(head["probabilities"]) == max(classes, 2) and sum(head["probabilities"]) == pytest.approx(1)


MISFITS = [
    (
        lambda: net(layers.Flatten(), layers.Dense(10), shape=(32, 32, 3)),
        r"x takes inputs of shape \(None, 32, 32, 3\)",
    ),
    (lambda: net(layers.Dense(10), shape=(784,)), r"x takes inputs of shape \(None, 784\)"),
    (lambda: net(layers.Conv2D(3, 3)), r"x gives outputs of shape \(None, 26, 26, 3\)"),
    (lambda: Sequential([layers.Dense(3)]), "x takes inputs of shape None"),
]


@pytest.mark.parametrize("make, match", MISFITS)
def test_networks_that_do_not_fit(make, match):
    with pytest.raises(ValueError, match=match):
        check(make(), "x")


# A session


def finished(session):
    while session.state()["status"] == "training":
        time.sleep(0.01)
    return session.state()


def test_training_is_seen_and_gives_the_same_weights_each_time():
    found = []
    for _ in range(2):
        session = Session(recipe=QUICK)
        state = finished(session)
        session.close()
        found.append((state["loss"], state["tests"], state["filters"]))
        assert state["status"] == "ready" and state["step"] == state["steps"] == 20
        assert [step for step, _ in state["loss"]] == [5, 10, 15, 20] and state["loss"][-1][1] < state["loss"][0][1]
        assert state["tests"][0][1] > 0.8
        assert json.loads(json.dumps(state, allow_nan=False))["version"] == state["version"] > 4
    assert found[0] == found[1]


def test_one_training_at_a_time_which_can_be_stopped():
    session = Session(recipe=LONG)
    with pytest.raises(Busy, match="stop it first"):
        session.train()
    session.stop()
    state = finished(session)
    assert state["status"] == "stopped" and state["step"] < state["steps"]
    session.train()
    assert session.state()["status"] == "training"
    session.close()
    assert session.state()["status"] == "stopped"


def test_a_training_that_fails_says_so(monkeypatch):
    def broken(*arguments, **options):
        raise MemoryError("no room")

    monkeypatch.setattr(Sequential, "fit", broken)
    session = Session(recipe=QUICK)
    assert finished(session)["message"] == "Training failed: no room"


def test_drawings_are_placed_as_mnists_digits_are(digits):
    session = Session(small(), "x")
    assert (unpacked(session.look(drawing(digits[0])))[1] == placed(np.kron(digits[0], np.ones((5, 5))))[..., 0]).all()
    assert not unpacked(session.look(bytes(PAD * PAD)))[1].any()
    samples = np.frombuffer(session.samples(), "uint8").reshape(-1, 785)
    assert sorted(set(samples[:, 0])) == list(range(10)) and len(samples) == 30
    with pytest.raises(ValueError, match="A drawing is 140 x 140 bytes, 19600; got 3"):
        session.look(b"abc")


# The server


@pytest.fixture(scope="module")
def port():
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with served(Session(small(), "small.safetensors", QUICK)) as port:
        yield port


def test_the_page_is_whole_and_takes_nothing_from_elsewhere(port):
    texts = {}
    for path, kind in {
        "/": "text/html",
        "/demo.css": "text/css",
        "/demo.js": "text/javascript",
        "/icon.svg": "image/svg",
    }.items():
        status, headers, body = request(port, "GET", path)
        assert status == 200 and headers["content-type"].startswith(kind)
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        texts[path] = body.decode()
    assert not re.search(r"//|style=|<style|<script>| on\w+=", texts["/"])
    assert not any(re.search("https?:", texts[path]) for path in ("/demo.css", "/demo.js"))
    assert set(re.findall(r'\$\("([\w-]+)"\)', texts["/demo.js"])) <= set(re.findall(r' id="([\w-]+)"', texts["/"]))
    assert sum(len(file.read_bytes()) for file in resources.files("fastconv.demo").joinpath("page").iterdir()) < 30_000


def ok(port, digits):
    status, _, body = request(port, "POST", "/look", drawing(digits[1]))
    return status == 200 and len(unpacked(body)[0]["probabilities"]) == 10


REFUSED = [
    ("another host", "GET", "/", {"Host": "evil.example:{port}"}, None, 403),
    ("another port", "GET", "/", {"Host": "127.0.0.1:1"}, None, 403),
    ("a host without its port", "GET", "/state", {"Host": "localhost"}, None, 403),
    ("no host", "GET", "/", {"Host": None}, None, 400),
    ("another origin", "POST", "/train", {"Origin": "http://evil.example"}, b"", 403),
    ("a page without an origin", "POST", "/stop", {"Origin": "null"}, b"", 403),
    ("no origin", "POST", "/look", {"Origin": None}, bytes(PAD * PAD), 403),
    ("too large", "POST", "/look", {"Content-Length": PAD * PAD + 1}, b"x", 413),
    ("far too large", "POST", "/look", {"Content-Length": 10**15}, b"x", 413),
    ("beyond all numbers", "POST", "/look", {"Content-Length": 10**30}, b"x", 400),
    ("no length", "POST", "/look", {"Content-Length": None, "Transfer-Encoding": "chunked"}, b"0\r\n\r\n", 411),
    ("a negative length", "POST", "/look", {"Content-Length": -1}, b"", 400),
    ("too small", "POST", "/look", {}, b"abc", 400),
    ("empty", "POST", "/look", {}, b"", 400),
    ("no such path", "GET", "/../../etc/passwd", {}, None, 404),
    ("nor one that is coded", "GET", "/%2e%2e/session.py", {}, None, 404),
    ("the wrong method", "GET", "/train", {}, None, 405),
    ("an unknown method", "BREW", "/state", {}, None, 405),
]


@pytest.mark.parametrize(
    "method, path, headers, body, status", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refusals(port, digits, method, path, headers, body, status):
    headers = {name: value and str(value).format(port=port) for name, value in headers.items()}
    assert request(port, method, path, body, **headers)[0] == status
    assert ok(port, digits)


GARBAGE = [b"", b"\0" * 5000, b"GET\r\n\r\n", b"POST /look HTTP/1.1\r\nContent-Length: 19600\r\n\r\n\xff", b"\x16\x03\x01\x02\x00",
           b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", bytes(range(256)) * 100,
           b"GET / HTTP/1.1\r\nX: " + b"x" * 5_000_000]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_does_no_harm(port, digits, capfd, garbage):
    with socket.create_connection(("127.0.0.1", port)) as connection, contextlib.suppress(OSError):  # it may hang up
        connection.sendall(garbage)
    assert ok(port, digits)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_body_that_does_not_come(port, digits, monkeypatch, capfd):
    from fastconv.demo import server

    monkeypatch.setattr(server, "PATIENCE", 0.1)
    assert request(port, "POST", "/look", b"abc", **{"Content-Length": 19600})[0] == 408
    with socket.create_connection(("127.0.0.1", port)) as connection:  # and one whose sender leaves
        connection.sendall(
            f"POST /look HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\nx".encode()
        )
    assert ok(port, digits)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_many_requests_at_once_get_the_same_answer(port, digits):
    with ThreadPoolExecutor(30) as pool:
        answers = [*pool.map(lambda _: request(port, "POST", "/look", drawing(digits[2])), range(60))]
    assert {status for status, _, _ in answers} == {200} and len({body for _, _, body in answers}) == 1


def test_training_from_the_page(port):
    state = lambda answer: json.loads(answer[2])  # noqa: E731
    assert state(request(port, "GET", "/state", Host=f"LOCALHOST:{port}"))["title"] == "small.safetensors"
    assert state(request(port, "POST", "/train"))["status"] == "training"
    while state(request(port, "GET", "/state"))["status"] == "training":
        time.sleep(0.02)
    assert state(request(port, "GET", "/state"))["tests"][0][1] > 0.8


def test_a_second_training_is_refused_until_the_first_is_stopped():
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with served(Session(recipe=LONG)) as port:
        status, _, body = request(port, "POST", "/train")
        assert status == 409 and b"stop it first" in body
        assert request(port, "POST", "/stop")[0] == 200


# The command


def test_without_the_extra_its_name_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["demo"]) == 1
    assert (
        capsys.readouterr().err
        == "fastconv demo: The page needs starlette and uvicorn: pip install 'fastconv[demo]'.\n"
    )


@pytest.mark.parametrize(
    "value, said", [("-1", "from 0 to 65535; got -1"), ("65536", "from 0 to"), ("x", "a whole number")]
)
def test_bad_ports(capsys, value, said):
    assert main(["demo", "--port", value]) == 2
    assert said in capsys.readouterr().err


def test_what_cannot_be_served_is_one_line(port, capsys, tmp_path):
    wrong = str(tmp_path / "wrong.safetensors")
    MISFITS[0][0]().save(wrong)
    for arguments, said in [
        (["--port", str(port)], f"port {port} cannot be opened: Address already in use; leave --port out"),
        (["--model", wrong], r"wrong\.safetensors takes inputs of shape \(None, 32, 32, 3\); the page draws images of"),
        (["--model", "none.safetensors"], "there is no file 'none.safetensors'"),
    ]:
        assert main(["demo", "--no-browser", *arguments]) == 1
        captured = capsys.readouterr()
        assert re.search(said, captured.err) and captured.err.count("\n") == 1 and not captured.out


def test_a_model_file_is_served(port, monkeypatch, capsys, tmp_path):
    from fastconv.demo import server

    found = []
    monkeypatch.setattr(server, "serve", lambda session, listening: found.append(session.state()))
    path = str(tmp_path / "small.safetensors")
    small().save(path)
    assert main(["demo", "--no-browser", "--model", path]) == 0
    assert found[0]["status"] == "ready" and found[0]["title"] == path
    assert re.fullmatch(r"Draw a digit at http://127\.0\.0\.1:\d+/ \(Ctrl-C ends it\)\n", capsys.readouterr().out)


def test_ctrl_c_ends_it_in_order_and_its_training(digits):
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with subprocess.Popen([sys.executable, "-m", "fastconv", "demo", "--no-browser"], text=True, cwd=INSTALLED,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        try:
            address = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
            assert ok(int(address[1]), digits)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == "" and process.stdout.read() == ""
        finally:
            process.kill()
