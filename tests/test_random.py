"""Seeds and fastconv.random: what repeats and what does not, distributions, plans that draw on, errors."""

import copy

import numpy as np
import pytest

from fastconv import Tensor, ops, random, rng
from fastconv.program import Program, Recording
from fastconv.tensor import Parameter
from fastconv.utils import set_random_seed

DRAWS = [
    lambda seed: random.uniform((50,), seed=seed),
    lambda seed: random.normal((50,), dtype="float64", seed=seed),
    lambda seed: random.truncated_normal((50,), seed=seed),
    lambda seed: random.randint((50,), 0, 1 << 30, seed=seed),
    lambda seed: random.shuffle(np.arange(50.0), seed=seed),
    lambda seed: random.categorical(np.zeros((50, 1000)), 1, seed=seed),
    lambda seed: random.dropout(np.ones(200), 0.5, seed=seed),
]
each_draw = pytest.mark.parametrize(
    "draw", DRAWS, ids="uniform normal truncated randint shuffle categorical dropout".split()
)


def differ(one, other):
    return not np.array_equal(np.asarray(one), np.asarray(other))


@each_draw
def test_what_repeats(draw):
    """An int always, a SeedGenerator never, unless its state is put back; the common one by set_random_seed."""
    assert not differ(draw(3), draw(3)) and differ(draw(3), draw(4))
    generator = random.SeedGenerator(3)
    before = generator.state.copy()
    first, second = draw(generator), draw(generator)
    assert not differ(first, draw(3)) and differ(first, second)
    generator.state[...] = before
    assert not differ(first, draw(generator))
    set_random_seed(3)
    common = draw(None)
    assert differ(common, draw(None)) and differ(common, first)
    set_random_seed(3)
    assert not differ(common, draw(None))


def test_seed_generators():
    assert rng.SeedGenerator().state[0] != rng.SeedGenerator().state[0]
    generator = rng.SeedGenerator(5, name="noise")
    random.uniform((65,), seed=generator)
    twin = copy.deepcopy(generator)
    assert twin.state.tolist() == [5, 0, 2, 0] and repr(twin) == "SeedGenerator(seed=5, counter=2)"
    random.uniform((1,), seed=twin)
    assert generator.state[2] == 2 and twin.state[2] == 3


def test_set_random_seed_keeps_the_common_state_where_it_is():
    state = rng.seed_generator().state
    set_random_seed(11)
    assert rng.seed_generator().state is state and state.tolist() == [11, 1, 0, 0]


def test_distributions():
    y = random.uniform((1 << 16,), -2, 6, seed=1).data
    assert y.dtype == np.float32 and -2 <= y.min() < -1.99 and 5.99 < y.max() < 6 and abs(y.mean() - 2) < 0.05
    y = random.normal((1 << 16,), 5, 3, "float64", 1).data
    assert y.dtype == np.float64 and abs(y.mean() - 5) < 0.05 and abs(y.std() - 3) < 0.05
    y = random.truncated_normal((1 << 16,), 5, 3, seed=1).data
    assert abs(y - 5).max() <= 6 and abs(y.mean() - 5) < 0.05 and abs(y.std() - 3 * 0.8796) < 0.05
    y = random.randint((1 << 16,), -3, 4, seed=1)
    assert y.dtype == np.int32 and set(y) == {*range(-3, 4)} and abs(y.mean()) < 0.05
    y = random.categorical(np.log([[0.1, 0.6, 0.3], [1e-30, 1, 1e-30]]), 20_000, seed=1)
    assert y.shape == (2, 20_000) and abs((y[0] == 1).mean() - 0.6) < 0.02 and (y[1] == 1).all()


def test_randint_reaches_the_ends_of_its_dtype():
    for dtype in ("uint8", "int8", "uint64", "int64"):
        limits = np.iinfo(dtype)
        assert set(random.randint((400,), limits.max - 1, limits.max + 1, dtype)) == {limits.max - 1, limits.max}
        assert random.randint((4,), limits.min, limits.min + 1, dtype).tolist() == [limits.min] * 4


def test_shuffle_moves_whole_cells_with_their_gradient():
    x = Tensor(np.arange(12.0).reshape(4, 3), True)
    y = random.shuffle(x, seed=2)
    assert sorted(y.data[:, 0]) == [0, 3, 6, 9] and (y.data[:, 1] == y.data[:, 0] + 1).all()
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)
    assert sorted(random.shuffle(x, 1, seed=2).data[0]) == [0, 1, 2]


@pytest.mark.parametrize("noise_shape", [None, (None, 1, 1, None), (8, 6, 6, 1), (1, 8)])
def test_dropout_of_whole_channels(noise_shape):
    x = Tensor(np.ones((8, 6, 6, 8)), True)
    y = ops.dropout(x, 0.5, noise_shape, seed=1)
    y.sum().backward()
    assert set(np.unique(y.data)) == {0, 2}
    np.testing.assert_array_equal(x.grad, y.data)
    if noise_shape == (None, 1, 1, None):
        assert (y.data == y.data[:, :1, :1]).all()


@pytest.mark.parametrize(
    "draw",
    [
        lambda x, s: ops.dropout(x, 0.4, seed=s),
        lambda x, s: ops.dropout(x, 0.4, (None, 1, 7), seed=s),
        lambda x, s: ops.concatenate([x, random.normal((6, 5, 7), dtype="float64", seed=s)], -1),
        lambda x, s: ops.concatenate([x, random.uniform((6, 5, 7), dtype="float64", seed=s)], -1),
    ],
    ids=["dropout", "spatial", "normal", "uniform"],
)
@pytest.mark.parametrize("seed", [random.SeedGenerator(4), 4], ids=["stream", "int"])
def test_a_plan_draws_on_as_the_eager_code_does(draw, seed):
    """Repeated, it moves the generator's own counter; of an int it draws the same numbers again."""
    x, dy = (np.random.default_rng(i).standard_normal((6, 5, 7)) for i in range(2))
    state = seed.state if isinstance(seed, random.SeedGenerator) else rng.new_state(0)
    state[2] = 0
    expected = []
    for _ in range(3):
        leaf = Tensor(x, True)
        y = draw(leaf, seed)
        y.backward(np.resize(dy, y.shape))
        expected.append((y.data.copy(), leaf.grad.copy()))
    state[2] = 0
    weight, gradient = Parameter(x), np.resize(dy, expected[0][0].shape)
    recording = Recording(Program(lambda: [draw(weight, seed)], [], [weight]), [], gradient)
    state[2] = 0
    found = [np.empty_like(expected[0][0])]
    for values, slope in expected:
        assert recording.replay([], found)
        np.testing.assert_array_equal(found[0], values)
        np.testing.assert_array_equal(recording.gradients[0], slope)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: random.uniform((2,), seed=-1), ValueError, "seed must be between 0"),
        (lambda: random.uniform((2,), seed=1.5), TypeError, "seed must be an integer"),
        (lambda: random.SeedGenerator("a"), TypeError, "seed must be an integer"),
        (lambda: random.uniform((2,), dtype="int32"), TypeError, "dtype must be 'float32' or 'float64'"),
        (lambda: random.uniform(5), TypeError, r"shape must be a tuple of sizes, such as \(3,\); got 5"),
        (lambda: random.normal((2,), stddev=np.ones(2)), TypeError, "stddev must be a number"),
        (lambda: random.randint((2,), 0, 2.5), TypeError, "maxval must be a whole number; got 2.5"),
        (lambda: random.shuffle(np.zeros((2, 3)), axis=2), ValueError, "axis must be one of the 2 axes of x; got 2"),
        (lambda: random.categorical(np.zeros((1, 2)), -1), ValueError, "num_samples must be at least 0; got -1"),
        (lambda: random.uniform((-1,)), ValueError, "shape must have sizes of at least 0"),
        (lambda: random.uniform((1 << 40, 1 << 40)), ValueError, "fit memory"),
        (lambda: random.uniform((2,), 1, 0), ValueError, "low the smaller one"),
        (lambda: random.randint((2,), 0, 2, "float32"), TypeError, "randint draws integers"),
        (lambda: random.randint((2,), 3, 3), ValueError, "minval must be less than maxval"),
        (lambda: random.randint((2,), 0, 257, "uint8"), ValueError, "fit uint8"),
        (lambda: random.categorical(np.zeros(3), 2), ValueError, r"logits must have shape \(samples, classes\)"),
    ],
)
def test_bad_input_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()
