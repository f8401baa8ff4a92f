"""fastconv itself: kernels on plain arrays for convolution, pooling and dense layers, the public models for the networks.

Contract: see adapters/__init__.py. Option `precision`: "fast" or "exact", for fastconv.set_precision. Weights of a
convolution are plain arrays, so nothing is cached between calls.
"""

import contextlib
import importlib
import inspect
import pathlib
import time

import numpy as np

import fastconv
from fastconv import kernels

from . import keras_layers, keras_networks
from .keras import Training, network


class Adapter:
    def __init__(self, threads, precision=None):
        kernels.set_num_threads(threads)
        if precision is not None:
            if not hasattr(fastconv, "set_precision"):
                raise NotImplementedError("this fastconv has no set_precision: all of its algorithms are direct")
            fastconv.set_precision(precision)

    def versions(self):
        build = kernels.build_info()
        return {"fastconv": fastconv.__version__, "ISA": build["isa"], "compiler": build["compiler"]}

    def conv(self, shape, ring):
        geometry = {
            "strides": shape.stride, "padding": shape.padding, "dilation_rate": shape.dilation, "groups": shape.groups
        }  # fmt: skip

        def forward(i):
            x, kernel, _ = ring[i % len(ring)]
            return (kernels.conv_forward(x, kernel, **geometry),)

        def backward(i):
            x, kernel, dy = ring[i % len(ring)]
            dkernel = kernels.conv_backward_kernel(dy, x, kernel.shape, **geometry)
            if not shape.input_gradient:
                return (dkernel,)
            return kernels.conv_backward_input(dy, kernel, x.shape, **geometry), dkernel

        return _passes(forward, backward)

    def pool(self, shape, ring):
        if shape.kind == "average":
            return _passes(
                lambda i: (kernels.average_pool_forward(ring[i % len(ring)][0], 2),),
                lambda i: (kernels.average_pool_backward(ring[i % len(ring)][1], shape.x_shape, 2),),
            )
        indices = [kernels.max_pool_forward(x, 2)[1] for x, _ in ring]

        def forward(i):
            return kernels.max_pool_forward(ring[i % len(ring)][0], 2)[:1]

        def backward(i, index=None):
            index = indices[i % len(ring)] if index is None else index
            return (kernels.max_pool_backward(ring[i % len(ring)][1], index, shape.x_shape, 2),)

        def both(i):
            y, index = kernels.max_pool_forward(ring[i % len(ring)][0], 2)
            return y, *backward(i, index)

        return {"forward": (forward, _same), "backward": (backward, _same), "both": (both, _same)}

    def dense(self, shape, ring):
        def forward(i):
            return kernels.dense_forward(*ring[i % len(ring)][:2])

        def input_gradient(i):
            _, kernel, dy = ring[i % len(ring)]
            return kernels.dense_backward_input(dy, kernel)

        def kernel_gradient(i):
            x, _, dy = ring[i % len(ring)]
            return kernels.dense_backward_kernel(dy, x)

        return {"forward": (forward, _tuple), "input": (input_gradient, _tuple), "kernel": (kernel_gradient, _tuple)}

    def layer(self, row, weights, ring):
        return keras_layers.of_fastconv(fastconv, row, weights, ring)

    def training(self, weights):
        return Training(fastconv, network(fastconv, weights))

    def inference(self, weights):
        model = network(fastconv, weights)

        @fastconv.no_grad()
        def call(images):
            return model(images).numpy()

        return {"call": call, "predict": lambda images: model.predict(images, batch_size=len(images))}

    def native(self, x):
        return x

    def network_training(self, network, weights, ring):
        return keras_networks.training(fastconv, network, weights, ring)

    def network_inference(self, network, weights):
        model = keras_networks.build(fastconv, network, weights)

        @fastconv.no_grad()
        def call(x):
            return model(x).numpy()

        return call, _same

    @contextlib.contextmanager
    def kernel_clock(self):
        """Within it the list that it gives collects the seconds of every call into the compiled kernels, and of every
        replay of a plan that was made within it.

        What a step takes beyond their sum is Python: checks, the tape, layers, the trainer, memory, and these clocks.
        """
        spent, originals = [], [(kernels, "Plan", kernels.Plan)]

        class ClockedPlan(kernels.Plan):
            replay = _clocked(kernels.Plan.replay, spent)

        for module in _compiled_kernels():
            for name, function in vars(module).items():
                if inspect.isroutine(function) and not name.startswith("_"):
                    originals.append((module, name, function))
        for module, name, function in originals:
            setattr(module, name, ClockedPlan if name == "Plan" else _clocked(function, spent))
        try:
            yield spent
        finally:
            for module, name, function in originals:
                setattr(module, name, function)

    def read(self, result):
        for array in _tuple(result):
            float(array[(-1,) * np.ndim(array)] if np.ndim(array) else array)


def _compiled_kernels():
    """The extension modules with kernels in them; those of memory and of threads count as overhead."""
    folder = pathlib.Path(kernels.__file__).parent
    names = {path.name.partition(".")[0] for path in folder.glob("_*.so")} - {"_memory", "_tiles"}
    return [importlib.import_module(f"fastconv.kernels.{name}") for name in sorted(names)]


def _clocked(function, spent):
    def call(*arguments, **options):
        start = time.perf_counter()
        result = function(*arguments, **options)
        spent.append(time.perf_counter() - start)
        return result

    return call


def _passes(forward, backward):
    def both(i):
        return *forward(i), *backward(i)

    return {"forward": (forward, _same), "backward": (backward, _same), "both": (both, _same)}


def _tuple(result):
    return result if isinstance(result, tuple) else (result,)


def _same(result):
    return result
