"""Recurrent layers: values against NumPy twins, masks, states, cells of one's own, plans. Shapes and gradients:
tests/test_layers.py; values against Keras: tests/test_keras_parity_layers.py; their kernels:
tests/test_kernels_recurrence.py."""

import copy

import numpy as np
import pytest
from helpers_ops import check_planned

import fastconv
from fastconv import Tensor, activations, layers, ops
from fastconv.models import load_model
from fastconv.nest import flatten
from fastconv.ops.recurrence import recurrence
from fastconv.testing import gradcheck
from fastconv.utils import set_random_seed

MASK = np.array([[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 1, 1]], bool)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_step(x, states, k, u, b):
    h = np.tanh(x @ k + states[0] @ u + b)
    return h, [h]


def lstm_step(x, states, k, u, b):
    i, f, new, o = np.split(x @ k + states[0] @ u + b, 4, axis=-1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(new)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def gru_step(x, states, k, u, b):
    xz, xr, xn = np.split(x @ k + b[0], 3, axis=-1)
    hz, hr, hn = np.split(states[0] @ u + b[1], 3, axis=-1)
    z = sigmoid(xz + hz)
    h = z * states[0] + (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn)
    return h, [h]


def gru_before_step(x, states, k, u, b):
    xz, xr, xn = np.split(x @ k + b, 3, axis=-1)
    uz, ur, un = np.split(u, 3, axis=-1)
    (h,) = states
    z = sigmoid(xz + h @ uz)
    h = z * h + (1 - z) * np.tanh(xn + (sigmoid(xr + h @ ur) * h) @ un)
    return h, [h]


def conv_lstm_step(x, states, k, u, b):
    """By padding: a kernel of 3, "same", over one axis."""

    def conv(x, kernel):
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        return sum(padded[:, tap : tap + x.shape[1]] @ kernel[tap] for tap in range(3))

    i, f, new, o = np.split(conv(x, k) + b + conv(states[0], u), 4, axis=-1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(new)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def run(step, x, states, weights, mask=None, backwards=False, zero=False):
    """The twin of ops.recurrence.scan: (outputs along axis 1, last states)."""
    outputs, output = [], 0.0
    for t in range(x.shape[1])[:: -1 if backwards else 1]:
        new, found = step(x[:, t], states, *weights)
        if mask is not None:
            counts = mask[:, t].reshape(-1, *(1,) * (new.ndim - 1))
            new = np.where(counts, new, 0.0 if zero else output)
            found = [np.where(counts, a, b) for a, b in zip(found, states)]
        output, states = new, found
        outputs.append(output)
    return np.stack(outputs, 1), states


KINDS = {
    "simple": (lambda **k: layers.SimpleRNN(5, **k), simple_step, (3, 4, 2)),
    "lstm": (lambda **k: layers.LSTM(5, **k), lstm_step, (3, 4, 2)),
    "gru": (lambda **k: layers.GRU(5, **k), gru_step, (3, 4, 2)),
    "gru_before": (lambda **k: layers.GRU(5, reset_after=False, **k), gru_before_step, (3, 4, 2)),
    "conv_lstm": (lambda **k: layers.ConvLSTM1D(5, 3, padding="same", **k), conv_lstm_step, (3, 4, 6, 2)),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def filled(kind, **arguments):
    """The layer, its weights replaced by random numbers; its twin's step; x; and those weights."""
    make, step, shape = KINDS[kind]
    layer, x = make(dtype="float64", **arguments), normal(*shape)
    layer(x)
    for number, weight in enumerate(layer.weights):
        weight.assign(normal(*weight.shape, seed=number + 1) * 0.5)
    return layer, step, x, layer.get_weights()


def zeros(kind, x):
    state = np.zeros((len(x), *x.shape[2:-1], 5))
    return [state] * (2 if "lstm" in kind else 1)


@kinds
@pytest.mark.parametrize("mask", [None, MASK], ids=("all", "masked"))
@pytest.mark.parametrize("backwards", [False, True], ids=("forwards", "backwards"))
@pytest.mark.parametrize("zero", [False, True], ids=("repeated", "zero"))
def test_values_and_states(kind, mask, backwards, zero):
    layer, step, x, weights = filled(
        kind, return_sequences=True, return_state=True, go_backwards=backwards, zero_output_for_mask=zero
    )
    expected, states = run(step, x, zeros(kind, x), weights, mask, backwards, zero)
    found, *last = layer(x, mask=mask)
    for ours, twin in zip([found, *last], [expected, *states]):
        np.testing.assert_allclose(ours, twin, rtol=1e-12, atol=1e-14)
    layer.return_sequences = layer.return_state = False
    np.testing.assert_array_equal(layer(x, mask=mask), found.numpy()[:, -1])


@kinds
def test_initial_states_are_taken_and_have_gradients(kind):
    layer, step, x, weights = filled(kind)
    start = [normal(*state.shape, seed=9) for state in zeros(kind, x)]
    expected = run(step, x, start, weights)[0][:, -1]
    np.testing.assert_allclose(layer(x, initial_state=start), expected, rtol=1e-12, atol=1e-14)
    assert gradcheck(lambda *states: layer(x, initial_state=list(states)), *start)
    with pytest.raises(ValueError, match="initial_state must hold"):
        layer(x, initial_state=start * 2)


@kinds
def test_masked_gradients(kind):
    layer, _, x, _ = filled(kind, return_sequences=True)
    assert gradcheck(lambda x: layer(x, mask=MASK), x)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "conv_lstm"])
@pytest.mark.parametrize("options", [{}, {"recurrent_dropout": 0.3, "seed": 1}], ids=("function", "dropout"))
def test_the_scan_computes_what_the_kernel_does(kind, options):
    """A function of one's own, or dropout of states, goes through the scan; without a call in training there is none."""
    layer, _, x, weights = filled(kind, return_sequences=True, return_state=True, go_backwards=True)
    twin = filled(kind, return_sequences=True, return_state=True, go_backwards=True, **options)[0]
    if not options:
        twin.cell.activation = lambda x: ops.tanh(x)
    runs = []
    for one in (layer, twin):
        tensor = Tensor(x, requires_grad=True)
        found = one(tensor, mask=MASK)
        ops.add(ops.sum(ops.square(found[0])), ops.sum(found[-1])).backward()
        runs.append([*map(np.asarray, found), tensor.grad, *[weight.grad for weight in one.weights]])
    for ours, other in zip(*runs, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-11, atol=1e-13)
    if options:
        assert not np.array_equal(twin(x, training=True)[0], runs[1][0])


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "gru_before"])
@pytest.mark.parametrize("last", [False, True])
def test_recurrence_is_planned_in_c(kind, last):
    gates = {"simple": 1, "lstm": 4}.get(kind, 3)
    shapes = (
        [(3, 4, 5 * gates), (5, 5 * gates), (3, 5)] + [(3, 5)] * (kind == "lstm") + [(5 * gates,)] * (kind == "gru")
    )
    mask = MASK.astype("float64")

    def op(x, kernel, h, *rest):
        states, bias = [h, *rest[: kind == "lstm"]], rest[0] if kind == "gru" else None
        output, final = recurrence(
            x, kernel, bias, mask, states, kind=kind, activation="tanh", recurrent="sigmoid", sequences=True,
            backwards=False, zero_masked=False, last=last,
        )  # fmt: skip
        return ops.add(output[:, -1], final[0]) if last else output

    arrays = [normal(*shape, seed=number) for number, shape in enumerate(shapes)]
    check_planned(op, arrays, [normal(*shape, seed=9) for shape in shapes])
    assert gradcheck(op, *arrays)


@kinds
def test_a_cell_is_a_step(kind):
    layer, step, x, weights = filled(kind)
    states = [normal(*state.shape, seed=9) for state in zeros(kind, x)]
    output, new = layer.cell(x[:, 0], states)
    expected, expected_states = step(x[:, 0], states, *weights)
    for ours, twin in zip([output, *new], [expected, *expected_states]):
        np.testing.assert_allclose(ours, twin, rtol=1e-12, atol=1e-14)


def test_states_stay_from_batch_to_batch():
    layer, step, x, weights = filled("lstm", stateful=True)
    layer.reset_state()
    both = np.concatenate([x, x[:, ::-1]], 1)
    layer(x)
    np.testing.assert_allclose(layer(x[:, ::-1]), run(step, both, zeros("lstm", x), weights)[0][:, -1], rtol=1e-12)
    assert [state.name for state in layer.states] == ["rnn_state"] * 2 and not layer.non_trainable_weights
    layer.reset_states()
    np.testing.assert_allclose(layer(x), run(step, x, zeros("lstm", x), weights)[0][:, -1], rtol=1e-12)
    with pytest.raises(ValueError, match="stateful for batches of 3 samples; got 2"):
        layer(x[:2])
    with pytest.raises(ValueError, match="batch_size"):
        layers.GRU(2, stateful=True)(fastconv.Input((4, 2)))


def test_weights_of_a_trained_layer_go_into_a_stateful_one():
    """Trained on whole sequences, served step by step: Keras' use of states, which are no weights."""
    x = normal(1, 6, 2).astype("float32")
    for wrap in (lambda layer: layer, layers.Bidirectional):
        trained = fastconv.Sequential([fastconv.Input((6, 2)), wrap(layers.GRU(3))])
        served = fastconv.Sequential([fastconv.Input((6, 2), batch_size=1), wrap(layers.GRU(3, stateful=True))])
        served(x)
        served.set_weights(trained.get_weights())
        served.layers[0].reset_states()
        assert all((state.data == 0).all() for state in served.layers[0].states)
        np.testing.assert_allclose(served(x), trained(x), rtol=1e-6)
        assert all(state.data.any() for state in served.layers[0].states) and trained.layers[0].states is None
        assert served.count_params() == trained.count_params()


def test_a_file_holds_states(tmp_path):
    x = normal(3, 4, 2).astype("float32")
    for graph in (False, True):
        start, layer = fastconv.Input((4, 2), batch_size=3), layers.LSTM(2, stateful=True)
        model = fastconv.Model(start, layer(start)) if graph else fastconv.Sequential([start, layer])
        model.predict(x, batch_size=3)
        model.save(tmp_path / "m.safetensors")
        np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors")(x), model(x))


def test_a_stateful_layer_trains_as_it_does_eagerly():
    x, y = normal(3, 4, 2).astype("float32"), np.ones((3, 1))
    losses = []
    for eager in (False, True):
        set_random_seed(1)
        model = fastconv.Sequential(
            [fastconv.Input((4, 2), batch_size=3), layers.GRU(4, stateful=True), layers.Dense(1)]
        )
        model.compile("sgd", "mse", run_eagerly=eager)
        losses.append([model.train_on_batch(x, y) for _ in range(5)])
        losses[-1].append(model.layers[0].states[0].numpy().tolist())
    assert losses[0] == losses[1]


class Leaky(layers.Layer):
    """A user's cell, after Keras' documentation of RNN."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        h = 0.5 * states[0] + inputs @ self.kernel
        return h, h


def test_a_cell_of_ones_own():
    layer, x = layers.RNN(Leaky(3), return_sequences=True, return_state=True), normal(2, 4, 5).astype("float32")
    y, state = layer(x)
    expected = np.zeros((2, 3))
    for t in range(4):
        expected = 0.5 * expected + x[:, t] @ layer.cell.kernel.numpy()
        np.testing.assert_allclose(y.numpy()[:, t], expected, rtol=1e-5)
    np.testing.assert_array_equal(state, y.numpy()[:, -1])
    assert layer.compute_output_shape((None, 4, 5)) == ((None, 4, 3), (None, 3))
    with fastconv.saving.custom_object_scope({"Leaky": Leaky}):
        twin = layers.RNN.from_config(layer.get_config())
    assert twin.cell.units == 3


def test_stacked_cells_are_layers_one_upon_the_other():
    cells = [layers.LSTMCell(3), layers.GRUCell(4)]
    layer, x = layers.RNN(cells, return_state=True), normal(2, 4, 5).astype("float32")
    y, first, second = layer(x)
    one, other = layers.LSTM(3, return_sequences=True), layers.GRU(4)
    other(one(x))
    one.set_weights(layer.get_weights()[:3])
    other.set_weights(layer.get_weights()[3:])
    np.testing.assert_allclose(y, other(one(x)), rtol=1e-6)
    assert [state.shape for state in first] == [(2, 3)] * 2 and second.shape == (2, 4)
    assert layer.compute_output_shape((2, 4, 5)) == ((2, 4), [(2, 3), (2, 3)], (2, 4))
    stacked = layers.StackedRNNCells(cells)
    output, states = stacked(x[:, 0], stacked.get_initial_state(2))
    assert output.shape == (2, 4) and [len(own) for own in states] == [2, 1]
    assert stacked.compute_output_shape((2, 5))[0] == (2, 4)
    assert [type(cell) for cell in layers.StackedRNNCells.from_config(stacked.get_config()).cells] == [
        layers.LSTMCell,
        layers.GRUCell,
    ]


@pytest.mark.parametrize("mask", [None, MASK], ids=("all", "masked"))
@pytest.mark.parametrize("backwards", [False, True], ids=("forwards", "backwards"))
@pytest.mark.parametrize("sequences", [False, True], ids=("last", "sequences"))
def test_stacked_cells_go_through_all_steps_one_after_another(mask, backwards, sequences):
    """As the scan does, in which each step goes through all cells."""
    runs, x = [], normal(3, 4, 2)
    for function in (activations.tanh, lambda x: ops.tanh(x)):
        wide = {"activation": function, "dtype": "float64"}
        cells = [layers.LSTMCell(3, **wide), layers.StackedRNNCells([layers.GRUCell(4, **wide)], dtype="float64")]
        layer = layers.RNN(cells, sequences, True, backwards, dtype="float64")
        layer(x)
        layer.set_weights([normal(*weight.shape, seed=number) for number, weight in enumerate(layer.weights)])
        assert layer.cell.runs_at_once(True) == (function is activations.tanh)
        runs.append(flatten(layer(x, mask=mask)))
    for ours, scanned in zip(*runs, strict=True):
        np.testing.assert_allclose(ours, scanned, rtol=1e-11)


@pytest.mark.parametrize("make", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_dropout_is_one_mask_a_sequence(make):
    x = np.ones((4, 3, 50), "float32")
    layer = make(2, dropout=0.5, recurrent_dropout=0.3, seed=3, return_sequences=True)
    plain = layer(x)
    noisy = layer(x, training=True)
    assert not np.array_equal(plain, noisy) and not np.array_equal(noisy, layer(x, training=True))
    twin = make(2, dropout=0.5, recurrent_dropout=0.3, seed=3, return_sequences=True)
    twin(x)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x, training=True), noisy)
    # Without a recurrent product all steps of equal inputs are equal: the mask is the same.
    still = layers.SimpleRNN(2, dropout=0.5, recurrent_initializer="zeros", return_sequences=True)
    y = still(x, training=True).numpy()
    np.testing.assert_array_equal(y[:, 0], y[:, 2])
    assert not np.array_equal(y[0], y[1])


def network(length=6):
    return fastconv.Sequential(
        [
            fastconv.Input((length, 2)),
            layers.Masking(),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.2)),
            layers.GRU(3, recurrent_dropout=0.2),
            layers.Dense(1),
        ]
    )


def test_planned_training_is_eager_training_to_the_bit():
    x, y = normal(4, 6, 2).astype("float32"), np.ones((4, 1))
    x[0, 4:] = 0
    results = []
    for eager in (False, True):
        set_random_seed(1)
        model = network()
        model.compile("adam", "mse", run_eagerly=eager)
        losses = [model.train_on_batch(x, y) for _ in range(5)]
        results.append([losses, *[model.predict(x).tolist() for _ in range(3)]])
    assert results[0] == results[1]


def test_a_hundred_steps_are_recorded_whole():
    model = fastconv.Sequential([fastconv.Input((100, 3)), layers.LSTM(4), layers.Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(3):
        model.train_on_batch(normal(2, 100, 3), np.ones((2, 1)))
    (entry,) = model._planner.entries.values()
    runs, calls = entry.recording.plan.counts()
    assert not calls and len(entry.program.steps) < 20 * 100 and runs < 50 * 100


def test_files_and_copies(tmp_path):
    model, x = network(), normal(4, 6, 2).astype("float32")
    model.save(tmp_path / "model.safetensors")
    for twin in (load_model(tmp_path / "model.safetensors"), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict(x), model.predict(x))


def test_a_graph_hands_states_on():
    """An encoder and a decoder: the states of one are the other's at the start."""
    source, target = fastconv.Input((5, 2)), fastconv.Input((None, 2))
    _, h, c = layers.LSTM(3, return_state=True)(source)
    decoder = layers.LSTM(3, return_sequences=True)
    model = fastconv.Model([source, target], layers.Dense(1)(decoder(target, initial_state=[h, c])))
    assert model.output_shape == (None, None, 1)
    a, b = normal(2, 5, 2), normal(2, 3, 2)
    encoder = model.layers[[layer.name for layer in model.layers].index(h.source.layer.name)]
    expected = decoder(b, initial_state=list(encoder(a)[1:]))
    np.testing.assert_allclose(model.predict([a, b]), model.layers[-1](expected), rtol=1e-5)
    model.compile("sgd", "mse")
    assert model.fit([a, b], np.zeros((2, 3, 1)), epochs=3, verbose=0).history["loss"][2] >= 0


def test_the_tape_goes_through_every_step():
    x = Tensor(normal(2, 5, 3), requires_grad=True)
    ops.sum(layers.SimpleRNN(2, dtype="float64")(x)).backward()
    assert (np.abs(x.grad).sum(axis=(0, 2)) > 0).all()


ERRORS = [
    (lambda: layers.LSTM(3)(np.zeros((2, 4))), ValueError, r"\(batch, steps, features\)"),
    (lambda: layers.LSTM(3)(np.zeros((2, 0, 4))), ValueError, "needs a step"),
    (lambda: layers.LSTM(0), ValueError, "units must be a positive integer"),
    (lambda: layers.GRU(3, dropout=1.5), ValueError, "dropout"),
    (lambda: layers.GRU(3, return_sequence=True), TypeError, "return_sequences"),
    (lambda: layers.RNN(layers.LSTM(3)), TypeError, "LSTMCell"),
    (lambda: layers.RNN(3), TypeError, "state_size"),
    (lambda: layers.RNN([]), ValueError, "a cell at least"),
    (lambda: layers.LSTMCell(3)(np.zeros((2, 4, 5)), []), ValueError, "one step"),
    (lambda: layers.LSTM(3)(np.zeros((2, 4, 5)), initial_state=[np.zeros((2, 4))] * 2), ValueError, r"\(2, 3\); got"),
    (lambda: layers.GRU(3)(np.zeros((2, 4, 5)), mask=np.ones((2, 3))), ValueError, r"one entry a step, \(2, 4\)"),
    (lambda: layers.ConvLSTM2D(3, 3)(np.zeros((2, 4, 8, 3))), ValueError, "2 spatial axes"),
    (lambda: layers.ConvLSTM2D(3, 3, padding="causal"), ValueError, "padding"),
    (lambda: layers.ConvLSTM2D(3, 3, data_format="channels_first"), ValueError, "channels_last"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_a_built_layer_refuses_other_features():
    layer = layers.LSTM(3)
    layer(np.zeros((1, 2, 4)))
    with pytest.raises(ValueError, match="built for 4 features; got 5"):
        layer(np.zeros((1, 2, 5)))
