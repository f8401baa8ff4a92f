"""Regularizers: their values, where layers take them, and that training counts them, planned as eagerly."""

import copy
import threading

import numpy as np
import pytest
from helpers_ops import check_planned, values
from test_planned_training import batch, check, pair, plans

from fastconv import Input, Model, Sequential, Tensor, kernels, layers, ops, regularizers
from fastconv.models import load_model
from fastconv.regularizers import L1, L1L2, L2, OrthogonalRegularizer
from fastconv.testing import gradcheck
from fastconv.utils import set_random_seed

UNIT = values(4, 3)


def mean_cosine(x):
    """The sum of |cosine| over pairs of rows, by the number of pairs."""
    rows = x / np.sqrt((x * x).sum(1, keepdims=True))
    return np.abs(np.triu(rows @ rows.T, 1)).sum() / (len(x) * (len(x) - 1) / 2)


ROWS = {  # regularizer, its formula
    "l1": (L1(), lambda x: 0.01 * np.abs(x).sum()),
    "l2": (L2(0.3), lambda x: 0.3 * (x * x).sum()),
    "l1_l2": (L1L2(0.1, 0.2), lambda x: 0.1 * np.abs(x).sum() + 0.2 * (x * x).sum()),
    "l1_l2 of l1": (L1L2(l1=0.1), lambda x: 0.1 * np.abs(x).sum()),
    "l1_l2 of nothing": (L1L2(), lambda x: 0.0),
    "rows": (OrthogonalRegularizer(), lambda x: 0.01 * mean_cosine(x)),
    "columns": (OrthogonalRegularizer(0.5, "columns"), lambda x: 0.5 * mean_cosine(x.T)),
}


@pytest.mark.parametrize("name", ROWS)
def test_value_gradient_and_plan(name):
    regularizer, formula = ROWS[name]
    for dtype in ("float32", "float64"):
        found = regularizer(Tensor(UNIT.astype(dtype)))
        assert found.shape == () and found.dtype == dtype
        np.testing.assert_allclose(found.item(), formula(UNIT), rtol=1e-5)
    assert gradcheck(regularizer, UNIT)
    check_planned(regularizer, [UNIT], [values(4, 3, seed=1)])


def test_keras_numbers():
    w = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    found = [regularizer(Tensor(w)).item() for regularizer in (L1(), L2(), L1L2(0.1, 0.2), OrthogonalRegularizer())]
    np.testing.assert_allclose(found, [0.06785261, 0.0595619, 1.86976409, 0.00470012], rtol=1e-6)


@pytest.mark.parametrize("given, kind, config", [
    ("l1", L1, {"l1": 0.01}), ("L2", L2, {"l2": 0.01}), ("l1_l2", L1L2, {"l1": 0.0, "l2": 0.0}), (L2, L2, {"l2": 0.01}),
    ({"class_name": "L1L2", "config": {"l1": 1.0, "l2": 2.0}}, L1L2, {"l1": 1.0, "l2": 2.0}),
    ("orthogonal_regularizer", OrthogonalRegularizer, {"factor": 0.01, "mode": "rows"}),
])  # fmt: skip
def test_get_and_serialize(given, kind, config):
    found = regularizers.get(given)
    assert type(found) is kind and found.get_config() == config
    again = regularizers.deserialize(regularizers.serialize(found))
    assert type(again) is kind and again.get_config() == config


def test_get_leaves_functions_and_none():
    assert regularizers.get(None) is None and regularizers.get(ops.mean) is ops.mean
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (L1, L2, L1L2)


def test_own_class_from_its_config():
    class Own(regularizers.Regularizer):
        def __init__(self, rate=2.0):
            self.rate = rate

        def __call__(self, x):
            return ops.sum(x) * self.rate

        def get_config(self):
            return {"rate": self.rate}

    found = regularizers.deserialize(regularizers.serialize(Own(3.0)), {"Own": Own})
    assert type(found) is Own and found.rate == 3.0


ERRORS = [
    (lambda: regularizers.get("l3"), ValueError, "Unknown regularizer 'l3'"),
    (lambda: regularizers.get(3), TypeError, "regularizer"),
    (lambda: L2(-1), ValueError, "L2: l2 must be finite and at least 0"),
    (lambda: L1(float("nan")), ValueError, "l1"),
    (lambda: L1L2("a"), TypeError, "L1L2: l1 must be a number"),
    (lambda: OrthogonalRegularizer(mode="row"), ValueError, "'rows' or 'columns'"),
    (lambda: OrthogonalRegularizer()(Tensor(np.ones((2, 2, 2)))), ValueError, "two axes"),
    (lambda: regularizers.Regularizer()(Tensor(1.0)), NotImplementedError, "__call__"),
    (lambda: regularizers.serialize(ops.sum), TypeError, "subclass"),
    (lambda: layers.Dense(2, kernel_regularizer=ops.sum).get_config(), ValueError, "kernel_regularizer"),
    (lambda: layers.Dense(2).add_loss(3.0), TypeError, "add_loss takes Tensors"),
    (lambda: layers.Dense(2).add_loss(Input((2,))), ValueError, "has no values"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


# Layers: shape of a sample, the layer, the weights that its arguments begin with

LAYERS = {
    "Dense": ((6,), lambda **k: layers.Dense(3, **k), {"kernel": "kernel", "bias": "bias"}),
    "Conv1D": ((9, 2), lambda **k: layers.Conv1D(3, 3, **k), {"kernel": "kernel", "bias": "bias"}),
    "Conv2DTranspose": ((5, 5, 2), lambda **k: layers.Conv2DTranspose(3, 3, **k), {"kernel": "kernel", "bias": "bias"}),
    "Conv3DTranspose": ((3, 3, 3, 2), lambda **k: layers.Conv3DTranspose(3, 2, **k), {"kernel": "kernel"}),
    "DepthwiseConv2D": ((6, 6, 2), lambda **k: layers.DepthwiseConv2D(3, **k), {"depthwise": "kernel", "bias": "bias"}),
    "SeparableConv2D": (
        (6, 6, 2), lambda **k: layers.SeparableConv2D(3, 3, **k),
        {"depthwise": "depthwise_kernel", "pointwise": "pointwise_kernel", "bias": "bias"},
    ),
    "BatchNormalization": ((6, 2), layers.BatchNormalization, {"gamma": "gamma", "beta": "beta"}),
    "LayerNormalization": ((6, 2), layers.LayerNormalization, {"gamma": "gamma", "beta": "beta"}),
    "GroupNormalization": ((6, 2), lambda **k: layers.GroupNormalization(2, **k), {"gamma": "gamma", "beta": "beta"}),
    "PReLU": ((6,), layers.PReLU, {"alpha": "alpha"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_every_weight_takes_both_and_configs_hold_them(name):
    shape, make, stems = LAYERS[name]
    rules = {f"{stem}_regularizer": L2(1 + place) for place, stem in enumerate(stems)}
    rules |= {f"{stem}_constraint": "unit_norm" for stem in stems}
    layer = make(**rules, activity_regularizer="l1")
    twin = type(layer).from_config(layer.get_config())
    for one in (layer, twin, copy.deepcopy(twin)):
        one.build((None, *shape))
        for place, weight in enumerate(stems.values()):
            parameter = getattr(one, weight)
            assert parameter.regularizer.l2 == 1 + place and type(parameter.constraint).__name__ == "UnitNorm"
        expected = [(1 + i) * (getattr(one, w).data ** 2).sum() for i, w in enumerate(stems.values())]
        by_weight = {id(getattr(one, w)): value for w, value in zip(stems.values(), expected)}
        ordered = [by_weight[id(w)] for w in one.trainable_weights if id(w) in by_weight]
        np.testing.assert_allclose([loss.item() for loss in one.losses], ordered, rtol=1e-5)
        one(np.ones((2, *shape), "float32"))
        assert len(one.losses) == len(stems) + 1
        one.trainable = False
        assert len(one.losses) == 1
    assert layer.get_config() == twin.get_config()


# Training

STACKS = {
    "2d": ((9, 9, 3), 4, lambda: [
        layers.Conv2D(8, 3, kernel_regularizer="l2", bias_regularizer=L1(0.1), activity_regularizer=L1(0.01)),
        layers.BatchNormalization(gamma_regularizer="l1_l2", beta_regularizer=L2(0.5)),
        layers.PReLU(alpha_regularizer="l1"),
        layers.SeparableConv2D(6, 3, depthwise_regularizer="l1", pointwise_regularizer="l2", activation="relu",
                               activity_regularizer="l2"),
        layers.Flatten(), layers.Dense(4, activation="softmax", kernel_regularizer=OrthogonalRegularizer())]),
    "nested": ((12, 2), 3, lambda: [
        Sequential([layers.Conv1D(8, 3, kernel_regularizer=lambda w: 1e-3 * ops.sum(w * w)), layers.ReLU()]),
        layers.Conv1DTranspose(4, 3, activity_regularizer="l2"), layers.GlobalMaxPooling1D(activity_regularizer="l1"),
        layers.Dense(3, activation="softmax", activity_regularizer="l2")]),
}  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", STACKS)
def test_a_planned_step_has_the_eager_bits(name, optimizer):
    shape, classes, stack = STACKS[name]
    models = pair(stack, shape, optimizer)
    check(models, [batch(shape, classes, size, i)[:2] for i, size in enumerate([4, 4, 4, 7, 4])])
    models[1].compile(optimizer, "categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    models[0].compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    check(models, [batch(shape, classes, 4, 9 + i)[:2] for i in range(3)])
    assert "recorded" in models[0].explain() and "0 steps in Python" in models[0].explain()


def test_the_same_bits_at_any_number_of_threads(restore_threads):
    shape, classes, stack = STACKS["2d"]
    found = []
    for number in (1, 2, 3, 5):
        kernels.set_num_threads(number)
        set_random_seed(3)
        model = Sequential([Input(shape), *stack()])
        model.compile("sgd", "categorical_crossentropy")
        found.append([model.train_on_batch(*batch(shape, classes, 16, i)[:2]) for i in range(4)])
        found[-1].append([weight.tobytes() for weight in model.get_weights()])
    assert found[0] == found[1] == found[2] == found[3]


def test_the_loss_that_is_reported_holds_them():
    model = Sequential([Input((5,)), layers.Dense(3, kernel_regularizer="l2", activity_regularizer=L1(0.1))])
    model.set_weights([np.ones((5, 3)), np.zeros(3)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 5), "float32"), np.zeros((4, 3), "float32")
    for _ in range(3):  # Keras: mean(25) + 0.01 * 15 + 0.1 * 60 / 4
        assert model.evaluate(x, y, verbose=0) == pytest.approx(25 + 0.15 + 1.5)
    assert model.fit(x, y, verbose=0).history["loss"][0] == pytest.approx(25 + 0.15 + 1.5)


def test_several_outputs_add_to_the_whole_loss_alone():
    start = Input((4,))
    model = Model(
        start, [layers.Dense(1, name="a", kernel_regularizer=L2(3.0))(start), layers.Dense(1, name="b")(start)]
    )
    model.compile("sgd", "mse")
    x = np.ones((2, 4), "float32")
    logs = model.evaluate(x, [np.zeros((2, 1), "float32")] * 2, verbose=0, return_dict=True)
    weight = (model.get_layer("a").kernel.data ** 2).sum()
    assert logs["loss"] == pytest.approx(logs["a_loss"] + logs["b_loss"] + 3 * weight, rel=1e-5)


def test_a_loss_without_regularizers_draws_nothing_more():
    models = pair(lambda: [layers.Dense(3, activation="softmax")], (4,))
    other = pair(lambda: [layers.Dense(3, activation="softmax", kernel_regularizer="l2")], (4,))
    steps = []
    for model in (models[0], other[0]):
        model.train_on_batch(*batch((4,), 3, 5, 0)[:2])
        (entry,) = model._planner.entries.values()
        steps.append([step.op.__name__ for step in entry.program.steps])
    assert len(steps[0]) == 4 and steps[1][:4] == steps[0] and len(steps[1]) == 8


class Shrink(layers.Layer):
    """Adds a loss of its own, and a nest of two."""

    def call(self, inputs):
        self.add_loss(0.5 * ops.mean(inputs * inputs))
        self.add_loss([ops.sum(inputs) * 0.1, ops.abs(inputs)])
        return inputs


def shrunk(x):
    return 0.5 * (x * x).mean() + 0.1 * x.sum() + np.abs(x).sum()


def test_add_loss_is_trained_and_planned():
    models = pair(lambda: [layers.Dense(6), Shrink(), layers.Dense(3, activation="softmax")], (5,))
    check(models, [batch((5,), 3, 4, i)[:2] for i in range(4)])
    (x, y, _), model = batch((5,), 3, 4, 9), models[0]
    inner = model.layers[0](x).numpy()
    whole, probabilities = model.evaluate(x, y, verbose=0)[0], model.predict(x)
    assert whole == pytest.approx(shrunk(inner) - np.log(probabilities[y > 0]).mean(), rel=1e-5)


@pytest.mark.parametrize("eagerly", [False, True])
def test_losses_are_those_of_the_last_call_on_the_tape(eagerly):
    model = Sequential([Input((5,)), layers.Dense(6, kernel_regularizer="l2"), Shrink(), layers.Dense(3)])
    model.compile("sgd", "mse", run_eagerly=eagerly)
    for seed in range(4):
        x = np.random.default_rng(seed).random((4, 5), "float32")
        model(x, training=True)
        hidden = model.layers[0](x).numpy()
        losses = model.losses
        assert len(losses) == 4 and len(model.layers[1].losses) == 3
        np.testing.assert_allclose(sum(loss.numpy().sum() for loss in losses[:3]), shrunk(hidden), rtol=1e-5)
        sum(ops.sum(loss) for loss in losses).backward()
        kernel = model.layers[0].kernel
        slope = hidden / hidden.size + 0.1 + np.sign(hidden)
        np.testing.assert_allclose(kernel.grad, x.T @ slope + 0.02 * kernel.data, rtol=1e-4, atol=1e-5)
        kernel.grad = None


def test_a_layer_called_twice_in_one_call_adds_twice():
    start, shrink = Input((3,)), Shrink()
    model = Model(start, shrink(shrink(start)))
    for _ in range(3):
        model(np.ones((2, 3), "float32"))
        assert len(model.losses) == 6
    assert copy.deepcopy(model).losses == [] and len(model.losses) == 6
    shrink(np.ones((2, 3), "float32"))
    assert len(model.losses) == 3
    shrink(Input((3,)))  # has no values
    assert model.losses == []


def test_threads_keep_their_own():
    layer = Shrink()
    layer(np.ones((2, 3), "float32"))
    other = []
    thread = threading.Thread(target=lambda: other.append(len(layer.losses)))
    thread.start()
    thread.join()
    assert other == [0] and len(layer.losses) == 3


def test_own_compute_loss_and_own_train_step():
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, use_bias=False, kernel_regularizer="l2")

        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2.0 * super().compute_loss(x, y, y_pred)

    model = Own()
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    for _ in range(3):
        kernel = (model(x), model.dense.kernel.data.copy())[1]
        expected = 2 * (((x @ kernel) ** 2).mean() + 0.01 * (kernel**2).sum())
        assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-5)
    assert plans(model)


def test_a_rule_that_changes_draws_the_step_anew():
    model = Sequential([Input((4,)), layers.Dense(3)])
    model.set_weights([np.ones((4, 3)), np.zeros(3)])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 0.0
    x, y = np.zeros((2, 4), "float32"), np.zeros((2, 3), "float32")
    assert [model.train_on_batch(x, y) for _ in range(3)] == [0.0] * 3
    model.layers[0].kernel.regularizer = L2(0.5)
    assert [model.train_on_batch(x, y) for _ in range(3)] == [6.0] * 3


def test_functions_give_tensors_or_numbers():
    layer = layers.Dense(2, kernel_regularizer=lambda w: 3.0, bias_regularizer=lambda w: w * w)
    layer.build((None, 2))
    assert [loss.shape for loss in layer.losses] == [(), (2,)] and layer.losses[0].item() == 3.0
    layer.kernel.regularizer = lambda w: None
    with pytest.raises(TypeError, match="The regularizer of '.*/kernel' must give a Tensor"):
        _ = layer.losses


def test_a_file_holds_the_rules(tmp_path):
    shape, _, stack = STACKS["2d"]
    model = Sequential([Input(shape), *stack()])
    model.save(tmp_path / "model.safetensors")
    twin = load_model(tmp_path / "model.safetensors")
    x = batch(shape, 4, 3, 0)[0]
    model(x), twin(x)
    found = [[loss.item() for loss in one.losses] for one in (model, twin)]
    assert found[0] == found[1] and len(found[0]) == 10
