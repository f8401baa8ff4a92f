"""What a person at the terminal sees of a run, and Ctrl-C.

It prints, and knows nothing of models. Contract: one line an epoch with all its results, or nothing; on a terminal a
bar goes before it, in the columns that the count of steps and the results leave. Results are formatted at most ten
times a second. Under `Interrupts` a Ctrl-C waits until the computation looks for it; a second one does not.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterable
from typing import Any

from fastconv import config
from fastconv.distribution import world

try:  # without the enums that `signal` makes of all numbers: they took a tenth of a small model's step
    import _signal
except ImportError:
    _signal = signal


_PACKAGE = os.path.dirname(__file__) + os.sep


class Progress:
    """Prints for one run; `verbose` is 0 (nothing), 1 (a bar; lines off a terminal), 2 (lines) or "auto": 1, unless
    `config.disable_interactive_logging()` was called."""

    def __init__(self, verbose):
        if isinstance(verbose, str) and verbose == "auto":
            verbose = 1 if config.is_interactive_logging_enabled() else 2
        if verbose not in (0, 1, 2):
            raise ValueError(f"verbose must be 0, 1, 2 or 'auto'; got {verbose!r}.")
        verbose = 0 if world.rank() else verbose
        self._lines = verbose == 2 or (verbose == 1 and not _on_terminal())
        self._bars = verbose == 1 and not self._lines
        self._bar = None
        self.shows = self._lines or self._bars

    def begin(self, title: str, steps: int | None) -> None:
        """A stage of so many steps; None: its end will show."""
        self._title, self._start, self._last = title, time.perf_counter(), 0.0
        if self._bars:
            from tqdm import tqdm

            rest = "/{total_fmt}{desc} |{bar}| {elapsed}<{remaining}" if steps else " steps{desc} - {elapsed}"
            form = f"{_joined(title, '{n_fmt}')}{rest}"
            self._bar = tqdm(total=steps, file=sys.stdout, dynamic_ncols=True, leave=False, bar_format=form)

    def step(self, done: int, results) -> None:
        """After step number `done`; `results()` gives the running means."""
        if self._bar is None or (now := time.perf_counter()) - self._last < 0.1:
            return
        self._last = now
        self._bar.set_description_str(f" - {text}" if (text := _text(results())) else "", refresh=False)
        self._bar.update(done - self._bar.n)

    def end(self, results: dict, title: str | None = None) -> None:
        """The stage is complete: prints its line, in the bar's place, under its title or this one."""
        self.close()
        if self.shows:
            seconds = time.perf_counter() - self._start
            print(_joined(self._title if title is None else title, f"{seconds:.1f}s", _text(results)), flush=True)

    def close(self) -> None:
        """Leaves the terminal in order, whatever happened."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Progbar:
    """The progress of a loop of your own, after `keras.utils.Progbar`: a bar on a terminal, one line at the end.

    `target`: how many steps there are, None where that is not known. `verbose`: 0 (nothing), 1 (a bar), 2 (the line
    alone). Values given to `update` and `add` are shown as means over the steps, or as they are where
    `stateful_metrics` names them (`stateless_metrics`: those that are means; give one of the two). `interval`: seconds
    between looks, 0.1 at least; `unit_name` stands in the line; `width` changes nothing: the bar takes the columns that
    are left.
    """

    def __init__(
        self, target: int | None, width: int = 20, verbose: int = 1, interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None, stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:  # fmt: skip
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Progbar takes stateful_metrics or stateless_metrics, not both.")
        if target is not None and (isinstance(target, bool) or not hasattr(target, "__index__") or target < 0):
            raise ValueError(f"target must be a number of steps, or None where it is not known; got {target!r}.")
        self.target, self.unit_name, self.interval = target, unit_name, interval
        self._stateful = None if stateful_metrics is None else set(stateful_metrics)
        self._stateless = None if stateless_metrics is None else set(stateless_metrics)
        self._progress = Progress(verbose)
        self._seen, self._last, self._ended = 0, 0.0, False
        self._sums: dict[str, list[float]] = {}  # name -> [sum, steps]; the last value and 1 of those shown as they are

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """After step number `current`; `values` are (name, value of these steps). `finalize` True prints the line,
        which None does at the target."""
        if self._ended:
            return
        if not self._seen and not self._last:
            self._progress.begin("", self.target)
        for name, value in values or ():
            self._note(name, float(value), current - self._seen)
        self._seen = current
        if finalize or (finalize is None and self.target is not None and current >= self.target):
            self._ended = True
            whole = "" if self.target is None else f"/{self.target}"
            self._progress.end(self._results(), f"{current}{whole} {self.unit_name}s")
        elif (now := time.perf_counter()) - self._last >= self.interval:
            self._last = now
            self._progress.step(current, self._results)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """After `n` more steps."""
        self.update(self._seen + n, values)

    def _note(self, name, value, steps):
        means = name in self._stateless if self._stateless is not None else name not in (self._stateful or ())
        if not means or steps < 1:
            self._sums[name] = [value, 1]
        else:
            total, count = self._sums.get(name, [0.0, 0])
            self._sums[name] = [total + value * steps, count + steps]

    def _results(self):
        return {name: total / count for name, (total, count) in self._sums.items()}


def _on_terminal() -> bool:
    """Whether stdout moves back at a carriage return: a terminal, or a notebook's cell."""
    if type(sys.stdout).__module__.startswith("ipykernel."):
        return True
    return sys.stdout is not None and sys.stdout.isatty()


def _joined(*parts: str) -> str:
    return " - ".join(part for part in parts if part)


def _text(results: dict) -> str:
    return " - ".join(f"{key}: {value:.4f}" if 1e-3 < abs(value) < 1e9 or not value else f"{key}: {value:.4e}"
                      for key, value in results.items())  # fmt: skip


def say(text: str) -> None:
    """Prints a line; of several processes the first one does."""
    if not world.rank():
        print(text, flush=True)


def warn_user(message: str) -> None:
    """A UserWarning that shows the line of the program which called fastconv, from however deep inside; of several
    processes the first one gives it."""
    if world.rank():
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


class Interrupts:
    """`with Interrupts() as interrupts:` keeps a Ctrl-C out of the block's middle: the first one is noted, and raises
    KeyboardInterrupt at the next `check()` or at the end of the block; a second one raises at once.

    Within the block of another one, `interrupts` is that one. In other threads, and over a handler that is not Python's
    own, Ctrl-C is left as it is. Setting `pending` is as a first Ctrl-C.
    """

    pending = False

    def __enter__(self):
        self._first = self
        if threading.current_thread() is threading.main_thread():
            handler = _signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler:
                _signal.signal(signal.SIGINT, self._note)
            elif isinstance(owner := getattr(handler, "__self__", None), Interrupts):
                self._first = owner
        return self._first

    def __exit__(self, kind, *rest):
        if _signal.getsignal(signal.SIGINT) == self._note:
            _signal.signal(signal.SIGINT, signal.default_int_handler)
        # Asked last: from here on, Python's handler raises by itself, so that no Ctrl-C is lost.
        if self._first.pending and kind is not KeyboardInterrupt:
            raise KeyboardInterrupt

    def check(self) -> None:
        """The place where the block may be left."""
        if self.pending:
            raise KeyboardInterrupt

    def _note(self, number, frame):
        if self.pending:
            _signal.signal(signal.SIGINT, signal.default_int_handler)  # even if the block is never left in order
            raise KeyboardInterrupt
        self.pending = True
