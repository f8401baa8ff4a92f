"""Models drawn: what boxes and lines there are, where they stand, SVG, DOT, files, and what notebooks show.

Needs no matplotlib, but for the PNG and PDF of plot_model.
"""

import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import fastconv
from fastconv import Input, Model, Sequential, layers, ops, utils
from fastconv.callbacks import History
from fastconv.drawing import Drawing, Show, contents_of
from fastconv.drawing.layout import _APART, arrange
from fastconv.models import model_from_json


def stack(shape=(12, 12, 1)):
    return Sequential([Input(shape), layers.Conv2D(4, 3, activation="relu", name="first"), layers.MaxPooling2D(),
                       layers.Flatten(), layers.Dense(3, name="last")])  # fmt: skip


def residual():
    x = start = Input((8, 8, 2), name="start")
    for n in range(3):
        y = layers.Conv2D(2, 3, padding="same", name=f"a{n}")(x)
        y = layers.Conv2D(2, 3, padding="same", name=f"b{n}")(y)
        x = layers.Add(name=f"sum{n}")([x, y])
    return Model(start, x)


def u_net():
    x = start = Input((16, 16, 1))
    kept = []
    for _ in range(3):
        kept.append(layers.Conv2D(2, 3, padding="same")(x))
        x = layers.MaxPooling2D()(kept[-1])
    for skip in reversed(kept):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    return Model(start, x)


def two_ends():
    image, facts = Input((8, 8, 1), name="image"), Input((5,), name="facts")
    x = layers.Flatten()(layers.Conv2D(2, 3)(image))
    both = layers.Concatenate(name="both")([x, layers.Dense(4)(facts)])
    return Model([image, facts], [layers.Dense(2, name="kind")(both), layers.Dense(1, name="price")(both)])


def siamese():
    encoder = stack()
    a, b = Input((12, 12, 1), name="a"), Input((12, 12, 1), name="b")
    return Model([a, b], ops.abs(encoder(a) - encoder(b)))


def dense_skips():
    outputs = [Input((4,))]
    for _ in range(8):
        outputs.append(layers.Dense(4)(layers.add(outputs) if len(outputs) > 1 else outputs[0]))
    return Model(outputs[0], layers.concatenate(outputs[1:]))


MODELS = [stack, residual, u_net, two_ends, siamese, dense_skips]


def names(contents):
    return [box.title.partition(" ")[0] for box in contents.boxes]


def named_lines(contents):
    found = names(contents)
    return {(found[source], found[target]) for source, target in contents.lines}


# Contents


def test_boxes_say_name_kind_and_shape_and_lines_follow_tensors():
    contents = contents_of(two_ends(), Show())
    assert ("image (InputLayer)", ("(None, 8, 8, 1)",)) in [(box.title, box.rows) for box in contents.boxes]
    assert {("image", "conv2d"), ("facts", "dense"), ("both", "kind"), ("both", "price")} <= {
        (re.sub(r"_\d+$", "", a), re.sub(r"_\d+$", "", b)) for a, b in named_lines(contents)
    }
    outputs = {name for name, box in zip(names(contents), contents.boxes) if box.is_output}
    assert outputs == {"kind", "price"} and len(contents.boxes) == 8 and len(contents.lines) == 7


def test_skips_are_lines_of_their_own():
    assert {("start", "sum0"), ("b0", "sum0"), ("sum0", "a1"), ("sum0", "sum1")} <= named_lines(
        contents_of(residual(), Show())
    )


ROWS = [
    (Show(names=False, shapes=False), "Conv2D", ()),
    (Show(shapes=False), "first (Conv2D)", ()),
    (Show(dtype=True), "first (Conv2D)", ("(None, 10, 10, 4)", "float32")),
    (Show(activations=True, trainable=True), "first (Conv2D)", ("activation: relu", "(None, 10, 10, 4)", "trainable")),
]  # fmt: skip


@pytest.mark.parametrize("show, title, rows", ROWS)
def test_what_a_box_says(show, title, rows):
    box = contents_of(stack(), show).boxes[1]
    assert (box.title, box.rows, box.family) == (title, rows, "conv")


def test_shared_models_are_boxes_call_by_call_and_open_when_asked():
    closed, opened = (contents_of(siamese(), Show(nested=nested)) for nested in (False, True))
    assert [box.family for box in closed.boxes] == ["input", "input", "model", "model", "merge", "merge"]
    assert closed.boxes[3].title.endswith("(Sequential), call 2") and closed.boxes[3].inside is None
    assert names(opened.boxes[2].inside)[1::3] == ["first", "last"]


# Places


@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
@pytest.mark.parametrize("make", MODELS)
def test_boxes_stand_apart_within_the_picture_and_lines_pass_none(make, rankdir):
    layout = Drawing(make(), Show(), rankdir).layout
    boxes = layout.boxes
    assert all(
        0 <= b.x and b.x + b.width <= layout.width and 0 <= b.y and b.y + b.height <= layout.height for b in boxes
    )
    for n, a in enumerate(boxes):
        for b in boxes[n + 1 :]:
            gaps = (
                max(a.x, b.x) - min(a.x + a.width, b.x + b.width),
                max(a.y, b.y) - min(a.y + a.height, b.y + b.height),
            )
            assert max(gaps) >= _APART - 1e-6
    for line in layout.lines:
        for x, y in curve_points(line):
            inside = [b for b in boxes if b.x + 1 < x < b.x + b.width - 1 and b.y + 1 < y < b.y + b.height - 1]
            assert not inside


def curve_points(line):
    points = np.array(line)
    t = np.linspace(0, 1, 9)[:, None]
    for n in range(0, len(points) - 1, 3):
        a, b, c, d = points[n : n + 4]
        yield from (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d


def test_a_stack_is_one_straight_column_and_skips_do_not_bend_it():
    for make in (stack, residual, u_net):
        middles = {round(box.x + box.width / 2, 0) for box in Drawing(make(), Show()).layout.boxes}
        assert len(middles) <= 2  # one pixel for the pull of a skip


def test_frames_hold_their_contents():
    layout = Drawing(siamese(), Show(nested=True)).layout
    frames = [box for box in layout.boxes if box.is_frame]
    assert len(frames) == 2 and len(layout.boxes) == 6 + 2 * 5
    for frame in frames:
        held = [b for b in layout.boxes if b is not frame and frame.x < b.x and b.x + b.width < frame.x + frame.width
                and frame.y < b.y and b.y + b.height < frame.y + frame.height]  # fmt: skip
        assert len(held) == 5


def test_one_model_gives_one_picture():
    model = residual()
    assert model.to_svg() == model.to_svg() != model.to_svg(rankdir="LR")


# SVG and DOT


@pytest.mark.parametrize("make", MODELS)
def test_svg_is_well_formed_and_complete(make):
    model = make()
    root = ElementTree.fromstring(model.to_svg(expand_nested=True))
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    drawing = Drawing(model, Show(nested=True))
    assert tags.count("rect") == len(drawing.layout.boxes) and tags.count("path") == len(drawing.layout.lines)
    assert "prefers-color-scheme:dark" in root[0].text and "script" not in tags and "image" not in tags


def evil():
    x = Input((4,), name="in<b>&\"'")
    return Model(x, layers.Dense(2, name="a<b><script>\x00\ud800\n$x$")(x), name='<m">')


def test_names_cannot_become_markup(tmp_path):
    model = evil()
    for text in (model.to_svg(), model._repr_html_(), model.layers[1]._repr_html_()):
        assert (
            text.encode() and "\0" not in text and "<script>" not in text and "<m" not in text and "in<b>" not in text
        )
    ElementTree.fromstring(model.to_svg())
    dot = utils.model_to_dot(model)
    dot.write(tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text() == dot.to_string() == str(dot)
    assert all(line.count('"') - line.count('\\"') in (0, 2) for line in str(dot).splitlines())


def test_dot_has_the_graph():
    text = utils.model_to_dot(two_ends(), show_shapes=True, rankdir="LR", dpi=96, splines="curved").to_string()
    assert text.startswith("digraph") and "rankdir=LR;" in text and "dpi=96;" in text and 'splines="curved";' in text
    assert text.count("[label=") == 8 and text.count(" -> ") == 7 and "(None, 8, 8, 1)" in text
    text = utils.model_to_dot(siamese(), expand_nested=True, subgraph=True).to_string()
    assert text.startswith("subgraph") and text.count("subgraph cluster_n") == 2 and " -> n2_0;" in text
    assert text.count("{") == text.count("}")


# Files


def test_plot_model_writes_svg_and_dot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    drawing = utils.plot_model(stack(), tmp_path / "m.svg", show_shapes=True, show_layer_names=True)
    assert (tmp_path / "m.svg").read_text() == drawing.svg == drawing._repr_svg_() and "first (Conv2D)" in drawing.svg
    assert repr(drawing).endswith("5 boxes, 4 lines>") and utils.plot_model(stack(), None).layout.lines
    utils.plot_model(stack(), tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text().startswith("digraph")


def test_plot_model_writes_png_and_pdf(tmp_path):
    pytest.importorskip("matplotlib")
    layout = utils.plot_model(siamese(), tmp_path / "m.png", show_shapes=True, expand_nested=True, dpi=96).layout
    head = (tmp_path / "m.png").read_bytes()[:24]
    size = [int.from_bytes(head[n : n + 4], "big") for n in (16, 20)]
    assert head[1:4] == b"PNG" and np.allclose(size, layout[:2], atol=1)
    utils.plot_model(evil(), tmp_path / "m.pdf", show_layer_names=True)
    assert (tmp_path / "m.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match=r"The PNG would be \d+ pixels long.*dpi below \d+, or .*\.svg"):
        utils.plot_model(Sequential([Input((2,)), *(layers.Dense(2) for _ in range(50))]), tmp_path / "m.png", dpi=2400)


class Written(Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def written():
    model = Written()
    model(np.ones((1, 3), "float32"))
    return model


REFUSED = [
    (lambda path: utils.plot_model(Sequential([layers.Dense(2)]), path), ValueError, "is not built.*Input"),
    (lambda path: Sequential(name="none").to_svg(), ValueError, "'none' has no layers to draw"),
    (lambda path: written().to_svg(), ValueError, "no graph to draw.*written in Python"),
    (lambda path: utils.plot_model(layers.Dense(2), path), TypeError, "Only models are drawn.*Dense"),
    (lambda path: utils.plot_model(stack(), path.with_suffix(".gif")), ValueError, r"end in \.svg, \.png.*m\.gif"),
    (lambda path: utils.plot_model(stack(), path, dpi=0), ValueError, "dpi must be a number from 10 to 2400; got 0"),
    (lambda path: stack().to_svg(rankdir="up"), ValueError, "rankdir must be one of 'TB'.*'up'"),
    (lambda path: utils.model_to_dot(stack(), rankdir="up"), ValueError, "rankdir must be one of 'TB'.*'up'"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, match", REFUSED)
def test_what_cannot_be_drawn_is_said(call, error, match, tmp_path):
    with pytest.raises(error, match=match):
        call(tmp_path / "m.svg")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_names_the_extra(tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "fastconv.plotting.shown"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[plot\]'"):
        utils.plot_model(stack(), tmp_path / "m.png")


# Notebooks


def test_models_show_their_table_and_graph():
    html = stack()._repr_html_()
    assert (
        html.count("<tr>") == 5
        and "<svg" in html
        and "Total params: " in html
        and "<td style='text-align:left'>first<" in html
    )
    unbuilt = Sequential([layers.Dense(2)])._repr_html_()
    assert "Not built yet" in unbuilt and "<svg" not in unbuilt
    assert "<svg" not in written()._repr_html_() and "Connected to" in residual()._repr_html_()
    long = Sequential([Input((2,)), *(layers.Dense(2) for _ in range(40))])._repr_html_()
    assert "<details>" in long and "<details open>" in html


def test_layers_and_tensors_show_shapes_and_few_values():
    layer = stack().layers[0]
    assert "(3, 3, 1, 4)" in layer._repr_html_() and "Flatten()" in layers.Flatten()._repr_html_()
    assert "Tensor (2,), float32" in fastconv.Tensor([1.5, 2])._repr_html_()
    large = fastconv.Tensor(np.arange(100_000.0))._repr_html_()
    assert "(100000,)" in large and len(large) < 200 and "KerasTensor (None, 3)" in Input((3,))._repr_html_()
    assert "Parameter (4,)" in layer.bias._repr_html_()


def test_histories_show_their_epochs():
    history = History()
    for epoch in range(25):
        history.on_epoch_end(
            epoch, {"loss": 1 / (epoch + 1), "note<": "<b>", **({"val_loss": 0.5} if epoch % 2 else {})}
        )
    html = history._repr_html_()
    assert (
        html.count("<tr>") == 21 and "5 epochs before these" in html and "val_loss, not of all epochs: 0.5, 0.5" in html
    )
    assert "<b>History of 25 epochs" in html and "&lt;b&gt;" in html and "note&lt;" in html
    assert "History of 0 epochs" in History()._repr_html_()


# Progbar


def test_progbar_shows_means_and_values_as_they_are(capsys):
    bar = utils.Progbar(4, stateful_metrics=["rate"], unit_name="sample")
    bar.update(1, [("loss", 1.0), ("rate", 0.5)])
    bar.add(2, [("loss", 0.25), ("rate", 0.25)])
    assert capsys.readouterr().out == ""
    bar.update(4, [("loss", 0.5), ("rate", 0.125)])
    bar.update(4)
    assert re.fullmatch(r"4/4 samples - \d+\.\ds - loss: 0\.5000 - rate: 0\.1250\n", capsys.readouterr().out)


def test_progbar_without_an_end_and_without_words(capsys):
    bar = utils.Progbar(None, stateless_metrics=["loss"])
    bar.update(1, [("loss", 1.0), ("lr", 1.0)])
    bar.update(3, [("loss", 4.0), ("lr", 2.0)], finalize=True)
    assert re.fullmatch(r"3 steps - \d+\.\ds - loss: 3\.0000 - lr: 2\.0000\n", capsys.readouterr().out)
    utils.Progbar(1, verbose=0).update(1)
    assert capsys.readouterr().out == ""


def test_notebooks_show_bars(capsys, monkeypatch):
    kernel = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream", "isatty": lambda self: False})()
    monkeypatch.setattr("sys.stdout", kernel)
    bar = utils.Progbar(2)
    bar.update(1, [("loss", 1.0)])
    bar.update(2)
    shown = kernel.getvalue().split("\r")
    assert any(part.startswith("0/2 |") for part in shown) and "2/2 steps - " in shown[-1]


@pytest.mark.parametrize("arguments, match", [
    ({"target": -1}, "target must be a number of steps.*-1"), ({"target": 1.5}, "target must be"),
    ({"target": 1, "stateful_metrics": [], "stateless_metrics": []}, "not both"),
    ({"target": 1, "verbose": 3}, "verbose must be 0, 1, 2"),
])  # fmt: skip
def test_progbars_that_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        utils.Progbar(**arguments)


def test_drawings_survive_a_round_trip_of_the_model():
    model = residual()
    assert contents_of(model_from_json(model.to_json()), Show())[1:] == contents_of(model, Show())[1:]
    assert arrange(contents_of(model, Show())).lines
