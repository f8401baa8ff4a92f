"""Winograd convolution: the transforms against their points, every variant against the twins, the choice of it."""

import os
import re
from fractions import Fraction

import numpy as np
import pytest
from helpers import normal

import fastconv
from fastconv import kernels
from fastconv.kernels import _winograd, algorithms, reference

RMS = {  # of the error over the output's root mean square, float32, as fastconv.kernels.algorithms states it
    (2,): {(5,): 2.9e-7},
    (3,): {(4,): 2.8e-7},
    (4,): {(4,): 5.1e-7},
    (5,): {(4,): 5.6e-7},
    (3, 3): {(2, 2): 2.2e-7, (4, 4): 6.6e-7},
    (5, 5): {(2, 2): 7.2e-7, (4, 4): 2.6e-6},
    (3, 3, 3): {(2, 2, 2): 3.1e-7, (2, 4, 4): 8.6e-7, (4, 4, 4): 1.4e-6},
}
PIECES = [((taps,), (4,)) for taps in (6, 8, 18)]  # rows of taps that are cut
VARIANTS = [(taps, outputs) for taps, rows in algorithms.WINOGRAD.items() for outputs in rows] + PIECES
CASES = {
    "valid": {},
    "same": {"padding": "same"},
    "asymmetric": {"padding": "pairs"},
    "padded past the kernel": {"padding": 6},
    "dilated": {"padding": "same", "dilation_rate": 2},
    "dilated past the output": {"padding": 7, "dilation_rate": 7},
}
POINTS = {  # of csrc/winograd/winograd.h, without infinity
    "F23": (2, 3, [0, 1, -1]),
    "F52": (5, 2, [0, Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)]),
    "F43": (4, 3, [0, Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)]),
    "F44": (4, 4, [0, 1, -1, 2, -2, Fraction(1, 2)]),
    "F25": (2, 5, [0, Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)]),
    "F45": (4, 5, [0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2)]),
}
HEADER = os.path.join(os.path.dirname(__file__), "..", "fastconv", "kernels", "csrc", "winograd", "winograd.h")


def polynomial(roots):
    """The coefficients of the product of (x - root), lowest first."""
    found = [Fraction(1)]
    for root in roots:
        found = [a - root * b for a, b in zip([0, *found], [*found, 0])]
    return found


def derived(m, r, points):
    """B' (n, n), G (n, r) and A (n, m) of F(m, r) by Toom and Cook, for `points` and infinity."""
    b, g, a = [], [], []
    for point in points:
        others = [q for q in points if q != point]
        scale = np.prod([point - q for q in others])
        b.append([*polynomial(others), 0])
        g.append([point**k / Fraction(scale) for k in range(r)])
        a.append([Fraction(point) ** i for i in range(m)])
    b.append(polynomial(points))
    g.append([Fraction(k == r - 1) for k in range(r)])
    a.append([Fraction(i == m - 1) for i in range(m)])
    return [[x for row in matrix for x in row] for matrix in (b, g, a)]


@pytest.mark.parametrize("name", POINTS)
def test_the_tables_follow_from_their_points(name):
    with open(HEADER) as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    for matrix, expected in zip("BGA", derived(*POINTS[name])):
        table = text[text.index(f"MATRIX_{matrix}[") :]
        numbers = re.search(rf"\[{name}\] = \{{(.*?)\}}", table, flags=re.S).group(1)
        found = [Fraction(n.split("/")[0].strip().rstrip(".")) / Fraction((n.split("/") + ["1"])[1].strip())
                 for n in numbers.split(",")]  # fmt: skip
        assert found == expected


def test_python_and_c_know_the_same_tiles():
    """A tile that only one of them knows, or of another size, would run past its scratch."""
    with open(HEADER) as file:
        text = file.read()
    names = re.search(r"enum \{ (ONE, .*?), FILTERS \}", text).group(1).split(", ")
    sizes = {
        table: [int(n) for n in re.search(rf"\b{table}\[FILTERS\] = \{{(.*?)\}}", text).group(1).split(",")]
        for table in ("OUTPUTS", "TAPS", "POINTS", "PAIRS")
    }
    for name, m, r, points, pairs in zip(names, *sizes.values(), strict=True):
        assert points == m + r - 1 and pairs == (0 if points % 2 else (points - 2) // 2)
        assert name == ("ONE" if r == 1 else f"F{m}{r}")
    compiled = re.search(r"#define FC_WINOGRAD\(X\)(.*?)\n\n", text, flags=re.S).group(1)
    compiled = [row.split(", ") for row in re.findall(r"X\((\w+, \w+, \w+)\)", compiled)]
    of = {name: (m, r) for name, m, r in zip(names, sizes["OUTPUTS"], sizes["TAPS"])}
    known = {
        tuple(zip((1,) * (3 - len(taps)) + outputs, (1,) * (3 - len(taps)) + taps))
        for taps, rows in algorithms.WINOGRAD.items()
        for outputs in rows
    }
    assert {tuple(of[name] for name in row) for row in compiled} == known
    assert max(np.prod([m + r - 1 for m, r in row]) for row in known) <= int(re.search(r"MAX_POINTS = (\d+)", text)[1])


def test_tiles_that_were_not_compiled_are_refused():
    x, kernel = normal((1, 8, 8, 16), np.float32), normal((3, 3, 16, 16), np.float32)
    window = kernels.Window.of((8, 8), (3, 3), padding="same")
    y = np.empty_like(x)
    for run in (
        lambda: _winograd.winograd_forward(x, kernel, None, y, window, 1, (1, 3, 3)),
        lambda: _winograd.winograd_backward_input(x, kernel, None, y, window, 1, (1, 2, 4)),
        lambda: _winograd.winograd_backward_kernel(x, x, kernel, window, 1, (2, 2, 2)),
    ):
        with pytest.raises(ValueError, match="No Winograd tile is compiled for these taps and outputs"):
            run()


def rms(taps, outputs):
    if (taps, outputs) in PIECES:  # sums of so many terms, as direct convolution's
        return RMS[4,][outputs] * (taps[0] / 4) ** 0.5
    return RMS[taps][outputs]


def shapes(taps, channels, filters, batch, dilation=1, extra=5):
    if len(taps) == 1 and taps[0] > algorithms.MOST_TAPS:  # short lines are left to the direct tiles
        extra += taps[0] * dilation
    size = tuple((t - 1) * dilation + extra + axis for axis, t in enumerate(taps))
    return (batch, *size, channels), (*taps, channels, filters)


def check(x, kernel, name, dtype, bound, **options):
    """All three passes against their twins: the error's rms over the output's."""
    if options.get("padding") == "pairs":
        options["padding"] = tuple((axis, 2) for axis in range(len(x) - 2))
    x, kernel = normal(x, dtype, 1), normal(kernel, dtype, 2)
    bias = normal(kernel.shape[-1:], dtype, 3)
    y = reference.conv_forward(x, kernel, bias, **options)
    dy = normal(y.shape, dtype, 4)
    calls = [
        ("conv_forward", (x, kernel, bias)),
        ("conv_backward_input", (dy, kernel, x.shape)),
        ("conv_backward_kernel", (dy, x, kernel.shape)),
    ]
    for function, arguments in calls:
        result = getattr(kernels, function)(*arguments, **options, algorithm=name)
        expected = getattr(reference, function)(*arguments, **options).astype(np.float64)
        error = np.sqrt(np.mean((result - expected) ** 2)) / np.sqrt(np.mean(expected**2))
        assert error <= bound * np.finfo(dtype).eps / np.finfo(np.float32).eps, (function, error)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("taps, outputs", VARIANTS)
def test_agrees_with_its_twins(taps, outputs, case, isa):
    name = f"winograd F({'x'.join(map(str, outputs))}, {'x'.join(map(str, taps))})"
    dilation = CASES[case].get("dilation_rate", 1)
    odd = list(CASES).index(case) % 2
    channels, filters, batch, dtype = ((16, 33, 1, np.float32), (37, 16, 2, np.float64))[odd]
    x, kernel = shapes(taps, channels, filters, batch, dilation, extra=1 + 4 * odd)
    check(x, kernel, name, dtype, 4 * rms(taps, outputs), **CASES[case])


@pytest.mark.parametrize("taps, outputs", VARIANTS)
def test_the_error_is_what_is_stated(taps, outputs):
    name = f"winograd F({'x'.join(map(str, outputs))}, {'x'.join(map(str, taps))})"
    for dtype in (np.float32, np.float64):
        check(*shapes(taps, 64, 64, 1, extra=9), name, dtype, 2 * rms(taps, outputs))  # gradients: 1.4, few values


@pytest.mark.parametrize("taps, outputs", VARIANTS)
def test_bits_do_not_depend_on_the_threads(taps, outputs, restore_threads):
    x, kernel = shapes(taps, 32, 48, 3, extra=9)
    x, kernel = normal(x, np.float32, 1), normal(kernel, np.float32, 2)
    results = []
    for number in (1, 2, 3, 7):
        kernels.set_num_threads(number)
        y = kernels.conv_forward(x, kernel, algorithm="winograd")
        results.append((y, kernels.conv_backward_input(y, kernel, x.shape, algorithm="winograd"),
                        kernels.conv_backward_kernel(y, x, kernel.shape, algorithm="winograd")))  # fmt: skip
    for others in results[1:]:
        for first, other in zip(results[0], others):
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("groups, channels, filters", [(2, 16, 16), (3, 17, 19), (2, 48, 33)])
@pytest.mark.parametrize("taps, outputs", VARIANTS)
def test_groups(taps, outputs, groups, channels, filters, isa, restore_threads):
    name = f"winograd F({'x'.join(map(str, outputs))}, {'x'.join(map(str, taps))})"
    kernels.set_num_threads(3)
    x, kernel = shapes(taps, channels, filters, 2, extra=6)
    x, kernel = (*x[:-1], groups * channels), (*kernel[:-1], groups * filters)
    check(x, kernel, name, np.float32, 4 * rms(taps, outputs), padding="same")


def test_groups_are_pooled():
    x, kernel, bias = normal((2, 12, 13, 48), np.float32), normal((3, 3, 16, 51), np.float32), normal((51,), np.float32)
    direct = kernels.conv_pool_forward(x, kernel, bias, 2, padding="same", algorithm="direct")
    y, index = kernels.conv_pool_forward(x, kernel, bias, 2, padding="same", algorithm="winograd F(4x4, 3x3)")
    np.testing.assert_allclose(y, direct[0], atol=1e-4 * np.abs(y).max())
    assert np.mean(index != direct[1]) < 0.01  # ties that rounding breaks


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_depends_on_a_non_finite_value_is_non_finite(value):
    x, kernel = normal((1, 13, 14, 16), np.float32), normal((3, 3, 16, 16), np.float32)
    x[0, 6, 5, 3] = value
    wrong = ~np.isfinite(reference.conv_forward(x, kernel, padding="same"))
    found = ~np.isfinite(kernels.conv_forward(x, kernel, padding="same", algorithm="winograd"))
    assert wrong.any() and found[wrong].all() and not found.all()


def test_the_choice_follows_precision_and_can_be_forced():
    x, kernel = (8, 32, 32, 64), (3, 3, 64, 64)
    assert kernels.explain(x, kernel)["forward"] == "winograd F(4x4, 3x3)"
    assert fastconv.set_precision("exact") == "fast"
    try:
        assert fastconv.get_precision() == "exact"
        assert {kernels.explain(x, kernel)[kind] for kind in algorithms.PASSES} == {"direct"}
    finally:
        fastconv.set_precision("fast")
    with pytest.raises(ValueError, match="precision must be 'fast' or 'exact'; got 'quick'"):
        fastconv.set_precision("quick")
    a, b = normal((1, 8, 8, 16), np.float32), normal((3, 3, 16, 16), np.float32)
    with pytest.raises(ValueError, match=r"'winograd' cannot run this forward; of these shapes those can: direct"):
        kernels.conv_forward(a, b, strides=2, algorithm="winograd")


LINES = [(3, 1), (1, 3), (7, 1), (1, 7), (3, 1, 3), (1, 3, 3), (3, 3, 1), (5, 1, 1), (1, 4, 1)]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("taps", LINES)
def test_axes_of_one_tap(taps, padding):
    x, kernel = (4, 9, 10, 11)[: len(taps) + 1] + (32,), (*taps, 32, 32)
    names = {name.split(" ")[0] for name in _names(x, kernel, padding=padding)}
    assert ("winograd" in names) == (taps != (3, 1, 3))
    for algorithm in names - {"streamed"}:
        check(x, kernel, algorithm, np.float32, 1e-5, padding=padding)


def test_axes_behind_the_taps_are_one_with_theirs_unless_they_move():
    assert "winograd F(4, 7)" in _names((4, 9, 10, 32), (7, 1, 32, 32), padding="same")
    for more in ({"padding": ((3, 3), (1, 0))}, {"strides": (1, 2)}, {"strides": (2, 1)}):
        window = kernels.Window.of((9, 10), (7, 1), **{"padding": "same", **more})
        assert window.line is window


def test_short_lines_of_many_taps_are_left_to_others():
    assert _names((4, 7, 32), (20, 32, 32), padding="same")[0] == "direct"
    assert not any("winograd" in name for name in _names((4, 7, 32), (20, 32, 32), padding="same"))


def _names(x, kernel, **options):
    window = kernels.Window.of(x[1:-1], kernel[:-2], **options)
    return [c.name for c in algorithms.candidates(algorithms.Problem("forward", window, len(x), 32, 32, 1))]


def test_an_empty_batch_gives_empty_results():
    x, kernel = np.zeros((0, 9, 9, 16), np.float32), normal((3, 3, 16, 16), np.float32)
    y = kernels.conv_forward(x, kernel, algorithm="winograd")
    assert y.shape == (0, 7, 7, 16)
    assert not kernels.conv_backward_kernel(y, x, kernel.shape, algorithm="winograd").any()
    assert kernels.conv_backward_input(y, kernel, x.shape, algorithm="winograd").shape == x.shape
