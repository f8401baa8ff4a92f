"""PyTorch eager on the CPU, in either memory format, and torch.compile.

Contract: see adapters/__init__.py. Options: `channels_last` (2D and 3D only; inputs and weights are in that format
before the clock starts), `compile` (the network through torch.compile). Backward passes call the same ATen operators
that autograd calls, without the tape's overhead; the training step is the usual eager loop.
"""

import os
import shutil

import torch
import torch.nn.functional as F

from .. import data, shapes
from . import torch_layers
from .torch_networks import Walk

aten = torch.ops.aten
CONVS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by the number of axes


class Adapter:
    def __init__(self, threads, channels_last=False, compile=False):
        if compile and not shutil.which(os.environ.get("CXX", "g++")):
            raise NotImplementedError("torch.compile needs a C++ compiler (g++, or the one that CXX names)")
        torch.set_num_threads(threads)
        self.channels_last = channels_last
        self.compile = compile

    def versions(self):
        return {"torch": torch.__version__}

    def conv(self, shape, ring):
        self._check_format(shape)
        rank = len(shape.spatial)
        native = [(self._first(x), self._kernel(kernel), self._first(dy)) for x, kernel, dy in ring]
        stride, padding, dilation = [shape.stride] * rank, [shape.padding] * rank, [shape.dilation] * rank
        wanted = (shape.input_gradient, True, False)

        @torch.no_grad()
        def forward(i):
            x, kernel, _ = native[i % len(native)]
            return (CONVS[rank](x, kernel, None, stride, padding, dilation, shape.groups),)

        @torch.no_grad()
        def backward(i):
            x, kernel, dy = native[i % len(native)]
            gradients = aten.convolution_backward(
                dy, x, kernel, None, stride, padding, dilation, False, [0] * rank, shape.groups, wanted
            )
            return tuple(gradient for gradient in gradients if gradient is not None)

        def both(i):
            return *forward(i), *backward(i)

        return {
            "forward": (forward, lambda result: (_last(result[0]),)),
            "backward": (backward, lambda result: (*map(_last, result[:-1]), _taps_first(result[-1]))),
            "both": (both, lambda result: (*map(_last, result[:-1]), _taps_first(result[-1]))),
        }

    def pool(self, shape, ring):
        self._check_format(shape)
        rank = len(shape.spatial)
        native = [(self._first(x), self._first(dy)) for x, dy in ring]
        forward_op, backward_op = (_max_pool if shape.kind == "max" else _average_pool)(rank)
        saved = [forward_op(x)[1:] for x, _ in native]

        @torch.no_grad()
        def forward(i):
            return forward_op(native[i % len(native)][0])[:1]

        @torch.no_grad()
        def backward(i):
            x, dy = native[i % len(native)]
            return (backward_op(dy, x, *saved[i % len(native)]),)

        @torch.no_grad()
        def both(i):
            x, dy = native[i % len(native)]
            y, *index = forward_op(x)
            return y, backward_op(dy, x, *index)

        def arrays(result):
            return tuple(map(_last, result))

        return {"forward": (forward, arrays), "backward": (backward, arrays), "both": (both, arrays)}

    def dense(self, shape, ring):
        """Linear and what its gradients are; its weight is (filters, channels)."""
        if self.channels_last:
            raise NotImplementedError("a dense layer has no memory format")
        native = [
            (torch.from_numpy(x), torch.from_numpy(kernel.T.copy()), torch.from_numpy(dy)) for x, kernel, dy in ring
        ]

        @torch.no_grad()
        def forward(i):
            return F.linear(*native[i % len(native)][:2])

        @torch.no_grad()
        def input_gradient(i):
            _, weight, dy = native[i % len(native)]
            return dy.mm(weight)

        @torch.no_grad()
        def kernel_gradient(i):
            x, _, dy = native[i % len(native)]
            return dy.t().mm(x)

        return {
            "forward": (forward, lambda y: (y.numpy(),)),
            "input": (input_gradient, lambda dx: (dx.numpy(),)),
            "kernel": (kernel_gradient, lambda dweight: (dweight.numpy().T,)),
        }

    def layer(self, row, weights, ring):
        plain = row.kind in torch_layers.CHANNELS_LAST_ROWS
        if self.channels_last and (plain or len(row.shapes[0]) not in FORMATS):
            raise NotImplementedError("this layer has no memory format")
        call, parameters = torch_layers.function(row, weights)
        bring = (
            torch.from_numpy
            if plain
            else lambda array: self._first(array) if array.ndim > 2 else torch.from_numpy(array)
        )
        if row.kind == "Permute":
            bring = lambda array: torch.from_numpy(array).movedim(-1, 1) if len(array.shape) == 4 else None  # noqa: E731
        ring = [([bring(part) for part in x], dy) for x, dy in ring]
        shape = call(False, *ring[0][0]).shape
        ring = [(x, self._gradient(row, dy, shape, bring)) for x, dy in ring]

        @torch.inference_mode()
        def inference(i):
            return (call(False, *ring[i % len(ring)][0]),)

        def training(i):
            x, dy = ring[i % len(ring)]
            if row.differentiable:
                x = [part.detach().requires_grad_() for part in x]
            y = call(True, *x)
            return (y, *torch.autograd.grad(y, [*(x if row.differentiable else []), *parameters], dy))

        def arrays(result):
            return torch_layers.arrays(row, result)

        return {"inference": (inference, arrays), "training": (training, arrays)}

    def _gradient(self, row, dy, shape, bring):
        if row.kind == "Flatten":  # Keras' order of the features is another
            size = row.shapes[0]
            return self._first(dy.reshape(size)).contiguous().flatten(1)
        return torch.from_numpy(dy) if row.kind == "Permute" or dy.ndim == 2 else bring(dy)

    def training(self, weights):
        return Training(self, self._network(weights))

    def inference(self, weights):
        network = self._network(weights)

        @torch.inference_mode()
        def call(images):
            return torch.softmax(network(self.images(images)), dim=1).numpy()

        return {"call": call}

    def native(self, x):
        if self.channels_last and x.ndim == 3:
            raise NotImplementedError("PyTorch has no channels_last format in 1D")
        return self._first(x)

    def network_training(self, network, weights, ring):
        module = self._walk(network, weights).train()
        optimizer = torch.optim.SGD(module.parameters(), lr=network.learning_rate)
        ring = [(x, torch.from_numpy(labels)) for x, labels in ring]

        def run(i):
            x, labels = ring[i % len(ring)]
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(module(x), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        return run

    def network_inference(self, network, weights):
        module = self._walk(network, weights).eval()

        @torch.inference_mode()
        def call(x):
            return module(x)

        return call, _last

    def _walk(self, network, weights):
        module = Walk(network, weights)
        if self.channels_last:
            module = module.to(memory_format=FORMATS[network.rank + 2])
        return torch.compile(module, dynamic=False) if self.compile else module

    def read(self, result):
        for tensor in result if isinstance(result, tuple) else (result,):
            float(tensor[(-1,) * tensor.ndim] if hasattr(tensor, "ndim") else tensor)

    def images(self, images):
        """(N, 28, 28, 1) -> (N, 1, 28, 28): the same bytes, as there is one channel."""
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
        return tensor if self.channels_last else tensor.contiguous()

    def _network(self, weights):
        network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 32, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(32, 64, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Flatten(), torch.nn.Linear(1024, shapes.CLASSES),
        )  # fmt: skip
        native = dict(weights)
        native["dense.kernel"] = data.dense_kernel_channels_first(weights["dense.kernel"])
        with torch.no_grad():
            for parameter, array in zip(network.parameters(), native.values()):
                axes = (array.ndim - 1, array.ndim - 2, *range(array.ndim - 2)) if array.ndim > 1 else (0,)
                parameter.copy_(torch.from_numpy(array).permute(axes))
        if self.channels_last:
            network = network.to(memory_format=torch.channels_last)
        return torch.compile(network) if self.compile else network

    def _check_format(self, shape):
        if self.channels_last and len(shape.spatial) == 1:
            raise NotImplementedError("PyTorch has no channels_last format in 1D")

    def _first(self, array):
        """(N, *spatial, C) -> (N, C, *spatial) in this contestant's memory format."""
        tensor = torch.from_numpy(array).movedim(-1, 1)
        return tensor.contiguous(memory_format=self._format(tensor))

    def _kernel(self, array):
        """(*taps, C, K) -> (K, C, *taps)."""
        tensor = torch.from_numpy(array).permute(array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
        return tensor.contiguous(memory_format=self._format(tensor))

    def _format(self, tensor):
        return FORMATS[tensor.ndim] if self.channels_last else torch.contiguous_format


class Training:
    """The eager loop of PyTorch's tutorials."""

    def __init__(self, adapter, network):
        self.adapter, self.network = adapter, network
        self.optimizer = torch.optim.SGD(network.parameters(), lr=shapes.LEARNING_RATE)

    def batch(self, images, labels):
        return self.adapter.images(images), torch.from_numpy(labels)

    def step(self, batch):
        images, labels = batch
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.network(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def epoch(self, images, labels):
        images, labels = self.batch(images, labels)
        for chosen in torch.randperm(len(images)).split(shapes.BATCH):
            self.step((images[chosen], labels[chosen]))


def _max_pool(rank):
    """(x -> (y, index), (dy, x, index) -> dx) with window 2."""
    forward = {2: aten.max_pool2d_with_indices, 3: aten.max_pool3d_with_indices}[rank]
    backward = {2: aten.max_pool2d_with_indices_backward, 3: aten.max_pool3d_with_indices_backward}[rank]
    two, zero, one = [2] * rank, [0] * rank, [1] * rank
    return (
        lambda x: forward(x, two, two, zero, one, False),
        lambda dy, x, index: backward(dy, x, two, two, zero, one, False, index),
    )


def _average_pool(rank):
    """(x -> (y,), (dy, x) -> dx) with window 2."""
    forward = {2: aten.avg_pool2d, 3: aten.avg_pool3d}[rank]
    backward = {2: aten.avg_pool2d_backward, 3: aten.avg_pool3d_backward}[rank]
    two, zero = [2] * rank, [0] * rank
    return lambda x: (forward(x, two, two),), lambda dy, x: backward(dy, x, two, two, zero, False, True, None)


def _last(tensor):
    return tensor.movedim(1, -1).numpy()


def _taps_first(tensor):
    return tensor.permute(*range(2, tensor.ndim), 1, 0).numpy()
