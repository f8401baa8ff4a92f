"""The measuring subcommands: what each races, and with whom.

Printing is report.py's. Contract: each function takes (settings, results) and adds what it measured to results;
`settings.only` (a compiled pattern or None) selects tasks by name, `settings.peers` the contestants.
"""

import os
import platform
import subprocess
import tempfile

from fastconv.info import cpu_model

from . import layers, peak, shapes
from . import networks as whole
from .contestants import CONTESTANTS, NETWORKS, OURS, interpreter
from .results import Results
from .rounds import Field, progress

TASKS = {
    "conv": list(shapes.CONVS),
    "pool": list(shapes.POOLS),
    "dense": list(shapes.DENSES),
    "layers": list(layers.LAYERS),
    "train": ["tutorial"],
    "infer": list(shapes.INFERENCE_BATCHES),
}


def run(suite, settings, results, extra=()):
    """Race one suite of TASKS; `extra` contestants take part beside the usual ones."""
    names = [name for name in settings.names(suite) + list(extra) if suite in CONTESTANTS[name].suites]
    _measure_peak(settings, results)
    with Field(names, settings) as field:
        for task in TASKS[suite]:
            if not settings.only or settings.only.search(task):
                results.rows += field.race(suite, task)
        if suite == "train":
            results.habits |= field.each("habits")
        if suite == "train" and settings.epoch:
            results.epochs |= {name: answer["seconds"] for name, answer in field.each("epoch").items()}
    results.versions |= field.versions
    results.missing |= field.missing
    _measure_peak(settings, results)
    progress("")


def networks(settings, results, quick):
    """Race every network of networks.py in training and in inference; yields each Network when its rows are in.

    A fresh process for each, so that its memory counts alone. torch.compile takes part unless `quick` or --peers says
    otherwise, as it compiles for minutes.
    """
    extra = () if quick or settings.peers is not None else ("torch-compile",)
    _measure_peak(settings, results)
    for network in whole.NETWORKS.values():
        if network.large and quick or settings.only and not settings.only.search(network.name):
            continue
        for suite in NETWORKS:
            with Field(dict.fromkeys([*settings.names(suite), *extra]), settings) as field:
                results.rows += field.race(suite, network.name)
            results.versions |= field.versions
            results.missing |= field.missing
        progress("")
        yield network
    _measure_peak(settings, results)


def limits(settings, results):
    """`peak`: the machine's limits."""
    results.limits = peak.measure(settings.threads)


def memory(settings, results):
    """Peak memory while training: a fresh process each, so that no other workload counts."""
    answers = {}
    for name in settings.names("train"):
        with Field([name], settings) as field:
            answers |= field.each("memory")
        results.versions |= field.versions
        results.missing |= field.missing
    progress("")
    return answers


def mnist99(settings, results, seeds):
    """Seconds of `fastconv train mnist --preset fast` and its accuracy, for each of `seeds` seeds."""
    runs, note = [], None
    for seed in range(seeds):
        progress(f"mnist99, seed {seed}")
        command = [interpreter(CONTESTANTS[OURS], settings.pythons), "-m", "fastconv", "train", "mnist", "--preset",
                   "fast", "--seed", str(seed), "--threads", str(settings.threads)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=package_folder())
        if done.returncode:
            note = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            break
        runs.append(_seconds_and_accuracy(done.stdout))
    progress("")
    results.mnist99 = {"runs": runs, "note": note}


def package_folder():
    """A working directory from which `import fastconv` finds the package that is measured."""
    from . import COMPILED, ROOT

    return ROOT if COMPILED else tempfile.gettempdir()


def new_results(settings):
    """Empty results that name the machine and the settings."""
    machine = {
        "CPU": cpu_model(),
        "processors": len(os.sched_getaffinity(0)),
        "OS": platform.platform(),
        "Python": platform.python_version(),
    }
    chosen = {"threads": settings.threads, "rounds": settings.rounds, "seconds": settings.seconds}
    return Results(machine=machine, settings=chosen)


def _measure_peak(settings, results):
    found = peak.fma_peak(settings.threads)
    if found:
        results.peaks.append(found)


def _seconds_and_accuracy(output):
    """From the two lines that `fastconv train` ends with."""
    trained, tested = (line for line in output.splitlines() if line.startswith(("Trained on", "Test accuracy")))
    words = trained.split()
    return [float(words[words.index("seconds") - 1]), float(tested.split()[-1])]
