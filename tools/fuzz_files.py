"""Fuzzes what reads files: damaged and forged model files (Keras' too where h5py is installed), .npz and IDX files, and
paths that are no files.

It changes bytes, JSON and headers; most forgeries carry a right checksum, so that they get past it. Contract: every
case ends as a whole load, or as a ValueError or OSError that names the file, within SECONDS and MEMORY, and a model
that was to take the weights keeps its own. Cases run in children, so that a crash, a hang or a MemoryError is a failure
of its case and of no other. `--case N` runs one case and shows its traceback.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import importlib.util
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fastconv import Sequential, layers, models, optimizers
from fastconv.datasets import _formats
from tools.report import Report, arguments

SECONDS = 20  # for one case; most take milliseconds
MEMORY = 256 << 20  # bytes of address space that a child may take on top of what it has; files are smaller than 1 MB
RESIDENT = 64 << 20  # bytes that a child may really use
BATCH = 250  # cases a child
SHAPES = {"x_train": (6, 28, 28), "y_train": (6,), "x_test": (3, 28, 28), "y_test": (3,)}
ARRAYS = {name: np.random.default_rng(0).integers(0, 10, shape, np.uint8) for name, shape in SHAPES.items()}
ARCHIVES: list = []  # what valid_archives gives
DEEP = "a place for something deep"
HOSTILE = [
    None, True, False, 0, -1, 1, 3, 2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(2**63), 10**400, 0.5, -0.0,
    1e300, float("nan"), float("inf"), "", "x", "same", "F64", "BF16", "float64", "softmax", "os.system", "__class__",
    "\ud800", "\0", "a/b", "9" * 5000, "x" * 100_000, [], {}, [[]], [None], [1] * 1000, [2**31 - 1] * 3,
    [[0, 2**31 - 1]] * 2, DEEP,
    {"class_name": "Sequential", "config": {"layers": []}}, {"class_name": "Zeros", "config": {"value": 1}},
    {"class_name": [], "config": 3}, *layers.__all__,
]  # fmt: skip
NPY_TEXTS = ["'", '"""', "\\", "#", "\n ", "9", "0x", "1e9", "L", "\0", "\xff", "lambda", "None", *"([{-~,:"]


# Changes


def some_bytes(rng, content):
    """`content` with a few bits or bytes changed, cut, repeated or put in."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place, length = rng.randrange(len(content) + 1), rng.choice((1, 1, 4, 8, 64, 4096))
        kind = rng.randrange(7)
        if kind < 3 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 3:
            content[place : place + length] = bytes([rng.choice((0, 1, 127, 128, 255))]) * length
        elif kind == 4:
            content[place:place] = content[place : place + length] or rng.randbytes(length)
        elif kind == 5:
            del content[place : place + length]
        else:
            del content[place:]
    return bytes(content)


def some_json(rng, value):
    """`value`, of which a few parts were replaced, taken away, repeated or renamed."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        parts = list(containers(value))
        if not parts:
            return copy.deepcopy(rng.choice(HOSTILE))
        part = rng.choice(parts)
        key = rng.choice(list(part) if isinstance(part, dict) else range(len(part)))
        kind = rng.randrange(6)
        if kind < 3:
            part[key] = copy.deepcopy(rng.choice(HOSTILE))
        elif kind == 3:
            del part[key]
        elif isinstance(part, list):
            part.append(copy.deepcopy(part[key]))
        else:
            name = rng.choice([*part, "name", "__metadata__", "dense/kernel", "x"])
            part[name] = copy.deepcopy(part[key]) if kind == 4 else part.pop(key)
    return value


def containers(value):
    """Every filled list or dict in `value`."""
    if isinstance(value, (list, dict)) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


def dumped(rng, value) -> str:
    depth = rng.choice((10, 900, 100_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    text = json.dumps(value)
    return text.replace(json.dumps(DEEP), opening * depth + "1" + closing * depth)


# Model files


def valid_models(folder) -> list:
    """(content, the model in it) of a few small files."""
    plain = [layers.Conv2D(4, 3, padding=((1, 0), (0, 1)), groups=2, activation="relu", input_shape=(6, 6, 2)),
             layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.2, seed=3), layers.Dense(3)]  # fmt: skip
    body = Sequential([layers.Conv1D(2, 3, name="first"), layers.ReLU(6.0), layers.AveragePooling1D(2)], name="body")
    nested = [layers.Input((None, 2)), body, layers.GlobalMaxPooling1D(), layers.Dense(2, dtype="float64")]
    found, momentum = [], optimizers.SGD(0.1, 0.9, nesterov=True)
    for stack, optimizer in ((plain, "adam"), (nested, momentum), ([layers.Dense(1), layers.Softmax()], None)):
        model = Sequential(stack)
        model.build((None, *(model.input_shape or (None, 4))[1:]))
        if optimizer:
            model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
            for weight in model.trainable_weights:
                model.optimizer.slot_arrays(weight)
        model.save(folder / "valid.safetensors")
        found.append(((folder / "valid.safetensors").read_bytes(), model))
    return found


def some_model(rng, content) -> bytes:
    """`content` with other bytes, another header, or another config under a right checksum."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    kind = rng.choice(("bytes", "header bytes", "length", "header", "config", "config", "config", "compile"))
    if kind == "bytes":
        return some_bytes(rng, content)
    text = None
    if kind == "length":
        other = rng.choice((0, 1, 2, length - 1, length + 1, len(content), 10**7, 10**8 + 1, 2**31, 2**63, 2**64 - 1))
        return other.to_bytes(8, "little") + content[8:]
    if kind == "header bytes":
        text = some_bytes(rng, content[8 : 8 + length])
    elif kind == "header":
        header = some_json(rng, header)
    else:
        name = "model" if kind == "config" else "compile"
        facts = header["__metadata__"]
        facts[name] = dumped(rng, some_json(rng, json.loads(facts.get(name, "{}"))))
    if text is None:
        with contextlib.suppress(Exception):  # where nothing can be summed up, the old checksum stays
            header["__metadata__"]["checksum"] = checksum_of(header, data)
        text = dumped(rng, header).encode()
    return len(text).to_bytes(8, "little") + text + data


def checksum_of(header, data) -> str:
    facts, total = header["__metadata__"], 0
    for key in sorted(facts.keys() - {"checksum"}):
        total = zlib.crc32(f"{key}={facts[key]}\n".encode(), total)
    for name in sorted(header.keys() - {"__metadata__"}):
        begin, end = header[name]["data_offsets"]
        total = zlib.crc32(data[begin:end], zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def model_case(rng, folder, valid):
    content, model = rng.choice(valid)
    path = folder / "fuzzed.safetensors"
    path.write_bytes(some_model(rng, content))
    if not rng.randrange(20):
        os.truncate(path, rng.choice((1 << 30, 1 << 34)))  # a sparse file
    loaded = named(path, models.load_model, path, compile=bool(rng.randrange(4)))
    if loaded is not None:
        with contextlib.suppress(ValueError):  # an axis that no input has is met when the layers are called
            loaded.summary(print_fn=str)
        json.dumps(loaded.get_config())
    before = model.get_weights()
    if named(path, model.load_weights, path) is None:
        return
    if not same(before, model.get_weights()):
        raise AssertionError("a load that failed changed the weights")


def valid_archives(folder) -> list:
    """(name, content, the model in it) of Keras' two kinds of files; none where h5py is missing."""
    if importlib.util.find_spec("h5py") is None:
        return []
    stack = [layers.Input((6, 6, 2)), layers.Conv2D(4, 3, padding="same", groups=2, activation="relu"),
             layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.2, seed=3), layers.Dense(3)]  # fmt: skip
    model = Sequential(stack)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.save(folder / "valid.keras")
    model.save_weights(folder / "valid.weights.h5")
    return [(name, (folder / name).read_bytes(), model) for name in ("valid.keras", "valid.weights.h5")]


def archive_case(rng, folder, valid):
    name, content, model = rng.choice(ARCHIVES)
    path = folder / name
    path.write_bytes(
        some_archive(rng, content) if path.suffix == ".keras" and rng.randrange(3) else some_bytes(rng, content)
    )
    before = model.get_weights()
    if path.suffix == ".keras":
        named(path, models.load_model, path, compile=bool(rng.randrange(2)))
    elif named(path, model.load_weights, path) is None and not same(before, model.get_weights()):
        raise AssertionError("a load that failed changed the weights")


def some_archive(rng, content) -> bytes:
    """A zip file whose members are changed and renamed, under right checksums."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", rng.choice((0, 8))) as new:
        for name in old.namelist():
            member = old.read(name)
            if not rng.randrange(2):
                if name.endswith(".json") and rng.randrange(4):
                    member = dumped(rng, some_json(rng, json.loads(member))).encode("utf-8", "surrogatepass")
                else:
                    member = some_bytes(rng, member)
            new.writestr(rng.choice((*[name] * 8, name + "x", "../" + name, "/" + name)), member)
    return stream.getvalue()


def same(arrays, others) -> bool:
    return all(np.array_equal(one, other, equal_nan=True) for one, other in zip(arrays, others, strict=True))


def path_case(rng, folder, valid):
    path = folder / rng.choice(("pipe", "folder", "loop", "nothing", "folder/nothing", "x" * 300, "null", "zero"))
    if path.name == "pipe":
        os.mkfifo(path)
    elif path.name == "loop":
        path.symlink_to(path)
    elif path.name in ("null", "zero"):
        path.symlink_to(f"/dev/{path.name}")
    elif path.name == "folder":
        path.mkdir()
    if named(path, rng.choice((models.load_model, valid[0][1].load_weights)), path) is not None:
        raise AssertionError(f"{path.name} was loaded")


# Data sets


def npz_case(rng, folder, valid):
    stream, kind = io.BytesIO(), rng.randrange(4)
    with zipfile.ZipFile(stream, "w", rng.choice((0, 0, 8))) as archive:
        for name, array in ARRAYS.items():
            member = io.BytesIO()
            np.save(member, array)
            content = member.getvalue()
            if kind == 1 and not rng.randrange(2):
                content = some_bytes(rng, content)
            elif kind >= 2 and not rng.randrange(2):
                content = some_npy(rng, content)
            archive.writestr(rng.choice((name, name, name, "x_train")) + ".npy", content)
    content = stream.getvalue()
    if kind == 0 or not rng.randrange(8):
        content = some_bytes(rng, content)
    file = folder / "fuzzed.npz"
    check_arrays(named(file, _formats.read_npz, io.BytesIO(content), SHAPES, str(file)), SHAPES)


def some_npy(rng, content) -> bytes:
    """An .npy file with another header text."""
    length = int.from_bytes(content[8:10], "little")
    text = content[10 : 10 + length].decode("latin1").rstrip()
    for _ in range(rng.choice((1, 1, 2, 4))):
        place, span = rng.randrange(len(text) + 1), rng.choice((0, 1, 1, 5, 30))
        text = text[:place] + rng.choice(NPY_TEXTS) * rng.choice((0, 1, 1, 2, 200, 9000)) + text[place + span :]
    text = (text + rng.choice(("\n", "", "   \n"))).encode("latin1")[: 2**16 - 1]
    return content[:8] + len(text).to_bytes(2, "little") + text + content[10 + length :]


def idx_case(rng, folder, valid):
    name, array = rng.choice(list(ARRAYS.items()))
    content = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
    content = rng.choice((some_bytes(rng, content), content + bytes(rng.choice((1, 1 << 20, 1 << 24)))))
    if rng.randrange(2):
        content = gzip.compress(content, 1)
        if rng.randrange(2):
            content = some_bytes(rng, content)
    file = folder / name
    array = named(file, _formats.read_idx, io.BytesIO(content), SHAPES[name], str(file))
    check_arrays(None if array is None else {name: array}, {name: SHAPES[name]})


def check_arrays(arrays, shapes):
    if arrays is not None:
        found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
        if found != {name: (np.uint8, shape) for name, shape in shapes.items()}:
            raise AssertionError(f"got {found}")


# Children


def named(path, function, *args, **kwargs):
    """What the call returns; None where it raised an error that names the path. load_weights returns True here."""
    try:
        result = function(*args, **kwargs)
    except (ValueError, OSError) as error:
        if str(path) not in str(error):
            raise AssertionError(f"{type(error).__name__} does not name the file: {error}") from error
        cause = error
        while cause := cause.__cause__:
            if isinstance(cause, MemoryError) and path.suffix == ".safetensors":  # NumPy's headers may be too deep
                raise AssertionError("it asked for more memory than there is") from error
        return None
    return True if result is None else result


def run_case(case, seed, valid):
    rng = random.Random(f"{seed}/{case}")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        kinds = (model_case,) * 6 + (npz_case,) * 3 + (idx_case, path_case) + (archive_case,) * (4 if ARCHIVES else 0)
        rng.choice(kinds)(rng, folder, valid)
    finally:
        shutil.rmtree(folder)


def child(cases, seed, valid, out):
    """Runs the cases; writes a line when one begins, and what went wrong with it, if anything."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY,) * 2)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for case in cases:
        print(case, file=out, flush=True)
        signal.alarm(SECONDS)
        try:
            run_case(case, seed, valid)
            used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - start
            if used > RESIDENT:
                raise AssertionError(f"it took {used >> 20} MB")  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 (anything else than a ValueError is what is looked for)
            problem = f"{type(error).__name__}: {error}"[:500].encode("unicode_escape").decode()
            print(case, problem, file=out, flush=True)
            start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run(cases, seed, valid, report):
    """Runs the cases in children, a new one after each that died."""
    while cases:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                child(cases[:BATCH], seed, valid, out)
            os._exit(0)
        os.close(writer)
        problems = {}
        with os.fdopen(reader) as lines:
            for line in lines:
                case, _, problem = line.rstrip("\n").partition(" ")
                problems[int(case)] = problem
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            last = max(problems, default=cases[0])
            problems[last] = "it hung" if status == -signal.SIGALRM else f"the process died ({status})"
        for case, problem in problems.items():
            again = f"python -m tools.fuzz_files --seed {seed} --case {case}"
            report.case(f"{problem} ({again})" if problem else None)
        cases = cases[len(problems) :]


def main() -> int:
    def options(parser):
        parser.add_argument("--case", type=int, help="run this case alone, and in this process")

    given = arguments("fuzz_files", __doc__.partition("\n")[0], 20_000, 2_000, options)
    report = Report("fuzz_files", given.seed)
    warnings.simplefilter("ignore")  # a name that is in an archive twice, a header as Python 2 wrote it
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        valid = valid_models(Path(folder))
        ARCHIVES.extend(valid_archives(Path(folder)))
        if given.case is not None:
            try:
                run_case(given.case, given.seed, valid)
                report.case()
            except Exception:  # noqa: BLE001
                traceback.print_exc()
                report.case(f"case {given.case}")
            return report.close()
        run(list(range(given.cases)), given.seed, valid, report)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
