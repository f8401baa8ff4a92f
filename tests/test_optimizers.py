"""Optimizers against Keras' formulas written in NumPy; state, settings, errors."""

import copy
import pickle

import numpy as np
import pytest

from fastconv import Input, Sequential, Tensor, kernels, layers, optimizers
from fastconv.models import load_model
from fastconv.tensor import Parameter
from fastconv.utils import set_random_seed

rng = np.random.default_rng(0)
GRADIENTS = rng.standard_normal((5, 3, 4))


def run(optimizer, start):
    weight = Parameter(start.copy())
    for gradient in GRADIENTS:
        optimizer.apply([gradient], [weight])
    assert weight.version == 5 and optimizer.iterations == 5
    return weight.data


def sgd(w, rate, momentum, nesterov):
    v = np.zeros_like(w)
    for g in GRADIENTS:
        v = momentum * v - rate * g
        w = w + (momentum * v - rate * g if nesterov else v)
    return w


def adam(w, rate=0.001, b1=0.9, b2=0.999, epsilon=1e-7):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(GRADIENTS, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)
    return w


TABLE = [
    (optimizers.SGD(), lambda w: sgd(w, 0.01, 0, False)),
    (optimizers.SGD(0.1, momentum=0.9), lambda w: sgd(w, 0.1, 0.9, False)),
    (optimizers.SGD(0.1, 0.9, nesterov=True), lambda w: sgd(w, 0.1, 0.9, True)),
    (optimizers.Adam(), adam),
    (optimizers.Adam(0.1, 0.5, 0.9, 1e-3), lambda w: adam(w, 0.1, 0.5, 0.9, 1e-3)),
]


@pytest.mark.parametrize("optimizer, formula", TABLE, ids=lambda v: None)
def test_formulas(optimizer, formula):
    start = rng.standard_normal((3, 4))
    twin = type(optimizer).from_config(optimizer.get_config())
    np.testing.assert_allclose(run(optimizer, start), formula(start), rtol=1e-12)
    np.testing.assert_array_equal(run(twin, start), run(optimizers.get(repr_config(optimizer)), start))


rng = np.random.default_rng(2)
KERNEL, BIAS = rng.standard_normal((3, 4)).astype("float32"), rng.standard_normal(4).astype("float32")
STEPS = [(rng.standard_normal((3, 4)).astype("float32"), rng.standard_normal(4).astype("float32")) for _ in range(5)]

KERAS = [  # the kernel's second row and the bias after STEPS by Keras 3.15 on JAX
    (lambda: optimizers.SGD(0.05, 0.9, True, 1e-2),
     [1.516417, 0.713503, -0.304492, 0.573494], [0.185811, -0.762395, 0.308841, -0.442784]),
    (lambda: optimizers.SGD(0.05, clipvalue=0.5),
     [1.775516, 1.087781, -0.321347, 0.74032], [-0.286494, -0.78231, 0.44404, -0.14856]),
    (lambda: optimizers.Adam(0.05, 0.8, 0.9, 1e-7, True),
     [1.65711, 0.9428, -0.345978, 0.661978], [-0.173772, -0.75302, 0.353776, -0.269628]),
    (lambda: optimizers.Adam(0.05, clipnorm=0.7),
     [1.659083, 0.936671, -0.329726, 0.667201], [-0.221916, -0.739418, 0.397432, -0.262585]),
    (lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
     [1.60637, 0.894631, -0.379607, 0.626156], [-0.116398, -0.683204, 0.295213, -0.320086]),
    (lambda: optimizers.AdamW(0.05),
     [1.647634, 0.935135, -0.343697, 0.656761], [-0.16535, -0.741699, 0.343948, -0.27583]),
    (lambda: optimizers.RMSprop(0.05),
     [1.587519, 0.708674, -0.400433, 0.565504], [-0.116963, -0.767029, 0.352371, -0.459607]),
    (lambda: optimizers.RMSprop(0.05, 0.8, 0.5, 1e-6, True),
     [1.444033, 0.454338, -0.461781, 0.478327], [0.001595, -0.74313, 0.277391, -0.636234]),
    (lambda: optimizers.RMSprop(0.05, momentum=0.9, global_clipnorm=1.0),
     [1.058674, -0.362382, -0.601883, 0.150178], [0.479857, -0.571153, 0.022127, -1.344684]),
    (lambda: optimizers.Adagrad(0.05),
     [1.736752, 1.035009, -0.336548, 0.716762], [-0.2639, -0.783618, 0.423452, -0.178804]),
    (lambda: optimizers.Adadelta(0.5),
     [1.798796, 1.141421, -0.325601, 0.772502], [-0.327776, -0.792219, 0.454605, -0.10127]),
    (lambda: optimizers.Adamax(0.05),
     [1.685438, 0.989215, -0.353378, 0.685477], [-0.204255, -0.741416, 0.366675, -0.223618]),
    (lambda: optimizers.Nadam(0.05, weight_decay=0.1),
     [1.670748, 0.956286, -0.342612, 0.673388], [-0.235291, -0.76029, 0.397563, -0.228688]),
    (lambda: optimizers.Lion(0.05),
     [1.749707, 0.894166, -0.375423, 0.623807], [-0.178824, -0.742147, 0.504958, -0.349198]),
    (lambda: optimizers.Ftrl(0.05, -0.7, 0.2, 0.01, 0.02, 0.03, 0.1),
     [0.992085, -0.000969, -0.074959, 0.170112], [-0.219794, -0.608684, 0.236344, -0.064952]),
    (lambda: optimizers.Muon(0.05),
     [1.766741, 1.090814, -0.314337, 0.751952], [-0.16535, -0.741699, 0.343948, -0.27583]),
    (lambda: optimizers.Muon(0.05, nesterov=False, rms_rate=None, ns_steps=3, adam_lr_ratio=0.5),
     [1.684349, 1.000419, -0.285976, 0.709654], [-0.246923, -0.766527, 0.399226, -0.187464]),
    (lambda: optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3),
     [1.685681, 1.000479, -0.375196, 0.676345], [-0.210049, -0.755285, 0.36694, -0.227426]),
    (lambda: optimizers.Nadam(0.05, gradient_accumulation_steps=2, clipnorm=0.5),
     [1.700817, 1.05203, -0.314262, 0.775913], [-0.263087, -0.788445, 0.375602, -0.173561]),
    (lambda: optimizers.SGD(
        0.05, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=2, gradient_accumulation_steps=2),
     [1.772773, 1.108082, -0.31743, 0.76666], [-0.269729, -0.790533, 0.43848, -0.137858]),
]  # fmt: skip


@pytest.mark.parametrize("make, row, bias", KERAS, ids=[f"{make().name}-{i}" for i, (make, *_) in enumerate(KERAS)])
def test_steps_of_keras(make, row, bias):
    optimizer, weights = make(), [Parameter(KERNEL, name="kernel"), Parameter(BIAS, name="bias")]
    optimizer.build(weights)
    twin = optimizers.deserialize(optimizers.serialize(optimizer))
    twins = [Parameter(KERNEL, name="kernel"), Parameter(BIAS, name="bias")]
    for gradients in STEPS:
        kept = [gradient.copy() for gradient in gradients]
        optimizer.apply(gradients)
        twin.apply([*map(Tensor, gradients)], twins)
        np.testing.assert_array_equal(gradients[0], kept[0])  # the caller's gradients stay as they are
    np.testing.assert_allclose(weights[0].data[1], row, atol=4e-6)
    np.testing.assert_allclose(weights[1].data, bias, atol=4e-6)
    assert weights[0].data.tobytes() == twins[0].data.tobytes()


def repr_config(optimizer):
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def test_state_belongs_to_each_weight():
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    first, second = Parameter(np.zeros(2)), Parameter(np.zeros(2))
    optimizer.apply([np.ones(2)], [first])
    optimizer.apply_gradients([(np.ones(2), second), (np.ones(2), first)])
    np.testing.assert_allclose([first.data, second.data], [[-0.29] * 2, [-0.1] * 2])


def test_no_gradient_leaves_a_weight_alone():
    weight, other = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizers.Adam().apply([None, np.ones(2)], [weight, other])
    assert weight.version == 0 and (weight.data == 1).all() and other.version == 1


def test_no_weights_are_no_step():
    optimizer = optimizers.Adam()
    optimizer.apply([], [])
    assert optimizer.iterations == 0 and not optimizer.built


def test_the_learning_rate_may_change():
    optimizer = optimizers.get("sgd")
    optimizer.learning_rate = 1
    weight = Parameter(np.zeros(2))
    optimizer.apply([np.ones(2)], [weight])
    assert (weight.data == -1).all() and optimizer.get_config()["learning_rate"] == 1.0


class Walk(optimizers.Optimizer):
    """As Keras' guide writes one: state by weight, changes by assign."""

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.means = self.add_optimizer_variables(variables, "mean")

    def update_step(self, gradient, variable, learning_rate):
        mean = self.means[[v is variable for v in self._trainable_variables].index(True)]
        self.assign(mean, 0.5 * mean.data + gradient.data)
        self.assign_sub(variable, learning_rate * mean.data)


def test_an_optimizer_of_ones_own_has_all_that_goes_around():
    """Clipping, decay, averages and accumulation are the base's: the same as those of SGD."""
    settings = {"clipvalue": 0.5, "weight_decay": 0.1, "use_ema": True, "gradient_accumulation_steps": 2}
    weight, twin = Parameter(KERNEL), Parameter(KERNEL)
    own, known = Walk(0.1, **settings), optimizers.SGD(0.1, 0.5, **settings)
    own.build([weight])
    for kernel, _ in STEPS:
        own.apply([kernel])
        known.apply([kernel], [twin])
    np.testing.assert_allclose(weight.data, twin.data, rtol=1e-5)
    assert len(own.variables) == 2 + 2 + 1 and own.iterations == 2 and own.calls == 5


def test_variables_move_from_one_optimizer_to_another():
    """What is stored, with iterations and learning rate, lets a second optimizer go on with the same bits."""
    weight, twin, store = Parameter(KERNEL), Parameter(KERNEL), {}
    first, second = optimizers.Nadam(0.1, use_ema=True), optimizers.Nadam(0.2, use_ema=True)
    second.build([twin])
    for number, (kernel, _) in enumerate(STEPS):
        first.apply([kernel], [weight])
        if number == 2:
            first.save_own_variables(store)
            second.load_own_variables(store)
            twin.assign(weight.data)
        elif number > 2:
            second.apply_gradients([(kernel, twin)])
    assert weight.data.tobytes() == twin.data.tobytes() and second.iterations == 5 and second.learning_rate == 0.1


KERNEL_AND_BIAS = ["dense_kernel", "dense_bias"]
NUMBERS = ["iteration", "learning_rate"]
VARIABLES = [  # what stands behind the numbers
    (lambda: optimizers.SGD(), []),
    (lambda: optimizers.SGD(momentum=0.9), [f"{w}_momentum" for w in KERNEL_AND_BIAS]),
    (lambda: optimizers.Adam(amsgrad=True),
     [f"{w}_{slot}" for w in KERNEL_AND_BIAS for slot in ("momentum", "velocity")]
     + [f"{w}_velocity_hat" for w in KERNEL_AND_BIAS]),
    (lambda: optimizers.RMSprop(momentum=0.5, centered=True),
     [f"{w}_{slot}" for slot in ("velocity", "momentum", "average_gradient") for w in KERNEL_AND_BIAS]),
    (lambda: optimizers.Lion(use_ema=True, gradient_accumulation_steps=2),
     [f"{w}_{slot}" for slot in ("average", "gradient_accumulator", "momentum") for w in KERNEL_AND_BIAS]),
    (lambda: optimizers.Muon(), ["dense_kernel_momentum", "dense_bias_momentum", "dense_bias_velocity"]),
    (lambda: optimizers.Nadam(),
     [f"{w}_{slot}" for w in KERNEL_AND_BIAS for slot in ("momentum", "velocity")] + ["product"]),
]  # fmt: skip


@pytest.mark.parametrize("make, names", VARIABLES)
def test_variables_stand_in_keras_order(make, names):
    optimizer, layer = make(), layers.Dense(3, name="dense")
    assert [variable.name for variable in optimizer.variables] == NUMBERS and not optimizer.built
    layer.build((None, 4))
    optimizer.apply([np.ones((4, 3), "float32"), np.ones(3, "float32")], layer.weights)
    assert [variable.name for variable in optimizer.variables] == NUMBERS + names and optimizer.built


def test_variables_can_be_assigned_to():
    """Saved values that go back by assign, one by one, undo the steps between."""
    weight = Parameter(KERNEL)
    optimizer = optimizers.Nadam(0.1)
    optimizer.apply([STEPS[0][0]], [weight])
    count, saved = optimizer.variables[0], [variable.numpy() for variable in optimizer.variables]
    start = weight.numpy()
    optimizer.apply([STEPS[1][0]])
    after, optimizer.learning_rate = weight.numpy(), 0.3
    assert count.numpy() == 2 and count.dtype == np.int64
    for variable, value in zip(optimizer.variables, saved):
        variable.assign(value)
    weight.assign(start)
    assert count.numpy() == optimizer.iterations == 1 and optimizer.learning_rate == 0.1
    optimizer.apply([STEPS[1][0]])
    assert weight.data.tobytes() == after.tobytes()


def test_a_loaded_optimizer_has_its_variables(tmp_path):
    model = Sequential([Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.compile(optimizers.Nadam(0.1), "mse")
    model.fit(KERNEL, KERNEL[:, :2], verbose=0)
    model.save(tmp_path / "m.safetensors")
    found = load_model(tmp_path / "m.safetensors").optimizer.variables
    assert [one.name for one in found] == [one.name for one in model.optimizer.variables]
    for one, other in zip(found, model.optimizer.variables):
        np.testing.assert_array_equal(one, other)


def test_weights_of_another_shape_leave_all_as_it_was():
    optimizer = optimizers.SGD(0.1, 0.9)
    optimizer.build([Parameter(BIAS)])
    with pytest.raises(ValueError, match=r"variable_momentum' has shape \(4,\); got \(3,\)"):
        optimizer.set_weights([3, 0.5, np.ones(3)])
    assert optimizer.iterations == 0 and optimizer.learning_rate == 0.1


def test_iterations_are_a_number_that_can_be_assigned():
    optimizer = optimizers.SGD(gradient_accumulation_steps=2)
    optimizer.iterations.assign(3)
    assert optimizer.iterations == 3 and optimizer.calls == 6
    optimizer.iterations.assign_add(Tensor(np.array(2)))
    optimizer.iterations.assign_sub(1)
    assert optimizer.iterations.numpy() == optimizer.iterations.value == 4 and optimizer.iterations.name == "iteration"
    optimizer.learning_rate.assign_sub(0.005)
    assert optimizer.learning_rate == 0.005
    for number, plain in ((optimizer.iterations, int), (optimizer.learning_rate, float)):
        assert type(pickle.loads(pickle.dumps(number))) is type(copy.deepcopy(number)) is plain
    with optimizer.variables[0].writable() as count:
        count += 3
    assert optimizer.calls == 11
    optimizer.learning_rate.assign_add(0.005)
    assert optimizer.learning_rate == 0.01


def test_a_schedule_counts_calls_where_gradients_are_gathered():
    """Keras asks its schedules with the number of batches, not of steps."""
    rate = optimizers.schedules.PiecewiseConstantDecay([2], [1.0, 0.5])
    weight, optimizer = Parameter(np.zeros(1)), optimizers.SGD(rate, gradient_accumulation_steps=2)
    for _ in range(4):
        optimizer.apply([np.ones(1)], [weight])
    assert weight.data == -1.5 and optimizer.iterations == 2


def test_variables_of_several_kinds_stand_by_weight():
    weights = [Parameter(KERNEL, name="kernel"), Parameter(BIAS, name="bias")]
    optimizer = optimizers.Optimizer(0.1)
    means, sizes = optimizer.add_optimizer_variables(weights, ["mean", "size"], ["zeros", "ones"])
    assert [v.name for v in optimizer.variables[2:]] == ["kernel_mean", "kernel_size", "bias_mean", "bias_size"]
    assert (means[1].data == 0).all() and (sizes[0].data == 1).all() and sizes[0].shape == KERNEL.shape


def test_the_learning_rate_is_a_number_that_can_be_assigned():
    rates = iter([0.5, 0.25])
    optimizer = optimizers.SGD(lambda: next(rates))
    assert [optimizer.learning_rate, optimizer.learning_rate] == [0.5, 0.25]
    optimizer.learning_rate = 0.25
    optimizer.learning_rate.assign(0.125)
    assert optimizer.learning_rate == 0.125 and optimizer.learning_rate.numpy() == np.float32(0.125)


OPTIONS = [
    {}, {"weight_decay": 0.01, "clipnorm": 0.5}, {"global_clipnorm": 1.0, "use_ema": True, "ema_overwrite_frequency": 2},
    {"clipvalue": 0.1, "gradient_accumulation_steps": 2},
]  # fmt: skip


@pytest.mark.parametrize("name", [n for n in optimizers.__all__ if n[0].isupper() and n != "Optimizer"])
def test_planned_training_has_the_eager_bits_at_any_number_of_threads(name, restore_threads):
    x, y = np.random.default_rng(0).standard_normal((2, 16, 600)).astype("float32")
    for options in OPTIONS:
        results = set()
        for eagerly, threads in ((True, 1), (False, 1), (False, 2)):
            kernels.set_num_threads(threads)
            set_random_seed(0)
            model = Sequential([Input((600,)), layers.Dense(64, activation="relu"), layers.Dense(600)])
            model.compile(getattr(optimizers, name)(0.01, **options), "mse", run_eagerly=eagerly)
            model.fit(x, y, batch_size=4, verbose=0)
            assert eagerly or "recorded:" in model.explain()
            results.add(b"".join(weight.tobytes() for weight in model.get_weights()))
        assert len(results) == 1


def test_some_weights_do_not_decay():
    kernel, bias = Parameter(np.ones(2), name="kernel"), Parameter(np.ones(2), name="bias")
    optimizer = optimizers.SGD(0.1, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bi"])
    optimizer.apply([np.zeros(2)] * 2, [kernel, bias])
    assert (kernel.data == 0.9).all() and (bias.data == 1).all()
    optimizer = optimizers.SGD(0.1, weight_decay=1.0)
    optimizer.exclude_from_weight_decay([kernel])
    optimizer.apply([np.zeros(2)] * 2, [kernel, bias])
    assert (kernel.data == 0.9).all() and (bias.data == 0.9).all()


def test_averages_follow_weights_without_a_gradient():
    """As in Keras: the average of a weight that stays where it is comes closer to it, and replaces it when due."""
    weight, other = Parameter(np.zeros(1)), Parameter(np.zeros(1))
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3)
    for slope in (-4.0, -4.0, None):  # the weight is at 4, 8, 8, its average at 4, 6, 7
        version = weight.version
        optimizer.apply([None if slope is None else np.full(1, slope), np.ones(1)], [weight, other])
    assert weight.data == 7 and weight.version == version + 1


def test_averages_become_the_weights_at_the_end():
    weight = Parameter(np.ones(2))
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    for _ in range(2):
        optimizer.apply([np.ones(2)], [weight])
    assert (weight.data == -1).all()
    optimizer.finalize_variable_values([weight])
    assert (weight.data == -0.5).all()  # half of what the first step left, half of what the second did


def test_a_gradient_that_is_not_finite_is_not_hidden():
    for settings in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipvalue": 1.0}, {}):
        for optimizer in (optimizers.Lion(**settings), optimizers.Adam(**settings)):
            weight = Parameter(np.ones(3))
            optimizer.apply([np.array([np.nan, 1, 1])], [weight])
            assert np.isnan(weight.data[0])


def built(optimizer):
    optimizer.build([Parameter(np.ones(2))])
    return optimizer


ERRORS = [
    (lambda: optimizers.get("adm"), ValueError, "Did you mean 'Adam'"),
    (lambda: optimizers.get("rmsprp"), ValueError, "Did you mean 'RMSprop'.*Known: Adadelta, Adagrad"),
    (lambda: optimizers.get(3), TypeError, "optimizer"),
    (lambda: optimizers.Muon(epsilon="x"), TypeError, "Muon: epsilon must be a number; got 'x'"),
    (lambda: optimizers.SGD(lr=0.1), TypeError, "Did you mean 'learning_rate'"),
    (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=0.5), ValueError, "only one of clipnorm, clipvalue and global"),
    (lambda: optimizers.SGD(loss_scale_factor=2.0), ValueError, "loss_scale_factor is for float16.*leave it out"),
    (lambda: optimizers.SGD(use_ema=True, ema_momentum=2), ValueError, "ema_momentum must be between 0 and 1"),
    (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "a whole number of at least 2"),
    (lambda: optimizers.AdamW(weight_decay=None), ValueError, "weight_decay must be a number; for none, use Adam"),
    (lambda: optimizers.Lion(beta_1=0), ValueError, "beta_1 must be above 0"),
    (
        lambda: optimizers.Optimizer(0.1).apply([np.ones(2)], [Parameter(np.ones(2))]),
        NotImplementedError,
        "update_step",
    ),
    (lambda: optimizers.SGD(lambda: -1.0).learning_rate, ValueError, "function's value must be finite and at least 0"),
    (lambda: optimizers.Adam(lambda: 0.1).get_config(), ValueError, "function, which a model file cannot hold"),
    (lambda: built(optimizers.Adam()).exclude_from_weight_decay(var_names=["b"]), ValueError, "before the first step"),
    (lambda: optimizers.SGD(-0.1), ValueError, "learning_rate must be finite and at least 0"),
    (lambda: optimizers.SGD(float("nan")), ValueError, "learning_rate"),
    (lambda: optimizers.SGD("0.1"), TypeError, "learning_rate must be a number"),
    (lambda: optimizers.SGD(0.1, 1.5), ValueError, "momentum must be between 0 and 1"),
    (lambda: optimizers.Adam(beta_1=1), ValueError, "below 1"),
    (lambda: optimizers.SGD().apply([], [Parameter(np.ones(2))]), ValueError, "one gradient a weight"),
    (lambda: optimizers.SGD().apply([np.ones(2)]), ValueError, r"pass them, or call build\(weights\)"),
    (lambda: optimizers.SGD().apply([None], [Parameter(np.ones(2))]), ValueError, "no gradient for any weight"),
    (
        lambda: optimizers.Optimizer(0.1).add_optimizer_variables([], ["a", "b"], ["zeros"]),
        ValueError,
        "2 names need as",
    ),
    (lambda: optimizers.SGD().apply([np.ones(3)], [Parameter(np.ones(2))]), ValueError, "must have shape"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
