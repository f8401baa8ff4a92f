"""The programs in examples/, each run in its short form as a user would run it; their form, and their table.

Not what they teach: a reader judges that. Contract: in a folder of its own and without a network, each ends with status 0,
or with 2 and the line that says what to install, which skips; what it says that it wrote are PNG files.
"""

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "common")


def run(cwd, *arguments):
    """The ended process of Python with these arguments: an example's short form, away from the network and from data."""
    environment = {
        **os.environ, "EXAMPLES_QUICK": "1", "FASTCONV_OFFLINE": "1", "XDG_CACHE_HOME": str(cwd),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip  # one thread: on a machine that runs other tests too, several wait for one another
    environment.pop("FASTCONV_DATA_DIR", None)
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def png_size(path):
    """(width, height) of a PNG file, by its header; it must end as one too."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR" and content[-8:-4] == b"IEND", path
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_writes_the_pictures_that_it_names(name, tmp_path):
    done = run(tmp_path, FOLDER / f"{name}.py", "--out", "pictures")
    missing = re.search(r"^needs: (.+)$", done.stdout, re.MULTILINE)
    if done.returncode == 2 and missing:
        pytest.skip(f"{name}.py needs: {missing[1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    wrote = [tmp_path / line[6:] for line in done.stdout.splitlines() if line.startswith("wrote ")]
    assert wrote and sorted(wrote) == sorted((tmp_path / "pictures").glob("*.png"))
    for path in wrote:
        assert all(size >= 120 for size in png_size(path)), path


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_the_form_that_its_readers_expect(name):
    text = (FOLDER / f"{name}.py").read_text()
    title, line, *_ = ast.get_docstring(ast.parse(text)).splitlines()
    assert set(line) == {"="} and len(line) == len(title) and "\n# %%\n" in text
    assert len(text.splitlines()) < 120


def test_the_table_lists_every_example():
    listed = re.findall(r"^\| \[`(\w+)\.py`\]\(\1\.py\) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed)) and set(listed) == set(EXAMPLES)


@pytest.mark.skipif(not EXAMPLES, reason="the examples are not here")
def test_a_missing_package_is_named_in_one_line(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")  # the current folder comes first with -c
    done = run(tmp_path, "-c", f"import sys; sys.path.insert(1, {str(FOLDER)!r}); import {EXAMPLES[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (2, "needs: pip install 'fastconv[plot]'\n", "")
