"""Tensor, Parameter and the contract of the tape."""

import copy
import threading
import weakref

import numpy as np
import pytest
from helpers import python

import fastconv
from fastconv import Tensor, no_grad, ops
from fastconv.tensor import Op, Parameter


def leaf(*numbers):
    return Tensor(np.array(numbers or [1.0, 2.0, 3.0]), requires_grad=True)


# --------------------------------------------------------------------------------------------------- making a Tensor


def test_arrays_keep_dtype_and_memory():
    for dtype in ("float32", "float64"):
        array = np.ones(3, dtype)
        assert Tensor(array).data is array and Tensor(array).numpy() is array


@pytest.mark.parametrize("data", [1, 2.5, [1, 2], [[1.0], [2.0]], (1, 2.0), []])
def test_numbers_and_lists_become_float32(data):
    tensor = Tensor(data)
    assert tensor.dtype == "float32" and tensor.data.tolist() == np.array(data).tolist()


@pytest.mark.parametrize("data", [np.ones(2, "float16"), ["a"], None, 1j])
def test_other_data_raises_and_says_how_to_convert(data):
    with pytest.raises(TypeError, match=r"float32, float64, integers or booleans; got .*dtype='float32'"):
        Tensor(data)


def test_dtype_converts():
    assert Tensor(np.arange(3), dtype="float64").dtype == "float64"
    assert Tensor(np.ones(2), dtype=np.float32).dtype == "float32"
    assert Tensor([1.0, 2.0], dtype="int32").data.dtype == "int32"
    with pytest.raises(TypeError, match="dtype must be 'float32', 'float64', an integer type or 'bool'; got 'float16'"):
        Tensor([1], dtype="float16")


@pytest.mark.parametrize("data", [np.arange(3), np.ones(2, bool), np.ones(2, "uint8"), [True, False]])
def test_integers_and_booleans_stay_what_they_are_and_have_no_gradient(data):
    tensor = Tensor(data)
    assert tensor.dtype == np.asarray(data).dtype and not (tensor.data is data) == isinstance(data, list)
    with pytest.raises(TypeError, match="Only float32 and float64 Tensors have gradients"):
        Tensor(data, requires_grad=True)


def test_python_protocols():
    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (t.shape, t.ndim, t.size, len(t)) == ((2, 2), 2, 4, 2)
    assert [row.data.tolist() for row in t] == [[1, 2], [3, 4]]
    assert t.T.data.tolist() == [[1, 3], [2, 4]]
    assert float(t[0, 1]) == t[0, 1].item() == 2 and bool(t[0, 0])
    assert t in {t} and {t: 1}[t] == 1 and hash(t) != hash(Tensor(t))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(t)
    with pytest.raises(TypeError, match="no length"):
        len(t[0, 0])
    with pytest.raises(TypeError):
        t[0] = 1.0
    assert isinstance(copy.deepcopy(leaf()).data, np.ndarray)


def test_repr_is_short():
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.], dtype=float32)"
    assert repr(leaf(1.0)) == "Tensor([1.], dtype=float64, requires_grad=True)"
    assert repr(Tensor(np.zeros((100, 28)))) == "Tensor(shape=(100, 28), dtype=float64)"


def test_converts_to_an_array():
    t = Tensor([1.0, 2.0])
    assert np.asarray(t) is t.data and np.array(t) is not t.data
    assert np.asarray(t, "float64").dtype == "float64"
    assert t.__array__("float32") is t.data and t.__array__(copy=True) is not t.data
    with pytest.raises(ValueError, match="without a copy"):
        t.__array__("float64", copy=False)


def test_numpy_functions_do_not_swallow_tensors():
    with pytest.raises(TypeError):
        np.add(np.ones(2), Tensor([1.0, 2.0]))


# ------------------------------------------------------------------------------------------------------- the tape


def test_grad_accumulates_until_reset():
    t = leaf()
    for expected in (2, 4):
        (t * 2).sum().backward()
        assert t.grad.tolist() == [expected] * 3
    t.grad = None
    assert t.grad is None


def test_a_shared_subexpression_counts_as_often_as_it_is_used():
    t = leaf(2.0)
    y = t * t
    (y * y + y + y).backward()
    assert t.grad.tolist() == [4 * 2**3 + 2 * 2 * 2]


def test_gradients_of_leaves_only():
    t = leaf()
    y = t * 2
    y.sum().backward()
    assert y.grad is None and y.requires_grad and not Tensor([1.0]).requires_grad


def test_backward_on_a_leaf():
    t, g = leaf(), np.ones(3)
    t.backward(g)
    assert t.grad is not g and t.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("gradient", [[1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0]), Tensor(np.array([1.0, 2.0, 3.0]))])
def test_backward_weighted_by_a_gradient(gradient):
    t = leaf()
    (t * t).backward(gradient)
    assert t.grad.tolist() == [2, 8, 18]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda t: (t * 2).backward(), ValueError, r"shape \(3,\) needs a gradient.*sum\(\)"),
        (lambda t: (t * 2).backward(np.ones(2)), ValueError, r"gradient must have .* shape \(3,\); got \(2,\)"),
        (lambda t: (t * 2).backward(np.ones(3, "float32")), TypeError, "gradient got float32 and float64"),
        (lambda t: (t * 2).backward(np.ones(3, int)), TypeError, "gradient works on float32 or float64; got int64"),
        (lambda t: t.detach().sum().backward(), RuntimeError, "does not require a gradient"),
        (lambda t: setattr(t, "grad", np.ones(4)), ValueError, "grad must have the Tensor's shape"),
        (lambda t: setattr(t, "grad", np.ones(3, "float32")), TypeError, "grad got float32 and float64"),
        (lambda t: setattr(t * 2, "requires_grad", False), RuntimeError, "detach"),
    ],
)
def test_wrong_calls_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf())


def test_a_second_backward_raises_and_changes_nothing():
    t = leaf()
    trunk = t * t
    trunk.sum().backward()
    before = t.grad.copy()
    for again in (trunk.sum(), (t * trunk).sum()):
        with pytest.raises(RuntimeError, match="Compute the result again, or add the losses up"):
            again.backward()
    np.testing.assert_array_equal(t.grad, before)


def test_saved_arrays_are_released():
    t = leaf()
    y = ops.exp(t)
    y.sum().backward()
    assert vars(y._node) == {}


def test_intermediate_arrays_are_not_kept_by_the_tape():
    t = leaf()
    middle = t + 1.0
    gone = weakref.ref(middle)
    y = middle + 1.0
    del middle
    assert gone() is None
    y.sum().backward()


def test_long_chains():
    t = x = leaf()
    for _ in range(10_000):
        x = x + 1.0
    x.sum().backward()
    assert t.grad.tolist() == [1, 1, 1]


def test_long_chains_can_be_dropped():
    x = leaf()
    for _ in range(100_000):
        x = x + 1.0
    del x


def test_no_grad_is_a_context_and_a_decorator_and_per_thread():
    t = leaf()
    seen = []
    with no_grad():
        assert not (t * 2).requires_grad
        with no_grad():
            pass
        assert not (t * 2).requires_grad
        thread = threading.Thread(target=lambda: seen.append((t * 2).requires_grad))
        thread.start()
        thread.join()

    @no_grad()
    def double(x):
        return x * 2

    assert seen == [True] and not double(t).requires_grad and (t * 2).requires_grad
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (t * 2).requires_grad


# ---------------------------------------------------------------------------------------------------------- aliasing


def shares(a, b):
    return np.shares_memory(a, b)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: a + a + b + b,
        lambda a, b: (a + b).reshape(3, 1),
        lambda a, b: (a.reshape(3, 1) + b.reshape(3, 1)).T,
        lambda a, b: a * b,
        lambda a, b: ops.maximum(a, b)[::-1],
    ],
)
def test_gradients_share_no_memory(function):
    a, b = leaf(), leaf(4.0, 5.0, 6.0)
    y = function(a, b)
    gradient = np.ones(y.shape)
    y.backward(gradient)
    arrays = [a.grad, b.grad, a.data, b.data, y.data, gradient]
    for i, one in enumerate(arrays[:2]):
        assert one.flags.c_contiguous and one.flags.writeable
        assert not any(shares(one, other) for other in arrays[i + 1 :])
    assert (gradient == 1).all()


def test_a_gradient_that_the_user_holds_is_not_written_to():
    t, mine = leaf(), np.ones(3)
    t.grad = mine
    (t * 2).sum().backward()
    held = t.grad
    (t * 2).sum().backward()
    assert mine.tolist() == [1, 1, 1] and held.tolist() == [3, 3, 3] and t.grad.tolist() == [5, 5, 5]


def test_ops_of_users_may_hand_out_what_they_saved():
    class Careless(Op):
        def forward(self, a, b):
            self.saved = (a, [b])
            return a + b

        def backward(self, dy):
            return self.saved[1][0], self.saved[1][0]

    a, b = leaf(), leaf(4.0, 5.0, 6.0)
    Careless.apply(a, b).sum().backward()
    assert a.grad.tolist() == b.grad.tolist() == [4, 5, 6]
    assert not shares(a.grad, b.grad) and not shares(a.grad, b.data) and not shares(b.grad, b.data)


def test_a_wrong_gradient_shape_is_reported():
    class Wrong(Op):
        def forward(self, x):
            return x

        def backward(self, dy):
            return dy[:1]

    with pytest.raises(RuntimeError, match=r"shape \(1,\), float64 for an input of shape \(3,\), float64"):
        Wrong.apply(leaf()).backward(np.ones(3))


def test_nothing_is_stored_when_an_op_fails():
    class Broken(Op):
        def forward(self, x):
            return x * 1

        def backward(self, dy):
            raise ZeroDivisionError

    t = leaf()
    y = Broken.apply(t) + t
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert t.grad is None


def test_big_fresh_gradients_are_not_copied(monkeypatch):
    made = []

    class Fresh(Op):
        def forward(self, x):
            return x * 1

        def backward(self, dy):
            made.append(dy * 2)
            return made[0]

    t = leaf()
    Fresh.apply(t).backward(np.ones(3))
    assert t.grad is made[0]


# --------------------------------------------------------------------------------------------------------- Parameter


def test_parameter_owns_its_memory():
    array = np.asfortranarray(np.ones((2, 3)))
    p = Parameter(array, name="kernel")
    assert p.requires_grad and p.trainable and p.version == 0 and p.name == "kernel"
    assert not shares(p.data, array) and p.data.flags.c_contiguous
    assert repr(Parameter([1.0], name="kernel")) == "Parameter('kernel', [1.], dtype=float32)"


def test_parameter_assign_copies_converts_and_counts():
    p = Parameter([1.0, 2.0], name="bias")
    data, mine = p.data, np.array([3, 4])
    p.assign(mine)
    assert p.data is data and data.tolist() == [3, 4] and p.dtype == "float32" and p.version == 1
    with pytest.raises(ValueError, match=r"Parameter 'bias' has shape \(2,\); got a value of shape \(3,\)"):
        p.assign(np.ones(3))
    assert p.version == 1


def test_trainable_mirrors_requires_grad():
    p = Parameter([1.0])
    p.trainable = False
    assert not p.requires_grad and not (p * 2).requires_grad and "trainable=False" in repr(p)
    p.requires_grad = True
    assert p.trainable


def test_a_fresh_import_has_operators():
    program = "from fastconv import Tensor; print(float((Tensor([1.0]) + 1).sum()))"
    assert python("-c", program).stdout == "2.0\n"
    assert fastconv.Tensor is Tensor and fastconv.no_grad is no_grad
