"""One contestant's process: `python -m benchmarks.worker NAME THREADS`, driven by JSON lines over stdin and stdout.

It knows no framework (adapters/ do) and compares with no peer. Contract: it first answers {"versions": {...}} or
{"missing": why}; then each line asks for one thing and gets one answer line:
  {"do": "prepare", "suite", "task", "reference": path}   -> {pass: {"error": float} | {"failed": why}}; of a whole
                                                             network also "memory": {"data", "loaded", "peak": bytes}
  {"do": "time", "what": pass, "seconds", "least": calls}      -> {"seconds": [one a call]}
  {"do": "epoch"} -> {"seconds": float}      {"do": "memory"} -> {"data", "loaded", "peak": bytes}
  {"do": "habits"}                           -> {"faults": a step, "outside": share of a step outside the kernels}
A pass whose result differs from the reference has failed, and cannot be timed. Whatever frameworks print goes to
stderr. It ends when stdin does, and is killed with its parent.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import math
import os
import resource
import signal
import sys
import time

import numpy as np

from . import checks, data, layers, networks, shapes
from .contestants import CONTESTANTS

MAX_CALLS = 2000  # in one round
PR_SET_PDEATHSIG = 1
HABIT_STEPS = 30  # to warm up, and then to count over
LOADED_BYTES = 10_000 * 28 * 28 * 4  # MNIST's test images as float32


def main(name, threads):
    """Serve until stdin ends."""
    answers = _private_stdout()
    _age_heap()
    contestant = CONTESTANTS[name]
    try:
        adapter = importlib.import_module(f"benchmarks.adapters.{contestant.adapter}")
        adapter = adapter.Adapter(int(threads), **contestant.options)
    except (ImportError, NotImplementedError) as error:
        return _answer(answers, {"missing": str(error).splitlines()[0]})
    _answer(answers, {"versions": adapter.versions()})
    worker = Worker(adapter)
    for line in sys.stdin:
        request = json.loads(line)
        _answer(answers, getattr(worker, request.pop("do"))(**request))


class Worker:
    """The requests: one method each."""

    def __init__(self, adapter):
        self.adapter = adapter
        self.passes = {}
        self.repeats = 1  # calls that are timed as one
        self.turn = 0  # which input of the ring comes next; never starts over

    def prepare(self, suite, task, reference):
        self.passes, self.repeats = {}, 1  # frees the arrays of the task before
        with np.load(reference) as file:
            expected = {key: file[key] for key in file}
        report, self.memory_before, deep = {}, None, suite.startswith("networks")
        try:
            passes = getattr(self, "_" + suite.replace("-", "_"))(task)
        except Exception as error:  # whatever a framework raises for what it cannot do
            return {what: {"failed": _line(error)} for what in checks.passes(expected)}
        for what, (run, arrays) in passes.items():
            try:
                report[what] = {"error": checks.compare(expected, what, run, arrays, deep)}
                if self.memory_before:
                    self.adapter.read(run(self._next()))
                    report[what]["memory"] = {**self.memory_before, "peak": _memory("VmHWM")}
                self.passes[what] = run
            except Exception as error:
                report[what] = {"failed": _line(error)}
        return report

    def time(self, what, seconds, least):
        run, read = self.passes[what], self.adapter.read
        for _ in range(min(2, least)):  # wakes the threads and the caches
            read(run(self._next()))
        spent = []
        total = 0.0
        while len(spent) < least or (total < seconds and len(spent) < MAX_CALLS):
            turns = [self._next() for _ in range(self.repeats)]
            start = time.perf_counter()
            for i in turns:
                result = run(i)
            read(result)
            spent.append((time.perf_counter() - start) / self.repeats)
            total += spent[-1] * self.repeats
            del result
        return {"seconds": spent}

    def epoch(self):
        images, labels = data.full_size_digits()
        training = self.adapter.training(data.weights())
        training.epoch(images[: 10 * shapes.BATCH], labels[: 10 * shapes.BATCH])  # warm-up, or compilation
        start = time.perf_counter()
        training.epoch(images, labels)
        return {"seconds": time.perf_counter() - start}

    def habits(self):
        """Page faults of a training step in steady state, and for fastconv the time that its Python takes."""
        training = self.adapter.training(data.weights())
        ring = [training.batch(*batch) for batch in data.batches(shapes.BATCH)]

        def steps():
            start = time.perf_counter()
            for i in range(HABIT_STEPS):
                training.step(ring[i % len(ring)])
            return time.perf_counter() - start

        steps()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        steps()
        answer = {"faults": (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / HABIT_STEPS}
        if hasattr(self.adapter, "kernel_clock"):
            with self.adapter.kernel_clock() as spent:
                training = self.adapter.training(data.weights())
                steps()
                spent.clear()
                total = steps()
            answer["outside"] = 1 - sum(spent) / total
        return answer

    def memory(self):
        images, labels = data.full_size_digits()
        loaded = _memory("VmRSS")
        share = 60 * shapes.BATCH
        self.adapter.training(data.weights()).epoch(images[:share], labels[:share])
        return {"data": images.nbytes + labels.nbytes, "loaded": loaded, "peak": _memory("VmHWM")}

    def _next(self):
        self.turn += 1
        return self.turn

    def _conv(self, task):
        shape = shapes.CONVS[task]
        return self.adapter.conv(shape, [data.conv(shape, i) for i in range(data.RING)])

    def _pool(self, task):
        shape = shapes.POOLS[task]
        return self.adapter.pool(shape, [data.pool(shape, i) for i in range(data.RING)])

    def _dense(self, task):
        shape = shapes.DENSES[task]
        self.repeats = shape.repeats
        ring = data.RING if shape.channels * shape.filters < 1 << 25 else 1
        return self.adapter.dense(shape, [data.dense(shape, i) for i in range(ring)])

    def _layers(self, task):
        row = layers.LAYERS[task]
        return self.adapter.layer(row, data.layer_weights(row), [data.layer(row, i) for i in range(data.RING)])

    def _train(self, task):
        training = self.adapter.training(data.weights())
        ring = [training.batch(*batch) for batch in data.batches(shapes.BATCH)]
        return {"step": (lambda i: training.step(ring[i % len(ring)]), lambda loss: (np.array(loss),))}

    def _networks_train(self, task):
        network, native = networks.NETWORKS[task], self.adapter.native
        batches = (data.network_batch(network, network.batch, i) for i in range(data.RING))
        ring = [(native(x), labels) for x, labels in batches]
        with self._memory_of_running(network, len(ring) * network.batch):
            run = self.adapter.network_training(network, data.network_weights(network), ring)
        return {"step": (run, lambda loss: (np.array(loss),))}

    def _networks_infer(self, task):
        """Smaller batches first, as the peak of memory never falls."""
        network, native, sizes = networks.NETWORKS[task], self.adapter.native, networks.INFERENCE_BATCHES
        rings = {size: [native(data.network_batch(network, size, i)[0]) for i in range(data.RING)] for size in sizes}
        with self._memory_of_running(network, data.RING * sum(sizes)):
            call, arrays = self.adapter.network_inference(network, data.network_weights(network))
        return {f"batch {size}": (_over(ring, call), lambda y: (data.ends(arrays(y)),)) for size, ring in rings.items()}

    @contextlib.contextmanager
    def _memory_of_running(self, network, samples):
        """Around the making of a network: its peak does not count, as some make it from a file, some from arrays."""
        size = 4 * samples * math.prod(network.input.shape)
        self.memory_before = {"data": size, "loaded": _memory("VmRSS")}
        yield
        gc.collect()
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # VmHWM starts anew

    def _infer(self, task):
        passes = self.adapter.inference(data.weights())
        ring = [images for images, _ in data.batches(shapes.INFERENCE_BATCHES[task])]
        return {what: (_over(ring, run), lambda result: (np.asarray(result),)) for what, run in passes.items()}


def _over(ring, run):
    return lambda i: run(ring[i % len(ring)])


def _age_heap():
    """Free one block of the size that loading MNIST frees, before anything else.

    glibc's malloc raises its thresholds by it and from then on keeps freed activations for the next step, as it does
    in a real training program. In a heap that never saw one, PyTorch's step meets 5,000 page faults and takes 1.4
    times as long: not a figure to compare with.
    """
    np.ones(LOADED_BYTES, np.uint8)


def _memory(field):
    """Bytes, from /proc: VmRSS now, VmHWM at the highest."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def _private_stdout():
    """The real stdout as a file for answers; file descriptor 1 becomes stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _answer(file, message):
    file.write(json.dumps(message) + "\n")
    file.flush()


def _line(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


if __name__ == "__main__":
    if sys.platform == "linux":  # a stopped worker could not notice that its parent is gone
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    main(*sys.argv[1:])
