"""Convolution, ReLU and max-pooling as one kernel, and its gradients from the winners: against their twins."""

import numpy as np
import pytest
from helpers import covering, integers, label, normal

from fastconv import kernels
from fastconv.kernels import algorithms, reference

pytestmark = pytest.mark.usefixtures("exact")

ROWS = covering(
    rank=(1, 2, 3),
    pool=(1, 2, 3),
    taps=(1, 2, 3, 5),
    channels=(1, 3, 16, 33),
    filters=(1, 8, 17, 32),
    padding=("valid", "same", "pairs"),
    strides=(1, 2),
    dilation_rate=(1, 2),
    batch=(1, 5),
    relu=(True, False),
    dtype=(np.float32, np.float64),
)
SPECIAL = {
    "the tutorial's first layer": ((5, 28, 28, 1), (5, 5, 1, 32), 2, {}),
    "the tutorial's second layer": ((5, 12, 12, 32), (5, 5, 32, 64), 2, {}),
    "groups": ((4, 20, 20, 4), (3, 3, 2, 8), 2, {}),
    "depthwise": ((4, 20, 20, 5), (3, 3, 1, 5), 2, {"padding": "same"}),
    "a window of its own on each axis": ((4, 9, 11, 13, 3), (2, 3, 3, 3, 9), (1, 3, 2), {"padding": 1}),
    "a window as large as the map": ((5, 6, 7, 3), (3, 3, 3, 4), (4, 5), {}),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), 1, {}),
    "an empty batch": ((0, 9, 9, 3), (3, 3, 3, 4), 2, {}),
    "a long run": ((4, 6, 40, 21), (3, 9, 21, 5), 2, {}),
    "rows that come in chunks": ((1, 90, 80, 16), (3, 3, 16, 8), 2, {}),
    "dilated by rows": ((4, 20, 20, 8), (3, 3, 8, 8), 2, {"dilation_rate": (3, 1)}),
}


def check(x, kernel, pool, dtype, relu=True, **options):
    """Forward and both gradients by every algorithm that takes the shape, exactly, on integers."""
    x, kernel, bias = integers(x, dtype, 1), integers(kernel, dtype, 2), integers(kernel[-1:], dtype, 3)
    expected, winners = reference.conv_pool_forward(x, kernel, bias, pool, relu=relu, **options)
    for algorithm in (None, "direct", "streamed"):
        try:
            y, index = kernels.conv_pool_forward(x, kernel, bias, pool, relu=relu, algorithm=algorithm, **options)
        except ValueError as error:
            assert algorithm == "streamed" and "cannot run" in str(error)
            continue
        np.testing.assert_array_equal(y, expected)
        assert y.dtype == dtype and index.dtype == np.uint8
        np.testing.assert_array_equal(index, winners)

    dy = integers(y.shape, dtype, 4)
    np.testing.assert_array_equal(
        kernels.conv_pool_backward_bias(dy, winners), reference.conv_pool_backward_bias(dy, winners)
    )
    for algorithm in (None, "sparse", "direct"):
        try:
            dx = kernels.conv_pool_backward_input(dy, winners, kernel, x.shape, pool, algorithm=algorithm, **options)
            np.testing.assert_array_equal(
                dx, reference.conv_pool_backward_input(dy, winners, kernel, x.shape, pool, **options)
            )
        except ValueError as error:
            assert algorithm == "sparse" and "cannot run" in str(error)
        try:
            dkernel = kernels.conv_pool_backward_kernel(
                dy, winners, x, kernel.shape, pool, algorithm=algorithm, **options
            )
            np.testing.assert_array_equal(
                dkernel, reference.conv_pool_backward_kernel(dy, winners, x, kernel.shape, pool, **options)
            )
        except ValueError as error:
            assert algorithm == "sparse" and "cannot run" in str(error)


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_agrees_with_its_twin(row, isa):
    row = dict(row)
    rank, taps, dilation = row.pop("rank"), row.pop("taps"), row["dilation_rate"]
    pool, strides = row.pop("pool"), row["strides"]
    size = tuple((taps - 1) * dilation + 1 + (2 * pool + 1 + axis) * strides for axis in range(rank))
    x = (row.pop("batch"), *size, row["channels"])
    kernel = ((taps,) * rank) + (row.pop("channels"), row.pop("filters"))
    if row["padding"] == "pairs":
        row["padding"] = tuple((axis, 1) for axis in range(rank))
    check(x, kernel, pool, row.pop("dtype"), **row)


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_shapes_agree_too(name, dtype, isa):
    x, kernel, pool, options = SPECIAL[name]
    check(x, kernel, pool, dtype, **options)


@pytest.mark.parametrize("shape", [((3, 14, 13, 32), (5, 5, 32, 33)), ((3, 15, 18, 16), (3, 3, 16, 16))])
def test_winograd_pools_what_it_computes(shape, isa):
    kernels.set_precision("fast")
    x, kernel = normal(shape[0], np.float32, 1), normal(shape[1], np.float32, 2)
    bias = normal(kernel.shape[-1:], np.float32, 3)
    names = [row.name for row in algorithms.candidates(_problem(x, kernel), pool=(2, 2)) if row.outputs]
    assert names
    expected, _ = reference.conv_pool_forward(x, kernel, bias, 2)
    for name in names:
        y, index = kernels.conv_pool_forward(x, kernel, bias, 2, algorithm=name)
        full = kernels.conv_forward(x, kernel, bias, algorithm=name)
        pooled, winners = kernels.max_pool_forward(full, 2)
        np.testing.assert_array_equal(y, kernels.relu_forward(pooled))
        np.testing.assert_array_equal(index, np.where(pooled > 0, winners, 255))
        np.testing.assert_allclose(y, expected, atol=1e-3)


def _problem(x, kernel):
    window = kernels.Window.of(x.shape[1:-1], kernel.shape[:-2])
    return algorithms.Problem("forward", window, len(x), x.shape[-1], kernel.shape[-1], 1)


def test_nan_wins_its_window_and_the_first_stays(isa):
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 0, 1], x[0, 1, 0], x[0, 2, 2] = np.nan, np.nan, np.nan
    y, index = kernels.conv_pool_forward(x, np.ones((1, 1, 1, 9), np.float32), None, 2)
    assert np.isnan(y[0, [0, 1], [0, 1]]).all() and not np.isnan(y[0, [0, 1], [1, 0]]).any()
    assert (index == 255).all()  # a NaN passes ReLU, its gradient does not
    y, index = kernels.conv_pool_forward(x, np.ones((1, 1, 1, 9), np.float32), None, 2, relu=False)
    assert (index[0, 0, 0] == 1).all() and (index[0, 1, 1] == 0).all()
    dy = np.zeros_like(y)
    dy[0, 0, 0] = np.nan
    assert np.isnan(kernels.conv_pool_backward_kernel(dy, index, x, (1, 1, 1, 9), 2, algorithm="sparse")).all()


@pytest.mark.parametrize(
    "shape", [((5, 28, 28, 1), (5, 5, 1, 32)), ((5, 12, 12, 32), (5, 5, 32, 64)), ((1, 40, 41, 16), (3, 3, 16, 8))]
)
def test_bits_do_not_depend_on_the_threads(shape, restore_threads):
    kernels.set_precision("fast")
    x, kernel = normal(shape[0], np.float32, 1), normal(shape[1], np.float32, 2)
    results = []
    for number in (1, 2, 3, 7):
        kernels.set_num_threads(number)
        y, index = kernels.conv_pool_forward(x, kernel, None, 2)
        results.append((y, index, kernels.conv_pool_backward_bias(y, index),
                        kernels.conv_pool_backward_input(y, index, kernel, x.shape, 2),
                        kernels.conv_pool_backward_kernel(y, index, x, kernel.shape, 2)))  # fmt: skip
    for others in results[1:]:
        for first, other in zip(results[0], others):
            np.testing.assert_array_equal(first, other)


def test_bad_arguments_are_named():
    x, kernel = np.zeros((2, 9, 9, 3), np.float32), np.zeros((3, 3, 3, 4), np.float32)
    y, index = kernels.conv_pool_forward(x, kernel, None, 2)
    with pytest.raises(ValueError, match="larger than the padded input"):
        kernels.conv_pool_forward(x, kernel, None, 8)
    with pytest.raises(ValueError, match="more than 255 cells"):
        kernels.conv_pool_forward(np.zeros((1, 40, 40, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32), None, 17)
    with pytest.raises(TypeError, match="index must be the uint8 array"):
        kernels.conv_pool_backward_kernel(y, index.astype(int), x, kernel.shape, 2)
    with pytest.raises(ValueError, match="index must have dy's shape"):
        kernels.conv_pool_backward_kernel(y, index[:1], x, kernel.shape, 2)
    with pytest.raises(ValueError, match="dy must have the pooled output's shape"):
        kernels.conv_pool_backward_input(y[:1], index, kernel, x.shape, 2)
    wild = np.full_like(index, 255)  # of no window: wrong results, but no stray memory
    kernels.conv_pool_backward_kernel(y, wild, x, kernel.shape, 2, algorithm="sparse")
    kernels.conv_pool_backward_input(
        np.repeat(y, 2, 0), np.repeat(wild, 2, 0), kernel, (4, 9, 9, 3), 2, algorithm="sparse"
    )
