"""Guards fastconv's own kernels against regressions, with pytest-benchmark; no peers, no checks of results.

Not part of the default test run, which has no timing. `pytest benchmarks --benchmark-autosave` stores a run, and
`pytest benchmarks --benchmark-compare --benchmark-compare-fail=median:10%` fails where a kernel became slower.
"""

import pytest

from benchmarks import data, shapes
from benchmarks.adapters.fastconv import Adapter
from fastconv import kernels

QUICK = {"min_rounds": 5, "max_time": 0.2, "warmup": True, "warmup_iterations": 2}
GUARDED_FUSED = ("mnist.conv1", "mnist.conv2")
GUARDED_POOLS = ("max.tutorial.1", "average.tutorial.1")


@pytest.fixture(scope="module")
def adapter():
    return Adapter(kernels.get_num_threads())


@pytest.fixture(scope="module", params=shapes.CONVS)
def conv(request, adapter):
    shape = shapes.CONVS[request.param]
    return adapter.conv(shape, [data.conv(shape, i) for i in range(data.RING)])


@pytest.fixture(scope="module", params=GUARDED_POOLS)
def pool(request, adapter):
    shape = shapes.POOLS[request.param]
    return adapter.pool(shape, [data.pool(shape, i) for i in range(data.RING)])


@pytest.mark.benchmark(**QUICK)
@pytest.mark.parametrize("what", ("forward", "backward"))
def test_conv(benchmark, conv, what):
    benchmark(conv[what][0], 0)


@pytest.mark.benchmark(**QUICK)
@pytest.mark.parametrize("what", ("forward", "backward"))
def test_pool(benchmark, pool, what):
    benchmark(pool[what][0], 0)


@pytest.mark.benchmark(**QUICK)
@pytest.mark.parametrize("name", GUARDED_FUSED)
@pytest.mark.parametrize("what", ("forward", "backward_input", "backward_kernel"))
def test_conv_pool(benchmark, name, what):
    x, kernel, _ = data.conv(shapes.CONVS[name], 0)
    y, index = kernels.conv_pool_forward(x, kernel)
    arguments = {
        "forward": (x, kernel),
        "backward_input": (y, index, kernel, x.shape),
        "backward_kernel": (y, index, x, kernel.shape),
    }
    benchmark(getattr(kernels, f"conv_pool_{what}"), *arguments[what])


@pytest.mark.benchmark(**QUICK)
def test_training_step(benchmark, adapter):
    training = adapter.training(data.weights())
    benchmark(training.step, training.batch(*data.batches(shapes.BATCH)[0]))


@pytest.mark.benchmark(**QUICK)
@pytest.mark.parametrize("size", shapes.INFERENCE_BATCHES.values())
def test_inference(benchmark, adapter, size):
    benchmark(adapter.inference(data.weights())["call"], data.batches(size)[0][0])
