"""fastconv.gradients, grad and value_and_grad: values, forms, what they leave alone; and docs/gradients.md, which
runs."""

import pathlib
import re

import numpy as np
import pytest

import fastconv
from fastconv import Tensor, layers, ops
from fastconv.tensor import Parameter

GUIDE = pathlib.Path(__file__).parent.parent / "docs" / "gradients.md"
A, B = np.array([1.0, 2.0]), np.array([3.0, 4.0])


def energy(x, y):
    return ops.sum(x * x * y)


@pytest.mark.skipif(not GUIDE.exists(), reason="the tests run without the sources")
def test_the_guide_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), names)


FORMS = [
    # function, argnums, arguments, expected gradients
    (energy, 0, (A, B), 2 * A * B),
    (energy, 1, (A, B), A * A),
    (energy, (0, 1), (A, B), (2 * A * B, A * A)),
    (energy, [-1], (A, B), (A * A,)),
    (energy, 0, (3.0, 2.0), np.float32(12)),
    (lambda x: x["a"] * x["b"][0], 0, ({"a": 2.0, "b": [5.0]},), {"a": np.float32(5), "b": [np.float32(2)]}),
    (lambda x, y: ops.sum(y * y), 0, (A, B), 0 * A),  # what nothing depends on
    (lambda x: ops.sum(x * x), 0, (Tensor(A),), 2 * A),
    (lambda x: Tensor(1.0), 0, (A,), 0 * A),
]


@pytest.mark.parametrize("function, argnums, arguments, expected", FORMS)
def test_grad_has_the_arguments_form(function, argnums, arguments, expected):
    value, found = fastconv.value_and_grad(function, argnums)(*arguments)
    assert float(value) == float(function(*fastconv.nest.map_leaves(Tensor, arguments)))
    for result in (found, fastconv.grad(function, argnums)(*arguments)):
        assert type(result) is type(expected) or isinstance(result, np.ndarray)
        fastconv.tree.assert_same_structure(result, expected)
        for a, b in zip(fastconv.tree.flatten(result), fastconv.tree.flatten(expected)):
            assert isinstance(a, np.ndarray) and a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_aux_comes_out_beside_the_value():
    def function(x):
        return ops.sum(x), {"seen": 3}

    assert fastconv.grad(function, has_aux=True)(A)[1] == {"seen": 3}
    (value, aux), slopes = fastconv.value_and_grad(function, has_aux=True)(A)
    assert float(value) == 3 and aux == {"seen": 3} and slopes.tolist() == [1, 1]


def network():
    return fastconv.Sequential([
        layers.Input((6, 6, 2), dtype="float64"), layers.Conv2D(3, 3, activation="tanh", name="inner", dtype="float64"),
        layers.MaxPooling2D(dtype="float64"), layers.Flatten(dtype="float64"), layers.Dense(2, dtype="float64"),
    ])  # fmt: skip


X = np.random.default_rng(0).standard_normal((3, 6, 6, 2))


@pytest.mark.parametrize("again", range(3), ids=["drawn", "recorded", "repeated"])
def test_gradients_by_inputs_weights_and_inner_outputs_are_those_of_backward(again):
    model = network()
    both = fastconv.Model(model.inputs, [model.get_layer("inner").output, model.output])
    for _ in range(again):
        both(X)
    x = Tensor(X, requires_grad=True)
    model(x)[:, 1].sum().backward()
    expected = [x.grad, *[weight.grad for weight in model.weights]]
    for weight in model.weights:
        weight.grad = None
    x.grad = None
    inner, y = both(x)
    found = fastconv.gradients(ops.sum(y[:, 1]), [x, model.weights, inner])
    for a, b in zip(fastconv.nest.flatten(found)[:-1], expected):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert x.grad is None and all(weight.grad is None for weight in model.weights)
    # By the chain rule, from the inner output on.
    head = Tensor(inner.numpy(), requires_grad=True)
    z = head
    for layer in model.layers[1:]:
        z = layer(z)
    z[:, 1].sum().backward()
    np.testing.assert_allclose(found[2], head.grad, rtol=1e-12)


def test_only_what_is_asked_for_is_computed():
    seen = []

    class Probe(fastconv.tensor.Op):
        def forward(self, x, y):
            self.x, self.y = x, y
            return x * y

        def backward(self, dy):
            seen.append(self.needs)
            return dy * self.y, dy * self.x

    x, y = Tensor(A, requires_grad=True), Tensor(B, requires_grad=True)
    np.testing.assert_array_equal(fastconv.gradients(ops.sum(Probe.apply(x, y)), x), B)
    assert seen == [(True, False)]
    middle = Probe.apply(x, y)
    np.testing.assert_array_equal(fastconv.gradients(ops.sum(middle * middle), middle), 2 * A * B)
    assert len(seen) == 1  # nothing below was walked


def test_a_source_beside_the_path_has_no_gradient():
    x, y = Tensor(A, requires_grad=True), Tensor(B, requires_grad=True)
    z = ops.sum(x * 2.0)
    assert fastconv.gradients(z, {"x": x, "y": y})["y"] is None


def test_weighted_targets_and_targets_that_are_sources():
    x = Tensor(A, requires_grad=True)
    np.testing.assert_array_equal(fastconv.gradients(x * x, x, gradient=B), 2 * A * B)
    np.testing.assert_array_equal(fastconv.gradients(x, x, gradient=B), B)


@pytest.mark.parametrize("call, error, match", [
    (lambda: fastconv.gradients(Tensor(1.0), Tensor(1.0)), RuntimeError, "target of shape .* not on the tape"),
    (lambda: fastconv.gradients(Parameter([1.0]), Tensor(1.0)), RuntimeError, "A source .* not on the tape"),
    (lambda: fastconv.gradients(Parameter([1.0]), [A]), TypeError, "A source must be a Tensor"),
    (lambda: fastconv.gradients(Parameter(A), []), ValueError, "need gradient="),
    (lambda: fastconv.grad(energy, 2)(A, B), ValueError, "argnums names the argument 2; 2 were given"),
    (lambda: fastconv.grad(lambda x: x)(A), TypeError, "one element; got a Tensor of shape"),
    (lambda: fastconv.grad(lambda x: 3)(A), TypeError, "one element; got int"),
    (lambda: fastconv.grad(energy)(["a"], B), TypeError, "A Tensor holds float32"),
])  # fmt: skip
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_float16_inputs_are_taken_by_layers_alone():
    half = X.astype("float16")
    model = fastconv.Sequential([layers.Conv2D(2, 3, input_shape=(6, 6, 2)), layers.Flatten(), layers.Dense(1)])
    np.testing.assert_array_equal(model.predict(half), model.predict(half.astype("float32")))
    assert model(half).dtype == "float32"
    model.compile("sgd", "mse")
    model.fit(half, np.zeros((3, 1), "float16"), verbose=0)
    with pytest.raises(TypeError, match="float16"):
        ops.exp(half)


@pytest.mark.parametrize("inner", [
    lambda x: fastconv.gradients(ops.sum(x * x), x), fastconv.grad(lambda x: ops.sum(x * x)),
])  # fmt: skip
def test_gradients_of_gradients_are_refused_where_they_would_count_as_constants(inner):
    with pytest.raises(RuntimeError, match="Gradients of gradients cannot be taken"):
        fastconv.value_and_grad(lambda x: ops.sum(x) + ops.mean(inner(x)))(A)
    assert fastconv.grad(ops.sum)(A).tolist() == [1, 1]  # the refusal ends with its function


def test_shared_gradients_are_not_copied_and_cannot_be_written_to():
    a, b = (fastconv.Tensor(np.full((2, 3), value, "f4"), requires_grad=True) for value in (1, 2))
    dy = np.arange(6, dtype="f4").reshape(2, 3)
    da, db = fastconv.gradients(ops.reshape(a + b, (6,)), [a, b], dy.reshape(6))
    assert np.shares_memory(da, dy) and np.shares_memory(db, dy)
    assert not da.flags.writeable and not db.flags.writeable and dy.flags.writeable
    (da,) = fastconv.gradients(a + b + a * b, [a], dy)
    np.testing.assert_array_equal(da, 3 * dy)
    np.testing.assert_array_equal(dy, np.arange(6).reshape(2, 3))
    assert da.flags.writeable


@pytest.mark.parametrize("axis", [0, 1])
def test_the_gradients_of_what_is_joined_are_parts_that_nobody_writes_into(axis):
    x, y = (Tensor(np.ones((3, 2)) * i, requires_grad=True) for i in (2, 3))
    dy = np.arange(12.0).reshape((6, 2) if axis == 0 else (3, 4))
    joined = np.split(dy, 2, axis)
    for ours, part in zip(fastconv.gradients(ops.concatenate([x, y], axis), [x, y], dy), joined):
        np.testing.assert_array_equal(ours, part)
        assert not ours.flags.writeable
    ops.add(ops.concatenate([x, ops.exp(y)], axis), ops.concatenate([x, x], axis)).backward(dy)
    np.testing.assert_allclose(x.grad, 2 * joined[0] + joined[1])
    np.testing.assert_allclose(y.grad, joined[1] * np.exp(3))
    assert x.grad.flags.c_contiguous and x.grad.flags.writeable and not np.shares_memory(x.grad, dy)
    np.testing.assert_array_equal(dy.ravel(), np.arange(12.0))
