"""Schedules against Keras' formulas written out, at the step that an optimizer asks for; saving, errors."""

import math

import numpy as np
import pytest

import fastconv
from fastconv import optimizers, registry, schedules
from fastconv.tensor import Parameter

TABLE = [  # schedule, {step: rate}
    (schedules.ExponentialDecay(0.1, 10, 0.5), {0: 0.1, 5: 0.1 * 0.5**0.5, 10: 0.05, 30: 0.0125}),
    (schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True), {0: 0.1, 9: 0.1, 10: 0.05, 19: 0.05, 20: 0.025}),
    (schedules.ExponentialDecay(0.1, 2.5, 0.5, True), {2: 0.1, 3: 0.05, 4: 0.05, 5: 0.025}),
    (schedules.PolynomialDecay(0.1, 2.5, 0.0, cycle=True), {0: 0.1, 1: 0.06, 2: 0.02, 3: 0.04, 5: 0}),
    (schedules.CosineDecay(0.2, 0.5), {0: 0.2, 1: 0}),
    (schedules.CosineDecay(0.2, 100), {0: 0.2, 25: 0.1 * (1 + math.cos(math.pi / 4)), 50: 0.1, 100: 0, 500: 0}),
    (schedules.CosineDecay(0.2, 100, alpha=0.1), {0: 0.2, 50: 0.11, 100: 0.02, 500: 0.02}),
    (schedules.CosineDecay(0.0, 100, warmup_target=0.2, warmup_steps=10),
     {0: 0, 5: 0.1, 10: 0.2, 60: 0.1, 110: 0, 500: 0}),
    (schedules.PiecewiseConstantDecay([2, 4], [1.0, 0.5, 0.1]), {0: 1, 2: 1, 3: 0.5, 4: 0.5, 5: 0.1, 500: 0.1}),
    (schedules.CosineDecayRestarts(0.1, 4, 2.0, 0.5, 0.1), {0: 0.1, 2: 0.055, 4: 0.055, 8: 0.0325, 12: 0.0325}),
    (schedules.CosineDecayRestarts(0.1, 4, 1.0), {0: 0.1, 2: 0.05, 4: 0.1, 7: 0.05 * (1 - math.cos(math.pi / 4))}),
    (schedules.InverseTimeDecay(0.1, 10, 0.5), {0: 0.1, 5: 0.08, 10: 0.1 / 1.5}),
    (schedules.InverseTimeDecay(0.1, 10, 0.5, True), {0: 0.1, 9: 0.1, 10: 0.1 / 1.5, 20: 0.05}),
    (schedules.PolynomialDecay(0.1, 10, 0.02), {0: 0.1, 5: 0.06, 10: 0.02, 500: 0.02}),
    (schedules.PolynomialDecay(0.1, 10, 0.02, 2.0, True), {0: 0.1, 5: 0.04, 10: 0.02, 15: 0.025, 20: 0.02}),
    (schedules.OneCycle(0.4, 100, warmup=0.2, start=0.25), {0: 0.1, 10: 0.25, 20: 0.4, 60: 0.2, 100: 0, 500: 0}),
    (schedules.OneCycle(0.4, 1, warmup=0), {0: 0.4, 1: 0}),
    (schedules.OneCycle(0.4, 4, warmup=1, start=0), {0: 0, 2: 0.2, 4: 0}),
]  # fmt: skip


@pytest.mark.parametrize("schedule, rates", TABLE, ids=repr)
def test_rates(schedule, rates):
    twin = schedules.get(registry.serialize(schedule))
    assert type(twin) is type(schedule) and twin.get_config() == schedule.get_config()
    for step, rate in rates.items():
        assert schedule(step) == pytest.approx(rate, abs=1e-15)
        assert twin(step) == schedule(step)


def test_an_optimizer_asks_at_every_step_from_0():
    weight = Parameter(np.zeros(2))
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([0], [1.0, 0.25]))
    moved = []
    for _ in range(3):
        assert optimizer.learning_rate == [1.0, 0.25, 0.25][optimizer.iterations]
        before = weight.data.copy()
        optimizer.apply([np.ones(2)], [weight])
        moved.append((before - weight.data)[0])
    assert moved == [1.0, 0.25, 0.25]
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == 0.5 and optimizer.get_config()["learning_rate"] == 0.5


def test_adam_takes_the_rate_of_its_step():
    gradient, rates = np.array([1.0, -2.0]), [0.1, 0.05]
    scheduled = optimizers.Adam(schedules.ExponentialDecay(0.1, 1, 0.5))
    by_hand = optimizers.Adam()
    first, second = Parameter(np.zeros(2)), Parameter(np.zeros(2))
    for rate in rates:
        by_hand.learning_rate = rate
        scheduled.apply([gradient], [first])
        by_hand.apply([gradient], [second])
    np.testing.assert_array_equal(first.data, second.data)


class Halved(schedules.LearningRateSchedule):
    _arguments = ("rate",)

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate / 2


@pytest.mark.parametrize("schedule", [schedules.CosineDecay(0.1, 20), Halved(0.5)], ids=repr)
def test_a_model_file_holds_the_schedule_and_its_step(tmp_path, schedule):
    model = fastconv.Sequential([fastconv.layers.Dense(1, input_shape=(3,))])
    model.compile(optimizers.SGD(schedule), "mse")
    x = np.ones((8, 3), np.float32)
    model.fit(x, x[:, :1], batch_size=2, epochs=2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    loaded = fastconv.models.load_model(tmp_path / "model.safetensors", custom_objects={"Halved": Halved})
    assert loaded.optimizer.learning_rate == model.optimizer.learning_rate == schedule(8)
    if isinstance(schedule, Halved):
        with pytest.raises(ValueError, match="Unknown schedule 'Halved'"):
            fastconv.models.load_model(tmp_path / "model.safetensors")


def test_keras_path():
    from fastconv.optimizers.schedules import CosineDecay

    assert CosineDecay is fastconv.schedules.CosineDecay is optimizers.schedules.CosineDecay


class Broken(schedules.LearningRateSchedule):
    def __call__(self, step):
        return -1.0


ERRORS = [
    (
        lambda: schedules.ExponentialDecay(-1, 10, 0.5),
        ValueError,
        "initial_learning_rate must be finite and at least 0",
    ),
    (lambda: schedules.ExponentialDecay(1, 0, 0.5), ValueError, "decay_steps must be above 0; got 0"),
    (lambda: schedules.ExponentialDecay(1, 10, 0.5, decay=3), TypeError, "has no argument 'decay'"),
    (lambda: schedules.CosineDecay("0.1", 10), TypeError, "initial_learning_rate must be a number; got '0.1'"),
    (lambda: schedules.CosineDecay(0.1, 10, warmup_steps=5), ValueError, "needs a warmup_target"),
    (lambda: schedules.PiecewiseConstantDecay([1], [1]), ValueError, "one more than boundaries; got 1 values and 1"),
    (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "boundaries must increase"),
    (lambda: schedules.OneCycle(0.1, 10, warmup=1.5), ValueError, "warmup must be between 0 and 1"),
    (lambda: schedules.CosineDecayRestarts(0.1, 4, 0.5), ValueError, "t_mul must be at least 1; got 0.5"),
    (lambda: schedules.PolynomialDecay(0.1, 10, cycles=True), TypeError, "no argument 'cycles'. Did you mean 'cycle'"),
    (lambda: schedules.OneCycle(0.1, True), TypeError, "total_steps must be a number"),
    (lambda: schedules.get({"class_name": "CosinDecay"}), ValueError, "Did you mean 'CosineDecay'"),
    (lambda: optimizers.SGD({"class_name": "Path", "config": {}}), ValueError, "Unknown schedule 'Path'"),
    (lambda: optimizers.SGD(Broken()).learning_rate, ValueError, "the schedule's rate must be finite and at least 0"),
    (lambda: schedules.LearningRateSchedule()(0), NotImplementedError, "must define __call__"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
