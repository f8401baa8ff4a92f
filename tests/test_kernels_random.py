"""Random numbers: Philox's published answers, the twins, the same bits everywhere, distributions, dropout, errors."""

import numpy as np
import pytest
from helpers import normal

from fastconv import kernels
from fastconv.kernels import reference

DTYPES = ["float32", "float64"]
both = pytest.mark.parametrize("dtype", DTYPES)
SHAPES = [(1,), (31,), (32,), (33,), (63,), (64,), (65,), (20_000,), (7, 11, 13), (0, 4)]


def key(seed=3, stream=0, counter=0):
    return np.array([seed, stream, counter, 0], np.uint64)


@pytest.mark.parametrize(
    "seed, stream, block, words",
    [
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x299F31D0A4093822, 0x0370734413198A2E, 0x85A308D3243F6A88, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_the_twin_gives_philoxs_known_answers(seed, stream, block, words):
    """The vectors of Random123's kat_vectors, philox4x32 with 10 rounds."""
    assert [f"{word:08x}" for word in reference.philox(key(seed, stream), [block])[0]] == words.split()


@both
@pytest.mark.parametrize("start", [key(), key(2**64 - 1, 2**63 + 5, 2**60 - 3), key(0, 1, 2**32 - 1)], ids=str)
def test_draws_agree_with_their_twins(start, dtype, isa):
    for shape in SHAPES:
        ours, twin = start.copy(), start.copy()
        for options in ({}, {"low": -3.0, "high": 5.0}):
            y = kernels.random_uniform(shape, dtype, ours, **options)
            np.testing.assert_array_equal(y, reference.random_uniform(shape, dtype, twin, **options))
        z = kernels.random_normal(shape, dtype, ours, 1.0, 2.0)
        np.testing.assert_allclose(z, reference.random_normal(shape, dtype, twin, 1.0, 2.0), rtol=0,
                                   atol=40 * np.finfo(dtype).eps)  # fmt: skip
        assert y.dtype == z.dtype == dtype and ours.tolist() == twin.tolist()


@both
def test_the_same_bits_on_every_instruction_set(dtype):
    drawn, before = [], kernels.build_info()["isa"]
    for isa in kernels.build_info()["isas"]:
        kernels.use_isa(isa)
        start, x = key(), np.ones(5003, dtype)
        arrays = [kernels.random_uniform((5003,), dtype, start), kernels.random_normal((5003,), dtype, start),
                  *kernels.dropout_forward(x, 0.3, start)]  # fmt: skip
        drawn.append(b"".join(array.tobytes() for array in arrays))
    kernels.use_isa(before)
    assert len(set(drawn)) == 1


@both
def test_threads_and_cuts_do_not_change_the_bits(dtype, restore_threads):
    def draws():
        start = key()
        return (kernels.random_normal((100_000,), dtype, start).tobytes()
                + kernels.dropout_forward(np.ones(300_001, dtype), 0.5, start)[0].tobytes())  # fmt: skip

    results = []
    for threads in (1, 2, 3, 7):
        kernels.set_num_threads(threads)
        results.append(draws())
    assert len(set(results)) == 1
    long, short = (kernels.random_uniform((n,), dtype, key()) for n in (1000, 100))
    np.testing.assert_array_equal(long[:100], short)


def test_the_counter_moves_behind_a_draw():
    start = key()
    first, second = (kernels.random_uniform((65,), "float32", start) for _ in range(2))
    assert start.tolist() == [3, 0, 4, 0] and not np.intersect1d(first, second).size
    np.testing.assert_array_equal(kernels.random_uniform((65,), "float32", key(counter=2), advance=False), second)
    assert not np.intersect1d(first, kernels.random_uniform((65,), "float32", key(stream=1))).size


@both
def test_uniform_numbers_are_uniform(dtype):
    y = kernels.random_uniform((1 << 18,), dtype, key())
    assert 0 <= y.min() and y.max() < 1
    counts = np.histogram(y, 64, (0, 1))[0]
    assert ((counts - 4096) ** 2 / 4096).sum() < 120  # chi square of 63 degrees: 1 in 100,000 is above
    assert abs(np.corrcoef(y[:-1], y[1:])[0, 1]) < 0.01 and abs(np.corrcoef(y[:-16], y[16:])[0, 1]) < 0.01


@both
def test_normal_numbers_are_normal(dtype):
    y = kernels.random_normal((1 << 18,), dtype, key())
    assert np.isfinite(y).all() and 4 < abs(y).max() < 7
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert abs((y.astype("f8") ** power).mean() - moment) < 0.05
    assert abs((abs(y) < 1).mean() - 0.682689) < 0.005
    assert abs(np.corrcoef(y[:-16], y[16:])[0, 1]) < 0.01


def test_uniform_never_reaches_its_upper_end():
    y = kernels.random_uniform((1 << 16,), "float32", key(), 1e6, 1e6 + 1)
    assert y.min() == 1e6 and y.max() < 1e6 + 1
    assert (kernels.random_uniform((9,), "float32", key(), 2.0, 2.0) == 2).all()


NOISE = [None, (6, 1, 1, 37), (6, 5, 7, 1), (1, 5, 1, 37), (1, 1, 1, 1), (6, 5, 7, 37), (6, 1, 7, 1)]


@both
@pytest.mark.parametrize("noise_shape", NOISE, ids=str)
def test_dropout_agrees_with_its_twin(noise_shape, dtype, isa):
    x, dy = normal((6, 5, 7, 37), dtype), normal((6, 5, 7, 37), dtype, 1)
    for rate in (0.0, 0.1, 0.5, 0.999):
        ours, twin = key(5), key(5)
        y, mask = kernels.dropout_forward(x, rate, ours, noise_shape)
        expected, shares = reference.dropout_forward(x, rate, twin, noise_shape)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(
            kernels.dropout_backward(dy, mask, rate), reference.dropout_backward(dy, shares, rate)
        )
        assert ours.tolist() == twin.tolist()


@both
def test_dropout_keeps_its_share_and_drops_nan_and_inf(dtype, isa):
    x = np.full((1000, 257), np.nan, dtype)
    x[:, 1:] = np.inf
    y, _ = kernels.dropout_forward(x, 0.25, key())
    assert abs((y == 0).mean() - 0.25) < 0.01 and not np.isfinite(y[y != 0]).any()
    y, _ = kernels.dropout_forward(x, 0.25, key(), (1, 257))
    assert ((y == 0) == (y == 0)[:1]).all() and (y == 0).any()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: kernels.random_uniform((2,), "int32", key()), TypeError, "float32 or float64; got int32"),
        (
            lambda: kernels.random_uniform((2,), "float32", key().astype("i8")),
            TypeError,
            "key must be an array of four",
        ),
        (lambda: kernels.random_uniform((2,), "float32", key()[:3]), TypeError, "key must be an array of four"),
        (lambda: kernels.random_uniform((2,), "float32", key(), 1.0, 0.0), ValueError, "low the smaller one"),
        (lambda: kernels.random_uniform((2,), "float32", key(), 0.0, np.inf), ValueError, "finite"),
        (lambda: kernels.random_normal((1 << 40, 1 << 40), "float32", key()), ValueError, "too large"),
        (lambda: kernels.dropout_forward(np.ones((2, 3)), 1.0, key()), ValueError, "less than 1; got 1.0"),
        (lambda: kernels.dropout_forward(np.ones((2, 3)), 0.5, key(), (2, 2)), ValueError, r"noise_shape.*\(2, 3\)"),
        (lambda: kernels.dropout_backward(np.ones(65), np.zeros(1, np.uint64), 0.5), ValueError, "a word for 64"),
    ],
)
def test_bad_input_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_key_that_cannot_advance():
    frozen = key()
    frozen.flags.writeable = False
    kernels.random_uniform((2,), "float32", frozen, advance=False)
    with pytest.raises(ValueError, match="key must be writable"):
        kernels.random_uniform((2,), "float32", frozen)
