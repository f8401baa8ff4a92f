"""fastconv's benchmarks: `python -m benchmarks` in the project's folder measures fastconv against its peers.

Not part of the package and not a test. Contract: each framework runs in its own process (worker.py) on the same seeded
inputs and the same number of threads; its results are compared with a float64 reference before anything is timed;
rounds are interleaved. Peers that are not installed are skipped with a note. Importing this needs no fastconv, and
only NumPy beyond the standard library, so that a worker runs in an environment that holds just its own framework.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPILED = any((ROOT / "fastconv" / "kernels").glob("_conv*.so"))  # False: measure the installed package

if not COMPILED:  # the sources must not hide the installed package
    sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != ROOT]
