"""Batch, group, layer and RMS normalization: each against its twin; hard statistics, special values, threads, size."""

import numpy as np
import pytest
from helpers import integers, largest, normal

from fastconv import kernels
from fastconv.kernels import reference

EPSILON = 1e-3
DTYPES = [np.float32, np.float64]
# Few channels (rows of several pixels, the last one shorter), a whole vector, blocks of columns, few rows, many pieces.
SHAPES = [(2, 1), (5, 3), (3000, 3), (7, 5, 63), (2, 3, 3, 3, 16), (9, 9, 9, 64), (50, 257), (2, 2048), (30_001, 2),
          (40, 20, 48)]  # fmt: skip
WEIGHTS = [(True, True), (True, False), (False, True), (False, False)]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def weights(shape, dtype, some=(True, True)):
    return [normal(shape, dtype, i) if given else None for i, given in enumerate(some)]


def check(name, *arguments, **options):
    """kernels.`name` against its twin, all results within the rounding of the sums; returns them."""
    size = max(array.size for array in arguments if isinstance(array, np.ndarray))
    terms = 256 + 4 * size**0.5  # rounding errors of a sum are a random walk
    results, twins = getattr(kernels, name)(*arguments, **options), getattr(reference, name)(*arguments, **options)
    assert len(results) == len(twins)
    for ours, twin in zip(results, twins):
        if twin is None:
            assert ours is None
            continue
        assert (ours.dtype, ours.shape) == (twin.dtype, twin.shape)
        tolerance = terms * np.finfo(twin.dtype).eps * max(1, largest(twin))
        np.testing.assert_allclose(ours, twin, rtol=0, atol=tolerance)
    return results


@each_dtype
@each_shape
def test_batch_norm(shape, dtype, isa):
    x, dy, added = normal(shape, dtype) + dtype(3), normal(shape, dtype, 1), normal(shape, dtype, 2)
    ends = ((None, False, None), (added, True, 0.5), (None, True, None), (added, False, None))
    for some, (residual, relu, most) in zip(WEIGHTS, ends):
        gamma, beta = weights(shape[-1:], dtype, some)
        options = {"residual": residual, "relu": relu, "most": most}
        y, mean, inverse_std, variance = check("batch_norm_forward", x, gamma, beta, EPSILON, **options)
        check("batch_norm_inference_forward", x, gamma, beta, mean, variance, EPSILON, **options)
        check("batch_norm_fold", gamma, beta, mean, variance, EPSILON)
        options = {"y": y if relu else None, "residual": residual is not None, "most": most}
        for name in ("batch_norm_backward", "batch_norm_inference_backward"):
            check(name, dy, x, gamma, mean, inverse_std, **options)


@each_dtype
@each_shape
def test_group_norm(shape, dtype, isa):
    x, dy, channels = normal(shape, dtype), normal(shape, dtype, 1), shape[-1]
    for groups, some in zip(sorted({1, 3 if channels % 3 == 0 else 1, channels // 2 or 1, channels}), WEIGHTS):
        if channels % groups == 0 and len(x) < 1000:
            gamma, beta = weights(shape[-1:], dtype, some)
            _, mean, inverse_std = check("group_norm_forward", x, gamma, beta, groups, 0.1)
            check("group_norm_backward", dy, x, gamma, mean, inverse_std)


@each_dtype
@each_shape
def test_layer_and_rms_norm(shape, dtype, isa):
    x, dy = normal(shape, dtype) + dtype(0.5), normal(shape, dtype, 1)
    for axes, some in zip(range(1, len(shape) + 1), WEIGHTS):
        gamma, beta = weights(shape[-axes:], dtype, some)
        _, mean, inverse_std = check("layer_norm_forward", x, gamma, beta, 0.1, axes)
        check("layer_norm_backward", dy, x, gamma, mean, inverse_std)
        _, inverse_std = check("rms_norm_forward", x, gamma, 0.1, axes)
        check("rms_norm_backward", dy, x, gamma, inverse_std)


@each_dtype
def test_integers_are_exact(dtype, isa):
    for shape in SHAPES:
        x, dy = integers(shape, dtype), integers(shape, dtype, 1)
        scale, shift = integers(shape[-1:], dtype, 2), integers(shape[-1:], dtype, 3)
        y = kernels.scale_shift_forward(x, scale, shift, residual=dy, relu=True)
        np.testing.assert_array_equal(y, reference.scale_shift_forward(x, scale, shift, residual=dy, relu=True))
        center, ones = integers(shape[-1:], dtype, 4), np.ones(shape[-1:], dtype)
        for name in ("batch_norm_backward", "batch_norm_inference_backward"):
            sums = [getattr(module, name)(dy, x, scale, center, ones, y)[1:3] for module in (kernels, reference)]
            np.testing.assert_array_equal(*sums)


@each_dtype
def test_moving_statistics(dtype, isa):
    moving, twins, new = [[normal((1001,), dtype, i + j) for i in range(2)] for j in (0, 0, 2)]
    kernels.batch_norm_update(*moving, *new, 0.99)
    reference.batch_norm_update(*twins, *new, 0.99)
    np.testing.assert_allclose(moving, twins, rtol=0, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    "needs", [(True, False, False), (False, True, False), (False, False, True), (False, False, False)]
)
def test_only_what_is_needed(needs):
    x, dy, gamma = normal((60, 5, 12), "f4"), normal((60, 5, 12), "f4", 1), normal((12,), "f4")
    mean, inverse_std = kernels.batch_norm_forward(x, gamma, gamma, EPSILON)[1:3]
    check("batch_norm_backward", dy, x, gamma, mean, inverse_std, needs=needs)
    check("batch_norm_inference_backward", dy, x, gamma, mean, inverse_std, needs=(*needs, False, True))
    _, mean, inverse_std = kernels.group_norm_forward(x, gamma, gamma, 4, EPSILON)
    check("group_norm_backward", dy, x, gamma, mean, inverse_std, needs=needs)
    _, mean, inverse_std = kernels.layer_norm_forward(x, gamma, gamma, EPSILON)
    check("layer_norm_backward", dy, x, gamma, mean, inverse_std, needs=needs)
    check("rms_norm_backward", dy, x, gamma, kernels.rms_norm_forward(x, gamma, EPSILON)[1], needs=needs[:2])


# ------------------------------------------------------------------------------------------------- hard statistics


@pytest.mark.parametrize("channels", [1, 3, 64, 300])
def test_a_mean_far_above_the_deviation(channels, isa):
    """Mean 1e4, deviation 1, in float32: as close to the twin in float64 as without the mean."""
    x = normal((64, 6, 7, channels), "f4") + np.float32(1e4)
    for name, arguments in (
        ("batch_norm_forward", (None, None, EPSILON)),
        ("group_norm_forward", (None, None, 1, EPSILON)),
        ("layer_norm_forward", (None, None, EPSILON, 3)),
    ):
        y, mean, inverse_std = getattr(kernels, name)(x, *arguments)[:3]
        twins = getattr(reference, name)(x, *arguments)
        np.testing.assert_allclose(y, twins[0], rtol=0, atol=4e-6)
        np.testing.assert_array_equal(mean, twins[1])
        np.testing.assert_allclose(inverse_std, twins[2], rtol=1e-6)


def test_the_first_rows_may_be_unlike_the_others(isa):
    x = normal((100_000, 3), "f4")
    x[0], x[1:200] = 1e6, 1e3
    y, _, _, variance = kernels.batch_norm_forward(x, None, None, EPSILON)
    twins = reference.batch_norm_forward(x, None, None, EPSILON)
    np.testing.assert_allclose(variance, twins[3], rtol=1e-5)
    np.testing.assert_allclose(y, twins[0], rtol=1e-5, atol=1e-7)


def test_a_constant_channel_is_its_beta(isa):
    x, beta = normal((500, 6, 5), "f4"), normal((5,), "f4", 1)
    x[..., 2] = 1234.567
    y, mean, inverse_std, variance = kernels.batch_norm_forward(x, None, beta, EPSILON)
    assert variance[2] == 0 and (y[..., 2] == beta[2]).all()
    assert np.isfinite(kernels.batch_norm_backward(x, x, None, mean, inverse_std)[0]).all()
    x[3:5] = 7.7
    assert (kernels.layer_norm_forward(x, None, None, EPSILON)[0][3:5] == 0).all()


def nan_channels(array):
    """The channels that are NaN; none may be so in part."""
    nan = np.isnan(array).reshape(-1, array.shape[-1])
    assert (nan.all(axis=0) == nan.any(axis=0)).all()
    return np.flatnonzero(nan.any(axis=0)).tolist()


def test_nan_reaches_what_depends_on_it_alone(isa):
    x, ones = normal((2, 300, 6), "f4"), np.ones((2, 300, 6), "f4")
    x[1, 7, 4] = np.nan
    for relu in (False, True):
        y, mean, inverse_std, _ = kernels.batch_norm_forward(x, None, None, EPSILON, relu=relu)
        assert nan_channels(y) == [4]
        dx = kernels.batch_norm_backward(ones, x, None, mean, inverse_std, y if relu else None)[0]
        assert nan_channels(dx) == [4]
    y = kernels.group_norm_forward(x, None, None, 3, EPSILON)[0]
    assert np.isnan(y[1, :, 4:]).all() and np.isnan(y).sum() == 600
    y = kernels.layer_norm_forward(x, None, None, EPSILON)[0]
    assert np.isnan(y[1, 7]).all() and np.isnan(y).sum() == 6


def test_relu_passes_the_gradient_as_relu_does(isa):
    x, y = normal((40, 7), "f4"), normal((40, 7), "f4", 1)
    y[3], y[4] = np.nan, -0.0
    dresidual = kernels.batch_norm_backward(x, x, None, x[0], np.abs(x[1]), y, residual=True)[3]
    np.testing.assert_array_equal(dresidual, kernels.relu_backward(x, y))
    y[5] = 0.25
    dresidual = kernels.batch_norm_backward(x, x, None, x[0], np.abs(x[1]), y, residual=True, most=0.25)[3]
    np.testing.assert_array_equal(dresidual, kernels.map_backward("clipped_relu", x, y, 0.25))
    assert kernels.batch_norm_backward(x, x, None, x[0], x[1], residual=True)[3] is x


# --------------------------------------------------------------------------------------- threads, size, plans, errors


def everything(x, dy, gamma, beta, groups):
    """The results of all kernels on this data."""
    results = kernels.batch_norm_forward(x, gamma, beta, EPSILON, residual=dy, relu=True)
    y, mean, inverse_std, variance = results
    results += kernels.batch_norm_backward(dy, x, gamma, mean, inverse_std, y, residual=True)
    results += kernels.batch_norm_inference_forward(x, gamma, beta, mean, variance, EPSILON)
    results += kernels.batch_norm_inference_backward(dy, x, gamma, mean, inverse_std)[:5]
    _, mean, inverse_std = grouped = kernels.group_norm_forward(x, gamma, beta, groups, EPSILON)
    results += grouped + kernels.group_norm_backward(dy, x, gamma, mean, inverse_std)
    _, mean, inverse_std = layer = kernels.layer_norm_forward(x, gamma, beta, EPSILON)
    results += layer + kernels.layer_norm_backward(dy, x, gamma, mean, inverse_std)
    rms = kernels.rms_norm_forward(x, gamma, EPSILON)
    return results + rms + kernels.rms_norm_backward(dy, x, gamma, rms[1])


@pytest.mark.parametrize("shape", [(5, 40, 90, 6), (3, 7, 7, 1024)], ids=str)
def test_the_same_bits_at_any_number_of_threads(shape, restore_threads):
    data = normal(shape, "f4"), normal(shape, "f4", 1), *weights(shape[-1:], "f4")
    bits = set()
    for threads in (1, 2, 3, 5):
        kernels.set_num_threads(threads)
        bits.add(b"".join(array.tobytes() for array in everything(*data, 2)))
    assert len(bits) == 1


def test_maps_larger_than_the_caches(isa):
    """They are stored past them: the bits of a sample by itself, or what the sums say."""
    shape = (3, 25_001, 64)
    x, dy, (gamma, beta) = normal(shape, "f4"), normal(shape, "f4", 1), weights(shape[-1:], "f4")
    assert x.nbytes > 16 << 20 > x[0].nbytes
    rows = kernels.layer_norm_forward(x, gamma, beta, EPSILON)[1:]
    needs = (True, False, False)
    for run in (
        lambda x, dy, *_: kernels.scale_shift_forward(x, gamma, beta, dy, relu=True),
        lambda x, dy, *_: kernels.batch_norm_inference_backward(dy, x, gamma, beta, gamma, x, (*needs, 0, 0))[0],
        lambda x, dy, *_: kernels.layer_norm_forward(x, gamma, beta, EPSILON)[0],
        lambda x, dy, *rows: kernels.layer_norm_backward(dy, x, gamma, *rows, needs)[0],
    ):
        one = run(*[array[1:2] for array in (x, dy, *rows)])
        np.testing.assert_array_equal(run(x, dy, *rows)[1:2], one)
    _, mean, inverse_std, _ = kernels.batch_norm_forward(x, gamma, beta, EPSILON)
    dx, dgamma, dbeta, _ = kernels.batch_norm_backward(dy, x, gamma, mean, inverse_std)
    normalized = (x[1] - mean) * inverse_std
    expected = gamma * inverse_std * (dy[1] - (dbeta + normalized * dgamma) / (x.size // 64))
    np.testing.assert_allclose(dx[1], expected, rtol=0, atol=1e-5)


def test_a_plan_repeats_it():
    """All of it is runs of kernels: a plan's replay on other data has the same bits, moving statistics included."""
    shape = (4, 9, 9, 8)
    inputs, others = [[kernels.empty(shape, np.float32) for _ in range(2)] for _ in range(2)]
    for i, array in enumerate((*inputs, *others)):
        array[...] = normal(shape, "f4", i)
    gamma, beta = weights((8,), "f4")
    moving = [np.zeros(8, "f4"), np.ones(8, "f4")]

    def step(x, dy):
        results = everything(x, dy, gamma, beta, 4)
        kernels.batch_norm_update(*moving, results[1], results[3], 0.9)
        return results

    plan = kernels.Plan()
    with plan:
        outputs = step(*inputs)
    assert not plan.failed
    results, before = [np.empty_like(array) for array in outputs], np.array(moving)
    assert plan.replay(inputs, others, results, outputs)
    after = np.array(moving)
    for array, start in zip(moving, before):
        array[...] = start
    for ours, eager in zip([*results, *after], [*step(*others), *moving]):
        np.testing.assert_array_equal(ours, eager)


def test_empty_batches():
    x, weight = np.zeros((0, 3, 4), "f4"), np.ones(4, "f4")
    y, inverse_std = kernels.batch_norm_inference_forward(x, weight, weight, weight, weight, EPSILON)
    gradients = kernels.batch_norm_inference_backward(y, x, weight, weight, inverse_std)
    assert y.shape == gradients[0].shape == (0, 3, 4) and not any(array.any() for array in gradients[1:5])
    y, mean, inverse_std = kernels.layer_norm_forward(x, weight, weight, EPSILON)
    assert mean.shape == (0, 3) and not kernels.layer_norm_backward(y, x, weight, mean, inverse_std)[1].any()
    y, mean, inverse_std = kernels.group_norm_forward(x, weight, weight, 2, EPSILON)
    assert mean.shape == (0, 2) and not kernels.group_norm_backward(y, x, weight, mean, inverse_std)[2].any()


X, C = np.zeros((6, 4), "f4"), np.zeros(4, "f4")
FROZEN = np.broadcast_to(np.float32(0), (4,))


@pytest.mark.parametrize(
    "error, message, call",
    [
        (ValueError, r"at least 2 values a channel.*\(1, 4\).*larger batches.*training=False",
         lambda: kernels.batch_norm_forward(X[:1], C, C, EPSILON)),
        (ValueError, "at least 2 values", lambda: kernels.batch_norm_forward(X[:0], C, C, EPSILON)),
        (ValueError, r"gamma must have one entry a channel, \(4,\); got \(3,\)",
         lambda: kernels.batch_norm_forward(X, C[:3], C, EPSILON)),
        (ValueError, r"variance must have one entry a channel, \(4,\); got \(1, 4\)",
         lambda: kernels.batch_norm_inference_forward(X, C, C, C, C[None], EPSILON)),
        (ValueError, "x must have at least 2 dimensions", lambda: kernels.batch_norm_forward(C, C, C, EPSILON)),
        (ValueError, "x must have at least 2 dimensions", lambda: kernels.scale_shift_forward(C[0, ...], C, C)),
        (ValueError, "x must have at least 2 dimensions", lambda: kernels.batch_norm_backward(C, C, C, C, C)),
        (TypeError, "beta is float64 and goes with float32",
         lambda: kernels.batch_norm_forward(X, C, C.astype("f8"), EPSILON)),
        (ValueError, "residual must have x's shape", lambda: kernels.batch_norm_forward(X, C, C, EPSILON, X[:2])),
        (ValueError, "dy must have x's shape", lambda: kernels.batch_norm_backward(X[:2], X, C, C, C)),
        (ValueError, "mean must be the forward's", lambda: kernels.batch_norm_backward(X, X, C, C[:3], C)),
        (ValueError, "mean must be the forward's", lambda: kernels.group_norm_backward(X, X, C, X[:, :3], X[:, :3])),
        (ValueError, "mean must be the forward's", lambda: kernels.group_norm_backward(X, X, C, X[:, :0], X[:, :0])),
        (ValueError, "moving_mean is changed in place", lambda: kernels.batch_norm_update(FROZEN, C, C, C, 0.9)),
        (ValueError, "moving_variance must have one entry", lambda: kernels.batch_norm_update(C, C[:2], C, C, 0.9)),
        (ValueError, "groups must be at least 1 and divide the 4 channels of x; got 3",
         lambda: kernels.group_norm_forward(X, C, C, 3, EPSILON)),
        (ValueError, "got 0", lambda: kernels.group_norm_forward(X, C, C, 0, EPSILON)),
        (ValueError, r"gamma must have the shape of x's normalized axes, \(6, 4\)",
         lambda: kernels.layer_norm_forward(X, C, None, EPSILON, 2)),
        (ValueError, "axes must be at least 1", lambda: kernels.rms_norm_forward(X, C, EPSILON, 0)),
        (ValueError, "x must have at least 3 dimensions", lambda: kernels.rms_norm_forward(X, C, EPSILON, 3)),
        (ValueError, "inverse_std must have the shape of x's first axes",
         lambda: kernels.layer_norm_backward(X, X, C, C, C)),
        (ValueError, "inverse_std must have", lambda: kernels.rms_norm_backward(X, X, None, X)),
    ],
)  # fmt: skip
def test_bad_input_says_what_is_wrong(error, message, call):
    with pytest.raises(error, match=message):
        call()
