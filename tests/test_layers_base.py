"""What every layer has of Keras' Layer: weights by all arguments, paths, specs, build configs, refusals in words."""

import copy
import inspect

import numpy as np
import pytest

from fastconv import Input, KerasTensor, Model, Sequential, Tensor, layers, metrics, ops
from fastconv.tensor import Parameter


class Scale(layers.Layer):
    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale", regularizer="l2", constraint="non_neg")
        self.count = self.add_weight(name="count", initializer="zeros", trainable=False)

    def call(self, inputs):
        return inputs * self.scale


def built(cls=Scale, shape=(None, 3)):
    layer = cls()
    layer.build(shape)
    return layer


def test_add_weight_takes_keras_arguments_in_their_order():
    names = list(inspect.signature(layers.Layer.add_weight).parameters)[1:]
    assert names == ["shape", "initializer", "dtype", "trainable", "autocast", "regularizer", "constraint",
                     "aggregation", "overwrite_with_gradient", "name"]  # fmt: skip
    layer = layers.Layer()
    weight = layer.add_weight(3, "ones", "float64", False, True, "l1", "unit_norm", "mean", False, "w")
    assert (weight.shape, weight.dtype, weight.name, weight.trainable) == ((3,), "float64", "w", False)
    assert type(weight.regularizer).__name__ == "L1" and type(weight.constraint).__name__ == "UnitNorm"
    assert layer.add_weight().shape == () and layer.add_variable((2,), "ones", name="v").data.tolist() == [1, 1]
    assert [w.name for w in layer.weights] == ["weight1", "v", "w"]


def test_variables_and_paths():
    layer = built()
    assert [w.path for w in layer.weights] == [f"{layer.name}/scale", f"{layer.name}/count"]
    assert layer.variables == layer.weights and layer.path == layer.name
    assert layer.trainable_variables == [layer.scale] and layer.non_trainable_variables == [layer.count]
    assert layer.dtype == layer.compute_dtype == layer.variable_dtype == layer.input_dtype == "float32"


def sequential():
    return Sequential(
        [Input((3,)), layers.Dense(2, name="d"), Sequential([layers.Dense(1, name="e")], name="t")], name="s"
    )


def late():
    model = Sequential([layers.Dense(2, name="d"), layers.Dense(1, name="e")], name="s")
    model.build((None, 3))
    return model


def graph():
    start = Input((3,))
    return Model(start, layers.Dense(2, name="d")(start), name="m")


class Own(Model):
    def __init__(self):
        super().__init__(name="own")
        self.blocks = [layers.Dense(2, name="d")]

    def call(self, x):
        return self.blocks[0](x)


@pytest.mark.parametrize("make, paths", [
    (sequential, ["s/d/kernel", "s/d/bias", "s/t/e/kernel", "s/t/e/bias"]),
    (late, ["s/d/kernel", "s/d/bias", "s/e/kernel", "s/e/bias"]),
    (graph, ["d/kernel", "d/bias"]), (Own, ["own/d/kernel", "own/d/bias"]),
])  # fmt: skip
def test_paths_are_those_of_keras(make, paths):
    model = make()
    model(np.ones((1, 3)))
    assert [weight.path for weight in model.weights] == paths
    assert [weight.path for weight in copy.deepcopy(model).weights] == paths


def test_own_variables_go_to_a_store_and_back():
    one, other, store = built(), built(), {}
    one.set_weights([np.arange(3.0), np.float32(7)])
    one.save_own_variables(store)
    assert list(store) == ["0", "1"]
    other.load_own_variables(store)
    assert all(map(np.array_equal, one.get_weights(), other.get_weights()))
    assert Sequential([one]).save_own_variables(store := {}) is None and store == {}


@pytest.mark.parametrize("layer, shape", [
    (layers.Conv2D(3, 2), (None, 5, 5, 2)), (layers.Concatenate(), [(None, 2), (None, 3)]), (Scale(), (None, 4)),
])  # fmt: skip
def test_build_configs(layer, shape):
    assert layer.get_build_config() is None
    layer.build(shape)
    twin = type(layer).from_config(layer.get_config())
    twin.build_from_config({})
    assert not twin.built
    twin.build_from_config(layer.get_build_config())
    assert twin.built and [w.shape for w in twin.weights] == [w.shape for w in layer.weights]


def test_compute_output_spec_is_a_tensor_without_data():
    spec = layers.Conv2D(3, 2).compute_output_spec(KerasTensor((None, 5, 5, 2)))
    assert isinstance(spec, KerasTensor) and spec.shape == (None, 4, 4, 3) and spec.dtype == "float32"
    assert layers.Dense(2).compute_output_spec(np.ones((4, 3), "float32")).shape == (4, 2)
    assert layers.Add().compute_output_spec([KerasTensor((None, 2)), KerasTensor((None, 2))]).shape == (None, 2)


SPECS = {  # spec, a shape that fits, one that does not, what it misses
    "ndim": (dict(ndim=3), (2, 3, 4), (2, 3), "3 axes"),
    "max": (dict(max_ndim=2), (2, 3), (2, 3, 4), "at most 2"),
    "min": (dict(min_ndim=3), (2, 3, 4), (2, 3), "at least 3"),
    "axes": (dict(axes={-1: 3, 1: None}), (2, 5, 3), (2, 3, 5), "size 3 along axis -1"),
    "shape": (dict(shape=(None, None, 3)), (2, 5, 3), (2, 5, 4), r"the shape \(None, None, 3\)"),
    "squeeze": (dict(shape=(None, 3, 1), allow_last_axis_squeeze=True), (2, 3), (2, 4), "the shape"),
    "squeeze too": (dict(shape=(None, 3), allow_last_axis_squeeze=True), (2, 3, 1), (2, 3, 2), "2 axes"),
}


@pytest.mark.parametrize("name", SPECS)
def test_input_spec(name):
    arguments, fits, misfits, message = SPECS[name]
    layer = layers.Identity()
    layer(np.ones(misfits))
    layer.input_spec = layers.InputSpec(**arguments)
    assert layers.InputSpec.from_config(layer.input_spec.get_config()).get_config() == layer.input_spec.get_config()
    assert layer(np.ones(fits)).shape == fits
    with pytest.raises(ValueError, match=f"takes inputs of {message}"):
        layer(np.ones(misfits))
    with pytest.raises(ValueError, match="by its input_spec"):
        layer(KerasTensor((None, *misfits[1:])))


def test_input_specs_of_several_inputs_and_from_build():
    class Both(layers.Layer):
        def build(self, shapes):
            self.input_spec = [layers.InputSpec(ndim=2), layers.InputSpec(axes={-1: shapes[1][-1]})]

        def call(self, inputs):
            return inputs[0]

    layer, one, other = Both(), np.ones((2, 3)), np.ones((2, 4))
    layer([one, other])
    with pytest.raises(ValueError, match="size 4 along axis -1"):
        layer([one, one])
    with pytest.raises(ValueError, match="takes 2 inputs"):
        layer([one, other, one])


def test_metrics_that_attributes_hold():
    layer = Scale()
    layer.seen = metrics.CategoricalAccuracy(name="seen")
    outer = Sequential([layer])
    assert layer.metrics == [layer.seen] and isinstance(layer.metrics_variables, list)
    outer.compile("sgd", "mse", metrics=["accuracy"])
    assert [metric.name for metric in outer.metrics] == ["accuracy", "seen"]


def test_parameters_are_keras_variables():
    weight = Parameter(np.ones((2, 2), "float32"), name="w")
    weight.assign_add([[1, 2], [3, 4]])
    weight.assign_sub(Tensor(np.ones((2, 2), "float32")))
    assert weight.numpy().tolist() == [[1, 2], [3, 4]] and weight.version == 2
    assert weight.value is weight and weight.path == "w" and weight.regularizer is None is weight.constraint
    with pytest.raises(ValueError, match="shape"):
        weight.assign_add(np.ones((3, 2, 2), "float32"))
    twin = copy.deepcopy(built().scale)
    assert type(twin.regularizer).__name__ == "L2" and type(twin.constraint).__name__ == "NonNeg"


def test_autocast_false_leaves_tensors_as_they_are():
    class Kind(layers.Layer):
        def call(self, inputs):
            return ops.add(inputs, 1.0)

    x = Tensor(np.ones((2, 2)), dtype="float64")
    assert Kind()(x).dtype == "float32" and Kind(autocast=False)(x).dtype == "float64"
    config = Kind(autocast=False, activity_regularizer="l1").get_config()
    assert config["autocast"] is False and config["activity_regularizer"]["class_name"] == "L1"
    assert {"autocast", "activity_regularizer"}.isdisjoint(Kind().get_config())


@pytest.mark.parametrize("arguments, shape", [
    (dict(shape=(4, 2)), (None, 4, 2)), (dict(batch_shape=(8, 4)), (8, 4)),
    (dict(shape=(None, 2), batch_size=3), (3, None, 2)),
    (dict(shape=(3,), dtype="uint8", name="x", trainable=False, autocast=True), (None, 3)),
])  # fmt: skip
def test_input_layers(arguments, shape):
    layer = layers.InputLayer(**arguments)
    twin = layers.InputLayer.from_config(layer.get_config())
    assert layer.output.shape == twin.output.shape == shape and layer.output.dtype == twin.output.dtype
    assert "optional" not in repr(layer) and "batch_shape" not in repr(layer)


@pytest.mark.parametrize("cls", layers.CLASSES, ids=lambda cls: cls.__name__)
def test_signatures_show_what_is_taken(cls):
    parameters = inspect.signature(cls).parameters
    common = {"name", "trainable", "dtype", "autocast", "activity_regularizer"}
    if cls in (layers.ActivityRegularization, layers.Discretization):  # as Keras': they make or need no others
        common = {"name", "dtype"}
    if cls is layers.Pipeline:
        common = {"name"}
    assert common <= set(parameters)
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())


def test_signatures_of_users_layers():
    class Own(layers.Dense):
        def __init__(self, *sizes, factor=1, **kwargs):
            super().__init__(sizes[0], **kwargs)

    shown = list(inspect.signature(Own).parameters)
    assert shown[:4] == ["sizes", "factor", "units", "activation"] and shown[-1] == "input_shape"


def test_an_input_dimension_is_an_input_shape():
    model = Sequential([layers.Dense(2, input_dim=3)])
    assert model.built and model.input_shape == (None, 3)
    assert layers.ZeroPadding3D()(np.ones((1, 1, 1, 1, 1))).shape == (1, 3, 3, 3, 1)
    assert repr(layers.ZeroPadding3D()) == "ZeroPadding3D()"


def test_a_property_says_itself_what_is_wrong():
    class Broken(layers.Layer):
        @property
        def size(self):
            return self.missing

    with pytest.raises(AttributeError, match="missing"):
        _ = Broken().size
    with pytest.raises(AttributeError, match="not called in a graph"):
        _ = layers.Dense(2).output


class Pair(layers.Layer):
    """Takes two tensors, and builds for the shapes of both."""

    def build(self, left_shape, right_shape):
        self.kernel = self.add_weight((left_shape[-1], right_shape[-1]), "ones", name="kernel")

    def call(self, left, right, scale=1.0):
        return ops.matmul(left, self.kernel) * right * scale


@pytest.mark.parametrize("call", [
    lambda layer, a, b: layer(a, b), lambda layer, a, b: layer(a, right=b), lambda layer, a, b: layer(left=a, right=b),
    lambda layer, a, b: layer(Tensor(a), b.astype("float64"), scale=1.0),
    lambda layer, a, b: Model([i := Input((2,)), j := Input((3,))], layer(i, right=j))([a, b]),
])  # fmt: skip
def test_several_tensors_by_place_and_by_name(call):
    layer, a, b = Pair(), np.ones((4, 2), "float32"), np.full((4, 3), 2, "float32")
    assert call(layer, a, b).numpy().tolist() == [[4.0] * 3] * 4
    assert layer.kernel.shape == (2, 3) and repr(layer) == "Pair()"
    config = layer.get_build_config()
    assert config == {"shapes_dict": {"left_shape": (None, 2), "right_shape": (None, 3)}}
    twin = Pair()
    twin.build_from_config(config)
    assert twin.kernel.shape == (2, 3)


def test_shapes_that_no_argument_has():
    class Wrong(layers.Layer):
        def build(self, left_shape, other_shape):
            pass

        def call(self, left, right):
            return left

    with pytest.raises(TypeError, match="no argument of which 'other_shape' is the shape"):
        Wrong()(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(TypeError, match="called on nothing: give it its inputs, first or as left="):
        Pair()(right=np.ones((1, 2)))


ERRORS = [
    (lambda: layers.Layer().add_weight("w"), TypeError, "name='w'"),
    (lambda: layers.Layer().add_weight((None, 2)), ValueError, "needs known sizes"),
    (lambda: layers.Layer().add_weight(2, dtype="int32"), ValueError, "'float32' or 'float64'"),
    (lambda: layers.Layer().add_weight(2, aggregation="median"), ValueError, "aggregation must be one of"),
    (lambda: layers.Layer().add_weight(2, overwrite_with_gradient=True), ValueError, "float8"),
    (lambda: layers.Layer().add_weight(2, regularizer="l3"), ValueError, "Unknown regularizer"),
    (lambda: layers.Layer().add_weight(2, constraint="l3"), ValueError, "Unknown constraint"),
    (lambda: layers.Dense(2, lora_rank=4), ValueError, "lora_rank is not for fastconv"),
    (lambda: layers.Dense(2, quantization_config=1), ValueError, "float32 and float64"),
    (lambda: layers.Dense(2, activity_regulariser="l2"), TypeError, "Did you mean 'activity_regularizer'"),
    (lambda: setattr(layers.Dense(2), "input_spec", 3), TypeError, "must be an InputSpec"),
    (lambda: layers.InputSpec(axes=[1]), TypeError, "axes must be a dict"),
    (lambda: layers.InputSpec(ndim=2, axes={2: 3}), ValueError, "among 2 axes"),
    (lambda: layers.InputLayer(), ValueError, "either shape"),
    (lambda: layers.InputLayer((2,), sparse=True), ValueError, "no sparse"),
    (lambda: layers.Dense(2).stateless_call([], []), NotImplementedError, "JAX"),
    (lambda: layers.Dense(2).quantize("int8"), NotImplementedError, "float32 and float64"),
    (lambda: Sequential().export("model"), NotImplementedError, "model.save"),
    (lambda: built().load_own_variables({"0": np.ones(3)}), ValueError, "has 2 weights; got 1"),
    (lambda: built().load_own_variables({"0": np.ones(4), "1": np.ones(())}), ValueError, "needs shape"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


ONE = np.ones((2, 4, 4, 3), "float32")


@pytest.mark.parametrize("layer", [
    layers.Dense(2), layers.Conv2D(2, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Reshape((-1,)),
    layers.BatchNormalization(), layers.Rescaling(2.0), layers.RandomFlip(), layers.EinsumDense("abcd,de->abce", (4, 4, 2)),
], ids=lambda layer: type(layer).__name__)  # fmt: skip
def test_several_tensors_for_a_layer_of_one(layer):
    with pytest.raises(ValueError, match=r"takes one tensor; got a list of 2: join several by layers\.Concatenate"):
        layer([ONE, ONE])
    with pytest.raises(ValueError, match="takes one tensor; got a list of 1: .*give one without it"):
        layer([ONE])


def test_a_subclass_may_take_several():
    class Both(layers.Rescaling):
        def call(self, inputs):
            return super().call(inputs[0]) + super().call(inputs[1])

    np.testing.assert_array_equal(Both(2.0)([ONE, ONE]), 4 * ONE)


@pytest.mark.parametrize("inputs, match", [([], "takes a list of tensors"), ([1.0, np.ones(3)], "a scalar among")])
def test_merges_of_nothing_and_of_scalars(inputs, match):
    with pytest.raises(ValueError, match=match):
        layers.Add()(inputs)


def test_what_is_no_config_is_refused():
    with pytest.raises(TypeError, match="A config is a dict of arguments.*got None"):
        layers.Dense.from_config(None)
