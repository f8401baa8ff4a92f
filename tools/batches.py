"""Cases in child processes, so that one which crashes, hangs or asks for too much memory fails by itself.

Contract: a tool calls `run_cases` in the parent; the child, the same tool with `--from FIRST`, calls `serve`, which runs
cases FIRST to cases - 1, each a function of its number and the seed, and prints a line before and after each. The parent
starts another child behind a case that ended one.
"""

from __future__ import annotations

import queue
import resource
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path

from tools import ROOT


def child_option(parser) -> None:
    """The child's argument, for report.arguments."""
    parser.add_argument("--from", dest="first", type=int, default=None, help="run these cases here, from this one on")


def serve(first: int, cases: int, run, gigabytes: float | None = None) -> int:
    """In the child: run(i) for each case, with so much address space; what it raises is the problem."""
    if gigabytes:
        limit = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for i in range(first, cases):
        print(f"start {i}", flush=True)
        problem = ""
        try:
            run(i)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are no answer either
            place = traceback.extract_tb(error.__traceback__)[-1]
            message = " ".join(str(error).split())[:300]
            problem = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: {message}"
        print(f"end {i} {problem}", flush=True)
    return 0


def run_cases(report, name: str, cases: int, seed: int, seconds: float, environment=None, folder=ROOT) -> None:
    """In the parent: all cases, each with so many seconds to answer in; the child runs in this folder."""
    first = 0
    while first < cases:
        command = [
            sys.executable,
            "-m",
            f"tools.{name}",
            "--from",
            str(first),
            "--cases",
            str(cases),
            "--seed",
            str(seed),
        ]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)
        lines = queue.Queue()
        threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
        before, first = first, _follow(report, name, seed, first, seconds, child, lines)
        if first == before:  # it did not even start
            report.case(f"the child ended with {_ending(child)}: {' '.join(command)}")
            return


def _follow(report, name, seed, first, seconds, child, lines) -> int:
    """Reports the child's cases until it ends; the number of the case behind the last that was started."""
    running = None
    while True:
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            child.kill()
            line = f"end {running} no answer in {seconds} s" if running is not None else None
            running = None
        if line is None:
            break
        word, number, *problem = line.rstrip().split(maxsplit=2)
        if word == "start":
            running = int(number)
            first = running + 1
        elif word == "end":
            running = None
            report.case(f"{problem[0]}. {_again(name, number, seed)}" if problem else None)
    child.wait()
    if running is not None:
        report.case(f"ended by {_ending(child)}. {_again(name, running, seed)}")
    return first


def _read(stream, lines) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _ending(child) -> str:
    code = child.wait()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _again(name, number, seed) -> str:
    return f"Again: python -m tools.{name} --from {number} --cases {int(number) + 1} --seed {seed}"
