"""Every kernel on arrays that end, or begin, where a page begins that nobody may touch: an access outside kills the child.

Inputs and outputs lie against such pages, at either end by turns; what kernels take for themselves does not (that is
tools/sanitize.py's). Results are compared with the twins' too. First two controls: a kernel that reads past its input,
and a read before it, must die. Contract: see report.py and batches.py.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import subprocess
import sys
import weakref

import numpy as np

from tools import ROOT
from tools.batches import child_option, run_cases, serve
from tools.report import Report, arguments

NAME, SECONDS = "guard", 60
PAGE = mmap.PAGESIZE
NONE, READ_WRITE, PRIVATE = 0, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
CONTROLS = {
    "a kernel that reads past its input": "_rows.relu_forward(guarded((100,), 'f4', True), empty((5000,), 'f4'))",
    "a read before an array": "ctypes.string_at(guarded((100,), 'f4', False).ctypes.data - 1, 1)",
    "nothing": "",
}

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def guarded(shape, dtype, at_end: bool) -> np.ndarray:
    """An array between two pages without access, flush with the last or the first of them; filled with NaN."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    room = -(-max(size, 1) // PAGE) * PAGE
    start = libc.mmap(None, room + 2 * PAGE, NONE, PRIVATE, -1, 0)
    if start in (None, ctypes.c_void_p(-1).value) or libc.mprotect(start + PAGE, room, READ_WRITE):
        raise MemoryError(f"No guarded memory for {size} bytes (errno {ctypes.get_errno()}).")
    memory = (ctypes.c_char * size).from_address(start + PAGE + (room - size if at_end else 0))
    weakref.finalize(memory, libc.munmap, start, room + 2 * PAGE)
    ctypes.memset(memory, 0xFF, size)
    return np.ndarray(shape, dtype, memory)


class Guards:
    """Makes guarded arrays, with the guard behind or before by turns at random."""

    def __init__(self, rng):
        self.rng = rng

    def empty(self, shape, dtype):
        return guarded(shape, np.dtype(dtype), self.rng.random() < 0.7)

    def copy(self, array):
        own = self.empty(array.shape, array.dtype)
        own[...] = array
        return own


def case(seed: int, number: int) -> None:
    """One case of four kinds: convolution, pooling, rows, an optimizer's step."""
    sys.path.insert(0, str(ROOT / "tests"))
    import helpers_geometry as geometry

    from fastconv import kernels
    from fastconv.kernels import conv, conv_pool, pool, rows

    rng = random.Random(f"{seed} {number}")
    guards = Guards(rng)
    kernels.use_isa(rng.choice(kernels.build_info()["isas"]))
    kernels.set_num_threads(rng.choice((1, 2)))
    kernels.set_precision("exact")
    for module in (conv, conv_pool, pool, rows):
        module.empty = guards.empty
    if not hasattr(geometry, "plain"):
        geometry.plain = geometry.integers
    geometry.integers = lambda *arguments: guards.copy(geometry.plain(*arguments))
    (convolution, pooling, rowwise, step)[number % 4](rng, guards, geometry)


def convolution(rng, guards, geometry):
    geometry.try_conv(*geometry.conv_case(rng))


def pooling(rng, guards, geometry):
    geometry.try_pool(*geometry.pool_case(rng))
    shape = (rng.randint(1, 3), *(rng.randint(1, 7) for _ in range(rng.randint(1, 3))), rng.choice((1, 3, 16, 33)))
    x, dy = geometry.integers(shape, "f4", 1), geometry.integers((shape[0], shape[-1]), "f4", 2)
    _, index = geometry.same("global_max_pool_forward", x)
    geometry.same("global_max_pool_backward", dy, guards.copy(index), shape)
    geometry.same("global_average_pool_forward", x, tolerance=1e-4)
    geometry.same("global_average_pool_backward", dy, shape, tolerance=1e-4)


def rowwise(rng, guards, geometry):
    rows, width, dtype = rng.randint(1, 40), rng.choice((1, 2, 7, 10, 16, 33, 200)), rng.choice(("f4", "f8"))
    x, y, dy = (geometry.integers((rows, width), dtype, i) for i in range(3))
    row, loss = geometry.integers((width,), dtype, 3), geometry.integers((rows,), dtype, 4)
    target = np.abs(y) / max(1, float(np.abs(y).sum()))
    labels = guards.copy(np.random.default_rng(rng.randrange(99)).integers(0, width, rows))
    for name, *given in (
        ("relu_forward", x), ("relu_backward", dy, y), ("bias_forward", x, row), ("bias_backward", dy),
        ("softmax_forward", x), ("softmax_backward", dy, target), ("log_softmax_forward", x),
        ("log_softmax_backward", dy, -target), ("softmax_crossentropy_forward", x, labels),
        ("softmax_crossentropy_forward", x, guards.copy(target)), ("softmax_crossentropy_backward", loss, target, labels),
        ("softmax_crossentropy_backward", loss, target, guards.copy(target)),
    ):  # fmt: skip
        geometry.same(name, *given, tolerance=0.01)
    kernel = geometry.integers((width, rng.choice((1, 5, 16, 33))), dtype, 5)
    up = geometry.integers((rows, kernel.shape[1]), dtype, 6)
    geometry.same("dense_forward", x, kernel, geometry.integers(kernel.shape[1:], dtype, 7))
    geometry.same("dense_backward_input", up, kernel)
    geometry.same("dense_backward_kernel", up, x)


def step(rng, guards, geometry):
    from fastconv.kernels import reference, update

    shapes = [tuple(rng.randint(1, 60) for _ in range(rng.randint(1, 3))) for _ in range(3)]
    ours = [[geometry.integers(shape, "f4", i) for shape in shapes] for i in range(4)]
    ours[3] = [guards.copy(np.abs(a)) for a in ours[3]]
    twins = [[a.copy() for a in group] for group in ours]
    if rng.random() < 0.5:
        constants = (0.1, 0.9, rng.random() < 0.5)
        update.sgd_step(*ours[:3], *constants)
        reference.sgd_step(*twins[:3], *constants)
    else:
        constants = (3, 0.01, 0.9, 0.999, 1e-3)
        update.adam_step(*ours, *constants)
        reference.adam_step(*twins, *constants)
    for one, other in zip(ours[0], twins[0]):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def controls(report) -> bool:
    """Whether what must die dies, and only that."""
    for what, line in CONTROLS.items():
        program = f"import ctypes; from tools.guard import guarded; from fastconv.kernels import _rows, empty; {line}"
        code = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL).returncode
        expected = -11 if line else 0
        report.case(None if code == expected else f"control: {what} ended with {code} instead of {expected}")
    return report.failures == 0


def main() -> int:
    asked = arguments(NAME, __doc__, cases=8000, quick=800, options=child_option)
    if asked.first is not None:
        return serve(asked.first, asked.cases, lambda number: case(asked.seed, number))
    report = Report(NAME, asked.seed)
    if controls(report):
        run_cases(report, NAME, asked.cases, asked.seed, SECONDS)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
