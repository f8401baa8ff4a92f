"""Pooling: every kernel against its twin, ties, NaN, windows of more than 256 taps, the errors."""

import numpy as np
import pytest
from helpers import covering, integers, label, normal

from fastconv import kernels
from fastconv.kernels import reference

ROWS = covering(
    rank=(1, 2, 3),
    pool=(1, 2, 3, 5),
    stride=(None, 1, 2, 3),
    padding=("valid", "same"),
    channels=(1, 3, 4, 7, 16, 17, 33),
    dtype=(np.float32, np.float64),
    batch=(1, 3),
)


def shape_of(row):
    return (row["batch"], *(5 + 2 * axis for axis in range(row["rank"])), row["channels"])


def check_pool(x, pool_size, **options):
    """All four kernels equal their twins: on integers with ties exactly, on normal data to the last bits."""
    y, index = kernels.max_pool_forward(x, pool_size, **options)
    expected_y, expected_index = reference.max_pool_forward(x, pool_size, **options)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(index, expected_index)
    assert index.dtype == expected_index.dtype
    dy = integers(y.shape, x.dtype, 1)
    np.testing.assert_array_equal(
        kernels.max_pool_backward(dy, index, x.shape, pool_size, **options),
        reference.max_pool_backward(dy, index, x.shape, pool_size, **options),
    )
    tolerance = {"rtol": 0, "atol": 50 * np.finfo(x.dtype).eps}
    np.testing.assert_allclose(
        kernels.average_pool_forward(x, pool_size, **options),
        reference.average_pool_forward(x, pool_size, **options),
        **tolerance,
    )
    np.testing.assert_allclose(
        kernels.average_pool_backward(dy, x.shape, pool_size, **options),
        reference.average_pool_backward(dy, x.shape, pool_size, **options),
        **tolerance,
    )


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_agrees_with_its_twin(row, isa):
    for make in (integers, normal):
        check_pool(make(shape_of(row), row["dtype"]), row["pool"], strides=row["stride"], padding=row["padding"])


# pool, strides: each axis on its own; the constant windows, their neighbours, gaps between windows, overlap.
WINDOWS = [
    ((2,), None), ((3,), None), ((3,), 2), ((2, 2), None), ((3, 3), None), ((3, 3), 2), ((2, 3), (3, 2)), ((3, 2), 1),
    ((2, 2, 2), None), ((3, 2, 2), None), ((1, 3, 3), (1, 2, 2)), ((2, 2), 3), ((2, 2), (5, 4)), ((1, 1), 2),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 7, 31, 33, 65, 96])
@pytest.mark.parametrize("pool, strides", WINDOWS, ids=str)
def test_windows_and_tails_of_channels(pool, strides, channels, dtype, isa):
    x = integers((2, *(9, 8, 7)[: len(pool)], channels), dtype)
    for padding in ("valid", "same"):
        check_pool(x, pool, strides=strides, padding=padding)


@pytest.mark.parametrize("channels", [1, 33, 64])
@pytest.mark.parametrize("pool, strides", [((2, 2), None), ((3, 3), 2)], ids=str)
def test_ties_nan_and_infinities_as_the_twin(pool, strides, channels, isa):
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1], "f4")
    x = np.random.default_rng(0).choice(values, (3, 12, 13, channels))
    for padding in ("valid", "same"):
        options = {"strides": strides, "padding": padding}
        for ours, twin in zip(
            kernels.max_pool_forward(x, pool, **options), reference.max_pool_forward(x, pool, **options)
        ):
            np.testing.assert_array_equal(ours, twin)


def test_rows_of_a_tile_end_where_the_array_ends():
    """Batches that are no multiple of a tile's rows; the results of a batch are those of its samples."""
    x = normal((7, 6, 6, 40), "f4")
    y, index = kernels.max_pool_forward(x, 2)
    dx = kernels.max_pool_backward(y, index, x.shape, 2)
    for i in range(len(x)):
        one = x[i : i + 1]
        np.testing.assert_array_equal(kernels.max_pool_forward(one, 2)[0], y[i : i + 1])
        np.testing.assert_array_equal(
            kernels.max_pool_backward(y[i : i + 1], index[i : i + 1], one.shape, 2), dx[i : i + 1]
        )


def test_windows_of_more_than_256_taps(isa):
    check_pool(integers((2, 20, 21, 5), "f4"), (17, 16), strides=2, padding="same")
    check_pool(integers((1, 400, 3), "f4"), 300, strides=7)


BINS = covering(
    rank=(1, 2, 3),
    first=(1, 2, 5, 7, 12),
    second=(1, 3, 4, 10),
    channels=(1, 7, 16, 33, 70),
    dtype=(np.float32, np.float64),
)


def check_adaptive(x, output_size):
    """As check_pool."""
    y, index = kernels.adaptive_max_pool_forward(x, output_size)
    expected, places = reference.adaptive_max_pool_forward(x, output_size)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(index, places)
    assert index.dtype == places.dtype
    dy = integers(y.shape, x.dtype, 1)
    dx = kernels.adaptive_max_pool_backward(dy, index, x.shape, output_size)
    np.testing.assert_array_equal(dx, reference.adaptive_max_pool_backward(dy, index, x.shape, output_size))
    tolerance = {"rtol": 0, "atol": 50 * np.finfo(x.dtype).eps}
    y = kernels.adaptive_average_pool_forward(x, output_size)
    np.testing.assert_allclose(y, reference.adaptive_average_pool_forward(x, output_size), **tolerance)
    dx = kernels.adaptive_average_pool_backward(dy, x.shape, output_size)
    np.testing.assert_allclose(dx, reference.adaptive_average_pool_backward(dy, x.shape, output_size), **tolerance)


@pytest.mark.parametrize("row", BINS, ids=label)
def test_adaptive_pooling_agrees_with_its_twin(row, isa):
    """Bins that divide the input and bins that do not, more bins than cells; ties."""
    output_size = (row["first"], row["second"], 3)[: row["rank"]]
    check_adaptive(integers((2, *(10, 7, 5)[: row["rank"]], row["channels"]), row["dtype"]), output_size)


def test_bins_of_more_than_256_cells(isa):
    check_adaptive(integers((2, 40, 41, 5), "f4"), 2)


@pytest.mark.parametrize("spatial", [(7,), (5, 6), (3, 4, 5), (30, 40), (1,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_global_pooling_agrees_with_its_twin(spatial, dtype, isa):
    x, dy = integers((3, *spatial, 17), dtype), integers((3, 17), dtype, 1)
    for ours, twin in zip(kernels.global_max_pool_forward(x), reference.global_max_pool_forward(x)):
        np.testing.assert_array_equal(ours, twin)
        assert ours.dtype == twin.dtype
    y, index = kernels.global_max_pool_forward(x)
    np.testing.assert_array_equal(kernels.global_max_pool(x), y)
    np.testing.assert_array_equal(
        kernels.global_max_pool_backward(dy, index, x.shape), reference.global_max_pool_backward(dy, index, x.shape)
    )
    eps = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        kernels.global_average_pool_forward(x), reference.global_average_pool_forward(x), rtol=0, atol=eps
    )
    np.testing.assert_allclose(
        kernels.global_average_pool_backward(dy, x.shape), reference.global_average_pool_backward(dy, x.shape), rtol=eps
    )


def test_the_first_of_equal_values_wins():
    y, index = kernels.max_pool_forward(np.zeros((1, 4, 4, 3), "f4"), 2)
    assert not index.any() and not y.any()


def test_nan_wins_its_window_and_minus_infinity_is_a_value(isa):
    x = np.full((1, 4, 17), -np.inf, "f4")
    x[0, 1, 3] = np.nan
    x[0, 3, 4] = -5
    x[0, 2:, 5] = np.nan
    y, index = kernels.max_pool_forward(x, 2)
    assert np.isnan(y[0, 0, 3]) and index[0, 0, 3] == 1
    assert y[0, 1, 4] == -5 and index[0, 1, 4] == 1
    assert np.isnan(y[0, 1, 5]) and index[0, 1, 5] == 0  # the first NaN stays
    assert np.isneginf(np.delete(y, [3, 4, 5], axis=2)).all()
    assert np.isnan(kernels.average_pool_forward(x, 2)[0, 0, 3])


def test_bits_do_not_depend_on_the_threads(restore_threads):
    x = normal((9, 40, 41, 33), "f4")
    y, index = kernels.max_pool_forward(x, 3, strides=2)
    results = []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        results.append(
            kernels.max_pool_backward(y, index, x.shape, 3, strides=2).tobytes()
            + kernels.average_pool_backward(y, x.shape, 3, strides=2).tobytes()
        )
    assert len(set(results)) == 1


def test_an_empty_batch():
    x = np.zeros((0, 6, 6, 3), "f4")
    y, index = kernels.max_pool_forward(x, 2)
    assert y.shape == (0, 3, 3, 3) and kernels.max_pool_backward(y, index, x.shape, 2).shape == x.shape
    assert kernels.global_average_pool_forward(x).shape == (0, 3)


ERRORS = [
    (ValueError, "pool_size must be between 1", (1, 8, 8, 3), 0, {}),
    (ValueError, "larger than the padded input", (1, 8, 8, 3), 9, {}),
    (ValueError, "strides must be between 1", (1, 8, 8, 3), 2, {"strides": -1}),
    (ValueError, "narrower than pool_size", (1, 8, 8, 3), 2, {"padding": 2}),
    (ValueError, "at least one channel", (1, 8, 8, 0), 2, {}),
    (ValueError, "3 or 4 or 5 dimensions", (8, 8), 2, {}),
    (TypeError, "pool_size must be an integer", (1, 8, 8, 3), 2.0, {}),
    (ValueError, "'same' or explicit; got 'causal'", (1, 8, 3), 2, {"padding": "causal"}),
]


@pytest.mark.parametrize("error, message, shape, pool_size, options", ERRORS, ids=[row[1] for row in ERRORS])
def test_bad_input_says_what_is_wrong(error, message, shape, pool_size, options):
    for kernel in (kernels.max_pool_forward, kernels.average_pool_forward):
        with pytest.raises(error, match=message):
            kernel(np.zeros(shape, "f4"), pool_size, **options)


def test_backward_checks_its_index():
    x = normal((1, 4, 4, 3), "f4")
    y, index = kernels.max_pool_forward(x, 2)
    with pytest.raises(TypeError, match="index must be uint8"):
        kernels.max_pool_backward(y, index.astype(np.int32), x.shape, 2)
    with pytest.raises(ValueError, match="index must have dy's shape"):
        kernels.max_pool_backward(y, index[:, :1], x.shape, 2)
