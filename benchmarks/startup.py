"""What a framework costs before and beside computing: import time, installed size, memory while training.

Contract: `measure` returns {"imports": {label: seconds}, "installed": {label: {"own", "all": bytes}}, "wheel": bytes
or None, "memory": {contestant: {"data", "loaded", "peak": bytes}}}; what is not installed is left out. Imports are
timed in fresh processes, files already cached by the system; the memory is the process's, framework included.
"""

import json
import os
import statistics
import subprocess
import sys
import zipfile

from . import ROOT, suites
from .contestants import CONTESTANTS, interpreter

IMPORTS = (  # label, whose interpreter and variables, statement
    ("numpy", "fastconv", "import numpy"),
    ("fastconv", "fastconv", "import fastconv"),
    ("fastconv, with layers and models", "fastconv", "from fastconv import layers, models, datasets, utils"),
    ("PyTorch", "torch", "import torch"),
    ("Keras/TensorFlow", "keras-tf", "import keras"),
    ("Keras/JAX", "keras-jax", "import keras"),
    ("ONNX Runtime", "onnxruntime", "import onnxruntime"),
)
DISTRIBUTIONS = (  # label, whose interpreter, any of these
    ("PyTorch", "torch", ("torch",)),
    ("Keras/TensorFlow", "keras-tf", ("keras", "tensorflow", "tensorflow-cpu")),
    ("Keras/JAX", "keras-jax", ("keras", "jax", "jaxlib")),
    ("ONNX Runtime", "onnxruntime", ("onnxruntime",)),
)
NEEDED = ("numpy", "tqdm", "safetensors")  # by fastconv
IN_THE_WHEEL = (".py", ".so", ".npz", ".typed")  # of the package's files in an editable install


def measure(settings, results, wheel=None):
    wheel = wheel or _newest_wheel()
    return {
        "imports": _imports(settings, repeats=max(settings.rounds, 3)),
        "installed": _installed(settings, wheel),
        "wheel": os.path.getsize(wheel) if wheel else None,
        "memory": suites.memory(settings, results),
    }


def _imports(settings, repeats):
    """Interleaved; the first round only fills the system's file cache."""
    seconds = {}
    for turn in range(repeats + 1):
        for label, name, statement in IMPORTS:
            program = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
            output = _output(settings, name, ["-c", program])
            if output and turn:
                seconds.setdefault(label, []).append(float(output.split()[-1]))
    return {label: statistics.median(times) for label, times in seconds.items()}


def _installed(settings, wheel):
    sizes = {"fastconv": _our_size(settings, wheel)}
    for label, name, distributions in DISTRIBUTIONS:
        output = _output(settings, name, ["-m", "benchmarks.sizes", *distributions], cwd=ROOT)
        if output:
            sizes[label] = json.loads(output)
    return sizes


def _our_size(settings, wheel):
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            own = sum(member.file_size for member in archive.infolist())
    else:
        files = (ROOT / "fastconv").rglob("*")
        own = sum(path.stat().st_size for path in files if path.suffix in IN_THE_WHEEL or path.name == "py.typed")
    output = _output(settings, "fastconv", ["-m", "benchmarks.sizes", *NEEDED], cwd=ROOT)
    return {"own": own, "all": own + (json.loads(output)["all"] if output else 0)}


def _newest_wheel():
    wheels = sorted((ROOT / "dist").glob("fastconv-*.whl"), key=os.path.getmtime)
    return wheels[-1] if wheels else None


def _output(settings, name, arguments, cwd=None):
    """What a contestant's Python prints, or None where it fails: the framework is not there."""
    contestant = CONTESTANTS[name]
    command = [interpreter(contestant, settings.pythons), *arguments]
    cwd, env = cwd or suites.package_folder(), {**os.environ, **contestant.variables}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=env)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return None
    return done.stdout if done.returncode == 0 else None
