"""Threads, instruction sets, forks and the import: what stands around the kernels."""

import os
import shutil
import textwrap

import pytest
from helpers import python

import fastconv
from fastconv import kernels
from fastconv.kernels import cores


def run(program, **environment):
    return python("-c", textwrap.dedent(program), **environment)


def test_set_num_threads_is_honoured_and_checked(restore_threads):
    fastconv.set_num_threads(5)
    assert fastconv.get_num_threads() == 5
    for bad, error in [(0, ValueError), (-1, ValueError), (10**6, ValueError), (1.5, TypeError), (True, TypeError)]:
        with pytest.raises(error, match="number of threads"):
            fastconv.set_num_threads(bad)
    assert fastconv.get_num_threads() == 5


def test_the_default_respects_omp_num_threads_and_affinity():
    usable = len(os.sched_getaffinity(0))
    for asked, expected in [("1", 1), ("1,2", 1), ("1000", usable), ("nonsense", usable), ("0", usable)]:
        result = run("import fastconv; print(fastconv.get_num_threads())", OMP_NUM_THREADS=asked)
        assert 1 <= int(result.stdout) <= expected
    pinned = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import fastconv; print(fastconv.get_num_threads())"
    assert run(pinned).stdout.strip() == "1"


@pytest.mark.parametrize("setting", [
    {"OMP_PROC_BIND": "true"}, {"OMP_PROC_BIND": "close"}, {"OMP_PROC_BIND": "spread"}, {"OMP_PLACES": "cores"},
    {"GOMP_CPU_AFFINITY": "all"}, {"OMP_NUM_THREADS": "\u00b2"}, {"OMP_NUM_THREADS": "9" * 40},
], ids=str)  # fmt: skip
def test_a_bound_main_thread_does_not_hide_the_other_processors(setting):
    usable = sorted(os.sched_getaffinity(0))
    setting = {name: f"{usable[0]}-{usable[-1]}" if value == "all" else value for name, value in setting.items()}
    result = run("import fastconv; print(fastconv.get_num_threads())", **setting)
    assert result.stdout.strip() == str(min(len(usable), cores.quota() or len(usable))), result.stderr


def test_threads_that_are_bound_to_one_processor_are_one():
    result = run(
        "import fastconv; print(fastconv.get_num_threads())", GOMP_CPU_AFFINITY=str(min(os.sched_getaffinity(0)))
    )
    assert result.stdout.strip() == "1"


NESTED = "4:cpu,cpuacct:/user/job\n0::/slice/job\n"


@pytest.mark.parametrize(
    "membership, files, quota",
    [
        (None, {"cpu.max": "150000 100000"}, 2),
        (None, {"cpu.max": "max 100000"}, None),
        (None, {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        (None, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (None, {"cpu.max": "garbage"}, None),
        (None, {}, None),
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        (NESTED, {"slice/job/cpu.max": "150000 100000"}, 2),
        (NESTED, {"slice/job/cpu.max": "max 100000", "slice/cpu.max": "250000 100000", "cpu.max": "max"}, 3),
        (NESTED, {"unified/slice/job/cpu.max": "90000 100000"}, 1),
        (NESTED, {"cpu.max": "400000 100000"}, 4),  # in a container: the path is the host's
        (
            NESTED,
            {"cpu,cpuacct/user/job/cpu.cfs_quota_us": "350000", "cpu,cpuacct/user/job/cpu.cfs_period_us": "100000"},
            4,
        ),
        (NESTED, {"cpu/user/cpu.cfs_quota_us": "100000", "cpu/user/cpu.cfs_period_us": "100000"}, 1),
        ("nonsense", {"cpu.max": "150000 100000"}, 2),
        ("0::/../../etc\n", {"cpu.max": "150000 100000"}, 2),
    ],
)
def test_the_cgroup_quota_is_read(membership, files, quota, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    assert cores.quota(str(tmp_path), str(tmp_path / "membership")) == quota


def test_every_instruction_set_can_be_asked_for():
    for isa in kernels.build_info()["isas"]:
        result = run("import fastconv; print(fastconv.kernels.build_info()['isa'])", FASTCONV_ISA=isa)
        assert result.stdout.strip() == isa


def test_an_instruction_set_that_the_cpu_lacks_is_an_error():
    result = run("import fastconv", FASTCONV_ISA="avx4096")
    assert result.returncode != 0
    assert "FASTCONV_ISA must be one that this CPU runs, of baseline" in result.stderr
    with pytest.raises(ValueError, match="got 'sse9'"):
        kernels.use_isa("sse9")


def test_a_forked_child_runs_serially_and_finishes():
    result = run("""
        import os, numpy as np, fastconv
        x, w = np.ones((8, 64, 64, 16), 'f4'), np.ones((3, 3, 16, 32), 'f4')
        fastconv.set_num_threads(2)
        before = fastconv.kernels.conv_forward(x, w)
        child = os.fork()
        if child == 0:
            os._exit(0 if (fastconv.kernels.conv_forward(x, w) == before).all() else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert result.stdout.strip() == "0"


def test_the_import_prints_nothing_and_stays_light():
    result = run("""
        import sys, fastconv
        heavy = {'tqdm', 'safetensors', 'matplotlib', 'urllib.request', 'http', 'ssl', 'asyncio', 'unittest'}
        print(sorted(heavy & set(sys.modules)))
    """)
    # what NumPy itself loads is not ours to avoid
    loaded = run("import sys, numpy; print(sorted({'unittest', 'asyncio', 'ssl', 'http'} & set(sys.modules)))")
    assert result.stdout.strip() == loaded.stdout.strip() and result.stderr == ""


def test_an_uncompiled_tree_says_how_to_install(tmp_path):
    shutil.copytree(
        os.path.dirname(fastconv.__file__), tmp_path / "fastconv",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.npz"),
    )  # fmt: skip
    program = tmp_path / "tutorial.py"  # README's, say, saved in the clone
    command = "import sys; sys.argv = ['fastconv']; "
    for imports in ("import fastconv", "from fastconv import layers", command + "from fastconv import Sequential"):
        program.write_text(imports)
        last = python(program).stderr.splitlines()[-1]
        assert f"not compiled in its source folder, {tmp_path}, which hides an installed fastconv" in last
        assert "Save and run the program in another folder" in last and "`pip install -e .`" in last
