"""The house: imports go down the chain and never up, and the training path runs on our own kernels."""

import ast
import pathlib

import pytest

import fastconv

PACKAGE = pathlib.Path(fastconv.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

# Rooms, lowest first; a room may import from itself and from those below. `kernels` means the whole folder.
CHAIN = [
    {"files", "tensorfile", "absent", "notebook"},
    {"distribution"},
    {"custom_objects"},
    {"config", "rng", "registry", "nest"},
    {"serialization"},
    {"kernels"},
    {"data"},
    {"tensor", "tensor_methods", "edge", "protocols"},
    {"symbolic"},
    {"graph"},
    {"drawing"},
    {"ops", "autodiff", "testing"},
    {"fusion"},
    {"program"},
    {"parts"},
    {"random"},
    {"losses", "metrics", "optimizers", "schedules", "initializers", "regularizers", "constraints", "activations"},
    {"layers", "compiled", "variables"},
    {"planning"},
    {"modelfile", "kerasfile", "foreign", "backups", "callbacks", "progress", "batches"},
    {"results", "sources"},
    {"agreement"},
    {"sharding"},
    {"fitting"},
    {"trainer"},
    {"models"},
    {"saving"},
    {"backend", "dtype_policies", "tree"},
    {"datasets", "info", "applications"},
    {"downloads"},
    {"plotting"},
    {"utils"},
    {"sklearn"},
    {"wrappers"},
    {"preprocessing"},
    {"cli", "demo"},  # a command serves the page, which trains and draws by what commands share
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(CHAIN) for room in rooms}
FORBIDDEN = {"dot", "matmul", "einsum", "tensordot", "inner", "vdot", "convolve", "im2col", "sliding_window_view"}


def imported_rooms(name, tree):
    """The rooms of fastconv that a file imports anywhere in it, at the top or in a function."""
    folder = ["fastconv", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            modules = [".".join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            if parts[0] == "fastconv" and len(parts) > 1:
                yield parts[1]


def room_of(name):
    return name.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("name", [name for name in FILES if name != "__init__.py"])
def test_imports_go_down_the_chain(name):
    floor = FLOOR[room_of(name)]
    rooms = set(imported_rooms(name, ast.parse(FILES[name].read_text())))
    above = {room for room in rooms if FLOOR.get(room, -1) > floor}
    assert not above, f"{name} imports {above} from above it"


@pytest.mark.parametrize(
    "name", [name for name in FILES if room_of(name) in ("tensor", "ops", "layers", "models", "trainer")]
)
def test_the_training_path_multiplies_in_our_kernels_only(name):
    tree = ast.parse(FILES[name].read_text())
    products = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
    ]
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
              and isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy")}  # fmt: skip
    assert not products and not called & FORBIDDEN


def test_every_file_opens_with_what_it_is():
    for name, path in FILES.items():
        assert ast.get_docstring(ast.parse(path.read_text())), name


def test_nothing_runs_what_it_reads():
    for name, path in FILES.items():
        called = {node.func.id for node in ast.walk(ast.parse(path.read_text()))
                  if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
        assert not called & {"eval", "exec", "compile", "__import__"}, name
        assert "pickle.load" not in path.read_text(), name
