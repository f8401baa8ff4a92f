"""The input pipeline: an epoch from arrays that need nothing, and one whose batches are made on the way, in one table.

Each framework runs in its own process and alternates the two, so that both meet the same machine. Contract: `python -m
benchmarks pipeline` prints a row for each network and framework: milliseconds a step from float arrays in memory, and
from bytes that are shuffled, flipped, cropped and scaled as they are asked for, by fastconv.data.Dataset or by PyTorch's
DataLoader (without workers or with as many as threads, whichever is quicker), and the median of the rounds' ratios, which
has to stay below LIMIT for fastconv. Without PyTorch the rows show fastconv alone. `python -m benchmarks.pipeline FRAMEWORK
THREADS ROUNDS QUICK ONLY` is such a process.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from . import ROOT
from .contestants import CONTESTANTS, interpreter
from .process import THREAD_VARIABLES

LIMIT = 1.05
CLASSES = 10


class Task(NamedTuple):
    shape: tuple[int, int, int]  # of what the network takes
    margin: int  # how many more rows and columns the stored images have, from which the crop is taken
    batch: int
    steps: int
    quick_steps: int


TASKS = {"fast preset": Task((28, 28, 1), 4, 128, 150, 80), "ResNet-18": Task((32, 32, 3), 8, 64, 8, 2)}


def made(task, steps):
    """(stored images as bytes, labels) of an epoch."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows, columns, channels = task.shape
    count = steps * task.batch
    images = rng.integers(0, 256, (count, rows + task.margin, columns + task.margin, channels), "uint8")
    return images, rng.integers(0, CLASSES, count)


def plain(task, images):
    """The same images as floats, all cropped in one place."""
    rows, columns, _ = task.shape
    return images[:, :rows, :columns].astype("float32") / 255


def ours(name, task, steps):
    """{way: a function that trains an epoch} of fastconv."""
    import fastconv
    from fastconv import Input, Sequential, layers
    from fastconv.data import Dataset

    from .adapters import keras_networks
    from .networks import NETWORKS

    images, y = made(task, steps)
    x = plain(task, images)
    if name == "ResNet-18":
        model = keras_networks.build(fastconv, NETWORKS["resnet18-32"], {})
    else:
        model = Sequential([Input(task.shape), layers.Conv2D(8, 5, activation="relu"), layers.MaxPooling2D(),
                            layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
                            layers.Dense(128, activation="relu"), layers.Dense(CLASSES)])  # fmt: skip
    model.compile("adam", fastconv.losses.SparseCategoricalCrossentropy(from_logits=True))
    change = Sequential([
        layers.RandomCrop(*task.shape[:2], dtype="uint8"), layers.RandomFlip("horizontal", dtype="uint8"),
        layers.Rescaling(1 / 255),
    ])  # fmt: skip
    dataset = Dataset.from_arrays((images, y)).shuffle().batch(task.batch)
    dataset = dataset.map(lambda x, y: (change(x, training=True), y)).prefetch(8)
    return {
        "arrays": lambda: model.fit(x, y, batch_size=task.batch, verbose=0),
        "pipeline": lambda: model.fit(dataset, verbose=0),
    }


def theirs(name, task, steps, threads):
    """The same of PyTorch; ImportError without it."""
    import torch
    from torch.utils.data import DataLoader

    images, y = made(task, steps)
    labels = torch.from_numpy(y)
    x = torch.from_numpy(plain(task, images)).permute(0, 3, 1, 2).contiguous()
    stored = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    if name == "ResNet-18":
        from .adapters.torch_networks import Walk
        from .networks import NETWORKS

        model = Walk(NETWORKS["resnet18-32"], {})
    else:
        nn = torch.nn
        model = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.ReLU(),
                              nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 128), nn.ReLU(),
                              nn.Linear(128, CLASSES))  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters())

    def epoch(batches):
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    def in_memory():
        order = torch.randperm(len(x))
        return ((x[rows], labels[rows]) for rows in order.split(task.batch))

    loaders = [
        DataLoader(
            Changed(stored, labels, task), task.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        for workers in (0, threads)
    ]
    return {
        "arrays": lambda: epoch(in_memory()),
        "pipeline": lambda: epoch(loaders[0]),
        "pipeline with workers": lambda: epoch(loaders[1]),
    }


class Changed:
    """A map-style data set, as DataLoader wants one: image i flipped, cropped and scaled."""

    def __init__(self, stored, labels, task):
        self.stored, self.labels, self.task = stored, labels, task

    def __len__(self):
        return len(self.stored)

    def __getitem__(self, i):
        import torch

        rows, columns, _ = self.task.shape
        flip, top, left = torch.randint(0, self.task.margin + 1, (3,)).tolist()
        image = self.stored[i, :, top : top + rows, left : left + columns]
        return (image.flip(-1) if flip % 2 else image).float() / 255, self.labels[i]


def worker(framework, threads, rounds, quick, only):
    """{"network, way": seconds a step in each round} of one framework."""
    if framework == "torch":
        import torch

        torch.set_num_threads(threads)
    else:
        import fastconv

        fastconv.set_num_threads(threads)
    found = {}
    for name, task in TASKS.items():
        if not re.search(only, name):
            continue
        steps = task.quick_steps if quick else task.steps
        runs = ours(name, task, steps) if framework == "fastconv" else theirs(name, task, steps, threads)
        times = {way: [] for way in runs}
        for turn in range(rounds + 1):  # the first warms up
            for way, run in runs.items():
                before = time.perf_counter()
                run()
                if turn:
                    times[way].append((time.perf_counter() - before) / steps)
        found |= {f"{name}, {way}": seconds for way, seconds in times.items()}
    return found


def measure(settings, quick):
    """{framework: {row: seconds in each round}}; nothing of a framework that is not there."""
    found = {}
    for framework in ("fastconv", "torch"):
        command = [interpreter(CONTESTANTS[framework], settings.pythons), "-m", "benchmarks.pipeline", framework,
                   str(settings.threads), str(settings.rounds), str(int(quick)), settings.only.pattern if settings.only else ""]  # fmt: skip
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(settings.threads))}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            found[framework] = json.loads(done.stdout.splitlines()[-1])
        elif framework == "fastconv":
            raise RuntimeError(done.stderr)
    return found


def main(settings, quick):
    """Prints the table."""
    found = measure(settings, quick)
    print(f"{'milliseconds a step':38s}    arrays  pipeline   ratio")
    for name in (name for name in TASKS if f"{name}, arrays" in found["fastconv"]):
        for framework, rows in found.items():
            arrays = rows[f"{name}, arrays"]
            ways = [seconds for row, seconds in rows.items() if row.startswith(f"{name}, pipeline")]
            made = min(ways, key=statistics.median)
            ratio = statistics.median(one / other for one, other in zip(made, arrays))
            label = {"fastconv": "fastconv, Dataset", "torch": "PyTorch, DataLoader"}[framework]
            line = f"{f'{name}: {label}':38s}  " + "  ".join(
                f"{statistics.median(s) * 1e3:8.2f}" for s in (arrays, made)
            )
            verdict = f"  at most {LIMIT}: {'yes' if ratio <= LIMIT else 'no'}" if framework == "fastconv" else ""
            print(f"{line}  {ratio:6.3f}{verdict}")
    if "torch" not in found:
        print("\nNo PyTorch in the interpreter of `torch`: --python torch=PATH names another.")


if __name__ == "__main__":
    print(json.dumps(worker(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1", sys.argv[5])))
