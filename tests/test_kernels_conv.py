"""Convolution: every kernel against its twin, the adjoint identities, the special shapes, the errors."""

import itertools

import numpy as np
import pytest
from helpers import Plain, check_op, covering, integers, label, largest, normal

from fastconv import kernels
from fastconv.kernels import Window, reference

pytestmark = pytest.mark.usefixtures("exact")

CHANNELS = (1, 3, 4, 7, 16, 17, 33)
ROWS = covering(
    rank=(1, 2, 3),
    stride=(1, 2, 3),
    dilation=(1, 2, 3),
    padding=("valid", "same", 1, "pairs", "causal"),
    groups=(1, 2, 3),
    channels=CHANNELS,  # a group
    filters=CHANNELS,
    taps=(1, 2, 3, 5),
    dtype=(np.float32, np.float64),
    batch=(1, 3),
)


def geometry(row):
    """(x's shape, kernel's shape, options) of a row; sizes differ by axis so that mixed-up axes are found."""
    rank, padding = row["rank"], row["padding"]
    taps = tuple(max(1, row["taps"] - (axis == 0 and rank > 1)) for axis in range(rank))
    size = tuple((t - 1) * row["dilation"] + 1 + 5 + 2 * axis + (20 if rank == 1 else 0) for axis, t in enumerate(taps))
    options = {
        "strides": row["stride"],
        "dilation_rate": row["dilation"],
        "padding": tuple((axis, 2) for axis in range(rank)) if padding == "pairs" else _of_rank(padding, rank),
    }
    x = (row["batch"], *size, row["channels"] * row["groups"])
    return x, (*taps, row["channels"], row["filters"] * row["groups"]), options


def _of_rank(padding, rank):
    return "valid" if padding == "causal" and rank > 1 else padding


def output(x, kernel, options):
    window = Window.of(x[1:-1], kernel[:-2], options["strides"], options["padding"], options["dilation_rate"])
    return (x[0], *window.output, kernel[-1])


def check_conv(x, kernel, dtype=np.float32, **options):
    """Forward (with and without a bias), both gradients and the adjoint identities, on these shapes."""
    options = {"strides": 1, "padding": "valid", "dilation_rate": 1} | options
    y = output(x, kernel, options)
    reduction = int(np.prod(kernel[:-1]))
    check_op("conv_forward", x, kernel, terms=reduction, dtype=dtype, **options)
    check_op("conv_forward", x, kernel, kernel[-1:], terms=reduction + 1, dtype=dtype, **options)
    taps = int(np.prod(kernel[:-2]))
    check_op("conv_backward_input", y, kernel, Plain(x), terms=taps * kernel[-1], dtype=dtype, **options)
    check_op("conv_backward_input", y, kernel, Plain(x), x[-1:], terms=taps * kernel[-1] + 1, dtype=dtype, **options)
    check_op("conv_backward_kernel", y, x, Plain(kernel), terms=int(np.prod(y[:-1])), dtype=dtype, **options)
    check_adjoint(x, kernel, y, dtype, options)


def check_adjoint(x, kernel, y, dtype, options):
    """<dy, conv(x, w)> == <backward_input(dy, w), x> == <backward_kernel(dy, x), w>, exactly, on integers."""
    x, kernel, dy = integers(x, dtype, 1), integers(kernel, dtype, 2), integers(y, dtype, 3)
    dx = kernels.conv_backward_input(dy, kernel, x.shape, **options)
    dkernel = kernels.conv_backward_kernel(dy, x, kernel.shape, **options)
    products = [(dy, kernels.conv_forward(x, kernel, **options)), (dx, x), (dkernel, kernel)]
    sums = {float((a.astype(np.float64) * b).sum()) for a, b in products}
    assert len(sums) == 1


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_agrees_with_its_twin(row, isa):
    x, kernel, options = geometry(row)
    check_conv(x, kernel, row["dtype"], **options)


SPECIAL = {
    "the tutorial's first layer": ((2, 28, 28, 1), (5, 5, 1, 32), {}),
    "the tutorial's second layer": ((2, 12, 12, 32), (5, 5, 32, 64), {}),
    "pointwise": ((3, 7, 9, 20), (1, 1, 20, 37), {}),
    "pointwise, strided": ((3, 7, 9, 20), (1, 1, 20, 37), {"strides": 2}),
    "pointwise, strided and padded to the input's size": ((2, 4, 5, 3), (1, 1, 3, 4), {"strides": 2, "padding": 2}),
    "depthwise": ((2, 9, 11, 19), (3, 3, 1, 19), {"padding": "same"}),
    "depthwise, two filters a channel": ((2, 9, 11, 6), (3, 3, 1, 12), {"padding": "same"}),
    "depthwise, strided, odd sizes": ((2, 20, 37, 40), (3, 5, 1, 40), {"strides": 2, "padding": "same"}),
    "depthwise, dilated, padded past the kernel": ((2, 9, 12, 33), (2, 3, 1, 33), {"dilation_rate": 2, "padding": 5}),
    "depthwise, stride past the kernel": ((2, 11, 13, 16), (2, 1, 1, 16), {"strides": 4}),
    "depthwise, 1D, long": ((2, 300, 17), (70, 1, 17), {"strides": 3, "padding": "same"}),
    "depthwise, 3D": ((2, 5, 6, 7, 18), (3, 2, 3, 1, 18), {"padding": "same", "strides": (1, 2, 1)}),
    "depthwise, one tap": ((2, 6, 7, 18), (1, 1, 1, 18), {}),
    "depthwise, blocks of columns and of vectors": ((1, 9, 300, 200), (3, 3, 1, 200), {"padding": "same"}),
    "depthwise, wide dilation": ((1, 40, 30, 9), (3, 2, 1, 9), {"dilation_rate": 9, "padding": "same"}),
    "depthwise, rows that share slots": ((1, 47, 9, 8), (4, 3, 1, 8), {"dilation_rate": (6, 1), "strides": (2, 1)}),
    "depthwise, many phases": ((2, 7, 8, 9, 17), (3, 3, 3, 1, 17), {"strides": 3, "padding": "same"}),
    "depthwise, seven columns": ((2, 7, 7, 24), (3, 3, 1, 24), {"padding": "same"}),
    "depthwise, five taps": ((2, 10, 13, 12), (5, 5, 1, 12), {"padding": "same"}),
    "depthwise, padded past the input": ((1, 3, 3, 16), (3, 3, 1, 16), {"padding": 6}),
    "depthwise, stride past the kernel, much padding": ((1, 9, 9, 8), (1, 2, 1, 8), {"strides": 3, "padding": 40}),
    "groups of two": ((2, 9, 11, 38), (3, 3, 2, 38), {"padding": "same"}),
    "groups of four": ((2, 9, 11, 32), (3, 3, 4, 32), {"padding": "same"}),
    "groups of four, strided": ((2, 11, 13, 32), (3, 3, 4, 32), {"padding": "same", "strides": 2}),
    "groups of five to three": ((1, 6, 19, 35), (3, 3, 5, 21), {"dilation_rate": (1, 2), "padding": 2}),
    "groups of one to three": ((1, 6, 19, 13), (2, 5, 1, 39), {"padding": "same", "strides": (1, 2)}),
    "groups of eight to one": ((1, 6, 9, 40), (3, 3, 8, 5), {"padding": "same"}),
    "groups of four, one tap": ((2, 5, 9, 20), (1, 1, 4, 20), {}),
    "groups of three, 1D": ((2, 150, 18), (9, 3, 24), {"padding": "same", "strides": 2}),
    "groups of four, 3D": ((1, 4, 6, 7, 16), (3, 3, 3, 4, 16), {"padding": "same", "strides": (2, 1, 1)}),
    "a wide row": ((1, 1000, 3), (80, 3, 40), {"strides": 4}),
    "a wide padded row": ((1, 1500, 5), (7, 5, 33), {"padding": "same"}),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "a kernel as large as its input": ((2, 6, 5, 3), (6, 5, 3, 4), {}),
    "more padding than input": ((1, 2, 2, 2), (3, 3, 2, 3), {"padding": 5}),
    "padding past the kernel, one side": ((1, 4, 4, 2), (2, 2, 2, 3), {"padding": ((0, 4), (5, 0))}),
    "a stride past the kernel": ((2, 11, 13, 3), (2, 1, 3, 4), {"strides": 4}),
    "stride and dilation with a common divisor": ((2, 23, 19, 3), (3, 3, 3, 4), {"strides": 4, "dilation_rate": 6}),
    "huge dilation": ((1, 300, 3), (3, 3, 5), {"dilation_rate": 128, "padding": "same"}),
    "different strides an axis": ((1, 9, 10, 11, 2), (2, 3, 1, 2, 3), {"strides": (1, 2, 3), "padding": "same"}),
    "many samples of few pixels": ((70, 3, 3, 5), (3, 3, 5, 9), {}),
    "a first layer, 3D, padded": ((2, 6, 7, 13, 1), (3, 3, 3, 1, 20), {"padding": "same"}),
    "a first layer, 3D, two channels, strided": (
        (2, 7, 8, 9, 2),
        (2, 3, 3, 2, 17),
        {"padding": 1, "strides": (1, 2, 2)},
    ),
    "a first layer, 1D, odd run": ((3, 403, 1), (7, 1, 34), {}),
    "a first layer, 1D, one sample": ((1, 900, 2), (9, 2, 18), {"padding": "same"}),
    "a first layer, dilated": ((2, 15, 17, 3), (3, 3, 3, 18), {"dilation_rate": (2, 3), "padding": 4}),
    "a first layer, strided, many filters": ((2, 40, 41, 3), (7, 7, 3, 64), {"strides": 2, "padding": 3}),
    "a first layer, padded past the kernel": ((2, 9, 8, 4), (3, 2, 4, 16), {"padding": 5}),
    "a first layer, stride past the kernel": ((2, 23, 26, 3), (3, 2, 3, 33), {"strides": 4}),
    "a first layer of many taps": ((2, 20, 600, 1), (9, 27, 1, 16), {}),
    "a first layer of more taps than are listed": ((1, 20, 40, 1), (17, 17, 1, 16), {}),
    "groups of two channels, padded": ((2, 9, 11, 8), (3, 3, 2, 20), {"padding": "same"}),
    "few filters": ((2, 12, 11, 16), (3, 3, 16, 2), {"padding": "same"}),
    "small padded images, many samples": ((9, 5, 6, 18), (5, 5, 18, 33), {"padding": "same"}),
    "the same, a depth of padding alone": (
        (9, 1, 5, 6, 18),
        (1, 3, 3, 18, 33),
        {"strides": (2, 1, 1), "padding": ((1, 0), (1, 1), (1, 1))},
    ),
    "the same, a depth that no window reads": (
        (9, 2, 5, 6, 18),
        (3, 3, 3, 18, 33),
        {"strides": (2, 1, 1), "padding": ((2, 0), (1, 1), (1, 1))},
    ),
    "small images, strided": ((23, 6, 5, 20), (3, 3, 20, 24), {"padding": 1, "strides": 2}),
    "small images, strided past the kernel": ((8, 7, 7, 17), (2, 2, 17, 16), {"padding": 3, "strides": 3}),
    "small images, dilated": ((6, 7, 6, 16), (3, 3, 16, 19), {"padding": 3, "dilation_rate": 3}),
    "small images, 1D": ((14, 7, 40), (5, 40, 16), {"padding": "same"}),
    "windows far past the input": (
        (2, 9, 5, 3),
        (3, 2, 3, 4),
        {"dilation_rate": (200, 1), "padding": ((200, 400), (0, 1))},
    ),
    "a long reduction": ((2, 6, 6, 130), (3, 3, 130, 70), {"padding": "same"}),
}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_shapes_agree_too(name, dtype, isa):
    x, kernel, options = SPECIAL[name]
    check_conv(x, kernel, dtype, **options)


@pytest.mark.parametrize("name", [name for name in SPECIAL if name.startswith("groups")])
def test_groups_agree_on_every_algorithm_that_claims_them(name, isa):
    x, kernel, options = SPECIAL[name]
    x, kernel = integers(x, "f4"), integers(kernel, "f4", 1)
    dy = integers(kernels.conv_forward(x, kernel, **options).shape, "f4", 2)
    results = []
    for algorithm in ("direct", "grouped"):
        results.append((kernels.conv_forward(x, kernel, algorithm=algorithm, **options),
                        kernels.conv_backward_input(dy, kernel, x.shape, algorithm=algorithm, **options),
                        kernels.conv_backward_kernel(dy, x, kernel.shape, algorithm=algorithm, **options)))  # fmt: skip
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("number", [2, 3, 7])
def test_bits_do_not_depend_on_the_threads(number, restore_threads):
    for shape, kernel, options in [((9, 28, 28, 3), (5, 5, 3, 33), {}), *SPECIAL.values()]:
        x, w = normal((8, *shape[1:]), "f4"), normal(kernel, "f4", 1)
        results = []
        for threads in (1, number):
            kernels.set_num_threads(threads)
            y = kernels.conv_forward(x, w, **options)
            results.append((y, kernels.conv_backward_input(y, w, x.shape, **options),
                            kernels.conv_backward_kernel(y, x, w.shape, **options)))  # fmt: skip
        for one, many in zip(*results):
            assert one.tobytes() == many.tobytes()


def test_non_finite_values_reach_what_depends_on_them_and_nothing_else(isa):
    x, kernel = integers((1, 9, 9, 5), "f4"), integers((3, 3, 5, 6), "f4", 1)
    for value in (np.nan, np.inf):
        x[0, 4, 4, 2] = value
        y = kernels.conv_forward(x, np.where(kernel == 0, 1, kernel), padding="same")
        touched = ~np.isfinite(y).all(axis=-1)[0]
        expected = np.zeros((9, 9), bool)
        expected[3:6, 3:6] = True
        np.testing.assert_array_equal(touched, expected)


def test_non_finite_values_reach_their_group_and_nothing_else(isa):
    for channels, filters, groups in ((19, 19, 19), (32, 32, 8), (15, 9, 3)):
        x, kernel = integers((1, 9, 12, channels), "f4"), integers((3, 3, channels // groups, filters), "f4", 1)
        x[0, 4, 4, channels - 1] = np.nan
        y = kernels.conv_forward(x, np.where(kernel == 0, 1, kernel), padding="same")
        expected = np.zeros(y.shape, bool)
        expected[0, 3:6, 3:6, filters - filters // groups :] = True
        np.testing.assert_array_equal(np.isnan(y), expected)


def arrays_numpy_allows(array):
    """The same values as views that C cannot read in place, and as read-only memory."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(array.dtype).reshape(array.shape)
    misaligned[...] = array
    strided = np.repeat(array, 2, axis=1)[:, ::2]
    frozen = array.copy()
    frozen.flags.writeable = False
    return [np.asfortranarray(array), array[:, ::-1].copy()[:, ::-1], strided, misaligned, frozen]


@pytest.mark.parametrize("kind", range(5))
def test_any_memory_layout_works(kind):
    x, kernel = normal((2, 8, 9, 3), "f4"), normal((3, 3, 3, 4), "f4", 1)
    expected = kernels.conv_forward(x, kernel)
    odd_x, odd_kernel = arrays_numpy_allows(x)[kind], arrays_numpy_allows(kernel)[kind]
    np.testing.assert_array_equal(kernels.conv_forward(odd_x, odd_kernel), expected)
    np.testing.assert_array_equal(
        kernels.conv_backward_kernel(arrays_numpy_allows(expected)[kind], odd_x, kernel.shape),
        kernels.conv_backward_kernel(expected, x, kernel.shape),
    )


def test_an_empty_batch_gives_empty_outputs_and_zero_gradients():
    x, kernel = np.zeros((0, 8, 8, 3), "f4"), normal((3, 3, 3, 4), "f4")
    y = kernels.conv_forward(x, kernel)
    assert y.shape == (0, 6, 6, 4) and kernels.conv_backward_input(y, kernel, x.shape).shape == x.shape
    assert not kernels.conv_backward_kernel(y, x, kernel.shape).any()


def test_denormals_are_flushed_and_the_float_mode_restored():
    tiny = np.full((1, 8, 8, 4), 1e-40, "f4")
    assert largest(kernels.conv_forward(tiny, np.ones((3, 3, 4, 4), "f4"))) == 0
    assert (tiny * np.float32(0.5)).any()


PACKED = [
    ("conv_forward", (2, 9, 16), dict()),
    ("conv_forward", (2, 9, 32), dict()),  # two groups
    ("conv_backward_input", (2, 9, 36), dict()),
    ("conv_backward_input", (2, 9, 36), dict(groups=2)),
    ("conv_backward_input", (2, 9, 36), dict(strides=2)),
    ("conv_backward_input", (2, 9, 36), dict(strides=2, padding=1)),
    ("conv_backward_input", (2, 9, 36), dict(strides=3, padding=1)),
    ("conv_backward_input", (2, 9, 36), dict(dilation_rate=2)),
]


def _transposing(strides=1, padding="valid", dilation_rate=1):
    return strides, padding, None, dilation_rate


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("second", [False, True])
def test_one_kernel_keeps_packs_for_several_geometries(precision, second, isa):
    kernels.set_precision(precision)
    kernel, packs = normal((3, 16, 36), "f4"), kernels.Packs()
    for name, shape, options in (PACKED[::-1] if second else PACKED) * 2:
        x, arguments = normal(shape, "f4", 1), ()
        if name == "conv_backward_input":
            groups, given = options.get("groups", 1), {key: value for key, value in options.items() if key != "groups"}
            made, _ = kernels.conv_transpose_geometry(shape, kernel.shape, *_transposing(**given), groups)
            arguments = (made, normal(made[-1:], "f4", 2))
        expected = getattr(reference, name)(x, kernel, *arguments, **options)
        found = getattr(kernels, name)(x, kernel, *arguments, packs=packs, **options)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)


X, KERNEL = (1, 8, 8, 4), (3, 3, 4, 6)
ERRORS = [
    (ValueError, "x must have 3 or 4 or 5 dimensions", (8, 4), KERNEL, {}),
    (ValueError, "kernel must have 4 dimensions", X, (3, 4, 6), {}),
    (ValueError, "multiple of 3", X, (3, 3, 3, 6), {}),
    (ValueError, "multiple of the 4 groups", X, (3, 3, 1, 6), {}),
    (ValueError, "groups is 3", X, KERNEL, {"groups": 3}),
    (ValueError, "none may be 0", (1, 8, 8, 0), (3, 3, 0, 6), {}),
    (ValueError, "larger than the padded input of size 8", X, (9, 3, 4, 6), {}),
    (ValueError, "dilated to 9", X, KERNEL, {"dilation_rate": 4}),
    (ValueError, "strides must be between 1", X, KERNEL, {"strides": 0}),
    (ValueError, "one a spatial axis", X, KERNEL, {"strides": (1, 2, 3)}),
    (TypeError, "strides must be an integer", X, KERNEL, {"strides": 1.5}),
    (TypeError, "strides must be an integer", X, KERNEL, {"strides": True}),
    (ValueError, "padding must be 'valid'", X, KERNEL, {"padding": "full"}),
    (ValueError, "padding must be between 0", X, KERNEL, {"padding": -1}),
]


@pytest.mark.parametrize("error, message, x, kernel, options", ERRORS, ids=[row[1] for row in ERRORS])
def test_bad_input_says_what_is_wrong(error, message, x, kernel, options):
    with pytest.raises(error, match=message):
        kernels.conv_forward(np.zeros(x, "f4"), np.zeros(kernel, "f4"), **options)


def test_sizes_that_overflow_are_an_error():
    x, kernel = np.zeros((1, 2, 2, 2, 4), "f4"), np.zeros((1, 1, 1, 4, 6), "f4")
    with pytest.raises(ValueError, match="too large"):
        kernels.conv_forward(x, kernel, padding=2**30 - 1)
    with pytest.raises(
        ValueError, match=r"padding=\(\(.* adds 4294967294 cells to spatial axis 0; .* Use less padding"
    ):
        kernels.conv_forward(x, kernel, padding=2**31 - 1)
    with pytest.raises(
        ValueError, match="padding='same' adds 4294967294 .* dilated to 4294967295.* smaller dilation_rate"
    ):
        kernels.conv_forward(x[..., 0, :, :], np.zeros((3, 3, 4, 6), "f4"), padding="same", dilation_rate=2**31 - 1)
    with pytest.raises(ValueError, match="strides must be between 1 and 2147483647"):
        kernels.conv_forward(x, kernel, strides=2**70)


def test_dtypes_must_be_floats_and_agree():
    x, kernel = np.zeros(X, "f4"), np.zeros(KERNEL, "f4")
    with pytest.raises(TypeError, match="x must be float32 or float64; got int64"):
        kernels.conv_forward(x.astype(int), kernel)
    with pytest.raises(TypeError, match="kernel is float64 and goes with float32"):
        kernels.conv_forward(x, kernel.astype("f8"))
    with pytest.raises(TypeError, match="must be float32 or float64; got >f4"):
        kernels.conv_forward(x.astype(">f4"), kernel)
    with pytest.raises(TypeError, match="x must be a NumPy array; got list"):
        kernels.conv_forward([1.0], kernel)


def test_gradients_check_the_shape_of_dy():
    with pytest.raises(ValueError, match=r"dy must have the output's shape, \(1, 6, 6, 6\); got \(1, 6, 6, 5\)"):
        kernels.conv_backward_input(np.zeros((1, 6, 6, 5), "f4"), np.zeros(KERNEL, "f4"), X)
    with pytest.raises(ValueError, match="bias must have one entry a channel"):
        kernels.conv_backward_input(np.zeros((1, 6, 6, 6), "f4"), np.zeros(KERNEL, "f4"), X, np.zeros(5, "f4"))
    with pytest.raises(ValueError, match="bias must have one entry a filter"):
        kernels.conv_forward(np.zeros(X, "f4"), np.zeros(KERNEL, "f4"), np.zeros(5, "f4"))


def test_the_covering_set_covers_every_pair():
    values = {name: {row[name] for row in ROWS} for name in ROWS[0]}
    for a, b in itertools.combinations(ROWS[0], 2):
        assert {(row[a], row[b]) for row in ROWS} == set(itertools.product(values[a], values[b])), (a, b)


@pytest.mark.parametrize("strides", [(True, True), (1.0, 1.0), True])
def test_what_equals_a_remembered_argument_is_still_checked(strides):
    x, kernel = np.zeros((1, 5, 5, 1), np.float32), np.zeros((3, 3, 1, 1), np.float32)
    for fine in (1, (1, 1)):
        kernels.conv_forward(x, kernel, strides=fine)
    with pytest.raises(TypeError, match="strides must be"):
        kernels.conv_forward(x, kernel, strides=strides)


@pytest.mark.parametrize("shape, kernel, options", [
    ((2, 9, 10, 3), (3, 3, 3, 5), {}), ((1, 8, 8, 16), (3, 3, 16, 40), {"padding": "same"}), ((2, 20, 16), (5, 16, 33), {}),
    ((2, 5, 6, 7, 16), (3, 3, 3, 16, 16), {"padding": "same"}), ((2, 9, 9, 8), (3, 3, 1, 8), {}), ((2, 9, 9, 8), (3, 3, 2, 8), {}),
    ((2, 6, 26, 33), (3, 3, 1, 33), {"padding": "same"}), ((1, 7, 7, 20), (1, 1, 20, 47), {}),
])  # fmt: skip
def test_what_comes_after_the_sums_is_what_comes_after(shape, kernel, options, isa):
    x, weights = normal(shape, np.float32, 1), normal(kernel, np.float32, 2)
    x[0, 0, ..., 0] = np.nan
    bias = normal(kernel[-1:], np.float32, 3)
    names = [None, "direct", "winograd"] if len(set(kernel[:-2])) == 1 and kernel[-2] == 16 else [None, "direct"]
    for algorithm in names:
        plain = kernels.conv_forward(x, weights, bias, algorithm=algorithm, **options)
        added = normal(plain.shape, np.float32, 4)
        for residual, end in itertools.product((None, added), ({}, {"relu": True}, {"relu": True, "most": 0.5})):
            ours = kernels.conv_forward(x, weights, bias, algorithm=algorithm, residual=residual, **end, **options)
            expected = plain if residual is None else plain + added
            expected = reference.relu_forward(expected, end.get("most")) if end else expected
            np.testing.assert_array_equal(ours, expected)
        for residual, (name, *parameters) in itertools.product((None, added), (("silu",), ("elu", 0.5))):
            ours = kernels.conv_forward(
                x, weights, bias, algorithm=algorithm, residual=residual, map=(name, *parameters), **options
            )
            expected = plain if residual is None else plain + added
            np.testing.assert_array_equal(ours, kernels.map_forward(name, expected, *parameters))


def test_the_function_that_comes_last_is_one_of_the_table():
    x, kernel = np.zeros((1, 5, 5, 2), np.float32), np.zeros((3, 3, 2, 4), np.float32)
    for wrong, message in ((("swish",), "There is no function 'swish'"), (("elu",), "takes 1 parameters; got 0")):
        with pytest.raises(ValueError, match=message):
            kernels.conv_forward(x, kernel, map=wrong)


def test_a_residual_has_the_shape_of_y():
    x, kernel = np.zeros((1, 5, 5, 2), np.float32), np.zeros((3, 3, 2, 4), np.float32)
    with pytest.raises(ValueError, match="residual must have y's shape"):
        kernels.conv_forward(x, kernel, residual=np.zeros((1, 5, 5, 4), np.float32))
    with pytest.raises(TypeError, match="residual"):
        kernels.conv_forward(x, kernel, residual=np.zeros((1, 3, 3, 4)))
