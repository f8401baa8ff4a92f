"""Moves and their gradients: each against its twin, on every instruction set; threads, edges, errors."""

import itertools

import numpy as np
import pytest
from helpers import Plain, check_op, integers, normal

from fastconv import kernels
from fastconv.kernels import reference

DTYPES = [np.float32, np.float64]
both = pytest.mark.parametrize("dtype", DTYPES)


def check_move(name, *arguments, dtype=np.float32, terms=1, **options):
    """A move gives its twin's bits; a gradient's sums of integers too."""
    check_op(name, *arguments, dtype=dtype, terms=terms, **options)


@both
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenate(axis, dtype, isa):
    for sizes, base in (((3, 1, 5), [4, 6, 8]), ((16, 64), [5, 2, 16]), ((2, 0, 7), [1, 33, 1]), ((4,), [2, 3, 130])):
        shapes = [[*base[: axis % 3], size, *base[axis % 3 + 1 :]] for size in sizes]
        arrays = [integers(shape, dtype, i) for i, shape in enumerate(shapes)]
        y = kernels.concatenate_forward(arrays, axis)
        np.testing.assert_array_equal(y, reference.concatenate_forward(arrays, axis))
        assert y.dtype == dtype and y.flags.c_contiguous
        for part, array in zip(kernels.concatenate_backward(y, sizes, axis), arrays):
            np.testing.assert_array_equal(part, array)


KEYS = [0, -1, slice(1, 4), slice(None, None, 2), slice(None, None, -1), slice(5, 1, -2), (..., slice(1, -1)), (),
        (slice(None), 2), (None, slice(2), ..., 0), (slice(1, 3), slice(None, None, 3), slice(2, None)),
        (..., slice(None, None, 2)), (slice(3, 3),), (slice(0, 100), ..., slice(-3, None, -1)), (1, 2, 3)]  # fmt: skip


@both
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_get_item(key, dtype, isa):
    for shape in ((6, 7, 8), (9, 40, 16)):
        check_move("get_item_forward", shape, Plain(key), dtype=dtype)
        check_move("get_item_backward", np.empty(shape)[key].shape, Plain(key), Plain(shape), dtype=dtype)


PADS = [((1, 2),), ((0, 0), (1, 1), (2, 3), (0, 0)), ((0, 3), (0, 0), (1, 0), (0, 5)), ((-1, 0), (2, -3), (0, 0)),
        ((-1, -1), (-2, 0)), ((0, 0), (0, 0)), ((3, 1), (0, 0), (0, 0)), ((1, -2), (-2, 1), (1, 1))]  # fmt: skip


@both
@pytest.mark.parametrize("pads", PADS, ids=str)
def test_pad(pads, dtype, isa):
    for base in ((5, 6, 7, 3), (4, 5, 4, 16)):
        shape = base[: len(pads)]
        padded = tuple(low + size + high for size, (low, high) in zip(shape, pads))
        check_move("pad_forward", shape, Plain(pads), dtype=dtype)
        check_move("pad_forward", shape, Plain(pads), value=-7.5, dtype=dtype)
        check_move("pad_backward", padded, Plain(pads), dtype=dtype)


def test_long_rows_are_cut():
    x = integers((100_001,), "f4")
    np.testing.assert_array_equal(
        kernels.pad_forward(x, [(40_000, 3)], 2.0), reference.pad_forward(x, [(40_000, 3)], 2.0)
    )
    np.testing.assert_array_equal(kernels.get_item_backward(x, slice(1, None, 3), (300_004,))[1::3], x)
    np.testing.assert_array_equal(kernels.flip(x, [0]), x[::-1])


@both
def test_transpose(dtype, isa):
    for shape in ((2, 3, 4), (5, 17, 33), (1, 64, 130), (40, 3, 70), (70, 40, 3)):
        for axes in itertools.permutations(range(3)):
            check_move("transpose", shape, Plain(axes), dtype=dtype)
    check_move("transpose", (3, 20, 5, 18), Plain((0, 3, 1, 2)), dtype=dtype)
    check_move("transpose", (301, 513), dtype=dtype)
    check_move("transpose", (2, 3, 2, 3, 2, 3, 2, 3), dtype=dtype)


@both
def test_flip(dtype, isa):
    for axes in ([0], [1, 2], [-1], [0, 1, 2], []):
        check_move("flip", (5, 6, 19), Plain(tuple(axes)), dtype=dtype)


@both
@pytest.mark.parametrize("shape, to", [((1,), (7,)), ((3, 1), (2, 3, 5)), ((4, 1, 33), (4, 6, 33)), ((), (2, 40)),
                                       ((2, 1, 3, 1), (2, 5, 3, 70)), ((6, 4), (6, 4))], ids=str)  # fmt: skip
def test_broadcast(shape, to, dtype, isa):
    check_move("broadcast_forward", shape, Plain(to), dtype=dtype)
    check_move("broadcast_backward", to, Plain(shape), dtype=dtype, terms=int(np.prod(to)))


@both
@pytest.mark.parametrize("factors", [(1, 2, 2, 1), (1, 3, 1, 1), (2, 1, 1, 3), (1, 4, 5, 1), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("channels", [1, 3, 16, 37, 130])
def test_repeat_and_tile(factors, channels, dtype, isa):
    shape = (2, 5, 6, channels)
    full = tuple(n * f for n, f in zip(shape, factors))
    for name in ("repeat", "tile"):
        check_move(f"{name}_forward", shape, Plain(factors), dtype=dtype)
        check_move(f"{name}_backward", full, Plain(factors), dtype=dtype, terms=30)


def test_upsampling_in_3d_needs_eight_axes():
    check_move("repeat_forward", (2, 3, 4, 5, 6), Plain((1, 2, 3, 2, 1)))
    check_move("repeat_backward", (2, 6, 12, 10, 6), Plain((1, 2, 3, 2, 1)), terms=12)


@both
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1), (1, 2), (0, 1, 2), ()], ids=str)
def test_fold(axes, dtype, isa):
    for shape in ((3, 4, 5), (7, 65, 33), (2, 3, 700), (3000, 2, 2)):
        check_move("fold", shape, Plain(axes), dtype=dtype, terms=int(np.prod(shape)))


@both
def test_take(dtype, isa):
    indices = np.array([[2, 0, 2], [4, 4, 2]])
    for axis, shape in ((0, (5, 37)), (1, (3, 5)), (1, (2, 6, 4)), (-1, (3, 3, 7)), (0, (5,)), (0, (90, 3))):
        check_move("take_forward", shape, indices, axis=axis, dtype=dtype)
        at = axis % len(shape)
        taken = (*shape[:at], 2, 3, *shape[at + 1 :])
        check_move("take_backward", taken, indices, Plain(shape), axis=axis, dtype=dtype, terms=6)


def test_one_hot():
    labels = np.array([[0, 3, -1], [7, 2, 8]])
    for dtype in DTYPES:
        np.testing.assert_array_equal(kernels.one_hot(labels, 8, dtype), reference.one_hot(labels, 8, dtype))


SIZES = [((1, 1), (1, 1)), ((4, 5), (8, 10)), ((4, 5), (12, 5)), ((3, 7), (12, 28)), ((1, 3), (2, 9)), ((6, 6), (3, 2)),
         ((5, 7), (8, 11)), ((9, 4), (4, 13)), ((2, 300), (4, 600)), ((7, 1), (1, 5))]  # fmt: skip


@both
@pytest.mark.parametrize("channels", [1, 3, 16, 50])
def test_resize(channels, dtype, isa):
    for old, new in SIZES:
        check_resize((2, *old, channels), (2, *new, channels), dtype)
        check_resize((2, old[1], channels), (2, new[1], channels), dtype)


def check_resize(old, new, dtype):
    """Weights have the rounding of a quotient, and a weighted sum as many terms as cells meet."""
    for name, shape, size in (("resize_forward", old, new), ("resize_backward", new, old)):
        x = normal(shape, dtype)
        y, expected = getattr(kernels, name)(x, size[1:-1]), getattr(reference, name)(x, size[1:-1])
        assert y.dtype == dtype and y.shape == size
        np.testing.assert_allclose(y, expected, rtol=0, atol=np.finfo(dtype).eps * 60 * abs(x).max())


def test_resize_by_two_is_keras():
    """UpSampling2D(interpolation="bilinear") of 0, 4: ends stay, between them quarters."""
    x = np.array([[0, 4]], "f4")[..., None]
    np.testing.assert_array_equal(kernels.resize_forward(x, (4,))[0, :, 0], [0, 1, 3, 4])


def results_of_all():
    x, image = normal((37, 41, 20), "f4"), normal((3, 40, 44, 5), "f4")
    yield kernels.concatenate_forward([x, x[:, :7], x], 1)
    yield kernels.get_item_backward(x, (slice(2, 39), ..., slice(None, 40, 2)), (50, 41, 60))
    yield kernels.transpose(x, (2, 1, 0))
    yield kernels.repeat_forward(image, (1, 2, 2, 1))
    yield kernels.repeat_backward(image, (1, 2, 2, 1))
    yield kernels.fold(normal((500, 30, 40), "f4"), [0, 2])
    yield kernels.take_backward(normal((4000, 70), "f4"), integers((4000,), int) + 4, (9, 70))
    yield kernels.resize_forward(image, (80, 88))
    yield kernels.resize_backward(image, (20, 22))


def test_threads_do_not_change_the_bits(restore_threads):
    results = []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        results.append(b"".join(array.tobytes() for array in results_of_all()))
    assert len(set(results)) == 1


@pytest.mark.parametrize("channels", [16, 5])
def test_large_results_go_past_the_caches(channels, isa):
    x = np.arange(2 * 600 * 256 * channels, dtype="f4").reshape(2, 600, 256, channels)
    y = kernels.concatenate_forward([x, x + 1], -1)
    np.testing.assert_array_equal(y[..., :channels], x)
    np.testing.assert_array_equal(y[..., channels:], x + 1)


def test_empty_arrays():
    none = np.zeros((0, 3), "f4")
    assert kernels.concatenate_forward([none, none], 1).shape == (0, 6)
    assert kernels.get_item_forward(none, (slice(None), 1)).shape == (0,)
    assert kernels.pad_forward(none, [(1, 1), (0, 0)], 2.0).tolist() == [[2, 2, 2]] * 2
    assert kernels.transpose(none).shape == (3, 0) and kernels.fold(none, [0]).tolist() == [0, 0, 0]
    assert kernels.take_backward(none, np.zeros(0, int), (4, 3)).tolist() == [[0] * 3] * 4
    assert kernels.resize_forward(np.zeros((0, 2, 2, 1), "f4"), (4, 4)).shape == (0, 4, 4, 1)
    assert kernels.one_hot(np.zeros((0,), int), 3).shape == (0, 3)


def test_nan_keeps_its_bits():
    x = np.array([np.nan, -0.0, np.inf], "f4").reshape(1, 3) * np.ones((40, 1), "f4")
    assert kernels.transpose(x).tobytes() == x.T.tobytes()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: kernels.concatenate_forward([x, x[:1]], 1), ValueError, "array 1 must have the sizes of array 0"),
        (lambda x: kernels.concatenate_forward([x, x.astype("f8")]), TypeError, "array 1 is float64"),
        (lambda x: kernels.concatenate_forward([x], 2), ValueError, "axis must be between -2 and 1"),
        (lambda x: kernels.concatenate_backward(x, (1, 1), 1), ValueError, "sizes must add up to 3"),
        (lambda x: kernels.get_item_forward(x, 5), IndexError, "out of bounds"),
        (lambda x: kernels.pad_forward(x, [(1, 1)]), ValueError, "2 pairs of padding"),
        (lambda x: kernels.pad_forward(x, [(-2, -1), (0, 0)]), ValueError, "2 and 1 cannot be cut off"),
        (lambda x: kernels.repeat_forward(x, (0, 1)), ValueError, "factors must be between 1"),
        (lambda x: kernels.repeat_forward(x, (2**31 - 1, 2**31 - 1)), ValueError, "too large"),
        (lambda x: kernels.take_forward(x, np.array([3]), 1), ValueError, r"indices must be in \[0, 3\).*got 3 to 3"),
        (lambda x: kernels.take_forward(x, np.array([0.5]), 1), TypeError, "indices must be an array of integers"),
        (lambda x: kernels.resize_forward(x, (2, 2)), ValueError, "3 or 4 dimensions"),
        (lambda x: kernels.resize_forward(x[None, None], (0, 2)), ValueError, "size must be between 1"),
        (lambda x: kernels.flip(np.zeros((2,) * 20, "f4"), range(0, 20, 2)), ValueError, "At most 16 axes"),
    ],
)
def test_bad_input_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros((2, 3), "f4"))
