"""The driving side of a worker: start it, ask it, keep it still while others run.

Knows the line protocol of worker.py, no workload. Contract: a Process exists only once its framework has loaded, else
Missing is raised with the reason; Dead is raised where it crashed or took too long. Only the process being asked runs:
between two questions it is stopped, so that no other framework's idle threads spin while one is timed.
"""

import json
import os
import select
import signal
import subprocess
import tempfile

from . import ROOT
from .contestants import interpreter

START_TIMEOUT, ANSWER_TIMEOUT = 120, 900  # seconds; compilers take minutes for a whole network
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Missing(Exception):
    """This contestant cannot take part here."""


class Dead(Exception):
    """The worker is gone."""


class Process:
    """One contestant at work; `versions` are its framework's."""

    def __init__(self, contestant, threads, pythons):
        threads = contestant.threads or threads
        python = interpreter(contestant, pythons)
        self._log = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", contestant.name, str(threads)],
                cwd=ROOT, env=_environment(contestant, threads), preexec_fn=_pin(threads),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0,  # as select sees it
            )  # fmt: skip
        except OSError as error:
            raise Missing(f"{python}: {error.strerror}") from None
        try:
            hello = self._answer(START_TIMEOUT)
        except Dead as error:
            raise Missing(str(error)) from None
        if "missing" in hello:
            self.close()
            raise Missing(hello["missing"])
        self.versions = hello["versions"]

    def ask(self, do, **details):
        """The worker's answer to one request."""
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
        except OSError:
            raise self._dead("has ended") from None
        return self._answer(ANSWER_TIMEOUT)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def _answer(self, timeout):
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not ready:
            raise self._dead(f"gave no answer in {timeout} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._dead("has ended")
        self._process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def _dead(self, why):
        self._process.kill()
        self._process.wait()
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").strip().splitlines()[-1:]
        self.close()
        return Dead(f"the worker {why}" + "".join(f" ({line})" for line in last))


def _environment(contestant, threads):
    counts = dict.fromkeys(THREAD_VARIABLES, str(threads))
    variables = {**os.environ, **counts, **contestant.variables}
    return {name: value for name, value in variables.items() if value is not None}


def _pin(threads):
    """Bounds the child to `threads` processors, which also holds for pools that take no setting."""
    processors = sorted(os.sched_getaffinity(0))[:threads]
    return lambda: os.sched_setaffinity(0, processors)
