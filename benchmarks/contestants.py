"""Who takes part: one row a framework and configuration.

No framework is imported here. Contract: a contestant runs in its own process, in the interpreter given by
`--python NAME=PATH`, else by FASTCONV_BENCH_PYTHON_<NAME> (upper case, `-` as `_`), else in this interpreter; NAME is
the row's own name or its `environment`, so that one entry serves all rows of a framework.
"""

import os
import sys
from typing import NamedTuple


class Contestant(NamedTuple):
    name: str
    label: str
    adapter: str  # the module of benchmarks.adapters
    suites: tuple[str, ...]
    environment: str  # whose interpreter it shares
    options: dict = {}  # for the adapter
    variables: dict = {}  # environment variables; None: not set
    threads: int | None = None  # None: as many as asked for
    default: bool = True  # takes part unless --peers says otherwise


OURS = "fastconv"
NETWORKS = ("networks-train", "networks-infer")
TORCH_FORMATS = ("torch", "torch-cl")  # the two memory formats; a comparison takes the better one

CONTESTANTS = {row.name: row for row in (
    Contestant(OURS, "fastconv", "fastconv", ("conv", "pool", "dense", "layers", "train", "infer", *NETWORKS), OURS),
    Contestant("fastconv-exact", "fastconv, exact", "fastconv", ("conv",), OURS,
               options={"precision": "exact"}, default=False),
    Contestant("fastconv-1", "fastconv, 1 thread", "fastconv", ("train",), OURS, threads=1, default=False),
    Contestant("fastconv-avx2", "fastconv, AVX2", "fastconv", ("train",), OURS,
               variables={"FASTCONV_ISA": "avx2"}, default=False),
    Contestant("numpy", "NumPy", "numpy", ("dense",), OURS,
               variables={"OPENBLAS_CORETYPE": None, "OPENBLAS_L2_SIZE": None}),
    Contestant("torch", "PyTorch", "torch", ("conv", "pool", "dense", "layers", "train", "infer", *NETWORKS), "torch"),
    Contestant("torch-cl", "PyTorch channels_last", "torch", ("conv", "pool", "layers", "train", "infer", *NETWORKS), "torch",
               options={"channels_last": True}),
    Contestant("torch-compile", "PyTorch compiled", "torch", ("train", "infer", *NETWORKS), "torch",
               options={"compile": True}, default=False),
    Contestant("keras-tf", "Keras/TensorFlow", "keras", ("train", "infer", *NETWORKS), "keras-tf",
               variables={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}),
    Contestant("keras-jax", "Keras/JAX", "keras", ("layers", "train", "infer", *NETWORKS), "keras-jax",
               variables={"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}),
    Contestant("onnxruntime", "ONNX Runtime", "onnxruntime", ("infer", NETWORKS[1]), "onnxruntime"),
    Contestant("openvino", "OpenVINO", "openvino", (NETWORKS[1],), "openvino"),
)}  # fmt: skip


def interpreter(contestant, given):
    """The Python of a contestant; `given` is {name: path} from the command line."""
    for name in (contestant.name, contestant.environment):
        variable = "FASTCONV_BENCH_PYTHON_" + name.upper().replace("-", "_")
        path = given.get(name) or os.environ.get(variable)
        if path:
            return path
    return sys.executable
