"""Functions of elements, broadcasting and reductions: each against its twin, special values, accuracy, errors."""

import copy
import itertools
import math

import numpy as np
import pytest
from helpers import integers, largest, normal

from fastconv import kernels
from fastconv.kernels import maps, reference, reference_maps

DTYPES = [np.float32, np.float64]
PARAMETERS = {"clip": (-0.7, 1.3), "elu": (0.6,), "leaky_relu": (0.2,), "clipped_relu": (2.0,),
              "threshold": (0.4, -2.0), "linear": (1.5, -0.25), "hard_shrink": (0.5,)}  # fmt: skip
POSITIVE = {"sqrt", "rsqrt", "log", "log1p"}
SIZES = [1, 2, 3, 15, 16, 17, 64, 1000, 20_001]
each_map = pytest.mark.parametrize("name", maps.MAPS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def inputs(name, dtype, size):
    """Numbers of all sizes, of which none is at a kink."""
    x = normal((size,), dtype, 1) * np.exp(normal((size,), dtype, 2))
    return np.abs(x) if name in POSITIVE else x


def test_the_tables_name_the_same_functions():
    assert list(maps.MAPS) == list(reference_maps.MAPS)
    assert list(maps.COMBINES) == list(reference_maps.COMBINES)
    assert list(maps.REDUCTIONS) == list(reference_maps.REDUCTIONS)


@each_map
@each_dtype
def test_functions_agree_with_their_twins(name, dtype, isa):
    parameters, eps = PARAMETERS.get(name, ()), np.finfo(dtype).eps
    for size in SIZES:
        x, dy = inputs(name, dtype, size), normal((size,), dtype)
        y = kernels.map_forward(name, x, *parameters)
        expected = reference.map_forward(name, x, *parameters)
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        np.testing.assert_allclose(y, expected, rtol=8 * eps, atol=4 * eps * (1 + np.abs(x).max()))
        saved = {"input": x, "output": expected, None: None}[maps.MAPS[name][1]]
        dx = kernels.map_backward(name, dy, saved, *parameters)
        expected = reference.map_backward(name, dy, saved, *parameters)
        np.testing.assert_allclose(dx, expected, rtol=16 * eps, atol=16 * eps * np.abs(dy).max())


# Units in the last place; the exact values are NumPy's in more digits.
ACCURATE = {"log": (np.log, 1.5), "tanh": (np.tanh, 6), "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 4),
            "softplus": (lambda x: np.logaddexp(0, x), 4), "erf": (np.vectorize(math.erf), 6),
            "rsqrt": (lambda x: 1 / np.sqrt(x), 2), "elu": (np.expm1, 3), "log1p": (np.log1p, 4), "expm1": (np.expm1, 4)}  # fmt: skip


@pytest.mark.parametrize("name", ACCURATE)
@each_dtype
def test_functions_are_accurate_to_the_last_places(name, dtype, isa):
    exact, most = ACCURATE[name]
    rng = np.random.default_rng(0)
    x = np.concatenate([
        rng.uniform(-10, 10, 100_000), rng.uniform(-1, 1, 50_000), rng.uniform(-85, 85, 20_000), rng.normal(0, 1e-5, 9999),
        np.exp(rng.uniform(-86, 86, 20_000)), np.linspace(0.99, 1.01, 9999), [np.finfo(dtype).tiny, 1, -1],
    ]).astype(dtype)  # fmt: skip
    x = (
        x[x > 0]
        if name in POSITIVE
        else x[x < 85]
        if name == "expm1"
        else -np.abs(x[np.abs(x) < 80])
        if name == "elu"
        else x
    )
    with np.errstate(over="ignore", under="ignore"):
        wide = exact(
            x if name == "erf" and dtype == np.float64 else x.astype(np.longdouble if name != "erf" else float)
        )
    units = np.abs(kernels.map_forward(name, x, *([1.0] if name == "elu" else [])) - wide)
    least = np.finfo(dtype).tiny
    assert (units / np.spacing(np.maximum(np.abs(wide), least).astype(dtype))).max() <= most


INF, NAN = np.inf, np.nan
# name: values at -inf, -1e30, 0, 1e30, inf, and slopes there
LIMITS = {
    "negative": ([INF, 1e30, 0, -1e30, -INF], [-1] * 5),
    "abs": ([INF, 1e30, 0, 1e30, INF], [-1, -1, 0, 1, 1]),
    "sqrt": ([NAN, NAN, 0, 1e15, INF], [NAN, NAN, INF, 5e-16, 0]),
    "reciprocal": ([0, -1e-30, INF, 1e-30, 0], None),
    "exp": ([0, 0, 1, INF, INF], None),
    "log": ([NAN, NAN, -INF, 30 * math.log(10), INF], None),
    "erf": ([-1, -1, 0, 1, 1], [0, 0, 2 / math.sqrt(math.pi), 0, 0]),
    "sigmoid": ([0, 0, 0.5, 1, 1], [0, 0, 0.25, 0, 0]),
    "tanh": ([-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
    "elu": ([-1, -1, 0, 1e30, INF], [0, 0, 1, 1, 1]),
    "leaky_relu": ([-INF, -2e29, 0, 1e30, INF], [0.2, 0.2, 0.2, 1, 1]),
    "clip": ([-0.7, -0.7, 0, 1.3, 1.3], [0, 0, 1, 0, 0]),
    "clipped_relu": ([0, 0, 0, 2, 2], [0] * 5),
    "softplus": ([0, 0, math.log(2), 1e30, INF], [0, 0, 0.5, 1, 1]),
    "softsign": ([-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
    "silu": ([0, 0, 0, 1e30, INF], [0, 0, 0.5, 1, 1]),
    "gelu": ([0, 0, 0, 1e30, INF], [0, 0, 0.5, 1, 1]),
    "gelu_tanh": ([0, 0, 0, 1e30, INF], [0, 0, 0.5, 1, 1]),
    "hard_sigmoid": ([0, 0, 0.5, 1, 1], [0, 0, 1 / 6, 0, 0]),
    "hard_silu": ([0, 0, 0, 1e30, INF], [0, 0, 0.5, 1, 1]),
    "mish": ([0, 0, 0, 1e30, INF], [0, 0, 0.6, 1, 1]),
    "log1p": ([NAN, NAN, 0, 30 * math.log(10), INF], None),
    "expm1": ([-1, -1, 0, INF, INF], None),
    "threshold": ([-2, -2, -2, 1e30, INF], [0, 0, 0, 1, 1]),
    "hard_shrink": ([-INF, -1e30, 0, 1e30, INF], [1, 1, 0, 1, 1]),
}


@pytest.mark.parametrize("name", LIMITS)
@each_dtype
def test_limits(name, dtype, isa):
    x = np.array([-INF, -1e30, 0, 1e30, INF], dtype)
    parameters = {**PARAMETERS, "elu": (1.0,)}.get(name, ())
    values, slopes = LIMITS[name]
    y = kernels.map_forward(name, x, *parameters)
    np.testing.assert_allclose(y, values, rtol=1e-5)
    if slopes:
        saved = {"input": x, "output": y, None: None}[maps.MAPS[name][1]]
        dx = kernels.map_backward(name, np.ones_like(x), saved, *parameters)
        np.testing.assert_allclose(dx, slopes, rtol=1e-5, atol=1e-15)


@each_map
@each_dtype
def test_nan_stays_nan_in_its_place(name, dtype, isa):
    x = np.ones(37, dtype)
    x[[0, 20, 36]] = NAN
    parameters = PARAMETERS.get(name, ())
    y = kernels.map_forward(name, x, *parameters)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    if name not in (
        "negative",
        "clip",
        "clipped_relu",
        "hard_sigmoid",
        "leaky_relu",
        "threshold",
        "hard_shrink",
        "linear",
    ):  # slopes of pieces
        saved = {"input": x, "output": y}[maps.MAPS[name][1]]
        dx = kernels.map_backward(name, np.ones_like(x), saved, *parameters)
        np.testing.assert_array_equal(np.isnan(dx), np.isnan(x))


def test_denormals_are_computed(isa):
    x = np.array([1e-40, 3e-45], "f4")
    np.testing.assert_allclose(kernels.map_forward("log", x), np.log(x.astype(float)), rtol=1e-6)
    np.testing.assert_array_equal(kernels.map_forward("tanh", x), x)


# ------------------------------------------------------------------------------------------------------ broadcasting

SHAPES = [
    ((5,), (5,)), ((3, 7), (7,)), ((7,), (3, 7)), ((40, 33), (40, 1)), ((1, 33), (40, 1)), ((), (3, 4)), ((2, 3), ()),
    ((), ()), ((1,), (1, 1)), ((2, 1, 1, 5), (2, 6, 7, 5)), ((2, 6, 7, 5), (2, 6, 7, 1)), ((2, 6, 7, 5), (1, 6, 1, 1)),
    ((3, 1), (2, 1, 4)), ((2, 500), (2, 500)), ((3, 300), (300,)), ((3, 300), (3, 1)), ((1, 300), (3, 1)),
    ((20_000,), (20_000,)), ((3000, 3), (3,)), ((3000, 3), (3000, 1)), ((2, 2, 2, 2), (2, 1, 2, 1)),
    ((2, 4, 3000), (1, 4, 1)),
    ((5, 1, 4, 1, 3, 1, 2), (1, 2, 1, 3, 1, 2, 1)), ((2, 1) * 5, (1, 2) * 5),
]  # fmt: skip


def small(shape, dtype, seed):
    """Integers without 0, so that every function is exact or rounded once."""
    x = integers(shape, dtype, seed)
    return np.where(x == 0, 3, x).astype(dtype)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@each_dtype
def test_functions_of_two_equal_their_twins(shapes, dtype, isa):
    a, b = (np.asarray(small(shape, dtype, i)) for i, shape in enumerate(shapes))
    for name in maps.COMBINES:
        np.testing.assert_array_equal(kernels.combine(name, a, b), reference.combine(name, a, b), err_msg=name)


@each_dtype
def test_numbers_are_operands(dtype, isa):
    x = normal((3, 50), dtype)
    for name, number in itertools.product(["add", "subtract", "multiply", "divide", "maximum"], [2.5, -1, 0.1]):
        for pair in ((x, number), (number, x)):
            np.testing.assert_array_equal(kernels.combine(name, *pair), reference.combine(name, *pair), err_msg=name)


def test_a_result_is_broadcast_to_a_shape(isa):
    a = normal((2, 1, 3), "f4")
    for shape in ((2, 5, 3), (4, 2, 5, 3), (2, 1, 3)):
        np.testing.assert_array_equal(kernels.combine("multiply", a, 1.0, shape=shape), np.broadcast_to(a, shape))
    big = kernels.combine("multiply", normal((300, 1), "f4"), 1.0, shape=(300, 700))
    np.testing.assert_array_equal(big, np.broadcast_to(normal((300, 1), "f4"), big.shape))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins_from_both_sides(name, isa):
    a, b = np.array([1, NAN, NAN, 2], "f4"), np.array([NAN, 1, NAN, 3], "f4")
    np.testing.assert_array_equal(kernels.combine(name, a, b), getattr(np, name)(a, b))


def test_shares_leave_what_is_not_theirs_untouched(isa):
    dy, share = np.array([INF, NAN, INF, 3], "f4"), np.array([0, 0, 1, 0.5], "f4")
    np.testing.assert_array_equal(kernels.combine("gate", dy, share), [0, 0, INF, 1.5])
    np.testing.assert_array_equal(kernels.combine("gate_rest", dy, share), [INF, NAN, 0, 1.5])


@pytest.mark.parametrize("shape", [(3, 50), (50,), (3, 1), ()])
def test_add_into(shape, isa):
    total, array = normal((3, 50), "f4"), normal(shape, "f4", 1)
    expected = total + array
    assert kernels.add_into(total, array) is None
    np.testing.assert_array_equal(total, expected)


# -------------------------------------------------------------------------------------------------------- reductions

REDUCED = [
    ((1,), (0,)), ((7,), (0,)), ((5000,), (0,)), ((100_003,), (0,)), ((3, 4), ()), ((3, 4), (0, 1)), ((70, 3), (0,)),
    ((70, 3), (1,)), ((9, 33), (1,)), ((2, 5, 7, 16), (1, 2)), ((2, 5, 7, 16), (0, 1, 2)), ((2, 5, 7, 16), (0, 3)),
    ((2, 5, 7, 3), (0, 2)), ((3000, 10), (0,)), ((20_000, 2), (0,)), ((4, 5000), (0,)), ((4, 5000), (1,)), ((6, 300, 20), (1,)),
    ((3, 4, 5, 6, 7), (0, 2, 4)), ((3, 4, 5, 6, 7), (1, 3)), ((1, 5, 1), (0, 2)), ((40_000, 17), (0,)), ((31, 100), (1,)),
    ((), ()), ((2, 2) * 6, tuple(range(0, 12, 2))), ((2, 1500, 64), (1,)), ((3, 2111, 32), (1,)), ((5003, 8), (0,)),
]  # fmt: skip


@pytest.mark.parametrize("shape, axes", REDUCED, ids=str)
@each_dtype
def test_reductions_agree_with_their_twins(shape, axes, dtype, isa):
    for make in (integers, normal):
        a, b = np.asarray(make(shape, dtype, 1)), np.asarray(make(shape, dtype, 2))
        terms = np.prod([shape[axis] for axis in axes])
        for name in ("sum", "max", "min", "products"):
            if name == "products":
                y, expected = kernels.reduce_products(a, b, axes, 2), reference.reduce_products(a, b, axes, 2)
            else:
                y, expected = kernels.reduce(name, a, axes), reference.reduce(name, a, axes)
            assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
            exact = make is integers or name in ("max", "min")
            scale = 0 if exact else np.finfo(dtype).eps * (terms + 1) * largest(a) * max(1, largest(b))
            np.testing.assert_allclose(y, expected, rtol=0, atol=scale, err_msg=name)


@pytest.mark.parametrize("shape, axes", [((4_000_000,), (0,)), ((1_000_000, 4), (0,)), ((60_000, 64), (0,))], ids=str)
def test_long_sums_lose_little(shape, axes, isa):
    """All terms have one sign, where a chain of additions would lose eps * terms."""
    x = np.random.default_rng(0).random(shape, np.float32)
    exact = x.sum(axis=axes, keepdims=True, dtype=float)
    assert np.abs(kernels.reduce("sum", x, axes) / exact - 1).max() < 100 * np.finfo(np.float32).eps


def test_nan_wins_an_extremum_wherever_it_stands(isa):
    for width in (1, 3, 16, 50):
        x = normal((width, width), "f4")
        for place in range(width):
            x[place] = NAN
            for name, axis in itertools.product(("max", "min"), (0, 1)):
                y = kernels.reduce(name, x, (axis,))
                assert np.isnan(y).all() if axis == 0 else np.isnan(y[place])
            x[place] = 0


def test_results_do_not_depend_on_the_threads(restore_threads):
    x, narrow, bias = normal((3000, 150), "f4"), normal((200_001, 3), "f4"), normal((150,), "f4", 1)
    results = []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        arrays = [kernels.map_forward("gelu", x), kernels.combine("multiply", x, bias)]
        arrays.append(kernels.combine("add", narrow, bias[:3]))
        arrays += [kernels.reduce("sum", array, axes) for array in (x, narrow) for axes in ((0,), (1,), (0, 1))]
        arrays.append(kernels.reduce_products(x, x, (0, 1)))
        results.append(b"".join(array.tobytes() for array in arrays))
    assert len(set(results)) == 1


def test_results_past_the_caches_are_the_same(isa):
    """Above 16 MB results are stored past the caches."""
    x = normal((3, 3 << 19), "f4")
    for run in (lambda x: kernels.map_forward("exp", x), lambda x: kernels.map_backward("tanh", x, x),
                lambda x: kernels.combine("add", x, x),
                lambda x: kernels.combine("multiply", x, x[:1, :1].copy())):  # fmt: skip
        whole = run(x)
        assert whole.nbytes > 16 << 20
        for i in range(3):
            np.testing.assert_array_equal(whole[i : i + 1, 5:], run(np.concatenate([x[:1], x[i : i + 1]]))[1:, 5:])


@pytest.mark.parametrize(
    "shapes", [((5, 900_003), (900_003,)), ((900_003, 5), (900_003, 1)), ((4_500_015,), (1,))], ids=str
)
def test_results_past_the_caches_begin_and_end_within_a_line(shapes, isa):
    x, b = (integers(shape, "f4", i) for i, shape in enumerate(shapes))
    np.testing.assert_array_equal(kernels.combine("subtract", x, b), x - b)
    memory = kernels.empty((x.size + 32,), "f4")  # aligned to a line
    memory[:] = 7
    total = memory[: x.size].reshape(x.shape)
    total[...] = x
    kernels.add_into(total, b)
    np.testing.assert_array_equal(total, x + b)
    assert (memory[x.size :] == 7).all()


def test_empty_arrays():
    empty = np.zeros((0, 3), "f4")
    assert kernels.map_forward("exp", empty).shape == kernels.map_backward("exp", empty, empty).shape == (0, 3)
    assert kernels.combine("add", empty, np.ones(3, "f4")).shape == (0, 3)
    assert kernels.reduce("sum", empty, (0,)).tolist() == [[0, 0, 0]]
    assert kernels.reduce("max", empty, (1,)).shape == (0, 1)
    with pytest.raises(ValueError, match=r"no elements: shape \(0, 3\), axes \(0,\)"):
        kernels.reduce("max", empty, (0,))


def test_layouts_are_copied_once_and_right():
    x = normal((30, 40), "f4")
    for y in (x.T, x[::-1], x[:, ::2]):
        np.testing.assert_array_equal(kernels.combine("add", y, y), y + y)
        np.testing.assert_array_equal(kernels.map_forward("negative", y), -y)
        np.testing.assert_array_equal(kernels.reduce("max", y, (0,)), y.max(0, keepdims=True))


def test_bad_input_says_what_is_wrong():
    x = np.zeros((2, 3), "f4")
    with pytest.raises(ValueError, match="no function 'expp' of one element; there are negative"):
        kernels.map_forward("expp", x)
    with pytest.raises(ValueError, match="'elu' takes 1 parameters; got 0"):
        kernels.map_forward("elu", x)
    with pytest.raises(ValueError, match="no function 'plus' of two"):
        kernels.combine("plus", x, x)
    with pytest.raises(ValueError, match="no reduction 'median'"):
        kernels.reduce("median", x, (0,))
    with pytest.raises(ValueError, match=r"shapes \(2,3\) \(4,\) cannot be broadcast together"):
        kernels.combine("add", x, np.zeros(4, "f4"))
    with pytest.raises(ValueError, match=r"\(2, 3\) cannot be broadcast to \(3,\)"):
        kernels.add_into(np.zeros(3, "f4"), x)
    with pytest.raises(ValueError, match="in place: it must be contiguous and writable"):
        kernels.add_into(x.T, x.T)
    with pytest.raises(TypeError, match="b is float64"):
        kernels.combine("add", x, x.astype(float))
    with pytest.raises(TypeError, match="x must be float32 or float64; got int64"):
        kernels.map_forward("exp", np.arange(3))
    with pytest.raises(ValueError, match="dy must have the output's shape"):
        kernels.map_backward("exp", x, x[:1])
    with pytest.raises(ValueError, match="b must have a's shape"):
        kernels.reduce_products(x, x[:1], (0,))


def test_an_equal_dtype_is_as_good_as_the_same():
    x = np.arange(6, dtype=copy.deepcopy(np.dtype("float32")))  # as a pickle holds it
    assert kernels.reduce("sum", x, (0,)) == 15 and kernels.map_forward("square", x)[2] == 4
    assert kernels.combine("add", x, np.ones(6, "float32"))[5] == 6
