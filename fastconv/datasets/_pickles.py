"""The pickles that CIFAR's publisher gives, read without pickle: dicts, lists, numbers, bytes and arrays of bytes.

Not an unpickler: it knows two dozen of the instructions, makes no object by its name and calls nothing that a file names.
Contract: what holds anything else, ends early or does not fit together is a ValueError; memory is bounded by the file's
size and MOST_STEPS.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST_STEPS = 2_000_000  # instructions; CIFAR-100 takes half a million
_NUMBERS = {b"K": 1, b"M": 2, b"J": 4}  # instruction: bytes of its argument, here and below
_BYTES = {b"U": 1, b"T": 4, b"C": 1, b"B": 4, b"X": 4}
_PUTS, _GETS = {b"q": 1, b"r": 4}, {b"h": 1, b"j": 4}
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_ARRAY, _DTYPE = "_reconstruct", "dtype"
_NAMES = {
    b"numpy.core.multiarray _reconstruct": _ARRAY, b"numpy._core.multiarray _reconstruct": _ARRAY,
    b"numpy ndarray": "ndarray", b"numpy dtype": _DTYPE,
}  # fmt: skip
_MARK = object()


class _Named(str):
    """One of the things of NumPy's that a file may name."""


class _Made:
    """What one of them was asked to make, with the state that it was given."""

    def __init__(self, kind, arguments):
        self.kind, self.arguments, self.state = kind, arguments, None


def read(content: bytes) -> dict[bytes, Any]:
    """The dict in a pickle; byte strings stay bytes, arrays are uint8."""
    try:
        found = _Machine(content).run()
        if not isinstance(found, dict):
            raise ValueError("it holds no dict")
        return {key: _array(value) if isinstance(value, _Made) else value for key, value in found.items()}
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its instructions do not fit together ({type(error).__name__})") from error


def _array(made):
    version, shape, dtype, fortran, data = made.state
    if made.kind != _ARRAY or dtype.kind != _DTYPE or dtype.arguments[0] != b"u1" or len(data) != math.prod(shape):
        raise ValueError("its array is not one of bytes")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Machine:
    """The stack machine that pickles are written for."""

    def __init__(self, content):
        self.content, self.at, self.stack, self.memo = memoryview(content), 0, [], {}

    def run(self):
        for _ in range(MOST_STEPS):
            code = bytes(self.take(1))
            if code == b".":
                return self.stack.pop()
            self.step(code)
        raise ValueError(f"it has more than {MOST_STEPS:,} instructions")

    def step(self, code):
        stack = self.stack
        if code in _NUMBERS:
            stack.append(self.number(_NUMBERS[code], signed=code == b"J"))
        elif code in _BYTES:
            part = self.take(self.number(_BYTES[code]))
            stack.append(bytes(part) if len(part) < 256 else part)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _PUTS:
            self.memo[self.number(_PUTS[code])] = stack[-1]
        elif code in _GETS:
            stack.append(self.memo[self.number(_GETS[code])])
        elif code in _TUPLES:
            stack.append(tuple(stack.pop() for _ in range(_TUPLES[code]))[::-1])
        elif code in b"(]}":
            stack.append(_MARK if code == b"(" else [] if code == b"]" else {})
        elif code == b"t":
            stack.append(tuple(self.marked()))
        elif code in b"ea":
            items = self.marked() if code == b"e" else [stack.pop()]
            stack[-1].extend(items)
        elif code in b"us":
            items = self.marked() if code == b"u" else [stack.pop(), stack.pop()][::-1]
            stack[-1].update(zip(items[::2], items[1::2]))
        elif code == b"c":
            name = self.line() + b" " + self.line()
            if name not in _NAMES:
                raise ValueError(f"it asks for {name.decode('ascii', 'replace')!r}, which is no array")
            stack.append(_Named(_NAMES[name]))
        elif code == b"R":
            arguments, function = stack.pop(), stack.pop()
            if not isinstance(function, _Named) or function == "ndarray":
                raise ValueError("it calls what is no array")
            stack.append(_Made(str(function), arguments))
        elif code == b"b":
            state = stack.pop()
            stack[-1].state = state
        elif code == b"\x80":
            self.take(1)
        else:
            raise ValueError(f"it holds the instruction {code!r}, which no array needs")

    def take(self, size):
        part = self.content[self.at : self.at + size]
        if len(part) < size:
            raise ValueError("it ends early")
        self.at += size
        return part

    def number(self, size, signed=False):
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self):
        end = bytes(self.content[self.at : self.at + 64]).find(b"\n")
        if end < 0:
            raise ValueError("it asks for a name without end")
        return bytes(self.take(end + 1))[:-1]

    def marked(self):
        """What stands above the last mark, taken off with it."""
        if _MARK not in self.stack:
            raise IndexError("no mark")
        at = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items
