"""Parity with Keras on JAX, where it is installed: the same arguments and weights give the same values and gradients.

A row for each op, activation, loss, metric, regularizer, constraint, initializer, optimizer and layer, in float32 and
float64. Keras computes in float64 throughout, so that what is compared is our error, not the sum of two.
"""

import os

import numpy as np
import pytest
from helpers import integers, normal

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
jax = pytest.importorskip("jax")

import fastconv  # noqa: E402
from fastconv import Tensor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
DTYPES = ("float32", "float64")


@pytest.fixture(autouse=True)
def their_floats():
    keras.config.set_floatx("float64")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
    keras.config.set_floatx("float32")


def found(library, name):
    for part in name.split("."):
        library = getattr(library, part)
    return library


def leaves(value):
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, (list, tuple)) else [value]


def close(ours, theirs, dtype, terms=64, what=""):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    if ours.dtype.kind in "biu" or theirs.dtype.kind in "biu":
        np.testing.assert_array_equal(ours, theirs, what)
        return
    scale = max(1.0, np.abs(theirs[np.isfinite(theirs)]).max(initial=0))
    # float32's eps in float64 too: Keras computes means, norms and others of float64 arrays in float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=terms * np.finfo("float32").eps * scale, err_msg=what)


def cast(value, dtype):
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def nested(function, value):
    return [function(part) for part in value] if isinstance(value, list) else function(value)


def compare(name, arguments, options, dtype, gradient=True, terms=64):
    """Values of `name` in both, and the gradients by every float array among the arguments (lists of arrays too)."""
    ours, theirs = found(fastconv, name), found(keras, name)
    arguments = [nested(lambda part: cast(part, dtype), argument) for argument in arguments]
    grows = gradient and any(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in flat(arguments))

    def tensor(part):
        return Tensor(part, requires_grad=True) if is_float(part) and grows else part

    given = [nested(tensor, argument) for argument in arguments]
    result = leaves(ours(*given, **{key: cast(value, dtype) for key, value in options.items()}))
    wide = [nested(lambda part: cast(part, "float64"), argument) for argument in arguments]
    expected = leaves(theirs(*wide, **options))
    assert len(result) == len(expected), name
    for one, other in zip(result, expected):
        close(one, other, dtype, terms, name)
    if not grows:
        return
    assert all(np.asarray(one).dtype in (dtype, bool) or np.asarray(one).dtype.kind in "iu" for one in result), name
    weights = [np.cos(np.arange(np.size(one))).reshape(np.shape(one)) for one in expected]
    floats = [part for part in flat(given) if isinstance(part, Tensor)]
    chosen = [(one, w) for one, w in zip(result, weights) if np.asarray(one).dtype.kind == "f"]
    sum((fastconv.ops.sum(one * w.astype(dtype)) for one, w in chosen), start=Tensor(np.zeros((), dtype))).backward()

    def total(values):
        values = iter(values)
        filled = [nested(lambda part: next(values) if is_float(part) else part, argument) for argument in wide]
        outputs = leaves(theirs(*filled, **options))
        return sum((o * w).sum() for o, w in zip(outputs, weights) if np.asarray(w).size and o.dtype.kind == "f")

    slopes = jax.grad(total)([part for part in flat(wide) if is_float(part)])
    for part, slope in zip(floats, slopes):
        close(np.zeros(part.shape) if part.grad is None else part.grad, slope, dtype, terms, f"{name}'s gradient")


def is_float(part):
    return isinstance(part, np.ndarray) and part.dtype.kind == "f"


def flat(arguments):
    return [part for argument in arguments for part in (argument if isinstance(argument, list) else [argument])]


def label(row):
    return row[0] + ("" if not row[2] else "-" + "-".join(f"{key}={value}" for key, value in row[2].items()))[:60]


def away(shape, seed=0, least=0.1):
    """Normal values at least `least` away from 0, where many functions bend."""
    x = normal(shape, "float64", seed)
    return x + least * np.where(x < 0, -1, 1)


X, Y = away((3, 4, 5)), away((3, 4, 5), 1)
P, UNIT = np.abs(X) + 0.5, np.clip(X / 8, -0.9, 0.9)
IMAGE = np.abs(away((2, 8, 9, 3)))
WHOLE, BOOL = integers((3, 4, 5), "int64"), X > 0

UNARY = """abs absolute arcsinh arctan ceil cos cosh erf exp expm1 floor isfinite isinf isnan negative round sign sin sinh
    square tanh relu relu6 sigmoid silu swish softplus softsign gelu elu selu leaky_relu hard_sigmoid hard_silu
    hard_swish log_sigmoid tanh_shrink soft_shrink hard_shrink hard_tanh celu logical_not
    nan_to_num isreal exp2""".split()
POSITIVE = "sqrt rsqrt log log10 log1p log2 reciprocal".split()
INSIDE = "arcsin arccos arctanh erfinv".split()
BINARY = """add subtract multiply divide true_divide maximum minimum arctan2 equal not_equal greater greater_equal less
    less_equal logaddexp hypot logical_and logical_or logical_xor divide_no_nan""".split()
REDUCTIONS = "sum mean max min prod amax amin var std logsumexp any all median".split()

OPS = [
    *((name, [X], {}) for name in UNARY),
    *((name, [P], {}) for name in POSITIVE),
    ("arccosh", [P + 1], {}), ("tan", [UNIT], {}),
    *((name, [UNIT], {}) for name in INSIDE),
    *((name, [X, Y], {}) for name in BINARY),
    *((name, [X, Y[:, :1]], {}) for name in ("add", "multiply", "maximum", "where")[:3]),
    ("power", [P, Y], {}), ("floor_divide", [WHOLE, np.abs(WHOLE) + 1], {}), ("mod", [WHOLE, np.abs(WHOLE) + 1], {}),
    ("bitwise_and", [WHOLE, WHOLE.T.reshape(WHOLE.shape)], {}), ("left_shift", [np.abs(WHOLE), np.full((), 2)], {}),
    *((name, [X], {"axis": axis, "keepdims": keep}) for name in REDUCTIONS for axis, keep in (
        (None, False), (-1, True), (1, False))),
    *((name, [X], {"axis": (0, -1)}) for name in ("sum", "mean", "max", "std", "logsumexp")),
    *((name, [X], {"axis": -1}) for name in ("argmax", "argmin", "argsort", "sort", "cumsum", "softmax", "log_softmax")),
    ("cumprod", [X], {"axis": 1}), ("argmax", [X], {"axis": 1, "keepdims": True}),
    ("norm", [X], {"axis": -1}), ("norm", [X], {"axis": -1, "ord": 1, "keepdims": True}), ("normalize", [X], {"axis": -1}),
    ("average", [X], {"axis": 1, "weights": P[0, :, 0]}), ("quantile", [X, 0.3], {"axis": -1}),
    ("quantile", [X, np.array([0.25, 0.5])], {}), ("diff", [X], {"n": 2, "axis": 1}),
    ("concatenate", [[X, Y]], {"axis": -1}), ("stack", [[X, Y]], {"axis": 1}), ("hstack", [[X, Y]], {}),
    ("vstack", [[X, Y]], {}), ("append", [X, Y], {"axis": 0}), ("split", [X, 2], {"axis": 1}),
    ("split", [X, [1, 3]], {"axis": -1}), ("array_split", [X, 3], {"axis": -1}), ("unstack", [X], {"axis": 1}),
    ("reshape", [X, (4, -1)], {}), ("transpose", [X], {"axes": (2, 0, 1)}), ("swapaxes", [X, 0, -1], {}),
    ("moveaxis", [X, 0, -1], {}), ("expand_dims", [X, -2], {}), ("squeeze", [X[:1]], {"axis": 0}), ("ravel", [X], {}),
    ("flip", [X], {"axis": 1}), ("roll", [X, 2], {"axis": -1}), ("rot90", [X], {"k": 1, "axes": (0, 2)}),
    ("tile", [X, (2, 1, 3)], {}), ("repeat", [X, 2], {"axis": 1}), ("broadcast_to", [X[:1], (3, 4, 5)], {}),
    ("pad", [X, ((1, 2), (0, 0), (2, 1))], {}), ("pad", [X, ((1, 1), (0, 0), (2, 1))], {"mode": "reflect"}),
    ("pad", [X, ((1, 1), (0, 0), (2, 1))], {"mode": "symmetric"}), ("pad", [X, 1], {"constant_values": 3.0}),
    ("take", [X, np.array([[0, 2], [-1, 1]])], {"axis": -1}), ("take", [X, np.array([0, 7])], {}),
    ("take_along_axis", [X, np.abs(WHOLE) % 4], {"axis": 1}), ("where", [BOOL, X, Y], {}),
    ("clip", [X, -0.5, 0.7], {}), ("diag", [X[0]], {}), ("diagonal", [X], {"axis1": 0, "axis2": 1}), ("trace", [X], {}),
    ("tril", [X], {"k": 1}), ("triu", [X], {}), ("matmul", [X, Y.reshape(3, 5, 4)], {}),
    ("matmul", [X, Y[0].T.copy()], {}), ("dot", [X, Y[0].T.copy()], {}), ("tensordot", [X, Y], {"axes": [[0, 2], [0, 2]]}),
    ("einsum", ["bij,bkj->bik", X, Y], {}), ("einsum", ["ij,jk", X[0], Y[0].T.copy()], {}), ("outer", [X[0, 0], Y[0, 0]], {}),
    ("inner", [X, Y], {}), ("vdot", [X, Y], {}), ("cross", [X[..., :3], Y[..., :3]], {}), ("kron", [X[0], Y[0]], {}),
    ("one_hot", [np.array([0, 2, 1]), 4], {}), ("multi_hot", [np.array([[0, 2], [1, 1]]), 4], {}),
    ("top_k", [X, 2], {}), ("in_top_k", [np.array([0, 2, 1]), X[:, 0], 2], {}),
    ("segment_sum", [X, np.array([0, 2, 0])], {"num_segments": 3}), ("searchsorted", [np.sort(X[0, 0]), Y[0, 0]], {}),
    ("scatter", [np.array([[1], [3]]), X[0, :2], (5, 5)], {}), ("slice", [X, (0, 1, 2), (2, 3, 1)], {}),
    ("scatter_update", [X[0], np.array([[1, 2], [3, 0]]), Y[0, 0, :2]], {}),
    ("slice_update", [X, (0, 1, 0), Y[:2, :2]], {}), ("meshgrid", [X[0, 0], Y[0, 1]], {}),
    ("histogram", [X[0, 0]], {"bins": 5}), ("count_nonzero", [BOOL], {"axis": 1}), ("bincount", [np.abs(WHOLE).ravel()], {"minlength": 12}),
    ("digitize", [X, np.array([-1.0, 0.0, 1.0])], {}), ("isclose", [X, X + 1e-9], {}), ("arange", [2, 11, 3], {}),
    ("linspace", [0.0, 1.0, 7], {}), ("logspace", [0.0, 1.0, 7], {}), ("eye", [3], {"k": 1}), ("tri", [4], {"k": -1}),
    ("full", [(2, 3), 1.5], {}), ("zeros_like", [X], {}), ("full_like", [X, 2.0], {}), ("identity", [3], {}),
    ("glu", [X[..., :4]], {}), ("threshold", [X, 0.3, -1.0], {}), ("leaky_relu", [X], {"negative_slope": 0.3}),
    ("gelu", [X], {"approximate": False}), ("softmax", [X], {"axis": (1, 2)}), ("squareplus", [X], {}),
    ("conv", [IMAGE, away((3, 3, 3, 4), 2)], {"strides": 2, "padding": "same"}),
    ("depthwise_conv", [IMAGE, away((3, 3, 3, 2), 2)], {"padding": "valid"}),
    ("separable_conv", [IMAGE, away((3, 3, 3, 2), 2), away((1, 1, 6, 4), 3)], {"padding": "same"}),
    ("conv_transpose", [IMAGE, away((3, 3, 4, 3), 2)], {"strides": 2, "padding": "same"}),
    ("max_pool", [IMAGE, 2], {"strides": 2, "padding": "same"}), ("average_pool", [IMAGE, 3], {"strides": 2}),
    ("moments", [X], {"axes": [0, 1]}), ("batch_normalization", [X, P[0, 0], P[0, 1]], {"axis": -1}),
    ("layer_normalization", [X], {}), ("rms_normalization", [X], {}),
    ("binary_crossentropy", [BOOL.astype("float64"), 1 / (1 + np.exp(-X))], {}),
    ("binary_crossentropy", [BOOL.astype("float64"), X], {"from_logits": True}),
    ("categorical_crossentropy", [P / P.sum(-1, keepdims=True), X], {"from_logits": True}),
    ("sparse_categorical_crossentropy", [np.abs(WHOLE[..., 0]) % 5, X], {"from_logits": True}),
    ("image.resize", [IMAGE, (5, 12)], {}), ("image.resize", [IMAGE, (5, 12)], {"interpolation": "nearest"}),
    ("image.resize", [IMAGE, (5, 12)], {"interpolation": "bicubic"}),
    ("image.resize", [IMAGE, (5, 12)], {"interpolation": "lanczos3", "antialias": True}),
    ("image.pad_images", [IMAGE, 1, 2, None, None, 12, 13], {}), ("image.crop_images", [IMAGE, 1, 2, None, None, 4, 4], {}),
    ("image.rgb_to_grayscale", [IMAGE], {}), ("image.extract_patches", [IMAGE, (3, 3)], {"strides": 2}),
    ("image.hsv_to_rgb", [IMAGE / 9], {}),
    ("image.map_coordinates", [IMAGE[0, :, :, 0], np.abs(away((2, 4, 4), 3)) + 1], {"order": 1}),
    ("image.affine_transform", [IMAGE, np.array([[0.9, 0.1, 0.5, -0.1, 1.1, -0.4, 0.0, 0.0]] * 2)], {}),
]  # fmt: skip
NO_GRADIENT = {  # of Keras or of ours there is none, by nature; or at ties both are right
    *"ceil floor round sign trunc isfinite isinf isnan any all count_nonzero argmax argmin argsort".split(),
    *"equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor".split(),
    *"histogram digitize searchsorted isclose in_top_k arange linspace logspace full quantile".split(),
    "image.affine_transform", "one_hot", "multi_hot", "full_like", "zeros_like", "isreal", "logical_not",
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", OPS, ids=label)
def test_op(row, dtype):
    name, arguments, options = row
    rough = {"erfinv": 4096, "kron": 256, "image.resize": 512, "batch_normalization": 512, "prod": 512}.get(name, 128)
    compare(f"ops.{name}", arguments, options, dtype, name not in NO_GRADIENT, rough)


# Not sparsemax: Keras' is another function where more than one entry counts; tests/test_ops.py holds ours by bisection.
ACTIVATIONS = """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus squareplus
    tanh tanh_shrink threshold""".split()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, dtype):
    rest = [0.2, -1.0] if name == "threshold" else []
    compare(f"activations.{name}", [X[..., :4], *rest], {}, dtype)


SHARES = P / P.sum(axis=-1, keepdims=True)
HOT, LABELS = np.eye(5)[np.abs(WHOLE[..., 0]) % 5], np.abs(WHOLE[..., 0]) % 5
LOSSES = [
    *((name, X, Y, {}) for name in """MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError Huber LogCosh
        CosineSimilarity""".split()),
    *((name, P, np.abs(Y), {}) for name in "MeanSquaredLogarithmicError Poisson".split()),
    *((name, np.sign(X), Y, {}) for name in "Hinge SquaredHinge CategoricalHinge".split()),
    ("KLDivergence", SHARES, SHARES[::-1].copy(), {}), ("Huber", X, Y, {"delta": 0.3}),
    ("CategoricalCrossentropy", HOT, SHARES, {}), ("CategoricalCrossentropy", HOT, X, {"from_logits": True}),
    ("CategoricalCrossentropy", HOT, X, {"from_logits": True, "label_smoothing": 0.1}),
    ("SparseCategoricalCrossentropy", LABELS, SHARES, {}),
    ("SparseCategoricalCrossentropy", LABELS, X, {"from_logits": True, "ignore_class": 2}),
    ("BinaryCrossentropy", HOT, SHARES, {}), ("BinaryCrossentropy", HOT, X, {"from_logits": True, "label_smoothing": 0.2}),
    ("BinaryFocalCrossentropy", HOT, SHARES, {"apply_class_balancing": True}), ("CategoricalFocalCrossentropy", HOT, SHARES, {}),
    ("BinaryFocalCrossentropy", HOT, SHARES, {"gamma": 1.5}), ("Dice", HOT, SHARES, {}), ("Tversky", HOT, SHARES, {"alpha": 0.3}),
    *(("MeanSquaredError", X, Y, {"reduction": reduction}) for reduction in ("sum", "none", None, "mean")),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", LOSSES, ids=lambda row: f"{row[0]}-{row[3]}")
def test_loss(row, dtype):
    name, truth, guess, options = row
    truth, guess = cast(truth, dtype), guess.astype(dtype)
    weights = normal(truth.shape[:2], dtype, 5) ** 2
    for sample_weight in (None, weights):
        ours = getattr(fastconv.losses, name)(dtype=dtype, **options)
        theirs = getattr(keras.losses, name)(dtype="float64", **options)
        given = Tensor(guess, requires_grad=True)
        result = ours(truth, given, sample_weight=sample_weight)
        close(result, theirs(truth, guess, sample_weight=sample_weight), dtype, 256, name)
        fastconv.ops.sum(result).backward()
        slope = jax.grad(lambda p, w=sample_weight, f=theirs: f(truth, p, sample_weight=w).sum())(
            guess.astype("float64")
        )
        close(given.grad, slope, dtype, 256, f"{name}'s gradient")


METRICS = [
    *((name, X, Y, {}) for name in """MeanSquaredError RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError
        LogCoshError CosineSimilarity""".split()),
    *((name, P, np.abs(Y), {}) for name in "MeanSquaredLogarithmicError Poisson".split()),
    *((name, np.sign(X), Y, {}) for name in "Hinge SquaredHinge CategoricalHinge".split()),
    ("R2Score", X[:, 0], Y[:, 0], {}), ("KLDivergence", SHARES, SHARES[::-1].copy(), {}),
    ("CategoricalAccuracy", HOT, SHARES, {}), ("SparseCategoricalAccuracy", LABELS, SHARES, {}),
    ("BinaryAccuracy", HOT, SHARES, {"threshold": 0.2}), ("TopKCategoricalAccuracy", HOT[:, 0], SHARES[:, 0], {"k": 2}),
    ("SparseTopKCategoricalAccuracy", LABELS[:, 0], SHARES[:, 0], {"k": 2}), ("CategoricalCrossentropy", HOT, SHARES, {}),
    ("BinaryCrossentropy", HOT, SHARES, {}), ("SparseCategoricalCrossentropy", LABELS, SHARES, {}),
    *((name, HOT, SHARES, {"thresholds": 0.2}) for name in """Precision Recall TruePositives TrueNegatives FalsePositives
        FalseNegatives""".split()),
    ("Precision", HOT, SHARES, {"top_k": 2}), ("Recall", HOT, SHARES, {"class_id": 1}),
    ("AUC", HOT, SHARES, {}), ("AUC", HOT, SHARES, {"curve": "PR", "num_thresholds": 20}),
    ("F1Score", HOT[:, 0], SHARES[:, 0], {"average": "macro"}), ("FBetaScore", HOT[:, 0], SHARES[:, 0], {"beta": 2.0}),
    *((name, HOT, SHARES, {"specificity" if name.endswith("Specificity") else "recall": 0.6}) for name in (
        "SensitivityAtSpecificity", "PrecisionAtRecall")),
    ("MeanIoU", LABELS, LABELS[::-1].copy(), {"num_classes": 5}), ("BinaryIoU", HOT, SHARES, {"threshold": 0.2}),
    ("IoU", LABELS, LABELS[::-1].copy(), {"num_classes": 5, "target_class_ids": [0, 2]}),
    ("OneHotMeanIoU", HOT, SHARES, {"num_classes": 5}),
]  # fmt: skip


@pytest.mark.parametrize("row", METRICS, ids=lambda row: f"{row[0]}-{row[3]}")
def test_metric(row):
    name, truth, guess, options = row
    ours, theirs = getattr(fastconv.metrics, name)(**options), getattr(keras.metrics, name)(**options)
    for part in (slice(0, 2), slice(2, 3), slice(0, 1)):  # unequal batches
        for metric in (ours, theirs):
            metric.update_state(truth[part], guess[part])
    close(np.asarray(ours.result(), "float64"), np.asarray(theirs.result(), "float64"), "float32", 64, name)


@pytest.mark.parametrize("name, options", [("L1", {}), ("L2", {"l2": 0.3}), ("L1L2", {"l1": 0.1, "l2": 0.2}),
                                           ("OrthogonalRegularizer", {"mode": "rows"})])  # fmt: skip
def test_regularizer(name, options):
    x = X[0]
    compare_made("regularizers", name, options, x)


@pytest.mark.parametrize("name, options", [("MaxNorm", {"max_value": 1.5}), ("NonNeg", {}), ("UnitNorm", {"axis": 1}),
                                           ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.7})])  # fmt: skip
def test_constraint(name, options):
    compare_made("constraints", name, options, X[0])


def compare_made(room, name, options, x):
    ours, theirs = (getattr(getattr(library, room), name)(**options) for library in (fastconv, keras))
    close(ours(Tensor(x)), theirs(x), "float64", 64, name)


INITIALIZERS = [
    *((name, {}) for name in """Zeros Ones GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform
        RandomNormal RandomUniform TruncatedNormal VarianceScaling""".split()),
    ("Constant", {"value": 0.3}), ("VarianceScaling", {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform"}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize("name, options", INITIALIZERS)
def test_initializer_moments(name, options):
    shape = (3, 3, 60, 80)
    ours = np.asarray(getattr(fastconv.initializers, name)(**options)(shape), "float64")
    theirs = np.asarray(getattr(keras.initializers, name)(**options)(shape), "float64")
    near = 5 / np.sqrt(ours.size)
    spread = theirs.std() + 1e-12
    assert abs(ours.mean() - theirs.mean()) < near * spread and abs(ours.std() / spread - 1) < near or spread < 1e-9
    for share in (0.001, 0.25, 0.75, 0.999):
        assert abs(np.quantile(ours, share) - np.quantile(theirs, share)) < 20 * near * spread + 1e-6
    np.testing.assert_allclose([ours.min(), ours.max()], [theirs.min(), theirs.max()], atol=1.5 * spread + 1e-6)


@pytest.mark.parametrize("name, options", [("Orthogonal", {"gain": 2.0}), ("Identity", {"gain": 3.0})])
def test_initializer_structure(name, options):
    for library in (fastconv, keras):
        w = np.asarray(getattr(library.initializers, name)(**options)((6, 6)), "float64")
        np.testing.assert_allclose(w @ w.T, np.eye(6) * options["gain"] ** 2, atol=1e-5)


OPTIMIZERS = [
    *((name, {}) for name in "SGD Adam AdamW RMSprop Adagrad Adadelta Adamax Nadam Lion Ftrl".split()),
    ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("RMSprop", {"momentum": 0.5, "centered": True}), ("Adam", {"amsgrad": True, "clipnorm": 0.3}),
    ("Adam", {"clipvalue": 0.2}), ("Adam", {"global_clipnorm": 0.5}), ("Adam", {"gradient_accumulation_steps": 2}),
    ("SGD", {"use_ema": True, "ema_overwrite_frequency": 2}), ("AdamW", {"weight_decay": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize("name, options", OPTIMIZERS)
def test_optimizer(name, options):
    """Five steps on the same gradients."""
    states = []
    for library in (fastconv, keras):
        optimizer = getattr(library.optimizers, name)(learning_rate=0.02, **options)
        weights = [library.Variable(part.astype("float64"), dtype="float64") for part in (X[0], X[1, 0])]
        for step in range(6):
            slopes = [away(weight.shape, step + 10 * i) for i, weight in enumerate(weights)]
            slopes = slopes if library is fastconv else [jax.numpy.asarray(slope) for slope in slopes]
            optimizer.apply(slopes, weights)
        states.append([np.asarray(weight) for weight in weights])
    for ours, theirs in zip(*states):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
