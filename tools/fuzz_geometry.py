"""Random strides, dilation, padding and windows, next to 2**15 ... 2**63 among others, for every pass of convolution and
pooling, on every algorithm and instruction set.

A result is the twin's (kernels/reference.py), or a ValueError or MemoryError that says which argument is too large; never
a crash, another error, more than the memory or the time of a small case. The cases are those of
tests/helpers_geometry.py. Contract: see report.py and batches.py.
"""

from __future__ import annotations

import random
import sys

from tools import ROOT
from tools.batches import child_option, run_cases, serve
from tools.report import Report, arguments

NAME, SECONDS, GIGABYTES = "fuzz_geometry", 30, 6


def case(seed: int, number: int) -> None:
    """One geometry: a pooling if the number is odd."""
    sys.path.insert(0, str(ROOT / "tests"))
    import helpers_geometry as geometry

    from fastconv import kernels

    rng = random.Random(f"{seed} {number}")
    kernels.use_isa(rng.choice(kernels.build_info()["isas"]))
    kernels.set_num_threads(rng.choice((1, 2)))
    kernels.set_precision("exact")
    if number % 2:
        geometry.try_pool(*geometry.pool_case(rng))
    else:
        geometry.try_conv(*geometry.conv_case(rng))


def main() -> int:
    asked = arguments(NAME, __doc__, cases=40000, quick=4000, options=child_option)
    if asked.first is not None:
        return serve(asked.first, asked.cases, lambda number: case(asked.seed, number), GIGABYTES)
    report = Report(NAME, asked.seed)
    run_cases(report, NAME, asked.cases, asked.seed, SECONDS)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
