"""The caching allocator: reuse, lifetime, the limit, threads, interpreter exit."""

import gc
import sys
import threading

import numpy as np
import pytest
from helpers import python

from fastconv import empty_cache, kernels
from fastconv.callbacks import Callback
from fastconv.kernels import _memory


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def clean():
    gc.collect()
    empty_cache()
    yield
    _memory.set_cache_limit(1 << 30)


def test_a_block_is_reused_when_the_last_array_on_it_has_died():
    x = kernels.empty((1000, 1000), np.float32)
    view, at = x[10:20].T, address(x)
    del x
    assert address(kernels.empty((1000, 1000), np.float32)) != at  # the view still lives on the block
    del view
    assert address(kernels.empty((1000, 999), np.float32)) == at  # the same size class


def test_the_block_is_the_base_object_and_aligned():
    for shape in [(), (0, 3), (1,), (17, 5), (1000, 1000)]:
        x = kernels.empty(shape, np.float64)
        assert x.shape == shape and isinstance(x.base, _memory.Block) and address(x) % 64 == 0
        assert x.flags.c_contiguous and x.flags.writeable
        x[...] = 1


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 575, 576, 577, 1023, 1024, 1025, 8191, 12345, 10**6, 10**7 + 1])
def test_blocks_hold_their_size_and_little_more(size):
    _memory.Block(size)
    assert max(size, 512) <= kernels.cached_bytes() <= max(512, size * 9 / 8 + 64)


def test_empty_cache_frees_and_live_arrays_stay():
    x, y = kernels.empty((10**6,), np.float32), kernels.empty((10**6,), np.float32)
    x.fill(3)
    del y
    assert kernels.cached_bytes() >= 4 * 10**6
    empty_cache()
    assert kernels.cached_bytes() == 0 and (x == 3).all()


def test_the_lists_never_hold_more_than_their_limit():
    _memory.set_cache_limit(3 * 10**6)
    arrays = [kernels.empty((250_000,), np.float32) for _ in range(10)]
    del arrays
    assert 0 < kernels.cached_bytes() <= 3 * 10**6


MIB = 1 << 20


def test_arrays_of_any_sizes_share_memory():
    """What two small arrays leave side by side serves one large array; the rest of a large one serves small ones."""
    a, b, c = (kernels.empty((MIB,), np.uint8) for _ in range(3))
    at, before = address(a), kernels.cached_bytes()
    del a, b
    large = kernels.empty((2 * MIB,), np.uint8)
    assert address(large) == at and kernels.cached_bytes() <= before + 64
    del large
    assert [address(kernels.empty((size,), np.uint8)) for size in (MIB // 2, MIB)] == [at, at]
    assert len(c) == MIB


@pytest.mark.parametrize("pooled", [False, True])
def test_no_two_arrays_overlap(pooled):
    rng, held, pool = np.random.default_rng(0), [], _memory.Pool()
    assert not pooled or pool.enter()
    try:
        for turn in range(3000):
            array = kernels.empty((int(2 ** rng.uniform(0, 21)),), np.uint8)
            array[[0, -1]] = turn % 251
            held.append((turn % 251, array))
            if len(held) > 30:
                mark, array = held.pop(int(rng.integers(30)))
                assert array[0] == array[-1] == mark
                del array
    finally:
        pool.leave()
    assert all(array[0] == array[-1] == mark for mark, array in held)


def test_a_pool_takes_what_is_alive_at_once_and_gives_it_back():
    pool = _memory.Pool()
    pool.enter()
    for size in (1, 3, 2, 5, 4):  # MiB; each is dead before the next one
        kernels.empty((size * MIB,), np.uint8)
    pool.leave()
    assert 5 * MIB <= pool.bytes <= 5 * MIB + 1000
    before = kernels.cached_bytes()
    del pool
    assert kernels.cached_bytes() - before >= 5 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_limited_address_spaces_are_served_from_lists():
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)); from fastconv import kernels;"
        "x = kernels.empty((1 << 20,), 'f4'); x.fill(1); at = x.ctypes.data; del x;"
        "assert kernels.cached_bytes() >= 4 << 20 and kernels.empty((1 << 20,), 'f4').ctypes.data == at"
    )
    done = python("-c", program)
    assert done.returncode == 0, done.stderr


def test_impossible_sizes_raise():
    with pytest.raises(ValueError, match="too large"):
        kernels.empty((2**40, 2**30), np.float32)
    with pytest.raises(MemoryError):
        kernels.empty((2**50,), np.float32)


def test_threads_share_it_safely():
    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            array = kernels.empty((int(rng.integers(1, 5000)),), np.float64)
            array.fill(seed)
            held.append(array[1:])
            good.append((array == seed).all())
            if len(held) > 20:
                held.pop(0)

    held, good = [], []
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(good) == 2400 and all(good)


def test_arrays_may_die_at_interpreter_exit():
    program = "import fastconv, builtins; builtins.kept = [fastconv.kernels.empty((n, 9), 'f4') for n in range(99)]"
    assert python("-c", program).returncode == 0


def test_blocks_for_sanitizers_are_exact_and_fresh():
    program = (
        "from fastconv import kernels; x = kernels.empty((100,), 'f4'); assert x.tobytes() == b'\\xff' * 400; x.fill(0);"
        "del x; assert kernels.cached_bytes() == 0 and kernels.empty((100,), 'f4').tobytes() == b'\\xff' * 400"
    )
    done = python("-c", program, FASTCONV_EXACT_BLOCKS="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="counts page faults with getrusage")
def test_a_steady_training_step_touches_no_fresh_page():
    from resource import RUSAGE_SELF, getrusage

    from fastconv import layers, models

    class Count(Callback):
        def on_train_batch_end(self, batch, logs=None):
            faults.append(getrusage(RUSAGE_SELF).ru_minflt)

    faults = []
    model = models.Sequential([
        layers.Conv2D(16, 5, activation="relu", input_shape=(28, 28, 1)), layers.MaxPooling2D(2), layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.random((1200, 28, 28, 1), np.float32), np.eye(10)[rng.integers(0, 10, 1200)]
    model.fit(x, y, batch_size=40, verbose=0, callbacks=[Count()])
    assert np.median(np.diff(faults)[10:]) == 0
