"""The first hour: small wrong programs, and whether the error names the cause and what mends it.

Errors of data and targets that need no newcomer are in test_trainer.py and test_losses*.py.
"""

import warnings

import numpy as np
import pytest
from helpers import python

import fastconv
from fastconv import Input, Sequential, absent, callbacks, layers, losses, models, optimizers, utils

rng = np.random.default_rng(0)
X = rng.random((20, 8, 8, 1), dtype="float32")
LABELS = np.arange(20) % 10
Y = utils.to_categorical(LABELS, 10)


def net(classes=10, loss="categorical_crossentropy", flatten=True, activation="softmax", shape=(8, 8, 1), **options):
    model = Sequential([Input(shape), layers.Conv2D(4, 3)] if shape else [layers.Conv2D(4, 3)])
    if flatten:
        model.add(layers.Flatten())
    model.add(layers.Dense(classes, activation=activation))
    model.compile("sgd", loss, **options)
    return model


def trained_without_input():
    model = net(shape=None)
    model.fit(X, Y, verbose=0)
    return model


def used_up():
    batches = iter([(X, Y)])
    model = net()
    model.fit(batches, verbose=0)
    return model.fit(batches, verbose=0)


def forgetful():
    class Forgetful(fastconv.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(10)

        def call(self, inputs):
            self.dense(inputs)

    model = Forgetful()
    model.compile("sgd", "mse")
    return model


# (program, what it says)
SHAPES = [
    (lambda: net(flatten=False).fit(X, Y), r"The output has 4 axes.*layers\.Flatten\(\)"),
    (lambda: net(flatten=False, loss="sparse_categorical_crossentropy").fit(X, LABELS), "The output has 4 axes.*Flatten"),
    (lambda: net(flatten=False, loss="mse").fit(X, Y), "The output has 4 axes.*Flatten"),
    (lambda: net().fit(X.repeat(2, 1), Y), r"takes inputs of shape \(None, 8, 8, 1\).*got \(20, 16, 8, 1\)\. Resize"),
    (lambda: trained_without_input().predict(X.repeat(2, 1)), r"built for inputs of shape \(None, 8, 8, 1\); got .*Resize"),
    (lambda: net().fit(np.moveaxis(X, -1, 1), Y), r"channels come first, and belong last: x = np\.moveaxis\(x, 1, -1\)"),
    (lambda: trained_without_input().fit(np.moveaxis(X, -1, 1), Y), r"built for 1 channel; .*np\.moveaxis\(x, 1, -1\)"),
    (lambda: net().fit(X.repeat(3, -1), Y), r"Colour becomes grey with x = x\.mean\(axis=-1, keepdims=True\)"),
    (lambda: net(shape=(8, 8, 3)).fit(X, Y), r"Grey becomes colour with x = np\.repeat\(x, 3, axis=-1\)"),
    (lambda: net(shape=(8, 8, 3)).fit(X.repeat(4, -1), Y), "fourth channel is transparency"),
    (lambda: net().fit(X.reshape(20, 64), Y), r"x = x\.reshape\(len\(x\), 8, 8, 1\)"),
    (lambda: net().predict(X[0]), r"One sample needs a batch axis: x = x\[None\]"),
    (lambda: net().predict(X[0, ..., 0]), r"x = x\[None, \.\.\., None\]"),
    (lambda: net().predict([]), "There are no samples"),
    (lambda: net().predict([X[0], X[0, :7]]), r"sample 0 has \(8, 8, 1\), and sample 1 has \(7, 8, 1\)\. Pad"),
    (lambda: net().fit([[1, 2], [3]], [0, 1]), r"x must hold samples of one shape; sample 0 has \(2,\)"),
    (lambda: net().fit(X[:2], [[1, 2], [3]]), "y must hold samples of one shape"),
    (lambda: Sequential([Input((None, 8, 8, 1)), layers.Conv2D(4, 3)]), r"without the batch: Input\(\(8, 8, 1\)\)"),
    (lambda: Sequential([Input((5, 3)), layers.LSTM(3), layers.LSTM(3)]), "gives sequences with return_sequences=True"),
    (lambda: net(11).fit(X, Y), "last layer gives 11 values, and the targets have 10: make it 10 units"),
    (lambda: net(9, "sparse_categorical_crossentropy").fit(X, LABELS), "label 9, but with 9 classes.*a unit for each"),
    (lambda: net().fit(X, utils.to_categorical(Y)), "made one-hot twice"),
    (lambda: net(loss="mse").fit(X, LABELS), "loss='sparse_categorical_crossentropy'; for one number a sample, .* 1 unit"),
    (lambda: net(metrics=["sparse_categorical_accuracy"]).fit(X, Y), "there is 'categorical_accuracy'"),
    (
        lambda: net(loss="sparse_categorical_crossentropy", metrics=["categorical_accuracy"]).fit(X, LABELS),
        "there is 'sparse_categorical_accuracy'; 'accuracy' takes both",
    ),
    (lambda: net().fit(X, Y, validation_data=X), r"\(x, y\).*got a ndarray of shape \(20, 8, 8, 1\).*validation_split"),
    (lambda: net().fit((X, Y)), r"x is a tuple of 2: give its parts one by one, fit\(x, y\)"),
    (lambda: net().fit(used_up), r"x is a function: call it .*fit\(used_up\(\)\)"),
    (used_up, "An iterator gives its batches once: make a new one"),
    (lambda: net(loss="sparse_categorical_crossentropy").fit(X, np.full(20, np.nan)), "targets hold NaN"),
    (lambda: net(loss="catgorical_crossentropy"), "Did you mean 'categorical_crossentropy'"),
    (lambda: Sequential([Input((8, 8, 1)), layers.Flatten(), layers.Conv2D(3, 3)]), "Flatten goes behind the last layer"),
    (lambda: Sequential([Input((8,)), layers.TimeDistributed(layers.Dense(3))]), r"takes \(batch, steps, \.\.\.\)"),
    (lambda: net(1, "binary_crossentropy", activation="sigmoid").fit(X, Y[:, :2]), r"2 units.*y = y\[:, 1\]"),
    (lambda: net(metrics={"out": "accuracy"}).fit(X, Y), "Unknown output in metrics: 'out'.*dense"),
    (lambda: net().fit(X, Y, validation_split="0.2"), "validation_split must be at least 0 and below 1; got '0.2'"),
    (lambda: net().fit(X, Y, batch_size=0), "batch_size must be a whole number of at least 1; got 0"),
]  # fmt: skip
TYPES = [
    (lambda: Sequential(layers.Flatten(), layers.Dense(3)), r"one list of layers; .*write \[layer, \.\.\.\]"),
    (lambda: Sequential(layers.Flatten()), r"write \[layer\]"),
    (lambda: layers.Conv2D(32), r"Conv2D needs kernel_size too: Conv2D\(filters, kernel_size, \.\.\.\)"),
    (lambda: layers.Embedding(input_dim=3), "Embedding needs output_dim too"),
    (lambda: net().fit(X, Y, epochs=1.5), "epochs must be a whole number of at least 1; got 1.5"),
    (lambda: net().fit(X, Y, 10, "5"), "epochs must be a whole number of at least 1; got '5'"),
    (lambda: net().fit(X, Y, epoch=3), r"Sequential\.fit has no argument 'epoch'\. Did you mean 'epochs'"),
    (lambda: net().compile(optimiser="sgd"), "Did you mean 'optimizer'"),
    (lambda: net().fit(X, np.array(["cat", "dog"] * 10)), r"classes, y = np\.unique\(y, return_inverse=True\)"),
    (lambda: net().predict("digit.png"), r"fastconv\.utils\.load_img\(path\)"),
    (lambda: net().fit(np.array([X[0], None], dtype=object), Y[:2]), r"first entry is a ndarray.*np\.stack\(x\)"),
    (lambda: Sequential().add([layers.Dense(3)]), "one by one"),
    (lambda: Sequential().add("relu"), r"layers\.Activation\('relu'\)"),
    (lambda: forgetful().fit(X[..., 0, 0], Y), "Forgetful.call returned nothing: end it with `return`"),
    (lambda: Input(784), r"Write \(784,\)"),
]  # fmt: skip
NAMES = [
    (lambda: layers.Conv2d, r"'fastconv\.layers' has no attribute 'Conv2d'\. Did you mean 'Conv2D'"),
    (lambda: losses.CategoricalCrossEntropy, "Did you mean 'CategoricalCrossentropy'"),
    (lambda: callbacks.EarlyStoping, "Did you mean 'EarlyStopping'"),
    (lambda: optimizers.adam, "Did you mean 'Adam'"),
    (lambda: fastconv.ops.conv2d, "Did you mean 'conv'"),
    (lambda: models.save, "Did you mean 'save_model'"),
    (lambda: layers.StringLookup, r"np\.unique\(x, return_inverse=True\)"),
    (lambda: layers.Linear, r"what PyTorch calls so is fastconv\.layers\.Dense here"),
    (lambda: fastconv.data.AUTOTUNE, "prefetch and num_parallel_calls take -1"),
    (lambda: fastconv.visualization, r"fastconv\.plotting and utils\.plot_model draw"),
    (lambda: fastconv.losses.ctc_of_keras, r"it is not in fastconv\. dir\(fastconv\.losses\) lists what there is"),
]  # fmt: skip


@pytest.mark.parametrize(
    "program, error, match",
    [(program, kind, match) for kind, rows in [(ValueError, SHAPES), (TypeError, TYPES), (AttributeError, NAMES)]
     for program, match in rows], ids=lambda value: "",
)  # fmt: skip
def test_the_error_names_the_cause_and_what_mends_it(program, error, match):
    with pytest.raises(error, match=match) as caught:
        program()
    assert type(caught.value).__qualname__ == error.__name__ and "\n" not in str(caught.value)


WARNINGS = [
    (lambda: net().fit(X * 255, Y, verbose=0), r"numbers up to 25\d.*x = x / 255"),
    (lambda: net().predict(X * 255, verbose=0), "x = x / 255"),
    (lambda: layers.Dense(1, activation="softmax"), "always gives 1.*activation='sigmoid'"),
    (lambda: net(activation=None).fit(X, Y, verbose=0), r"activation='softmax'.*CategoricalCrossentropy\(from_logits=True"),
    (
        lambda: net(activation=None, loss="sparse_categorical_crossentropy").fit(X, LABELS, verbose=0),
        r"SparseCategoricalCrossentropy\(from_logits=True",
    ),
    (
        lambda: net(loss=losses.CategoricalCrossentropy(from_logits=True)).fit(X, Y, verbose=0),
        "has from_logits=True, and the model gives probabilities",
    ),
    (lambda: net(loss="binary_crossentropy").fit(X, Y + 1, verbose=0), "targets from 0 to 1, and got 1 to 2"),
    (
        lambda: net().fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("val_loss")]),
        "does nothing: there is no 'val_loss'. Give fit validation_data",
    ),
    (lambda: net(metrics=["accuracy"]).fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("acurracy")]),
     "Did you mean 'accuracy'"),
]  # fmt: skip


@pytest.mark.parametrize("program, match", WARNINGS, ids=lambda value: "")
def test_what_runs_but_cannot_be_meant_is_one_warning(program, match):
    with pytest.warns(UserWarning, match=match) as caught:
        program()
    assert len(caught) == 1


def test_right_programs_get_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net().fit(X, Y, verbose=0)
        net().fit((X - 0.5) * 500, Y, verbose=0)  # no image's bytes
        net(activation=None, loss=losses.CategoricalCrossentropy(from_logits=True)).fit(X, Y, verbose=0)
        net(activation="sigmoid", loss="binary_crossentropy").fit(X, Y + 0.05, verbose=0)  # noise on labels
        Sequential([layers.Rescaling(1 / 255), net()]).predict(X * 255)
        assert losses.CategoricalCrossentropy()(np.ones((3, 1)), np.ones((3, 1))).item() < 1e-6  # one class


def test_warnings_show_the_users_line():
    with pytest.warns(UserWarning) as caught:
        net(activation=None).fit(X * 255, Y, verbose=0, callbacks=[callbacks.EarlyStopping()])
    assert len(caught) == 3 and {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("key, says", [
    ("val_loss", "there is no 'val_loss'. Give fit validation_data or validation_split. There are: loss, accuracy."),
    ("acuracy", "there is no 'acuracy'. Did you mean 'accuracy'? There are: loss, accuracy."),
    ("auc", "there is no 'auc'. Metrics are named in compile(metrics=[...]). There are: loss, accuracy."),
])  # fmt: skip
def test_what_is_not_in_the_history_says_what_there_is(key, says):
    history = net(metrics=["accuracy"]).fit(X, Y, verbose=0).history
    with pytest.raises(KeyError) as caught:
        history[key]
    assert str(caught.value) == says and history.get(key) is None and key not in history


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder .*nowhere to write into"):
        net().save(tmp_path / "nowhere" / "model.safetensors")


def test_help_shows_a_layers_own_arguments_with_an_example():
    for cls in (layers.Conv1D, layers.Conv2D, layers.Conv3D):
        assert f">>> layers.{cls.__name__}(" in cls.__doc__
    assert all(f"{name}" in layers.Conv2D.__doc__ for name in ("filters:", "kernel_size", "padding:", "activation:"))


def test_a_traceback_calls_a_missing_name_by_pythons_word():
    answer = python("-c", "import fastconv; fastconv.layers.Conv2d")
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("AttributeError: module 'fastconv.layers' has no attribute 'Conv2d'. Did you mean 'Conv2D'")


@pytest.mark.parametrize("name", absent.TORCH)
def test_what_stands_for_a_name_of_pytorchs_is_there(name):
    found = fastconv
    for part in absent.TORCH[name].partition("(")[0].split("."):
        found = getattr(found, part)
    assert callable(found) or name in ("nn", "optim", "lr_scheduler")
