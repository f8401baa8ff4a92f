"""Which operations of a model run as one, and that nothing but the time changes by it."""

import numpy as np
import pytest
from helpers import normal

from fastconv import fusion, kernels, layers, models, ops, tensor
from fastconv.ops.conv_pool import ConvPool
from fastconv.program import Program, Recording
from fastconv.symbolic import KerasTensor


class Own(layers.Conv2D):
    """A user's subclass: it may compute anything."""


STACKS = {  # name: (layers, input's shape, how many of the first layers run as one)
    "activation of the layer": ([layers.Conv2D(5, 3, activation="relu"), layers.MaxPooling2D()], (9, 10, 3), 2),
    "no activation": ([layers.Conv2D(5, 3), layers.MaxPooling2D((2, 3))], (9, 10, 3), 2),
    "Activation between": ([layers.Conv1D(5, 3), layers.Activation("relu"), layers.MaxPooling1D(3)], (20, 3), 3),
    "ReLU between": ([layers.Conv3D(5, 2), layers.ReLU(), layers.MaxPooling3D()], (5, 6, 7, 2), 3),
    "same padding, groups, strides": (
        [layers.Conv2D(6, 3, 2, "same", groups=2, activation="relu"), layers.MaxPooling2D()], (19, 20, 4), 2),
    "a subclass": ([Own(5, 3, activation="relu"), layers.MaxPooling2D()], (9, 10, 3), 2),
    "overlapping windows": ([layers.Conv2D(5, 3, activation="relu"), layers.MaxPooling2D(3, 2)], (9, 10, 3), 0),
    "padded windows": ([layers.Conv2D(5, 3, activation="relu"), layers.MaxPooling2D(2, padding="same")], (9, 10, 3), 0),
    "another activation": ([layers.Conv2D(5, 3, activation="tanh"), layers.MaxPooling2D()], (9, 10, 3), 0),
    "a bounded ReLU": ([layers.Conv2D(5, 3), layers.ReLU(6), layers.MaxPooling2D()], (9, 10, 3), 0),
    "another pooling": ([layers.Conv2D(5, 3, activation="relu"), layers.AveragePooling2D()], (9, 10, 3), 0),
    "nothing to pool": ([layers.Conv2D(5, 3, activation="relu"), layers.Flatten()], (9, 10, 3), 0),
    "convolution last": ([layers.Conv2D(5, 3, activation="relu")], (9, 10, 3), 0),
}  # fmt: skip


def gradients(run, model, x):
    for weight in model.weights:
        weight.grad = None
    inputs = tensor.Tensor(x, requires_grad=True)
    y = run(inputs)
    (y * y).sum().backward()
    return y.data, inputs.grad, [weight.grad for weight in model.weights]


@pytest.mark.parametrize("name", STACKS)
def test_values_and_gradients_are_those_of_the_layers(name, exact):
    stack, shape, fused = STACKS[name]
    stack = [type(layer).from_config(layer.get_config()) for layer in stack]
    model = models.Sequential([layers.Input(shape), *stack])
    model(np.zeros((5, *shape), np.float32))
    (entry,) = model._planner.entries.values()
    assert (entry.program.steps[0].op is ConvPool) == bool(fused)
    for weight in model.weights:
        weight.assign(normal(weight.shape, np.float32, 7))

    def one_by_one(x):
        for layer in model.layers:
            x = layer(x)
        return x

    x = normal((5, *shape), np.float32, 1)
    y, dx, weights = gradients(model, model, x)
    expected = gradients(one_by_one, model, x)
    np.testing.assert_array_equal(y, expected[0])
    for own, other in zip([dx, *weights], [expected[1], *expected[2]]):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def test_ties_give_their_gradient_to_the_first(exact):
    model = models.Sequential([layers.Input((4, 4, 1)), layers.Conv2D(1, 1, activation="relu"), layers.MaxPooling2D()])
    model.set_weights([np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)])
    _, dx, _ = gradients(model, model, np.ones((1, 4, 4, 1), np.float32))
    assert (dx[0, ::2, ::2] == 2).all() and dx.sum() == 8


def test_the_map_between_is_there_for_who_asks(monkeypatch):
    calls = []
    forward = ConvPool.forward
    monkeypatch.setattr(ConvPool, "forward", lambda self, *a, **k: calls.append(1) or forward(self, *a, **k))
    model = models.Sequential([layers.Input((9, 9, 1)), layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D()])
    x = normal((2, 9, 9, 1), np.float32)
    model(x)
    assert calls == [1] and model.layers[0](x).shape == (2, 7, 7, 3)
    conv = model.layers[0]
    conv.call = lambda inputs: ops.relu(type(conv).call(conv, inputs)) * 2.0
    np.testing.assert_allclose(model(x).data, 2 * ops.max_pool(model.layers[0].activation(
        ops.conv(x, conv.kernel, bias=conv.bias)), 2).data, rtol=1e-6)  # fmt: skip
    assert calls == [1]


def test_errors_are_those_of_the_layers():
    model = models.Sequential([layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(5)])
    with pytest.raises(ValueError, match=r"Layer 'max_pooling2d\w*' \(MaxPooling2D\) cannot take the input shape"):
        model(np.zeros((2, 6, 6, 1), np.float32))
    with pytest.raises(ValueError, match="Conv2D expects"):
        models.Sequential([layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D()])(
            np.zeros((2, 6, 6), np.float32)
        )


def norm(x, state, training=True):
    gamma, beta, mean, variance = state
    return ops.batch_norm(x, gamma, beta, mean, variance, 0.9, 1e-3, training)


K = tensor.Parameter(normal((3, 3, 8, 8), np.float64, 5))

GRAPHS = {  # name: (function of x, z and two sets of a batch normalization's weights, the Ops that run)
    "norm, relu": (lambda x, z, a, b: ops.relu(norm(x, a)), ["BatchNormAct"]),
    "norm, add": (lambda x, z, a, b: norm(x, a) + z, ["BatchNormAct"]),
    "norm, add, relu": (lambda x, z, a, b: ops.relu(norm(x, a) + z), ["BatchNormAct"]),
    "the other way round": (lambda x, z, a, b: ops.relu(z + norm(x, a)), ["BatchNormAct"]),
    "norm, relu6": (lambda x, z, a, b: ops.clipped_relu(norm(x, a), 0.7), ["BatchNormAct"]),
    "norm, add, relu6": (lambda x, z, a, b: ops.clipped_relu(norm(x, a) + z, 0.7), ["BatchNormAct"]),
    "conv, relu6": (lambda x, z, a, b: ops.clipped_relu(ops.conv(x, K, padding="same"), 2.0), ["ConvRelu"]),
    "inference, relu6": (lambda x, z, a, b: ops.clipped_relu(norm(x, a, False), 0.7), ["BatchNormInferenceAct"]),
    "a bound below 0": (lambda x, z, a, b: ops.clipped_relu(norm(x, a), -1.0), ["BatchNorm", "ClippedRelu"]),
    "conv, norm, relu": (lambda x, z, a, b: ops.relu(norm(ops.conv(x, K), a)), ["Conv", "BatchNormAct"]),
    "conv, relu": (lambda x, z, a, b: ops.relu(ops.conv(x, K, padding="same")), ["ConvRelu"]),
    "inference": (lambda x, z, a, b: ops.relu(norm(x, a, False) + z), ["BatchNormInferenceAct"]),
    "inference, relu": (lambda x, z, a, b: ops.relu(norm(x, a, False)), ["BatchNormInferenceAct"]),
    "two norms meet": (lambda x, z, a, b: ops.relu(norm(x, a) + norm(z, b)), ["BatchNorm", "BatchNormAct"]),
    "statistics of both": (lambda x, z, a, b: ops.relu(norm(x, a) + norm(z, a)), ["BatchNorm", "BatchNormAct"]),
    "statistics before they change": (
        lambda x, z, a, b: ops.relu(norm(x, a, False) + norm(z, a)),
        ["BatchNormInference", "BatchNormAct"],
    ),
    "add, relu": (lambda x, z, a, b: ops.relu(x * 2.0 + z), ["Multiply", "AddRelu"]),
    "a sum that broadcasts": (lambda x, z, a, b: ops.relu(norm(x, a) + z[:1]), ["BatchNorm", "GetItem", "Add", "Relu"]),
    "a map that is read twice": (
        lambda x, z, a, b: norm(x, a) * ops.relu(norm(x, a)),
        ["BatchNorm", "BatchNormAct", "Multiply"],
    ),
    "a sum with itself": (lambda x, z, a, b: (lambda y: ops.relu(y + y))(norm(x, a)), ["BatchNorm", "AddRelu"]),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_patterns_of_ops(name, monkeypatch):
    function, expected = GRAPHS[name]
    x, z = (tensor.Parameter(normal((4, 5, 6, 8), np.float64, i)) for i in range(2))
    states = [
        [tensor.Parameter(np.abs(normal((8,), np.float64, i)) + 0.5, trainable=i < 2) for i in range(4)] for _ in "ab"
    ]
    weights = [x, z, *[w for state in states for w in state[:2]]]
    fixed = [w for state in states for w in state[2:]]
    before = [w.numpy() for w in fixed]

    def run(patterns):
        monkeypatch.setattr(fusion, "PATTERNS", patterns)
        for weight, values in zip(fixed, before):
            weight.assign(values)
        program = Program(lambda: [function(x, z, *states)], [], weights)
        dy = normal(program.shapes[program.outputs[0]], np.float64, 9)
        outputs, gradients = program.run([], dy)
        recording = Recording(program, [], dy)
        for weight, values in zip(fixed, before):
            weight.assign(values)
        found = [np.empty_like(array) for array in outputs]
        recording.replay([], found)
        for one, other in zip([*outputs, *gradients], [*found, *recording.gradients]):
            np.testing.assert_array_equal(one, other)
        return program, [*outputs, *gradients, *[w.numpy() for w in fixed]]

    (fused, ours), (_, plain) = run(fusion.PATTERNS), run(())
    assert [step.op.__name__ for step in fused.steps] == expected
    for one, other in zip(ours, plain):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("end", ["", "relu", "relu6", "silu", "leaky_relu", "add", "add, relu", "add, relu6"])
def test_a_norm_that_nobody_trains_is_folded_into_the_convolution(rank, bias, end):
    x = normal((2, *(9, 8, 7)[:rank], 16), np.float32, 1)
    kernel, offset = (
        tensor.Parameter(normal((*(3,) * rank, 16, 24), np.float32, 2)),
        tensor.Parameter(normal((24,), np.float32, 3)),
    )
    state = [tensor.Parameter(np.abs(normal((24,), np.float32, i)) + 0.5) for i in range(4)]
    added = normal((2, *(7, 6, 5)[:rank], 24), np.float32, 4)

    def function(inputs):
        y = norm(ops.conv(inputs, kernel, bias=offset if bias else None), state, training=False)
        y = y + added if "add" in end else y
        last = end.split(", ")[-1]
        return [y if last in ("", "add") else getattr(ops, last)(y)]

    symbol = KerasTensor(x.shape, x.dtype)
    program = Program(function, [symbol])
    assert [step.op.__name__ for step in program.steps] == ["ConvNorm"]
    assert "ConvNorm" not in [step.op.__name__ for step in Program(function, [symbol], taped=True).steps]
    assert "ConvNorm" not in [step.op.__name__ for step in Program(function, [symbol], state[:1]).steps]
    for _ in range(2):
        (ours,), _ = program.run([x])
        with tensor.no_grad():
            expected = function(tensor.Tensor(x))[0].data
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        state[2].assign(state[2].numpy() * 2)  # what was folded is folded anew


def test_a_norm_is_folded_into_a_depthwise_convolution():
    x, state = (
        normal((2, 9, 8, 6), np.float32, 1),
        [tensor.Parameter(np.abs(normal((12,), np.float32, i)) + 0.5) for i in range(4)],
    )
    kernel = tensor.Parameter(normal((3, 3, 6, 2), np.float32, 2))

    def function(inputs):
        return [ops.relu(norm(ops.depthwise_conv(inputs, kernel, strides=2, padding="same"), state, training=False))]

    program = Program(function, [KerasTensor(x.shape, x.dtype)])
    assert [step.op.__name__ for step in program.steps] == ["DepthwiseConvNorm"]
    with tensor.no_grad():
        expected = function(tensor.Tensor(x))[0].data
    np.testing.assert_allclose(program.run([x])[0][0], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_a_function_runs_with_the_convolution_that_nobody_trains():
    x = normal((2, 9, 8, 6), np.float32, 1)
    kernel, bias = tensor.Parameter(normal((3, 3, 6, 5), np.float32, 2)), tensor.Parameter(normal((5,), np.float32, 3))

    def function(inputs):
        return [ops.elu(ops.conv(inputs, kernel, bias=bias), 0.5)]

    symbol = KerasTensor(x.shape, x.dtype)
    program = Program(function, [symbol])
    assert [step.op.__name__ for step in program.steps] == ["ConvMap"]
    assert "ConvMap" not in [step.op.__name__ for step in Program(function, [symbol], [kernel]).steps]
    with tensor.no_grad():
        np.testing.assert_array_equal(program.run([x])[0][0], function(tensor.Tensor(x))[0].data)


def test_what_else_reads_a_map_or_takes_it_out_keeps_it():
    x = tensor.Parameter(normal((2, 5, 6, 8), np.float64, 1))
    state = [tensor.Parameter(np.abs(normal((8,), np.float64, i)) + 0.5) for i in range(4)]

    def read_twice():
        y = norm(x, state)
        return [y * ops.relu(y)]

    def taken_out():
        y = norm(x, state)
        return [y, ops.relu(y)]

    for function, expected in ((read_twice, ["BatchNorm", "Relu", "Multiply"]), (taken_out, ["BatchNorm", "Relu"])):
        assert [step.op.__name__ for step in Program(function, [], [x]).steps] == expected


def test_what_is_kept_of_a_weight_stays_where_recorded_runs_point():
    packs = kernels.Packs()
    packs.keep("form", "first", 8)
    packs.keep("form", "second", 8)
    assert packs.get("form") == "first"
    with kernels.Plan():
        packs.keep("another form", "in the plan's memory", 8)
    assert packs.get("another form") is None
