"""What was measured: rows of times and the run around them; to and from JSON.

No measuring and no printing here. Contract: a Row holds one figure a round and contestant, in seconds; its ratios are
peer / ours, so that more than 1 is a win; medians over rounds, and the spread is the range of the rounds' own ratios.
"""

import dataclasses
import json
import math
import statistics

from .contestants import OURS

BUSY = 0.85  # of the highest peak of a run


@dataclasses.dataclass
class Row:
    suite: str
    name: str
    what: str  # the pass
    flops: int
    seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)  # contestant: one a round
    errors: dict[str, float] = dataclasses.field(default_factory=dict)  # relative to the reference's rms
    failed: dict[str, str] = dataclasses.field(default_factory=dict)  # contestant: why it has no time
    memory: dict[str, dict] = dataclasses.field(default_factory=dict)  # of a network, contestant: bytes as in worker.py

    def time(self, contestant, turn=None):
        """Seconds: the median over rounds, or round `turn`'s. KeyError where it was not timed."""
        times = self.times(contestant)
        return statistics.median(times) if turn is None else times[turn]

    def times(self, contestant):
        if not self.has(contestant):
            raise KeyError(f"{self.name} {self.what} of {contestant}")
        return self.seconds[contestant]

    def has(self, contestant):
        return contestant in self.seconds and contestant not in self.failed

    def best(self, contestants):
        """The quickest of `contestants` by its median, or None."""
        return min(filter(self.has, contestants), key=self.time, default=None)

    def ratio(self, contestants, ours=OURS, turn=None):
        """The best of `contestants` over `ours`. KeyError where either was not timed."""
        best = self.best(contestants)
        if best is None:
            raise KeyError(f"{self.name} {self.what} of {' or '.join(contestants)}")
        return self.time(best, turn) / self.time(ours, turn)

    def spread(self, contestants, ours=OURS):
        """The lowest and highest of the rounds' ratios."""
        ratios = [self.ratio(contestants, ours, turn) for turn in range(len(self.times(ours)))]
        return min(ratios), max(ratios)


@dataclasses.dataclass
class Results:
    machine: dict
    settings: dict
    peaks: list[float] = dataclasses.field(default_factory=list)  # GFLOP/s, before and after each suite
    rows: list[Row] = dataclasses.field(default_factory=list)
    versions: dict[str, dict] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)  # contestant: why
    epochs: dict[str, float] = dataclasses.field(default_factory=dict)  # contestant: measured seconds
    habits: dict[str, dict] = dataclasses.field(default_factory=dict)  # contestant: faults a step, Python's share
    limits: dict | None = None  # of `peak`
    startup: dict | None = None  # of `startup`
    mnist99: dict | None = None  # of `mnist99`

    @property
    def peak(self):
        """GFLOP/s of the widest instruction set, or None: the highest measured, as a busy machine only lowers it."""
        return max(self.peaks, default=None)

    @property
    def busy(self):
        """True where the peak fell on the way: other programs were running, so the times say little."""
        return bool(self.peaks) and min(self.peaks) < BUSY * self.peak

    def suite(self, name):
        return [row for row in self.rows if row.suite == name]

    def row(self, suite, name, what):
        """KeyError where it was not measured."""
        for row in self.rows:
            if (row.suite, row.name, row.what) == (suite, name, what):
                return row
        raise KeyError(f"{suite} {name} {what}")

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=1)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        return cls(**{**stored, "rows": [Row(**row) for row in stored["rows"]]})


def geomean(values):
    """The geometric mean; KeyError where there are no values."""
    values = list(values)
    if not values:
        raise KeyError("nothing measured")
    return math.exp(statistics.fmean(map(math.log, values)))
