"""The one random stream that initializers, shuffling and dropout draw from.

It is not a source of secrets, and kernels never draw from it. Contract: after `set_random_seed(n)` the same program
draws the same numbers, whatever the number of threads; without a seed the stream starts from the system's entropy.
"""

from __future__ import annotations

import operator
import random

import numpy as np

_generator = None


def generator() -> np.random.Generator:
    """The generator that everything in fastconv shares."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def set_random_seed(seed: int) -> None:
    """Seeds Python's `random`, NumPy's global stream and fastconv's own.

    `seed` is an integer from 0 to 2**32 - 1; anything else raises ValueError or TypeError.
    """
    global _generator
    seed = _checked(seed)
    random.seed(seed)
    np.random.seed(seed)
    _generator = np.random.default_rng(seed)


def seeded(seed: int) -> np.random.Generator:
    """A stream of its own for one initializer or layer; TypeError or ValueError if `seed` is no such number."""
    return np.random.default_rng(_checked(seed))


def _checked(seed) -> int:
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be an integer; got {seed!r}.") from None
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2**32 - 1; got {seed}.")
    return seed
