"""What layers without a window compute, against NumPy; what they say about shapes that do not fit."""

import numpy as np
import pytest
from test_layers import data

from fastconv import Model, layers, ops

A, B, V = data((2, 3, 4)), data((2, 3, 4))[:, ::-1] * 0.7, data((2, 4))
IMAGE = data((2, 3, 4, 2))


def unit(x, axis):
    return x / np.sqrt((x * x).sum(axis, keepdims=True))


def norm(x, axes, epsilon=1e-3):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def resized(x, factor):
    """Bilinear by half-pixel centres along axis 1."""
    places = np.clip((np.arange(x.shape[1] * factor) + 0.5) / factor - 0.5, 0, x.shape[1] - 1)
    low = np.minimum(places.astype(int), x.shape[1] - 2)
    share = (places - low)[:, None, None]
    return x[:, low] * (1 - share) + x[:, low + 1] * share


VALUES = [
    (layers.Add(), [A, B, V], A + B + V[:, None]),
    (layers.Subtract(), [A, B], A - B),
    (layers.Multiply(), [A, B], A * B),
    (layers.Average(), [A, B, B], (A + B + B) / 3),
    (layers.Maximum(), [A, B], np.maximum(A, B)),
    (layers.Minimum(), [A, B], np.minimum(A, B)),
    (layers.Concatenate(1), [A, B], np.concatenate([A, B], 1)),
    (layers.Dot(2), [A, B], np.einsum("nac,nbc->nab", A, B)),
    (layers.Dot((1, 1)), [A, B], np.einsum("nca,ncb->nab", A, B)),
    (layers.Dot((2, 1)), [A, V], np.einsum("nac,nc->na", A, V)),
    (layers.Dot((1, 2)), [V, A], np.einsum("nc,nbc->nb", V, A)),
    (layers.Dot((2, 2)), [IMAGE, A], np.einsum("nhwc,nbw->nhcb", IMAGE, A)),
    (layers.Dot(-1, normalize=True), [V, V * 3], np.ones((2, 1))),
    (layers.Reshape((4, -1)), A, A.reshape(2, 4, 3)),
    (layers.Permute((2, 1)), A, A.swapaxes(1, 2)),
    (layers.RepeatVector(2), V, np.stack([V, V], 1)),
    (layers.ZeroPadding1D((1, 0)), A, np.pad(A, [(0, 0), (1, 0), (0, 0)])),
    (layers.ZeroPadding2D((1, 2)), IMAGE, np.pad(IMAGE, [(0, 0), (1, 1), (2, 2), (0, 0)])),
    (layers.Cropping1D((0, 1)), A, A[:, :-1]),
    (layers.Cropping2D(), IMAGE, IMAGE),
    (layers.Cropping2D(((1, 0), (0, 3))), IMAGE, IMAGE[:, 1:, :-3]),
    (layers.UpSampling1D(2), A, A.repeat(2, 1)),
    (layers.UpSampling2D((1, 3)), IMAGE, IMAGE.repeat(3, 2)),
    (layers.UpSampling2D((2, 1), interpolation="bilinear"), IMAGE, resized(IMAGE, 2)),
    (layers.LeakyReLU(), A, np.where(A > 0, A, 0.3 * A)),
    (layers.LeakyReLU(alpha=0.1), A, np.where(A > 0, A, 0.1 * A)),
    (layers.PReLU("ones"), A, A),
    (layers.ReLU(1.0, 0.5, 0.5), A, np.where(A > 0.5, np.minimum(A, 1), 0.5 * (A - 0.5))),
    (layers.Softmax([1, 2]), A, np.exp(A) / np.exp(A).sum((1, 2), keepdims=True)),
    (layers.BatchNormalization(), A, A / np.sqrt(1 + 1e-3)),
    (layers.LayerNormalization(), A, norm(A, 2)),
    (layers.LayerNormalization([1, 2], 0.1), A, norm(A, (1, 2), 0.1)),
    (layers.LayerNormalization(1), A, norm(A, 1)),
    (layers.GroupNormalization(2), A, norm(A.reshape(2, 3, 2, 2), (1, 3)).reshape(A.shape)),
    (layers.GroupNormalization(-1), A, norm(A, 1)),
    (layers.GroupNormalization(1, axis=1), A, norm(A, (1, 2))),
    (layers.RMSNormalization(epsilon=0.1), A, A / np.sqrt((A * A).mean(2, keepdims=True) + 0.1)),
    (layers.RMSNormalization(1), A, A / np.sqrt((A * A).mean(1, keepdims=True) + 1e-6)),
    (layers.UnitNormalization(), A, unit(A, 2)),
    (layers.UnitNormalization([1, 2]), A, unit(A, (1, 2))),
    (layers.Rescaling(0.5, [1, 2, 3, 4]), A, A * 0.5 + [1, 2, 3, 4]),
    (layers.Normalization(mean=[1, 2, 3, 4], variance=4), A, (A - [1, 2, 3, 4]) / 2),
    (layers.Normalization(None, 1, 4, invert=True), A, A * 2 + 1),
]


@pytest.mark.parametrize("layer, x, expected", VALUES, ids=lambda v: getattr(v, "name", ""))
def test_values(layer, x, expected):
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


FUNCTIONS = [
    (layers.add, np.add), (layers.subtract, np.subtract), (layers.multiply, np.multiply), (layers.maximum, np.maximum),
    (layers.minimum, np.minimum), (layers.average, lambda a, b: (a + b) / 2),
    (layers.concatenate, lambda a, b: np.concatenate([a, b], -1)),
    (layers.dot, lambda a, b: np.einsum("nac,nbc->nab", a, b)),
]  # fmt: skip


@pytest.mark.parametrize("function, expected", FUNCTIONS, ids=lambda v: v.__name__)
def test_functions_draw_their_layers(function, expected):
    inputs = [layers.Input((3, 4)), layers.Input((3, 4))]
    model = Model(inputs, function(inputs, name="mine"))
    assert model.layers[-1].name == "mine" and model.layers[-1].__class__.__name__.lower() == function.__name__
    np.testing.assert_allclose(model.predict([A, B]), expected(A, B), rtol=1e-5, atol=1e-5)


def test_open_sizes_stay_open_until_they_are_known():
    inputs = layers.Input((None, None, 2))
    x = layers.UpSampling2D(interpolation="bilinear")(layers.Cropping2D(1)(layers.ZeroPadding2D(2)(inputs)))
    assert x.shape == (None, None, None, 2)
    flat = layers.Reshape((-1, 4))(x)
    assert flat.shape == (None, None, 4) and layers.Flatten()(x).shape == (None, None)
    model = Model(inputs, layers.Add()([flat, flat]))
    for sizes, rows in (((3, 4), 60), ((2, 2), 32), ((3, 4), 60)):
        assert model.predict(np.ones((5, *sizes, 2))).shape == (5, rows, 4)
    outer = layers.Input((None, None, 2))
    assert model(outer).shape == Model(outer, model(outer)).output_shape == (None, None, 4)  # and in a model of models
    assert layers.Dot(2)([layers.Input((None, 3)), layers.Input((7, 3))]).shape == (None, None, 7)


def test_a_reshaped_batch_of_zero():
    assert layers.Reshape((-1, 2))(np.zeros((0, 6))).shape == (0, 3, 2)


def inputs(*shapes):
    return [layers.Input(shape) for shape in shapes]


ERRORS = [
    (lambda: layers.Add(name="sum")(inputs((3, 4), (3, 5))),
     r"'sum' \(Add\) cannot merge tensors of shapes \(None, 3, 4\) and \(None, 3, 5\).*equal, or 1"),
    (lambda: layers.add([np.ones((2, 3)), np.ones((4, 3))]), r"\(2, 3\) and \(4, 3\): their batches differ"),
    (lambda: layers.Add()(np.ones((2, 3))), r"takes a list of tensors, such as \[x, y\]; got the shape \(2, 3\)"),
    (lambda: layers.Subtract()(inputs((3,), (3,), (3,))), "takes a list of two tensors; got 3"),
    (lambda: layers.Concatenate(name="join")(inputs((3, 4), (2, 4))),
     r"'join' .*\(None, 3, 4\) and \(None, 2, 4\): all sizes but those of axis -1"),
    (lambda: layers.Concatenate(3)(inputs((3, 4), (3, 4))), "axis 3 is none of a tensor of shape"),
    (lambda: layers.Dot(1)(inputs((3, 4), (2, 4))), r"\(None, 3, 4\) and \(None, 2, 4\): axes=1 have 3 and 2"),
    (lambda: layers.Dot(0)(inputs((3,), (3,))), "axes=0 names no axis behind the batch"),
    (lambda: layers.Dot((1, 2, 3)), "an int, or one for each"),
    (lambda: layers.Reshape((-1, -1)), "-1 once at most"),
    (lambda: layers.Reshape((5, -1), name="r")(np.ones((2, 3, 4))), r"'r' \(Reshape\): .*\(3, 4\) have 12.*\(5, -1\)"),
    (lambda: layers.Reshape((2, 3))(np.ones((2, 3, 4))), "do not fit target_shape"),
    (lambda: layers.Permute((0, 1)), "each number from 1 to 2 once"),
    (lambda: layers.Permute((2, 1))(np.ones((2, 3))), r"dims=\(2, 1\) do not fit the input shape \(2, 3\)"),
    (lambda: layers.RepeatVector(2)(np.ones((2, 3, 4))), r"expects \(batch, features\)"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), r"2 ints or \(low, high\) pairs; got \(1, 2, 3\)"),
    (lambda: layers.ZeroPadding1D(-1), "an int of at least 0, or a .low, high. pair; got"),
    (lambda: layers.ZeroPadding2D("same"), "got 'same'"),
    (lambda: layers.Cropping1D((2, 1), name="c")(np.ones((1, 3, 1))), r"'c' .*cropping=\(2, 1\) leaves nothing"),
    (lambda: layers.UpSampling2D(interpolation="cubic"), "interpolation must be one of 'nearest', 'bilinear'"),
    (lambda: layers.PReLU()(layers.Input((None, 3))), "Name the open axes in shared_axes"),
    (lambda: layers.PReLU(shared_axes=[3])(np.ones((1, 2, 3))), "shared_axes must be from 1 to 2"),
    (lambda: layers.BatchNormalization(renorm=True), "renorm=True is not built"),
    (lambda: layers.BatchNormalization(momentum=1.5), "momentum must be between 0 and 1"),
    (lambda: layers.BatchNormalization(axis=0)(np.ones((2, 3))), "axis must name different axes.*not its batch"),
    (lambda: layers.BatchNormalization()(layers.Input((3, None))), r"known sizes along axis -1.*\(None, 3, None\)"),
    (lambda: layers.LayerNormalization([1, -1])(np.ones((2, 3))), "axis must name different axes"),
    (lambda: layers.LayerNormalization(epsilon=-1), "epsilon must be"),
    (lambda: layers.GroupNormalization(0), "groups must be at least 1, or -1"),
    (lambda: layers.GroupNormalization(name="g")(np.ones((2, 3, 48))), "'g' .*groups=32 do not divide the 48 channels"),
    (lambda: layers.GaussianDropout(1), "less than 1"),
    (lambda: layers.AlphaDropout(1.0), "less than 1"),
    (lambda: layers.Dropout(0.5, (0, 1)), "noise_shape must hold positive ints or None"),
    (lambda: layers.Dropout(0.5, (None, 2))(np.ones((2, 3)), training=True), "noise_shape must have 1, None or"),
    (lambda: layers.GaussianNoise(-1), "stddev must be"),
    (lambda: layers.Rescaling(float("nan")), "scale must be finite"),
    (lambda: layers.Normalization(mean=1.0), "mean and variance together"),
    (lambda: layers.Normalization(mean=1.0, variance=-1.0), "variance must be at least 0"),
    (lambda: layers.Normalization(mean=[1, 2], variance=1)(np.ones((2, 3))), r"mean of shape \(2,\) does not fit"),
    (lambda: layers.Normalization(mean=1, variance=1).adapt(np.ones((2, 3))), "was given its mean"),
    (lambda: layers.Normalization().adapt(np.ones((0, 3))), "needs samples"),
]  # fmt: skip


@pytest.mark.parametrize("program, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, message):
    with pytest.raises(ValueError, match=message):
        program()


@pytest.mark.parametrize("make", [
    layers.BatchNormalization, layers.LayerNormalization, layers.RMSNormalization, layers.Normalization, layers.PReLU,
    lambda: layers.GroupNormalization(1),
], ids=lambda v: "")  # fmt: skip
def test_a_built_layer_refuses_other_sizes(make):
    layer = make()
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=f"{layer.name!r}.*was built for"):
        layer(np.ones((2, 4)))


def test_an_op_of_a_layer_may_stand_in_a_users_layer():
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norm, self.join = layers.BatchNormalization(), layers.Concatenate()

        def call(self, inputs):
            return self.join([self.norm(inputs), ops.relu(inputs)])

    block = Block()
    x = np.ones((4, 3), "float32") * [[1], [2], [3], [4]]
    assert block(x).shape == (4, 6) and len(block.weights) == 4
    assert abs(block(x, training=True).numpy()[:, :3].mean()) < 1e-6  # training reaches the layer inside
