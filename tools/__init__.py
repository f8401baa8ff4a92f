"""Attacks on fastconv, kept so that they can be repeated: sanitizers, guard pages, fuzzers, kills and interrupts.

Each module is one command, `python -m tools.NAME --cases N --seed S`; `--quick` is the short form that `.ci/run` runs.
None of it is part of the package, and tests/ does not need it. Contract: see report.py.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python -m` looks into the checkout first. Where that is not compiled, the tools attack the installed package.
if not [*(ROOT / "fastconv" / "kernels").glob("_tiles.*.so"), *(ROOT / "fastconv" / "kernels").glob("_tiles.*.pyd")]:
    sys.path[:] = [folder for folder in sys.path if Path(folder or ".").resolve() != ROOT]
