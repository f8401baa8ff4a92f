"""Types: every public callable is annotated and shows its real parameters, and type checkers see what programs see."""

import ast
import importlib
import importlib.util
import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import fastconv
from fastconv.ops import methods
from fastconv.tensor_methods import TensorMethods

HERE = pathlib.Path(__file__).parent
PROGRAMS = sorted((HERE / "typing").glob("*.py"))
# Arguments of kernels are arrays, for ops.
MODULES = [name for name in fastconv._MODULES if name != "kernels"]
# Their arguments are any number of the same kind, or json.dumps'.
OPEN = {"update_state", "__call__", "range", "zip", "result_type", "stateless_call", "reshape", "transpose", "has_own",
        "set_params", "to_json"}  # fmt: skip


def public():
    """(name, function or class, how many leading parameters are self) of each public callable, once."""
    seen = set()
    for module in MODULES:
        module = importlib.import_module(f"fastconv.{module}")
        for name in module.__all__:
            thing = getattr(module, name)
            if id(thing) in seen or inspect.ismodule(thing):
                continue
            seen.add(id(thing))
            if not inspect.isclass(thing):
                if callable(thing):
                    yield f"{module.__name__}.{name}", thing, 0
                continue
            for base in thing.__mro__:
                if base.__module__.startswith("fastconv"):
                    yield from members(base, seen)


def members(cls, seen):
    for name, value in list(vars(cls).items()):
        if (cls, name) in seen or (name.startswith("_") and name not in ("__init__", "__call__")):
            continue
        seen.add((cls, name))
        title = f"{cls.__module__}.{cls.__name__}.{name}"
        if name == "__init__" and cls.__name__.startswith("_"):  # what is made are its subclasses
            continue
        if isinstance(value, property):
            yield title, value.fget, 1
        elif isinstance(value, (classmethod, staticmethod)):
            yield title, value.__func__, int(isinstance(value, classmethod))
        elif inspect.isfunction(value):
            yield title, value, 1


def lacks(function, skipped):
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[skipped:]
    found = [parameter.name for parameter in parameters if parameter.annotation is parameter.empty]
    if signature.return_annotation is signature.empty and function.__name__ != "__init__":
        found.append("return")
    return found


def test_every_public_callable_is_annotated():
    found = {title: lacks(function, skipped) for title, function, skipped in public()}
    assert not {title: names for title, names in found.items() if names}


def test_signatures_show_what_is_taken():
    """A constructor whose own signature ends in **kwargs hands them to a base class that names them."""
    hidden = []
    for title, function, skipped in public():
        parameters = list(inspect.signature(function).parameters.values())[skipped:]
        if parameters and all(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
            hidden.append(title)
    assert not [title for title in hidden if title.rpartition(".")[2] not in OPEN]


def test_tensors_have_the_methods_that_type_checkers_see():
    declared = {name for name in vars_of(TensorMethods) if not name.startswith("_") or name.startswith("__")}
    assert declared == set(methods.METHODS)


def vars_of(cls):
    """The names that the body of a class in `if TYPE_CHECKING:` defines, by its source."""
    tree = ast.parse(inspect.getsource(cls))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_type_checkers_see_the_top_as_programs_do():
    tree = ast.parse(pathlib.Path(fastconv.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}
    assert seen == {**{name: (None, name) for name in fastconv._MODULES},
                    **{name: (module, name) for name, module in fastconv._NAMES.items()}}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_lists_of_names_can_be_read_without_running(module):
    """Type checkers read `__all__` only where it is a list of strings."""
    path = pathlib.Path(importlib.import_module(f"fastconv.{module}").__file__)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            assert isinstance(node.value, ast.List) and all(
                isinstance(entry, ast.Constant) for entry in node.value.elts
            )


def test_type_checkers_accept_typical_programs(request, tmp_path):
    pytest.importorskip("mypy.api")
    cache = getattr(request.config, "cache", None)
    kept = cache.mkdir("mypy") if cache else tmp_path  # the first run reads all of fastconv and NumPy
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--allow-untyped-calls", "--follow-imports=silent",
         f"--cache-dir={kept}", *map(str, PROGRAMS)],
        capture_output=True, text=True, env={**os.environ, "MYPYPATH": str(HERE.parent)},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_run(path, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location(f"typed_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.run(str(tmp_path / "model.safetensors"))
