"""Masks: what layers make of them and hand on, eagerly, in drawn graphs and in plans."""

import warnings

import numpy as np
import pytest
from helpers_ops import check_planned, values

import fastconv
from fastconv import Tensor, layers, ops
from fastconv.ops.masks import as_floats, select
from fastconv.testing import gradcheck

IDS = np.array([[1, 2, 0, 3], [0, 4, 0, 0], [5, 1, 2, 3]])
MASK = IDS != 0


def mask_of(x):
    mask = getattr(x, "_keras_mask", None)
    return None if mask is None else np.asarray(mask)


def embedded(**arguments):
    return layers.Embedding(6, 3, mask_zero=True, **arguments)(IDS)


KEEPING = [
    layers.Activation("relu"), layers.ReLU(), layers.ELU(), layers.PReLU(), layers.LeakyReLU(), layers.Dropout(0.5),
    layers.SpatialDropout1D(0.5), layers.GaussianNoise(0.5), layers.GaussianDropout(0.5), layers.AlphaDropout(0.5),
    layers.BatchNormalization(), layers.LayerNormalization(), layers.GroupNormalization(3),
    layers.UnitNormalization(), layers.Dense(2), layers.Identity(), layers.Rescaling(2.0),
    layers.ActivityRegularization(0.1), layers.TimeDistributed(layers.Dense(2)), layers.LSTM(2, return_sequences=True),
    layers.RNN(layers.GRUCell(2), return_sequences=True),
    layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True)),
]  # fmt: skip
DROPPING = [
    layers.LSTM(2), layers.Bidirectional(layers.GRU(2)), layers.GlobalAveragePooling1D(),
    layers.ConvLSTM1D(2, 1),
]  # fmt: skip


@pytest.mark.parametrize("layer", KEEPING, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("training", [False, True])
def test_layers_hand_the_mask_on(layer, training):
    np.testing.assert_array_equal(mask_of(layer(embedded(), training=training)), MASK)
    assert layer.supports_masking


@pytest.mark.parametrize("layer", DROPPING, ids=lambda layer: type(layer).__name__)
def test_layers_without_steps_have_no_mask(layer):
    shape = (2, 3, 4, 1) if isinstance(layer, layers.ConvLSTM1D) else (3, 4, 3)
    x = Tensor(np.zeros(shape))
    x._keras_mask = Tensor(np.ones(shape[:2], bool))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mask_of(layer(x)) is None


def test_what_drops_a_mask_says_so():
    with pytest.warns(UserWarning, match="does not support masking"):
        assert mask_of(layers.Conv1D(2, 1)(embedded())) is None


def test_masks_of_several():
    x, plain = embedded(), Tensor(np.zeros((3, 4, 3), "float32"))
    other = layers.Embedding(6, 3, mask_zero=True)(IDS[:, ::-1].copy())
    both = MASK | MASK[:, ::-1]
    np.testing.assert_array_equal(mask_of(layers.Add()([x, other])), both)
    assert mask_of(layers.Add()([x, plain])) is None
    np.testing.assert_array_equal(mask_of(layers.Concatenate()([x, other])), both)
    side = mask_of(layers.Concatenate(1)([x, plain]))
    np.testing.assert_array_equal(side, np.concatenate([MASK, np.ones_like(MASK)], 1))
    assert mask_of(layers.Dot(2)([x, other])) is None


def test_masking_finds_and_empties_steps():
    x = np.full((2, 3, 2), 7.0)
    x[0, 1] = 2
    x[1, 0, 0] = 2
    y = layers.Masking(2)(x)
    np.testing.assert_array_equal(mask_of(y), [[True, False, True], [True] * 3])
    np.testing.assert_array_equal(y, x * mask_of(y)[..., None])
    with pytest.raises(TypeError, match="mask_value"):
        layers.Masking("0")


def test_a_mean_and_a_softmax_of_what_counts():
    x = values(3, 4, 2)
    expected = [x[i][MASK[i]].mean(0) for i in range(3)]
    np.testing.assert_allclose(layers.GlobalAveragePooling1D(dtype="float64")(x, mask=MASK), expected)
    y = layers.Softmax(dtype="float64")(x[..., 0], mask=MASK).numpy()
    powers = np.where(MASK, np.exp(x[..., 0]), 0)
    np.testing.assert_allclose(y, powers / powers.sum(1, keepdims=True))


def model_of(embedding=True):
    head = [layers.Embedding(6, 3, mask_zero=True)] if embedding else [layers.Masking()]
    start = fastconv.Input((4,)) if embedding else fastconv.Input((4, 3))
    return fastconv.Sequential([start, *head, layers.LSTM(3, return_sequences=True), layers.Dense(2)])


@pytest.mark.parametrize("embedding", [False, True])
def test_plans_give_masks_too(embedding):
    model = model_of(embedding)
    x = IDS if embedding else values(3, 4, 3) * MASK[..., None]
    outputs = [model(x) for _ in range(4)]
    assert model._planner.entries
    for y in outputs:
        np.testing.assert_array_equal(mask_of(y), MASK)
        np.testing.assert_array_equal(y, outputs[0])
    np.testing.assert_array_equal(model.compute_mask(x), MASK)


def test_a_models_input_may_have_a_mask():
    model = fastconv.Sequential([fastconv.Input((4, 3)), layers.LSTM(3)])
    x = values(3, 4, 3, dtype="float32")
    plain = [model(x).numpy() for _ in range(3)][-1]
    masked = Tensor(x)
    masked._keras_mask = Tensor(MASK)
    found = model(masked).numpy()
    np.testing.assert_array_equal(found, model.layers[0](x, mask=MASK))
    assert not np.array_equal(found, plain)
    assert model.compute_mask(x, MASK) is None and not hasattr(x, "_keras_mask")


def test_a_graph_takes_a_mask_that_was_computed():
    ids = fastconv.Input((4,), dtype="int32")
    embedding = layers.Embedding(6, 3)
    x = embedding(ids)
    mask = layers.Lambda(lambda ids: ops.not_equal(ids, 0))(ids)
    explicit = fastconv.Model(ids, layers.GRU(2)(x, mask=mask))
    implicit = fastconv.Sequential([layers.Embedding(6, 3, mask_zero=True), layers.GRU(2)])
    implicit(IDS)
    implicit.set_weights(explicit.get_weights())
    for _ in range(3):
        np.testing.assert_allclose(explicit.predict(IDS), implicit.predict(IDS), rtol=1e-6)


class Times(layers.Layer):
    """A user's layer that reads the mask of its input."""

    def call(self, inputs, mask=None):
        return inputs if mask is None else ops.multiply(inputs, ops.expand_dims(ops.cast(mask, inputs.dtype), -1))

    def compute_mask(self, inputs, mask=None):
        return mask


def test_a_layer_of_ones_own_reads_and_makes_masks():
    x = embedded()
    y = Times()(x)
    np.testing.assert_array_equal(y, x.numpy() * MASK[..., None])
    np.testing.assert_array_equal(mask_of(y), MASK)
    ids = fastconv.Input((4,))
    model = fastconv.Model(ids, Times()(layers.Embedding(6, 3, mask_zero=True)(ids)))
    for _ in range(3):
        y = model(IDS).numpy()
        np.testing.assert_array_equal((y != 0).any(-1), MASK)


def test_select_is_where_and_keeps_infinities_out():
    mask = np.array([[1.0], [0.0]])
    a, b = np.array([[1.0, 2.0], [np.nan, np.inf]]), np.array([[np.inf, np.nan], [3.0, 4.0]])
    np.testing.assert_array_equal(select(mask, a, b), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(select(mask, a), [[1, 2], [0, 0]])
    np.testing.assert_array_equal(as_floats([[2, 0]], "float64"), [[1, 0]])
    assert gradcheck(lambda a, b: select(mask, a, b), values(2, 3), values(1, 3, seed=1))
    check_planned(lambda a, b: select(mask, a, b), [values(2, 3), values(2, 3)], [values(2, 3, seed=1)] * 2)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 3.0])], ids=["plain", "weighted"])
@pytest.mark.parametrize("eager", [False, True], ids=["planned", "eager"])
def test_metrics_count_what_the_mask_shows(weights, eager):
    scores = layers.Dense(2, kernel_initializer="zeros", bias_initializer=lambda shape, dtype: np.array([1.0, 0.0]))
    model = fastconv.Sequential([layers.Input((4,)), layers.Embedding(6, 3, mask_zero=True), scores])
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], run_eagerly=eager)
    model.optimizer.learning_rate = 0.0
    labels = np.array([[0, 1, 1, 0], [0, 1, 0, 0]])  # of the first three steps that count 2 are hit, of the other one 0
    by = [1, 1] if weights is None else weights
    right = 2 * by[0] / (3 * by[0] + by[1])
    found = [model.fit(IDS[:2], labels, sample_weight=weights, verbose=0).history["accuracy"][0] for _ in range(3)]
    found.append(model.evaluate(IDS[:2], labels, sample_weight=weights, verbose=0)[1])
    found.append(fastconv.metrics.SparseCategoricalAccuracy()(labels, model(IDS[:2]), weights))
    assert found == pytest.approx([right] * 5)
