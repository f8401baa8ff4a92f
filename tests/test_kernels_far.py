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
