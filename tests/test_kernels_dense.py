"""Matrix products against their twins: every way that _dense.pyx knows, at its edges."""

import sys

import numpy as np
import pytest
from helpers import Plain, check_op, integers, normal, python

from fastconv import kernels
from fastconv.kernels import reference

# rows, channels, filters: what each is the edge of
SHAPES = {
    "one": (1, 1, 1),
    "dots of one row": (1, 700, 1),
    "few rows, far": (1, 130, 1025),
    "few rows, sliced": (3, 300, 600),
    "few rows, close": (4, 9, 33),
    "one row, narrow": (1, 77, 3),
    "narrow, turned": (150, 203, 5),
    "narrow, turned twice": (70, 130, 20),
    "narrow, transposed result": (33, 900, 5),
    "narrow, in place to its end": (10, 300, 31),
    "one tile": (13, 17, 32),
    "tiles and tails": (29, 35, 67),
    "blocks of the depth": (31, 530, 130),
    "slices of the depth": (16, 4200, 40),
    "pieces of rows": (600, 40, 70),
    "pieces of columns": (30, 64, 600),
    "steps that collide": (20, 1024, 1024),
    "outer product": (300, 1, 70),
    "shallow": (7, 3, 500),
    "one column": (9, 2, 1),
}


def check_passes(leading, channels, filters, dtype):
    x, w, dy = (*leading, channels), (channels, filters), (*leading, filters)
    check_op("dense_forward", x, w, (filters,), terms=channels + 1, dtype=dtype)
    check_op("dense_forward", x, w, terms=channels, dtype=dtype)
    check_op("dense_backward_input", dy, w, terms=filters, dtype=dtype)
    check_op("dense_backward_kernel", dy, x, terms=int(np.prod(leading)), dtype=dtype)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_products_agree_with_their_twins(name, dtype, isa):
    rows, channels, filters = SHAPES[name]
    check_passes((rows,), channels, filters, dtype)


@pytest.mark.parametrize("seed", range(40))
def test_so_do_random_shapes(seed):
    random = np.random.default_rng(seed)
    rows, channels, filters = (int(2 ** random.uniform(0, 9)) for _ in range(3))
    check_passes((rows,), channels, filters, ["f4", "f8"][seed % 2])


@pytest.mark.parametrize("leading", [(5, 7), (), (2, 1, 3)])
def test_leading_axes_are_rows(leading):
    check_passes(leading, 17, 33, "f4")


def test_a_result_past_the_caches():
    check_op("dense_backward_kernel", (3, 2064), (3, 2100), terms=3, dtype="f4")


STACKS = {
    "equal": ((3, 4, 7, 5), (3, 4, 5, 9)),
    "one of many": ((6, 7, 5), (1, 5, 9)),
    "many of one": ((20, 30), (4, 30, 17)),
    "each of the other": ((2, 1, 3, 40), (5, 40, 20)),
    "in between": ((2, 3, 4, 8, 16), (1, 3, 1, 16, 8)),
    "one matrix": ((3, 20, 6), (6, 11)),
    "rows": ((9, 1, 64), (9, 64, 64)),
    "columns": ((9, 64, 64), (9, 64, 1)),
    "narrow": ((3, 33, 400), (3, 400, 5)),
    "large": ((2, 100, 300), (2, 300, 120)),
}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_stacks_agree_with_their_twins(name, dtype, isa):
    a, b = STACKS[name]
    dy = reference.matmul_forward(np.zeros(a), np.zeros(b)).shape
    copies = int(np.prod(dy[:-2]))
    check_op("matmul_forward", a, b, terms=a[-1], dtype=dtype)
    check_op("matmul_backward_a", dy, b, Plain(a), terms=copies * dy[-1], dtype=dtype)
    check_op("matmul_backward_b", dy, a, Plain(b), terms=copies * dy[-2], dtype=dtype)


@pytest.mark.parametrize("number", [2, 3, 7])
def test_bits_do_not_depend_on_the_threads(number, restore_threads):
    for shape in [*SHAPES.values(), (128, 512, 512), (2, 2000, 1500)]:
        x, w = normal(shape[:2], "f4"), normal(shape[1:], "f4", 1)
        results = []
        for threads in (1, number):
            kernels.set_num_threads(threads)
            y = kernels.dense_forward(x, w)
            results.append([y, kernels.dense_backward_input(y, w), kernels.dense_backward_kernel(y, x)])
        for one, many in zip(*results):
            assert one.tobytes() == many.tobytes()


GUARD = """
import ctypes, mmap, os
import numpy as np
from fastconv import kernels

libc, PAGE, keep = ctypes.CDLL(None), mmap.PAGESIZE, []

def at_the_end(*shape):  # an array whose last element is the last before a page that nobody may touch
    size = 4 * int(np.prod(shape))
    pages = -(-size // PAGE)
    keep.append(mmap.mmap(-1, (pages + 1) * PAGE))
    end = ctypes.addressof(ctypes.c_char.from_buffer(keep[-1])) + pages * PAGE
    assert libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(PAGE), 0) == 0
    return np.frombuffer(keep[-1], np.float32, size // 4, pages * PAGE - size).reshape(shape)

for m, c, k in [(10, 300, 31), (1, 77, 3), (3, 40, 5), (14, 20, 17), (40, 9, 1), (5, 130, 20), (2, 33, 1), (1, 3, 40)]:
    x, w, dy, bias = at_the_end(m, c), at_the_end(c, k), at_the_end(m, k), at_the_end(k)
    kernels.dense_forward(x, w, bias), kernels.dense_backward_input(dy, w), kernels.dense_backward_kernel(dy, x)
os._exit(7)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
@pytest.mark.parametrize("name", kernels.build_info()["isas"])
def test_nothing_is_read_past_an_operand(name):
    done = python("-c", GUARD, FASTCONV_ISA=name)
    assert done.returncode == 7, done.stderr


def test_arrays_that_c_cannot_read_are_copied():
    x, w, dy = integers((6, 10), "f4"), integers((10, 7), "f4", 1), integers((6, 7), "f4", 2)
    misaligned = np.frombuffer(b"." + x.tobytes(), "u1")[1:].view("f4").reshape(x.shape)
    for relaid in (np.asfortranarray(x), x[:, ::-1].copy()[:, ::-1], misaligned):
        np.testing.assert_array_equal(kernels.dense_forward(relaid, w), reference.dense_forward(x, w))
        np.testing.assert_array_equal(kernels.dense_backward_kernel(dy, relaid), reference.dense_backward_kernel(dy, x))
    for relaid in (np.asfortranarray(w), w[::-1].copy()[::-1]):
        np.testing.assert_array_equal(kernels.dense_backward_input(dy, relaid), reference.dense_backward_input(dy, w))
        np.testing.assert_array_equal(kernels.matmul_forward(x[None], relaid[None])[0], reference.dense_forward(x, w))


def test_sums_of_nothing_are_zero_or_the_bias():
    none, bias = np.zeros((2, 0), "f4"), np.arange(3, dtype="f4")
    assert kernels.dense_forward(none, np.zeros((0, 3), "f4"), bias).tolist() == [[0, 1, 2]] * 2
    assert kernels.dense_backward_input(none, np.zeros((4, 0), "f4")).tolist() == [[0] * 4] * 2
    assert (
        kernels.dense_backward_kernel(none.T, none.T).shape == (2, 2)
        and not kernels.dense_backward_kernel(none.T, none.T).any()
    )
    assert kernels.matmul_forward(none[None], np.zeros((1, 0, 3), "f4")).tolist() == [[[0] * 3] * 2]


F = np.ones
BAD = {
    "channels": (
        lambda: kernels.dense_forward(F((2, 3)), F((4, 5))),
        ValueError,
        "x's last axis must be the kernel's first",
    ),
    "bias": (
        lambda: kernels.dense_forward(F((2, 3)), F((3, 5)), F(4)),
        ValueError,
        "bias must have one entry a filter",
    ),
    "filters": (lambda: kernels.dense_backward_input(F((2, 3)), F((4, 5))), ValueError, "last axes must be equal"),
    "leading": (lambda: kernels.dense_backward_kernel(F((2, 3)), F((3, 3))), ValueError, "x's leading axes"),
    "rank": (lambda: kernels.dense_forward(F((2, 3)), F(3)), ValueError, "kernel must have 2 dimensions"),
    "scalar": (lambda: kernels.dense_forward(F(()), F((1, 1))), ValueError, "x must have"),
    "dtypes": (lambda: kernels.dense_forward(F((2, 3), "f4"), F((3, 5))), TypeError, "one dtype is needed"),
    "integers": (lambda: kernels.dense_forward(F((2, 3), "i4"), F((3, 5), "i4")), TypeError, "float32 or float64"),
    "byte order": (lambda: kernels.dense_forward(F((2, 3), ">f4"), F((3, 5), "f4")), TypeError, "float32 or float64"),
    "list": (lambda: kernels.dense_forward([[1.0]], F((1, 1))), TypeError, "must be a NumPy array"),
    "stacks": (lambda: kernels.matmul_forward(F((2, 3, 4)), F((3, 4, 5))), ValueError, "cannot be multiplied"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    call, error, words = BAD[name]
    with pytest.raises(error, match=words):
        call()
