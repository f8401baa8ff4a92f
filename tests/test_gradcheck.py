"""gradcheck finds wrong gradients, and says where."""

import numpy as np
import pytest

from fastconv import Tensor, ops
from fastconv.tensor import Op
from fastconv.testing import gradcheck


class Wrong(Op):
    """x * y with a gradient of y that is 1 % off in one place."""

    def forward(self, x, y):
        self.x, self.y = x, y
        return x * y

    def backward(self, dy):
        slope = self.x.copy()
        slope.flat[-1] *= 1.01
        return dy * self.y, dy * slope


def test_right_gradients_pass():
    assert gradcheck(lambda x, y: ops.tanh(x @ y), np.ones((2, 3)), Tensor(np.ones((3, 2)))) is True


def test_an_input_without_influence_has_gradient_zero():
    assert gradcheck(lambda x, y: x * 2, np.ones(3), np.ones(2))


@pytest.mark.parametrize("shape, place", [((2, 3), r"at \(1, 2\)"), ((20, 30), "along a random direction")])
def test_a_wrong_gradient_is_found(shape, place):
    x = np.ones(shape)
    with pytest.raises(AssertionError, match=f"input 1 .*{place}: backward gives .* central differences give"):
        gradcheck(Wrong.apply, x, x)


def test_nan_gradients_fail():
    with pytest.raises(AssertionError, match="nan"), np.errstate(all="ignore"):
        gradcheck(lambda x: ops.sqrt(x - x), np.ones(2))


def test_inputs_must_be_float64():
    with pytest.raises(TypeError, match="input 1 is float32"):
        gradcheck(ops.add, np.ones(2), np.ones(2, "float32"))
    with pytest.raises(TypeError, match="returns a float64 Tensor"):
        gradcheck(lambda x: x.data, np.ones(2))
