"""Outputs that are too large for the caches are stored past them: the same bits as those of samples that are not."""

import numpy as np
import pytest
from helpers import normal

from fastconv import kernels

SAMPLES = 3  # each below the limit of 16 MB, all of them above it


def check(run, *arrays):
    """run(arrays) has the bits of run on each sample."""
    whole = run(*arrays)
    assert whole.nbytes > 16 << 20 > whole.nbytes // SAMPLES
    for i in range(SAMPLES):
        np.testing.assert_array_equal(whole[i], run(*[array[i : i + 1] for array in arrays])[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "filters, taps, groups", [(32, 1, 1), (32, 3, 1), (96, 1, 3), (48, 1, 1), (20, 1, 1), (16, 1, 4)]
)
def test_convolution(filters, taps, groups, dtype, isa):
    pixels = (3 << 21) // filters // np.dtype(dtype).itemsize
    x, kernel = normal((SAMPLES, pixels, 2 * groups), dtype), normal((taps, 2, filters), dtype, 1)
    check(lambda x: kernels.conv_forward(x, kernel, algorithm="direct"), x)
    turned = normal((taps, filters, 2 * groups), dtype, 2)
    if groups == 1:
        dy = normal((SAMPLES, pixels - taps + 1, 2), dtype)
        check(lambda dy: kernels.conv_backward_input(dy, turned, (len(dy), pixels, filters)), dy)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [16, 20, 32])
@pytest.mark.parametrize("pool, strides", [(2, 2), (3, 4)])
def test_pooling(pool, strides, channels, dtype, isa):
    height = (3 << 21) // (64 * channels * np.dtype(dtype).itemsize)
    shape = (SAMPLES, height, 64, channels)
    x = normal(shape, dtype)
    y, index = kernels.max_pool_forward(x, pool, strides=strides)
    dy = normal(y.shape, dtype, 1)
    inner = shape[1:]
    check(lambda dy, index: kernels.max_pool_backward(dy, index, (len(dy), *inner), pool, strides=strides), dy, index)
    check(lambda dy: kernels.average_pool_backward(dy, (len(dy), *inner), pool, strides=strides), dy)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [3, 33, 101, 250])
def test_normalization_where_rows_and_samples_end_within_a_line(channels, dtype, isa):
    pixels = (3 << 21) // channels // np.dtype(dtype).itemsize | 1
    x, dy = normal((SAMPLES, pixels, channels), dtype), normal((SAMPLES, pixels, channels), dtype, 1)
    whole = _group_norm(x, dy)
    assert whole[0].nbytes > 16 << 20 > whole[0].nbytes // SAMPLES
    for i in range(SAMPLES):  # whose sums are of other pieces
        for ours, alone in zip(whole, _group_norm(x[i : i + 1], dy[i : i + 1])):
            np.testing.assert_allclose(ours[i], alone[0], atol=200 * np.finfo(dtype).eps)


def _group_norm(x, dy):
    y, mean, inverse_std = kernels.group_norm_forward(x, None, None, 1, 1e-5)
    return y, kernels.group_norm_backward(dy, x, None, mean, inverse_std)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [101, 250, 1000])
def test_scaling_where_rows_end_within_a_line(channels, dtype, isa):
    pixels = (3 << 21) // channels // np.dtype(dtype).itemsize
    x, scale, shift = normal((SAMPLES, pixels, channels), dtype), normal(channels, dtype, 1), normal(channels, dtype, 2)
    check(lambda x: kernels.scale_shift_forward(x, scale, shift, relu=True), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("parts", [(32, 64), (250, 263), (259, 1, 260), (1000,)])
def test_joining_and_taking_apart(parts, dtype, isa):
    pixels = (3 << 21) // sum(parts) // np.dtype(dtype).itemsize
    arrays = [normal((SAMPLES, pixels, part), dtype, i) for i, part in enumerate(parts)]
    check(lambda *arrays: kernels.concatenate_forward(arrays, 2), *arrays)
    whole = np.concatenate(arrays, 2)
    for ours, part in zip(kernels.concatenate_backward(whole, parts, 2), arrays):
        np.testing.assert_array_equal(ours, part)
