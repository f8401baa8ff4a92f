"""Planned training steps: the bits of the eager step, for as long as nothing that they depend on changes."""

import re
import threading
import warnings

import numpy as np
import pytest
import test_planning

from fastconv import callbacks, kernels, layers, losses, ops, optimizers
from fastconv.models import Sequential
from fastconv.utils import set_random_seed

# shape of a sample, classes, layers
STACKS = {
    "tutorial": ((28, 28, 1), 10, test_planning.STACKS["tutorial"][1]),
    "1d": ((40, 3), 3, lambda: [
        layers.Conv1D(12, 5, strides=2, padding="same"), layers.ReLU(), layers.AveragePooling1D(2), layers.Dropout(0),
        layers.GlobalMaxPooling1D(), layers.Dense(3), layers.Softmax()]),
    "2d": ((17, 18, 3), 7, lambda: [
        layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(8, 3, groups=8),
        layers.Conv2D(16, 3, strides=2, groups=2), layers.ReLU(), layers.AveragePooling2D(2),
        layers.Conv2D(12, 3, padding="same", dilation_rate=2, use_bias=False),
        layers.MaxPooling2D(2, strides=1), layers.Conv2D(16, 1, activation="relu"), layers.GlobalAveragePooling2D(),
        layers.Dense(7, activation="softmax")]),
    "3d": ((6, 7, 8, 2), 8, lambda: [
        layers.Conv3D(8, 3, padding="same", activation="relu"), layers.MaxPooling3D(2), layers.Conv3D(8, 3, groups=8),
        layers.GlobalAveragePooling3D(), layers.Activation("softmax")]),
    "separable": ((17, 18, 3), 7, lambda: [
        layers.Conv2D(16, 3, strides=2, activation="relu"), layers.DepthwiseConv2D(3, padding="same"),
        layers.SeparableConv2D(24, 3, depth_multiplier=2), layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2),
        layers.AdaptiveMaxPooling2D((2, 3)), layers.AdaptiveAveragePooling2D(1), layers.Flatten(),
        layers.Dense(7, activation="softmax")]),
    "transposed": ((8, 9, 3), 4, lambda: [
        layers.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(20, 3, padding="same", activation="relu"),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(16, 3, groups=16, use_bias=False), layers.Conv2DTranspose(8, 3, strides=2, groups=2),
        layers.Conv2DTranspose(2, 4, strides=2), layers.AveragePooling2D(4), layers.Flatten(),
        layers.Dense(4, activation="softmax")]),
    "1d and causal": ((40, 3), 3, lambda: [
        layers.Conv1D(16, 3, padding="causal", dilation_rate=2, activation="relu"),
        layers.SeparableConv1D(16, 3, padding="causal"), layers.DepthwiseConv1D(3, strides=2, padding="causal"),
        layers.Conv1DTranspose(18, 5, strides=2, output_padding=1), layers.AdaptiveAveragePooling1D(7),
        layers.AdaptiveMaxPooling1D(2), layers.Flatten(), layers.Dense(3, activation="softmax")]),
    "3d relatives": ((4, 5, 6, 2), 8, lambda: [
        layers.SeparableConv3D(8, 2), layers.DepthwiseConv3D(3, padding="same", activation="relu"),
        layers.Conv3DTranspose(17, 3, strides=2, padding="same"), layers.AdaptiveMaxPooling3D((3, 4, 5)),
        layers.AdaptiveAveragePooling3D(2), layers.Flatten(), layers.Dense(8, activation="softmax")]),
    "nested": ((9, 9, 4), 5, lambda: [
        Sequential([layers.Conv2D(16, 3, dilation_rate=2), layers.ReLU()]), layers.Conv2D(5, 1, use_bias=False),
        layers.GlobalMaxPooling2D(), layers.Softmax()]),
}  # fmt: skip


def pair(stack, shape, optimizer="sgd", loss="categorical_crossentropy", dtype="float32"):
    """A model and its eager twin, with equal weights."""
    models = []
    for eagerly in (False, True):
        model = Sequential([layers.Input(shape, dtype=dtype), *stack()])
        if models:
            model.set_weights(models[0].get_weights())
        model.compile(optimizer() if callable(optimizer) else optimizer, loss, metrics=["accuracy"])
        model._planner.records = not eagerly
        models.append(model)
    return models


def tutorial(**options):
    return pair(STACKS["tutorial"][2], STACKS["tutorial"][0], **options)


def batch(shape, classes, size, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size)
    return rng.random((size, *shape), dtype="float32"), np.eye(classes, dtype="float32")[labels], labels


def check(models, batches, planned=True):
    """Both models train on the batches to the same bits, the first one by plans (None: perhaps)."""
    model, twin = models
    for x, y in batches:
        got, wanted = model.train_on_batch(x, y), twin.train_on_batch(x, y)
        assert got == wanted or np.isnan([got, wanted]).any()
        for weight, other in zip(model.weights, twin.weights):
            assert weight.grad is None
            np.testing.assert_array_equal(weight.data, other.data)
    assert planned in (None, bool(plans(model))) and not plans(twin)


def plans(model):
    return test_planning.plans(model)


def digits(sizes=(6, 6, 6, 2, 6, 2, 2, 6), seed=0):
    return [batch((28, 28, 1), 10, size, seed + i)[:2] for i, size in enumerate(sizes)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", STACKS)
def test_a_planned_step_has_the_eager_bits(name, optimizer, isa):
    shape, classes, stack = STACKS[name]
    models = pair(stack, shape, optimizer)
    check(models, [batch(shape, classes, size, size + i)[:2] for i, size in enumerate([4, 4, 4, 9, 4, 9, 9])])
    assert len(plans(models[0])) == 2


def test_3d_and_float64():
    def stack():
        return [
            layers.Conv3D(8, 3, padding="same", activation="relu", dtype="float64"),
            layers.MaxPooling3D(2, dtype="float64"), layers.Flatten(dtype="float64"),
            layers.Dense(4, activation="softmax", dtype="float64"),
        ]  # fmt: skip

    models = pair(stack, (5, 6, 7, 2), dtype="float64")
    models[0]._dtype = models[1]._dtype = np.dtype("float64")
    check(models, [(x.astype("float64"), y) for x, y, _ in (batch((5, 6, 7, 2), 4, 6, i) for i in range(4))])


@pytest.mark.parametrize("form", [np.int64, np.uint8, np.float32])
def test_labels(form):
    models = tutorial(loss="sparse_categorical_crossentropy")
    batches = [(x, labels.astype(form)) for x, _, labels in (batch((28, 28, 1), 10, 5, i) for i in range(4))]
    check(models, batches)
    x, wrong = batches[0][0], np.full(5, 10)
    before = [weight.copy() for weight in models[0].get_weights()]
    messages = []
    for model in models:
        with pytest.raises(ValueError, match="label 10") as caught:
            model.train_on_batch(x, wrong)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and all(map(np.array_equal, before, models[0].get_weights()))
    check(models, batches)


def test_logits_without_softmax():
    models = pair(lambda: [layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)], (6, 6, 2),
                  loss=losses.CategoricalCrossentropy(from_logits=True))  # fmt: skip
    check(models, [batch((6, 6, 2), 3, 4, i)[:2] for i in range(4)])


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_at_any_number_of_threads(number, restore_threads):
    models = tutorial()
    check(models, digits([40, 40, 40]))
    kernels.set_num_threads(number)
    check(models, digits([40, 40], seed=7))


def test_fit_with_schedule_validation_and_a_last_small_batch():
    def optimizer():
        return optimizers.Adam(optimizers.schedules.CosineDecay(0.01, 20))

    models = tutorial(optimizer=optimizer)
    x, y, _ = batch((28, 28, 1), 10, 44, 0)
    histories = []
    for model in models:
        set_random_seed(3)
        histories.append(model.fit(x, y, batch_size=8, epochs=4, verbose=0, validation_split=0.1).history)
    assert histories[0] == histories[1] and len(plans(models[0])) == 2
    assert all(map(np.array_equal, models[0].get_weights(), models[1].get_weights()))


def test_changes_between_steps_are_seen():
    models = tutorial()
    check(models, digits([5] * 3))
    for model in models:
        model.layers[0].trainable = False
    check(models, digits([5] * 3))
    for model in models:  # what is kept of weights that are not trained
        model.weights[0].assign(model.weights[0].data * 1.5)
    check(models, digits([5] * 3))
    for model in models:
        model.layers[0].trainable = True
        model.weights[2].assign(model.weights[2].data * 0.5)
        with model.weights[3].writable() as array:
            array[...] = 0.25
    check(models, digits([5] * 3))
    for model in models:
        model.compile(optimizers.SGD(0.05, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"])
    check(models, digits([5] * 3))
    for model in models:
        model.layers[0].activation = ops.tanh
    check(models, digits([5] * 3))


def test_a_step_records_though_others_train_its_fixed_weights():
    """A GAN's: the discriminator is trained between the generator's steps, and its weights are no part of these."""
    models = pair(lambda: [layers.Conv2D(16, 3), layers.Conv2D(16, 3), layers.Flatten(), layers.Dense(4)], (12, 12, 16),
                  loss=losses.CategoricalCrossentropy(from_logits=True))  # fmt: skip
    for model in models:
        model.layers[1].trainable = False
    for x, y in [batch((12, 12, 16), 4, 6, seed)[:2] for seed in range(7)]:
        check(models, [(x, y)], None)
        for model in models:
            model.layers[1].kernel.assign(model.layers[1].kernel.data * 1.01)
    assert len(plans(models[0])) == 1
    check(models, [batch((12, 12, 16), 4, 6, 8)[:2]])


def test_precision_set_between_steps(exact):
    models = pair(lambda: [layers.Conv2D(16, 3, padding="same"), layers.Flatten(), layers.Dense(4)], (12, 12, 16),
                  loss=losses.CategoricalCrossentropy(from_logits=True))  # fmt: skip
    batches = [batch((12, 12, 16), 4, 4, i)[:2] for i in range(3)]
    check(models, batches)
    kernels.set_precision("fast")
    check(models, batches)


class Own(layers.Layer):
    """A layer of a user's, in ops."""

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, inputs):
        return ops.tanh(inputs * self.scale) + ops.exp(-inputs)


class Asks(layers.Layer):
    """A layer whose operations depend on values."""

    def call(self, inputs):
        return inputs * 2.0 if float(ops.sum(inputs)) > 0 else ops.relu(inputs)


class Counts(layers.Layer):
    """A layer that changes itself."""

    count = 0

    def call(self, inputs):
        self.count += 1
        return inputs * float(self.count)


class Alternates(layers.Layer):
    """A layer that does something else each time, and keeps it to itself."""

    calls = []

    def call(self, inputs):
        self.calls.append(1)
        return inputs * float(len(self.calls))


def own_stack(layer):
    return lambda: [layers.Conv2D(3, 3), layer, layers.Flatten(), layers.Dense(3, activation="softmax")]


@pytest.mark.parametrize("make", [
    Own, lambda: layers.ReLU(max_value=1.0), lambda: layers.Activation("sigmoid"), lambda: layers.Softmax(axis=1),
], ids=["own", "bounded", "sigmoid", "softmax over rows"])  # fmt: skip
@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", "mse", lambda y, output: ops.mean(ops.square(output - y))]
)
def test_any_layer_and_loss_of_ops_is_planned(make, loss):
    models = pair(lambda: own_stack(make())(), (6, 6, 2), loss=loss)
    check(models, [batch((6, 6, 2), 3, 4, i)[:2] for i in range(4)])


@pytest.mark.parametrize("layer, reason", [
    (Asks, "depends on data: .*test_planned_training.py:[0-9]+ .*float"), (Counts, "changes an attribute"),
    (Alternates, "something else from call to call"),
])  # fmt: skip
def test_what_cannot_be_repeated_runs_eagerly_and_says_why(layer, reason):
    model = Sequential([layers.Input((6, 6, 2)), *own_stack(layer())()])
    model.compile("sgd", "categorical_crossentropy")
    losses = [model.train_on_batch(*batch((6, 6, 2), 3, 4, i)[:2]) for i in range(4)]
    assert not plans(model) and len(set(losses)) == 4 and re.search(reason, model.explain())


def test_fused_steps_agree_with_the_layers_one_by_one(exact):
    models = tutorial()
    models[1].compile("sgd", "categorical_crossentropy", run_eagerly=True)
    models[0].compile("sgd", "categorical_crossentropy")
    for x, y in digits([6] * 4):
        assert models[0].train_on_batch(x, y) == pytest.approx(models[1].train_on_batch(x, y), rel=1e-5)
    for one, other in zip(models[0].get_weights(), models[1].get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_same_batch_again_and_again():
    check(tutorial(), digits([5]) * 5)
    check(tutorial(optimizer=lambda: optimizers.SGD(0.0)), digits([5]) * 3)


def test_results_stay_what_they_were():
    kept = []

    def keep(y, output):
        kept.append((output, output.copy()))
        return np.zeros(len(y))

    class Keeper(optimizers.SGD):
        def apply(self, gradients, variables):
            kept.extend((gradient, gradient.copy()) for gradient in gradients)
            super().apply(gradients, variables)

    model = tutorial()[0]
    model.compile(Keeper(), "categorical_crossentropy", metrics=[keep])
    for x, y in digits([5] * 5):
        model.train_on_batch(x, y)
    assert plans(model) and all(np.array_equal(*both) for both in kept)


def test_nan_is_reported_and_reaches_the_weights():
    models = tutorial()
    check(models, digits([5] * 3))
    ((x, y),) = digits([5], seed=9)
    x[0, 3, 3] = np.nan
    for model in models:
        with pytest.warns(UserWarning, match="not finite because x holds NaN"):
            assert np.isnan(model.train_on_batch(x, y)[0])
        assert np.isnan(model.weights[-1].data).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(models, digits([5] * 2))


def test_plans_are_bounded(monkeypatch):
    models = tutorial()
    check(models, digits([3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12]))
    assert len(plans(models[0])) <= 8
    monkeypatch.setattr("fastconv.planning.MEMORY", 1 << 20)
    models = tutorial()
    check(models, digits([60, 60, 60, 30, 30, 30, 30]))
    assert len(plans(models[0])) == 1  # the newest is kept, however large


def test_models_train_in_threads():
    def work(seed):
        models = tutorial()
        check(models, digits([4] * 6, seed), planned=None)  # one plan is made at a time
        done.append(seed)

    done, threads = [], [threading.Thread(target=work, args=(10 * seed,)) for seed in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(done) == 3


def test_a_weight_frozen_while_fit_runs_stays():
    class Freeze(callbacks.Callback):
        def on_train_batch_end(self, number, logs=None):
            if number == 5:
                self.model.weights[0].trainable = False

    models, weights = tutorial(), []
    x, y, _ = batch((28, 28, 1), 10, 50, 0)
    for model in models:
        model.fit(x, y, batch_size=5, verbose=0, shuffle=False, callbacks=[Freeze()])
        weights.append(model.get_weights())
    assert all(map(np.array_equal, *weights)) and plans(models[0])
