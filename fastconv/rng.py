"""Where random numbers come from: one NumPy stream for initializers and shuffling, and SeedGenerators for kernels.

It is not a source of secrets. Contract: after `set_random_seed(n)` the same program draws the same numbers, whatever the
number of threads; without a seed the streams start from the system's entropy. Kernels draw by counting (kernels/random.py)
from a SeedGenerator's state, which they advance where it stands.
"""

from __future__ import annotations

import operator
import random
import threading

import numpy as np

_generator = None
_common = None
_WORD = 2**64 - 1


class SeedGenerator:
    """A stream of random numbers of its own, for dropout and `fastconv.random`.

    `seed` is an integer from 0 to 2**32 - 1; None takes the system's entropy. `state` holds four uint64: seed, stream,
    counter, and one reserved. A draw moves the counter in this very array: whoever copies it, and copies it back later,
    draws the same numbers again.
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed, self.name = None if seed is None else _checked(seed), name
        self.state = new_state(_entropy() if seed is None else self.seed)

    def next(self, ordered: bool = True) -> np.ndarray:
        """Two uint32, another pair at every call: a seed for a source of one's own. `ordered` is of no use here."""
        return drawn(self).integers(0, 2**32, 2, dtype=np.uint32)

    def get_config(self) -> dict[str, int | None]:
        """The seed."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, int | None]) -> SeedGenerator:
        """A generator of that seed, from its start."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"SeedGenerator(seed={self.seed}, counter={self.state[2]})"


def new_state(seed: int, stream: int = 0) -> np.ndarray:
    """The state of a stream that nothing was drawn from."""
    return np.array([seed, stream, 0, 0], np.uint64)


def branch(state: np.ndarray, number: int) -> np.ndarray:
    """The state of a stream that follows from another's state and a number, and meets neither it nor other numbers'."""
    return new_state(_mixed(*map(int, state[:3]), number))


def generator() -> np.random.Generator:
    """The NumPy generator that everything in fastconv shares."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def seed_generator() -> SeedGenerator:
    """The SeedGenerator that everything without a seed of its own shares: one object, for good."""
    global _common
    if _common is None:
        _common = SeedGenerator()
    return _common


def drawn(source: SeedGenerator) -> np.random.Generator:
    """A NumPy generator of the SeedGenerator's next numbers, which it counts as one draw."""
    seed, stream, counter = map(int, source.state[:3])
    source.state[2] += np.uint64(1)
    return np.random.default_rng([seed, stream, counter])


class apart:
    """`with apart(*numbers)`: what this thread draws from SeedGenerators follows from their seeds and these numbers alone,
    whatever was drawn before, and moves no stream. For work on threads, whose order is nobody's."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __enter__(self) -> None:
        self.before = _here.apart
        _here.apart = (self.numbers, {})

    def __exit__(self, *_: object) -> None:
        _here.apart = self.before


def state_of(source: SeedGenerator | FixedSeed) -> np.ndarray:
    """The state that draws from a source move here and now: its own, or within `apart` one that goes with the numbers."""
    if _here.apart is None or isinstance(source, FixedSeed):
        return source.state
    numbers, states = _here.apart
    if id(source) not in states:
        states[id(source)] = new_state(_mixed(*map(int, source.state[:2]), *numbers))
    return states[id(source)]


class _Here(threading.local):
    apart: tuple | None = None


_here = _Here()


def set_random_seed(seed: int) -> None:
    """Seeds Python's `random`, NumPy's global stream, fastconv's own and the common SeedGenerator.

    `seed` is an integer from 0 to 2**32 - 1; anything else raises ValueError or TypeError.
    """
    global _generator
    seed = _checked(seed)
    random.seed(seed)
    np.random.seed(seed)
    _generator = np.random.default_rng(seed)
    # In place, since plans know the array; a stream that SeedGenerator(seed) does not draw from.
    seed_generator().state[...] = new_state(seed, stream=1)


def get_state() -> dict:
    """Where the two common streams are, and those of Python's `random` and NumPy, as JSON values."""
    version, words, gauss = random.getstate()
    numpys = np.random.get_state(legacy=False)
    inner = numpys["state"]
    return {
        "generator": generator().bit_generator.state, "common": [int(n) for n in seed_generator().state],
        "python": [version, _packed(words), gauss],
        "numpy": [_packed(inner["key"]), inner["pos"], numpys["has_gauss"], numpys["gauss"]],
    }  # fmt: skip


def set_state(state: dict) -> None:
    """Puts the streams where `get_state` found them."""
    generator().bit_generator.state = state["generator"]
    seed_generator().state[...] = np.array(state["common"], np.uint64)
    version, words, gauss = state["python"]
    random.setstate((version, tuple(_unpacked(words).tolist()), gauss))
    key, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", _unpacked(key), position, has_gauss, gauss))


def _packed(words):
    """The 32-bit words of a Mersenne twister as text."""
    return np.asarray(words, "<u4").tobytes().hex()


def _unpacked(text):
    return np.frombuffer(bytes.fromhex(text), "<u4").astype(np.uint32)


def seeded(seed: int) -> np.random.Generator:
    """A stream of its own for one initializer; TypeError or ValueError if `seed` is no such number."""
    return np.random.default_rng(_checked(seed))


class FixedSeed:
    """The numbers of one int, the same at every draw: `state` as a SeedGenerator's, which stays. Equal seeds are equal."""

    def __init__(self, seed: int) -> None:
        self.seed, self.state = _checked(seed), new_state(_checked(seed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedSeed) and self.seed == other.seed

    def __hash__(self) -> int:
        return hash(self.seed)


def source(seed: int | SeedGenerator | None) -> SeedGenerator | FixedSeed:
    """What a function's `seed` stands for: None for the common SeedGenerator, a SeedGenerator, or an int's numbers."""
    if seed is None:
        return seed_generator()
    return seed if isinstance(seed, SeedGenerator) else FixedSeed(seed)


def _mixed(*numbers: int) -> int:
    """64 bits that follow from all of the numbers and their order (splitmix64's steps: NumPy's SeedSequence takes longer)."""
    mixed = 0
    for number in numbers:
        mixed = (mixed ^ number) + 0x9E3779B97F4A7C15 & _WORD
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _WORD
        mixed ^= mixed >> 31
    return mixed


def _entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def _checked(seed) -> int:
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be an integer; got {seed!r}.") from None
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2**32 - 1; got {seed}.")
    return seed
