"""Wrappers, functions as layers, embeddings and categories: values, configs and errors; their rows:
tests/test_layers.py.
"""

import numpy as np
import pytest

import fastconv
from fastconv import layers, ops
from fastconv.models import load_model
from fastconv.testing import gradcheck


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


# Wrappers


def test_time_distributed_is_the_layer_on_each_step():
    x = normal(2, 3, 5, 4, 2)
    for inner in (layers.Conv2D(3, 2), layers.MaxPooling2D(), layers.Flatten(), layers.GRU(3)):
        steps = x[..., 0] if isinstance(inner, layers.GRU) else x
        layer = layers.TimeDistributed(inner)
        y = layer(steps)
        for t in range(3):
            np.testing.assert_allclose(y.numpy()[:, t], inner(steps[:, t]), rtol=1e-5, atol=1e-6)


def test_time_distributed_calls_what_keeps_statistics_step_by_step():
    x = normal(4, 3, 2)
    norm, alone = layers.BatchNormalization(momentum=0.5), layers.BatchNormalization(momentum=0.5)
    y = layers.TimeDistributed(norm)(x, training=True).numpy()
    for t in range(3):
        np.testing.assert_allclose(y[:, t], alone(x[:, t], training=True), rtol=1e-6)
    np.testing.assert_array_equal(norm.moving_mean, alone.moving_mean)


def test_a_model_within_a_wrapper_and_a_file(tmp_path):
    frames = fastconv.Sequential([fastconv.Input((6, 6, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
    model = fastconv.Sequential([fastconv.Input((None, 6, 6, 1)), layers.TimeDistributed(frames), layers.LSTM(3)])
    assert model.output_shape == (None, 3) and model.layers[0].compute_output_shape((None, None, 6, 6, 1)) == (
        None,
        None,
        2,
    )
    x = normal(2, 4, 6, 6, 1)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors").predict(x), model.predict(x))


def test_time_distributed_hands_each_step_its_mask():
    x, mask = normal(2, 3, 4, 2), np.array([[[1, 0, 1, 1]] * 3, [[1, 1, 0, 0]] * 3], bool)
    inner = layers.GRU(2)
    y = layers.TimeDistributed(inner)(x, mask=mask).numpy()
    np.testing.assert_allclose(y[:, 1], inner(x[:, 1], mask=mask[:, 1]), rtol=1e-6)
    with pytest.raises(ValueError, match=r"begin with batch and steps, \(2, 3\)"):
        layers.TimeDistributed(inner)(x, mask=np.ones((2, 4)))


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional_merges_both_ways(mode, sequences):
    x = normal(2, 4, 3)
    layer = layers.Bidirectional(layers.GRU(2, return_sequences=sequences, return_state=True), mode)
    *outputs, state, back_state = layer(x)
    one, first = layer.forward_layer(x)
    other, last = layer.backward_layer(x)
    other = other.numpy()[:, ::-1] if sequences else other.numpy()
    one = one.numpy()
    merged = {"concat": [np.concatenate([one, other], -1)], "sum": [one + other], "mul": [one * other],
              "ave": [(one + other) / 2], None: [one, other]}[mode]  # fmt: skip
    for ours, twin in zip([*outputs, state, back_state], [*merged, first, last]):
        np.testing.assert_allclose(ours, twin, rtol=1e-6)
    assert [tuple(y.shape) for y in layer(x)] == list(layer.compute_output_shape((2, 4, 3)))
    start = [np.ones((2, 2)), np.zeros((2, 2))]
    np.testing.assert_array_equal(layer(x, initial_state=start)[-2], layer.forward_layer(x, initial_state=start[:1])[1])


def test_bidirectional_takes_weights_and_another_way_back():
    twin = layers.Bidirectional(layers.LSTM(2))
    twin(normal(1, 3, 2))
    layer = layers.Bidirectional(layers.LSTM(2), weights=twin.get_weights())
    np.testing.assert_array_equal(layer(normal(1, 3, 2)), twin(normal(1, 3, 2)))
    mixed = layers.Bidirectional(layers.GRU(2), backward_layer=layers.LSTM(3, go_backwards=True))
    assert mixed(normal(1, 3, 2)).shape == (1, 5)
    other = layers.Bidirectional.from_config(mixed.get_config())
    assert [type(one).__name__ for one in (other.forward_layer, other.backward_layer)] == ["GRU", "LSTM"]


def test_spectral_normalization_finds_the_largest_singular_value():
    layer = layers.SpectralNormalization(layers.Dense(3, dtype="float64"), power_iterations=300, dtype="float64")
    x = normal(4, 5)
    layer(x)
    kernel = layer.layer.kernel.numpy()
    np.testing.assert_allclose(layer(x), x @ kernel, rtol=1e-12, atol=1e-14)  # nothing changes outside training
    layer(x, training=True)
    np.testing.assert_allclose(layer.layer.kernel, kernel / np.linalg.svd(kernel)[1][0], rtol=1e-6)
    zeros = layers.SpectralNormalization(layers.Dense(3, kernel_initializer="zeros"))
    assert not zeros(x, training=True).numpy().any()
    with pytest.raises(ValueError, match="needs a layer with a kernel"):
        layers.SpectralNormalization(layers.Flatten())(x)


def test_wrappers_freeze_what_they_hold():
    for layer in (layers.TimeDistributed(layers.Dense(2), trainable=False), layers.LSTM(2, trainable=False)):
        layer(normal(1, 3, 2))
        assert not layer.trainable_weights and layer.weights


# Functions


@fastconv.saving.register_keras_serializable("tests")
def doubled(x, by=2.0):
    return ops.multiply(x, by)


def test_lambda_computes_and_says_what_a_file_cannot_hold(tmp_path):
    x = normal(2, 3).astype("float32")
    model = fastconv.Sequential([fastconv.Input((3,)), layers.Lambda(doubled, arguments={"by": 3.0}), layers.Dense(1)])
    for _ in range(3):
        np.testing.assert_allclose(layers.Lambda(lambda x: x**2)(x), x**2)
        assert model.predict(x).shape == (2, 1)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors").predict(x), model.predict(x))
    with pytest.raises(ValueError, match="register the function"):
        layers.Lambda(lambda x: x).get_config()
    with pytest.raises(TypeError, match="must be a function"):
        layers.Lambda(3)


def test_lambda_takes_shapes_masks_and_modes():
    def own(x, training, mask):
        return x if training else ops.multiply(x, 0.0 if mask is None else 2.0)

    x = np.ones((2, 3))
    layer = layers.Lambda(own, output_shape=(3,), mask=lambda inputs, mask: mask)
    assert layer(x, training=True).numpy().all() and not layer(x).numpy().any()
    np.testing.assert_array_equal(layer(x, mask=np.ones((2, 3), bool)), 2 * x)
    assert layer.compute_output_shape((None, 3)) == (None, 3) and layer.supports_masking
    assert layers.Lambda(lambda x: x[:, :1]).compute_output_shape((None, 3)) == (None, 1)
    pair = layers.Lambda(lambda xs: ops.add(*xs))
    np.testing.assert_array_equal(pair([x, x]), 2 * x)


def test_activity_regularization_adds_its_penalty():
    layer, x = layers.ActivityRegularization(0.1, 0.01), normal(4, 3).astype("float32")
    np.testing.assert_array_equal(layer(x), x)
    expected = (0.1 * np.abs(x).sum() + 0.01 * (x**2).sum()) / 4
    np.testing.assert_allclose(layer.losses[0], expected, rtol=1e-5)
    assert layer.get_config()["l1"] == 0.1 and "activity_regularizer" not in layer.get_config()


# Embeddings


def test_embedding_looks_rows_up_and_trains_them():
    ids = np.array([[1, 0, 2], [2, 2, 1]])
    layer = layers.Embedding(4, 3, weights=[normal(4, 3)], dtype="float64")
    np.testing.assert_array_equal(layer(ids), normal(4, 3)[ids])
    np.testing.assert_array_equal(layer(ids.astype("float32")), normal(4, 3)[ids])

    def looked_up(table):
        vars(layer)["embeddings"] = table
        return layer(ids)

    assert gradcheck(looked_up, normal(4, 3))
    assert layers.Embedding(4, 3).compute_output_shape((None, 7)) == (None, 7, 3)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_embeddings_in_training_and_plans(dtype):
    ids, y = np.random.default_rng(0).integers(0, 5, (8, 4)), np.ones((8, 1))
    results = []
    for eager in (False, True):
        fastconv.utils.set_random_seed(1)
        model = fastconv.Sequential([
            fastconv.Input((4,), dtype=dtype), layers.Embedding(5, 3, embeddings_regularizer="l2"),
            layers.Flatten(), layers.Dense(1),
        ])  # fmt: skip
        model.compile("adam", "mse", run_eagerly=eager)
        results.append([model.train_on_batch(ids, y) for _ in range(4)] + model.predict(ids).tolist())
    assert results[0] == results[1]
    for wrong in (np.full((8, 4), 5), np.full((8, 4), -1)):
        with pytest.raises(ValueError, match="numbers from 0 to 4"):
            model.predict(wrong)


def test_embedding_refuses_what_is_no_number_of_a_row():
    for wrong, message in (([[0.5]], "whole numbers"), ([[np.nan]], "whole numbers"), ([[7]], "got 7")):
        with pytest.raises(ValueError, match=message):
            layers.Embedding(4, 3)(np.array(wrong))
    with pytest.raises(ValueError, match="input_dim must be at most"):
        layers.Embedding(1 << 25, 1)
    with pytest.raises(ValueError, match="lora_rank"):
        layers.Embedding(4, 3, lora_rank=2)


# Categories. The boundaries that adapt finds are Keras'.


def test_discretization_puts_numbers_into_bins():
    x = np.array([[-1.0, 0.0, 0.2], [0.5, 3.0, 1.0]])
    bins = layers.Discretization([0.0, 0.5, 1.0])(x)
    np.testing.assert_array_equal(bins, [[0, 1, 1], [2, 3, 3]])
    assert bins.dtype == "int32"
    counts = layers.Discretization([0.0, 0.5, 1.0], output_mode="count")(x)
    np.testing.assert_array_equal(counts, [[1, 2, 0, 0], [0, 0, 1, 2]])
    hot = layers.Discretization([0.0, 0.5, 1.0], output_mode="one_hot")
    np.testing.assert_array_equal(hot(x), np.eye(4)[[[0, 1, 1], [2, 3, 3]]])
    assert hot.compute_output_shape((None, 3)) == (None, 3, 4)


def test_discretization_adapts():
    layer = layers.Discretization(num_bins=4)
    with pytest.raises(ValueError, match="adapt"):
        layer(np.zeros((1, 2)))
    layer.adapt(np.arange(1000.0).reshape(100, 10))
    np.testing.assert_allclose(layer.bin_boundaries, [249.0, 499.0, 749.0], atol=0.5)
    batches = layers.Discretization(num_bins=4)
    batches.adapt([np.arange(500.0), np.arange(500.0, 1000.0)])
    np.testing.assert_allclose(batches.bin_boundaries, layer.bin_boundaries, atol=10)
    twin = layers.Discretization.from_config(layer.get_config())
    assert twin.bin_boundaries == layer.bin_boundaries and twin.num_bins == 4


def test_category_encoding():
    x = np.array([[3, 0], [1, 1]])
    np.testing.assert_array_equal(layers.CategoryEncoding(4)(x), [[1, 0, 0, 1], [0, 1, 0, 0]])
    np.testing.assert_array_equal(layers.CategoryEncoding(4, "count")(x), [[1, 0, 0, 1], [0, 2, 0, 0]])
    weighted = layers.CategoryEncoding(4, "count")(x, count_weights=np.array([[0.5, 2], [1, 3]]))
    np.testing.assert_array_equal(weighted, [[2, 0, 0, 0.5], [0, 4, 0, 0]])
    np.testing.assert_array_equal(layers.CategoryEncoding(4, "one_hot")(x[:, :1]), np.eye(4)[[3, 1]])
    np.testing.assert_array_equal(layers.CategoryEncoding(4, "one_hot")(x), np.eye(4)[x])
    model = fastconv.Sequential([fastconv.Input((2,), dtype="int32"), layers.CategoryEncoding(4), layers.Dense(1)])
    assert model.output_shape == (None, 1)
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x), model.layers[1](layers.CategoryEncoding(4)(x)), rtol=1e-6)


ERRORS = [
    (lambda: layers.TimeDistributed(3), TypeError, "layer must be a layer"),
    (lambda: layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3))), ValueError, "3 axes at least"),
    (lambda: layers.Bidirectional(layers.GRU(2), "add"), ValueError, "merge_mode"),
    (lambda: layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2)), ValueError, "go_backwards"),
    (lambda: layers.Bidirectional(layers.Dense(2)), TypeError, "recurrent"),
    (lambda: layers.Discretization(), ValueError, "either bin_boundaries or num_bins"),
    (lambda: layers.Discretization([1.0, 0.0]), ValueError, "sorted"),
    (lambda: layers.Discretization([1.0], output_mode="hot"), ValueError, "output_mode"),
    (lambda: layers.Discretization([1.0]).adapt(np.ones(3)), ValueError, "nothing to do"),
    (lambda: layers.CategoryEncoding(), ValueError, "num_tokens"),
    (lambda: layers.CategoryEncoding(4, sparse=True), ValueError, "sparse"),
    (lambda: layers.CategoryEncoding(4)(np.array([[4]])), ValueError, "from 0 to 3; got 4"),
    (lambda: layers.CategoryEncoding(4)(np.array([[1]]), count_weights=[[1]]), ValueError, "count_weights"),
]  # fmt: skip


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
