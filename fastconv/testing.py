"""gradcheck: does an operation's backward agree with finite differences?

It tests gradients only, not values. Contract: float64 inputs; True, or an AssertionError that names the input, the
place and the two numbers. The same call always draws the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .tensor import FLOAT64, Tensor, no_grad

__all__ = ["gradcheck"]

_ELEMENTS = 100  # inputs up to this size are checked element by element, larger ones along random directions
_DIRECTIONS = 8


def gradcheck(
    function: Callable[..., Any], *inputs: Any, eps: float = 1e-6, rtol: float = 1e-5, atol: float = 1e-7,
) -> bool:  # fmt: skip
    """Compare the gradients of `function(*inputs)` with central differences; return True.

    `inputs` are float64 arrays or Tensors, all of which are differentiated; `function` takes Tensors and returns one
    of any shape, which is weighted by random numbers into a scalar. Keep inputs away from kinks, such as 0 for relu,
    by more than `eps`. The two derivatives may differ by `atol + rtol * the larger`. TypeError for other dtypes.
    """
    arrays = [np.array(x.data if isinstance(x, Tensor) else x) for x in inputs]
    for number, array in enumerate(arrays):
        if array.dtype != FLOAT64:
            raise TypeError(f"gradcheck needs float64 inputs, for its differences; input {number} is {array.dtype}.")
    random = np.random.default_rng(0)
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    output = function(*tensors)
    if not isinstance(output, Tensor) or output.dtype != FLOAT64:
        raise TypeError(f"gradcheck needs a function that returns a float64 Tensor; got {output!r}.")
    weights = random.standard_normal(output.shape)
    output.backward(weights)
    for number, tensor in enumerate(tensors):
        gradient = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
        for place, direction in _directions(arrays[number], random):
            found = float((gradient * direction).sum())
            expected = _slope(function, arrays, number, direction * eps, weights) / eps
            if not abs(found - expected) <= atol + rtol * max(abs(found), abs(expected)):
                raise AssertionError(
                    f"The gradient of input {number} (shape {tensor.shape}) is wrong {place}: backward gives "
                    f"{found:.9g}, central differences give {expected:.9g}."
                )
    return True


def _directions(array, random):
    if array.size > _ELEMENTS:
        for _ in range(_DIRECTIONS):
            yield "along a random direction", random.standard_normal(array.shape)
    else:
        for index in np.ndindex(array.shape):
            direction = np.zeros(array.shape)
            direction[index] = 1
            yield f"at {index}", direction


def _slope(function, arrays, number, step, weights):
    """Half the difference that moving input `number` by plus and minus `step` makes to the weighted output."""
    outputs = []
    for sign in (1, -1):
        moved = [array + sign * step if i == number else array for i, array in enumerate(arrays)]
        with no_grad():
            outputs.append(function(*map(Tensor, moved)).data)
    return float(((outputs[0] - outputs[1]) * weights).sum()) / 2


def __dir__() -> list[str]:
    return __all__
