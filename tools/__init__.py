"""Attacks on fastconv, kept so that they can be repeated: sanitizers, guard pages, fuzzers, kills and interrupts.

Each module is one command, `python -m tools.NAME --cases N --seed S`; `--quick` is the short form that `.ci/run` runs.
None of it is part of the package, and tests/ does not need it. Contract: see report.py.
"""
