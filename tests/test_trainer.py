"""The training loop: results, data forms, validation, reproducibility, progress, errors. Ctrl-C: test_interrupts.py."""

import io
import re
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import fastconv
from fastconv import Sequential, kernels, layers, losses, optimizers, progress
from fastconv.callbacks import Callback
from fastconv.utils import set_random_seed, to_categorical

rng = np.random.default_rng(0)
X = rng.standard_normal((50, 6, 6, 1)).astype("float32")
LABELS = rng.integers(0, 3, 50)
Y = to_categorical(LABELS, 3)


def compiled(optimizer="sgd", loss="categorical_crossentropy", metrics=("accuracy",), dropout=0.0, seed=1):
    set_random_seed(seed)
    model = Sequential([
        layers.Conv2D(4, 3, activation="relu", input_shape=(6, 6, 1), name="conv"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(dropout),
        layers.Dense(3, activation="softmax", name="out"),
    ])  # fmt: skip
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def trained(x=X, y=Y, loss="categorical_crossentropy", **options):
    model = compiled(loss=loss)
    model.fit(x, y, **({"batch_size": 20, "epochs": 2, "verbose": 0} | options))
    return model


def same_weights(first, second):
    return all(a.tobytes() == b.tobytes() for a, b in zip(first.get_weights(), second.get_weights()))


def test_fit_learns_and_history_has_keras_keys():
    model = compiled(optimizers.Adam(0.01))
    history = model.fit(X, Y, batch_size=10, epochs=30, verbose=0, validation_split=0.2)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == list(range(30)) and model.history is history
    assert history.history["loss"][-1] < 0.7 < history.history["loss"][0]
    assert history.history["acc"] is history.history["accuracy"] and "val_acc" in history.history
    assert all(type(value) is float for values in history.history.values() for value in values)


def test_a_step_is_gradient_descent_on_the_mean_loss():
    model, twin = compiled(), compiled()
    loss, accuracy = model.train_on_batch(X, Y)
    value = losses.CategoricalCrossentropy()(Y, twin(X, training=True))
    value.backward()
    assert loss == value.item() and accuracy == twin.evaluate(X, Y, batch_size=50, verbose=0)[1]
    for moved, start in zip(model.weights, twin.weights):
        np.testing.assert_allclose(moved.data, start.data - 0.01 * start.grad, rtol=1e-5, atol=1e-7)
        assert moved.grad is None


def test_evaluate_weighs_batches_by_their_samples():
    model = trained()
    whole = model.evaluate(X, Y, batch_size=50, verbose=0)
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=17, verbose=0), whole, rtol=1e-5)
    np.testing.assert_allclose(model.test_on_batch(X, Y), whole, rtol=1e-6)
    assert model.evaluate(X, Y, verbose=0, return_dict=True).keys() == {"loss", "accuracy"}
    model.compile("sgd", "mse")
    assert isinstance(model.evaluate(X, Y, verbose=0), float)


def test_predict():
    model = compiled()
    whole = model.predict(X, batch_size=100)
    assert whole.shape == (50, 3) and whole.dtype == "float32"
    np.testing.assert_allclose(model.predict(X, batch_size=7), whole, rtol=1e-6)
    assert model.predict(X[:0]).shape == (0, 3)
    plain = Sequential([layers.Activation("linear")])
    x = np.ones((2, 2), "float32")
    plain.predict(x)[:] = 5
    assert (x == 1).all()


FORMS = [
    lambda a: a.astype("float64"),
    lambda a: np.asfortranarray(a),
    lambda a: np.repeat(a, 2, axis=0)[::2],
    lambda a: a[::-1].copy()[::-1],
    lambda a: a.astype(">f4"),
    lambda a: a.tolist(),
    lambda a: fastconv.Tensor(a.astype("float32")),
    lambda a: np.frombuffer(b"\0" + a.astype("float32").tobytes(), "f4", offset=1).reshape(a.shape),
]


@pytest.mark.parametrize("form", FORMS)
def test_data_of_any_form_train_to_the_same_bits(form):
    assert same_weights(trained(), trained(form(X), form(Y)))


def test_labels_of_each_kind_train_alike():
    one_hot, sparse = trained(), trained(y=LABELS, loss="sparse_categorical_crossentropy")
    column = trained(y=LABELS[:, None].astype("float64"), loss="sparse_categorical_crossentropy")
    assert same_weights(one_hot, sparse) and same_weights(one_hot, column)
    assert same_weights(one_hot, trained(y=Y.astype(bool)))


def test_one_seed_gives_one_run_at_any_number_of_threads(restore_threads):
    runs = []
    for threads in (1, 2, 3, 1):
        kernels.set_num_threads(threads)
        model = compiled("adam", dropout=0.5)
        history = model.fit(X, Y, batch_size=20, epochs=2, verbose=0)
        runs.append((history.history, [weight.tobytes() for weight in model.get_weights()]))
    assert all(run == runs[0] for run in runs)
    model = compiled("adam", dropout=0.5, seed=2)
    model.fit(X, Y, batch_size=20, epochs=2, verbose=0)
    assert model.get_weights()[0].tobytes() != runs[0][1][0]


def test_no_shuffle_takes_the_samples_in_order():
    model, twin = trained(shuffle=False, epochs=1), compiled()
    for start in range(0, 50, 20):
        twin.train_on_batch(X[start : start + 20], Y[start : start + 20])
    assert same_weights(model, twin) and not same_weights(model, trained(epochs=1))


def test_validation_split_is_the_tail():
    first = compiled()
    history = first.fit(X, Y, validation_split=0.25, verbose=0).history
    second = compiled()
    expected = second.fit(X[:37], Y[:37], validation_data=(X[37:], Y[37:]), verbose=0).history
    assert history == expected and same_weights(first, second)
    np.testing.assert_allclose(first.evaluate(X[37:], Y[37:], verbose=0)[0], history["val_loss"][0])


def test_a_frozen_layer_stays_and_costs_no_gradient():
    model = compiled()
    model.get_layer("conv").trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    assert all((a == b).all() for a, b in zip(before[:2], after[:2])) and (before[2] != after[2]).any()
    assert all(weight.version == 0 for weight in model.get_layer("conv").weights)


def test_a_second_fit_goes_on():
    model, twin = compiled("adam"), compiled("adam")
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for epoch in range(2):
        twin.fit(X, Y, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0)
    assert same_weights(model, twin) and twin.history.epoch == [1]


# What is printed


def test_one_line_an_epoch_off_a_terminal(capsys):
    compiled().fit(X, Y, epochs=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("Epoch 1/2 - ")
    for part in ("s - loss: ", " - accuracy: ", " - val_loss: ", " - val_accuracy: "):
        assert part in lines[1]
    compiled().evaluate(X, Y, verbose=2)
    assert capsys.readouterr().out.startswith("Evaluate - ")
    compiled().fit(X, Y, verbose=0)
    compiled().predict(X)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize(
    "scale, shown", [(0, "0.0000"), (1, r"\d\.\d{4}"), (1e-5, r"\d\.\d{4}e-0\d"), (1e20, r"\d\.\d{4}e\+\d\d")]
)
def test_a_loss_of_any_size_takes_little_room(capsys, scale, shown):
    model = compiled(loss=lambda y_true, y_pred: scale * fastconv.ops.mean(y_pred), metrics=())
    model.evaluate(X, Y)
    assert re.fullmatch(rf"Evaluate - \S+s - loss: {shown}\n", capsys.readouterr().out)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    compiled().fit(X, Y, epochs=2, batch_size=1, validation_split=0.2, callbacks=[At(lambda: time.sleep(0.12), 1, 1)])
    *drawn, line, end = sys.stdout.getvalue().replace("\n", "\r").split("\r")
    bar = next(text for text in drawn if text.startswith("Epoch 2/2 - 2/40 - "))
    assert re.fullmatch(r"Epoch 2/2 - 2/40 - loss: \S+ - accuracy: \S+ \|.*\| \S+<\S+", bar.rstrip()) and len(bar) <= 80
    assert (
        re.fullmatch(r"Epoch 2/2 - \S+s - loss: .* - accuracy: .* - val_loss: .* - val_accuracy: \S+", line) and not end
    )


# What goes wrong


class At(Callback):
    """Runs an action after step `batch` of epoch `epoch`."""

    def __init__(self, action, epoch=1, batch=1):
        self.action, self.where, self.now = action, (epoch, batch), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == self.where:
            self.action()


def test_an_error_leaves_the_signal_handler_and_other_threads_fit():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compiled().fit(X, Y, batch_size=10, verbose=0, callbacks=[At(fail, 0)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    models = []
    thread = threading.Thread(target=lambda: models.append(trained()))
    thread.start()
    thread.join()
    assert same_weights(models[0], trained())


def test_nan_names_the_layer_and_the_cause():
    model = compiled(optimizers.SGD(1e30))
    with pytest.warns(UserWarning, match="layer 'out'.*learning rate is probably too high") as caught:
        model.fit(X, Y, batch_size=10, epochs=3, verbose=0)
    assert len([w for w in caught if "not finite" in str(w.message)]) == 1
    assert caught[-1].filename == __file__
    broken = X.copy()
    broken[3] = np.nan
    with pytest.warns(UserWarning, match="x holds NaN"):
        compiled().fit(broken, Y, verbose=0)


def test_images_in_0_to_255_get_one_warning():
    model, images = compiled(), (np.abs(X) * 80).astype("uint8")
    with pytest.warns(UserWarning, match="x / 255") as caught:
        model.fit(images, Y, epochs=2, verbose=0)
        model.predict(images)
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled().fit(images > 5, Y, verbose=0)
        compiled().fit(images / 255, Y, verbose=0)


def uncompiled():
    return Sequential([layers.Dense(2)])


class Samples:
    """Single samples by index, as a Dataset of PyTorch's gives them."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], Y[index]


ERRORS = [
    (lambda: uncompiled().fit(X, Y), RuntimeError, r"model\.compile"),
    (lambda: uncompiled().evaluate(X, Y), RuntimeError, r"model\.compile"),
    (lambda: compiled(optimizer=None), ValueError, "needs an optimizer"),
    (lambda: compiled(optimizer="sdg"), ValueError, "Did you mean 'SGD'"),
    (lambda: compiled(loss=None).fit(X, Y, verbose=0), ValueError, "There is no loss to make small: give compile"),
    (lambda: compiled(loss=losses.MeanSquaredError("none")).fit(X, Y), ValueError, "reduction must not be 'none'"),
    (lambda: compiled(loss="crossentropy"), ValueError, "Did you mean"),
    (lambda: compiled(metrics=["accurracy"]), ValueError, "Accuracy"),
    (lambda: compiled(metrics=["accuracy", "accuracy"]), ValueError, "is taken"),
    (lambda: compiled().fit(X), ValueError, "targets y are missing\\.$"),
    (
        lambda: compiled().fit(Samples()),
        ValueError,
        r"samples \(x, y\) by index, .* fit\(torch\.utils\.data\.DataLoader\(x, 32\)\)",
    ),
    (lambda: compiled().fit(X, Y[:-1]), ValueError, "x has 50 samples and y has 49"),
    (lambda: compiled().fit(X[:0], Y[:0]), ValueError, "no samples"),
    (lambda: compiled().evaluate(X[:0], Y[:0]), ValueError, "no samples"),
    (lambda: compiled().fit(X[:, 1:, :, 0], Y), ValueError, r"takes inputs of shape .*; got \(50, 5, 6\)"),
    (lambda: compiled().fit(X[:, :5], Y), ValueError, r"takes inputs of shape \(None, 6, 6, 1\).*got \(50, 5, 6, 1\)"),
    (lambda: compiled().fit(X, LABELS), ValueError, "sparse_categorical_crossentropy.*to_categorical"),
    (lambda: compiled().fit(X, Y[:, :2]), ValueError, r"\(32, 3\); got \(32, 2\)"),
    (lambda: compiled(loss="sparse_categorical_crossentropy").fit(X, Y), ValueError, "loss='categorical"),
    (lambda: compiled(loss="sparse_categorical_crossentropy").fit(X, LABELS + 1), ValueError, "label 3"),
    (lambda: compiled(loss=losses.CategoricalGeneralizedCrossEntropy()).fit(X, LABELS + 1), ValueError, "label 3"),
    (lambda: compiled().fit("digits", Y), TypeError, "x must hold real numbers"),
    (lambda: compiled().fit(None, Y), TypeError, "x must hold real numbers"),
    (lambda: compiled().fit(X.astype(complex), Y), TypeError, "complex"),
    (lambda: compiled().fit(X, [str(label) for label in LABELS]), TypeError, "y must hold real numbers"),
    (lambda: compiled().fit(3.0, 4.0), ValueError, "array of samples"),
    (lambda: compiled().fit(X, Y, batch_size=0), ValueError, "batch_size"),
    (lambda: compiled().fit(X, Y, batch_size=2.5), TypeError, "batch_size"),
    (lambda: compiled().fit(X, Y, epochs=-1), ValueError, "epochs"),
    (lambda: compiled().fit(X, Y, verbose=3), ValueError, "verbose"),
    (lambda: compiled().fit(X, Y, validation_split=1), ValueError, "validation_split"),
    (lambda: compiled().fit(X, Y, validation_split=0.99), ValueError, "leaves none for training"),
    (lambda: compiled().fit(X, Y, validation_data=X), ValueError, "pair"),
    (lambda: compiled().fit(X, Y, callbacks=[Callback]), TypeError, "parentheses"),
    (lambda: compiled().fit(X, Y, class_weight=[1, 2]), TypeError, "class_weight must be a dict of numbers by class"),
    (
        lambda: compiled().fit(X, Y, class_weight={3: 1.0}),
        ValueError,
        "a weight for 3; classes are numbers from 0 to 2",
    ),
    (lambda: compiled().fit(X, Y, sample_weight=np.ones(49)), ValueError, "one number for each of the 50 samples"),
    (lambda: compiled().fit(X, Y, sample_weight=np.full(50, np.nan)), ValueError, "holds NaN"),
    (lambda: compiled().fit(X, Y, class_weight={0: 1}, sample_weight=LABELS), ValueError, "not both"),
    (lambda: compiled().fit(X, Y, steps_per_epoch=9), ValueError, "steps_per_epoch=9 is more than the 2 batches"),
    (lambda: compiled().fit(X, Y, validation_freq=0), ValueError, "validation_freq must be"),
    (lambda: compiled().fit(X, Y, validation_freq=np.inf), ValueError, "validation_freq must be .*got inf"),
    (lambda: compiled().fit(X, Y, validation_freq="1"), ValueError, "validation_freq must be .*got '1'"),
    (lambda: compiled().fit(X, Y, validation_batch_size=0), ValueError, "validation_batch_size must be .*got 0"),
    (lambda: compiled().fit(X, Y, validation_batch_size=""), TypeError, "validation_batch_size must be .*got ''"),
    (lambda: compiled().fit(X, Y, initial_epoch=-1), ValueError, "initial_epoch must be .*at least 0; got -1"),
    (lambda: compiled().fit(np.ma.array(X, mask=X > 1), Y), TypeError, "hides elements"),
    (lambda: compiled().fit(X, np.ma.array(Y, mask=Y > 0)), TypeError, "hides elements"),
    (lambda: compiled().predict(X, batch_size=-1), ValueError, "batch_size"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


def test_a_refused_fit_changes_nothing():
    model, twin = compiled(), compiled()
    with pytest.raises(ValueError):
        model.fit(X, LABELS)
    with pytest.raises(ValueError):
        model.compile("sgd", "no such loss")
    assert same_weights(model, twin) and model.loss.name == "categorical_crossentropy"


def test_numbers_are_short():
    text = progress._text({"loss": 1 / 3, "tiny": 1.5e-5, "zero": 0.0})
    assert text == "loss: 0.3333 - tiny: 1.5000e-05 - zero: 0.0000"
