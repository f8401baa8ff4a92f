"""data_format="channels_first": every layer that takes it gives what it gives channels last, turned around, and says once
what that costs."""

import numpy as np
import pytest
from helpers import normal

import fastconv
from fastconv import config, layers
from fastconv.layers import spatial
from fastconv.models import Model, Sequential, load_model
from fastconv.ops.shaping import Transpose


@pytest.fixture(autouse=True)
def warned(monkeypatch):
    """As if the warning had been given."""
    monkeypatch.setattr(spatial, "_warned", True)


@pytest.fixture
def settings():
    before = config.image_data_format()
    yield
    config.set_image_data_format(before)


IMAGE, SOUND, VOLUME = (2, 9, 8, 4), (2, 11, 4), (2, 6, 5, 7, 4)
ROWS = [
    # layer, arguments, shape channels last
    *[(f"Conv{rank}D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}, shape)
      for rank, shape in ((1, SOUND), (2, IMAGE), (3, VOLUME))],
    ("Conv1D", {"filters": 2, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, SOUND),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 1), "groups": 2}, IMAGE),
    *[(f"Conv{rank}DTranspose", {"filters": 3, "kernel_size": 2, "strides": 2}, shape)
      for rank, shape in ((1, SOUND), (2, IMAGE), (3, VOLUME))],
    ("DepthwiseConv1D", {"kernel_size": 3}, SOUND), ("DepthwiseConv2D", {"kernel_size": 3}, IMAGE),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 3}, SOUND),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 3}, IMAGE),
    *[(f"{kind}Pooling{rank}D", {"pool_size": 2, "padding": "same"}, shape)
      for kind in ("Max", "Average") for rank, shape in ((1, SOUND), (2, IMAGE), (3, VOLUME))],
    *[(f"Global{kind}Pooling{rank}D", {"keepdims": keepdims}, shape)
      for kind in ("Max", "Average") for rank, shape in ((1, SOUND), (2, IMAGE)) for keepdims in (False, True)],
    ("AdaptiveMaxPooling2D", {"output_size": (3, 2)}, IMAGE), ("AdaptiveAveragePooling1D", {"output_size": 3}, SOUND),
    ("ZeroPadding2D", {"padding": ((1, 2), (0, 1))}, IMAGE), ("ZeroPadding3D", {"padding": 1}, VOLUME),
    ("Cropping2D", {"cropping": ((1, 2), (0, 1))}, IMAGE), ("Cropping3D", {"cropping": 1}, VOLUME),
    ("UpSampling2D", {"size": (2, 3)}, IMAGE), ("UpSampling2D", {"interpolation": "bilinear"}, IMAGE),
    ("UpSampling3D", {"size": 2}, VOLUME), ("SpatialDropout2D", {"rate": 0.5, "seed": 3}, IMAGE),
    ("SpatialDropout3D", {"rate": 0.5, "seed": 3}, VOLUME),
]  # fmt: skip


def first(x):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim > 2 else x


@pytest.mark.parametrize("name, arguments, shape", ROWS)
def test_a_layer_of_channels_first_is_the_other_turned_around(name, arguments, shape):
    x = normal(shape, "float32")
    last = getattr(layers, name)(**arguments)
    expected = last(x, training=True).numpy()
    turned = getattr(layers, name)(**arguments, data_format="channels_first")
    assert turned.data_format == turned.get_config()["data_format"] == "channels_first"
    turned.build(first(x).shape)
    turned.set_weights(last.get_weights())
    np.testing.assert_array_equal(turned(first(x), training=True).numpy(), first(expected))
    open_shape = (None, shape[-1], *[None] * (len(shape) - 2))
    symbolic = turned(fastconv.Input(batch_shape=open_shape)).shape
    assert turned.compute_output_shape(first(x).shape) == first(expected).shape and len(symbolic) == expected.ndim
    assert symbolic[1] == first(expected).shape[1] and repr(first(x).shape[1]) in repr(turned)
    twin = type(turned).from_config(turned.get_config())
    assert twin.data_format == "channels_first" and repr(twin) in repr(turned)


def test_flatten_gives_the_order_of_channels_last():
    x = normal(IMAGE, "float32")
    flat = layers.Flatten(data_format="channels_first")
    np.testing.assert_array_equal(flat(first(x)).numpy(), x.reshape(2, -1))
    assert flat(np.ones((2, 3), "float32")).shape == (2, 3) and flat.compute_output_shape((None, 2, 3)) == (None, 6)


def network(data_format, axis):
    return Sequential([
        layers.Input((2, 12, 12) if axis == 1 else (12, 12, 2)),
        layers.Conv2D(4, 3, activation="relu", data_format=data_format), layers.BatchNormalization(axis=axis),
        layers.MaxPooling2D(data_format=data_format), layers.Conv2D(6, 3, data_format=data_format), layers.ReLU(),
        layers.Flatten(data_format=data_format), layers.Dense(3, activation="softmax"),
    ])  # fmt: skip


def test_a_network_trains_as_the_one_of_channels_last_and_is_saved(tmp_path):
    x, y = normal((16, 12, 12, 2), "float32"), np.arange(16) % 3
    other, model = network("channels_last", -1), network("channels_first", 1)
    model.set_weights(other.get_weights())
    losses = []
    for net, data in ((other, x), (model, first(x))):
        net.compile("sgd", "sparse_categorical_crossentropy")
        losses.append(net.fit(data, y, epochs=3, batch_size=8, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    np.testing.assert_allclose(model.predict(first(x)), other.predict(x), rtol=1e-4)
    assert model.input_shape == (None, 2, 12, 12)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(first(x)), model.predict(first(x)))


def test_what_two_layers_turn_back_and_forth_is_not_turned_in_programs():
    model = network("channels_first", 1)
    x = normal((2, 2, 12, 12), "float32")
    eager = model.call(fastconv.Tensor(x)).numpy()
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x), eager, rtol=1e-5, atol=1e-7)
    programs = [entry.program for entry in model._planner.entries.values()]
    turns = [sum(step.op is Transpose for step in program.steps) for program in programs]
    assert turns == [3]  # the input's, and those around ReLU, which knows no layout


def test_a_turn_that_someone_else_reads_stays():
    start = fastconv.Input((2, 6, 6))
    x = layers.Conv2D(3, 3, data_format="channels_first")(start)
    y = layers.Conv2D(3, 1, data_format="channels_first")(x)
    model = Model(start, [layers.add([x, y]), x])
    data = normal((2, 2, 6, 6), "float32")
    expected = [part.numpy() for part in model.call(fastconv.Tensor(data))]
    for _ in range(3):
        for part, wanted in zip(model.predict(data), expected):
            np.testing.assert_allclose(part, wanted, rtol=1e-5, atol=1e-6)


def test_none_means_the_setting_when_the_layer_is_made(settings):
    before = layers.Conv2D(3, 3)
    config.set_image_data_format("channels_first")
    layer = layers.Conv2D(3, 3)
    assert (before.data_format, layer.data_format) == ("channels_last", "channels_first")
    assert layer(normal((1, 4, 6, 6), "float32")).shape == (1, 3, 4, 4)
    again = type(before).from_config(before.get_config())
    assert again.data_format == "channels_last" and repr(again) == "Conv2D(3, (3, 3))"


def test_applications_are_channels_last(settings):
    config.set_image_data_format("channels_first")
    with pytest.raises(ValueError, match="is drawn channels last"):
        fastconv.applications.LeNet5()


def test_it_warns_once(monkeypatch):
    monkeypatch.setattr(spatial, "_warned", False)
    with pytest.warns(UserWarning, match="all others are a copy each"):
        layers.MaxPooling2D(data_format="channels_first")
    layers.MaxPooling2D(data_format="channels_first")


@pytest.mark.parametrize("call, match", [
    (lambda: layers.Conv2D(3, 3, data_format="NCHW"), "'channels_last' or 'channels_first'; got 'NCHW'"),
    (lambda: layers.Conv2D(3, 3, data_format="channels_first")(np.ones((2, 3, 4))), "shapes in this message are channels last"),
    (lambda: changed_channels(), "was built for 4 channels; got 5"),
])  # fmt: skip
def test_errors_say_what_to_do(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def changed_channels():
    layer = layers.Conv2D(3, 3, data_format="channels_first")
    layer(np.ones((1, 4, 6, 6), "float32"))
    layer(np.ones((1, 5, 6, 6), "float32"))
