"""Tensor among Python's operators, NumPy's functions and other libraries' arrays."""

import json

import numpy as np
import pytest
from helpers_ops import values

import fastconv
from fastconv import Tensor, ops
from fastconv.symbolic import NoValues
from fastconv.tensor import Parameter
from fastconv.testing import gradcheck

X = values(3, 4)
N = np.array([[1, 2, 3], [4, 5, 6]], "int32")

OPERATORS = {
    "==": lambda a: a == 0.7, "!=": lambda a: a != a[0], "<": lambda a: a < 0.7, "<=": lambda a: 0.7 <= a, ">": lambda a: 0.7 > a,
    ">=": lambda a: a >= a[::-1], "&": lambda a: (a > 0) & (a < 1), "|": lambda a: True | (a > 0), "^": lambda a: (a > 0) ^ (a < 1),
    "~": lambda a: ~(a > 0), "//": lambda a: a // 0.3, "r//": lambda a: 7 // a, "%": lambda a: a % 0.3, "r%": lambda a: 7 % a,
    "**": lambda a: a**2, "r**": lambda a: 2**a, "abs": abs, "+": lambda a: +a, "-": lambda a: -a, "@": lambda a: a @ a.T,
    "array +": lambda a: np.ones(4) + a, "scalar *": lambda a: np.float64(2) * a, "in": lambda a: [0.1 in a, float(a[1, 2]) in a],
    "divmod": lambda a: divmod(a, 0.3)[1], "round": lambda a: a.round(1), "sum": sum,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_numpys(name):
    result, expected = OPERATORS[name](Tensor(X)), OPERATORS[name](X)
    assert isinstance(result, (Tensor, list)) and np.asarray(result).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in ("in", "sum")])
def test_operators_are_drawn(name):
    x = fastconv.KerasTensor((3, 4), "float64")
    result, expected = OPERATORS[name](x), np.asarray(OPERATORS[name](X))
    assert (result.shape, result.dtype, result.symbolic) == (expected.shape, expected.dtype, True)


INTEGERS = {
    "+": lambda a: a + 1, "-": lambda a: 10 - a, "*": lambda a: a * a, "//": lambda a: a // 2, "%": lambda a: a % 4, "**": lambda a: a**2,
    "&": lambda a: a & 3, "|": lambda a: 1 | a, "^": lambda a: a ^ 2, "~": lambda a: ~a, "<<": lambda a: a << 2, ">>": lambda a: a >> 1,
    "-x": lambda a: -a, "@": lambda a: a @ a.T, "==": lambda a: a == 3, "[]": lambda a: a[:, ::-2],
}  # fmt: skip


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_stay_integers(name):
    result, expected = INTEGERS[name](Tensor(N)), INTEGERS[name](N)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result.data, expected)


def test_a_tensor_equals_nothing_that_is_no_number():
    t = Tensor([1.0, 2.0])
    assert (t == None) is False and (t != "a") is True and t != {}  # noqa: E711
    weights = [Parameter([1.0, 2.0], name=str(i)) for i in range(3)]
    assert len({*weights, *weights}) == 3 and {w: i for i, w in enumerate(weights)}[weights[1]] == 1
    with pytest.raises(TypeError, match="not supported between"):
        t < None  # noqa: B015


KEYS = [
    0, -1, slice(None, None, -1), slice(-2, None), (slice(None), slice(3, 0, -2)), (..., 1), (1, ...), (..., None), None, (0, None, slice(1, 3)),
    [0, 2, 0], np.array([[0, 1], [2, 2]]), (np.array([0, 2]), np.array([1, 1])), ([1], slice(None, None, 2)), X > 0.8,
    (np.array([True, False, True]), 1), (slice(None), np.array([False, True, True, False])), np.zeros(0, int), np.int64(1), slice(2, 2),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_and_its_gradient(key):
    np.testing.assert_array_equal(Tensor(X)[key].data, X[key])
    assert gradcheck(lambda x: ops.square(x[key]), X)


def test_indices_may_be_tensors():
    t = Tensor(X)
    np.testing.assert_array_equal(t[t > 0.8].data, X[X > 0.8])
    np.testing.assert_array_equal(t[Tensor(np.array([2, 0])), 1].data, X[[2, 0], 1])
    assert [10, 20, 30][Tensor(np.array(2))] == 30 and list(range(Tensor(np.array([3])))) == [0, 1, 2]
    with pytest.raises(IndexError, match="integers, booleans and slices; got float64"):
        t[t]
    with pytest.raises(IndexError, match="got 'a'"):
        t["a"]
    with pytest.raises(TypeError, match="can be an index"):
        [1][Tensor([0.0])]


def test_one_element_is_a_number():
    t = Tensor(np.array([[2.5]]))
    assert (float(t), int(t), bool(t), t.item(), f"{t:.2f}", f"{t[0, 0]:06.1f}") == (
        2.5,
        2,
        True,
        2.5,
        "2.50",
        "0002.5",
    )
    assert f"{Tensor(np.array(3)):d}" == "3" and f"{t}" == repr(t) == str(t) and not Tensor(np.array(False))
    assert json.dumps(Tensor(N).tolist()) == "[[1, 2, 3], [4, 5, 6]]"
    n, c = Tensor(X).shape
    assert (n, c, len(Tensor(X)), len(list(Tensor(X)))) == (3, 4, 3, 3)
    for call, message in ((lambda: f"{Tensor(X):.2f}", r"is for one number; got a Tensor of shape \(3, 4\)"),
                          (lambda: bool(Tensor(X)), "ambiguous: use ops.any"), (lambda: float(Tensor(X)), "size 1")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="cannot be set.*ops.slice_update"):
        t[0] = 1


def test_zero_grad():
    t = Tensor(X, True)
    t.sum().backward()
    t.zero_grad()
    assert t.grad is None


NUMPY = {
    "mean": lambda a: np.mean(a, 0, keepdims=True), "sum": lambda a: np.sum(a, axis=(0, 1)), "exp": np.exp, "sqrt": lambda a: np.sqrt(abs(a)),
    "concatenate": lambda a: np.concatenate([a, a], axis=1), "stack": lambda a: np.stack((a, a), -1), "where": lambda a: np.where(a > 0, a, 0),
    "clip": lambda a: np.clip(a, a_min=-1, a_max=0.5), "reshape": lambda a: np.reshape(a, (4, 3)), "transpose": np.transpose,
    "maximum": lambda a: np.maximum(a, 0.1), "equal": lambda a: np.equal(a, a), "pad": lambda a: np.pad(a, 1, "reflect"),
    "percentile": lambda a: np.percentile(a, 30, axis=1), "einsum": lambda a: np.einsum("ij,kj->ik", a, a), "matmul": lambda a: np.matmul(a, a.T),
    "norm": np.linalg.norm, "std": lambda a: np.std(a, axis=-1), "cumsum": lambda a: np.cumsum(a, 1), "remainder": lambda a: np.remainder(a, 0.3),
    "split": lambda a: np.split(a, 2, axis=1)[1], "squeeze": lambda a: np.squeeze(a[:1], axis=0), "tile": lambda a: np.tile(a, reps=(2, 1)),
    "broadcast_to": lambda a: np.broadcast_to(a, shape=(2, 3, 4)), "argmax": lambda a: np.argmax(a, axis=1), "isnan": np.isnan,
    "take": lambda a: np.take(a, indices=[0, 2], axis=1), "swapaxes": lambda a: np.swapaxes(a, 0, 1), "power": lambda a: np.power(a, 2),
    "full_like": lambda a: np.full_like(a, 3.0), "degrees": np.degrees, "logical_not": np.logical_not, "median": np.median,
}  # fmt: skip


@pytest.mark.parametrize("name", NUMPY)
def test_numpys_functions_give_tensors(name):
    result, expected = NUMPY[name](Tensor(X, True)), NUMPY[name](X)
    assert isinstance(result, Tensor) and result.shape == expected.shape
    np.testing.assert_allclose(result.data, expected, rtol=1e-13)
    if name not in ("percentile",):
        drawn = NUMPY[name](fastconv.KerasTensor((3, 4), "float64"))
        assert drawn.symbolic and drawn.shape == expected.shape


def test_numpys_functions_keep_the_gradient():
    t = Tensor(X, True)
    np.sum(np.exp(t) * np.ones(4)).backward()
    np.testing.assert_allclose(t.grad, np.exp(X))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: np.fft.fft(t), r"np.fft.fft has no counterpart.*np.fft.fft\(np.asarray\(x\)\) or x.numpy"),
        (lambda t: np.std(t, ddof=1), "np.std has no counterpart on a fastconv.Tensor with ddof"),
        (lambda t: np.add(t, t, out=np.ones((3, 4))), "with out="),
        (lambda t: np.add.reduce(t), "np.add.reduce has no counterpart"),
        (lambda t: np.sum(t, 0, "float32"), "with so many arguments"),
        (lambda t: np.frexp(t), "np.frexp has no counterpart"),
    ],
)
def test_other_numpy_functions_say_what_to_call(call, message):
    with pytest.raises(TypeError, match=message):
        call(Tensor(X))


def test_numpys_functions_that_only_look_take_the_array(tmp_path):
    t = Tensor(X)
    np.save(tmp_path / "x.npy", t)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), X)
    assert np.array_equal(t, X) is True and np.shape(t) == (3, 4) and np.ndim(t) == 2 and np.may_share_memory(t, X)
    np.testing.assert_allclose(t, X)


# ------------------------------------------------------------------------------------------------------------ DLPack


class Foreign:
    """An array of a library that speaks DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("array", [X, N, X > 0, X.astype("float32")], ids=lambda a: a.dtype.name)
def test_dlpack_shares_memory_both_ways(array):
    t = Tensor(array)
    assert np.shares_memory(np.from_dlpack(t), array) and t.__dlpack_device__() == (1, 0)
    for back in (ops.from_dlpack(Foreign(array)), Tensor(Foreign(array)), ops.from_dlpack(t)):
        assert isinstance(back, Tensor) and np.shares_memory(back.data, array) and back.dtype == array.dtype


def test_dlpack_gives_a_copy_of_a_parameter_and_nothing_of_what_has_no_values():
    p = Parameter([1.0, 2.0], name="w")
    array = np.from_dlpack(p)
    assert not np.shares_memory(array, p.array) and array.tolist() == [1, 2]
    with pytest.raises(BufferError, match="'w' does not share its memory"):
        p.__dlpack__(copy=False)
    with pytest.raises(NoValues):
        fastconv.Input((3,)).__dlpack__()
    with pytest.raises(TypeError, match="CPU's memory that speaks DLPack"):
        ops.from_dlpack([1.0])
