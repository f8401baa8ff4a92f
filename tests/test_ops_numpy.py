"""The ops that NumPy has too, and their neighbours: values, gradients and shapes from one table; integers and booleans
from another, with Keras' result dtypes."""

import math
import warnings

import numpy as np
import pytest
from helpers_ops import DTYPES, Row, check_grad, check_op, check_planned, check_shapes, inputs_of, values

import fastconv
from fastconv import Tensor, ops
from fastconv.graph import Graph
from fastconv.symbolic import NoValues
from fastconv.tensor import Op

X, XY, V, SQUARE = ((3, 4),), ((3, 4), (3, 4)), ((5,),), ((4, 4),)
PLACES = np.array([[2, 0, 1, 0], [1, 1, 2, 2]])
MASK = np.array([True, False, True, False])


def parts(op):
    """An op of several results, side by side as one vector."""
    return lambda *x: ops.concatenate([ops.reshape(y, -1) for y in op(*x)])


def np_parts(function):
    return lambda *x: np.concatenate([np.ravel(y) for y in function(*x)])


def definite(x):
    """A symmetric matrix with positive eigenvalues."""
    return (x @ np.swapaxes(x, -1, -2) if isinstance(x, np.ndarray) else x @ ops.swapaxes(x, -1, -2)) + 2 * np.eye(
        x.shape[-1], dtype=x.dtype
    )


def np_complex(function):
    """A NumPy transform as one of pairs."""
    return lambda a, b, **options: (lambda y: np.stack([y.real, y.imag]))(function(a + 1j * b, **options))


def np_quantile(q, method="linear"):
    return lambda x: np.quantile(x, q, axis=1, method=method)


def unary(name, scale=1.0, positive=False, shift=0.0):
    function = getattr(np, name)
    return Row(
        name, lambda x: getattr(ops, name)(x * scale + shift), lambda x: function(x * scale + shift), X, positive
    )


ROWS = [
    *[unary(name) for name in ("sin", "cos", "tan", "arctan", "sinh", "cosh", "arcsinh", "exp2", "expm1", "cbrt", "sinc")],
    *[unary(name, 0.6) for name in ("arcsin", "arccos", "arctanh")],
    *[unary(name, positive=True) for name in ("log1p", "log2", "log10")],
    *[unary(name, 3.3) for name in ("floor", "ceil", "trunc", "sign")],
    unary("arccosh", positive=True, shift=1.0),
    Row("round", lambda x: ops.round(x, 1), lambda x: np.round(x, 1), X),
    Row("erfc", ops.erfc, np.vectorize(math.erfc), X),
    Row("erfinv", lambda x: ops.erf(ops.erfinv(x * 0.6)), lambda x: x * 0.6, X),
    Row("deg2rad", ops.deg2rad, np.deg2rad, X),
    Row("rad2deg", ops.rad2deg, np.rad2deg, X),
    Row("fabs", ops.fabs, np.fabs, X),
    *[Row(name, getattr(ops, name), getattr(np, name), ((3, 4), (4,)))
      for name in ("arctan2", "hypot", "logaddexp", "logaddexp2", "fmax", "fmin", "heaviside", "floor_divide")],
    Row("mod", lambda x, y: ops.mod(x * 3.1, y), lambda x, y: np.mod(x * 3.1, y), XY),
    Row("mod_operator", lambda x: (x % 0.7) + (5.3 % x), lambda x: (x % 0.7) + (5.3 % x), X),
    Row("floor_divide_operator", lambda x: (x // 0.3) + (5 // x), lambda x: (x // 0.3) + (5 // x), X),
    Row("fmod", lambda x, y: ops.fmod(x * 3.1, y), lambda x, y: np.fmod(x * 3.1, y), XY),
    Row("divide_no_nan", ops.divide_no_nan, np.divide, XY),
    Row("where", lambda x, y: ops.where(MASK, x, y), lambda x, y: np.where(MASK, x, y), ((3, 1), (3, 4))),
    Row("where_compared", lambda x: ops.where(x > 0.7, x * x, -1), lambda x: np.where(x > 0.7, x * x, -1), X),
    Row("select", lambda x, y: ops.select([x > 1, y > 1], [x, y * y], 3), lambda x, y: np.select([x > 1, y > 1], [x, y * y], 3), XY),
    Row("nan_to_num", lambda x: ops.nan_to_num(ops.where(x > 1, np.nan, x), 7), lambda x: np.where(x > 1, 7, x), X),
    Row("clip_by_tensors", lambda x, y: ops.clip(x, y * 0 - 0.9, 0.9), lambda x, y: np.clip(x, -0.9, 0.9), XY),
    Row("prod", ops.prod, np.prod, X),
    Row("prod_axis", lambda x: ops.prod(x, (0, -1), True), lambda x: x.prod((0, 2), keepdims=True), ((2, 3, 4),)),
    Row("average", lambda x, w: ops.average(x, 1, w), lambda x, w: np.average(x, 1, w), ((3, 4), (4,)), True),
    Row("logsumexp", ops.logsumexp, lambda x: np.log(np.exp(x).sum()), X),
    Row("logsumexp_axis", lambda x: ops.logsumexp(x, -1), lambda x: np.log(np.exp(x).sum(-1)), X),
    Row("ptp", lambda x: ops.ptp(x, 1, True), lambda x: np.ptp(x, 1, keepdims=True), X),
    Row("max_initial", lambda x: ops.max(x, -1, initial=0.8), lambda x: x.max(-1, initial=0.8), X),
    Row("min_initial", lambda x: ops.min(x, 0, True, -0.8), lambda x: x.min(0, keepdims=True, initial=-0.8), X),
    Row("nansum", lambda x: ops.nansum(ops.where(MASK, x, np.nan), 1), lambda x: x[:, MASK].sum(1), X),
    Row("nanmean", lambda x: ops.nanmean(ops.where(MASK, x, np.nan), 1), lambda x: x[:, MASK].mean(1), X),
    Row("nanvar", lambda x: ops.nanvar(ops.where(MASK, x, np.nan), 1), lambda x: x[:, MASK].var(1), X),
    Row("nanmax", lambda x: ops.nanmax(ops.where(MASK, x, np.nan), 1), lambda x: x[:, MASK].max(1), X),
    Row("nanmedian", lambda x: ops.nanmedian(ops.where(MASK, x, np.nan), 1), lambda x: np.median(x[:, MASK], 1), X),
    Row("cumsum", lambda x: ops.cumsum(x, 1), lambda x: x.cumsum(1), X),
    Row("cumsum_flat", ops.cumsum, np.cumsum, X),
    Row("cumprod", lambda x: ops.cumprod(x, -2), lambda x: x.cumprod(0), X),
    Row("cumprod_of_zeros", lambda x: ops.cumprod(x * [1.0, 0.0, 1.0, 0.0], 1), lambda x: (x * [1, 0, 1, 0]).cumprod(1), X),
    Row("prod_of_a_zero", lambda x: ops.prod(x * [1.0, 0.0, 1.0, 1.0], 1), lambda x: (x * [1, 0, 1, 1]).prod(1), X),
    Row("diff", lambda x: ops.diff(x, 2), lambda x: np.diff(x, 2), X),
    Row("trapezoid", lambda y, x: ops.trapezoid(y, x), lambda y, x: ((y[:, 1:] + y[:, :-1]) * np.diff(x)).sum(1) / 2, ((3, 4), (4,))),
    Row("sort", lambda x: ops.sort(x, 0), lambda x: np.sort(x, 0), X),
    Row("sort_flat", lambda x: ops.sort(x, None), lambda x: np.sort(x, None), X),
    Row("top_k", lambda x: ops.top_k(x, 2)[0], lambda x: np.sort(x)[:, :-3:-1], X),
    Row("median", ops.median, np.median, X),
    Row("quantile", lambda x: ops.quantile(x, [0.1, 0.6], 1), np_quantile([0.1, 0.6]), X),
    *[Row(f"quantile_{method}", lambda x, m=method: ops.quantile(x, 0.4, 1, m), np_quantile(0.4, method), X)
      for method in ("lower", "higher", "midpoint", "nearest")],
    Row("percentile", lambda x: ops.percentile(x, 30, (0, 1), keepdims=True), lambda x: np.percentile(x, 30, (0, 1), keepdims=True), X),
    Row("roll", lambda x: ops.roll(x, (1, -2), (0, 1)), lambda x: np.roll(x, (1, -2), (0, 1)), X),
    Row("roll_flat", lambda x: ops.roll(x, 5), lambda x: np.roll(x, 5), X),
    Row("rot90", lambda x: ops.rot90(x, -1, (1, 2)), lambda x: np.rot90(x, -1, (1, 2)), ((2, 3, 4),)),
    Row("hstack", lambda x, y: ops.hstack([x, y]), lambda x, y: np.hstack([x, y]), ((3, 2), (3, 4))),
    Row("vstack", lambda x, y: ops.vstack([x, y]), lambda x, y: np.vstack([x, y]), ((4,), (3, 4))),
    Row("dstack", lambda x, y: ops.dstack([x, y]), lambda x, y: np.dstack([x, y]), XY),
    Row("append", ops.append, np.append, XY),
    Row("array_split", lambda x: ops.array_split(x, 3)[1], lambda x: np.array_split(x, 3)[1], V),
    Row("meshgrid", parts(lambda x, y: ops.meshgrid(x, y)), np_parts(np.meshgrid), ((3,), (2,))),
    Row("take_along", lambda x: ops.take_along_axis(x, PLACES, 0), lambda x: np.take_along_axis(x, PLACES, 0), X),
    Row("diagonal", lambda x: ops.diagonal(x, -1, 0, 2), lambda x: np.diagonal(x, -1, 0, 2), ((3, 2, 4),)),
    Row("trace", lambda x: ops.trace(x, 1), lambda x: np.trace(x, 1), X),
    *[Row(f"diag{k}", lambda x, k=k: ops.diag(x, k), lambda x, k=k: np.diag(x, k), V) for k in (-2, 0, 1)],
    Row("tril", lambda x: ops.tril(x, 1), lambda x: np.tril(x, 1), ((2, 3, 4),)),
    Row("triu", lambda x: ops.triu(x, -1), lambda x: np.triu(x, -1), X),
    Row("slice_update", lambda x, y: ops.slice_update(x, (1, 1), y),
        lambda x, y: np.concatenate([x[:1], np.concatenate([x[1:2, :1], y, x[1:2, 3:]], 1), x[2:]]), ((3, 4), (1, 2))),
    Row("scatter", lambda x: ops.scatter([[1], [1], [3]], x, (4, 2)), lambda x: np.stack([x[0] * 0, x[0] + x[1], x[0] * 0, x[2]]), ((3, 2),)),
    *[Row(f"scatter_update_{join}", lambda x, y, j=join: ops.scatter_update(x, [[2, 0]], y, j),
          lambda x, y, f=f: np.concatenate([x[:2], np.concatenate([f(x[2:, :1], y[None]), x[2:, 1:]], 1)]), ((3, 4), (1,)))
      for join, f in ((None, lambda a, b: b), ("add", np.add), ("max", np.maximum), ("mul", np.multiply))],
    *[Row(f"segment_{name}", lambda x, n=name: getattr(ops, f"segment_{n}")(x, [1, 0, 1], 2),
          lambda x, f=f: np.stack([x[1], f(x[::2], axis=0)]), X)
      for name, f in (("sum", np.sum), ("max", np.max), ("min", np.min), ("prod", np.prod))],
    Row("dot", ops.dot, np.dot, ((2, 3), (4, 3, 2))),
    Row("inner", ops.inner, np.inner, ((2, 3), (4, 3))),
    Row("outer", ops.outer, np.outer, ((3,), (4,))),
    Row("vdot", ops.vdot, np.vdot, XY),
    Row("tensordot", lambda x, y: ops.tensordot(x, y, ([0, 2], [1, 0])), lambda x, y: np.tensordot(x, y, ([0, 2], [1, 0])), ((2, 3, 4), (4, 2))),
    *[Row(f"einsum {text}", lambda *x, t=text: ops.einsum(t, *x), lambda *x, t=text: np.einsum(t, *x), shapes) for text, shapes in (
        ("ij,jk->ik", ((2, 3), (3, 4))), ("bthd,bshd->bhts", ((2, 3, 2, 4), (2, 3, 2, 4))), ("...ij,jk->...k", ((2, 3, 4), (4, 5))),
        ("ii->i", ((3, 3),)), ("iji", ((2, 3, 2),)), ("ij,ij->j", ((2, 3), (2, 3))), ("i,j,k", ((2,), (3,), (4,))),
        ("ab,bc,cd->da", ((2, 3), (3, 4), (4, 2))), ("bi,bj->bij", ((2, 3), (2, 4))), ("...a,...a", ((2, 1, 3), (4, 3))))],
    Row("kron", ops.kron, np.kron, ((2, 3), (2,))),
    Row("cross", ops.cross, np.cross, ((2, 3), (2, 3))),
    *[Row(f"correlate_{mode}", lambda x, y, m=mode: ops.correlate(x, y, m), lambda x, y, m=mode: np.correlate(x, y, m), ((5,), (2,)))
      for mode in ("valid", "same", "full")],
    Row("corrcoef", ops.corrcoef, np.corrcoef, X),
    Row("cdist", ops.cdist, lambda x, y: np.linalg.norm(x[:, None] - y[None], axis=-1), ((3, 2), (4, 2))),
    *[Row(f"norm {order} {axis}", lambda x, o=order, a=axis: ops.norm(x, o, a), lambda x, o=order, a=axis: np.linalg.norm(x, o, a), X)
      for order, axis in ((None, None), (2, 1), (1, 0), (np.inf, -1), (3, 1), ("fro", (0, 1)), (1, (0, 1)), ("nuc", (0, 1)), (2, (1, 0)))],
    Row("inv", lambda x: ops.inv(definite(x)), lambda x: np.linalg.inv(definite(x)), ((2, 3, 3),)),
    Row("det", lambda x: ops.det(definite(x)), lambda x: np.linalg.det(definite(x)), ((2, 3, 3),)),
    Row("logdet", lambda x: ops.logdet(definite(x)), lambda x: np.linalg.slogdet(definite(x))[1], ((3, 3),)),
    Row("cholesky", lambda x: ops.cholesky(definite(x)), lambda x: np.linalg.cholesky(definite(x)), ((2, 3, 3),)),
    Row("solve", lambda x, y: ops.solve(definite(x), y), lambda x, y: np.linalg.solve(definite(x), y), ((3, 3), (3, 2))),
    Row("solve_vector", lambda x, y: ops.solve(definite(x), y), lambda x, y: np.linalg.solve(definite(x), y), ((3, 3), (3,))),
    Row("svd_values", lambda x: ops.svd(x, compute_uv=False), lambda x: np.linalg.svd(x, compute_uv=False), ((2, 3, 4),)),
    Row("eigh_values", lambda x: ops.eigh(definite(x))[0], lambda x: np.linalg.eigvalsh(definite(x)), ((2, 3, 3),)),
    Row("fft", lambda a, b: ops.stack(ops.fft((a, b))), np_complex(np.fft.fft), XY),
    Row("fft2", lambda a, b: ops.stack(ops.fft2((a, b))), np_complex(np.fft.fft2), XY),
    Row("ifft2", lambda a, b: ops.stack(ops.ifft2((a, b))), np_complex(np.fft.ifft2), XY),
    *[Row(f"rfft_{n}", lambda x, n=n: ops.stack(ops.rfft(x, n)), lambda x, n=n: (lambda y: np.stack([y.real, y.imag]))(np.fft.rfft(x, n)), ((2, 6),))
      for n in (None, 4, 7, 8)],
    *[Row(f"irfft_{n}", lambda a, b, n=n: ops.irfft((a, b), n), lambda a, b, n=n: np.fft.irfft(a + 1j * b, n), XY)
      for n in (None, 3, 5, 8)],
    Row("stft", lambda x: ops.irfft(ops.stft(x, 4, 2, 4, None, False), 4), lambda x: np.stack([x[:, :4], x[:, 2:6], x[:, 4:]], 1), ((2, 8),)),
    Row("istft", lambda x: ops.istft(ops.stft(x, 4, 1, 8), 4, 1, 8, 12), lambda x: x, ((2, 12),)),
    Row("depth_and_space", lambda x: ops.space_to_depth(ops.depth_to_space(x, 2), 2), lambda x: x, ((2, 2, 3, 8),)),
    Row("depth_to_space", lambda x: ops.depth_to_space(x, 2), lambda x: x.reshape(3, 2, 2, 2), ((3, 1, 1, 8),)),
    Row("unfold", lambda x: ops.unfold(x, 2, padding=1, stride=2)[:, 0], lambda x: np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])[:, 0, :-1:2, :-1:2]
        .reshape(2, -1), ((2, 1, 4, 6),)),
    Row("fold", lambda x: ops.fold(ops.unfold(x, 2), 3, 2), lambda x: x * np.outer([1, 2, 1], [1, 2, 1]), ((2, 2, 3, 3),)),
    Row("psnr", lambda x, y: ops.psnr(x, y, 2), lambda x, y: 10 * np.log10(4 / ((x - y) ** 2).mean()), XY),
    Row("softmax_axes", lambda x: ops.softmax(x, (0, 2)), lambda x: np.exp(x) / np.exp(x).sum((0, 2), keepdims=True), ((2, 3, 4),)),
    Row("index_tensor", lambda x: x[Tensor(np.array([2, 0, 2]))], lambda x: x[[2, 0, 2]], X),
    Row("index_mask", lambda x: x[x > 0], lambda x: x[x > 0], X),
    Row("scan", lambda x: ops.scan(lambda c, v: (c * v, c + v), x[0], x)[1], lambda x: np.cumprod(np.concatenate([x[:1], x]), 0)[:-1] + x, X),
    Row("map", lambda x: ops.map(lambda v: v * v, x), np.square, X),
    Row("associative_scan", lambda x: ops.associative_scan(lambda a, b: a * b, x, axis=1), lambda x: x.cumprod(1), X),
]  # fmt: skip
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@each_row
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(row, dtype):
    check_op(row, dtype)


@each_row
def test_gradient(row):
    check_grad(row)


NEED_SIZES = ("norm nuc", "norm 2 (", "roll_flat", "index_mask")  # or depend on data


@pytest.mark.parametrize("row", [row for row in ROWS if not row.name.startswith(NEED_SIZES)], ids=lambda row: row.name)
def test_shapes_without_data_are_those_with(row, monkeypatch):
    check_shapes(row, monkeypatch)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name != "index_mask"], ids=lambda row: row.name)
def test_drawn_without_data(row):
    """Symbolic inputs of known sizes give the eager shape and dtype."""
    arrays = inputs_of(row, "float32")
    eager = row.op(*map(Tensor, arrays))
    drawn = row.op(*[fastconv.KerasTensor(array.shape) for array in arrays])
    assert (drawn.shape, drawn.dtype, drawn.symbolic) == (eager.shape, eager.dtype, True)


# ------------------------------------------------------------------------------------------- integers and booleans

I32 = np.array([[3, -2, 0], [1, 5, -4]], "int32")
I64, U8, B = I32.astype("int64"), np.abs(I32).astype("uint8"), I32 > 0
F = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -3.0]], "float32")

# an expression of ops and these arrays, and what it gives: its values by NumPy and its dtype by Keras
EXACT = [
    (lambda: ops.add(I32, I32), I32 + I32, "int32"),
    (lambda: ops.add(I32, I64), I32 + I64, "int64"),
    (lambda: ops.add(I32, F), I32 + F, "float32"),
    (lambda: ops.add(I32, F.astype("float64")), I32 + F, "float64"),
    (lambda: ops.add(I32, 2), I32 + 2, "int32"),
    (lambda: ops.add(I32, 2.5), I32 + 2.5, "float32"),
    (lambda: ops.add(B, B), B | B, "bool"),
    (lambda: ops.add(B, 1), B + 1, "int32"),
    (lambda: ops.add([1, 2], [3, 4]), [4, 6], "int32"),
    (lambda: ops.multiply(U8, I32), U8 * I32, "int32"),
    (lambda: ops.divide(I32, 2), I32 / 2, "float32"),
    (lambda: ops.power(I32, 3), I32**3, "int32"),
    (lambda: ops.floor_divide(I32, 2), I32 // 2, "int32"),
    (lambda: ops.mod(I32, 3), I32 % 3, "int32"),
    (lambda: ops.maximum(I32, 1), np.maximum(I32, 1), "int32"),
    (lambda: ops.clip(I32, -1, 2), np.clip(I32, -1, 2), "int32"),
    (lambda: ops.clip(I32, -1.5, 2), np.clip(I32, -1.5, 2), "float32"),
    (lambda: ops.abs(I32), abs(I32), "int32"),
    (lambda: ops.negative(I64), -I64, "int64"),
    (lambda: ops.square(B), B * 1, "int32"),
    (lambda: ops.sign(I32), np.sign(I32), "int32"),
    (lambda: ops.exp(I32), np.exp(I32.astype("float32")), "float32"),
    (lambda: ops.sqrt(U8), np.sqrt(U8.astype("float32")), "float32"),
    (lambda: ops.floor(I32), I32, "float32"),
    (lambda: ops.round(I32), I32, "int32"),
    (lambda: ops.relu(I32), np.maximum(I32, 0), "int32"),
    (lambda: ops.sigmoid(B), 1 / (1 + np.exp(-B.astype("float32"))), "float32"),
    (lambda: ops.sum(I32, 1), I32.sum(1), "int32"),
    (lambda: ops.sum(B), B.sum(), "int32"),
    (lambda: ops.sum(U8, -1), U8.sum(-1), "uint32"),
    (lambda: ops.mean(I32, 0), I32.mean(0), "float32"),
    (lambda: ops.max(I32, 1, True), I32.max(1, keepdims=True), "int32"),
    (lambda: ops.prod(I32, 0), I32.prod(0), "int32"),
    (lambda: ops.cumsum(B, 1), B.cumsum(1), "int32"),
    (lambda: ops.any(B, 1), B.any(1), "bool"),
    (lambda: ops.all(I32), I32.all(), "bool"),
    (lambda: ops.count_nonzero(I32, -1), (I32 != 0).sum(-1), "int32"),
    (lambda: ops.argmax(F, 1), F.argmax(1), "int32"),
    (lambda: ops.argmin(I32, -1, True), I32.argmin(-1, keepdims=True), "int32"),
    (lambda: ops.argsort(I32), I32.argsort(-1), "int32"),
    (lambda: ops.sort(I32, 0), np.sort(I32, 0), "int32"),
    (lambda: ops.top_k(I32, 2)[0], np.sort(I32)[:, :0:-1], "int32"),
    (lambda: ops.top_k(U8, 1)[1], U8.argmax(-1)[:, None], "int32"),
    (lambda: ops.in_top_k([0, 2], F, 2), [True, False], "bool"),
    (lambda: ops.searchsorted([1.0, 2.0, 3.0], F), np.searchsorted([1, 2, 3], F), "int32"),
    (lambda: ops.digitize(F, [0.0, 1.0]), np.digitize(F, [0, 1]), "int32"),
    (lambda: ops.bincount([0, 2, 2], minlength=5), [1, 0, 2, 0, 0], "int32"),
    (lambda: ops.bincount([[0, 1], [1, 1]], [[0.5, 1.0], [2.0, 3.0]]), [[0.5, 1], [0, 5]], "float32"),
    (lambda: ops.histogram(F, 2)[0], np.histogram(F, 2)[0], "int32"),
    (lambda: ops.nonzero(I32)[1], np.nonzero(I32)[1], "int32"),
    (lambda: ops.unique(U8, return_counts=True)[1], np.unique(U8, return_counts=True)[1], "int32"),
    (lambda: ops.unique([3, 1, 3], size=4, fill_value=9), [1, 3, 9, 9], "int32"),
    (lambda: ops.equal(I32, 3), I32 == 3, "bool"),
    (lambda: ops.equal(np.float32(0.1) * np.ones(2, "float32"), 0.1), [True, True], "bool"),
    (lambda: ops.less(I32, F), I32 < F, "bool"),
    (lambda: ops.logical_and(I32, B), (I32 != 0) & B, "bool"),
    (lambda: ops.isfinite(I32), I32 == I32, "bool"),
    (lambda: ops.isin(I32, [1, 5]), np.isin(I32, [1, 5]), "bool"),
    (lambda: ops.isclose(F, F + 1e-7), F == F, "bool"),
    (lambda: ops.bitwise_and(I32, 3), I32 & 3, "int32"),
    (lambda: ops.bitwise_not(B), ~B, "bool"),
    (lambda: ops.left_shift(U8, 1), U8 << 1, "uint8"),
    (lambda: ops.where(B, I32, 0), np.where(B, I32, 0), "int32"),
    (lambda: ops.where(B, 1.5, 0), np.where(B, 1.5, 0), "float32"),
    (lambda: ops.gcd(I32, 6), np.gcd(I32, 6), "int32"),
    (lambda: ops.reshape(I32, (3, -1)), I32.reshape(3, -1), "int32"),
    (lambda: ops.transpose(B), B.T, "bool"),
    (lambda: ops.broadcast_to(U8, (2, 2, 3)), np.broadcast_to(U8, (2, 2, 3)), "uint8"),
    (lambda: ops.concatenate([I32, F], -1), np.concatenate([I32, F], -1), "float32"),
    (lambda: ops.stack([B, B], 1), np.stack([B, B], 1), "bool"),
    (lambda: ops.pad(I32, ((1, 0), (0, -1)), constant_values=7), np.pad(I32, ((1, 0), (0, 0)), constant_values=7)[:, :-1], "int32"),
    (lambda: ops.flip(I32, -1), I32[:, ::-1], "int32"),
    (lambda: ops.tile(B, (2, 1)), np.tile(B, (2, 1)), "bool"),
    (lambda: ops.repeat(I32, 2, 0), np.repeat(I32, 2, 0), "int32"),
    (lambda: ops.roll(U8, 1, 1), np.roll(U8, 1, 1), "uint8"),
    (lambda: ops.take(I32, [-1, 0], 1), I32[:, [-1, 0]], "int32"),
    (lambda: ops.get_item(B, (0, slice(None, None, -1))), B[0, ::-1], "bool"),
    (lambda: ops.scatter_update(I32, [[0, 1]], [9]), np.array([[3, 9, 0], [1, 5, -4]]), "int32"),
    (lambda: ops.segment_max(I32, [1, 1], 2), [[np.iinfo("int32").min] * 3, [3, 5, 0]], "int32"),
    (lambda: ops.matmul(I32, I32.T), I32 @ I32.T, "int32"),
    (lambda: ops.einsum("ij,kj->ik", I64, I64), I64 @ I64.T, "int64"),
    (lambda: ops.unravel_index([5, 1], (2, 3))[0], [1, 0], "int32"),
    (lambda: ops.cast(F, "int32"), F.astype("int32"), "int32"),
    (lambda: ops.saturate_cast(F * 500, "uint8"), np.clip(F * 500, 0, 255).astype("uint8"), "uint8"),
    (lambda: ops.saturate_cast(I32, "uint8"), np.clip(I32, 0, 255), "uint8"),
    (lambda: ops.view(F, "int32"), F.view("int32"), "int32"),
    (lambda: ops.arange(5), np.arange(5), "int32"),
    (lambda: ops.arange(0, 1, 0.25), np.arange(0, 1, 0.25), "float32"),
    (lambda: ops.linspace(0, 1, 5), np.linspace(0, 1, 5), "float32"),
    (lambda: ops.linspace(0, 3, 3, False, True)[1], 1.0, "float32"),
    (lambda: ops.logspace(0, 3, 4, base=2), [1, 2, 4, 8], "float32"),
    (lambda: ops.eye(2, 3, 1, "int32"), np.eye(2, 3, 1), "int32"),
    (lambda: ops.full((2,), 3), [3, 3], "float32"),
    (lambda: ops.full_like(I32, 7), np.full_like(I32, 7), "int32"),
    (lambda: ops.zeros_like(F, "bool"), np.zeros_like(F), "bool"),
    (lambda: ops.tri(2, 3), np.tri(2, 3), "float32"),
    (lambda: ops.one_hot([0, 2, -1], 3), [[1, 0, 0], [0, 0, 1], [0, 0, 0]], "float32"),
    (lambda: ops.one_hot(I32[:, :1] - 1, 3, 1, "int32"), [[[0], [0], [1]], [[1], [0], [0]]], "int32"),
    (lambda: ops.multi_hot([[0, 2], [1, 1]], 3), [[1, 0, 1], [0, 1, 0]], "float32"),
    (lambda: ops.multi_hot([0, 2], 3), [1, 0, 1], "float32"),
    (lambda: ops.convert_to_tensor([[1, 2]]), [[1, 2]], "int32"),
    (lambda: ops.convert_to_tensor([True]), [True], "bool"),
    (lambda: ops.convert_to_tensor([Tensor([1.0]), Tensor([2.0])]), [[1], [2]], "float32"),
    (lambda: ops.matrix_rank(np.ones((3, 3), "float32")), 1, "int32"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(EXACT)))
def test_integers_and_booleans_have_keras_dtypes(number):
    call, expected, dtype = EXACT[number]
    result = call()
    assert (result.dtype, result.shape) == (np.dtype(dtype), np.shape(expected)) and not result.requires_grad
    np.testing.assert_allclose(result.data, expected, rtol=1e-6)


DRAWN = [
    lambda x, n: ops.argmax(x, -1), lambda x, n: x > 0, lambda x, n: ops.where(x > 0, x, 0.0), lambda x, n: ops.sum(n, 1),
    lambda x, n: ops.add(n, x), lambda x, n: ops.one_hot(n, 5), lambda x, n: ops.take(x, n[:, 0], 1), lambda x, n: n // 2,
    lambda x, n: ops.take_along_axis(x, n, 1), lambda x, n: ops.top_k(x, 2)[1], lambda x, n: ops.isnan(x) | (x < 1),
    lambda x, n: ops.zeros_like(x, "int32"), lambda x, n: ops.cast(x > 0, "float32"), lambda x, n: ops.median(x, -1),
    lambda x, n: ops.logsumexp(x, -1, True), lambda x, n: ops.einsum("bi,bj->bij", x, x), lambda x, n: ops.cumsum(n, 1),
    lambda x, n: ops.multi_hot(n, 4), lambda x, n: ops.mean(n), lambda x, n: abs(n) % 3, lambda x, n: ops.norm(x, axis=-1),
    lambda x, n: ops.stop_gradient(x), lambda x, n: ops.segment_sum(x, n[:, 0], 3), lambda x, n: ops.in_top_k(n[:, 0], x, 1),
]  # fmt: skip


@pytest.mark.parametrize("function", DRAWN)
def test_a_model_of_ops_computes_what_eager_ones_do(function):
    """Drawn with an open batch, then run: the eager values, shape and dtype."""
    x = values(4, 3, dtype="float32")
    n = np.array([[0, 1, 2], [2, 0, 1], [1, 1, 0], [0, 2, 2]], "int32")
    inputs = [fastconv.Input((3,)), fastconv.Input((3,), dtype="int32")]
    drawn = function(*inputs)
    eager = function(Tensor(x), Tensor(n))
    assert drawn.dtype == eager.dtype and len(drawn.shape) == eager.ndim
    assert all(size in (None, real) for size, real in zip(drawn.shape, eager.shape))
    used = [tensor for tensor in inputs if _reaches(drawn, tensor)]
    result = Graph(used, drawn).run([{id(inputs[0]): Tensor(x), id(inputs[1]): Tensor(n)}[id(t)] for t in used])
    assert result.dtype == eager.dtype
    np.testing.assert_array_equal(result.data, eager.data)


def _reaches(tensor, start):
    if tensor is start:
        return True
    call = tensor.source
    return any(
        _reaches(leaf, start)
        for leaf in getattr(call, "inputs", ())
        if getattr(leaf, "symbolic", False) and leaf is not tensor
    )


PLANNED = [
    lambda x: ops.where(x > 1, x * x, -x), lambda x: ops.top_k(x, 2)[0], lambda x: ops.logsumexp(x, 1), ops.sort,
    lambda x: ops.cast(ops.argmax(x, -1), x.dtype) * ops.max(x, -1), lambda x: x * ops.one_hot(ops.argmax(x, -1), 4, dtype=x.dtype),
    lambda x: ops.take(x, ops.argsort(x[:, 0]), 0), lambda x: ops.stop_gradient(x) * x, lambda x: ops.cumprod(x, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    "op", [ops.log1p, ops.expm1, lambda x: x**4, lambda x: ops.roll(x, 1, 1), lambda x: ops.rot90(x)]
)
def test_runs_of_kernels_alone(op):
    check_planned(op, [values(3, 4, positive=True)], [values(3, 4, positive=True, seed=5)])


@pytest.mark.parametrize("function", PLANNED)
def test_recorded_steps_depend_on_the_values_of_the_day(function):
    check_planned(function, [values(3, 4)], [values(3, 4, seed=5)[::-1, ::-1].copy()], python=True)


@pytest.mark.parametrize(
    "function", [ops.nonzero, ops.unique, lambda x: ops.cond(ops.any(x > 0), lambda: x, lambda: x), lambda x: x[x > 0],
                 lambda x: ops.while_loop(lambda v: ops.sum(v) < 3, lambda v: (v + 1,), (x,)), ops.convert_to_numpy]
)  # fmt: skip
def test_what_depends_on_values_is_not_drawn(function):
    with pytest.raises(NoValues):
        function(fastconv.Input((3,)))


# ------------------------------------------------------------------------------------------------- edges and errors

REDUCING = [ops.sum, ops.mean, ops.prod, ops.any, ops.all, ops.count_nonzero, ops.logsumexp, ops.nansum]


@pytest.mark.parametrize("function", REDUCING, ids=lambda f: f.__name__)
def test_reductions_of_nothing_and_of_one(function):
    assert function(np.zeros((0, 3), "float32"), axis=1).shape == (0,)
    one = function(np.ones((1,), "float32"))
    assert one.shape == () and float(one) in (1.0, 0.0)
    nothing = np.asarray(function(np.zeros((0,), "float32")))
    expected = {"mean": np.nan, "prod": 1, "all": True, "logsumexp": -np.inf}.get(function.__name__, 0)
    np.testing.assert_equal(float(nothing), float(expected))


@pytest.mark.parametrize(
    "function", [ops.sort, ops.argsort, ops.cumsum, ops.sin, ops.flip, ops.ravel, ops.isnan, lambda x: x > 0, ops.zeros_like,
                 lambda x: ops.concatenate([x, x]), lambda x: ops.roll(x, 1, 1), lambda x: ops.take(x, [0], 1), ops.nan_to_num]
)  # fmt: skip
def test_empty_arrays_stay_empty(function):
    assert np.asarray(function(np.zeros((0, 3), "float32"))).size == 0


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: ops.argmax(np.zeros((2, 0), "float32"), 1), ValueError, "no largest or smallest of no elements"),
        (lambda: ops.max(np.zeros((0,), "int32")), ValueError, "no largest or smallest"),
        (lambda: ops.quantile(F, 1.5), ValueError, "q must lie between 0 and 1"),
        (lambda: ops.quantile(F, 0.5, method="cubic"), ValueError, "method must be one of 'linear'"),
        (lambda: ops.top_k(F, 4), ValueError, r"k must be from 0 .* got 4 and shape \(2, 3\)"),
        (lambda: ops.take(F, [3], 1), ValueError, "indices must be from -3 to 2"),
        (lambda: ops.take_along_axis(F, [[5]], 1), ValueError, "indices must be from -3 to 2"),
        (lambda: ops.take_along_axis(F, [0], 1), ValueError, "indices must have x's 2 axes"),
        (lambda: ops.scatter([[4]], [1.0], (3,)), ValueError, "beyond the array"),
        (lambda: ops.scatter_update(F, [[0]], [1.0]), ValueError, r"updates must have shape \(1, 3\)"),
        (lambda: ops.slice_update(F, (1, 2), F), ValueError, "does not lie in an array"),
        (lambda: ops.einsum("ij,jk", F, F), ValueError, "axis 'j' has 3 cells in one operand and 2 in another"),
        (lambda: ops.einsum("ij", F, F), ValueError, "names 1 operands; got 2"),
        (lambda: ops.einsum("ijk", F), ValueError, "does not fit an operand of shape"),
        (lambda: ops.tensordot(F, F, 1), ValueError, "pair sizes that differ"),
        (lambda: ops.inv(F), ValueError, "needs square matrices"),
        (lambda: ops.inv(np.zeros((2, 2), "float32")), ValueError, "inv: Singular matrix"),
        (lambda: ops.bitwise_and(F, 1), TypeError, "works on integers and booleans; got float32"),
        (lambda: ops.one_hot([0.5], 2), TypeError, "must hold integer class numbers"),
        (lambda: ops.one_hot([0], 2, sparse=True), ValueError, "dense tensors only"),
        (lambda: ops.convert_to_tensor([1.0], ragged=True), ValueError, "dense tensors only"),
        (lambda: ops.cast(F, "str"), TypeError, "got 'str'"),
        (lambda: ops.where(B, F), ValueError, "give both x1 and x2"),
        (lambda: ops.arange(1, 5, 0), ValueError, "step must not be 0"),
        (lambda: ops.meshgrid([1.0], indexing="ab"), ValueError, "indexing must be"),
        (lambda: ops.fft(F), ValueError, "takes a pair"),
        (lambda: ops.stft(F, 4, 1, 2), ValueError, "fft_length must be at least sequence_length"),
        (lambda: ops.depth_to_space(np.zeros((1, 2, 2, 3), "float32"), 2), ValueError, "4 equal parts"),
        (lambda: ops.bincount([-1]), ValueError, "at least 0"),
        (lambda: ops.add(F, None), TypeError, "got None"),
        (lambda: ops.sum(F, 1.5), TypeError, "axis must be a whole number; got 1.5"),
        (lambda: ops.mean(F, "a"), TypeError, "axis must be a whole number; got 'a'"),
        (lambda: ops.cast(F, None), TypeError, "got None"),
        (lambda: ops.zeros((2, -1)), ValueError, "sizes of at least 0"),
        (lambda: ops.one_hot([0], 0), ValueError, "num_classes must be at least 1; got 0"),
        (lambda: ops.unravel_index([5], (2, 2)), ValueError, "from 0 to 3"),
        (lambda: ops.digitize(F, [1.0, 0.0]), ValueError, "bins must rise"),
        (lambda: ops.einsum(F, F), TypeError, "subscripts must be a string"),
        (lambda: ops.scan(lambda c, x: (c, x), 0), ValueError, "xs or length"),
        (lambda: ops.hypot(F, None), TypeError, "hypot needs two arrays or numbers; got None"),
        (lambda: ops.arctan2(None, F), TypeError, "got None"),
        (lambda: ops.gcd(F, F), TypeError, "gcd works on integers; got float32"),
        (lambda: ops.less(F, F.astype(str)), TypeError, "less compares numbers and booleans; got <U"),
        (lambda: ops.equal(np.zeros(2, "datetime64[s]"), [1, 2]), TypeError, "equal compares numbers.*datetime64"),
        (lambda: ops.logical_xor(F, None), TypeError, "logical_xor compares numbers and booleans; got None"),
        (lambda: ops.isin(F, F.astype(object)), TypeError, "isin compares numbers and booleans; got object"),
        (lambda: ops.map(lambda x: x, [1.0, 2.0]), ValueError, "axis must be between"),
        (lambda: ops.associative_scan(ops.add, F, axis=9), ValueError, "axis must be between"),
        (lambda: ops.switch(1.5, [abs, abs], F), TypeError, "index must be a whole number; got 1.5"),
        (lambda: ops.fori_loop(0, np.inf, lambda i, v: v, 0), TypeError, "upper must be a whole number; got inf"),
        (lambda: ops.fft((1.0, 2.0)), ValueError, r"fft transforms the last axis; got shape \(\)"),
        (lambda: ops.ifft2(([1.0], [2.0])), ValueError, r"ifft2 transforms the last 2 axes; got shape \(1,\)"),
        (lambda: ops.rfft(1.0), ValueError, r"rfft transforms the last axis; got shape \(\)"),
        (lambda: ops.unique(F, axis=2**31), ValueError, "axis must be between"),
        (lambda: ops.unique(F, size=-1), ValueError, "size must be at least 0; got -1"),
        (lambda: ops.digitize(F, 1.0), ValueError, "needs a vector"),
        (lambda: ops.histogram(F, range=1), ValueError, "range must be two numbers that rise; got 1"),
        (lambda: ops.linspace(0, 1, axis=2**31), ValueError, "axis must be between"),
        (lambda: ops.arange(1j), TypeError, "counted in real numbers; got 1j"),
        (lambda: ops.hamming("4"), TypeError, "counted in real numbers; got '4'"),
        (lambda: ops.svd(Tensor(F, True))[0].sum().backward(), RuntimeError, "have no gradient"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_edges_of_size_and_rank():
    assert float(ops.erfc(np.float32(0.0))) == 1 and ops.erfc(0.5).shape == ()
    assert ops.sparsemax(np.zeros((2, 0), "float32")).shape == (2, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = Tensor(np.float32([-1, 0]), True)
        ops.power(x, 0.5).sum().backward()
        np.testing.assert_array_equal(x.grad, [np.nan, np.inf])
        far = ops.saturate_cast(np.array([1e300, -np.inf, np.nan]), "float32")
        np.testing.assert_array_equal(far, [np.finfo("float32").max, np.finfo("float32").min, np.nan])
        np.testing.assert_array_equal(ops.power(np.float32([-1, 0]), np.float32([0.5, -1])), [np.nan, np.inf])
        assert np.isnan(ops.segment_max(np.array([np.nan, 1], "float32"), np.array([0, 0]), 1)).all()
    product = ops.matmul(np.full((2, 2), 100, "int8"), np.full((2, 2), 100, "int8"))
    assert product.dtype == "int32" and product.numpy().tolist() == [[20000, 20000]] * 2
    for dtype in ("int32", "bool", "float32"):
        assert Tensor(np.ones((2, 3), dtype))[0, 1].shape == ops.view(np.ones((), dtype), dtype).shape == ()
    assert ops.view(np.float32(1), "int32").shape == ()
    x = Tensor(np.float32(3), True)
    (ops.median(x) + ops.quantile(x, 0.5)).backward()
    assert x.grad.shape == () and float(x.grad) == 2
    np.testing.assert_allclose(ops.normalize(F, order=np.int64(3)), ops.normalize(F, order=3))


def test_no_gradient_through_what_has_none():
    x = Tensor(F, True)
    assert not ops.stop_gradient(x).requires_grad and not (x > 0).requires_grad and not ops.argmax(x).requires_grad
    (ops.cast(x > 0, "float32") * x + ops.floor(x)).sum().backward()
    np.testing.assert_array_equal(x.grad, F > 0)


def test_norm_is_flat_at_zero():
    x = Tensor(np.zeros(3), True)
    ops.norm(x).backward()
    np.testing.assert_array_equal(x.grad, 0)


def test_a_gradient_of_ones_own():
    @ops.custom_gradient
    def halved(x):
        return x * 2, lambda upstream: upstream * 5

    x = Tensor(F, True)
    halved(x).sum().backward()
    np.testing.assert_array_equal(x.grad, 5)


def test_erfinv_to_the_last_places():
    for dtype in DTYPES:
        x = np.array([-1, -0.999, -0.5, 0, 1e-8, 0.9999, 1, 1.5], dtype)
        y = ops.erfinv(x).data
        assert y[0] == -np.inf and y[6] == np.inf and np.isnan(y[7]) and y[3] == 0
        np.testing.assert_allclose(np.vectorize(math.erf)(y[1:6]), x[1:6], rtol=4 * np.finfo(dtype).eps)


def test_ops_in_a_model_survive_its_description():
    x = fastconv.Input((3,))
    h = (
        ops.where(x > 0.2, x, ops.sin(x))
        + ops.one_hot(ops.argmax(x, -1), 3) * ops.median(x, 1, True)
        + ops.floor(x) % 0.7
    )
    h = ops.concatenate(
        [h, ops.top_k(x, 2)[0], ops.einsum("bi,bj->bij", x, x)[:, ::-1, 0], ops.cast(x > 0, "float32")], -1
    )
    model = fastconv.Model(x, h)
    twin, data = fastconv.models.model_from_json(model.to_json()), values(5, 3, dtype="float32")
    np.testing.assert_array_equal(twin(data).data, model(data).data)
    model = fastconv.Model(x, fastconv.layers.Dense(2)(h))
    model.compile("sgd", "mse")
    losses = model.fit(data, np.zeros((5, 2), "float32"), epochs=3, verbose=0).history["loss"]
    assert losses[0] > losses[-1]


def test_op_classes_have_names_of_their_own():
    """By which a model's description finds them."""
    found, stack = [], [Op]
    while stack:
        below = [cls for cls in stack.pop().__subclasses__() if cls.__module__.startswith("fastconv.ops.")]
        found += below
        stack += below
    assert len({cls.__name__ for cls in set(found)}) == len(set(found))


def test_namespaces_hold_the_same_functions():
    for namespace in (ops.nn, ops.numpy, ops.linalg, ops.math, ops.core):
        assert all(getattr(ops, name) is getattr(namespace, name) for name in namespace.__all__)
    assert set(ops.__all__) <= set(dir(ops)) and "convert_to_tensor" in dir(ops.core) and "np" not in dir(ops)
