"""Threads on one model, cold or warm: it is built once, and each thread gets the bits of one thread alone."""

import os
import sys
import threading

import numpy as np
import pytest

from fastconv import Sequential, layers, models, ops

BATCHES = [np.random.default_rng(size).standard_normal((size, 10, 10, 2)).astype("float32") for size in (1, 3)]


@pytest.fixture
def eager_switches():
    """The interpreter changes threads 100,000 times a second."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(function, number=6):
    """The function's results in threads that start at once; the first error, if any, is raised."""
    results, errors, start = [], [], threading.Barrier(number)

    def work():
        try:
            start.wait()
            results.append(function())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    assert len(results) == number, "a thread hangs"
    return results


class Scaled(layers.Conv2D):
    """Its build goes on after its base class's, with a weight and a layer."""

    def build(self, input_shape):
        super().build(input_shape)
        self.scale = self.add_weight((self.filters,), "random_uniform", name="scale")
        self.inner = layers.Dense(3)
        self.inner.build((None, self.filters))

    def call(self, inputs):
        return self.inner(super().call(inputs) * self.scale)


def network(state):
    own = [Scaled(3, 2)] if state == "unbuilt, own layer" else []
    inner = Sequential([layers.Conv2D(3, 1), layers.ReLU()])
    stack = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), *own, inner, layers.Flatten()]
    stack += [layers.Dense(4, activation="softmax")]
    model = Sequential(stack if "unbuilt" in state else [layers.Input((10, 10, 2)), *stack])
    if state == "warm":
        predictions(model)
    return model


def predictions(model):
    return [model.predict(x).tobytes() for _ in range(3) for x in BATCHES]


WEIGHTS = {"unbuilt": 6, "unbuilt, own layer": 11, "built": 6, "warm": 6}


@pytest.mark.parametrize("state", WEIGHTS)
def test_many_threads_predict_with_one_model(state, eager_switches, tmp_path):
    for _ in range(6):
        model = network(state)
        answers = together(lambda: predictions(model))
        assert all(answer == predictions(model) for answer in answers) and len(model.weights) == WEIGHTS[state]
        model.save(tmp_path / "model.safetensors")
        twin = models.load_model(tmp_path / "model.safetensors", custom_objects={"Scaled": Scaled})
        assert predictions(twin) == answers[0]


def test_layers_made_in_threads_have_names_of_their_own(eager_switches):
    names = [name for found in together(lambda: [layers.Flatten().name for _ in range(1000)]) for name in found]
    assert len(set(names)) == len(names)


class Failing(layers.Layer):
    fails = KeyboardInterrupt, ValueError, None

    def __init__(self):
        super().__init__()
        self.tries = iter(self.fails)

    def build(self, input_shape):
        self.kernel = self.add_weight(input_shape[-1:])
        self.offset = self.add_weight(input_shape[-1:], trainable=False)
        if error := next(self.tries):
            raise error

    def call(self, inputs):
        return ops.relu(inputs * self.kernel + self.offset)


def test_a_build_that_fails_leaves_no_weights():
    layer = Failing()
    for error in Failing.fails[:2]:
        with pytest.raises(error):
            layer(BATCHES[0])
        assert not layer.built and layer.weights == []
    layer(BATCHES[0])
    assert len(layer.weights) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_forked_while_a_thread_builds_can_build():
    class Slow(layers.Layer):
        def build(self, input_shape):
            building.set()
            go_on.wait(0.2)

        def call(self, inputs):
            return inputs

    building, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: Slow()(BATCHES[0]))
    thread.start()
    building.wait()
    child = os.fork()
    if child == 0:
        worker = threading.Thread(target=lambda: layers.Dense(2)(BATCHES[0]), daemon=True)
        worker.start()
        worker.join(20)
        os._exit(int(worker.is_alive()))
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
