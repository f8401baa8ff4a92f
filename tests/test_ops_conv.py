"""Convolution and pooling as ops: gradients over ranks and geometries, arguments that only ops know."""

import numpy as np
import pytest
from helpers_ops import check_planned, values

from fastconv import Tensor, kernels, ops
from fastconv.symbolic import KerasTensor
from fastconv.testing import gradcheck

SIZES = {1: (7,), 2: (5, 6), 3: (4, 3, 5)}
GEOMETRIES = [
    dict(),
    dict(strides=2, padding="same"),
    dict(strides=2, padding="same", dilation_rate=2),
    dict(padding=1, dilation_rate=2),
    dict(padding="pairs", strides=3),
    dict(padding="causal", strides=2, dilation_rate=2),
    dict(groups=2),
]


DEPTHWISE = GEOMETRIES[:-1]
TRANSPOSED = [
    dict(),
    dict(padding="same"),
    dict(strides=2),
    dict(strides=3, padding="same"),  # past the kernel
    dict(strides=2, padding="same", dilation_rate=2),
    dict(strides=3, output_padding=2),
    dict(strides=2, padding="same", output_padding=0),
    dict(strides=2, padding="same", output_padding=1),
    dict(strides=2, padding="pairs", dilation_rate=2, output_padding=1),
    dict(strides=2, groups=2),
]


def geometry(rank, options):
    padding = options.get("padding")
    pairs = {"pairs": ((2, 0),) * rank, "causal": "causal" if rank == 1 else "same"}
    return {**options, "padding": pairs.get(padding, padding)} if padding else options


def each_rank(options):
    """One test for every rank and every row of options."""
    cases = pytest.mark.parametrize("options", options, ids=str)
    return lambda test: pytest.mark.parametrize("rank", SIZES)(cases(test))


def check(op, *arrays):
    """Gradients by finite differences, and the program's bits."""
    assert gradcheck(op, *arrays)
    check_planned(op, arrays, [array[::-1].copy() for array in arrays])


@each_rank(GEOMETRIES)
def test_conv_gradients(rank, options):
    arrays = values(2, *SIZES[rank], 4), values(*(2,) * rank, 4 // options.get("groups", 1), 6), values(6)
    check(lambda x, w, b: ops.conv(x, w, bias=b, **geometry(rank, options)), *arrays)


def test_causal_outputs_do_not_read_what_comes_after():
    x, w = values(1, 9, 2), values(3, 2, 4)
    y = ops.conv(x, w, padding="causal", dilation_rate=2).data
    x[:, 5:] += 1
    later = ops.conv(x, w, padding="causal", dilation_rate=2).data
    np.testing.assert_array_equal(later[:, :5], y[:, :5])
    assert y.shape == (1, 9, 4) and (later[:, 5:] != y[:, 5:]).all()
    padded = np.pad(x, ((0, 0), (4, 0), (0, 0)))
    np.testing.assert_allclose(ops.conv(padded, w, 2, dilation_rate=2).data, later[:, ::2])


@each_rank(DEPTHWISE)
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_gradients(multiplier, rank, options):
    arrays = values(2, *SIZES[rank], 3), values(*(2,) * rank, 3, multiplier), values(3 * multiplier)
    check(lambda x, w, b: ops.depthwise_conv(x, w, bias=b, **geometry(rank, options)), *arrays)


@pytest.mark.parametrize("rank", SIZES)
def test_depthwise_is_a_conv_of_each_channel_alone(rank):
    x, w = values(2, *SIZES[rank], 3), values(*(2,) * rank, 3, 2)
    y = ops.depthwise_conv(x, w, 2, "same").data
    for c in range(3):
        alone = ops.conv(x[..., c : c + 1], w[..., c : c + 1, :], 2, "same").data
        np.testing.assert_allclose(y[..., 2 * c : 2 * c + 2], alone, rtol=1e-13, atol=1e-13)


@each_rank(DEPTHWISE[:3])
def test_separable_gradients(rank, options):
    arrays = values(2, *SIZES[rank], 3), values(*(2,) * rank, 3, 2), values(*(1,) * rank, 6, 4), values(4)
    check(lambda x, d, p, b: ops.separable_conv(x, d, p, bias=b, **geometry(rank, options)), *arrays)


def test_separable_is_depthwise_then_pointwise():
    x, d, p = values(2, 5, 6, 3), values(2, 2, 3, 2), values(1, 1, 6, 4)
    y = ops.separable_conv(x, d, p, 2, "same").data
    np.testing.assert_array_equal(y, ops.conv(ops.depthwise_conv(x, d, 2, "same"), p).data)


@each_rank(TRANSPOSED)
def test_conv_transpose_gradients(rank, options):
    arrays = values(2, *SIZES[rank], 4), values(*(2,) * rank, 3, 4), values(3 * options.get("groups", 1))
    check(lambda x, w, b: ops.conv_transpose(x, w, bias=b, **geometry(rank, options)), *arrays)


# What Keras 3.15.1 makes of 4 cells: kernel, strides, dilation_rate, padding, output_padding, cells that are cut off at
# the start, cells that are left.
KERAS = [
    (3, 1, 1, "valid", None, 0, 6), (3, 2, 1, "valid", None, 0, 9), (2, 3, 1, "valid", None, 0, 12),
    (3, 2, 1, "valid", 1, 0, 10), (3, 1, 1, "same", None, 1, 4), (2, 1, 1, "same", None, 0, 4),
    (3, 2, 1, "same", None, 0, 8), (4, 2, 1, "same", None, 1, 8), (5, 2, 1, "same", None, 1, 8),
    (2, 3, 1, "same", None, 0, 12), (1, 2, 1, "same", None, 0, 8), (3, 2, 1, "same", 0, 1, 7),
    (3, 2, 1, "same", 1, 0, 8), (4, 3, 1, "same", 2, 1, 11), (2, 3, 1, "same", 0, 1, 9),
    (3, 1, 2, "same", None, 2, 4), (2, 1, 3, "valid", None, 0, 7),
]  # fmt: skip


@pytest.mark.parametrize("taps, strides, dilation, padding, output_padding, cut, size", KERAS)
def test_conv_transpose_spreads_each_cell_as_keras(taps, strides, dilation, padding, output_padding, cut, size):
    x, w = values(2, 4, 3), values(taps, 2, 3)
    full = np.zeros((2, 40, 2))
    for i in range(4):
        for tap in range(taps):
            full[:, i * strides + tap * dilation] += x[:, i] @ w[tap].T
    y = ops.conv_transpose(x, w, strides, padding, output_padding, dilation_rate=dilation).data
    np.testing.assert_allclose(y, full[:, cut : cut + size], rtol=1e-13, atol=1e-13)


@each_rank([dict(), dict(strides=2, padding="same"), dict(strides=2, padding=1, output_padding=1)])
def test_conv_transpose_is_the_gradient_of_conv(rank, options):
    x, w = values(2, *SIZES[rank], 4), values(*(3,) * rank, 5, 4)
    y = ops.conv_transpose(x, w, **options)
    cut = kernels.Window.transposed(SIZES[rank], (3,) * rank, **options).padding
    source = Tensor(np.zeros(y.shape), requires_grad=True)
    ops.conv(source, w, options.get("strides", 1), cut).backward(x)
    np.testing.assert_allclose(y.data, source.grad, rtol=1e-13, atol=1e-13)


def test_conv_transpose_in_groups_is_each_group_alone():
    x, w = values(2, 4, 5, 6), values(3, 2, 3, 6)
    y = ops.conv_transpose(x, w, 2, "same", groups=2).data
    for g in range(2):
        alone = ops.conv_transpose(x[..., 3 * g : 3 * g + 3], w[..., 3 * g : 3 * g + 3], 2, "same").data
        np.testing.assert_allclose(y[..., 3 * g : 3 * g + 3], alone, rtol=1e-13, atol=1e-13)


def test_conv_is_the_kernel():
    x, w = values(2, 6, 6, 3, dtype="float32"), values(3, 3, 3, 4, dtype="float32")
    y = ops.conv(x, w, strides=2, padding="same")
    np.testing.assert_array_equal(y.data, kernels.conv_forward(x, w, strides=2, padding="same"))


def test_conv_makes_only_the_gradients_that_are_wanted(monkeypatch):
    for name in ("conv_backward_input", "bias_backward"):
        monkeypatch.setattr(kernels, name, lambda *args, **kwargs: pytest.fail("not wanted"))
    w = Tensor(values(3, 1, 2), requires_grad=True)
    ops.conv(values(2, 8, 1), w, bias=values(2)).sum().backward()
    assert w.grad.shape == w.shape


@pytest.mark.parametrize("pool", [ops.max_pool, ops.average_pool])
@pytest.mark.parametrize("options", [dict(), dict(strides=1), dict(strides=2, padding="same")], ids=str)
@pytest.mark.parametrize("rank", SIZES)
def test_pool_gradients(pool, rank, options):
    assert gradcheck(lambda x: pool(x, 3 if "strides" in options else 2, **options), values(2, *SIZES[rank], 3))


@pytest.mark.parametrize("pool", [ops.adaptive_max_pool, ops.adaptive_average_pool])
@pytest.mark.parametrize("output_size", [1, 2, 3, "own"], ids=str)
@pytest.mark.parametrize("rank", SIZES)
def test_adaptive_pool_gradients(pool, rank, output_size):
    size = (3, 5, 2)[:rank] if output_size == "own" else output_size
    check(lambda x: pool(x, size), values(2, *SIZES[rank], 3))


def test_adaptive_pool_of_one_bin_is_the_global_pool():
    x = values(2, 4, 5, 3)
    np.testing.assert_array_equal(ops.adaptive_max_pool(x, 1).data[:, 0, 0], ops.global_max_pool(x).data)
    np.testing.assert_allclose(ops.adaptive_average_pool(x, 1).data[:, 0, 0], ops.global_average_pool(x).data)


@pytest.mark.parametrize("pool", [ops.global_max_pool, ops.global_average_pool])
@pytest.mark.parametrize("rank", SIZES)
def test_global_pool_gradients(pool, rank):
    x = values(2, *SIZES[rank], 3)
    expected = getattr(x, "max" if pool is ops.global_max_pool else "mean")(axis=tuple(range(1, rank + 1)))
    np.testing.assert_allclose(pool(x).data, expected)
    assert gradcheck(pool, x)


def test_nan_reaches_through_conv_and_pools():
    x = values(1, 4, 4, 1)
    x[0, 1, 1, 0] = np.nan
    for y in (ops.conv(x, values(2, 2, 1, 1)), ops.max_pool(x, 2), ops.average_pool(x, 2)):
        assert np.isnan(y.data[0, 0, 0, 0]) and not np.isnan(y.data[0, -1, -1, 0])


def test_batch_of_zero():
    x, w = Tensor(np.zeros((0, 6, 6, 2)), True), Tensor(values(3, 3, 2, 4), True)
    ops.max_pool(ops.conv(x, w), 2).sum().backward()
    assert x.grad.shape == x.shape and not w.grad.any()


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, w, **layout: ops.conv(x, w, 2, "same", **layout),
        lambda x, w, **layout: ops.separable_conv(x, w[..., :2, :2], w[:1, :1, :1].repeat(4, 2), **layout),
        lambda x, w, **layout: ops.depthwise_conv(x, w[..., :2, :], **layout),
        lambda x, w, **layout: ops.conv_transpose(x, w[..., :2], (2, 1), **layout),
        lambda x, w, **layout: ops.max_pool(x, 2, 1, **layout),
        lambda x, w, **layout: ops.average_pool(x, (1, 2), **layout),
        lambda x, w, **layout: ops.adaptive_max_pool(x, 2, **layout),
        lambda x, w, **layout: ops.adaptive_average_pool(x, 3, **layout),
        lambda x, w, **layout: ops.upsample(x, (1, 2), **layout),
    ],
)
def test_channels_first_is_channels_last_turned_around(call, chosen, monkeypatch):
    x, w = values(2, 4, 5, 2), values(2, 2, 2, 3)
    expected = np.moveaxis(call(x, w, data_format="channels_last").numpy(), -1, 1)
    given = Tensor(np.moveaxis(x, -1, 1).copy(), True)
    if chosen:
        monkeypatch.setattr("fastconv.config.image_data_format", lambda: "channels_first")
    y = call(given, w, **({} if chosen else {"data_format": "channels_first"}))
    np.testing.assert_array_equal(y, expected)
    y.sum().backward()
    assert given.grad.shape == (2, 2, 4, 5)


def test_other_layouts_are_refused():
    with pytest.raises(ValueError, match="data_format must be 'channels_last', 'channels_first' or None; got 'NHWC'"):
        ops.average_pool(values(1, 5, 5, 2), 2, data_format="NHWC")


def test_conv_takes_one_dtype():
    with pytest.raises(TypeError, match="Conv got float32 and float64"):
        ops.conv(values(1, 5, 5, 2, dtype="float32"), values(2, 2, 2, 3))


X, W = (1, 5, 5, 2), (2, 2, 2, 3)
ERRORS = [
    (lambda x, w: ops.conv(x, w, padding="causal"), "padding must be 'valid', 'same', an int"),
    (lambda x, w: ops.conv(ops.reshape(x, (1, 25, 2)), w), "equally many axes|kernel must have 3"),
    (lambda x, w: ops.max_pool(ops.reshape(x, (1, 25, 2)), 2, padding="causal"), "got 'causal'"),
    (lambda x, w: ops.depthwise_conv(ops.concatenate([x, x], -1), w), r"shape \(2, 2, 2, 3\) is for 2 channels"),
    (lambda x, w: ops.conv_transpose(x, w), "its last axis must be x's channels"),
    (lambda x, w: ops.conv_transpose(x, ops.swapaxes(w, 2, 3), output_padding=1), "must be less than strides"),
    (lambda x, w: ops.conv_transpose(x, ops.swapaxes(w, 2, 3), padding="causal"), "padding"),
    (lambda x, w: ops.conv_transpose(x, ops.swapaxes(w, 2, 3), padding=3), "use less padding"),
    (lambda x, w: ops.conv_transpose(x, ops.swapaxes(w, 2, 3), groups=3), "must be a multiple of groups, 3"),
    (lambda x, w: ops.conv_transpose(x, ops.swapaxes(w, 2, 3), bias=w[0, 0, :, 0]), "one entry a"),
    (lambda x, w: ops.adaptive_max_pool(x, 0), "output_size must be between 1"),
    (lambda x, w: ops.adaptive_average_pool(x, (1, 2, 3)), "output_size must be an integer or 2 integers"),
]


@pytest.mark.parametrize("call, message", ERRORS, ids=[message for _, message in ERRORS])
@pytest.mark.parametrize("drawn", [False, True])
def test_bad_input_says_what_is_wrong(call, message, drawn):
    """On arrays and, without a value computed, on tensors without data."""
    x, w = (KerasTensor(X), KerasTensor(W)) if drawn else (Tensor(values(*X)), Tensor(values(*W)))
    with pytest.raises(ValueError, match=message):
        call(x, w)
