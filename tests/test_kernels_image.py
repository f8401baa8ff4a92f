"""Warps, resampling and colours: each against its twin, floats and bytes, on every instruction set; threads, errors."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.kernels import image, reference

DTYPES = ["float32", "float64", "uint8"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def pictures(shape, dtype, seed=0):
    values = np.random.default_rng(seed).uniform(0, 255, shape)
    return values.astype(dtype)


def maps(count, perspective=False):
    random = np.random.default_rng(5)
    m = np.tile([1.0, 0, 0, 0, 1, 0, 0, 0], (count, 1)) + random.normal(0, 0.3, (count, 8)) * ([1, 1, 9, 1, 1, 9, 0, 0])
    if perspective:
        m[:, 6:] = random.normal(0, 0.01, (count, 2))
    return m


def check(name, x, *arguments, apart=1, **options):
    """The kernel gives what its twin gives; bytes differ by one where a float lies between two."""
    found = getattr(kernels, name)(x, *arguments, **options)
    expected = getattr(reference, name)(x, *arguments, **options)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype == np.uint8:
        difference = np.abs(found.astype(int) - expected)
        assert difference.max(initial=0) <= apart and (difference > 0).mean() < 0.01
    else:
        scale = 255 * 512 * np.finfo(found.dtype).eps if found.dtype.kind == "f" else 0
        np.testing.assert_allclose(found, expected, rtol=0, atol=scale)


@each_dtype
@pytest.mark.parametrize("mode", image.MODES)
def test_warp(mode, dtype, isa):
    for shape, nearest in itertools.product(((3, 9, 12, 3), (2, 1, 7, 4), (1, 20, 33, 1)), (False, True)):
        x = pictures(shape, dtype)
        check("warp_forward", x, maps(len(x), len(x) == 2), mode=mode, nearest=nearest, fill=7)
        check("warp_forward", x, maps(len(x)), size=(6, 21), mode=mode, nearest=nearest)
        places = np.random.default_rng(2).uniform(-30, 50, (*shape[:3], 2))
        check("warp_forward", x, None, places, mode=mode, nearest=nearest, fill=3)


@pytest.mark.parametrize("dtype", DTYPES[:2])
@pytest.mark.parametrize("mode", image.MODES)
def test_warp_backward(mode, dtype, isa):
    for shape, nearest in itertools.product(((3, 9, 12, 3), (2, 1, 7, 4)), (False, True)):
        check("warp_backward", pictures(shape, dtype), (8, 11), maps(len(range(shape[0]))), mode=mode, nearest=nearest)


@each_dtype
def test_whole_steps_copy_pixels(dtype, isa):
    """Flips and crops give the very pixels, whatever their size."""
    for channels in (1, 3, 4, 7):
        x = pictures((2, 6, 9, channels), dtype)
        flips = np.array([[-1, 0, 8, 0, 1, 0, 0, 0], [-1, 0, 8, 0, -1, 5, 0, 0]], float)
        np.testing.assert_array_equal(kernels.warp_forward(x, flips), [x[0, :, ::-1], x[1, ::-1, ::-1]])
        crops = np.array([[1, 0, 2, 0, 1, 1, 0, 0], [1, 0, 5, 0, 1, 3, 0, 0]], float)
        y = kernels.warp_forward(x, crops, size=(3, 4))
        np.testing.assert_array_equal(y, [x[0, 1:4, 2:6], x[1, 3:6, 5:9]])
        beyond = kernels.warp_forward(x, np.tile([1.0, 0, 7, 0, 1, 0, 0, 0], (2, 1)), fill=9)
        np.testing.assert_array_equal(beyond[:, :, :2], x[:, :, 7:])
        assert (beyond[:, :, 2:] == 9).all()


def test_places_that_are_no_numbers_are_outside(isa):
    x = pictures((1, 4, 5, 3), "float32")
    places = np.full((1, 4, 5, 2), np.nan)
    places[0, 0, 0] = places[0, 1, 1] = [np.inf, 1e300]
    assert (kernels.warp_forward(x, places=places, fill=2.0) == 2).all()
    assert np.isfinite(kernels.warp_forward(x, places=places, mode="reflect")).all()


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_resample(dtype, isa):
    random = np.random.default_rng(1)
    for shape, axis, taps, places in (
        ((2, 9, 70, 3), 1, 4, 15),
        ((2, 9, 70, 3), 2, 5, 31),
        ((3, 8, 6), 0, 1, 5),
        ((40,), 0, 40, 2),
    ):
        start = random.integers(0, shape[axis] - taps + 1, places)
        check("resample", pictures(shape, dtype), start, random.standard_normal((places, taps)).astype(dtype), axis)


@each_dtype
def test_colors(dtype, isa):
    random, real = np.random.default_rng(0), "float32" if dtype == "uint8" else dtype
    for shape in ((3, 9, 12, 3), (1, 1, 1, 3), (2, 50, 31, 3)):
        x = pictures(shape, dtype)
        check("color_matrix", x, random.normal(0.3, 0.3, (len(x), 3, 4)).astype(real), 10, 240)
        check("color_turn", x, np.stack([random.random(len(x)), random.random(len(x)) * 2], 1).astype(real), 0, 255)
    for shape in ((3, 9, 12, 3), (2, 5, 4, 1), (2, 50, 31, 7)):
        x = pictures(shape, dtype)
        if dtype == "uint8":
            check("color_table", x, random.integers(0, 256, (len(x), shape[3], 256), "uint8"), apart=0)
            check("color_histogram", x)
        else:
            check("color_scale", x, random.normal(1, 0.5, (len(x), shape[3], 2)).astype(real), 20, 200)


def test_the_bits_do_not_depend_on_the_threads():
    x, m = pictures((5, 120, 130, 3), "float32"), maps(5)

    def run():
        pairs = np.tile(np.float32([0.2, 1.5]), (5, 1))
        start, weights = np.arange(60), np.full((60, 50), 0.02, np.float32)
        return [kernels.warp_forward(x, m, mode="reflect"), kernels.warp_backward(x, (90, 90), m, mode="wrap"),
                kernels.resample(x, start, weights, 1), kernels.color_turn(x.astype("uint8"), pairs, 0, 255),
                kernels.color_scale(x, np.ones((5, 3, 2), "f4"), 0, 255)]  # fmt: skip

    before, results = kernels.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            kernels.set_num_threads(threads)
            results.append(run())
    finally:
        kernels.set_num_threads(before)
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


X = np.zeros((2, 4, 5, 3), "float32")


@pytest.mark.parametrize("call, error, match", [
    (lambda: kernels.warp_forward(X, maps(3)), ValueError, "eight numbers a sample"),
    (lambda: kernels.warp_forward(X), ValueError, "one of them"),
    (lambda: kernels.warp_forward(X, maps(2).astype("f4")), TypeError, "float64"),
    (lambda: kernels.warp_forward(X.astype("int32"), maps(2)), TypeError, "float32 or float64 or uint8"),
    (lambda: kernels.warp_forward(X[0], maps(2)), ValueError, "batch, height"),
    (lambda: kernels.warp_forward(X[:, :0], maps(2), size=(2, 2)), ValueError, "nothing to read"),
    (lambda: kernels.resample(X, np.array([4]), np.ones((1, 2), "f4"), 2), ValueError, "must stay within the 5 cells"),
    (lambda: kernels.resample(X, np.array([0]), np.ones((1, 2)), 2), TypeError, "one dtype"),
    (lambda: kernels.color_table(X, np.zeros((2, 3, 256), "u1")), TypeError, "uint8"),
    (lambda: kernels.color_scale(X, np.zeros((2, 3, 3), "f4"), 0, 1), ValueError, "a part for each sample"),
    (lambda: kernels.color_turn(X[..., :2], np.zeros((2, 2), "f4"), 0, 1), ValueError, "three channels"),
])  # fmt: skip
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
