"""Names that are not in fastconv: what to say instead of a bare AttributeError.

It imports nothing and knows no module; each public module gets its `__getattr__` here, by its `__all__`. Contract: the
error is an AttributeError, so that hasattr and getattr with a default work; it gives the reason for a name of Keras' that
is left out, our name for what PyTorch calls otherwise, or near names, or says where all names are listed.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import NoReturn

_TEXT = (
    "it is for images, sound and series; number texts and categories before, as np.unique(x, return_inverse=True) does"
)
_OTHERS = "layers of other frameworks do not run here; model.load_weights takes weights that they saved"
_PRECISION = "it computes in float32 and float64, which CPUs do fastest; inputs of float16 are taken"
_REAL = "it computes with real numbers; ops.fft and its like take and give pairs of them"
_MEMORY = "nothing is computed twice to save memory; programs share memory by lifetime"
_PICTURES = "fastconv.plotting and utils.plot_model draw networks and what they see; boxes on images are matplotlib's"
_WHOLE = "each process holds the whole model; batches are shared out by DataParallel"

REASONS = {
    "StatelessScope": "layers keep their weights, and gradients come from the tape: see fastconv.value_and_grad",
    "SymbolicScope": "shapes come from compute_output_shape, or a layer called on fastconv.Input",
    "RematScope": _MEMORY, "remat": _MEMORY,
    "device": "there is one device, the CPU; leave the block out, or see fastconv.set_num_threads",
    "DeviceMesh": _WHOLE, "LayoutMap": _WHOLE, "ModelParallel": _WHOLE, "TensorLayout": _WHOLE, "distribute_tensor": _WHOLE,
    "mixed_precision": _PRECISION, "LossScaleOptimizer": _PRECISION, "quantizers": "it computes in float32 and float64",
    "Quantizer": "it computes in float32 and float64",
    "export": "it writes no other framework's formats; keep models with model.save",
    "visualization": _PICTURES, "draw_bounding_boxes": _PICTURES, "plot_image_gallery": _PICTURES,
    "StringLookup": _TEXT, "IntegerLookup": _TEXT, "TextVectorization": _TEXT, "Hashing": _TEXT, "HashedCrossing": _TEXT,
    "FeatureSpace": _TEXT, "text_dataset_from_directory": _TEXT,
    "audio_dataset_from_directory": "read sound with a package for it, and make batches with fastconv.data.Dataset",
    "TFSMLayer": _OTHERS, "JaxLayer": _OTHERS, "FlaxLayer": _OTHERS, "TorchModuleWrapper": _OTHERS,
    "enable_unsafe_deserialization": "files cannot run code here; register your own classes with "
    "@fastconv.saving.register_keras_serializable()",
    "angle": _REAL, "conj": _REAL, "conjugate": _REAL, "imag": _REAL, "real": _REAL, "polar": _REAL,
    "view_as_complex": _REAL, "view_as_real": _REAL,
    "list_physical_devices": "there is one device, the CPU; see fastconv.get_num_threads()",
    "AUTOTUNE": "prefetch and num_parallel_calls take -1 for it",
}  # fmt: skip
TORCH = {  # PyTorch's names that no near name explains, and ours below fastconv
    "nn": "layers", "optim": "optimizers", "lr_scheduler": "schedules", "manual_seed": "utils.set_random_seed",
    "Module": "Model", "Linear": "layers.Dense", "DataLoader": "data.Dataset", "from_numpy": "Tensor",
    "cat": "ops.concatenate", "permute": "ops.transpose", "unsqueeze": "ops.expand_dims", "bmm": "ops.matmul",
    "mm": "ops.matmul", "interpolate": "ops.image.resize", "MSELoss": "losses.MeanSquaredError",
    "L1Loss": "losses.MeanAbsoluteError", "BCEWithLogitsLoss": "losses.BinaryCrossentropy(from_logits=True)",
    "CrossEntropyLoss": "losses.SparseCategoricalCrossentropy(from_logits=True)",
    "CosineAnnealingLR": "schedules.CosineDecay",
}  # fmt: skip


def explain(module: str, known: Collection[str]) -> None:
    """Gives a module of these names its `__getattr__`; type checkers, which would then take any name, do not see it."""

    def __getattr__(name: str) -> NoReturn:
        raise Absent(module, name, known)

    setattr(sys.modules[module], "__getattr__", __getattr__)  # noqa: B010  mypy knows no such attribute


class Absent(AttributeError):
    """The error for a name that a module does not have; its text is made when it is read, since hasattr reads none."""

    def __str__(self):
        module, name, known = self.args
        text = f"module {module!r} has no attribute {name!r}"
        if name.startswith("_"):
            return text
        if name in REASONS:
            return f"{text}: {REASONS[name]}."
        if name in TORCH:
            return f"{text}: what PyTorch calls so is fastconv.{TORCH[name]} here."
        near = near_names(name, known)
        if near:
            return f"{text}. Did you mean {' or '.join(map(repr, near))}?"
        return f"{text}: it is not in fastconv. dir({module}) lists what there is."


Absent.__module__, Absent.__qualname__ = "builtins", "AttributeError"  # how Python prints it, and users know it


def near_names(name: str, known: Collection[str]) -> list[str]:
    """Up to three of the known names that may have been meant, the nearest first; case and underscores do not matter."""
    import difflib

    ordered = sorted(
        known, key=lambda entry: entry[:1].isupper() == name[:1].isupper()
    )  # a class for a class: last, it stays
    spelled = {_fold(entry): entry for entry in ordered}
    return [spelled[match] for match in difflib.get_close_matches(_fold(name), spelled, n=3, cutoff=0.6)]


def _fold(name):
    return name.lower().replace("_", "")
