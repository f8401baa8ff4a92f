"""Graphs that a user draws: what is refused, and that shared layers, inner outputs and copies are what they seem."""

import copy
import pickle

import numpy as np
import pytest

import fastconv
from fastconv import Input, Model, layers

X = np.random.default_rng(0).standard_normal((3, 6, 6, 2)).astype("float32")


def drawn():
    start = Input((6, 6, 2))
    shared = layers.Conv2D(2, 3, padding="same", name="shared")
    x = layers.add([shared(start), shared(shared(start))])
    return start, x, layers.Dense(4, name="top")(layers.GlobalMaxPooling2D()(layers.ReLU()(x)))


def other_input():
    return Model(Input((6, 6, 2)), drawn()[2])


def unused_input():
    start, _, out = drawn()
    return Model([start, Input((3,))], out)


def input_twice():
    start, _, out = drawn()
    return Model([start, start], out)


def one_name_for_two():
    start = Input((3,))
    return Model(start, layers.Dense(2, name="a")(layers.Dense(3, name="a")(start)))


ERRORS = [
    (one_name_for_two, ValueError, "two of its layers are named 'a'"),
    (other_input, ValueError, "depend on .*not among the inputs"),
    (unused_input, ValueError, "no output depends on the input"),
    (input_twice, ValueError, "given twice"),
    (lambda: Model(X, drawn()[2]), TypeError, "inputs must be tensors that fastconv.Input"),
    (lambda: Model(drawn()[0], X), TypeError, "outputs must be tensors"),
    (lambda: Model(drawn()[0]), TypeError, "together"),
    (lambda: layers.add([Input((6, 6, 2)), Input((5, 6, 2))]), ValueError, r"6, 6, 2.*5, 6, 2"),
    (lambda: layers.Conv2D(2, 3)(Input((6, 6))), ValueError, "Conv2D expects"),
    (lambda: float(drawn()[2]), TypeError, "no values"),
    (lambda: np.asarray(drawn()[2]), TypeError, "no values"),
    (lambda: drawn()[1].source.layer.output.data, TypeError, "no values"),
]


@pytest.mark.parametrize("make, kind, message", ERRORS, ids=lambda value: None)
def test_errors_say_what_to_do(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_layers_stand_in_keras_order_where_one_is_shared():
    start = Input((4,))
    shared, inner, first = (layers.Dense(4, name=name) for name in ("shared", "inner", "first"))
    long = layers.Dense(4, name="b")(layers.Dense(4, name="a")(start))
    model = Model(start, [layers.Dense(1, name="c")(long), shared(inner(start)), shared(shared(first(start)))])
    assert [layer.name for layer in model.layers[1:]] == ["a", "inner", "first", "b", "shared", "c"]


def test_a_shared_layer_has_one_set_of_weights():
    start, inner, out = drawn()
    model = Model(start, out)
    assert [layer.name for layer in model.layers].count("shared") == 1 and len(model.weights) == 4
    shared = model.get_layer("shared")
    once = shared(X).numpy()
    twice = shared(once).numpy()
    np.testing.assert_allclose(Model(start, inner).predict(X), once + twice, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"]
)
def test_copies_compute_the_same_from_weights_of_their_own(again):
    start, _, out = drawn()
    model = Model(start, out)
    twin = again(model)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin.set_weights([weight * 0 for weight in twin.get_weights()])
    assert not twin.predict(X).any() and model.predict(X).any()


def test_a_clone_has_the_architecture_and_fresh_weights():
    start, _, out = drawn()
    model = Model(start, out)
    twin = fastconv.models.clone_model(model)
    assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
