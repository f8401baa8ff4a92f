"""The kernels' tests, and random geometry, on a build with the address and undefined-behaviour sanitizers.

A copy of the package is compiled in a temporary folder; its allocator gives blocks of exactly the asked size, filled with
0xFF and never used twice (FASTCONV_EXACT_BLOCKS in _memory.pyx). First a tile that reads one element too many must be
caught, and the same tile in bounds must not. `--cases` counts geometries; the tests come on top. With --quick one
instruction set is compiled (`--isas` says others) and a selection of the tests runs. GCC only. Contract: see report.py
and batches.py.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import ROOT
from tools.batches import child_option, run_cases, serve
from tools.fuzz_geometry import case
from tools.report import Report, arguments

NAME, SECONDS = "sanitize", 300
TESTS = ["test_kernels_*.py", "test_algorithms.py", "test_optimizers.py"]
QUICK = ["test_kernels_geometry.py", "test_kernels_winograd.py", "test_kernels_rows.py"]
# -O1 comes last, after the build's own level: the checks make each tile some ten times larger. Reports name only those
# functions that the library shows to others.
COMPILER = """#!/bin/sh
exec gcc "$@" -O1 -fvisibility=default -fsanitize={} -fno-sanitize-recover=all -fno-wrapv -fno-omit-frame-pointer
"""
CHECKS, QUICK_CHECKS = "address,undefined", "address,signed-integer-overflow"
CONTROL = "from fastconv.kernels import _rows, empty; x = empty((100,), 'f4'); x.fill(0); _rows.relu_forward(x, empty(({},), 'f4'))"


def build(folder: Path, isas: str, checks: str) -> dict[str, str]:
    """Compiles a copy of the checkout there; the environment in which it runs."""
    for name in ("fastconv", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "_*.c"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    compiler = folder / "gcc"
    compiler.write_text(COMPILER.format(checks))
    compiler.chmod(0o755)
    environment = {**os.environ, "CC": str(compiler), "FASTCONV_BUILD_ISAS": isas}
    environment.pop("PYTHONPATH", None)
    site = folder / "site"
    try:
        import Cython  # noqa: F401
        import setuptools  # noqa: F401

        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    except ImportError:
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), "."]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{NAME}: the build failed: {(done.stdout + done.stderr)[-3000:]}")
    if site.exists():  # the sources would hide what was installed from programs that start here
        (folder / "fastconv" / "__init__.py").unlink()
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    for variable in ("CC", "FASTCONV_BUILD_ISAS", "FASTCONV_ISA"):
        environment.pop(variable, None)
    return environment | {
        "PYTHONPATH": str(site if site.exists() else folder),
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "FASTCONV_EXACT_BLOCKS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def controls(report, folder: Path, environment) -> bool:
    """Whether an overrun of one element is caught in a tile, and none where there is none."""
    for count, caught in ((101, True), (100, False)):
        done = subprocess.run(
            [sys.executable, "-c", CONTROL.format(count)], cwd=folder, env=environment, capture_output=True, text=True
        )
        found = "heap-buffer-overflow" in done.stderr and "relu_forward" in done.stderr
        right = found and done.returncode != 0 if caught else done.returncode == 0 and not done.stderr
        report.case(
            None if right else f"control: relu of {count} of 100 elements: {done.returncode}, {done.stderr[-500:]}"
        )
    return report.failures == 0


def run_tests(report, folder: Path, environment, tests) -> None:
    """Each test is a case; what a sanitizer finds ends the run, on a stream that pytest must not hide."""
    files = sorted({str(path.relative_to(folder)) for name in tests for path in (folder / "tests").glob(name)})
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--capture=sys", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    passed = re.search(r"(\d+) passed", done.stdout)
    for _ in range(int(passed[1]) if passed else 0):
        report.case()
    if done.returncode or not passed:
        found = re.search(r".*(ERROR: AddressSanitizer|runtime error)(.*\n){12}", done.stderr)
        report.case(found[0] if found else done.stdout[-3000:] + done.stderr[-1000:])


def main() -> int:
    everything = "baseline,avx2,avx512" if platform.machine().lower() in ("x86_64", "amd64") else "baseline"
    asked = arguments(
        NAME, __doc__, cases=3000, quick=300,
        options=lambda parser: (child_option(parser), parser.add_argument("--isas", help="instruction sets to compile")),
    )  # fmt: skip
    if asked.first is not None:
        return serve(asked.first, asked.cases, lambda number: case(asked.seed, number))
    report = Report(NAME, asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        isas = asked.isas or (everything.split(",")[:2][-1] if asked.quick else everything)
        environment = build(folder, isas, QUICK_CHECKS if asked.quick else CHECKS)
        if controls(report, folder, environment):
            run_tests(report, folder, environment, QUICK if asked.quick else TESTS)
            run_cases(report, NAME, asked.cases, asked.seed, SECONDS, environment, folder)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
