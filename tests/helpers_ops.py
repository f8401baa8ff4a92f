"""Helpers of the op tests: inputs that suit finite differences, and the checks that one table row goes through."""

from typing import NamedTuple

import numpy as np

from fastconv import Tensor
from fastconv.program import Program, Recording
from fastconv.tensor import Op, Parameter
from fastconv.testing import gradcheck

DTYPES = ("float32", "float64")


class Row(NamedTuple):
    """An op under test: `op` on Tensors must equal `expected` on arrays of these shapes."""

    name: str
    op: object
    expected: object
    shapes: tuple
    positive: bool = False


def values(*shape, dtype="float64", positive=False, seed=0):
    """Distinct numbers at least 0.5 away from 0, and from one another by more than finite differences move them."""
    random = np.random.default_rng([seed, *shape])
    count = int(np.prod(shape))
    magnitudes = 0.5 + (random.permutation(count) + 0.5 * random.random(count)) / max(count, 1)
    signs = 1 if positive else random.choice([-1, 1], count)
    return (signs * magnitudes).reshape(shape).astype(dtype)


def inputs_of(row, dtype="float64"):
    return [values(*shape, dtype=dtype, positive=row.positive, seed=i) for i, shape in enumerate(row.shapes)]


def check_op(row, dtype):
    """Values, shape and dtype against NumPy's in float64."""
    arrays = inputs_of(row, dtype)
    result = row.op(*map(Tensor, arrays))
    expected = np.asarray(row.expected(*[array.astype("float64") for array in arrays]))
    assert isinstance(result, Tensor) and type(result.data) is np.ndarray
    assert (result.dtype, result.shape) == (np.dtype(dtype), expected.shape)
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(result.data, expected, rtol=tolerance, atol=tolerance)


def check_layouts(row):
    """The same result and gradients from Fortran-ordered, negatively strided, misaligned and read-only inputs."""
    arrays = inputs_of(row)
    expected = _run(row.op, arrays)
    for relayout in (np.asfortranarray, _backwards, _misaligned, _read_only):
        for one, other in zip(expected, _run(row.op, [relayout(array) for array in arrays])):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


def check_nan(row):
    """A NaN in any input reaches the output."""
    for i, array in enumerate(inputs_of(row)):
        spoilt = inputs_of(row)
        spoilt[i] = array.copy()
        spoilt[i].flat[0] = np.nan
        assert np.isnan(row.op(*map(Tensor, spoilt)).data).any()


def check_grad(row):
    assert gradcheck(row.op, *inputs_of(row))


def check_planned(op, arrays, others, python=False):
    """Recorded on `arrays`, the op and its gradients have the eager bits on `others`; in C alone unless `python`."""
    weights = [Parameter(array) for array in arrays]
    expected = _run(op, others)
    program = Program(lambda: [op(*weights)], [], weights)
    assert program.shapes.get(program.outputs[0], expected[0].shape) == expected[0].shape
    recording = Recording(program, [], np.ones_like(expected[0]))
    assert python or not recording.plan.counts()[1], "a step is in Python"
    for weight, array in zip(weights, others):
        weight.assign(array)
    found = [np.empty_like(array) for array in recording.outputs]
    assert recording.replay([], found)
    for ours, eager in zip([*found, *recording.gradients], expected):
        np.testing.assert_array_equal(ours, eager)


def check_shapes(row, monkeypatch):
    """Every Op that the row runs says its result's shape, also where the first axis is open."""
    apply, seen = Op.apply.__func__, []

    def spied(cls, *inputs, **attributes):
        result = apply(cls, *inputs, **attributes)
        seen.append((cls, [None if x is None else np.shape(x) for x in inputs], attributes, result.shape))
        return result

    monkeypatch.setattr(Op, "apply", classmethod(spied))
    row.op(*map(Tensor, inputs_of(row)))
    for cls, shapes, attributes, expected in seen:
        assert cls.shape(*shapes, **attributes) == expected, cls
        opened = [shape and (None, *shape[1:]) for shape in shapes]
        found = cls.shape(*opened, **attributes)
        assert len(found) == len(expected) and all(n in (None, size) for n, size in zip(found, expected)), cls


def _run(op, arrays):
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    result = op(*tensors)
    result.backward(np.ones_like(result))
    return [result.data, *[tensor.grad for tensor in tensors]]


def _backwards(array):
    flip = (slice(None, None, -1),) * array.ndim
    return array[flip].copy()[flip]


def _misaligned(array):
    raw = bytearray(array.nbytes + 1)
    moved = np.frombuffer(raw, np.uint8)[1 : 1 + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array
