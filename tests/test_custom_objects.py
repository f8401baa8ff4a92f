"""Classes and functions of the user's own in configs and files: registered, in scopes, passed, nested, unknown."""

import numpy as np
import pytest

import fastconv
from fastconv import layers, losses, ops, saving, serialization
from fastconv.models import Model, Sequential, clone_model, load_model, model_from_json
from fastconv.saving import custom_object_scope, deserialize_keras_object, serialize_keras_object

X = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")


@saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


class Plain(Scaled):
    """Not registered."""


@saving.register_keras_serializable("tests")
class Chain(layers.Layer):
    """Layers in an argument: in a list, a dict, or alone."""

    def __init__(self, parts, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts

    def call(self, inputs):
        for part in fastconv.nest.flatten(self.parts):
            inputs = part(inputs)
        return inputs


@saving.register_keras_serializable("tests", name="cube")
def cubed(x):
    return ops.power(x, 3)


@saving.register_keras_serializable("tests")
def wide(shape, dtype=None):
    return np.full(shape, 0.25, dtype)


@saving.register_keras_serializable("tests")
def small(weights):
    return ops.sum(ops.square(weights)) * 0.5


@saving.register_keras_serializable("tests")
def gap(y_true, y_pred):
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


@saving.register_keras_serializable("tests")
def bias(y_true, y_pred):
    return np.mean(y_pred - y_true, axis=-1)


@saving.register_keras_serializable("tests")
class OwnLoss(losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_pred - y_true), axis=-1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def through_file(model, path, **options):
    model.save(path)
    return load_model(path, **options)


def through_json(model, path, custom_objects=None):
    twin = model_from_json(model.to_json(), custom_objects)
    twin.set_weights(model.get_weights())
    return twin


def graph(layer):
    x = fastconv.Input((4,))
    return Model(x, layer(x))


OWN = {
    "registered": lambda: Scaled(3.0),
    "list": lambda: Chain([Scaled(3.0), layers.Dense(2)]),
    "dict": lambda: Chain({"a": Scaled(3.0), "b": [layers.Dense(2), Scaled(0.5)]}),
    "tuple": lambda: Chain((layers.Dense(2), layers.ReLU())),
    "inner model": lambda: Chain([Sequential([layers.Dense(2), Scaled(3.0)])]),
    "alone": lambda: Chain(layers.Dense(2, kernel_initializer="he_normal")),
    "function": lambda: layers.Dense(2, activation=cubed),
}


@pytest.mark.parametrize("wrap", [graph, lambda layer: Sequential([layers.Input((4,)), layer])], ids=["graph", "stack"])
@pytest.mark.parametrize("restore", [through_file, through_json])
@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_registered_things_come_back_without_custom_objects(make, restore, wrap, path):
    model = wrap(make())
    np.testing.assert_array_equal(restore(model, path).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "inside", [lambda layer: layer, lambda layer: Chain([layer]), lambda layer: Sequential([layer])]
)
@pytest.mark.parametrize("restore", [through_file, through_json])
def test_things_in_scopes_and_arguments_are_found_at_any_depth(inside, restore, path):
    model = graph(inside(Plain(5.0)))
    with pytest.raises(ValueError, match="Unknown layer 'Plain'.*custom_objects={'Plain': ...}.*register"):
        restore(model, path)
    for twin in (restore(model, path, custom_objects={"Plain": Plain}), in_scope(restore, model, path)):
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))


def in_scope(restore, model, path):
    with custom_object_scope({"Plain": Plain}):
        return restore(model, path)


def test_an_activation_in_a_scope_has_a_name():
    def odd(x):
        return -x

    with custom_object_scope({"odd": odd}):
        layer = layers.Activation("odd")
        assert layer.get_config()["activation"] == "odd" and layers.Activation(odd).activation is odd
    with pytest.raises(ValueError, match="Unknown activation 'odd'"):
        layers.Activation("odd")


def test_scopes_nest_and_end():
    with custom_object_scope({"a": int}), custom_object_scope({"a": float}), custom_object_scope(None):
        assert saving.get_registered_object("a") is float
    assert saving.get_registered_object("a") is None
    assert saving.get_registered_object("a", module_objects={"a": str}) is str


def test_names_of_registered_things():
    assert saving.get_registered_name(Scaled) == "tests>Scaled" and saving.get_registered_name(Plain) == "Plain"
    assert saving.get_registered_object("tests>cube") is cubed is saving.get_custom_objects()["tests>cube"]
    with pytest.raises(TypeError, match="obj must be a class or a function; got 3"):
        saving.get_registered_name(3)


VALUES = [
    None, True, 3, 2.5, "text", [1, [2, None]], (1, ("a", 2)), {"a": (1,), "b": [{"c": 2}]}, slice(1, None, 2),
    np.arange(6.0, dtype="float32").reshape(2, 3), np.dtype("int8"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values_come_back(value):
    again = deserialize_keras_object(serialize_keras_object(value))
    assert type(again) is type(value)
    np.testing.assert_equal(again, value)


OBJECTS = [
    lambda: layers.Conv2D(4, 3, name="c"), lambda: fastconv.initializers.HeNormal(seed=3),
    lambda: Scaled(1.5, name="s"),
    lambda: losses.BinaryCrossentropy(from_logits=True), lambda: fastconv.metrics.BinaryAccuracy(),
    lambda: fastconv.optimizers.SGD(0.5), lambda: fastconv.schedules.ExponentialDecay(0.1, 10, 0.5),
    lambda: [layers.Dense(2, name="d"), {"x": layers.ReLU(name="r")}],
    lambda: graph(Scaled(name="own")),
]  # fmt: skip


@pytest.mark.parametrize("make", OBJECTS)
def test_objects_come_back(make):
    config = serialize_keras_object(make())
    again = deserialize_keras_object(config)
    assert serialize_keras_object(again) == config


@pytest.mark.parametrize("function", [cubed, fastconv.activations.relu, fastconv.activations.softsign,
                                      losses.mean_squared_error])  # fmt: skip
def test_functions_come_back(function):
    assert deserialize_keras_object(serialize_keras_object(function)) is function


@pytest.mark.parametrize("call, error, match", [
    (lambda: saving.register_keras_serializable(Scaled), TypeError, "register_keras_serializable\\(\\)"),
    (lambda: saving.register_keras_serializable()(type("NoConfig", (), {})), ValueError, "needs a method get_config"),
    (lambda: saving.register_keras_serializable("tests", "Scaled")(Chain), ValueError, "registered already"),
    (lambda: custom_object_scope([Scaled]), TypeError, "custom_objects must be a dict"),
    (lambda: serialize_keras_object(lambda x: x), ValueError, "cannot be put into a config"),
    (lambda: serialize_keras_object({1: 2}), TypeError, "the key 1"),
    (lambda: deserialize_keras_object({"class_name": "function", "config": "tests>cub"}), ValueError,
     "Did you mean 'tests>cube'"),
    (lambda: deserialize_keras_object({"module": "fastconv.layers", "class_name": "Conv2d2"}), ValueError,
     "Did you mean 'Conv2D'"),
    (lambda: deserialize_keras_object({"class_name": "tests>Scaledd", "config": {}}), ValueError,
     "Did you mean 'tests>Scaled'"),
    (lambda: deserialize_keras_object({"module": "os", "class_name": "system", "config": {}}), ValueError, "Unknown"),
    (lambda: model_from_json('{"class_name": "tests>cube", "config": {}}'), ValueError, "no from_config"),
])  # fmt: skip
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_class_that_is_defined_anew_takes_its_name_over():
    def define():
        @saving.register_keras_serializable("tests")
        class Again(layers.Layer):
            pass

        return Again

    define()
    newer = define()
    assert saving.get_registered_object("tests>Again") is newer
    del saving.get_custom_objects()["tests>Again"]


def test_arguments_that_are_no_objects_are_left_to_the_constructor():
    config = {"kernel_initializer": {"class_name": "Zeros", "config": {}}, "sizes": [1, {"a": 2}]}
    assert serialization.revived(config) == config


def test_clones_may_change_the_layers_within_and_the_calls():
    inner = Sequential([layers.Dense(2), Scaled(3.0)], name="inner")
    x = fastconv.Input((4,))
    model = Model(x, inner(x))

    def doubled(layer):
        return Scaled(layer.factor * 2) if isinstance(layer, Scaled) else type(layer).from_config(layer.get_config())

    assert clone_model(model, clone_function=doubled, recursive=True).layers[-1].layers[-1].factor == 6
    twin = clone_model(model, call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs) * 2)
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(twin.predict(X), model.predict(X) * 2, rtol=1e-6)
    with pytest.raises(ValueError, match="call_function"):
        clone_model(inner, call_function=lambda layer, x: x)


def test_weights_that_fit_can_be_taken_alone(path):
    first = Sequential([layers.Dense(3, input_shape=(4,), name="a"), layers.Dense(2, name="b")])
    other = Sequential([layers.Dense(3, input_shape=(4,), name="a"), layers.Dense(5, name="b")])
    first.save_weights(path)
    before = other.layers[1].get_weights()
    with pytest.warns(UserWarning, match="does not fit b/kernel, b/bias"):
        other.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(other.layers[0].get_weights()[0], first.layers[0].get_weights()[0])
    np.testing.assert_array_equal(other.layers[1].get_weights()[0], before[0])
