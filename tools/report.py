"""What every tool shares: its arguments, and the one line in which it closes.

It attacks nothing. Contract: the same `--seed` and `--cases` try the same cases; the last line printed is
"NAME: N cases, F failures (seed S)", after one line for each failure that says how to see it again; the exit code is 1
where there were failures, or where no case ran at all.
"""

from __future__ import annotations

import argparse
import sys
import time


class Report:
    """Counts the cases of one tool and prints its failures as they come."""

    def __init__(self, name: str, seed: int):
        self.name, self.seed, self.cases, self.failures = name, seed, 0, 0
        self._start = time.monotonic()

    def case(self, problem: str | None = None) -> None:
        """One case ran; `problem`, if any, says what went wrong and how to see it again."""
        self.cases += 1
        if problem:
            self.failures += 1
            print(f"{self.name}: FAILURE: {problem}", flush=True)

    def close(self) -> int:
        """Prints the closing line and returns the exit code."""
        seconds = time.monotonic() - self._start
        print(
            f"{self.name}: {self.cases} cases, {self.failures} failures (seed {self.seed}), {seconds:.0f} s", flush=True
        )
        return int(self.failures > 0 or self.cases == 0)


def arguments(name: str, description: str, cases: int, quick: int, options=lambda parser: None) -> argparse.Namespace:
    """`--cases`, `--seed`, `--quick` and what `options(parser)` adds, parsed; `cases` is `quick` with --quick."""
    parser = argparse.ArgumentParser(prog=f"python -m tools.{name}", description=description)
    parser.add_argument(
        "--cases", type=int, default=None, help=f"how many cases (default {cases}; with --quick {quick})"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed tries the same cases (default 0)")
    parser.add_argument("--quick", action="store_true", help="the short form")
    options(parser)
    found = parser.parse_args(sys.argv[1:])
    if found.cases is None:
        found.cases = quick if found.quick else cases
    return found
