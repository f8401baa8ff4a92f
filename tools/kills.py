"""Kills processes that save: threads of one or two children save to one path, over and over, until SIGKILL.

It knows models and files, and none of the package's insides. Contract: after a kill the path holds all of one save,
with the mode that it had; no save in a child raises, also where another child was killed; and one more save leaves no
other file in the folder. The seed draws the moments of the kills; what they hit is up to the machine.
"""

from __future__ import annotations

import os
import random
import select
import signal
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from fastconv import Sequential, layers, models
from tools.report import Report, arguments

LONGEST = 0.03  # seconds from a child's first save to its kill; a save takes a few milliseconds
PATIENCE = 30  # seconds until a child without a first save counts as hung


def network(value: float, size: int) -> Sequential:
    """A model whose weights are all `value`: a torn file would hold two values, or none."""
    model = Sequential([layers.Dense(size, input_shape=(size,)), layers.Dense(size)])
    model.set_weights([np.full(weight.shape, value) for weight in model.weights])
    return model


def value_in(path) -> float:
    values = {float(value) for weight in models.load_model(path).get_weights() for value in np.unique(weight)}
    if len(values) != 1:
        raise ValueError(f"{path.name} holds the values {sorted(values)}")
    return values.pop()


def start(path, networks) -> tuple:
    """(process id, pipe) of a child that saves each model in a thread of its own; the pipe gets a dot a save, and
    what a save raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader

    def save(model):
        try:
            while True:
                model.save(path)
                os.write(writer, b".")
        except BaseException as error:  # noqa: BLE001 (the parent reports it)
            os.write(writer, f"{type(error).__name__}: {error}".encode())

    for model in networks:
        threading.Thread(target=save, args=(model,), daemon=True).start()
    while True:
        signal.pause()


def kill(pid, reader, delay) -> str:
    """What the child wrote, dots apart, until it was killed, `delay` seconds after its first save."""
    ready = select.select([reader], [], [], PATIENCE)[0]
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(reader, "rb") as lines:
        said = lines.read().decode(errors="replace").strip(".")
    return said if ready else "no save came to an end"


def attack(rng, path) -> str | None:
    """One or two children, killed one after the other; what was wrong afterwards, if anything."""
    mode, size, values = rng.choice((0o600, 0o640, 0o644)), rng.choice((1, 20, 300)), range(1, rng.choice((2, 3, 5)))
    network(0, size).save(path)
    path.chmod(mode)
    children = [start(path, [network(value, size) for value in values]) for _ in range(rng.choice((1, 2)))]
    problems = [look(path, kill(*child, rng.uniform(0, LONGEST)), {0, *values}) for child in children]
    left = len(os.listdir(path.parent)) - 1
    network(-1, size).save(path)
    problems += [look(path, "", {-1})]
    if os.listdir(path.parent) != [path.name]:
        problems.append(f"{left} files were left, and another save did not remove them")
    if stat.S_IMODE(path.stat().st_mode) != mode:
        problems.append(f"the mode {mode:o} became {stat.S_IMODE(path.stat().st_mode):o}")
    return "; ".join(filter(None, problems))


def look(path, said, values) -> str:
    """What is wrong after a kill: what the child said, or what the path holds."""
    if said:
        return f"a save raised {said}"
    try:
        value = value_in(path)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if value in values else f"{path.name} holds {value}, which nobody saved"


def main() -> int:
    given = arguments("kills", __doc__.partition("\n")[0], 500, 60)
    report, rng = Report("kills", given.seed), random.Random(given.seed)
    for case in range(given.cases):
        with tempfile.TemporaryDirectory() as folder:
            problem = attack(rng, Path(folder) / "model.safetensors")
        report.case(f"{problem} (case {case} of python -m tools.kills --seed {given.seed})" if problem else None)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
