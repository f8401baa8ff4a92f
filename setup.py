"""Compiles fastconv's extensions; everything else about the package stands in pyproject.toml.

The tiles in csrc/ are compiled once for each instruction set and element type, each into its own object folder with
that set's flags and a suffix on every name. One extension (`_tiles`) owns all of the objects. No flag here depends
on the building machine's CPU. Without OpenMP (or with FASTCONV_OPENMP=0) the build succeeds, single-threaded, and says
so. All cores compile (FASTCONV_BUILD_JOBS=n says how many).

For work on the kernels: in-place builds keep their symbols for profilers, FASTCONV_BUILD_ISAS=baseline,avx2 compiles
these only, and FASTCONV_BUILD_EMULATE=1 compiles avx512's tiles, with their vector lengths and register blocks, out of
AVX2 instructions, for CPUs without AVX-512: slow, and right only if the tiles are.
"""

import glob
import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = "fastconv/kernels"
CSRC = f"{KERNELS}/csrc"
# A folder holds one family of tiles; what stands beside the folders is shared.
TILES = sorted(os.path.relpath(path, CSRC) for path in glob.glob(f"{CSRC}/*/*.c")) + ["table.c"]
# Loops over single elements, which -O2 leaves as they are; the others are written in vectors, and -O2 gives their code.
LOOPS = {"rows/rows.c", "rows/norm.c", "elements/update.c", "winograd/winograd_kernel.c", "elements/random.c"}
LOOP_FLAGS = ["-ftree-loop-vectorize", "-fvect-cost-model=dynamic"]
# Sums of products, which most of the time goes into: quick in every set.
PRODUCTS = {"conv/products.c", "conv/conv_forward.c", "conv/conv_backward_kernel.c", "dense/dense.c"}
# Random numbers have the same bits on every instruction set: none of them may fuse a product with a sum.
UNFUSED = {"elements/random.c"}
UNWOUND = "-fno-asynchronous-unwind-tables"  # nothing unwinds through C: 4 % of the wheel
FLAGS = [
    "-g0",
    "-MMD",  # beside each object, what it includes: see out_of_date
    "-std=gnu11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-semantic-interposition",
    UNWOUND,
    "-fvisibility=hidden",  # tiles call one another directly, and the extension names none of them
]

# name: (bytes in a vector, pixels in a register tile, flags)
X86 = {
    "baseline": (16, 6, []),
    "avx2": (32, 6, ["-mavx2", "-mfma"]),
    "avx512": (
        64,
        14,
        ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    ),
}
OTHER = {"baseline": (16, 14, [])}
ISAS = X86 if platform.machine().lower() in ("x86_64", "amd64") else OTHER
EMULATE = os.environ.get("FASTCONV_BUILD_EMULATE", "0") != "0" and "avx512" in ISAS
if EMULATE:
    ISAS["avx512"] = (64, 14, ISAS["avx2"][2])
if os.environ.get("FASTCONV_BUILD_ISAS"):
    ISAS = {name: ISAS[name] for name in os.environ["FASTCONV_BUILD_ISAS"].split(",")}
# float64 runs on the tiles of the strongest of these: it checks gradients, and three sets of tiles would cost a third
# of all compiling.
DOUBLES = [isa for isa in ISAS if isa != "avx512"] or list(ISAS)
OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


class BuildKernels(build_ext):
    """build_ext that also compiles the tiles, and links OpenMP where the compiler has it."""

    def finalize_options(self):
        super().finalize_options()
        self.keeps_symbols = bool(self.inplace)  # setuptools forgets it while it builds

    def build_extensions(self):
        openmp = ["-fopenmp"] if self.has_openmp() else []
        for extension in self.extensions:
            extension.extra_compile_args += ["-Os", "-g0", UNWOUND]  # bindings: -O2 gains nothing there
            if not self.keeps_symbols and sys.platform.startswith("linux"):
                extension.extra_link_args += ["-Wl,--strip-all"]
        bindings = [extension for extension in self.extensions if not extension.name.endswith("._tiles")]
        (tiles,) = (extension for extension in self.extensions if extension.name.endswith("._tiles"))
        tiles.extra_compile_args += openmp
        tiles.extra_link_args += openmp
        # The compilers are processes of their own: threads wait for them, while this one translates the bindings.
        with ThreadPoolExecutor(build_jobs()) as pool:
            self.pool = pool
            objects = self.compile_tiles()
            for extension in bindings:
                self.build_extension(extension)
            tiles.extra_objects += [job.result() for job in objects]
        tiles.depends += tiles.extra_objects
        self.build_extension(tiles)

    def has_openmp(self) -> bool:
        if os.environ.get("FASTCONV_OPENMP") == "0":
            print("fastconv: FASTCONV_OPENMP=0: building single-threaded kernels.")
            return False
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "probe.c")
            with open(source, "w") as file:
                file.write(OPENMP_PROBE)
            try:
                objects = self.compiler.compile([source], output_dir=folder, extra_postargs=["-fopenmp"])
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=["-fopenmp"])
                return True
            except Exception as error:  # the compilers' exception classes differ by setuptools version
                print(f"fastconv: no OpenMP ({error}): building single-threaded kernels.")
                return False

    def compile_tiles(self) -> list:
        """The jobs that compile the tiles, each of which gives an object."""
        rows = " ".join(f"X({isa}, {isa if isa in DOUBLES else DOUBLES[-1]})" for isa in ISAS)
        macros = [("FC_ISAS(X)", rows), ("FC_EMULATE", str(int(EMULATE)))]
        # isa.c is compiled, and the extension linked, at each build: other ISAS may have been asked for at the last.
        objects = self.compile_c(["isa.c"], "isa", [], macros, always=True)
        for isa, (size, block, flags) in ISAS.items():
            # The weakest set of several, and float64, which checks gradients: code that is small, not the quickest.
            for double, real in enumerate(["float", "double"] if isa in DOUBLES else ["float"]):
                small = double or (isa == "baseline" and len(ISAS) > 1)
                macros = [
                    ("FC_REAL", real), ("FC_DOUBLE", str(double)), ("FC_BYTES", str(size)), ("FC_BLOCK", str(block)),
                    ("FC_SUFFIX", f"_{real}_{isa}"), ("FC_ISA", f'"{isa}"'),
                ]  # fmt: skip
                folder = f"{isa}-{real}" + "-emulated" * (EMULATE and isa == "avx512")
                objects += self.compile_c(TILES, folder, flags, macros, level="-Os" if small else "-O2")
        return objects

    def compile_c(self, names, folder, flags, macros=(), always=False, level="-O2"):
        """Jobs for these C files, each of which gives an object, compiled where a source or header is newer."""
        folder = os.path.join(self.build_temp, "tiles", folder)
        for name in names:  # not by several threads at once
            os.makedirs(os.path.join(folder, CSRC, os.path.dirname(name)), exist_ok=True)

        def compiled(name):
            source = f"{CSRC}/{name}"
            (target,) = self.compiler.object_filenames([source], output_dir=folder)
            if always or self.force or out_of_date(target, source):
                self.compiler.compile(
                    [source], output_dir=folder, macros=list(macros), include_dirs=[CSRC],
                    extra_postargs=[
                        "-O2" if name in PRODUCTS else level, *LOOP_FLAGS * (name in LOOPS), *FLAGS, *flags, *["-ffp-contract=off"] * (name in UNFUSED),
                    ],
                )  # fmt: skip
            return target

        return [self.pool.submit(compiled, name) for name in names]


def out_of_date(target: str, source: str) -> bool:
    """Whether an object is older than its source, the headers that it includes, or this file."""
    try:
        with open(os.path.splitext(target)[0] + ".d") as file:
            made_of = file.read().replace("\\\n", " ").split(":", 1)[1].split()
        return os.path.getmtime(target) < max(map(os.path.getmtime, (*made_of, source, __file__)))
    except (OSError, IndexError):
        return True


def build_jobs() -> int:
    """How many compilers run side by side: FASTCONV_BUILD_JOBS, or one for each core that this process may use."""
    asked = os.environ.get("FASTCONV_BUILD_JOBS", "")
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise SystemExit(f"FASTCONV_BUILD_JOBS must be a number of at least 1; got {asked!r}.")
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def extension(name, **options):
    depends = [
        f"{CSRC}/tiles.h",
        *(f"{KERNELS}/{room}.pxd" for room in ("_memory", "_tiles", "_rows", "_grouped", "_conv")),
    ]
    source = f"{KERNELS}/{name}.pyx"
    return Extension(f"fastconv.kernels.{name}", [source], include_dirs=[CSRC], depends=depends, **options)


MODULES = (
    "_memory",
    "_tiles",
    "_conv",
    "_conv_pool",
    "_grouped",
    "_winograd",
    "_pool",
    "_rows",
    "_maps",
    "_norm",
    "_moves",
    "_random",
    "_dense",
)

setup(
    ext_modules=[extension(name) for name in MODULES],
    cmdclass={"build_ext": BuildKernels},
)
