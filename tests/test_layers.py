"""Layers: values, shapes and gradients by one table; Keras' names, configs and errors."""

import json

import numpy as np
import pytest
from test_planning import plans

import fastconv
from fastconv import Model, Tensor, layers, ops
from fastconv.models import load_model
from fastconv.testing import gradcheck
from fastconv.utils import set_random_seed

# constructor, input shape, output shape, weight shapes
TABLE = [
    (lambda **k: layers.Conv1D(3, 2, **k), (2, 6, 2), (2, 5, 3), [(2, 2, 3), (3,)]),
    (lambda **k: layers.Conv1D(3, 3, 2, "same", dilation_rate=2, **k), (1, 7, 2), (1, 4, 3), [(3, 2, 3), (3,)]),
    (lambda **k: layers.Conv2D(4, 3, groups=2, **k), (2, 5, 4, 2), (2, 3, 2, 4), [(3, 3, 1, 4), (4,)]),
    (lambda **k: layers.Conv2D(2, (3, 2), padding=1, use_bias=False, **k), (1, 4, 4, 1), (1, 4, 5, 2), [(3, 2, 1, 2)]),
    (
        lambda **k: layers.Conv2D(2, 3, padding=((2, 0), (0, 1)), activation="tanh", **k),
        (1, 4, 4, 1),
        (1, 4, 3, 2),
        [(3, 3, 1, 2), (2,)],
    ),
    (lambda **k: layers.Conv3D(2, 2, **k), (1, 3, 3, 3, 1), (1, 2, 2, 2, 2), [(2, 2, 2, 1, 2), (2,)]),
    (lambda **k: layers.Conv1D(3, 3, 2, "causal", dilation_rate=2, **k), (1, 7, 2), (1, 4, 3), [(3, 2, 3), (3,)]),
    (
        lambda **k: layers.DepthwiseConv1D(2, padding="causal", depth_multiplier=2, **k),
        (2, 6, 3),
        (2, 6, 6),
        [(2, 3, 2), (6,)],
    ),
    (
        lambda **k: layers.DepthwiseConv2D(3, 2, "same", activation="tanh", **k),
        (2, 5, 4, 3),
        (2, 3, 2, 3),
        [(3, 3, 3, 1), (3,)],
    ),
    (lambda **k: layers.DepthwiseConv3D(2, use_bias=False, **k), (1, 3, 4, 3, 2), (1, 2, 3, 2, 2), [(2, 2, 2, 2, 1)]),
    (
        lambda **k: layers.SeparableConv1D(4, 3, padding="causal", **k),
        (2, 6, 3),
        (2, 6, 4),
        [(3, 3, 1), (1, 3, 4), (4,)],
    ),
    (
        lambda **k: layers.SeparableConv2D(4, (3, 2), 2, "same", depth_multiplier=2, **k),
        (1, 5, 4, 3),
        (1, 3, 2, 4),
        [(3, 2, 3, 2), (1, 1, 6, 4), (4,)],
    ),
    (
        lambda **k: layers.SeparableConv3D(3, 2, use_bias=False, **k),
        (1, 3, 4, 3, 2),
        (1, 2, 3, 2, 3),
        [(2, 2, 2, 2, 1), (1, 1, 1, 2, 3)],
    ),
    (lambda **k: layers.Conv1DTranspose(3, 2, dilation_rate=2, **k), (2, 4, 2), (2, 6, 3), [(2, 3, 2), (3,)]),
    (lambda **k: layers.Conv2DTranspose(3, 3, 2, "same", **k), (1, 3, 4, 2), (1, 6, 8, 3), [(3, 3, 3, 2), (3,)]),
    (
        lambda **k: layers.Conv2DTranspose(4, (3, 2), (2, 3), output_padding=(0, 1), groups=2, use_bias=False, **k),
        (1, 3, 4, 2),
        (1, 7, 12, 4),
        [(3, 2, 2, 2)],
    ),
    (
        lambda **k: layers.Conv2DTranspose(2, 3, padding=1, activation="tanh", **k),
        (1, 4, 5, 3),
        (1, 4, 5, 2),
        [(3, 3, 2, 3), (2,)],
    ),
    (
        lambda **k: layers.Conv3DTranspose(2, 2, 2, "valid", None, 1, **k),
        (1, 2, 3, 2, 2),
        (1, 5, 7, 5, 2),
        [(2, 2, 2, 2, 2), (2,)],
    ),
    (lambda **k: layers.AdaptiveMaxPooling1D(3, **k), (2, 7, 2), (2, 3, 2), []),
    (lambda **k: layers.AdaptiveMaxPooling2D((3, 2), **k), (1, 5, 4, 2), (1, 3, 2, 2), []),
    (lambda **k: layers.AdaptiveMaxPooling3D(2, **k), (1, 5, 2, 3, 2), (1, 2, 2, 2, 2), []),
    (lambda **k: layers.AdaptiveAveragePooling1D(4, **k), (2, 3, 2), (2, 4, 2), []),
    (lambda **k: layers.AdaptiveAveragePooling2D(3, **k), (1, 5, 7, 2), (1, 3, 3, 2), []),
    (lambda **k: layers.AdaptiveAveragePooling3D((1, 2, 3), **k), (1, 5, 4, 4, 2), (1, 1, 2, 3, 2), []),
    (lambda **k: layers.MaxPooling1D(**k), (2, 5, 2), (2, 2, 2), []),
    (lambda **k: layers.MaxPooling2D((2, 3), 1, "same", **k), (1, 4, 5, 2), (1, 4, 5, 2), []),
    (lambda **k: layers.MaxPooling3D(2, **k), (1, 4, 2, 3, 1), (1, 2, 1, 1, 1), []),
    (lambda **k: layers.AveragePooling1D(3, 2, "same", **k), (2, 5, 2), (2, 3, 2), []),
    (lambda **k: layers.AveragePooling2D(**k), (1, 4, 5, 2), (1, 2, 2, 2), []),
    (lambda **k: layers.AveragePooling3D(2, **k), (1, 4, 2, 3, 1), (1, 2, 1, 1, 1), []),
    (lambda **k: layers.GlobalMaxPooling1D(**k), (2, 4, 3), (2, 3), []),
    (lambda **k: layers.GlobalMaxPooling2D(keepdims=True, **k), (2, 3, 4, 3), (2, 1, 1, 3), []),
    (lambda **k: layers.GlobalMaxPooling3D(**k), (2, 2, 2, 2, 3), (2, 3), []),
    (lambda **k: layers.GlobalAveragePooling1D(keepdims=True, **k), (2, 4, 3), (2, 1, 3), []),
    (lambda **k: layers.GlobalAveragePooling2D(**k), (2, 3, 4, 3), (2, 3), []),
    (lambda **k: layers.GlobalAveragePooling3D(**k), (2, 2, 2, 2, 3), (2, 3), []),
    (lambda **k: layers.Dense(3, activation="sigmoid", **k), (2, 5), (2, 3), [(5, 3), (3,)]),
    (lambda **k: layers.Dense(3, use_bias=False, **k), (2, 2, 2, 5), (2, 2, 2, 3), [(5, 3)]),
    (lambda **k: layers.Activation("elu", **k), (2, 5), (2, 5), []),
    (lambda **k: layers.Activation("hard_swish", **k), (2, 5), (2, 5), []),
    (lambda **k: layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2, **k), (3, 5), (3, 5), []),
    (lambda **k: layers.LeakyReLU(**k), (3, 5), (3, 5), []),
    (lambda **k: layers.PReLU("ones", **k), (3, 5), (3, 5), [(5,)]),
    (lambda **k: layers.PReLU("he_normal", shared_axes=[1, 2], **k), (2, 3, 4, 2), (2, 3, 4, 2), [(1, 1, 2)]),
    (lambda **k: layers.ELU(0.5, **k), (3, 5), (3, 5), []),
    (lambda **k: layers.Softmax(axis=1, **k), (2, 3, 4), (2, 3, 4), []),
    (lambda **k: layers.Softmax(axis=[1, 2], **k), (2, 3, 4), (2, 3, 4), []),
    (lambda **k: layers.Flatten(**k), (2, 3, 4), (2, 12), []),
    (lambda **k: layers.Identity(**k), (2, 3, 4), (2, 3, 4), []),
    (lambda **k: layers.Reshape((2, -1, 3), **k), (2, 3, 4), (2, 2, 2, 3), []),
    (lambda **k: layers.Permute((2, 3, 1), **k), (2, 3, 4, 5), (2, 4, 5, 3), []),
    (lambda **k: layers.RepeatVector(3, **k), (2, 4), (2, 3, 4), []),
    (lambda **k: layers.ZeroPadding1D((0, 2), **k), (2, 3, 4), (2, 5, 4), []),
    (lambda **k: layers.ZeroPadding2D((1, 2), **k), (2, 3, 4, 2), (2, 5, 8, 2), []),
    (lambda **k: layers.ZeroPadding2D(((0, 1), (2, 0)), **k), (2, 3, 4, 2), (2, 4, 6, 2), []),
    (lambda **k: layers.ZeroPadding3D(**k), (1, 2, 3, 2, 2), (1, 4, 5, 4, 2), []),
    (lambda **k: layers.Cropping1D(**k), (2, 5, 4), (2, 3, 4), []),
    (lambda **k: layers.Cropping2D(((0, 1), (2, 0)), **k), (2, 3, 4, 2), (2, 2, 2, 2), []),
    (lambda **k: layers.Cropping3D(**k), (1, 4, 5, 3, 2), (1, 2, 3, 1, 2), []),
    (lambda **k: layers.UpSampling1D(3, **k), (2, 3, 2), (2, 9, 2), []),
    (lambda **k: layers.UpSampling2D((2, 1), **k), (2, 3, 4, 2), (2, 6, 4, 2), []),
    (lambda **k: layers.UpSampling2D(interpolation="bilinear", **k), (2, 3, 4, 2), (2, 6, 8, 2), []),
    (lambda **k: layers.UpSampling3D(**k), (1, 2, 3, 1, 2), (1, 4, 6, 2, 2), []),
    (lambda **k: layers.Add(**k), [(2, 3, 4), (2, 1, 4), (2, 4)], (2, 3, 4), []),
    (lambda **k: layers.Subtract(**k), [(2, 3, 4), (2, 3, 4)], (2, 3, 4), []),
    (lambda **k: layers.Multiply(**k), [(2, 3, 4), (2, 1, 1)], (2, 3, 4), []),
    (lambda **k: layers.Average(**k), [(2, 4), (2, 4), (2, 4)], (2, 4), []),
    (lambda **k: layers.Maximum(**k), [(2, 4), (2, 4)], (2, 4), []),
    (lambda **k: layers.Minimum(**k), [(2, 4), (2, 4)], (2, 4), []),
    (lambda **k: layers.Concatenate(**k), [(2, 3, 4, 2), (2, 3, 4, 1)], (2, 3, 4, 3), []),
    (lambda **k: layers.Concatenate(1, **k), [(2, 3, 4), (2, 2, 4), (2, 1, 4)], (2, 6, 4), []),
    (lambda **k: layers.Dot(1, **k), [(2, 4), (2, 4)], (2, 1), []),
    (lambda **k: layers.Dot((2, -2), normalize=True, **k), [(2, 3, 4), (2, 4, 5)], (2, 3, 5), []),
    (lambda **k: layers.Dot(-1, **k), [(2, 3, 2, 4), (2, 4)], (2, 3, 2), []),
    (lambda **k: layers.BatchNormalization(**k), (4, 3, 2, 3), (4, 3, 2, 3), [(3,)] * 4),
    (lambda **k: layers.BatchNormalization(1, 0.9, 0.1, center=False, **k), (4, 3, 2), (4, 3, 2), [(3,)] * 3),
    (lambda **k: layers.LayerNormalization(**k), (4, 3, 5), (4, 3, 5), [(5,)] * 2),
    (lambda **k: layers.LayerNormalization([1, 3], scale=False, **k), (2, 3, 2, 4), (2, 3, 2, 4), [(3, 4)]),
    (lambda **k: layers.GroupNormalization(2, **k), (2, 3, 3, 4), (2, 3, 3, 4), [(4,)] * 2),
    (lambda **k: layers.GroupNormalization(-1, 1, **k), (2, 3, 4), (2, 3, 4), [(3,)] * 2),
    (lambda **k: layers.RMSNormalization(**k), (2, 3, 4), (2, 3, 4), [(4,)]),
    (lambda **k: layers.RMSNormalization(1, **k), (2, 3, 4), (2, 3, 4), [(3,)]),
    (lambda **k: layers.UnitNormalization((1, 2), **k), (2, 3, 4), (2, 3, 4), []),
    (lambda **k: layers.Dropout(0.5, (None, 1, 3), 1, **k), (2, 5, 3), (2, 5, 3), []),
    (lambda **k: layers.SpatialDropout1D(0.5, 1, **k), (2, 3, 4), (2, 3, 4), []),
    (lambda **k: layers.SpatialDropout2D(0.5, seed=1, **k), (2, 3, 2, 4), (2, 3, 2, 4), []),
    (lambda **k: layers.SpatialDropout3D(0.5, seed=1, **k), (2, 1, 3, 2, 4), (2, 1, 3, 2, 4), []),
    (lambda **k: layers.GaussianNoise(0.5, 1, **k), (2, 5), (2, 5), []),
    (lambda **k: layers.GaussianDropout(0.5, 1, **k), (2, 5), (2, 5), []),
    (lambda **k: layers.AlphaDropout(0.5, (None, 1), 1, **k), (2, 5), (2, 5), []),
    (lambda **k: layers.Rescaling([0.5, 2.0], -1, **k), (2, 3, 2), (2, 3, 2), []),
    (lambda **k: layers.Normalization(mean=0.5, variance=[4, 9], **k), (2, 3, 2), (2, 3, 2), []),
    (lambda **k: layers.Normalization(1, invert=True, **k), (2, 3, 2), (2, 3, 2), [(3,), (3,), ()]),
    (lambda **k: layers.SimpleRNN(3, **k), (2, 4, 2), (2, 3), [(2, 3), (3, 3), (3,)]),
    (lambda **k: layers.LSTM(3, return_sequences=True, **k), (2, 4, 2), (2, 4, 3), [(2, 12), (3, 12), (12,)]),
    (lambda **k: layers.GRU(3, go_backwards=True, **k), (2, 4, 2), (2, 3), [(2, 9), (3, 9), (2, 9)]),
    (lambda **k: layers.GRU(3, reset_after=False, **k), (2, 4, 2), (2, 3), [(2, 9), (3, 9), (9,)]),
    (
        lambda **k: layers.RNN([layers.LSTMCell(3, **k), layers.SimpleRNNCell(2, use_bias=False, **k)], **k),
        (2, 3, 2),
        (2, 2),
        [(2, 12), (3, 12), (12,), (3, 2), (2, 2)],
    ),
    (
        lambda **k: layers.ConvLSTM1D(2, 2, return_sequences=True, **k),
        (1, 2, 4, 2),
        (1, 2, 3, 2),
        [(2, 2, 8), (2, 2, 8), (8,)],
    ),
    (
        lambda **k: layers.ConvLSTM2D(2, (2, 3), 2, "same", **k),
        (1, 2, 4, 3, 1),
        (1, 2, 2, 2),
        [(2, 3, 1, 8), (2, 3, 2, 8), (8,)],
    ),
    (
        lambda **k: layers.ConvLSTM3D(1, 2, use_bias=False, **k),
        (1, 2, 2, 3, 2, 1),
        (1, 1, 2, 1, 1),
        [(2, 2, 2, 1, 4), (2, 2, 2, 1, 4)],
    ),
    (
        lambda **k: layers.Bidirectional(layers.GRU(2, return_sequences=True, **k), **k),
        (2, 3, 2),
        (2, 3, 4),
        [(2, 6), (2, 6), (2, 6)] * 2,
    ),
    (
        lambda **k: layers.Bidirectional(layers.SimpleRNN(2, **k), "mul", **k),
        (2, 3, 2),
        (2, 2),
        [(2, 2), (2, 2), (2,)] * 2,
    ),
    (lambda **k: layers.TimeDistributed(layers.Dense(3, **k), **k), (2, 3, 2), (2, 3, 3), [(2, 3), (3,)]),
    (
        lambda **k: layers.TimeDistributed(layers.BatchNormalization(**k), **k),
        (3, 2, 2),
        (3, 2, 2),
        [(2,)] * 4,
    ),
    (lambda **k: layers.SpectralNormalization(layers.Dense(3, **k), **k), (2, 4), (2, 3), [(4, 3), (1, 3), (3,)]),
    (lambda **k: layers.Masking(0.5, **k), (2, 3, 4), (2, 3, 4), []),
    (lambda **k: layers.Lambda(ops.tanh, **k), (2, 3), (2, 3), []),
    (lambda **k: layers.ActivityRegularization(0.1, 0.2, **k), (2, 3), (2, 3), []),
    (lambda **k: layers.EinsumDense("...x,xy->...y", 3, "tanh", "y", **k), (2, 3, 4), (2, 3, 3), [(4, 3), (3,)]),
    (lambda **k: layers.EinsumDense("abc,bcd->abd", (None, 5), **k), (2, 3, 4), (2, 3, 5), [(3, 4, 5)]),
    (lambda **k: layers.Attention(True, "concat", **k), [(2, 3, 4), (2, 5, 4)], (2, 3, 4), [(), ()]),
    (lambda **k: layers.Attention(**k), [(2, 3, 4), (2, 5, 2), (2, 5, 4)], (2, 3, 2), []),
    (lambda **k: layers.AdditiveAttention(**k), [(2, 3, 4), (2, 5, 4)], (2, 3, 4), [(4,)]),
]
# Called in another way than a layer on maps: see their own tests.
APART = {
    layers.InputLayer, layers.SimpleRNNCell, layers.LSTMCell, layers.GRUCell, layers.StackedRNNCells, layers.Wrapper,
    layers.Embedding, layers.Discretization, layers.CategoryEncoding, layers.MultiHeadAttention,
    layers.GroupQueryAttention,
}  # fmt: skip
rows = pytest.mark.parametrize("make, shape, output, weights", TABLE, ids=lambda v: None)


def data(shape):
    """Distinct values, away from the kinks of relu, the pools and the merging layers; a list for a list of shapes."""
    if isinstance(shape, list):
        return [data(one) + 0.01 * place for place, one in enumerate(shape)]
    size = int(np.prod(shape))
    return (np.random.default_rng(3).permutation(size).reshape(shape) - size / 2 + 0.37) / size * 4


def with_batch(shape, batch):
    """The shape, or each one of a list, with this batch."""
    return [with_batch(one, batch) for one in shape] if isinstance(shape, list) else (batch, *shape[1:])


def listed(value):
    return value if isinstance(value, list) else [value]


@rows
def test_shapes_agree_with_what_is_computed(make, shape, output, weights):
    layer = make(dtype="float64")
    assert layer(data(shape)).shape == output == layer.compute_output_shape(shape)
    assert [weight.shape for weight in layer.weights] == weights
    assert layer.compute_output_shape(with_batch(shape, None)) == (None, *output[1:])


@rows
def test_gradients(make, shape, output, weights):
    layer = make(dtype="float64")
    layer.build(shape)
    weights = layer.trainable_weights
    places = [next((vars(one), name) for one in layer.flatten_layers() for name, value in vars(one).items()
                   if value is weight) for weight in weights]  # fmt: skip
    count = len(listed(shape))

    def call(*values):
        """The layer, its weights replaced by Tensors."""
        for (attributes, name), value in zip(places, values[count:]):
            attributes[name] = value
        try:
            return layer(list(values[:count]) if isinstance(shape, list) else values[0])
        finally:
            for (attributes, name), weight in zip(places, weights):
                attributes[name] = weight

    gradcheck(call, *listed(data(shape)), *(weight.numpy() for weight in weights))


@rows
def test_config_makes_an_equal_layer(make, shape, output, weights):
    layer = make(dtype="float64", name="mine", trainable=False)
    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    x = data(shape)
    layer(x), twin(x)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x), twin(x))
    assert json.loads(json.dumps(twin.get_config())) == config and twin.name == "mine" and not twin.trainable
    assert repr(twin) == repr(layer)


@rows
def test_a_batch_of_none(make, shape, output, weights):
    zeros = [np.zeros(one) for one in listed(with_batch(shape, 0))]
    assert make()(zeros if isinstance(shape, list) else zeros[0]).shape == (0, *output[1:])


@rows
def test_planned_as_drawn_in_a_graph_trained_and_saved(make, shape, output, weights, tmp_path):
    """Recorded steps of training and inference have the bits of those run one by one, and a file brings all back."""
    pair = [network(make, shape)]
    pair[0].save(tmp_path / "model.safetensors")
    pair.append(load_model(tmp_path / "model.safetensors"))
    pair[1]._planner.records = False
    x, y = [array.astype("float32") for array in listed(data(with_batch(shape, 6)))], np.ones((6, *output[1:]))
    for _ in range(4):
        assert pair[0].train_on_batch(x, y) == pair[1].train_on_batch(x, y)
    for _ in range(3):
        np.testing.assert_array_equal(pair[0].predict(x), pair[1].predict(x))
    assert len(plans(pair[0])) == 2 and not plans(pair[1])
    assert all(map(np.array_equal, pair[0].get_weights(), pair[1].get_weights()))


def network(make, shape):
    """A model whose inputs go through a weight each, then through the layer."""
    inputs = [layers.Input(one[1:]) for one in listed(shape)]
    middle = [layers.Dense(one[-1], kernel_initializer="he_normal")(x) for one, x in zip(listed(shape), inputs)]
    model = Model(inputs, make()(middle if isinstance(shape, list) else middle[0]))
    model.compile("sgd", "mse")
    return model


def test_every_layer_has_a_row():
    made = {type(make()) for make, *_ in TABLE}
    assert not made & APART and made | APART == set(layers.CLASSES)


def test_automatic_names_are_keras_names():
    class FancyBlock(layers.Layer):
        pass

    first, second = FancyBlock(), FancyBlock()
    assert (first.name, second.name) == ("fancy_block", "fancy_block_1")
    stems = {layers.Conv2D(1, 1): "conv2d", layers.ReLU(): "re_lu", layers.GlobalMaxPooling1D(): "global_max_pooling1d"}
    assert all(layer.name.startswith(stem) for layer, stem in stems.items())


def test_repr_shows_what_was_asked_for_and_the_shapes():
    layer = layers.Conv2D(32, (5, 5), activation="relu")
    assert repr(layer) == "Conv2D(32, (5, 5), activation='relu')"
    layer.build((None, 28, 28, 1))
    assert repr(layer) == "Conv2D(32, (5, 5), activation='relu') (None, 28, 28, 1) -> (None, 24, 24, 32)"
    assert repr(layers.MaxPooling2D(2)) == "MaxPooling2D(pool_size=(2, 2))"
    assert repr(layers.Dense(3, kernel_initializer="ones")) == "Dense(3, kernel_initializer=Ones())"


def test_glorot_uniform_and_zeros_are_the_defaults():
    layer = layers.Conv2D(64, 5)
    layer.build((None, 9, 9, 32))
    limit = np.sqrt(6 / (25 * 32 + 25 * 64))
    kernel, bias = layer.get_weights()
    assert 0.95 * limit < np.abs(kernel).max() <= limit and not bias.any()
    assert kernel.dtype == "float32"


def test_one_seed_gives_one_start():
    def start():
        set_random_seed(7)
        layer = layers.Dense(5)
        layer.build((None, 4))
        return layer.get_weights()[0].tobytes()

    assert start() == start()


def test_count_params_and_set_weights():
    layer = layers.Dense(3)
    with pytest.raises(ValueError, match="not built"):
        layer.count_params()
    layer.build((None, 4))
    assert layer.count_params() == 15
    values = [np.ones((4, 3)), np.arange(3)]
    layer.set_weights(values)
    values[0][:] = 5
    assert layer.get_weights()[0].dtype == "float32" and layer.get_weights()[0].max() == 1
    for wrong in ([np.ones((4, 3))], [np.ones((3, 4)), np.zeros(3)]):
        with pytest.raises(ValueError, match="weights"):
            layer.set_weights(wrong)
    assert layer.get_weights()[0].max() == 1


def test_dropout_only_in_training_and_by_seed():
    x = np.ones((100, 100), "float32")
    layer = layers.Dropout(0.25, seed=3)
    np.testing.assert_array_equal(layer(x), x)
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)} and abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(layers.Dropout(0.25, seed=3)(x, training=True), y)
    assert not layers.Dropout(1.0)(x, training=True).numpy().any()


def test_relu_variants():
    x = np.array([[-2.0, 0.5, 9.0]], "float32")
    np.testing.assert_allclose(layers.ReLU(6, 0.5)(x), [[-1, 0.5, 6]])


def test_inputs_of_any_numeric_dtype_are_converted():
    layer = layers.Dense(2)
    for dtype in ("uint8", "int64", "bool", "float16", "float64", ">f4"):
        assert layer(np.ones((1, 3), dtype)).dtype == "float32"
    for wrong in (np.ones((1, 3), complex), np.array([["a"]]), np.array([[None]])):
        with pytest.raises(TypeError, match="real numbers"):
            layer(wrong)


def test_gradients_pass_between_layers_of_two_dtypes():
    x = Tensor(np.ones((2, 3), "float64"), requires_grad=True)
    ops.sum(layers.Dense(1, dtype="float64")(layers.Dense(2)(x))).backward()
    assert x.grad.dtype == "float64" and x.grad.any()


class Scale(layers.Layer):
    """A layer of a user's own: one weight, one layer inside."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.inner = layers.Dropout(0.5)

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, inputs):
        return self.inner(inputs * self.scale * self.factor)


def test_a_layer_of_ones_own():
    layer = Scale(2.0)
    x = np.ones((4, 50), "float32")
    np.testing.assert_array_equal(layer(x), 2 * x)
    assert (layer(x, training=True).numpy() == 0).any()  # training reaches the layer inside
    assert [len(layer.weights), len(layer.trainable_weights)] == [2, 1]
    layer.trainable = False
    assert not layer.trainable_weights and not layer.inner.trainable
    layer.trainable = True
    assert [weight.name for weight in layer.trainable_weights] == ["scale"]
    assert layer.compute_output_shape((None, 50)) == (None, 50)
    assert Scale.from_config(layer.get_config()).factor == 2.0
    layer.build((None, 50))  # a second build adds nothing
    assert len(layer.weights) == 2


def test_a_layer_that_forgets_super_is_told():
    class Bad(layers.Layer):
        def __init__(self):
            pass

        def call(self, inputs):
            return inputs

    with pytest.raises(AttributeError, match="super"):
        Bad()(np.ones((1, 2)))


ERRORS = [
    (lambda: layers.Conv2D(8, 3)(np.zeros((60, 28, 28))), ValueError,
     r"Conv2D expects \(batch, height, width, channels\); got \(60, 28, 28\). Grey images.* x = x\[..., None\]"),
    (lambda: layers.Conv2D(8, 3, kernel_sise=3), TypeError, "kernel_size"),
    (lambda: layers.Conv2D(8, 3, lora_rank=4), ValueError, "trains whole weights"),
    (lambda: layers.Dense(8, activation="rleu"), ValueError, "Did you mean 'relu'"),
    (lambda: layers.Dense(8, kernel_initializer="glorot"), ValueError, "glorot_?[uU]niform|Glorot"),
    (lambda: layers.Dense(0), ValueError, "units must be a positive integer"),
    (lambda: layers.Dense(1.5), TypeError, "units must be a positive integer"),
    (lambda: layers.Softmax("last"), TypeError, "axis must be an int"),
    (lambda: layers.Dense(8, dtype="float16"), ValueError, "float32"),
    (lambda: layers.Dense(8, name="a/b"), ValueError, "name"),
    (lambda: layers.Dense(8)(np.zeros(3)), ValueError, "features"),
    (lambda: layers.Dense(8)(layers.Conv2D(3, 3)), TypeError, "Call it on what a layer gives"),
    (lambda: layers.Conv2D(8, 0), ValueError, "kernel_size"),
    (lambda: layers.Conv2D(8, (3, 3, 3)), ValueError, "kernel_size"),
    (lambda: layers.Conv2D(8, 3, padding="sam"), ValueError, "padding"),
    (lambda: layers.Conv2D(8, 3, padding=-1), ValueError, "padding"),
    (lambda: layers.Conv2D(8, 3, strides=0), ValueError, "strides"),
    (lambda: layers.Conv2D(8, 3, data_format="NCHW"), ValueError, "channels_last"),
    (lambda: layers.Conv2D(9, 3, groups=2), ValueError, "multiple of groups"),
    (lambda: layers.Conv2D(8, 3, groups=2)(np.zeros((1, 5, 5, 3))), ValueError, "groups"),
    (lambda: layers.Conv2D(8, 7)(np.zeros((1, 5, 5, 3))), ValueError, "larger than the padded input"),
    (lambda: layers.MaxPooling2D(7)(np.zeros((1, 5, 5, 3))), ValueError, "larger than the padded input"),
    (lambda: layers.MaxPooling2D(2, padding=1), ValueError, "'valid' or 'same'"),
    (lambda: layers.MaxPooling1D(2, padding="causal"), ValueError, "'valid' or 'same'"),
    (lambda: layers.Conv2D(8, 3, padding="causal"), ValueError, "padding must be 'valid', 'same', an int"),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), ValueError, "depth_multiplier must be a positive integer"),
    (lambda: layers.DepthwiseConv2D(3, depthwise_regularizer="l3"), ValueError, "Unknown regularizer"),
    (lambda: layers.SeparableConv1D(0, 3), ValueError, "filters must be a positive integer"),
    (lambda: layers.Conv2DTranspose(8, 3, padding="causal"), ValueError, "padding"),
    (lambda: layers.Conv1DTranspose(8, 3, padding="causal"), ValueError, "'valid', 'same' or explicit; got 'causal'"),
    (lambda: layers.Conv2DTranspose(8, 3, 2, output_padding=2), ValueError, r"less than strides, \(2, 2\)"),
    (lambda: layers.Conv2DTranspose(8, 3, padding=3)(np.zeros((1, 2, 5, 3))), ValueError,
     "would have -2 cells on spatial axis 0, of 2 cells and a kernel of 3: use less padding"),
    (lambda: layers.Conv2DTranspose(9, 3, groups=2), ValueError, "multiple of groups"),
    (lambda: layers.AdaptiveMaxPooling2D((3, 0)), ValueError, "output_size must be between 1"),
    (lambda: layers.AdaptiveMaxPooling2D(3)(np.zeros((5, 5, 3))), ValueError, "AdaptiveMaxPooling2D expects"),
    (lambda: layers.Dropout(1.5), ValueError, "rate"),
    (lambda: layers.Dropout(0.5, seed=-1), ValueError, "seed"),
    (lambda: layers.ReLU(threshold=-1.0), ValueError, "threshold"),
    (lambda: layers.Input(28), TypeError, "shape"),
    (lambda: layers.Input((28, 0)), ValueError, "at least 1"),
]  # fmt: skip


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_a_built_layer_refuses_other_channels():
    maps = layers.Conv2D(2, 3), layers.DepthwiseConv2D(3), layers.SeparableConv2D(2, 3), layers.Conv2DTranspose(2, 3)
    cases = [(layer, (1, 5, 5, 3), (1, 5, 5, 4)) for layer in maps]
    for layer, shape, other in (*cases, (layers.Dense(2), (1, 3), (1, 4))):
        layer(np.zeros(shape))
        with pytest.raises(ValueError, match=f"{layer.name!r}.*was built for 3"):
            layer(np.zeros(other))


def test_sizes_may_stay_open():
    layer = layers.Conv2D(2, 3, strides=2, padding="same")
    assert layer.compute_output_shape((None, None, 7, 1)) == (None, None, 4, 2)
    layer.build((None, None, None, 1))
    assert layer(np.zeros((1, 9, 6, 1))).shape == (1, 5, 3, 2)
    layer = layers.Conv2DTranspose(2, 3, strides=2, padding="same")
    assert layer.compute_output_shape((None, None, 7, 1)) == (None, None, 14, 2)


def test_aliases():
    assert layers.MaxPool2D is layers.MaxPooling2D and layers.AvgPool1D is layers.AveragePooling1D
    assert fastconv.layers.GlobalAvgPool3D is layers.GlobalAveragePooling3D
    assert {"Input", "Layer", "Conv2D", "MaxPool2D"} <= set(layers.__all__)
