"""Parity with Keras 3, where it is installed: what goes around a step, schedules, callbacks, reductions, states, trees.

Not the formulas of ops, losses and optimizers (test_keras_parity.py). A row is a function of the namespace: both
libraries' must give the same shapes and values, or both an error.
"""

import os
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

import fastconv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
rng = np.random.default_rng(0)
KERNEL, BIAS = rng.standard_normal((3, 4)).astype("float32"), rng.standard_normal(4).astype("float32")
SLOPES = [(rng.standard_normal((3, 4)).astype("float32"), rng.standard_normal(4).astype("float32")) for _ in range(6)]
X = rng.standard_normal((4, 5, 3)).astype("float32")


def same(ours, theirs):
    """Compares nests of arrays, numbers and texts."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        ours, theirs = list(ours.values()), [theirs[key] for key in ours]
    if isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs):
            same(one, other)
    elif isinstance(theirs, (str, type(None))):
        assert ours == theirs
    else:
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=2e-5, atol=2e-6)


def compare(make):
    same(make(fastconv), make(keras))


# Optimizers


def stepped(optimizer, k, missing=()):
    """Weights and rate after each of six steps, then variables; the bias has no gradient at those `missing`."""
    weights, seen = [k.Variable(KERNEL, name="kernel"), k.Variable(BIAS, name="bias")], []
    optimizer.build(weights)
    for number, slopes in enumerate(SLOPES):
        kernel, bias = map(k.ops.convert_to_tensor, slopes)
        optimizer.apply([kernel, None if number in missing else bias], weights)
        seen += [[weight.numpy() for weight in weights], float(optimizer.learning_rate), int(optimizer.iterations)]
    seen.append([(v.name, v.numpy()) for v in optimizer.variables if "_" in v.name])
    optimizer.finalize_variable_values(weights)
    return seen, [weight.numpy() for weight in weights]


AROUND = [
    {"clipnorm": 0.7}, {"clipvalue": 0.5}, {"global_clipnorm": 1.0}, {"weight_decay": 0.05},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 2, "use_ema": True, "weight_decay": 0.03, "clipnorm": 0.5},
]  # fmt: skip
KINDS = [
    ("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {"amsgrad": True}), ("Ftrl", {"beta": 0.1}),
    ("RMSprop", {"momentum": 0.8, "centered": True}), ("Muon", {}), ("Adadelta", {}),
]  # fmt: skip


@pytest.mark.parametrize("place", range(12))
def test_what_goes_around_a_step(place):
    """Each of AROUND with two of KINDS, each of those with two of the first."""
    around, (name, options) = AROUND[place // 2], KINDS[(place + 1) // 2 % 6]
    compare(lambda k: stepped(getattr(k.optimizers, name)(0.05, **options, **around), k))


@pytest.mark.parametrize("options", [
    {}, {"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
], ids=str)  # fmt: skip
def test_steps_without_a_gradient(options):
    compare(lambda k: stepped(k.optimizers.Adam(0.1, **options), k, missing=(1, 2)))


def test_a_schedule_with_accumulation():
    def make(k):
        rate = k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)
        return stepped(k.optimizers.SGD(rate, gradient_accumulation_steps=2, weight_decay=0.1), k)

    compare(make)


def test_some_weights_do_not_decay():
    def make(k):
        optimizer = k.optimizers.AdamW(0.1, 0.5)
        optimizer.exclude_from_weight_decay(var_names=["b.as"])
        return stepped(optimizer, k)

    compare(make)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Nadam", "Lion", "Muon"])
def test_variables_move_between_the_libraries(name):
    """In both directions, numbers included, the next step is the same."""
    results = []
    for source, target in ((fastconv, keras), (keras, fastconv)):
        one, other = (getattr(k.optimizers, name)(rate) for k, rate in ((source, 0.05), (target, 0.01)))
        stepped(one, source)
        weights = [target.Variable(KERNEL, name="kernel"), target.Variable(BIAS, name="bias")]
        other.build(weights)
        other.set_weights([variable.numpy() for variable in one.variables])
        other.apply([target.ops.convert_to_tensor(part) for part in SLOPES[0]], weights)
        results.append([weight.numpy() for weight in weights] + [int(other.iterations), float(other.learning_rate)])
    same(*results)


def own(k):
    class Heavy(k.optimizers.Optimizer):
        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.speeds, self.sizes = self.add_optimizer_variables(variables, ["speed", "size"], ["zeros", "ones"])

        def update_step(self, gradient, variable, learning_rate):
            place = self._get_variable_index(variable)
            self.assign_add(self.speeds[place], gradient)
            self.assign_sub(variable, self.speeds[place] * k.ops.cast(learning_rate, variable.dtype))
            self.assign(self.sizes[place], self.sizes[place] / k.ops.cast(self.iterations + 1, variable.dtype))

    return Heavy(0.1)


def test_an_optimizer_of_ones_own():
    compare(lambda k: stepped(own(k), k))


def refused(k, program):
    with pytest.raises((ValueError, TypeError)):
        program(k)
    return "refused"


@pytest.mark.parametrize("program", [
    lambda k: k.optimizers.SGD().apply([k.ops.ones(2)]),
    lambda k: k.optimizers.SGD().apply([None], [k.Variable(BIAS)]),
    lambda k: k.optimizers.SGD().apply([k.ops.ones(2)] * 2, [k.Variable(BIAS)]),
    lambda k: k.optimizers.SGD(clipnorm=1.0, clipvalue=1.0), lambda k: k.optimizers.SGD(gradient_accumulation_steps=1),
    lambda k: k.optimizers.SGD(use_ema=True, ema_momentum=2.0), lambda k: k.optimizers.SGD(learning_rate="0.1"),
])  # fmt: skip
def test_optimizers_refuse(program):
    compare(lambda k: refused(k, program))


# Schedules

SCHEDULES = [
    ("ExponentialDecay", (0.1, 10, 0.9), {"staircase": True}), ("ExponentialDecay", (0.1, 2.5, 0.9), {}),
    ("PiecewiseConstantDecay", ([10, 20], [0.3, 0.2, 0.1]), {}), ("PolynomialDecay", (0.1, 10, 0.01, 0.5, True), {}),
    ("PolynomialDecay", (0.1, 7.5, 0.01, 2.0), {}), ("InverseTimeDecay", (0.1, 10, 0.5, True), {}),
    ("CosineDecay", (0.01, 20, 0.1), {"warmup_target": 0.1, "warmup_steps": 10}),
    ("CosineDecay", (0.1, 20, 0.2), {"warmup_target": 0.3}), ("CosineDecayRestarts", (0.1, 10, 1.0, 0.5), {}),
    ("CosineDecayRestarts", (0.1, 7.5, 1.5, 0.8, 0.05), {}),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, options", SCHEDULES)
def test_schedules(name, arguments, options):
    def make(k):
        schedules = k.optimizers.schedules
        schedule = getattr(schedules, name)(*arguments, **options)
        twin = k.optimizers.Adam.from_config(k.optimizers.Adam(schedule).get_config())
        twin = schedules.deserialize(schedules.serialize(twin._learning_rate))
        rates = [float(schedule(step)) for step in (0, 3, 9, 10, 11, 20, 25, 77)]
        return schedule.get_config(), rates, float(twin(9))

    compare(make)


# Losses


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 5), (4, 5, 1), None])
@pytest.mark.parametrize("masked", [False, True])
def test_reductions(reduction, shape, masked):
    """Of (4, 5) values, and (4,) where the weights have so many axes."""
    few = shape is None or len(shape) == 1 or (shape == (4, 1) and (masked or reduction == "mean_with_sample_weight"))
    y_true, y_pred = (X[:, 0], X[:, 1]) if few else (X, X[:, ::-1].copy())
    weights = None if shape is None else rng.uniform(0.5, 2, shape).astype("float32")
    mask = np.array([True, False, True, True]) if few else X[..., 0] > 0

    def make(k):
        output = k.ops.convert_to_tensor(y_pred)
        if masked:
            output._keras_mask = k.ops.convert_to_tensor(mask)
        return k.losses.MeanSquaredError(reduction)(y_true, output, weights)

    compare(make)


# Callbacks


def driven(k, callback, values):
    """What a callback does to a model that had these values: stops, rates, the weights at the end."""
    model = k.Sequential([k.layers.Input((2,)), k.layers.Dense(1)])
    model.compile(k.optimizers.SGD(0.1), "mse")
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    seen = []
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.full((2, 1), epoch, "float32"), np.zeros(1)])
        logs = {"val_loss": value}
        callback.on_epoch_end(epoch, logs)
        seen.append([int(model.stop_training), float(model.optimizer.learning_rate), sorted(logs)])
        if model.stop_training:
            break
    callback.on_train_end()
    return seen, np.asarray(model.get_weights()[0]), callback.wait, float(callback.best)


RUNS = [[1, 0.9, 0.95, 0.94, 0.93, 0.92, 0.8, 0.85], [0.5, 0.6, 0.7, 0.8], [1.0, 1 - 5e-5, 1 - 1.5e-4, 0.9]]


@pytest.mark.parametrize("options", [
    {}, {"patience": 2, "min_delta": 0.05}, {"patience": 1, "mode": "max"}, {"patience": 2, "baseline": 0.92},
    {"patience": 1, "restore_best_weights": True}, {"patience": 2, "restore_best_weights": True, "baseline": 0.5},
    {"patience": 1, "start_from_epoch": 3, "restore_best_weights": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("values", RUNS)
def test_early_stopping(values, options):
    compare(lambda k: driven(k, k.callbacks.EarlyStopping(**options), values))


@pytest.mark.parametrize("options", [
    {"patience": 1}, {"patience": 2, "factor": 0.5, "min_delta": 0.0}, {"patience": 1, "cooldown": 2},
    {"patience": 0, "min_lr": 0.02}, {"patience": 1, "mode": "max", "min_delta": 0.05},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("values", RUNS)
def test_rates_on_a_plateau(values, options):
    compare(lambda k: driven(k, k.callbacks.ReduceLROnPlateau(**options), values))


@pytest.mark.parametrize("swap", [False, True])
def test_averages_change_places(swap):
    def make(k):
        seen = []

        class Look(k.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append([np.asarray(array) for array in self.model.get_weights()])

        model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(1, kernel_initializer="ones")])
        model.compile(k.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5), "mse")
        data = (X[:, 0], X[:, 1, :1])
        callbacks = [k.callbacks.SwapEMAWeights(swap), Look()]
        history = model.fit(*data, 2, 3, verbose=0, shuffle=False, validation_data=data, callbacks=callbacks)
        return seen, history.history, [np.asarray(array) for array in model.get_weights()]

    compare(make)


# States of recurrent layers


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_states(name, wrapped):
    def make(k):
        layer = getattr(k.layers, name)(2, stateful=True)
        layer = k.layers.Bidirectional(layer) if wrapped else layer
        assert layer.states is None
        layer(X)
        start = np.random.default_rng(1)
        layer.set_weights([start.standard_normal(np.shape(array)) * 0.4 for array in layer.get_weights()])
        layer.reset_state()
        outputs = [np.asarray(layer(part)) for part in (X, X[::-1].copy())]
        return outputs, [np.asarray(state) for state in layer.states], [weight.name for weight in layer.weights]

    compare(make)


# Trees

NESTS = [[1, (2, {"b": 3, "a": None})], OrderedDict(b=1, a=[2]), defaultdict(list, b=1, a=[2]), (), {"a": [2], "b": 1}]


def kinds(nest):
    """A nest with the kinds of its containers, as texts."""
    if isinstance(nest, dict):
        return [type(nest).__name__, *[[key, kinds(part)] for key, part in nest.items()]]
    return [type(nest).__name__, *map(kinds, nest)] if isinstance(nest, (list, tuple)) else repr(nest)


TREES = {
    "flatten": lambda t, nest: t.flatten(nest), "map": lambda t, nest: t.map_structure(lambda x: ("leaf", x), nest),
    "tuples": lambda t, nest: t.lists_to_tuples(nest),
    "pack": lambda t, nest: t.pack_sequence_as(nest, np.arange(len(t.flatten(nest)))),
    "none": lambda t, nest: t.map_structure(repr, nest, none_is_leaf=False),
    "traverse": lambda t, nest: t.traverse(lambda x: t.MAP_TO_NONE if x == 2 else None, nest),
    "up": lambda t, nest: t.traverse(lambda x: len(x) if isinstance(x, list) else None, nest, top_down=False),
}  # fmt: skip


@pytest.mark.parametrize("nest", NESTS, ids=str)
@pytest.mark.parametrize("name", TREES)
def test_trees(name, nest):
    compare(lambda k: kinds(TREES[name](k.tree, nest)))


@pytest.mark.parametrize("nest", NESTS, ids=str)
@pytest.mark.parametrize("other", [*NESTS, {"a": [2]}], ids=str)
def test_pairs_of_trees(nest, other):
    def tried(call):
        try:
            return kinds(call())
        except (ValueError, TypeError):
            return "refused"

    functions = [
        lambda t: t.assert_same_structure(nest, other), lambda t: t.assert_same_paths(nest, other),
        lambda t: t.map_structure(lambda x, y: (x, y), nest, other),
    ]  # fmt: skip
    if None not in fastconv.tree.flatten(nest):  # which their map_structure_up_to takes for no leaf
        functions.append(lambda t: t.map_structure_up_to(nest, lambda x: x, other))
    for function in functions:
        compare(lambda k, function=function: tried(lambda: function(k.tree)))
