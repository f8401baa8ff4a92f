"""Initializers: their distributions, seeds, names and configs, and how a layer takes them."""

import math

import numpy as np
import pytest

from fastconv import Tensor, initializers, layers
from fastconv.random import SeedGenerator
from fastconv.utils import set_random_seed

SHAPE = (3, 5, 40, 60)  # fans: 600 and 900
LEFT = 0.87962566103423978  # the deviation of a normal distribution that is cut at 2

# initializer, mean, deviation, least and greatest value
MOMENTS = {
    "random_uniform": (initializers.RandomUniform(-1, 3), 1.0, 4 / math.sqrt(12), -1, 3),
    "random_normal": (initializers.RandomNormal(2, 0.5), 2.0, 0.5, None, None),
    "truncated_normal": (initializers.TruncatedNormal(1, 0.5), 1.0, 0.5 * LEFT, 0, 2),
    "glorot_uniform": (initializers.GlorotUniform(), 0, math.sqrt(2 / 1500), -math.sqrt(6 / 1500), math.sqrt(6 / 1500)),
    "glorot_normal": (initializers.GlorotNormal(), 0, math.sqrt(2 / 1500), None, 2 / LEFT * math.sqrt(2 / 1500)),
    "he_uniform": (initializers.HeUniform(), 0, math.sqrt(2 / 600), -0.1, 0.1),
    "he_normal": (initializers.HeNormal(), 0, math.sqrt(2 / 600), None, 2 / LEFT * math.sqrt(2 / 600)),
    "lecun_uniform": (initializers.LecunUniform(), 0, math.sqrt(1 / 600), None, math.sqrt(3 / 600)),
    "lecun_normal": (initializers.LecunNormal(), 0, math.sqrt(1 / 600), None, 2 / LEFT * math.sqrt(1 / 600)),
    "variance_scaling": (
        initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal"), 0, math.sqrt(3 / 900), None, None),
    "orthogonal": (initializers.Orthogonal(), 0, math.sqrt(1 / 600), None, None),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name, dtype):
    set_random_seed(11)
    initializer, mean, deviation, low, high = MOMENTS[name]
    found = initializer(SHAPE, dtype)
    assert found.shape == SHAPE and found.dtype == dtype and type(found) is np.ndarray
    margin = 5 / math.sqrt(found.size)
    assert abs(found.mean() - mean) < margin * deviation
    assert found.std() == pytest.approx(deviation, rel=margin)
    if high is not None:
        low = -high if low is None else low
        edge = 1e-3 * (high - low)
        assert low <= found.min() < low + edge * 5 and high - edge * 5 < found.max() <= high * (1 + 1e-6)


CONSTANTS = {
    "zeros": (initializers.Zeros(), np.zeros((2, 3))), "ones": (initializers.Ones(), np.ones((2, 3))),
    "constant": (initializers.Constant(2.5), np.full((2, 3), 2.5)),
    "identity": (initializers.Identity(3.0), 3 * np.eye(2, 3)),
    "array": (initializers.get(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(2, 3)),
    "tensor": (initializers.get(Tensor([[1.0, 2, 3], [4, 5, 6]])), np.arange(1.0, 7).reshape(2, 3)),
    "function": (initializers.get(lambda shape, dtype=None: np.full(shape, 2)), np.full((2, 3), 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name):
    initializer, expected = CONSTANTS[name]
    for dtype in ("float32", "float64"):
        found = initializer((2, 3), dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(7, 7), (9, 4), (4, 9), (3, 3, 2, 8), (2, 2, 2, 30)])
def test_orthogonal_rows_or_columns(shape):
    q = initializers.Orthogonal(2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    gram = q.T @ q if len(q) >= shape[-1] else q @ q.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_stft_has_the_values_of_a_transform():
    signal = np.random.default_rng(0).normal(size=16)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)
    expected = np.fft.rfft(signal * window / window.sum())
    parts = [
        initializers.STFT(side, "hann", "spectrum", True)((16, 1, 9), "float64")[:, 0] for side in ("real", "imag")
    ]
    np.testing.assert_allclose(signal @ parts[0] + 1j * (signal @ parts[1]), expected, atol=1e-12)
    assert (initializers.STFT()((8, 1, 5))[0] == 0).all()  # of a symmetric window
    own = initializers.STFT(window=[1, 2, 2, 1], scaling="density")((4, 1, 3), "float64")
    np.testing.assert_allclose(own[:, 0, 0], np.array([1, 2, 2, 1]) / np.sqrt(10))


RANDOM = [
    initializers.RandomUniform, initializers.RandomNormal, initializers.TruncatedNormal, initializers.Orthogonal,
    initializers.VarianceScaling, initializers.GlorotUniform, initializers.GlorotNormal, initializers.HeUniform,
    initializers.HeNormal, initializers.LecunUniform, initializers.LecunNormal,
]  # fmt: skip


@pytest.mark.parametrize("cls", RANDOM)
def test_seeds(cls):
    shape = (4, 5)
    fixed = cls(seed=3)
    np.testing.assert_array_equal(fixed(shape), fixed(shape))
    np.testing.assert_array_equal(fixed(shape), fixed.clone()(shape))
    assert (fixed(shape) != cls(seed=4)(shape)).any()
    runs = []
    for _ in range(2):
        drawing = cls(seed=SeedGenerator(3))
        runs.append([drawing(shape), drawing(shape)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0][0] != runs[0][1]).any()
    again = initializers.get(initializers.serialize(cls(seed=SeedGenerator(3))))
    np.testing.assert_array_equal(again(shape), runs[0][0])
    set_random_seed(5)
    free = cls()
    first = free(shape)
    assert (first != free(shape)).any()
    set_random_seed(5)
    np.testing.assert_array_equal(first, cls()(shape))


NAMES = {
    "zeros": initializers.Zeros, "one": initializers.Ones, "uniform": initializers.RandomUniform,
    "normal": initializers.RandomNormal, "truncated_normal": initializers.TruncatedNormal,
    "orthogonal": initializers.Orthogonal, "OrthogonalInitializer": initializers.Orthogonal,
    "identity": initializers.Identity, "lecun_normal": initializers.LecunNormal, "HeNormal": initializers.HeNormal,
    "stft": initializers.STFT, "glorot_uniform": initializers.GlorotUniform, "constant": initializers.Constant,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_classes_and_configs(name):
    found = initializers.get(name)
    assert type(found) is NAMES[name] and type(initializers.get(NAMES[name])) is NAMES[name]
    config = initializers.serialize(found)
    assert repr(initializers.get(config)) == repr(initializers.deserialize(config)) == repr(found)
    assert initializers.get(found) is found


def test_lower_case_names_are_the_classes():
    for name in ("zeros", "ones", "constant", "random_normal", "random_uniform", "truncated_normal", "orthogonal",
                 "variance_scaling", "glorot_normal", "he_uniform", "lecun_uniform", "identity", "stft"):  # fmt: skip
        assert issubclass(getattr(initializers, name), initializers.Initializer) and name in initializers.__all__
    assert initializers.get(None) is None


class Ramp(initializers.Initializer):
    def __init__(self, step=1.0):
        self.step = step

    def __call__(self, shape, dtype=None):
        return Tensor(np.arange(math.prod(shape)).reshape(shape) * self.step, dtype=dtype)


class Bare:
    def __call__(self, shape, dtype=None):
        return np.full(shape, 7)


@pytest.mark.parametrize("given", [Ramp(), Ramp, lambda shape, dtype=None: np.arange(6).reshape(shape),
                                   np.arange(6.0).reshape(2, 3), [Ramp().get_config()]], ids=lambda v: "")  # fmt: skip
def test_a_layer_takes_its_users_values(given):
    if isinstance(given, list):
        given = initializers.deserialize({"class_name": "Ramp", "config": given[0]}, {"Ramp": Ramp})
    layer = layers.Dense(3, kernel_initializer=given, bias_initializer=Bare)
    layer.build((None, 2))
    assert layer.kernel.dtype == "float32" and layer.kernel.data.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert layer.bias.data.tolist() == [7, 7, 7]


def test_no_initializer_is_the_default():
    set_random_seed(1)
    one = layers.Dense(3, kernel_initializer=None)
    one.build((None, 2))
    set_random_seed(1)
    other = layers.Dense(3)
    other.build((None, 2))
    np.testing.assert_array_equal(one.kernel.data, other.kernel.data)


def build(initializer):
    layers.Dense(3, kernel_initializer=initializer).build((None, 2))


ERRORS = [
    (lambda: initializers.get("glorot"), ValueError, "Did you mean"),
    (lambda: initializers.get(3), TypeError, "initializer"),
    (lambda: initializers.Constant("a"), TypeError, "value must be a finite number"),
    (lambda: initializers.RandomNormal(stddev=-1), ValueError, "stddev"),
    (lambda: initializers.RandomNormal(seed="a"), TypeError, "seed"),
    (lambda: initializers.RandomNormal(seed=-1), ValueError, "seed"),
    (lambda: initializers.RandomNormal(seed={}), ValueError, "seed must be a number, a SeedGenerator or its config"),
    (lambda: initializers.RandomNormal()((2,), "int32"), TypeError, "draws floats"),
    (lambda: initializers.VarianceScaling(0), ValueError, "scale must be above 0"),
    (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "mode must be one of"),
    (lambda: initializers.VarianceScaling(distribution="gauss"), ValueError, "distribution"),
    (lambda: initializers.Identity()((2, 3, 4)), ValueError, "matrices"),
    (lambda: initializers.Orthogonal()((3,)), ValueError, "two axes"),
    (lambda: initializers.STFT("left"), ValueError, "'real', 'imag'"),
    (lambda: initializers.STFT(window="kaiser"), ValueError, "window"),
    (lambda: initializers.STFT(window=[1, 2])((3, 1, 2)), ValueError, "3 numbers"),
    (lambda: initializers.STFT()((3, 2)), ValueError, r"\(length, 1, bins\)"),
    (lambda: initializers.Initializer()((2,)), NotImplementedError, "__call__"),
    (lambda: initializers.serialize(np.ones(2)), ValueError, "set_weights"),
    (lambda: initializers.serialize(np.zeros), ValueError, "a function"),
    (lambda: build(np.ones((3, 3))), ValueError, r"holds values of shape \(3, 3\)"),
    (lambda: build(lambda shape, dtype=None: np.ones(3)), ValueError, r"made values of shape \(3,\)"),
    (lambda: build(lambda shape, dtype=None: np.full(shape, "a")), ValueError, "could not convert"),
]


@pytest.mark.parametrize("program, kind, message", ERRORS, ids=lambda v: None)
def test_errors_say_what_to_do(program, kind, message):
    with pytest.raises(kind, match=message):
        program()


@pytest.mark.parametrize("cls", [initializers.RandomUniform, initializers.RandomNormal, initializers.GlorotUniform])
def test_weights_drawn_by_pieces_are_those_of_one_draw(cls, monkeypatch):
    whole = cls(seed=1)((5, 7, 3))
    monkeypatch.setattr("fastconv.initializers.drawn._PIECE", 20)
    np.testing.assert_array_equal(cls(seed=1)((5, 7, 3)), whole)
