"""Normalization: moving statistics and their Parameters' versions, frozen layers, shapes without data, errors."""

import numpy as np
import pytest
from helpers_ops import values

from fastconv import Tensor, no_grad, ops
from fastconv.ops.normalization import BatchNorm, BatchNormInference, GroupNorm, LayerNorm, RMSNorm
from fastconv.tensor import Parameter


def moving(channels=3, dtype="float32"):
    return [Parameter(np.full(channels, start, dtype), trainable=False) for start in (0, 1)]


def train(x, statistics, momentum=0.9):
    return ops.batch_norm(x, None, None, *statistics, momentum, 1e-3, training=True)


@pytest.mark.parametrize("recording", [True, False])
def test_training_moves_the_statistics_as_keras_does(recording):
    """moving * momentum + batch * (1 - momentum), of the biased variance; each raises its Parameter's version."""
    x, (mean, variance) = values(4, 5, 3, dtype="float32"), moving()
    for step in (1, 2):
        if recording:
            train(Tensor(x, requires_grad=True), (mean, variance)).sum().backward()
        else:
            with no_grad():
                train(x, (mean, variance))
        assert mean.version == variance.version == step
    kept = 0.9**2
    np.testing.assert_allclose(mean.data, x.mean((0, 1)) * (1 - kept), rtol=1e-5)
    np.testing.assert_allclose(variance.data, kept + x.var((0, 1)) * (1 - kept), rtol=1e-5)
    assert mean.grad is None and variance.grad is None


def test_inference_and_failures_leave_the_statistics():
    x, statistics = values(4, 3, dtype="float32"), moving()
    ops.batch_norm(x, None, None, *statistics, 0.9, 1e-3, training=False)
    with pytest.raises(ValueError, match="at least 2 values a channel"):
        train(x[:1], statistics)
    with pytest.raises(ValueError, match="moving_variance must have one entry a channel"):
        train(x, (statistics[0], moving(4)[1]))
    assert [p.version for p in statistics] == [0, 0] and statistics[0].data.tolist() == [0, 0, 0]


def test_a_frozen_layer_passes_gradients():
    x, gamma, beta = [Tensor(values(*shape), requires_grad=True) for shape in ((4, 3), (3,), (3,))]
    y = ops.batch_norm(x, gamma, beta, *moving(dtype="float64"), 0.9, 1e-3, training=False)
    y.sum().backward()
    slope = 1 / np.sqrt(1.001)
    np.testing.assert_allclose(x.grad, np.tile(gamma.data * slope, (4, 1)))
    np.testing.assert_allclose([gamma.grad, beta.grad], [x.data.sum(0) * slope, np.full(3, 4)])


def test_normalize_of_zeros_has_a_gradient():
    for order in (1, 2, 3, 7):
        x = Tensor(np.zeros((2, 3), "float32"), requires_grad=True)
        y = ops.normalize(x, order=order)
        y.sum().backward()
        assert not y.data.any() and np.isfinite(x.grad).all()


CHANNELS = ((3,), (3,))
SHAPES = [
    (BatchNorm, ((4, 5, 3), *CHANNELS, *CHANNELS), {"momentum": 0.9, "epsilon": 1e-3}),
    (BatchNorm, ((2, 3), None, None, *CHANNELS), {"momentum": 0.9, "epsilon": 1e-3}),
    (BatchNormInference, ((1, 3), (3,), None, *CHANNELS), {"epsilon": 1e-3}),
    (GroupNorm, ((2, 7, 6), (6,), (6,)), {"groups": 2, "epsilon": 1e-3}),
    (LayerNorm, ((2, 7, 6), (7, 6), None), {"axes": 2, "epsilon": 1e-3}),
    (RMSNorm, ((2, 7, 6), (6,)), {"axes": 1, "epsilon": 1e-3}),
]
WRONG = [
    (BatchNorm, ((1, 1, 3), None, None, *CHANNELS), {"momentum": 0.9, "epsilon": 1e-3}),
    (BatchNorm, ((4, 3), (4,), None, *CHANNELS), {"momentum": 0.9, "epsilon": 1e-3}),
    (BatchNorm, ((4, 3), None, None, (3,), (3, 1)), {"momentum": 0.9, "epsilon": 1e-3}),
    (BatchNormInference, ((3,), None, None, *CHANNELS), {"epsilon": 1e-3}),
    (BatchNormInference, ((4, 3), None, None, (2,), (3,)), {"epsilon": 1e-3}),
    (GroupNorm, ((2, 7, 6), (6,), (6,)), {"groups": 4, "epsilon": 1e-3}),
    (LayerNorm, ((2, 7, 6), (7,), None), {"axes": 1, "epsilon": 1e-3}),
    (RMSNorm, ((2, 6), None), {"axes": 3, "epsilon": 1e-3}),
]


@pytest.mark.parametrize("op, shapes, attributes", SHAPES)
def test_shape_tells_the_result_without_data(op, shapes, attributes):
    arrays = [None if shape is None else values(*shape, positive=True) for shape in shapes]
    assert op.shape(*shapes, **attributes) == op.apply(*arrays, **attributes).shape
    assert op.kernels
    opened = (None, *shapes[0][1:])
    assert op.shape(opened, *shapes[1:], **attributes) == opened


@pytest.mark.parametrize("op, shapes, attributes", WRONG)
def test_shape_raises_what_forward_raises(op, shapes, attributes):
    with pytest.raises(ValueError) as told:
        op.shape(*shapes, **attributes)
    arrays = [None if shape is None else values(*shape, positive=True) for shape in shapes]
    with pytest.raises(ValueError) as raised:
        op.apply(*arrays, **attributes)
    assert str(told.value) == str(raised.value)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: train(x, moving(), momentum=1.5), "momentum must be between 0 and 1.*got 1.5"),
        (lambda x: ops.layer_norm(x, None, None, -1e-3), "epsilon must be at least 0.*got -0.001"),
        (lambda x: ops.layer_normalization(x, axis=(1, -1)), "axis names an axis twice"),
        (lambda x: ops.batch_normalization(x, x[0], x[0], 2), "axis must be between -2 and 1"),
        (lambda x: ops.normalize(x, order=0), "order must be an int of at least 1; got 0"),
        (lambda x: ops.normalize(x, order=2.0), "order must be an int"),
        (lambda x: ops.moments(x, 0, synchronized=True), "synchronized=True is for several devices"),
    ],
)
def test_wrong_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call(Tensor(values(4, 3, dtype="float32")))
