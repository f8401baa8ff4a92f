"""The documentation without Sphinx: its programs run, its links lead somewhere, the names in it exist; and the examples
in docstrings print what they say.

docs/gradients.md is run by test_gradients.py; start.md and pictures.md, which draw, by the build (docs/conf.py).
"""

import doctest
import importlib
import inspect
import pathlib
import re
import runpy
import subprocess
import sys
from contextlib import suppress

import pytest

import fastconv

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
RUN = ("index", "keras", "pytorch", "kernels", "threads", "reproducibility", "files")
MADE = ("api", "drawings", "examples", "pictures")  # folders that the build writes
USED = ("Sequential", "Model", "Model.fit", "Model.save", "models.load_model", "Input", "layers.Conv1D", "layers.Conv2D",
        "layers.Conv3D", "layers.MaxPooling2D", "layers.Dense", "grad", "ops.conv", "plotting.filters", "kernels.explain",
        "datasets.mnist.load_data", "utils.to_categorical")  # fmt: skip
PUBLIC = {}
for entry in fastconv.__all__:
    with suppress(ImportError):  # a module whose extra is not installed
        PUBLIC[entry] = getattr(fastconv, entry)
MODULES = {name: thing for name, thing in PUBLIC.items() if inspect.ismodule(thing)}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@each_page
def test_the_python_of_a_page_compiles(page):
    for line, code, _ in runpy.run_path(str(DOCS / "running.py"))["blocks"](page):
        compile("\n" * line + code, page.name, "exec")


@pytest.mark.parametrize("name", RUN)
def test_the_python_of_a_page_runs(name, tmp_path):
    command = [sys.executable, DOCS / "running.py", DOCS / f"{name}.md"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@each_page
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        path, _, anchor = target.partition("#")
        if "://" in target or path.split("/")[0] in MADE:
            continue
        linked = page if not path else DOCS / path
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in _anchors(linked), f"{page.name} links to {target}"


def _anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_pictures_that_a_page_shows_are_drawn(page):
    """Those in docs/pictures by the program of pictures.md."""
    drawn = set(re.findall(r"\"([\w.]+\.(?:png|svg))\"", (DOCS / "pictures.md").read_text(encoding="utf-8")))
    shown = re.findall(r"\(pictures/([^)]+)\)", page.read_text(encoding="utf-8"))
    assert set(shown) <= drawn


@each_page
def test_names_and_files_in_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:fastconv|" + "|".join(MODULES) + r")(?:\.[A-Za-z_]\w*)+)(?!/)", text):
        if not re.search(r"\.(safetensors|keras|h5|png|py)$", name):
            assert _thing(name) is not None, f"{page.name} names {name}"
    for name in re.findall(r"^\|[^|]*\| `([A-Z]\w+)\(", text, re.M) if page.stem == "pytorch" else ():
        assert hasattr(fastconv.layers, name), f"{page.name} names {name}"
    for path in re.findall(r"`((?:fastconv|tests|benchmarks|tools)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def _thing(name):
    """What this is the name of, with or without "fastconv." before it; None for nothing."""
    thing = fastconv
    for part in name.removeprefix("fastconv.").split("."):
        if inspect.ismodule(thing) and not hasattr(thing, part):
            try:
                importlib.import_module(f"{thing.__name__}.{part}")
            except ImportError:
                return None
        thing = getattr(thing, part, None)
    return thing


def _members(cls):
    """The names that a class and those of its bases which are ours define."""
    return [name for base in cls.__mro__ if base.__module__.startswith("fastconv") for name in vars(base)]


def _examples():
    """name -> docstring, of everything public that has an example; once where a thing has several names."""
    found = {}

    def look(name, thing, depth=0):
        doc = getattr(thing, "__doc__", None)
        if isinstance(doc, str) and ">>>" in doc and doc not in found.values():
            found[name] = doc
        inner = (
            ()
            if depth == 2
            else _members(thing)
            if inspect.isclass(thing)
            else dir(thing)
            if inspect.ismodule(thing)
            else ()
        )
        for own in inner:
            if not own.startswith("_"):
                look(f"{name}.{own}", getattr(thing, own, None), depth + 1)

    for name, thing in PUBLIC.items():
        look(name, thing)
    return found


EXAMPLES = _examples()


@pytest.mark.parametrize("name", USED)
def test_the_names_that_are_used_most_have_examples(name):
    assert _thing(name).__doc__ in EXAMPLES.values()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_docstring_prints_what_it_says(name, tmp_path, monkeypatch):
    if name.startswith("plotting."):
        pytest.importorskip("matplotlib")
    import numpy as np

    monkeypatch.chdir(tmp_path)
    fastconv.utils.set_random_seed(0)
    names = {"np": np, "fastconv": fastconv, **MODULES}
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(EXAMPLES[name]), names, name, None, None)
    printed = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=printed.append)
    assert not printed, "".join(printed)
