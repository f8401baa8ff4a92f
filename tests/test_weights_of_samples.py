"""Weights of samples and classes: what they do to losses, gradients and metrics, planned and eager."""

import numpy as np
import pytest

import fastconv
from fastconv import Input, Model, Sequential, layers, losses, metrics, ops
from fastconv.utils import set_random_seed

rng = np.random.default_rng(0)
X = rng.standard_normal((24, 5)).astype("float32")
LABELS = rng.integers(0, 3, 24)
Y = np.eye(3, dtype="float32")[LABELS]
WEIGHTS = rng.uniform(0, 2, 24)
CLASSES = {0: 0.5, 2: 3.0}


def compiled(loss="categorical_crossentropy", eagerly=False, **options):
    set_random_seed(3)
    model = Sequential([Input((5,)), layers.Dense(6, activation="tanh"), layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss, run_eagerly=eagerly, **options)
    return model


def bits(model):
    return b"".join(weight.tobytes() for weight in model.get_weights())


def fitted(model, y=Y, **options):
    model.fit(X, y, **{"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0} | options)
    return model


def test_weights_multiply_each_sample():
    """Whole weights are copies of samples; the same by class, by one-hot targets, labels or a label's column."""
    by_class = np.array([CLASSES.get(label, 1.0) for label in LABELS])
    expected = bits(fitted(compiled(), sample_weight=by_class))
    assert bits(fitted(compiled(), class_weight=CLASSES)) == expected != bits(fitted(compiled()))
    sparse = "sparse_categorical_crossentropy"
    assert bits(fitted(compiled(sparse), LABELS, class_weight=CLASSES)) == bits(
        fitted(compiled(sparse), LABELS[:, None], class_weight=CLASSES)
    )
    whole = rng.integers(0, 3, 24)
    model, twin = (compiled(losses.CategoricalCrossentropy(reduction="sum")) for _ in range(2))
    model.train_on_batch(X, Y, sample_weight=whole)
    twin.train_on_batch(np.repeat(X, whole, axis=0), np.repeat(Y, whole, axis=0))
    for ours, other in zip(model.get_weights(), twin.get_weights()):
        np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{"sample_weight": WEIGHTS}, {"class_weight": CLASSES}, {}], ids=str)
def test_planned_steps_have_the_eager_bits(options):
    model, twin = compiled(), compiled(eagerly=True)
    assert bits(fitted(model, **options)) == bits(fitted(twin, **options))
    assert "recorded" in model.explain() and "eagerly" not in model.explain()
    assert model.history.history == twin.history.history


TARGETS = {  # of losses that want others than one-hot ones
    "SparseCategoricalCrossentropy": LABELS, "CategoricalGeneralizedCrossEntropy": LABELS, "Circle": LABELS,
}  # fmt: skip
EAGER = {"CategoricalGeneralizedCrossEntropy", "Circle"}  # their formulas may look at the labels' values


@pytest.mark.parametrize("name", [name for name in losses.__all__ if name[0].isupper() and name != "Loss"])
def test_every_loss_trains_in_plans(name):
    """With weights of samples; as often as not to the eager bits, and recorded."""
    models = [compiled(getattr(losses, name)(), eagerly) for eagerly in (False, True)]
    for model in models:
        fitted(model, TARGETS.get(name, Y), sample_weight=WEIGHTS)
    assert bits(models[0]) == bits(models[1])
    assert "recorded:" in models[0].explain() or name in EAGER


def test_weighted_metrics_count_by_weight():
    model = compiled(metrics=["accuracy"], weighted_metrics=[metrics.CategoricalAccuracy("weighted")])
    right = model.predict(X).argmax(-1) == LABELS
    logs = model.evaluate(X, Y, batch_size=7, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(right.mean())
    assert logs["weighted"] == pytest.approx(np.average(right, weights=WEIGHTS))
    value = (losses.categorical_crossentropy(Y, model.predict(X)).numpy() * WEIGHTS).mean()
    assert logs["loss"] == pytest.approx(value, rel=1e-5)


def test_pixels_have_weights_and_classes():
    """A segmentation: targets are maps of labels, weights are maps too, 255 is no class, a class may weigh more."""
    maps, images = rng.integers(0, 3, (6, 4, 4)), rng.standard_normal((6, 4, 4, 1)).astype("float32")
    maps[0, 0] = 255

    def model():
        set_random_seed(0)
        net = Sequential([Input((4, 4, 1)), layers.Conv2D(3, 3, padding="same", activation="softmax")])
        net.compile("adam", losses.SparseCategoricalCrossentropy(ignore_class=255), metrics=[
            metrics.MeanIoU(3, sparse_y_pred=False, ignore_class=255)])  # fmt: skip
        return net

    one, other = model(), model()
    kept = np.where(maps == 1, 2.0, 1.0)
    one.fit(images, maps, sample_weight=kept, epochs=4, verbose=0, shuffle=False)
    other.fit(images, maps, class_weight={1: 2.0}, epochs=4, verbose=0, shuffle=False)
    assert bits(one) == bits(other) and "recorded:" in one.explain()
    assert 0 < one.history.history["mean_io_u"][0] < 1


def test_several_outputs_have_weights_of_their_own():
    inputs = Input((5,))
    model = Model(inputs, [layers.Dense(3, activation="softmax", name="a")(inputs), layers.Dense(1, name="b")(inputs)])
    model.compile(
        "sgd", ["categorical_crossentropy", "mse"], loss_weights=[1.0, 0.5], weighted_metrics=[["acc"], ["mae"]]
    )
    zeros = np.zeros(24)
    logs = model.train_on_batch(X, [Y, WEIGHTS], sample_weight=[zeros, None], return_dict=True)
    assert logs["a_loss"] == 0 < logs["b_loss"] and logs["loss"] == pytest.approx(0.5 * logs["b_loss"])
    assert list(logs) == ["loss", "a_loss", "b_loss", "a_acc", "b_mae"]
    with pytest.raises(ValueError, match="class_weight is for models of one output"):
        model.fit(X, [Y, WEIGHTS], class_weight={0: 1.0})


def test_validation_takes_weights_batches_and_a_frequency():
    model = compiled()
    fitted(model, validation_data=(X, Y, np.zeros(24)), validation_batch_size=5, validation_freq=2, steps_per_epoch=2)
    assert model.history.history["val_loss"] == [0.0] and len(model.history.history["loss"]) == 3
    assert model.optimizer.iterations == 6
    fitted(model, validation_data=(X, Y), validation_steps=1, validation_freq=[1, 3])
    assert len(model.history.history["val_loss"]) == 2
    first = model.evaluate(X, Y, batch_size=24, steps=1, verbose=0)
    assert model.history.history["val_loss"][-1] == pytest.approx(model.evaluate(X[:8], Y[:8], verbose=0)) != first


class Own(Model):
    """A step as Keras' guide writes one, which is given weights with the batch."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, activation="softmax")
        self.mean = metrics.Mean(name="mean")

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        x, y, weights = data
        loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True), sample_weight=weights)
        loss.backward()
        self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}


def test_a_step_of_ones_own_is_given_the_weights():
    model = Own()
    model.compile("sgd", "categorical_crossentropy")
    history = model.fit(X, Y, sample_weight=np.zeros(24), verbose=0, epochs=2)
    assert history.history["loss"] == [0.0, 0.0]


class Adding(fastconv.Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


def test_a_loss_that_only_layers_add():
    model = Sequential([Input((5,)), layers.Dense(2), Adding()])
    model.compile()
    assert type(model.optimizer).__name__ == "RMSprop"
    history = model.fit(X, epochs=4, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize("options, message", [
    ({"class_weight": {3: 1.0}}, "a weight for 3; classes are numbers from 0 to 2"),
    ({"class_weight": {0: float("nan")}}, "weight of class 0 must be a finite number; got nan"),
    ({"class_weight": {0: "much"}}, "weight of class 0 must be a finite number; got 'much'"),
    ({"class_weight": dict.fromkeys(range(3), 0)}, "weights of all samples are 0"),
    ({"sample_weight": np.zeros(24)}, "weights of all samples are 0"),
])  # fmt: skip
def test_weights_that_teach_nothing_leave_the_model_untouched(options, message):
    model = compiled()
    before = bits(model)
    with pytest.raises(ValueError, match=message):
        fitted(model, **options)
    assert bits(model) == before
