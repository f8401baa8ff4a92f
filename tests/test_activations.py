"""fastconv.activations: values against NumPy, slopes, names in layers and configs."""

import math

import numpy as np
import pytest

from fastconv import Model, Tensor, activations, layers, ops
from fastconv.models import load_model, model_from_json
from fastconv.testing import gradcheck

X = np.linspace(-7, 7.1, 48).reshape(6, 8)  # no kink is hit


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(-abs(x))) + np.maximum(x, 0)


def phi(x):
    return (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


# Those whose rows in test_ops.py give all that is to be said (celu, glu, ...) are not repeated.
TABLE = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(x)),
    "gelu": lambda x: x * phi(x),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "exponential": np.exp,
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "log_sigmoid": lambda x: -softplus(-x),
    "tanh": np.tanh,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "tanh_shrink": lambda x: x - np.tanh(x),
}
each = pytest.mark.parametrize("name", [name for name in activations.TABLE if name != "threshold"])


@pytest.mark.parametrize("name", TABLE)
def test_values(name):
    np.testing.assert_allclose(getattr(activations, name)(X).data, TABLE[name](X), rtol=1e-7, atol=1e-12)


@each
def test_gradients_and_no_overflow(name):
    gradcheck(activations.get(name), X / 4 + 0.011)
    if name != "exponential":
        far = Tensor(np.float32([[-3e4, -80, 80, 3e4]]), requires_grad=True)
        y = activations.get(name)(far)
        y.sum().backward()
        assert y.dtype == "float32" and np.isfinite(y.data).all() and np.isfinite(far.grad).all()


def test_relu_with_all_its_arguments():
    x = np.array([-2.0, 0.5, 1.5, 9.0])
    np.testing.assert_allclose(activations.relu(x, 0.1, 6, 1.0).data, [-0.3, -0.05, 1.5, 6])
    np.testing.assert_allclose(activations.relu(x, threshold=1.0).data, [0, 0, 1.5, 9])
    gradcheck(lambda x: activations.relu(x, 0.1, 6, 1.0), x)


def test_gelu_may_be_approximate():
    near = activations.gelu(X, approximate=True).data
    assert 0 < abs(near - activations.gelu(X).data).max() < 1e-3
    np.testing.assert_allclose(near, X / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))), atol=1e-12)


@each
def test_a_name_works_in_layers_configs_and_files(name, tmp_path):
    inputs = layers.Input((4, 6))
    model = Model(inputs, layers.Dense(4, activation=name)(layers.Activation(name)(inputs)))
    assert activations.get(activations.serialize(activations.get(name))) is activations.get(name)
    model.save(tmp_path / "model.safetensors")
    x = np.random.default_rng(0).standard_normal((3, 4, 6)).astype("float32")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(x), model.predict(x))
    assert model_from_json(model.to_json()).get_config()["layers"][1:] == model.get_config()["layers"][1:]


@each
def test_in_a_graph_of_ops(name, tmp_path):
    """A function called on a tensor without data is drawn, and comes back from a file."""
    inputs = layers.Input((4, 6))
    model = Model(inputs, activations.get(name)(inputs * 0.5))
    model.save(tmp_path / "model.safetensors")
    x = np.random.default_rng(0).standard_normal((3, 4, 6)).astype("float32")
    twin = load_model(tmp_path / "model.safetensors")
    for _ in range(3):
        np.testing.assert_array_equal(twin.predict(x), activations.get(name)(x * np.float32(0.5)).data)


def test_names_of_functions():
    assert activations.serialize(ops.relu) == "relu" and activations.get(None) is activations.linear
    assert activations.name_of(ops.square) is None
    assert activations.get({"class_name": "function", "config": "mish"}) is activations.mish
    assert activations.deserialize("mine", {"mine": ops.square}) is ops.square
    assert layers.Dense(2, activation="Swish").get_config()["activation"] == "silu"
    with pytest.raises(ValueError, match="Did you mean 'softplus'"):
        activations.get("softplu")
    with pytest.raises(ValueError, match="no name"):
        activations.serialize(ops.square)
    for wrong in (3, layers.ReLU, {"class_name": "ReLU"}):
        with pytest.raises(TypeError, match="must be a name"):
            activations.get(wrong)


def test_all_names_the_public_functions():
    functions = [getattr(activations, name) for name in activations.__all__]
    assert all(callable(function) and function.__doc__ for function in functions)
