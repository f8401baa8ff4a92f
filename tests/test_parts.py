"""Which batches run a few samples at a time, and that nobody sees it in the results."""

import threading

import numpy as np
import pytest
from helpers import normal

from fastconv import Input, Model, kernels, layers, ops, parts, planning, tensor
from fastconv.ops.copying import Pad
from fastconv.program import Program
from fastconv.symbolic import KerasTensor

SHAPE = (8, 9, 6)


@pytest.fixture
def small(monkeypatch):
    """Caches so small that two samples' maps of these models fit, and weights that cost nothing."""
    monkeypatch.setattr(parts, "CACHE", 25_000)
    monkeypatch.setattr(parts, "WORTH", 0)


def conv_net(x):
    y = layers.Conv2D(12, 3, padding="same", use_bias=False)(x)
    y = layers.Activation("silu")(layers.BatchNormalization()(y))
    y = layers.Add()([y, layers.DepthwiseConv2D(3, padding="same")(y)])
    gate = layers.Conv2D(12, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Concatenate()([layers.Multiply()([y, gate]), layers.MaxPooling2D(3, 1, "same")(y)])
    y = layers.ZeroPadding2D(1)(layers.PReLU(shared_axes=(1, 2))(y))
    return layers.Dense(5, activation="softmax")(layers.Flatten()(layers.GroupNormalization(4)(y)))


def model_of(function):
    x = Input(SHAPE)
    model = Model(x, function(x))
    model.set_weights([normal(w.shape, np.float32, i) * 0.3 for i, w in enumerate(model.weights)])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance.numpy()) + 0.5)
    return model


def test_a_batch_in_parts_has_the_results_of_its_parts(small):
    model, x = model_of(conv_net), normal((6, *SHAPE), np.float32, 1)
    expected = model.run(ops.convert_to_tensor(x), False).numpy()
    for _ in range(3):  # drawn, drawn again and recorded, replayed
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    alone = np.concatenate([model.predict(x[i : i + 1], verbose=0) for i in range(6)])
    np.testing.assert_array_equal(found, alone)
    text = model.explain()
    assert (
        "A call for (6, 8, 9, 6): 15 operations, 1 sample at a time" in text
        and "A part of a call for (1, 8, 9, 6)" in text
    )


def test_several_inputs_and_outputs(small):
    a, b = Input(SHAPE), Input(SHAPE)
    both = layers.Conv2D(8, 3)(layers.Concatenate()([a, b]))
    model = Model([a, b], {"map": both, "sum": layers.GlobalMaxPooling2D()(both), "as it was": b})
    x = [normal((4, *SHAPE), np.float32, i) for i in range(2)]
    expected = {name: tensor.numpy() for name, tensor in model.run(list(map(ops.convert_to_tensor, x)), False).items()}
    for _ in range(3):
        found = model.predict(x, verbose=0)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
    assert "at a time" in model.explain()


class OfTheBatch(layers.Layer):
    """What a user may compute; `kind` says how samples meet."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def call(self, x):
        return MIXED[self.kind](x)


MIXED = {  # of maps (batch, 8, 9, 6): what a part of the batch would compute otherwise
    "the batch's mean": lambda x: x - ops.mean(x, axis=0, keepdims=True),
    "turned around": lambda x: ops.flip(x, axis=0),
    "its size": lambda x: x * float(x.shape[0] or 1),
    "joined along the batch": lambda x: ops.split(ops.concatenate([x * 2, x], axis=0), 2, axis=0)[0],
    "the batch moved": lambda x: ops.reshape(ops.transpose(ops.reshape(x, (-1, 8 * 9 * 6))), (-1, 8, 9, 6)),
    "sums": lambda x: x + ops.reshape(ops.sum(x, axis=(1, 2, 3)), (1, 1, 1, -1)) if x.shape[0] == 6 else x,
    "a row for each": lambda x: x * ops.reshape(np.arange(x.shape[0] or 1, dtype="float32"), (-1, 1, 1, 1)),
    "products with one another": lambda x: ops.reshape(
        ops.matmul(ops.softmax(ops.matmul(flat(x), ops.transpose(flat(x)))), flat(x)), (-1, 8, 9, 6)
    ),
    "so many rows": lambda x: ops.reshape(
        ops.softmax(ops.reshape(x, (6, -1) if x.shape[0] else (-1, 432))), (-1, 8, 9, 6)
    ),
    "counted over the batch": lambda x: ops.cumsum(x, axis=0),
}


def flat(x):
    return ops.reshape(x, (-1, 8 * 9 * 6))


@pytest.mark.parametrize("kind", MIXED)
def test_what_mixes_samples_sees_all_of_them(kind, small, monkeypatch):
    monkeypatch.setattr(parts, "CACHE", 7_000)  # of these models' maps, which are smaller
    model = model_of(lambda x: OfTheBatch(kind)(layers.Conv2D(6, 3, padding="same")(x)))
    x = normal((6, *SHAPE), np.float32, 2)
    expected = model.run(ops.convert_to_tensor(x), False).numpy()
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-3, atol=1e-4)


def drawn(function, shape=(6, *SHAPE)):
    return Program(function, [KerasTensor(shape, np.dtype("float32"))])


@pytest.mark.parametrize("function, expected", [
    (lambda x: [ops.relu(x)], 1), (lambda x: [ops.relu(x), ops.sigmoid(x)], 1), (lambda x: [ops.softmax(x)], 1),
    (lambda x: [ops.sum(x)], None), (lambda x: [x + ops.mean(x, axis=0)], None), (lambda x: [ops.transpose(x)], None),
    (lambda x: [ops.reshape(x, (12, 4, 9, 6))], None), (lambda x: [ops.pad(x, ((0, 1), (0, 0), (0, 0), (0, 0)))], None),
    (lambda x: [Pad.apply(x, pairs=((1, -1), (0, 0), (0, 0), (0, 0)), value=0.0)], None),
    (lambda x: [ops.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))], 1), (lambda x: [ops.concatenate([x, x], 0)], None),
    (lambda x: [x + np.ones((6, 1, 1, 1), np.float32)], None), (lambda x: [x + np.ones((1, 8, 9, 6), np.float32)], 1),
    (lambda x: [x + np.ones((9, 6), np.float32)], 1), (lambda x: [ops.relu(x), ops.convert_to_tensor(np.ones(6, "f4"))], None),
])  # fmt: skip
def test_which_programs_are_cut(function, expected, small, monkeypatch):
    monkeypatch.setattr(parts, "CACHE", 7_000)
    assert parts.share(drawn(function)) == expected


def test_how_small_the_parts_are(monkeypatch):
    program = drawn(lambda x: [ops.relu(x)])
    one = 2 * 4 * 8 * 9 * 6  # bytes of a sample's input and output
    for cache, expected in ((6 * one, None), (6 * one - 1, 1), (one, 1), (one - 1, None)):
        monkeypatch.setattr(parts, "CACHE", cache)
        assert parts.share(program) == expected, cache
    kernel = tensor.Parameter(normal((1, 1, 6, 6), np.float32, 1))  # 144 bytes; a sample's output has 1,728
    program = drawn(lambda x: [ops.conv(x, kernel)])
    monkeypatch.setattr(parts, "CACHE", 4 * one)
    for worth, expected in ((12, 1), (13, 2), (36, 3), (37, None)):
        monkeypatch.setattr(parts, "WORTH", worth)
        assert parts.share(program) == expected, worth


@pytest.mark.parametrize("parts_, samples, threads, expected", [
    (32, 1, 1, 1), (32, 1, 2, 2), (4, 8, 2, 2), (3, 1, 2, 1), (4, 8, 64, 1), (32, 1, 64, 32), (8, 4, 16, 1), (2, 1, 64, 1),
])  # fmt: skip
def test_how_many_parts_run_at_once(parts_, samples, threads, expected):
    assert parts.side_by_side(parts_, samples, threads) == expected


def test_bits_do_not_depend_on_the_threads(small, restore_threads):
    x, found = normal((6, *SHAPE), np.float32, 5), []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        model = model_of(conv_net)
        found.append([model.predict(x, verbose=0) for _ in range(3)])
    for results in found:
        for result in results:
            np.testing.assert_array_equal(result, found[0][0])


def test_what_cannot_stand_side_by_side_is_refused():
    arrays = [np.zeros(4, np.float32)]
    plan = kernels.Plan()
    with plan:
        plan.python(lambda: None)
    assert not kernels.replay_side_by_side([plan], [arrays], [arrays], [arrays], [[np.ones(4, np.float32)]])
    plans = [kernels.Plan(), kernels.Plan()]
    with plans[0]:
        kernels.map_forward("exp", *arrays)
    assert not kernels.replay_side_by_side(plans, [arrays] * 2, [arrays] * 2, [arrays] * 2, [arrays] * 2)
    with pytest.raises(ValueError, match="16 bytes does not go into one of 12"):
        kernels.replay_side_by_side([kernels.Plan()], [[np.zeros(3, np.float32)]], [arrays], [arrays], [arrays])


def test_threads_that_predict_at_once_get_the_same_bits(small):
    model, x = model_of(conv_net), normal((6, *SHAPE), np.float32, 3)
    expected, found = model.predict(x, verbose=0), []
    threads = [
        threading.Thread(target=lambda: found.extend(model.predict(x, verbose=0) for _ in range(5))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    for result in found:
        np.testing.assert_array_equal(result, expected)


def test_recordings_that_another_thread_drops(small, monkeypatch, restore_threads):
    kernels.set_num_threads(2)
    model, x = model_of(conv_net), normal((6, *SHAPE), np.float32, 6)
    expected, record = model.predict(x, verbose=0), planning._Entry._record

    def dropped(entry, program):
        recording = record(entry, program)
        entry.recording, entry.copies, entry.uses = None, (), 0
        return recording

    monkeypatch.setattr(planning._Entry, "_record", dropped)
    for _ in range(3):
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


def test_new_weights_are_used(small):
    model, x = model_of(conv_net), normal((6, *SHAPE), np.float32, 4)
    before = [model.predict(x, verbose=0) for _ in range(3)][-1]
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    expected = model.run(ops.convert_to_tensor(x), False).numpy()
    for _ in range(3):
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, before, rtol=1e-4)
