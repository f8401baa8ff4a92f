"""The mechanics of the kernel tests: data, tolerances, and a kernel held against its twin in reference.py.

A test is one line of intent over these. `check_op` compares with the twin twice: on integer-valued data, where every
sum is exact and the results must be equal, and on normal data, within the rounding of a sum of `terms` products.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys

import numpy as np

import fastconv
from fastconv import kernels
from fastconv.kernels import reference


def integers(shape, dtype, seed=0):
    """Integers from -4 to 4: sums of up to 2**19 products of two are exact in float32."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def largest(array) -> float:
    return float(np.abs(array).max(initial=0))


def check_op(name, *arguments, terms, dtype, **options):
    """Compares kernels.`name` with its twin. A tuple among the arguments is an array's shape, others are passed on."""
    for make, exact in ((integers, True), (normal, False)):
        values = [
            make(a, dtype, i) if isinstance(a, tuple) else getattr(a, "value", a) for i, a in enumerate(arguments)
        ]
        result = getattr(kernels, name)(*values, **options)
        expected = getattr(reference, name)(*values, **options)
        assert result.dtype == expected.dtype and result.shape == expected.shape
        if exact:
            np.testing.assert_array_equal(result, expected)
        else:
            factors = [largest(value) for value in values if isinstance(value, np.ndarray)]
            scale = max(np.prod(factors[:2]), *factors[2:], 0)  # a third array is a bias
            np.testing.assert_allclose(result, expected, rtol=0, atol=np.finfo(dtype).eps * terms * scale)


# Where a new interpreter finds the fastconv under test: run in a checkout, it would import the sources.
INSTALLED = os.path.dirname(os.path.dirname(fastconv.__file__))


def python(*arguments, **environment):
    """Runs a new interpreter with these arguments (a program after "-c", or "-m" and a module), output captured."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=INSTALLED,
        env={**os.environ, **environment},
    )  # fmt: skip


class Plain:
    """Marks a tuple that check_op passes on as it is."""

    def __init__(self, value):
        self.value = value


def covering(seed=0, **factors):
    """Rows (dicts) in which every pair of values of any two factors stands together at least once; greedy."""
    rng = random.Random(seed)
    names = list(factors)
    missing = {
        ((a, i), (b, j))
        for a, b in itertools.combinations(range(len(names)), 2)
        for i in range(len(factors[names[a]]))
        for j in range(len(factors[names[b]]))
    }
    rows = []
    while missing:
        best, covered = None, set()
        for _ in range(30):
            first = rng.choice(sorted(missing)) if missing else None
            picks = {a: rng.randrange(len(factors[name])) for a, name in enumerate(names)} | dict(first)
            pairs = {pair for pair in itertools.combinations(sorted(picks.items()), 2)} & missing
            if len(pairs) > len(covered):
                best, covered = picks, pairs
        missing -= covered
        rows.append({name: factors[name][best[a]] for a, name in enumerate(names)})
    return rows


def label(row) -> str:
    """A readable test id."""
    return "-".join(str(getattr(v, "__name__", v)).replace(" ", "") for v in row.values())
