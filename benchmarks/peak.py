"""The machine's limits, measured: `peak` compiles peak.c with the system's C compiler and runs it.

Contract: one program an instruction set, with that set's flags and never -march=native; a set that the CPU lacks is
not run. Everything is compiled in a temporary folder that is removed. Without a compiler there is no peak: the other
benchmarks then leave out their "% of peak".
"""

import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).with_name("peak.c")
FLAGS = ["-O2", "-std=gnu11", "-ffp-contract=fast"]

X86 = {  # name: (bytes in a vector, compiler flags, flags that the CPU must report)
    "baseline": (16, [], {"sse2"}),
    "avx2": (32, ["-mavx2", "-mfma"], {"avx2", "fma"}),
    "avx512": (64, ["-mavx512f", "-mavx512vl", "-mfma"], {"avx512f", "avx512vl"}),
}
OTHER = {"baseline": (16, [], set())}


class Peak:
    """Compiled probes; a context manager. Raises RuntimeError where there is no C compiler."""

    def __enter__(self):
        self._compiler = shutil.which(os.environ.get("CC", "cc"))
        if not self._compiler:
            raise RuntimeError("no C compiler (cc): the machine's peak is not measured")
        self._folder = tempfile.TemporaryDirectory(prefix="fastconv-peak-")
        self._programs = {}
        for isa, (size, flags, needed) in _isas().items():
            if needed <= _cpu_flags():
                self._programs[isa] = self._compile(isa, [f"-DBYTES={size}", *flags])
        return self

    def __exit__(self, *error):
        self._folder.cleanup()

    @property
    def isas(self):
        """The instruction sets that the CPU has, narrowest first."""
        return list(self._programs)

    def fma(self, isa, threads):
        """GFLOP/s of float32 multiply-adds, counted as two."""
        return self._run(isa, "fma", threads)

    def copy(self, threads):
        """GB/s copied between blocks of 128 MB."""
        return self._run(self.isas[-1], "copy", threads)

    def touch(self, threads):
        """Microseconds for the first write to a 4 KB page."""
        return self._run(self.isas[0], "touch", threads)

    def _run(self, isa, what, threads):
        command = [self._programs[isa], what, str(threads)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)

    def _compile(self, isa, flags):
        program = os.path.join(self._folder.name, isa)
        for openmp in (["-fopenmp"], []):  # without OpenMP: one thread
            command = [self._compiler, *FLAGS, *flags, *openmp, str(SOURCE), "-o", program]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return program
        raise RuntimeError(f"peak.c does not compile: {done.stderr.strip()}")


def fma_peak(threads):
    """GFLOP/s of the widest instruction set, or None where there is no compiler."""
    try:
        with Peak() as peak:
            return peak.fma(peak.isas[-1], threads)
    except RuntimeError:
        return None


def measure(threads):
    """All limits as {"fma": {isa: {threads: GFLOP/s}}, "copy": {threads: GB/s}, "touch": {threads: us}}."""
    counts = sorted({1, threads})
    with Peak() as peak:
        return {
            "fma": {isa: {count: peak.fma(isa, count) for count in counts} for isa in peak.isas},
            "copy": {count: peak.copy(count) for count in counts},
            "touch": {count: peak.touch(count) for count in counts},
        }


def _isas():
    return X86 if platform.machine().lower() in ("x86_64", "amd64") else OTHER


def _cpu_flags():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                return set(line.split())
    return set()
