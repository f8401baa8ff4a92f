"""fastconv.Variable: Keras' constructor and methods, and variables among a layer's weights and in its calls."""

import numpy as np
import pytest

import fastconv
from fastconv import Variable, config, layers, ops
from fastconv.models import Model, Sequential
from fastconv.tensor import Parameter

X = np.arange(12, dtype="float32").reshape(3, 4)


@pytest.mark.parametrize("make, values, dtype", [
    (lambda: Variable([1, 2]), [1, 2], "float32"), (lambda: Variable(3.0), 3, "float32"),
    (lambda: Variable(np.ones(2)), [1, 1], "float64"), (lambda: Variable(np.arange(2), dtype="float64"), [0, 1], "float64"),
    (lambda: Variable("ones", (2,)), [1, 1], "float32"), (lambda: Variable("zeros", shape=[1, 2], dtype="float64"), [[0, 0]], "float64"),
    (lambda: Variable(fastconv.initializers.Constant(2.5), (1,)), [2.5], "float32"),
    (lambda: Variable(lambda shape, dtype: np.full(shape, 7, dtype), (2,)), [7, 7], "float32"),
    (lambda: Variable(fastconv.Tensor([4.0]), (1,)), [4], "float32"), (lambda: Variable(3, dtype="int32"), 3, "int32"),
    (lambda: Variable(np.arange(2)), [0, 1], "int64"),
])  # fmt: skip
def test_values(make, values, dtype):
    variable = make()
    np.testing.assert_array_equal(variable.numpy(), values)
    assert variable.dtype == dtype and variable.trainable == (dtype[0] == "f") and variable.value is variable
    assert isinstance(variable, Variable) and Variable is Parameter


def test_the_default_dtype_is_floatx(monkeypatch):
    monkeypatch.setattr(config._settings, "floatx", "float64")
    assert Variable(1.0).dtype == Variable("ones", (2,)).dtype == "float64"


def test_assignments_chain():
    variable = Variable([1.0, 2.0], trainable=False, name="v")
    assert variable.name == variable.path == "v" and Variable(1.0).name == "variable"
    assert variable.assign([3, 4]).assign_add(1.0).assign_sub(fastconv.Tensor([1.0, 2.0])) is variable
    assert variable.numpy().tolist() == [3, 3] and variable.version == 3 and not variable.requires_grad


@pytest.mark.parametrize("call, error, match", [
    (lambda: Variable("ones"), ValueError, "needs a shape"), (lambda: Variable([1.0], (2,)), ValueError, r"shape=\(2,\) is not"),
    (lambda: Variable("oness", (2,)), ValueError, "Did you mean 'ones'|Did you mean 'Ones'"),
    (lambda: Variable(1.0, layout="x"), ValueError, "layout"), (lambda: Variable(1.0, dtype="float16"), TypeError, "float16"),
    (lambda: Variable(1.0).assign(np.ones(2)), ValueError, r"has shape \(\); got a value of shape \(2,\)"),
    (lambda: Variable(1.0).assign(1j), TypeError, "complex"),
])  # fmt: skip
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


class Counting(layers.Layer):
    """Variables as attributes, in a list and a dict, and one that every call changes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = Variable(2.0, name="scale")
        self.calls = Variable(0.0, trainable=False, name="calls")
        self.parts = [Variable([1.0], name="a"), {"b": Variable([3.0], name="b")}]

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs * self.scale + self.parts[0] + self.parts[1]["b"]


class Mean(layers.Layer):
    """What depends on the data goes into a variable."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean = Variable([0.0] * 4, trainable=False, name="mean")

    def call(self, inputs):
        self.mean.assign(ops.mean(inputs, axis=0))
        return inputs - self.mean


def test_variables_of_a_layer_are_its_weights():
    layer = Counting()
    assert [weight.name for weight in layer.weights] == ["scale", "calls", "a", "b"]
    assert [weight.name for weight in layer.trainable_weights] == ["scale", "a", "b"]
    layer.again = layer.scale
    assert len(layer.weights) == 4
    model = Sequential([layer])
    model.compile(fastconv.optimizers.SGD(1e-3), "mse")
    model.fit(X, X, verbose=0)
    assert float(layer.scale) != 2 and float(layer.parts[0]) != 1


def test_each_weight_counts_once_however_it_is_reached():
    shared = layers.Dense(2)
    model = Sequential([layers.Input((4,)), shared])

    class Both(Model):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.kernel = model, shared, shared.kernel

        def call(self, inputs):
            return self.one(inputs) + self.other(inputs)

    assert len(Both().weights) == 2


@pytest.mark.parametrize("wrap", [
    lambda layer: layer, lambda layer: Sequential([layers.Input((4,)), layer]),
    lambda layer: (lambda x: Model(x, layer(x)))(fastconv.Input((4,))),
])  # fmt: skip
def test_a_call_changes_variables_once_a_call_and_not_when_it_is_drawn(wrap):
    counting, mean = Counting(), Mean()
    for layer, net in ((counting, wrap(counting)), (mean, wrap(mean))):
        layer.compute_output_shape((None, 4))
        assert float(counting.calls) == 0 or layer is mean
        for k in range(1, 5):
            result = net(X + k)
            if layer is counting:
                assert float(counting.calls) == k
            else:
                np.testing.assert_allclose(result.numpy(), X - X.mean(0), atol=1e-5)
                np.testing.assert_allclose(mean.mean.numpy(), X.mean(0) + k)
