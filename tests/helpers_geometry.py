"""Random window geometry, ordinary and absurd, and what must hold of every pass on it: the twin's result, or a refusal.

For test_kernels_geometry.py, and for tools/fuzz_geometry.py, which tries more of it. Contract: a `random.Random` makes the
same cases anywhere. `try_conv` and `try_pool` return "ran" or "refused"; they raise where a kernel's result is not its
twin's, where it fails in another way than with a ValueError or MemoryError that says what is wrong, or where it refuses
a window of few outputs that Window takes.
"""

from __future__ import annotations

import math
import re

import numpy as np
from helpers import integers

from fastconv import kernels
from fastconv.kernels import Window, algorithms, reference

EDGES = (2**15, 2**16, 2**31, 2**32, 2**62, 2**63)
MOST = 3000  # cells of an output that are computed
SAYS = re.compile(
    r"padding|strides|dilation_rate|kernel_size|pool_size|window|shape|too (large|big)|memory|allocate|dimension"
)
CHANNELS = (
    (1, 1, 1),
    (3, 2, 1),
    (1, 18, 1),
    (16, 17, 1),
    (5, 5, 5),
    (4, 8, 2),
    (6, 3, 3),
    (34, 34, 1),
)  # in, out, groups


def near_edge(rng, most=2**63):
    """A number next to a power of two at which sizes of some type end, or anywhere between."""
    if rng.random() < 0.3:
        return int(2 ** rng.uniform(3, math.log2(most)))
    return max(1, rng.choice([edge for edge in EDGES if edge <= most]) + rng.randint(-2, 2))


def number(rng, small=3):
    """Small, large, or, one time in fifty, no legal argument any more."""
    draw = rng.random()
    return (
        rng.randint(1, small)
        if draw < 0.5
        else near_edge(rng)
        if draw < 0.52
        else min(near_edge(rng, 2**31), 2**31 - 1)
    )


def axis(rng, taps, far):
    """(input, stride, dilation, (low, high)) of one spatial axis of a few outputs."""
    size = rng.choice((1, 1, 2, 3, 5, 8, 13, 30))
    stride, dilation = (number(rng), number(rng)) if far else (rng.randint(1, 3), rng.randint(1, 3))
    extent, output = (taps - 1) * dilation + 1, rng.randint(1, 5)
    added = max(0, (output - 1) * stride + extent - size) + rng.choice((0, 0, 0, 1, 2))
    low = rng.choice((0, added, added // 2, rng.randint(0, added), rng.randrange(taps) * dilation, stride))
    low = min(max(0, low + rng.randint(-2, 2)), added)
    return size, stride, dilation, (low, added - low)


def conv_case(rng):
    """(x's shape, kernel's shape, options, dtype) of a convolution."""
    rank = rng.randint(1, 3)
    taps = [rng.choice((1, 1, 2, 3, 3, 4)) for _ in range(rank)]
    sizes, strides, dilations, pairs = zip(*[axis(rng, t, rng.random() < 0.6) for t in taps])
    channels, filters, groups = rng.choice(CHANNELS)
    padding = rng.choice((pairs, pairs, pairs, "same", "valid"))
    if rank == 1 and rng.random() < 0.1:
        sizes = (rng.choice(EDGES[:2]) + rng.randint(-2, 2),)
    batch = rng.choice((1, 1, 2, 5))
    if rng.random() < 0.03:  # without samples there are arrays of any size
        batch, sizes = 0, tuple(near_edge(rng) for _ in sizes)
    options = {"strides": strides, "dilation_rate": dilations, "padding": padding}
    return (batch, *sizes, channels), (*taps, channels // groups, filters), options, rng.choice(("f4", "f4", "f8"))


def pool_case(rng):
    """(x's shape, pool_size, options, dtype) of a pooling."""
    rank = rng.randint(1, 3)
    pool = [number(rng, 4) if rng.random() < 0.5 else rng.randint(1, 4) for _ in range(rank)]
    sizes, strides, _, pairs = zip(*[axis(rng, 1, True) for _ in pool])
    pairs = tuple(tuple(min(p, size - 1) for p in pair) for pair, size in zip(pairs, pool))
    options = {"strides": rng.choice((strides, None)), "padding": rng.choice((pairs, "same", "same", "valid"))}
    return (rng.choice((1, 2)), *sizes, rng.choice((1, 3, 16, 33))), tuple(pool), options, rng.choice(("f4", "f8"))


def few(shape, kernel, options):
    """Whether Window takes this geometry, with few outputs: then every pass must run."""
    try:
        output = Window.of(shape[1:-1], kernel, **options).output
    except ValueError as error:
        assert SAYS.search(str(error)), error
        return False
    return math.prod(output) <= MOST and shape[0] > 0


def refuses(run):
    """Runs it; whether it refused, and said why."""
    try:
        run()
        return False
    except (ValueError, MemoryError) as error:
        assert SAYS.search(str(error)), f"{type(error).__name__}: {error}"
        return True


def same(name, *arguments, tolerance=0.0, algorithm=None, **options):
    """kernels.`name` gives its twin's results (an array or several), which are returned."""
    forced = {} if algorithm is None else {"algorithm": algorithm}
    result, expected = (
        getattr(kernels, name)(*arguments, **options, **forced),
        getattr(reference, name)(*arguments, **options),
    )
    for ours, twin in zip(*[(r if isinstance(r, tuple) else (r,)) for r in (result, expected)]):
        assert ours.shape == twin.shape and ours.dtype == twin.dtype
        np.testing.assert_allclose(ours, twin, rtol=0, atol=tolerance, err_msg=f"{name} {algorithm} {options}")
    return result


def try_conv(shape, kernel_shape, options, dtype):
    """Every pass on every algorithm, and pooled in windows of two where there is room."""
    if not few(shape, kernel_shape[:-2], options):
        return refuse_conv(shape, kernel_shape, options, dtype)
    x, kernel, bias = integers(shape, dtype, 1), integers(kernel_shape, dtype, 2), integers(kernel_shape[-1:], dtype, 3)
    window = Window.of(shape[1:-1], kernel_shape[:-2], **options)
    dy = integers((shape[0], *window.output, kernel_shape[-1]), dtype, 4)
    for kind, arguments in (
        ("forward", (x, kernel, bias)), ("backward_input", (dy, kernel, shape)), ("backward_kernel", (dy, x, kernel_shape)),
    ):  # fmt: skip
        groups = shape[-1] // kernel_shape[-2]
        problem = algorithms.Problem(kind, window.compact, shape[0], shape[-1], kernel_shape[-1], groups)
        for name in (None, *[choice.name for choice in algorithms.candidates(problem)]):
            tolerance = 0.05 if name and name.startswith("winograd") else 0.0
            same(f"conv_{kind}", *arguments, algorithm=name, tolerance=tolerance, **options)
    pool = tuple(min(2, size) for size in window.output)
    y, index = same("conv_pool_forward", x, kernel, bias, pool, **options)
    dy = integers(y.shape, dtype, 5)
    for name in (None, "direct", "sparse"):
        for kind, arguments in (("backward_input", (kernel, shape)), ("backward_kernel", (x, kernel_shape))):
            try:
                same(f"conv_pool_{kind}", dy, index, *arguments, pool, algorithm=name, **options)
            except ValueError as error:
                assert name == "sparse" and "cannot run this" in str(error), error
    return "ran"


def try_pool(shape, pool_size, options, dtype):
    """Max and average pooling and their gradients."""
    strides = pool_size if options["strides"] is None else options["strides"]
    if not few(shape, pool_size, {"strides": strides, "padding": options["padding"]}):
        return "refused"
    x = integers(shape, dtype, 1)
    if math.prod(pool_size) >= 2**31:
        assert refuses(lambda: kernels.max_pool_forward(x, pool_size, **options))
        return "refused"
    y, index = same("max_pool_forward", x, pool_size, **options)
    dy = integers(y.shape, dtype, 2)
    same("max_pool_backward", dy, index, shape, pool_size, **options)
    same("average_pool_forward", x, pool_size, tolerance=1e-4, **options)
    same("average_pool_backward", dy, shape, pool_size, tolerance=1e-4, **options)
    return "ran"


def refuse_conv(shape, kernel_shape, options, dtype):
    """A convolution that Window refuses, whose output no memory holds, or of no sample. Others would take long."""
    try:
        size = shape[0] * math.prod(Window.of(shape[1:-1], kernel_shape[:-2], **options).output)
    except ValueError:
        size = math.inf
    if 0 < size < 2**48:
        return "ran"
    try:
        x, kernel = np.zeros(shape, dtype), np.zeros(kernel_shape, dtype)
    except ValueError:
        return "refused"  # by NumPy
    refused = refuses(lambda: kernels.conv_forward(x, kernel, **options))
    assert refused or size == 0
    refuses(lambda: kernels.conv_backward_input(kernels.conv_forward(x, kernel, **options), kernel, shape, **options))
    return "refused"
