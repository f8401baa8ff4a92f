"""Parity with Keras 3, where it is installed: regularizers, constraints, initializers, and a training with all of them."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import fastconv  # noqa: E402

rng = np.random.default_rng(0)
MATRIX, KERNEL = rng.normal(size=(4, 3)), rng.normal(size=(3, 3, 2, 4))

RULES = {  # a function of the namespace, its input
    "l1": (lambda k: k.regularizers.L1(0.1), KERNEL),
    "l2": (lambda k: k.regularizers.get("l2"), KERNEL),
    "l1_l2": (lambda k: k.regularizers.L1L2(0.1, 0.2), KERNEL),
    "orthogonal rows": (lambda k: k.regularizers.OrthogonalRegularizer(), MATRIX),
    "orthogonal columns": (lambda k: k.regularizers.OrthogonalRegularizer(0.5, "columns"), MATRIX),
    "max_norm": (lambda k: k.constraints.MaxNorm(), KERNEL),
    "max_norm of filters": (lambda k: k.constraints.MaxNorm(1.5, [0, 1, 2]), KERNEL),
    "non_neg": (lambda k: k.constraints.get("non_neg"), KERNEL),
    "unit_norm": (lambda k: k.constraints.UnitNorm([0, 1, 2]), KERNEL),
    "min_max_norm": (lambda k: k.constraints.MinMaxNorm(0.5, 1.0, 0.3, [0, 1]), KERNEL),
}


@pytest.mark.parametrize("name", RULES)
def test_rules(name):
    make, x = RULES[name]
    x = x.astype("float32")
    ours, theirs = make(fastconv)(fastconv.Tensor(x)), make(keras)(keras.ops.convert_to_tensor(x))
    np.testing.assert_allclose(ours.numpy(), keras.ops.convert_to_numpy(theirs), rtol=2e-6, atol=1e-7)


INITIALIZERS = {  # a function of the namespace, a shape
    "zeros": (lambda i: i.zeros(), (3, 4)), "ones": (lambda i: i.Ones(), (3, 4)),
    "constant": (lambda i: i.Constant(2.5), (3, 4)), "identity": (lambda i: i.Identity(2.0), (3, 5)),
    "stft": (lambda i: i.STFT(), (16, 1, 9)), "stft imag": (lambda i: i.STFT("imag", "hamming", "spectrum", True), (16, 1, 9)),
    "stft bare": (lambda i: i.STFT(window=None), (8, 1, 9)),
    "random_normal": (lambda i: i.RandomNormal(1.0, 0.5, seed=1), (60, 60)),
    "random_uniform": (lambda i: i.RandomUniform(-1, 3, seed=1), (60, 60)),
    "truncated_normal": (lambda i: i.TruncatedNormal(1.0, 0.5, seed=1), (60, 60)),
    "variance_scaling": (lambda i: i.VarianceScaling(2.0, "fan_avg", "uniform", seed=1), (3, 3, 40, 60)),
    "untruncated": (lambda i: i.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1), (3, 3, 40, 60)),
    "glorot_uniform": (lambda i: i.GlorotUniform(seed=1), (3, 3, 40, 60)),
    "glorot_normal": (lambda i: i.GlorotNormal(seed=1), (3, 3, 40, 60)),
    "he_uniform": (lambda i: i.HeUniform(seed=1), (3, 3, 40, 60)),
    "he_normal": (lambda i: i.HeNormal(seed=1), (3, 3, 40, 60)),
    "lecun_uniform": (lambda i: i.LecunUniform(seed=1), (3, 3, 40, 60)),
    "lecun_normal": (lambda i: i.LecunNormal(seed=1), (3, 3, 40, 60)),
    "orthogonal": (lambda i: i.Orthogonal(2.0, seed=1), (3, 3, 40, 60)),
}  # fmt: skip


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    """The same values, or, where they are random, the same moments and the same range."""
    make, shape = INITIALIZERS[name]
    ours = make(fastconv.initializers)(shape)
    theirs = np.asarray(keras.ops.convert_to_numpy(make(keras.initializers)(shape)))
    if not hasattr(make(fastconv.initializers), "seed"):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
        return
    spread, margin = theirs.std(), 6 / np.sqrt(theirs.size)
    assert abs(ours.mean() - theirs.mean()) < margin * spread and abs(ours.std() - spread) < margin * spread
    for power in (3, 4):
        moments = [((a - a.mean()) ** power).mean() / spread**power for a in (ours, theirs)]
        assert abs(moments[0] - moments[1]) < 12 * margin


def trained(k):
    """A network with a rule on each weight, trained from given weights: (losses, weights)."""

    class Extra(k.layers.Layer):
        def call(self, x):
            self.add_loss(0.01 * k.ops.mean(x * x))
            return x

    reg, con, lay = k.regularizers, k.constraints, k.layers
    model = k.Sequential([
        k.Input((8, 8, 3)),
        lay.Conv2D(6, 3, kernel_regularizer=reg.L2(0.02), bias_regularizer=reg.L1(0.1),
                   activity_regularizer=reg.L1(0.003), kernel_constraint=con.MaxNorm(0.7, [0, 1, 2])),
        lay.BatchNormalization(gamma_regularizer=reg.L1L2(0.01, 0.02), beta_constraint="non_neg"),
        lay.SeparableConv2D(5, 3, depthwise_regularizer="l2", pointwise_regularizer="l1", activation="relu",
                            depthwise_constraint=con.UnitNorm([0, 1])),
        lay.PReLU(alpha_regularizer="l1", shared_axes=[1, 2]), Extra(),
        lay.Conv2DTranspose(4, 2, kernel_regularizer="l2"), lay.Flatten(),
        lay.Dense(4, activation="softmax", kernel_regularizer=reg.OrthogonalRegularizer(0.1, "columns"),
                  kernel_constraint=con.MinMaxNorm(0.3, 0.6, 0.5), activity_regularizer="l2"),
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.5 if "variance" in v.path else rng.normal(size=w.shape).astype("float32") * 0.3
                       for v, w in zip(model.weights, model.get_weights())])  # fmt: skip
    model.compile(k.optimizers.SGD(0.05, 0.9), "categorical_crossentropy")
    x, y = rng.random((32, 8, 8, 3)).astype("float32"), np.eye(4, dtype="float32")[rng.integers(0, 4, 32)]
    history = model.fit(x, y, batch_size=12, epochs=4, shuffle=False, verbose=0)
    return [*history.history["loss"], model.evaluate(x, y, verbose=0)], model.get_weights()


@pytest.mark.filterwarnings("ignore")
def test_a_training_with_all_rules():
    (losses, weights), (expected, theirs) = trained(fastconv), trained(keras)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, other in zip(weights, theirs):
        np.testing.assert_allclose(ours, other, atol=2e-5)
