"""The race: contestants prepare a task, are checked, and are then timed in interleaved rounds.

Contract: `Field` holds one process a contestant, those missing with a note; `race` returns one results.Row a pass. In
each round every contestant is timed once, for about the same time, in an order that rotates; a round's figure is the
median of its calls. What failed its check is never timed.
"""

import os
import statistics
import sys
import tempfile

from . import networks, reference, shapes
from .contestants import CONTESTANTS
from .process import Dead, Missing, Process
from .results import Row

LEAST_CALLS = 3  # of a contestant in a round; a step of a whole network may take a second, and one is enough


class Field:
    """The contestants that are here, each in its process; a context manager."""

    def __init__(self, names, settings):
        self.settings = settings
        self.processes = {}
        self.versions, self.missing = {}, {}
        for name in names:
            self._start(name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.processes.values():
            process.close()

    def race(self, suite, task):
        """Rows of one task, one a pass, in the reference's order."""
        progress(f"{suite} {task}")
        with tempfile.TemporaryDirectory(prefix="fastconv-bench-") as folder:
            path = os.path.join(folder, "reference.npz")
            passes = reference.write(path, suite, task)
            reports = {name: self._ask(name, "prepare", suite=suite, task=task, reference=path)
                       for name in list(self.processes)}  # fmt: skip
        rows = {what: Row(suite, task, what, _flops(suite, task, what)) for what in passes}
        for name, report in reports.items():
            if "failed" in report:  # the worker died
                report = dict.fromkeys(passes, report)
            for what, outcome in report.items():
                if "failed" in outcome:
                    rows[what].failed[name] = outcome["failed"]
                else:
                    rows[what].errors[name] = outcome["error"]
                    if "memory" in outcome:
                        rows[what].memory[name] = outcome["memory"]
        for turn in range(self.settings.rounds):
            for row in rows.values():
                self._round(row, turn)
        self._restart()
        return list(rows.values())

    def each(self, do):
        """{name: answer} to a request that needs no task; a contestant that dies is left out with a note."""
        answers = {}
        for name in list(self.processes):
            progress(f"{do} {name}")
            answer = self._ask(name, do)
            if "failed" in answer:
                self.missing[name] = answer["failed"]
            else:
                answers[name] = answer
        return answers

    def _round(self, row, turn):
        least = 1 if row.suite.startswith("networks") else LEAST_CALLS
        names = [name for name in row.errors if name not in row.failed]
        for k in range(len(names)):
            name = names[(k + turn) % len(names)]
            answer = self._ask(name, "time", what=row.what, seconds=self.settings.seconds, least=least)
            if "failed" in answer:
                row.failed[name] = answer["failed"]
            else:
                row.seconds.setdefault(name, []).append(statistics.median(answer["seconds"]))

    def _start(self, name):
        try:
            process = Process(CONTESTANTS[name], self.settings.threads, self.settings.pythons)
        except Missing as error:
            self.missing[name] = str(error)
        else:
            self.processes[name] = process
            self.versions[name] = process.versions

    def _ask(self, name, do, **details):
        if name not in self.processes:
            return {"failed": "its worker has died"}
        try:
            return self.processes[name].ask(do, **details)
        except Dead as error:
            del self.processes[name]
            return {"failed": str(error)}

    def _restart(self):
        """A contestant that died in one task may run in the next."""
        for name in self.versions:
            if name not in self.processes:
                self._start(name)


def progress(text):
    """What is running, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _flops(suite, task, what):
    if suite.startswith("networks"):
        return networks.NETWORKS[task].flops(what)
    table = {"conv": shapes.CONVS, "pool": shapes.POOLS, "dense": shapes.DENSES}.get(suite, {})
    return table[task].flops(what) if task in table else 0
