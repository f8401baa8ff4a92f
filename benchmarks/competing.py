"""Training beside programs that want the processors: what threads that wait for one another cost there.

It starts its own load and its own trainings, each a process. Contract: `python -m benchmarks competing` prints the time of
one training on an idle machine and beside a busy loop on each processor, with one thread and with all, and of four
trainings at once, as ratios to one thread's; rounds are interleaved, and the CPU is named.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

PROGRAM = """
import json, sys, time
import numpy as np
import fastconv
from fastconv import layers
threads, seconds = int(sys.argv[1]), float(sys.argv[2])
fastconv.set_num_threads(threads)
model = fastconv.Sequential([
    layers.Input((28, 28, 1)), layers.Conv2D(32, 5, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(64, 5, activation="relu"),
    layers.MaxPooling2D(), layers.Flatten(), layers.Dense(10, activation="softmax")])
model.compile("sgd", "categorical_crossentropy")
draw = np.random.default_rng(0)
x, y = draw.random((100, 28, 28, 1), dtype="float32"), np.eye(10, dtype="float32")[draw.integers(0, 10, 100)]
for _ in range(5):
    model.train_on_batch(x, y)
print("ready", flush=True)
sys.stdin.readline()
start, steps = time.perf_counter(), 0
while time.perf_counter() - start < seconds:
    model.train_on_batch(x, y)
    steps += 1
print(json.dumps((time.perf_counter() - start) / steps))
"""
BUSY = "while True: pass"


def step_times(threads: int, trainings: int, seconds: float) -> list[float]:
    """Seconds a step of each of several trainings that run at once."""
    command = [sys.executable, "-c", PROGRAM, str(threads), str(seconds)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(trainings)
    ]
    for process in running:
        process.stdout.readline()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate()[0]) for process in running]


def main(rounds: int = 3, seconds: float = 3.0) -> None:
    """Prints the table."""
    processors = len(os.sched_getaffinity(0))
    rows = {
        "idle machine": (0, 1),
        "beside a busy loop on each processor": (processors, 1),
        "four trainings at once": (0, 4),
    }
    found = {name: [] for name in rows}
    for _ in range(rounds):
        for name, (loops, trainings) in rows.items():
            load = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(loops)]
            try:
                one, many = (statistics.mean(step_times(threads, trainings, seconds)) for threads in (1, processors))
            finally:
                for process in load:
                    process.kill()
                    process.wait()
            found[name].append((one, many))
    print(f"{'tutorial training step':40s}  one thread  {processors} threads  ratio  rounds")
    for name, pairs in found.items():
        ratios = sorted(many / one for one, many in pairs)
        one, many = (statistics.median(column) * 1e3 for column in zip(*pairs))
        print(
            f"{name:40s}  {one:7.1f} ms  {many:6.1f} ms  {statistics.median(ratios):5.2f}  {ratios[0]:.2f}..{ratios[-1]:.2f}"
        )
