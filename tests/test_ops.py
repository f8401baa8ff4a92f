"""Every op against NumPy and against finite differences, from one table; what all ops promise about their inputs."""

import math

import numpy as np
import pytest
from helpers_ops import (
    DTYPES,
    Row,
    check_grad,
    check_layouts,
    check_nan,
    check_op,
    check_planned,
    check_shapes,
    inputs_of,
    values,
)

import fastconv
from fastconv import Tensor, layers, ops
from fastconv.ops.elementwise import Add
from fastconv.ops.linear import dense_over
from fastconv.ops.reductions import Max, Sum


def np_softmax(x, axis=-1):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def np_sparsemax(x, axis=-1):
    """By bisection: max(x - t, 0) sums to 1 for one t."""
    low, high = x.max(axis, keepdims=True) - 1, x.max(axis, keepdims=True)
    for _ in range(60):
        t = (low + high) / 2
        over = np.maximum(x - t, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(over, t, low), np.where(over, high, t)
    return np.maximum(x - t, 0)


def np_norm(x, axis, gamma=1, beta=0, epsilon=1e-3, mean=None, variance=None):
    mean = x.mean(axis, keepdims=True) if mean is None else mean
    variance = x.var(axis, keepdims=True) if variance is None else variance
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def np_groups(x, gamma, beta, groups):
    runs = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    return np_norm(runs, (1, 3)).reshape(x.shape) * gamma + beta


def np_rms(x, axis=-1, scale=1, epsilon=1e-7):
    return x / np.sqrt((x * x).mean(axis, keepdims=True) + epsilon) * scale


def batch_norm(x, gamma=None, beta=None, training=True):
    return ops.batch_norm(x, gamma, beta, *np.full((2, 3), 0.5, x.dtype), 0.9, 1e-3, training)


def np_length(x, order, axis=-1):
    return (np.abs(x) ** order).sum(axis, keepdims=True) ** (1 / order)


def np_sigmoid(x):
    return 1 / (1 + np.exp(-x))


erf = np.vectorize(math.erf)
INDEX = np.array([[0, 2], [2, 2]])
MASK = np.array([True, False, True])

ROWS = [
    Row("add", ops.add, np.add, ((3, 4), (3, 4))),
    Row("add_broadcast", ops.add, np.add, ((3, 1), (2, 1, 4))),
    Row("subtract", ops.subtract, np.subtract, ((3, 4), (4,))),
    Row("subtract_scalar", ops.subtract, np.subtract, ((), (2, 3))),
    Row("multiply", ops.multiply, np.multiply, ((3, 4), (3, 1))),
    Row("divide", ops.divide, np.divide, ((2, 3), (2, 1))),
    Row("power", ops.power, np.power, ((2, 3), (3,)), positive=True),
    Row("power_number", lambda x: x**3, lambda x: x**3, ((2, 3),)),
    Row("number_power", lambda x: 2**x, lambda x: 2**x, ((2, 3),)),
    Row("number_divide", lambda x: 2 / x - 1, lambda x: 2 / x - 1, ((2, 3),)),
    Row("maximum", ops.maximum, np.maximum, ((3, 4), (4,))),
    Row("minimum", ops.minimum, np.minimum, ((3, 4), (3, 1))),
    Row("negative", ops.negative, np.negative, ((3,),)),
    Row("abs", ops.abs, np.abs, ((3, 4),)),
    Row("square", ops.square, np.square, ((3, 4),)),
    Row("square_scalar", ops.square, np.square, ((),)),
    Row("sqrt", ops.sqrt, np.sqrt, ((3, 4),), positive=True),
    Row("exp", ops.exp, np.exp, ((3, 4),)),
    Row("log", ops.log, np.log, ((3, 4),), positive=True),
    Row("rsqrt", ops.rsqrt, lambda x: 1 / np.sqrt(x), ((3, 4),), positive=True),
    Row("reciprocal", ops.reciprocal, lambda x: 1 / x, ((3, 4),)),
    Row("erf", ops.erf, erf, ((3, 4),)),
    Row("number_add", lambda x: 2 + x, lambda x: 2 + x, ((3, 4),)),
    Row("number_subtract", lambda x: 2 - x, lambda x: 2 - x, ((3, 4),)),
    Row("number_multiply", lambda x: x * 3, lambda x: x * 3, ((3, 4),)),
    Row("divide_number", lambda x: x / 3, lambda x: x / 3, ((3, 4),)),
    Row("number_maximum", lambda x: ops.maximum(0.2, x), lambda x: np.maximum(0.2, x), ((3, 4),)),
    Row("minimum_number", lambda x: ops.minimum(x, 0.2), lambda x: np.minimum(x, 0.2), ((3, 4),)),
    Row("square_power", lambda x: x**2, np.square, ((3, 4),)),
    Row("multiply_channels", ops.multiply, np.multiply, ((2, 3, 3, 5), (2, 1, 1, 5))),
    Row("multiply_bias", ops.multiply, np.multiply, ((5,), (2, 3, 5))),
    Row("divide_channels", ops.divide, np.divide, ((2, 1, 1, 5), (2, 3, 3, 5))),
    Row("divide_by_bias", ops.divide, np.divide, ((2, 3, 5), (5,))),
    Row("subtract_channels", ops.subtract, np.subtract, ((2, 3, 3, 5), (2, 1, 3, 1))),
    Row("minimum_both", ops.minimum, np.minimum, ((3, 1), (1, 4))),
    Row("clip", lambda x: ops.clip(x, -0.9, 0.9), lambda x: np.clip(x, -0.9, 0.9), ((3, 4),)),
    Row("relu", ops.relu, lambda x: np.maximum(x, 0), ((3, 4),)),
    Row("relu6", lambda x: ops.relu6(7 * x), lambda x: np.clip(7 * x, 0, 6), ((3, 4),)),
    Row("leaky_relu", ops.leaky_relu, lambda x: np.where(x > 0, x, 0.2 * x), ((3, 4),)),
    Row("leaky_relu_down", lambda x: ops.leaky_relu(x, -0.5), lambda x: np.where(x > 0, x, -0.5 * x), ((3, 4),)),
    Row("elu_down", lambda x: ops.elu(x, -0.5), lambda x: np.where(x > 0, x, -0.5 * np.expm1(x)), ((3, 4),)),
    Row(
        "selu", ops.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)), ((3, 4),)
    ),
    Row("softplus", ops.softplus, lambda x: np.log1p(np.exp(x)), ((3, 4),)),
    Row("softsign", ops.softsign, lambda x: x / (1 + np.abs(x)), ((3, 4),)),
    Row("silu", ops.swish, lambda x: x * np_sigmoid(x), ((3, 4),)),
    Row("gelu", lambda x: ops.gelu(x, False), lambda x: x * (1 + erf(x / np.sqrt(2))) / 2, ((3, 4),)),
    Row("gelu_tanh", ops.gelu, lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2, ((3, 4),)),
    Row("hard_sigmoid", lambda x: ops.hard_sigmoid(3 * x), lambda x: np.clip(x / 2 + 0.5, 0, 1), ((3, 4),)),
    Row("hard_silu", lambda x: ops.hard_swish(3 * x), lambda x: 3 * x * np.clip(x / 2 + 0.5, 0, 1), ((3, 4),)),
    Row("mish", ops.mish, lambda x: x * np.tanh(np.log1p(np.exp(x))), ((3, 4),)),
    Row("log_sigmoid", ops.log_sigmoid, lambda x: np.log(np_sigmoid(x)), ((3, 4),)),
    Row("hard_tanh", ops.hard_tanh, lambda x: np.clip(x, -1, 1), ((3, 5),)),
    Row("tanh_shrink", ops.tanh_shrink, lambda x: x - np.tanh(x), ((3, 4),)),
    Row("elu", lambda x: ops.elu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)), ((3, 4),)),
    Row("elu_scalar", ops.elu, lambda x: np.where(x > 0, x, np.expm1(x)), ((),)),
    Row("sigmoid", ops.sigmoid, np_sigmoid, ((3, 4),)),
    Row("sigmoid_scalar", ops.sigmoid, np_sigmoid, ((),)),
    Row("tanh", ops.tanh, np.tanh, ((3, 4),)),
    Row("tanh_scalar", ops.tanh, np.tanh, ((),)),
    Row("softmax", ops.softmax, np_softmax, ((2, 3, 4),)),
    Row("softmax_axis", lambda x: ops.softmax(x, axis=1), lambda x: np_softmax(x, 1), ((2, 3, 4),)),
    Row("log_softmax", ops.log_softmax, lambda x: np.log(np_softmax(x)), ((3, 4),)),
    Row("log_softmax_axis", lambda x: ops.log_softmax(x, 0), lambda x: np.log(np_softmax(x, 0)), ((3, 4),)),
    Row("erf", ops.erf, np.vectorize(math.erf), ((3, 4),)),
    Row("threshold", lambda x: ops.threshold(x, 1.1, -2), lambda x: np.where(x <= 1.1, -2, x), ((3, 4),)),
    Row("hard_shrink", lambda x: ops.hard_shrink(x, 2), lambda x: np.where(abs(x) <= 2, 0, x), ((3, 4),)),
    Row("soft_shrink", lambda x: ops.soft_shrink(x, 2), lambda x: np.sign(x) * np.maximum(abs(x) - 2, 0), ((3, 4),)),
    Row("celu", lambda x: ops.celu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x / 0.7)), ((3, 4),)),
    Row("glu", ops.glu, lambda x: x[..., :2] / (1 + np.exp(-x[..., 2:])), ((3, 4),)),
    Row("glu_axis", lambda x: ops.glu(x, 1), lambda x: x[:, :1] / (1 + np.exp(-x[:, 1:])), ((3, 2, 4),)),
    Row(
        "sparse_plus", ops.sparse_plus, lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)), ((3, 4),)
    ),
    Row("sparse_sigmoid", ops.sparse_sigmoid, lambda x: np.clip((x + 1) / 2, 0, 1), ((3, 4),)),
    Row("sparsemax", lambda x: ops.sparsemax(x * 0.2), lambda x: np_sparsemax(x * 0.2), ((5, 4),)),
    Row("sparsemax_axis", lambda x: ops.sparsemax(x * 0.1, 1), lambda x: np_sparsemax(x * 0.1, 1), ((2, 5, 3),)),
    Row("squareplus", ops.squareplus, lambda x: (x + np.sqrt(x * x + 4)) / 2, ((3, 4),)),
    Row("sum", ops.sum, np.sum, ((3, 4),)),
    Row("sum_axis", lambda x: ops.sum(x, axis=(0, -1)), lambda x: x.sum((0, -1)), ((2, 3, 4),)),
    Row("sum_keepdims", lambda x: ops.sum(x, 1, True), lambda x: x.sum(1, keepdims=True), ((2, 3, 4),)),
    Row("mean", ops.mean, np.mean, ((3, 4),)),
    Row("mean_axis", lambda x: x.mean(axis=1), lambda x: x.mean(1), ((2, 3, 4),)),
    Row("var", ops.var, np.var, ((3, 4),)),
    Row("var_axis", lambda x: x.var(axis=(0, 2)), lambda x: x.var((0, 2)), ((2, 3, 4),)),
    Row("std_keepdims", lambda x: ops.std(x, 1, True), lambda x: x.std(1, keepdims=True), ((3, 4),)),
    Row("max", ops.max, np.max, ((3, 4),)),
    Row("max_axis", lambda x: x.max(axis=0), lambda x: x.max(0), ((3, 4),)),
    Row("min_keepdims", lambda x: x.min(1, keepdims=True), lambda x: x.min(1, keepdims=True), ((3, 4),)),
    Row("reshape", lambda x: ops.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), ((2, 6),)),
    Row("flatten", lambda x: x.flatten(), np.ravel, ((2, 3),)),
    Row("transpose", ops.transpose, np.transpose, ((2, 3, 4),)),
    Row("transpose_axes", lambda x: x.transpose(1, -1, 0), lambda x: x.transpose(1, 2, 0), ((2, 3, 4),)),
    Row("index_row", lambda x: x[0], lambda x: x[0], ((3, 4),)),
    Row("index_slices", lambda x: x[::-2, None, ..., 1], lambda x: x[::-2, None, ..., 1], ((3, 2, 4),)),
    Row("index_array", lambda x: x[INDEX], lambda x: x[INDEX], ((3, 4),)),
    Row("index_mask", lambda x: x[MASK, 1:], lambda x: x[MASK, 1:], ((3, 4),)),
    Row("matmul", ops.matmul, np.matmul, ((3, 4), (4, 2))),
    Row("matmul_vector", ops.matmul, np.matmul, ((2, 3, 4), (4,))),
    Row("vector_matmul", ops.matmul, np.matmul, ((4,), (2, 4, 3))),
    Row("vector_vector", ops.matmul, np.matmul, ((4,), (4,))),
    Row("matmul_stack", ops.matmul, np.matmul, ((2, 3, 4), (4, 5))),
    Row("matmul_stacks", ops.matmul, np.matmul, ((2, 1, 3, 4), (5, 4, 2))),
    Row("dense", ops.dense, lambda x, w, b: x @ w + b, ((2, 3, 4), (4, 5), (5,))),
    Row(
        "dense_over",
        lambda x, w, b: dense_over(x, w, b, 2),
        lambda x, w, b: np.tensordot(x, w, 2) + b,
        ((2, 3, 4, 5), (4, 5, 2, 3), (2, 3)),
    ),
    Row(
        "dense_over_one",
        lambda x, w: dense_over(x, w, None, 1),
        lambda x, w: np.tensordot(x, w, 1),
        ((3, 4), (4, 2, 3)),
    ),
    Row("dense_no_bias", ops.dense, np.matmul, ((3, 4), (4, 5))),
    Row("batch_norm", batch_norm, lambda x, g, b: np_norm(x, (0, 1), g, b), ((4, 2, 3), (3,), (3,))),
    Row("batch_norm_plain", batch_norm, lambda x: np_norm(x, 0), ((5, 3),)),
    Row(
        "batch_norm_inference",
        lambda *a: batch_norm(*a, training=False),
        lambda x, g, b: np_norm(x, 0, g, b, mean=0.5, variance=0.5),
        ((2, 3), (3,), (3,)),
    ),
    Row(
        "batch_normalization",
        lambda x, m, v, b, g: ops.batch_normalization(x, m, v, -1, b, g),
        lambda x, m, v, b, g: np_norm(x, 0, g, b, mean=m, variance=v),
        ((2, 2, 3),) + ((3,),) * 4,
        positive=True,
    ),
    Row(
        "batch_normalization_axis",
        lambda x, m, v: ops.batch_normalization(x, m, v, 1, epsilon=0.1),
        lambda x, m, v: np_norm(x, 0, epsilon=0.1, mean=m[:, None], variance=v[:, None]),
        ((2, 3, 4), (3,), (3,)),
        positive=True,
    ),
    Row(
        "group_norm",
        lambda x, g, b: ops.group_norm(x, g, b, 2, 1e-3),
        lambda x, g, b: np_groups(x, g, b, 2),
        ((3, 2, 2, 6), (6,), (6,)),
    ),
    Row(
        "layer_norm",
        lambda x, g, b: ops.layer_norm(x, g, b, 1e-3),
        lambda x, g, b: np_norm(x, -1, g, b),
        ((2, 3, 5), (5,), (5,)),
    ),
    Row(
        "layer_norm_axes",
        lambda x, g: ops.layer_norm(x, g, None, 1e-3, 2),
        lambda x, g: np_norm(x, (1, 2), g),
        ((2, 3, 5), (3, 5)),
    ),
    Row(
        "layer_normalization",
        lambda x, g, b: ops.layer_normalization(x, g, b),
        lambda x, g, b: np_norm(x, -1, g, b, 1e-7),
        ((3, 4), (4,), (4,)),
    ),
    Row(
        "layer_normalization_axes",
        lambda x, g, b: ops.layer_normalization(x, g, b, (2, 0), 0.1),
        lambda x, g, b: np_norm(x, (0, 2), g[:, None], b[:, None], 0.1),
        ((3, 2, 4), (3, 4), (3, 4)),
    ),
    Row(
        "layer_normalization_broadcast",
        lambda x, g, b: ops.layer_normalization(x, g, b, 0),
        lambda x, g, b: np_norm(x, 0, g, b[:, None], 1e-7),
        ((3, 4), (1, 4), (3,)),
    ),
    Row(
        "rms_normalization",
        lambda x, s: ops.rms_normalization(x, s, (1, 2)),
        lambda x, s: np_rms(x, (1, 2), s),
        ((3, 2, 4), (2, 4)),
    ),
    Row(
        "rms_normalization_axis",
        lambda x, s: ops.rms_normalization(x, s, 0, 0.1),
        lambda x, s: np_rms(x, 0, s, 0.1),
        ((3, 4), (4,)),
    ),
    Row("rms_normalization_scalar", ops.rms_normalization, lambda x: np_rms(x[None]), ((),)),
    Row("normalize", ops.normalize, lambda x: x / np_length(x, 2), ((3, 4),)),
    Row("normalize_1", lambda x: ops.normalize(x, 0, 1), lambda x: x / np_length(x, 1, 0), ((3, 4),)),
    Row("normalize_3", lambda x: ops.normalize(x, 1, 3), lambda x: x / np_length(x, 3), ((3, 4),)),
    Row("moments_mean", lambda x: ops.moments(x, (0, 1))[0], lambda x: x.mean((0, 1)), ((3, 4, 2),)),
    Row("moments_variance", lambda x: ops.moments(x, [0], True)[1], lambda x: x.var(0, keepdims=True), ((3, 4),)),
    Row("dropout", lambda x: ops.dropout(x, 0.0), lambda x: x, ((3, 4),)),
    Row("shared_input", lambda x: x * x + x, lambda x: x * x + x, ((3, 4),)),
]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@each_row
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(row, dtype):
    check_op(row, dtype)


@each_row
def test_gradient(row):
    check_grad(row)


# Elementwise, activations and reductions, but for those that transpose.
FIRST, LAST = (next(i for i, row in enumerate(ROWS) if row.name == name) for name in ("add", "min_keepdims"))
FAMILIES = [row for row in ROWS[FIRST : LAST + 1] if "softmax_axis" not in row.name]
EAGER = {"power", "number_power", "sparsemax", "sparsemax_axis"}  # NumPy computes


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row.name)
def test_shapes_without_data(row, monkeypatch):
    check_shapes(row, monkeypatch)


@pytest.mark.parametrize("row", [row for row in FAMILIES if row.name not in EAGER], ids=lambda row: row.name)
def test_runs_of_kernels_alone(row):
    others = [np.roll(value.reshape(-1), 1).reshape(value.shape) * 1.25 for value in inputs_of(row)]
    check_planned(row.op, inputs_of(row), others)


def test_shapes_and_results_refuse_the_same():
    x = Tensor(np.zeros((2, 0), "float32"))
    for shape, call in [(lambda: Max.shape((2, 0), axis=1, keepdims=False), lambda: ops.max(x, 1)),
                        (lambda: Sum.shape((2, 0), axis=2, keepdims=False), lambda: ops.sum(x, 2)),
                        (lambda: Add.shape((2, None), (3, 1)), lambda: x + np.zeros((3, 1), "float32"))]:  # fmt: skip
        for attempt in (shape, call):
            with pytest.raises(ValueError, match="no elements|between -2 and 1|cannot be broadcast together"):
                attempt()
    assert ops.max(x, 0).shape == Max.shape((2, 0), axis=0, keepdims=False) == (0,)
    assert Add.shape((None, 3), (3,)) == Add.shape((None, 3), (1, 1)) == (None, 3) and Add.shape((None,), (4,)) == (4,)


@each_row
def test_layouts(row):
    check_layouts(row)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.name.startswith("index")], ids=lambda row: row.name)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nan_reaches_the_output(row):
    check_nan(row)


@pytest.mark.parametrize("op", [ops.relu, ops.sigmoid, ops.softmax, ops.exp, ops.square, ops.tanh, ops.elu])
def test_batch_of_zero(op):
    x = Tensor(np.zeros((0, 3), "float32"), requires_grad=True)
    op(x).sum().backward()
    assert op(x).shape == x.grad.shape == (0, 3)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name.startswith(("matmul", "dense"))], ids=lambda row: row.name
)
def test_products_are_planned(row):
    others = [values(*shape, seed=5 + i) for i, shape in enumerate(row.shapes)]
    check_planned(lambda *x: row.op(*map(ops.relu, x)), inputs_of(row), others)


def test_matmul_of_an_empty_stack():
    a, b = Tensor(np.zeros((0, 2, 3)), True), Tensor(np.zeros((0, 3, 4)), True)
    (a @ b).sum().backward()
    assert (a @ b).shape == (0, 2, 4) and a.grad.shape == (0, 2, 3) and b.grad.shape == (0, 3, 4)


def test_big_results_equal_numpy():
    x, y = values(300, 400, dtype="float32"), values(400, dtype="float32")
    np.testing.assert_array_equal((Tensor(x) * y - x).data, x * y - x)


# ------------------------------------------------------------------------------------------- slopes at special points


@pytest.mark.parametrize("op", [ops.maximum, ops.minimum])
def test_ties_share_the_gradient(op):
    a, b = Tensor([1.0, 2.0], True), Tensor([1.0, 2.0], True)
    op(a, b).sum().backward()
    np.testing.assert_array_equal([a.grad, b.grad], np.full((2, 2), 0.5))


def test_max_shares_the_gradient_of_ties():
    x = Tensor([3.0, 1.0, 3.0], True)
    x.max().backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0, 0.5])


def test_power_is_flat_at_exponent_zero():
    x, y = Tensor([0.0, 2.0], True), Tensor([0.0, 0.0], True)
    (x**y).sum().backward()
    np.testing.assert_allclose(x.grad, [0, 0])
    np.testing.assert_allclose(y.grad, [0, np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("op", [ops.sigmoid, ops.tanh, ops.softmax, ops.log_softmax])
def test_extreme_inputs_do_not_overflow(op):
    x = Tensor([-1e4, 0.0, 1e4], True)
    op(x).sum().backward()
    assert np.isfinite(op(x).data).all() and np.isfinite(x.grad).all()


# ------------------------------------------------------------------------------------------------- dtypes and arguments


def test_numbers_and_lists_are_weak():
    for dtype in DTYPES:
        t = Tensor(np.ones(2, dtype))
        for result in (t * 2, 2.5 - t, t / np.float64(3), np.float64(2) * t, t + [1, 2], t ** np.int64(2)):
            assert isinstance(result, Tensor) and result.dtype == dtype


def test_arrays_mix_with_tensors_on_both_sides():
    t, array = Tensor(np.ones((2, 2))), np.full((2, 2), 3.0)
    for result, expected in ((array - t, 2), (t - array, -2), (array / t, 3), (array @ t, 6), (array**t, 3)):
        assert isinstance(result, Tensor) and (result.data == expected).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: t + np.ones(2, "float64"), "float32 and float64.*astype"),
        (lambda t: t + Tensor(np.ones(2)), "float32 and float64.*astype"),
        (lambda t: t + np.ones(2, "float16"), "Add works on float32 or float64; got float16.*astype"),
        (lambda t: t + np.array([1, None]), "got object"),
        (lambda t: t + "a", "got <U1"),
        (lambda t: ops.exp(np.ones(2, "float16")), "got float16"),
        (lambda t: ops.max_pool(None, 2), "MaxPool needs an array or a number; got None"),
        (lambda t: ops.conv(None, np.ones((3, 1, 1), "float32")), "Conv needs an array or a number; got None"),
        (lambda t: ops.matmul(None, t), "got None"),
        (lambda t: ops.conv_transpose(ops.reshape(t, (1, 2, 1)), None), "ConvTranspose needs a kernel; got None"),
        (lambda t: ops.cast(t, "float16"), "'float32' or 'float64'.*got 'float16'"),
        (lambda t: ops.convert_to_tensor(["a"]), "got <U1"),
        (lambda t: ops.one_hot([0.5], 2), "x must hold integer class numbers; got float32"),
    ],
)
def test_wrong_dtypes_raise(call, message):
    with pytest.raises(TypeError, match=message):
        call(Tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: t.sum(axis=2), "axis must be between -2 and 1.*got 2"),
        (lambda t: t.sum(axis=(0, -2)), "axis twice"),
        (lambda t: t.reshape(4, 2), "reshape"),
        (lambda t: t + np.ones(4, "float32"), r"\(2,3\) \(4,\)"),
        (lambda t: t @ t, r"matmul: \(2, 3\) @ \(2, 3\)"),
        (lambda t: t @ 2.0, "scalar"),
        (lambda t: dense_over(t, np.ones((2, 2, 4), "float32"), None, 2), "last 2 axes must be the kernel"),
        (lambda t: ops.clip(t, 1, 0), "x_min must not be greater"),
        (lambda t: ops.dropout(t, 1.1), "rate must be from 0 to 1; got 1.1"),
        (lambda t: ops.softmax(t, axis=5), "axis must be"),
        (lambda t: ops.glu(t), r"even; got shape \(2, 3\)"),
        (lambda t: ops.celu(t, 0), "alpha must be greater than 0"),
        (lambda t: ops.hard_shrink(t, -1), "threshold must be at least 0"),
    ],
)
def test_wrong_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call(Tensor(np.ones((2, 3), "float32")))


HIDDEN = np.ma.array([1.0, 2.0], "float32", mask=[False, True])


@pytest.mark.parametrize("call", [
    ops.exp, ops.convert_to_tensor, Tensor, lambda x: Tensor([1.0, 2.0]) + x, lambda x: ops.add(x, 1), ops.isnan,
    lambda x: ops.less(x, 1), lambda x: layers.ReLU()(x[None]),
])  # fmt: skip
def test_masked_arrays_are_refused_where_they_hide_something(call):
    with pytest.raises(TypeError, match=r"hides elements.*x\.filled\(0\)"):
        call(HIDDEN)
    call(np.ma.array([1.0, 2.0], "float32"))


def test_cast_brings_the_gradient_back_in_its_own_dtype():
    t = Tensor([1.0, 2.0], True)
    (t.astype("float64") * np.array([3.0, 4.0])).sum().backward()
    assert t.grad.dtype == "float32" and t.grad.tolist() == [3, 4]


def test_one_hot():
    np.testing.assert_array_equal(ops.one_hot([[0, 2]], 3).data, [[[1, 0, 0], [0, 0, 1]]])
    assert ops.one_hot(np.arange(4, dtype="uint8"), 5, axis=0, dtype="float64").shape == (5, 4)
    assert ops.one_hot([], 5).shape == (0, 5)


def test_convert_to_tensor_keeps_tensors():
    t = Tensor([1.0])
    assert ops.convert_to_tensor(t) is t
    assert ops.convert_to_tensor(np.arange(3), dtype="float64").dtype == "float64"


# ---------------------------------------------------------------------------------------------------------- dropout


def test_dropout_scales_what_it_keeps():
    x = Tensor(np.ones((100, 100), "float32"), True)
    y = ops.dropout(x, 0.25, seed=1)
    y.sum().backward()
    assert set(np.unique(y.data)) == {0, np.float32(1 / 0.75)} and abs(y.data.mean() - 1) < 0.05
    np.testing.assert_array_equal(x.grad, y.data)


def test_dropout_draws_from_the_shared_stream():
    def draw():
        fastconv.utils.set_random_seed(7)
        return ops.dropout(np.ones(50), 0.5).data

    np.testing.assert_array_equal(draw(), draw())


def test_all_names_the_public_ops():
    assert all(callable(getattr(ops, name)) and getattr(ops, name).__doc__ for name in ops.__all__)
