"""Pictures by matplotlib: what figures hold (images, titles, axes), never pixels; and what is refused.

Contract: models and arrays stay as they were, and pyplot is never loaded.
"""

import sys
from contextlib import nullcontext

import numpy as np
import pytest
from helpers import python

import fastconv
from fastconv import Input, Model, Sequential, Tensor, layers, ops, plotting
from fastconv.callbacks import History
from fastconv.cli import main
from fastconv.datasets import mnist_mini
from fastconv.layers import spatial
from fastconv.plotting.fields import receptive_span
from fastconv.plotting.figures import sampled

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def seeded():
    fastconv.utils.set_random_seed(0)


def net(rank, channels=1, size=12, classes=3, activation="softmax"):
    """conv - pool - conv - dense over `rank` axes."""
    conv, pool = getattr(layers, f"Conv{rank}D"), getattr(layers, f"MaxPooling{rank}D")
    return Sequential([
        Input((size,) * rank + (channels,)), conv(6, 3, activation="relu", name="first"), pool(2, name="pool"),
        conv(10, 3, name="second"), layers.Flatten(name="flatten"),
        layers.Dense(classes, activation=activation, name="last"),
    ])  # fmt: skip


def sample(rank, channels=1, size=12):
    return np.random.default_rng(rank).random((size,) * rank + (channels,), "float32")


def title(figure):
    return figure.get_suptitle().replace("\n", " ")


def images(ax):
    return [np.asarray(image.get_array()) for image in ax.get_images()]


def seen_axes(figure):
    """The axes that show something, without colour bars."""
    return [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]


def drawn(figure, tmp_path):
    """Writes the figure, so that what only fails when it is drawn does."""
    figure.savefig(tmp_path / "x.png", dpi=40)
    return figure


RANKS = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 1)]


# Filters


@pytest.mark.parametrize("rank, channels", RANKS)
def test_first_filters_are_the_weights(rank, channels, tmp_path):
    model = net(rank, channels)
    kernel = model.layers[0].kernel.numpy()
    figure = drawn(plotting.filters(model), tmp_path)
    assert title(figure).startswith(f"first: 6 filters of {' × '.join(map(str, kernel.shape[:-1]))}")
    axes = seen_axes(figure)
    if (rank, channels) == (1, 1):
        np.testing.assert_array_equal([ax.lines[1].get_ydata() for ax in axes], kernel[:, 0].T)
    elif rank == 1:
        np.testing.assert_array_equal([images(ax)[0] for ax in axes], kernel.transpose(2, 1, 0))
    elif channels == 3:
        low, high = kernel.min(), kernel.max()
        np.testing.assert_allclose(images(axes[5])[0], (kernel[..., 5] - low) / (high - low), rtol=1e-6)
        assert "as colours" in title(figure)
    elif rank == 2:
        np.testing.assert_array_equal([images(ax)[0] for ax in axes], np.moveaxis(kernel[..., 0, :], -1, 0))
    else:
        assert len(axes) == 18 and "slices along z" in title(figure)
        np.testing.assert_array_equal([images(ax)[0] for ax in axes[3:6]], kernel[..., 0, 1])


def test_deeper_filters_are_slices_and_sampled_ones_say_so(tmp_path):
    model = net(2)
    kernel = model.layers[2].kernel.numpy()
    figure = drawn(plotting.filters(model, "second", max_filters=4, max_channels=3), tmp_path)
    assert "4 of 10 filters of 3 × 3 × 6" in title(figure) and "3 of 6 channels" in title(figure)
    chosen, shown = sampled(10, 4), sampled(6, 3)
    expected = [kernel[:, :, c, n] for n in chosen for c in shown]
    np.testing.assert_array_equal([images(ax)[0] for ax in seen_axes(figure)], expected)


OTHERS = [
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 9)),
    (lambda: layers.SeparableConv2D(4, 3), (3, 9)),
    (lambda: layers.Conv2DTranspose(4, 2), (4, 12)),
    (lambda: type("Own", (layers.Conv2D,), {})(2, 3), (2, 27)),
]  # fmt: skip


@pytest.mark.parametrize("make, form", OTHERS)
def test_filters_of_other_convolutions(make, form):
    model = Sequential([Input((8, 8, 3)), make()])
    axes = seen_axes(plotting.filters(model))
    assert (len(axes), images(axes[0])[0].size) == form


# Maps


@pytest.mark.parametrize("rank, channels", RANKS)
def test_maps_are_the_activations_of_the_sample(rank, channels, tmp_path):
    model, x = net(rank, channels), sample(rank, channels)
    figure = drawn(plotting.activation_maps(model, x), tmp_path)
    expected = Model(model.inputs, model.get_layer("pool").output).predict(x[None])[0]
    row = [ax for ax in seen_axes(figure)][1 + 6 : 1 + 12]
    for channel, ax in enumerate(row):
        shown = ax.lines[0].get_ydata() if rank == 1 else images(ax)[0]
        whole = expected[..., channel]
        np.testing.assert_allclose(shown, whole[len(whole) // 2] if rank == 3 else whole, rtol=1e-5, atol=1e-6)
    labels = [ax.get_ylabel().split("\n")[0] for ax in seen_axes(figure) if ax.get_ylabel()]
    assert labels == ["sample", "first", "pool", "second"]
    assert "8 of 10 maps" in [ax for ax in seen_axes(figure)][1 + 12].get_ylabel()


def test_maps_of_models_inside_and_of_chosen_layers():
    inner = Sequential([Input((12, 12, 1)), layers.Conv2D(2, 3, name="deep", activation="relu")], name="inner")
    model = Sequential([Input((12, 12, 1)), inner, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    figure = plotting.activation_maps(model, sample(2), layers=["deep", inner])
    labels = [ax.get_ylabel().split("\n")[0] for ax in seen_axes(figure) if ax.get_ylabel()]
    assert labels == ["sample", "deep", "inner"]


def test_not_a_number_is_white_and_counted(tmp_path):
    x = sample(2)
    x[2, 2] = np.nan
    model = Sequential([Input((12, 12, 1)), layers.Conv2D(2, 3, name="conv")])
    figure = drawn(plotting.activation_maps(model, x), tmp_path)
    row = seen_axes(figure)[1]
    assert "18 not finite" in row.get_ylabel() and np.ma.getmaskarray(np.ma.masked_invalid(images(row)[0])).sum() == 9
    model.layers[0].kernel.assign(np.full((3, 3, 1, 2), np.nan))
    assert "18 weights are not finite" in title(drawn(plotting.filters(model), tmp_path))


# Gradients


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_saliency_is_the_gradient_of_the_score(rank, activation, tmp_path):
    model, x = net(rank, 2, activation=activation), sample(rank, 2)
    figure = drawn(plotting.saliency(model, x, target=1, classes=["a", "b$", "c"]), tmp_path)
    model.get_layer("last").activation = fastconv.activations.linear
    leaf = Tensor(x[None], requires_grad=True)
    slopes = np.abs(fastconv.gradients(ops.sum(model(leaf)[:, 1]), leaf))[0].max(-1)
    shown = images(seen_axes(figure)[-1])[-1]
    expected = {1: slopes[None], 2: slopes}.get(rank)
    if rank == 3:
        expected = slopes[slopes.max(axis=(1, 2)).argmax()]
    np.testing.assert_allclose(shown, expected, rtol=1e-4, atol=1e-7)
    assert ("p = " in title(figure)) is (activation == "softmax") and r"class b\$" in title(figure)
    assert not any(weight.grad is not None for weight in model.weights)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_grad_cam_weighs_maps_by_their_gradients(rank, tmp_path):
    model, x = net(rank, activation=None), sample(rank)
    figure = drawn(plotting.grad_cam(model, x, "first", target=2), tmp_path)
    both = Model(model.inputs, [model.get_layer("first").output, model.output])
    maps, scores = both(x[None])
    slopes = fastconv.gradients(ops.sum(scores[:, 2]), maps)[0]
    cam = np.maximum((slopes.reshape(-1, 6).mean(0) * maps.numpy()[0]).sum(-1), 0)
    expected = {1: cam[None], 2: cam}.get(rank)
    if rank == 3:
        expected = cam[cam.max(axis=(1, 2)).argmax()]
    np.testing.assert_allclose(images(seen_axes(figure)[-1])[-1], expected, rtol=1e-4, atol=1e-7)
    assert "Grad-CAM of first for class 2" in title(figure)
    assert "Grad-CAM of second for" in title(plotting.grad_cam(model, x))


def test_grad_cam_reaches_layers_of_models_inside_branches_and_frozen_ones():
    start = Input((12, 12, 1))
    inner = Sequential([Input((12, 12, 1)), layers.Conv2D(3, 3, padding="same", name="deep")])
    x = layers.Add()([inner(start), layers.Conv2D(3, 1, name="beside")(start)])
    model = Model(start, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(x)))
    model.trainable = False
    for layer in ("deep", "beside"):
        assert f"Grad-CAM of {layer} for the output (p = " in title(plotting.grad_cam(model, sample(2), layer))
    masks = Sequential([Input((12, 12, 1)), layers.Conv2D(4, 3, name="a"), layers.Conv2D(2, 3, activation="softmax")])
    assert "Grad-CAM of a for class" in title(plotting.grad_cam(masks, sample(2)))


# Receptive fields: where all weights are positive, the gradient is not zero exactly where the output can see


def inside(*parts):
    return Sequential([Input((20, 20, 1)), *parts])


def branches():
    start = Input((20, 20, 1))
    wide = layers.Conv2D(1, 3, dilation_rate=2, padding="same")(start)
    x = ops.multiply(layers.Concatenate()([wide, layers.Activation("linear")(start)]), 2.0)
    return Model(start, layers.Conv2D(1, 1)(x))


FIELDS = [
    lambda: inside(layers.Conv2D(2, 3)),
    lambda: inside(layers.Conv2D(2, (3, 5), strides=(2, 1), padding="same"), layers.BatchNormalization()),
    lambda: inside(layers.Conv2D(2, 2, dilation_rate=3), layers.AveragePooling2D(3, 2), layers.DepthwiseConv2D(2)),
    lambda: inside(layers.AveragePooling2D(2), layers.Conv2DTranspose(1, 3, strides=2, padding="same")),
    lambda: inside(layers.Conv2D(1, 3, strides=2), layers.Conv2DTranspose(1, 5, strides=3)),
    lambda: inside(layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Conv2D(1, 3), layers.Cropping2D(2)),
    lambda: inside(layers.AveragePooling2D(2), layers.UpSampling2D(2), layers.Conv2D(1, 3, padding=1)),
    lambda: inside(inside(layers.SeparableConv2D(2, 3)), layers.Dense(2), layers.Dropout(0.5), layers.Conv2D(1, 3)),
    lambda: branches(),
    lambda: inside(layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(keepdims=True)),
    lambda: inside(layers.Conv2D(2, 3), layers.Permute((2, 1, 3))),
]  # fmt: skip


@pytest.mark.parametrize("make", FIELDS)
def test_receptive_fields_are_where_gradients_are(make):
    model = make()
    model.set_weights([np.abs(weight) + 0.1 for weight in model.get_weights()])
    x = Tensor(np.ones((1, 20, 20, 1)), requires_grad=True)
    maps = model(x)
    place = tuple(size // 2 for size in maps.shape[1:-1])
    found = np.argwhere(fastconv.gradients(ops.sum(maps[(slice(None), *place)]), x)[0, ..., 0] != 0)
    spans = receptive_span(model, model.layers[-1], place)
    if spans is None:
        assert isinstance(model.layers[-1], (layers.GlobalAveragePooling2D, layers.Permute))
    else:
        assert [(max(a, 0), min(b, 19)) for a, b in spans] == [*zip(found.min(0), found.max(0))]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_frame_and_the_gradient_of_a_receptive_field(rank, tmp_path):
    model = net(rank)
    given = drawn(plotting.receptive_field(model, "second", sample=sample(rank)), tmp_path)
    assert f"sees {' × '.join(['8'] * rank)} cells of {' × '.join(['12'] * rank)}" in title(given)
    noise = drawn(plotting.receptive_field(model, 0, position=(0,) * rank), tmp_path)
    assert "first at 0" in title(noise) and f"sees {' × '.join(['3'] * rank)} cells" in title(noise)
    if rank == 2:
        frame = seen_axes(noise)[0].patches[0]
        assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (-0.5, -0.5, 3, 3)
        assert (np.argwhere(images(seen_axes(noise)[0])[0] != 0).max(0) <= 2).all()
    flat = plotting.receptive_field(Sequential([Input((8, 8, 1)), layers.Permute((2, 1, 3)), layers.Conv2D(1, 3)]))
    assert "sees everything of 8 × 8" in title(flat)


# Results


CONFUSIONS = [
    ([0, 1, 2, 2], [0, 2, 2, 2], [[1, 0, 0], [0, 0, 1], [0, 0, 2]]),
    (np.eye(3)[[0, 1, 2]], np.eye(3)[[0, 1, 1]] * 0.5, [[1, 0, 0], [0, 1, 0], [0, 1, 0]]),
    ([0, 1, 1], np.array([[0.2], [0.7], [0.4]]), [[1, 0], [1, 1]]),
    ([[0], [1]], [0.0, 1.0], [[1, 0], [0, 1]]),
]  # fmt: skip


@pytest.mark.parametrize("true, predicted, expected", CONFUSIONS)
def test_confusions_are_counted(true, predicted, expected, tmp_path):
    expected = np.array(expected)
    figure = drawn(plotting.confusion_matrix(true, predicted), tmp_path)
    np.testing.assert_array_equal(images(figure.axes[0])[0], expected)
    assert title(figure) == f"Accuracy {np.trace(expected) / expected.sum():.2%} of {expected.sum()} samples"
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [str(value) for value in expected.ravel()]
    shares = plotting.confusion_matrix(true, predicted, normalize=True)
    np.testing.assert_allclose(images(shares.axes[0])[0], expected / np.maximum(expected.sum(1, keepdims=True), 1))


def test_numbers_in_cells_contrast_and_many_classes_have_none(tmp_path):
    figure = plotting.confusion_matrix([0] * 9 + [1], [0] * 9 + [0], classes=["a", "b", "none of them"])
    colours = [text.get_color() for text in figure.axes[0].texts]
    assert colours == ["black"] + ["white"] * 8
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b", "none of them"]
    many = drawn(plotting.confusion_matrix(np.arange(90), np.arange(90)), tmp_path)
    assert not many.axes[0].texts and list(many.axes[0].get_yticks()) == list(range(0, 90, 2))
    assert len(plotting.confusion_matrix(np.arange(47), np.arange(47)).axes[0].get_yticks()) == 47


@pytest.mark.parametrize("rank, channels", RANKS)
def test_mistakes_say_what_is_and_what_was_said(rank, channels, tmp_path):
    x = np.stack([sample(rank, channels) + n for n in range(4)])
    predicted = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.05, 0.95]])
    figure = drawn(plotting.mistakes(x, [0, 0, 0, 1], predicted, classes=["cat", "dog"]), tmp_path)
    assert title(figure) == "2 mistakes in 4 samples"
    assert [ax.get_title() for ax in seen_axes(figure)] == ["is cat\nsaid dog 80%", "is cat\nsaid dog 60%"]
    if rank == 2 and channels == 1:
        np.testing.assert_allclose(images(seen_axes(figure)[0])[0], x[2, ..., 0])
    few = plotting.mistakes(x, [1, 0, 0, 0], np.argmax(predicted, 1), max_samples=1)
    assert title(few) == "4 mistakes in 4 samples; the first 1" and len(seen_axes(few)) == 1


def test_mistakes_of_a_model_and_none(tmp_path):
    model, x = net(2), np.stack([sample(2)] * 3)
    answer = int(model.predict(x[:1]).argmax())
    none = drawn(plotting.mistakes(x, [answer] * 3, model), tmp_path)
    assert none.axes[0].texts[0].get_text() == "No mistake to show." and title(none) == "0 mistakes in 3 samples"
    assert len(seen_axes(plotting.mistakes(x[..., 0] * 200, [(answer + 1) % 3] * 3, np.eye(3)[[answer] * 3]))) == 3


def test_embeddings_are_principal_components(tmp_path):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(50, 1)) * [3, 0, 4] + generator.normal(size=(50, 3)) * 0.1
    figure = drawn(plotting.feature_embedding(None, features, np.arange(50) % 3, classes="abc"), tmp_path)
    points = np.concatenate([part.get_offsets() for part in figure.axes[0].collections])
    first = (features - features.mean(0)) @ [0.6, 0, 0.8]
    order = np.argsort(np.arange(50) % 3, kind="stable")
    assert abs(np.corrcoef(points[:, 0], first[order])[0, 1]) > 0.999
    assert figure.axes[0].get_xlabel() == "component 1 (100% of the variance)"
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b", "c"]


def test_embeddings_of_a_model_take_what_its_last_layer_is_given():
    model, x = net(2), np.random.default_rng(0).random((130, 12, 12, 1), "float32")
    assert "130 samples by flatten, 90 numbers each" in title(plotting.feature_embedding(model, x))
    assert "5 samples by pool, 150 numbers each" in title(plotting.feature_embedding(model, x[:5], layer="pool"))
    outer = Model(start := Input((12, 12, 1)), layers.Dense(2)(ops.abs(model(start))))
    assert "9 samples by abs, 3 numbers each" in title(plotting.feature_embedding(outer, x[:9]))
    assert "9 samples by second, 90 numbers each" in title(plotting.feature_embedding(outer, x[:9], layer="second"))


DENSE = [
    (1, ["signal", "true", "predicted"]),
    (2, ["sample", "true", "predicted"]),
    (3, ["sample", "true", "predicted"]),
]


@pytest.mark.parametrize("rank, names", DENSE)
def test_predictions_of_every_cell(rank, names, tmp_path):
    x = np.stack([sample(rank)] * 5)
    scores = np.concatenate([1 - x, x], axis=-1)
    true = (x[..., 0] > 0.5).astype(int)
    figure = drawn(
        plotting.predictions(x, scores if rank > 1 else x, true, max_samples=2, classes=["no", "yes"]), tmp_path
    )
    assert title(figure) == "Predictions for 2 of 5 samples"
    axes = seen_axes(figure)
    if rank == 1:
        assert [text.get_text() for text in axes[0].get_legend().get_texts()] == names and len(axes) == 2
        np.testing.assert_allclose(axes[0].lines[2].get_ydata(), x[0, :, 0])
        return
    assert [ax.get_title() for ax in axes[:3]] == names and len(axes) == 6
    cut = true[0].sum(axis=(1, 2)).argmax() if rank == 3 else slice(None)
    np.testing.assert_array_equal(images(axes[1])[0], true[0][cut])
    np.testing.assert_array_equal(images(axes[2])[0], true[0][cut])


def test_predictions_of_a_model():
    model = Sequential([Input((12, 12, 1)), layers.Conv2D(1, 3, padding="same", activation="sigmoid")])
    x = np.stack([sample(2)] * 2)
    figure = plotting.predictions(x, model)
    np.testing.assert_allclose(images(seen_axes(figure)[1])[0], model.predict(x)[0, ..., 0], rtol=1e-6)


def test_cells_without_a_class_stay_white():
    scores = np.full((1, 6, 6, 2), [0.0, 1.0])
    scores[0, 2, 3, 1] = np.nan
    figure = plotting.predictions(np.zeros((1, 6, 6)), scores)
    assert "1 values are not finite" in title(figure)
    assert np.argwhere(np.isnan(np.ma.filled(images(seen_axes(figure)[1])[0], np.nan))).tolist() == [[2, 3]]


# Training


def test_history_has_a_panel_for_each_name(tmp_path):
    history = History()
    for epoch, (loss, val) in enumerate([(1.0, 1.5), (0.5, 0.75), (0.25, 1.0)]):
        history.on_epoch_end(epoch, {"loss": loss, "accuracy": 1 - loss, "val_loss": val, "val_accuracy": 1 - val})
    figure = drawn(plotting.history(history), tmp_path)
    assert [ax.get_title() for ax in figure.axes] == ["loss", "accuracy"] and title(figure) == "Training over 3 epochs"
    loss, accuracy = figure.axes
    assert [list(line.get_ydata()) for line in loss.lines] == [[1, 0.5, 0.25], [1.5, 0.75, 1], [0.75]]
    assert (
        list(accuracy.lines[-1].get_xdata()) == [2] and "best: 0.75, epoch 2" in loss.get_legend().texts[-1].get_text()
    )
    broken = drawn(plotting.history({"loss": [1.0, np.nan, np.inf], "a$b": [1], "c": [2], "val_d": [np.nan]}), tmp_path)
    assert "3 values are not finite" in title(broken) and len(seen_axes(broken)) == 4


def test_the_finder_raises_the_rate_on_a_copy(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(64, 12, 1)).astype("float32")
    y = (x.sum(axis=(1, 2)) > 0).astype(int)
    model = net(1, classes=2)
    model.compile(fastconv.optimizers.SGD(0.125), "sparse_categorical_crossentropy")
    before = model.get_weights()
    figure = drawn(plotting.learning_rate_finder(model, x, y, low=1e-4, high=10, steps=40), tmp_path)
    assert all((a == b).all() for a, b in zip(before, model.get_weights())) and model.optimizer.learning_rate == 0.125
    assert model.optimizer.iterations == 0 and "the loss falls fastest at" in title(figure)
    rates = figure.axes[0].lines[0].get_xdata()
    assert rates[0] == pytest.approx(1e-4) and (np.diff(rates) > 0).all() and figure.axes[0].get_xscale() == "log"
    again = plotting.learning_rate_finder(model, x, y, low=1e-4, high=10, steps=40)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), again.axes[0].lines[0].get_ydata())
    slow = plotting.learning_rate_finder(model, x, y, low=1e-9, high=1e-8, steps=10)
    assert "the loss does not fall" in title(slow)


# What is refused


def two_inputs():
    a, b = Input((4, 4, 1)), Input((4, 4, 1))
    return Model([a, b], layers.Flatten()(layers.add([a, b])))


def two_outputs():
    a = Input((4, 4, 1))
    return Model(a, [layers.Flatten()(a), layers.Conv2D(1, 1)(a)])


def dense():
    return Sequential([Input((4,)), layers.Dense(2, name="d"), layers.Dense(2)])


def broken():
    model = net(2)
    model.get_layer("last").bias.assign([np.nan] * 3)
    return model


def first_channels():
    with pytest.warns() if not spatial._warned else nullcontext():
        return Sequential([Input((1, 4, 4)), layers.Conv2D(2, 3, data_format="channels_first", name="c")])


UNBUILT = "'plain' is not built.*Input"
X2, Y2 = np.zeros((4, 12, 12, 1), "float32"), np.array([0, 1, 2, 0])
REFUSED = [
    (lambda: plotting.filters(Sequential([layers.Conv2D(2, 3)], name="plain")), ValueError, UNBUILT),
    (lambda: plotting.activation_maps(Sequential([layers.Conv2D(2, 3)], name="plain"), X2[0]), ValueError, UNBUILT),
    (lambda: plotting.filters(dense()), ValueError, "no layer that convolves"),
    (lambda: plotting.filters(net(2), "last"), ValueError, r"'last' \(Dense\) has no filters.*: first, second"),
    (lambda: plotting.filters(net(2), "frist"), ValueError, "first"),
    (lambda: plotting.filters(net(2), 1.5), TypeError, "layer must be a name, a number or a layer"),
    (lambda: plotting.filters(net(2), net(2).layers[0]), ValueError, "'first' is not in"),
    (lambda: plotting.filters(net(2), max_filters=0), ValueError, "max_filters must be a whole.* 1 to 256; got 0"),
    (lambda: plotting.filters(X2), TypeError, "Only models"),
    (lambda: plotting.activation_maps(dense(), np.ones(4)), ValueError, "no layer with maps"),
    (lambda: plotting.activation_maps(net(2), X2[0], "last"), ValueError, r"'last' \(Dense\) has no maps.*pool"),
    (lambda: plotting.activation_maps(net(2), X2), ValueError, r"one sample of shape \(12, 12, 1\).*x\[0\]"),
    (lambda: plotting.activation_maps(net(2), X2[0, :5]), ValueError, r"\(12, 12, 1\).*got \(5, 12, 1\)"),
    (lambda: plotting.activation_maps(net(2), "digit.png"), TypeError, "sample must be an array of numbers; got str"),
    (lambda: plotting.activation_maps(first_channels(), X2[0, :4, :4]), ValueError, "'c' has data_format='chann"),
    (lambda: plotting.saliency(two_inputs(), X2[0]), ValueError, "takes 2 inputs"),
    (lambda: plotting.saliency(two_outputs(), X2[0, :4, :4]), ValueError, "gives 2 outputs"),
    (lambda: plotting.saliency(net(2), X2[0], target=3), ValueError, "target must be a class from 0 to 2; got 3"),
    (lambda: plotting.saliency(net(2), X2[0], classes=["a"]), ValueError, "classes names 1 classes; there are 3"),
    (lambda: plotting.saliency(broken(), X2[0]), ValueError, "not finite"),
    (lambda: plotting.grad_cam(dense(), np.ones(4)), ValueError, "no layer with maps"),
    (lambda: plotting.grad_cam(net(2), X2[0], "flatten"), ValueError, "layer|maps"),
    (lambda: plotting.receptive_field(net(2), position=(99, 0)), ValueError, r"2 indices.*\(3, 3\).*\(99, 0\)"),
    (lambda: plotting.receptive_field(Sequential([Input((None, 1)), layers.Conv1D(1, 3)])), ValueError, "give a s"),
    (lambda: plotting.confusion_matrix([0, 1], [0]), ValueError, "same number of samples; got 2 and 1"),
    (lambda: plotting.confusion_matrix([0, -1], [0, 1]), ValueError, "from 0; got -1"),
    (lambda: plotting.confusion_matrix([0, 0.5], [0, 1]), ValueError, "y_true must hold whole class numbers"),
    (lambda: plotting.confusion_matrix([0, 3], np.eye(3)[:2]), ValueError, "the class 3; y_pred tells 3 classes"),
    (lambda: plotting.confusion_matrix([0], np.full((1, 2), np.nan)), ValueError, "y_pred holds 2 values"),
    (lambda: plotting.confusion_matrix(["a"], ["b"]), TypeError, "y_true must be an array of numbers"),
    (lambda: plotting.confusion_matrix([], []), ValueError, "y_true must hold class numbers"),
    (lambda: plotting.confusion_matrix([0, 1], [0, 1], classes=["a"]), ValueError, "names 1 classes; there are 2"),
    (lambda: plotting.mistakes(X2[:3], Y2, Y2), ValueError, "x and y_true.*3 and 4"),
    (lambda: plotting.mistakes(np.zeros((4, 2, 2, 2, 2, 2)), Y2, Y2), ValueError, "1D, 2D or 3D"),
    (lambda: plotting.feature_embedding(None, np.ones((2, 3))), ValueError, "at least 3 samples; got 2"),
    (lambda: plotting.feature_embedding(None, np.full((4, 3), np.nan)), ValueError, "12 of the features"),
    (lambda: plotting.feature_embedding(net(2), X2, [0]), ValueError, "x and y.*4 and 1"),
    (lambda: plotting.predictions(X2, Y2), ValueError, r"each cell of x, \(4, 12, 12\);.*got \(4,\).*mistakes"),
    (lambda: plotting.predictions(X2[:0], X2[:0]), ValueError, "x is empty"),
    (lambda: plotting.history({}), ValueError, "no complete epoch"),
    (lambda: plotting.history(net(2)), ValueError, "was not trained here"),
    (lambda: plotting.confusion_matrix([0, 10**9], [0, 1]), ValueError, "up to 1000 classes.*have 1000000001"),
    (lambda: plotting.history([1, 2]), TypeError, "what model.fit returned.*list"),
    (lambda: plotting.learning_rate_finder(net(2), X2, Y2), ValueError, "compile it before"),
    (lambda: plotting.learning_rates, AttributeError, "learning_rate_finder"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, match", REFUSED)
def test_what_has_no_picture_is_said(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("options, match", [
    ({"low": 1.0, "high": 0.1}, "0 < low < high"), ({"steps": 3}, "at least 10"), ({"batch_size": 0}, "batch_size"),
])  # fmt: skip
def test_settings_of_the_finder_that_are_refused(options, match):
    model = net(2)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=match):
        plotting.learning_rate_finder(model, X2, Y2, **options)


# The command line


@pytest.fixture
def few_digits(monkeypatch):
    (x_train, y_train), (x_test, y_test) = mnist_mini.load_data()
    few = (x_train[::40], y_train[::40]), (x_test[::20], y_test[::20])
    monkeypatch.setattr(mnist_mini, "load_data", lambda: few)


def test_train_writes_pictures(few_digits, tmp_path, capsys):
    folder = tmp_path / "new" / "plots"
    assert main(["train", "--preset", "fast", "--epochs", "1", "--plots", str(folder)]) == 0
    names = ["activation_maps", "confusion_matrix", "filters", "history", "mistakes"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.png" for name in names]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith(f"{folder} holds history.png, filters.png") and lines[-1].startswith("Test accuracy")


def test_train_leaves_out_what_a_network_has_no_picture_of(few_digits, tmp_path, capsys):
    path, folder = tmp_path / "dense.safetensors", tmp_path / "plots"
    Sequential([Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")]).save(path)
    assert main(["train", "--model", str(path), "--epochs", "1", "--plots", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["confusion_matrix.png", "history.png", "mistakes.png"]
    assert "filters.png is not written: 'sequential" in capsys.readouterr().out.replace("\n", " ")


def test_train_says_before_it_begins_why_there_can_be_no_pictures(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert main(["train", "--plots", str(tmp_path / "file")]) == 2
    assert "argument --plots: must name a folder" in capsys.readouterr().err
    for name in ("matplotlib", "matplotlib.figure", "fastconv.plotting.shown"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["train", "--plots", str(tmp_path / "new")]) == 2
    assert "argument --plots: Pictures need matplotlib: pip install 'fastconv[plot]'" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "fastconv.plotting.shown"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'fastconv\[plot\]'"):
        plotting.history({"loss": [1.0]})


def test_notebooks_show_figures():
    figure = plotting.history({"loss": [1.0]})
    assert isinstance(figure, matplotlib.figure.Figure) and figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(AttributeError, match=r"no window: savefig\('picture.png'\) writes it"):
        figure.show()


def test_matplotlib_is_loaded_late_and_pyplot_never():
    program = (
        "import sys, fastconv.plotting as p, fastconv.utils\n"
        "assert 'matplotlib' not in sys.modules\n"
        "p.history({'loss': [1.0, 0.5]}).canvas\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    result = python("-c", program)
    assert result.returncode == 0, result.stderr
