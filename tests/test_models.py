"""Sequential: building, summary, lookup, nesting, and the errors of each."""

import numpy as np
import pytest

from fastconv import Sequential, Tensor, layers, models, ops


def small():
    return Sequential([
        layers.Input((6, 6, 1)),
        layers.Conv2D(2, 3, activation="relu", name="eye"),
        layers.Flatten(),
        layers.Dense(3, name="mind"),
    ])  # fmt: skip


x = np.random.default_rng(0).standard_normal((5, 6, 6, 1)).astype("float32")


def test_the_input_may_be_declared_in_four_ways():
    def dense(**kwargs):
        return layers.Dense(2, kernel_initializer="ones", **kwargs)

    declared = [Sequential([layers.Input((3,)), dense()]), Sequential([dense(input_shape=(3,))]), Sequential([dense()]),
                Sequential([dense()])]  # fmt: skip
    assert [model.built for model in declared] == [True, True, False, False]
    declared[2].build((None, 3))
    declared[3](np.ones((4, 3)))
    for model in declared:
        assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
        assert len(model.layers) == 1 and model.count_params() == 8
        np.testing.assert_array_equal(model(np.ones((1, 3))), [[3, 3]])


def test_the_tutorials_model_and_its_summary(capsys):
    model = models.Sequential(name="tutorial")
    model.add(layers.Conv2D(32, (5, 5), activation="relu", input_shape=(28, 28, 1), name="conv"))
    model.add(layers.MaxPooling2D((2, 2), name="pool"))
    model.add(layers.Conv2D(64, (5, 5), activation="relu", name="conv_2"))
    model.add(layers.MaxPooling2D((2, 2), name="pool_2"))
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(10, activation="softmax", name="digits"))
    model.get_layer("conv").trainable = False
    assert model.summary() is None
    assert repr(model) == "<Sequential 'tutorial': 6 layers, (None, 28, 28, 1) -> (None, 10)>"
    assert (
        capsys.readouterr().out
        == """\
Model: "tutorial"
--------------------------------------------------
Layer (type)           Output Shape        Param #
==================================================
conv (Conv2D)          (None, 24, 24, 32)      832
pool (MaxPooling2D)    (None, 12, 12, 32)        0
conv_2 (Conv2D)        (None, 8, 8, 64)     51,264
pool_2 (MaxPooling2D)  (None, 4, 4, 64)          0
flat (Flatten)         (None, 1024)              0
digits (Dense)         (None, 10)           10,250
--------------------------------------------------
Total params: 62,346 (243.54 KB)
Trainable params: 61,514 (240.29 KB)
Non-trainable params: 832 (3.25 KB)
"""
    )


def test_summary_of_an_unbuilt_model():
    lines = []
    Sequential([layers.Dense(2)]).summary(print_fn=lines.append)
    assert "unbuilt" in lines[0] and "?" in lines[0] and "Input" in lines[0]


def test_call_gives_a_tensor_with_gradients():
    model = small()
    inputs = Tensor(x, requires_grad=True)
    output = model(inputs)
    assert isinstance(output, Tensor) and output.shape == (5, 3)
    ops.sum(output).backward()
    assert inputs.grad.shape == x.shape and all(weight.grad is not None for weight in model.trainable_weights)


def test_get_layer_and_pop():
    model = small()
    assert model.get_layer("eye") is model.layers[0] is model.get_layer(index=0)
    with pytest.raises(ValueError, match="Did you mean 'mind'"):
        model.get_layer("mnid")
    with pytest.raises(ValueError, match="3 layers; got index 3"):
        model.get_layer(index=3)
    assert model.pop().name == "mind" and model.output_shape == (None, 32)
    model.add(layers.Dense(7))
    assert model(x).shape == (5, 7)


def test_nesting():
    body = Sequential([layers.Conv2D(2, 3, activation="relu"), layers.Flatten()], name="body")
    model = Sequential([layers.Input((6, 6, 1)), body, layers.Dropout(0.9), layers.Dense(3)])
    assert model.output_shape == (None, 3) and len(model.weights) == 4
    assert not np.array_equal(model(x, training=True), model(x))
    body.trainable = False
    assert len(model.trainable_weights) == 2
    twin = Sequential.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin(x), model(x))


def test_a_failed_add_changes_nothing():
    model = small()
    with pytest.raises(ValueError, match="Conv2D expects"):
        model.add(layers.Conv2D(2, 3))
    deep = Sequential([layers.Input((6, 6, 1))])
    with pytest.raises(ValueError, match="larger than the padded input"):
        deep.add(layers.Conv2D(2, 9))
    assert len(model.layers) == 3 and not deep.layers


def test_float64():
    model = Sequential([layers.Dense(2, dtype="float64"), layers.Dense(2, dtype="float64")])
    assert model.dtype == "float64" and model(x[:, 0, :, 0]).dtype == "float64"


SHAPES = {  # how the input is declared: the sizes that the model takes then
    "input_shape": (lambda conv: Sequential([conv(input_shape=(12, 12, 1))]), [12]),
    "Input": (lambda conv: Sequential([layers.Input((12, 12, 1), batch_size=3), conv()]), [12]),
    "a model inside": (lambda conv: Sequential([Sequential([layers.Input((12, 12, 1)), conv()])]), [12]),
    "partly": (lambda conv: Sequential([layers.Input((12, None, 1)), conv()]), [12]),
    "open": (lambda conv: Sequential([conv(input_shape=(None, None, 1))]), [12, 13]),
    "not": (lambda conv: Sequential([conv()]), [12, 13]),
    "not, built": (lambda conv: built(Sequential([conv()]), (None, 12, 12, 1)), [12, 13]),
    "not, a built layer": (lambda conv: Sequential([built(conv(), (None, 12, 12, 1))]), [12, 13]),
}


def built(layer, shape):
    layer.build(shape)
    return layer


@pytest.mark.parametrize("declared", SHAPES)
def test_a_declared_input_is_the_only_one(declared, tmp_path):
    make, sizes = SHAPES[declared]
    first = make(lambda **options: layers.Conv2D(2, 3, padding="same", **options))
    first.add(layers.GlobalMaxPooling2D())
    first.compile("sgd", "mse")
    first.predict(np.zeros((2, 12, 12, 1)))
    first.save(tmp_path / "model.safetensors")
    for model in (first, models.load_model(tmp_path / "model.safetensors")):
        for size in (12, 13, 12, 13, 13):
            images = np.ones((2, size, size, 1), "float32")
            for call in (model, model.predict, lambda x: model.fit(x, np.ones((2, 2)), verbose=0),
                         lambda x: model.evaluate(x, np.ones((2, 2)), verbose=0)):  # fmt: skip
                if size in sizes:
                    call(images)
                else:
                    with pytest.raises(ValueError, match=r"'sequential.*takes inputs of.*12, .*got \(2, 13, 13, 1"):
                        call(images)
    if declared == "partly":
        assert first(np.ones((1, 12, 20, 1))).shape == (1, 2)


def test_a_declared_input_is_checked_when_models_are_put_together():
    inner = Sequential([layers.Input((12, 12, 1)), layers.Flatten()], name="inner")
    with pytest.raises(ValueError, match=r"'inner' takes inputs of shape \(None, 12, 12, 1\).*got \(None, 13, 13, 1\)"):
        Sequential([layers.Input((13, 13, 1)), inner])
    with pytest.raises(ValueError, match="'inner' takes inputs"):
        inner.compute_output_shape((None, 13, 13, 1))
    assert Sequential([layers.Input((None, None, 1)), inner])(np.ones((1, 12, 12, 1))).shape == (1, 144)


shared = layers.Dense(2, name="shared")
ERRORS = [
    (lambda: Sequential([layers.Dense]), TypeError, r"Dense\(\.\.\.\)"),
    (lambda: Sequential([3]), TypeError, "needs a layer"),
    (lambda: Sequential(layers.Dense(2)), TypeError, "list of layers"),
    (lambda: Sequential([shared, shared]), ValueError, "each layer once"),
    (lambda: Sequential([shared, layers.Dense(1, name="shared")]), ValueError, "names must differ"),
    (lambda: Sequential([layers.Input((3,)), layers.Input((3,))]), ValueError, "first thing"),
    (lambda: Sequential()(np.ones((1, 2))), ValueError, "no layers"),
    (lambda: Sequential().pop(), ValueError, "no layer to pop"),
    (lambda: Sequential(layer=[]), TypeError, "layer"),
    (lambda: small()(x[:, 1:, :, 0]), ValueError, r"takes inputs of shape .*got \(5, 5, 6\)"),
    (lambda: small()(x[:, :4, :4]), ValueError, r"takes inputs of shape \(None, 6, 6, 1\), .*got \(5, 4, 4, 1\)"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()
