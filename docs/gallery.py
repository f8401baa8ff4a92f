"""The examples as pages: what sphinx-gallery is told about the folder `examples/`.

It executes the few scripts in RUN, in their short form, and shows the pictures that they save; the others are shown as
they are. Contract: without the folder there is no gallery; a script that needs a package beside fastconv's and
matplotlib is never executed here.
"""

import os
import pathlib
import re
import shutil
import tempfile

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
RUN = ("tutorial", "overfitting", "grad_cam", "autoencoder", "unet_masks", "moving_digits_3d", "voxel_shapes")


def scripts() -> list[pathlib.Path]:
    """The examples that there are."""
    return [path for path in sorted(EXAMPLES.glob("*.py")) if path.stem not in ("common", "__init__")]


def settings() -> dict:
    """`sphinx_gallery_conf`."""
    os.environ.setdefault("EXAMPLES_QUICK", "1")
    out = pathlib.Path(tempfile.mkdtemp(prefix="fastconv-examples-"))
    return {
        "examples_dirs": str(EXAMPLES),
        "gallery_dirs": "examples",
        "filename_pattern": rf"/({'|'.join(RUN)})\.py$",
        "ignore_pattern": r"(common|__init__)\.py$",
        "reset_argv": _Arguments(out),
        "image_scrapers": (_Pictures(out),),
        "capture_repr": (),
        "download_all_examples": False,
        "show_memory": False,
        "show_signature": False,
        "min_reported_time": 1e9,
        "reset_modules": (),
        "log_level": {"backreference_missing": "debug"},
    }


class _Arguments:
    """The command line that scripts see: their pictures go to a folder of their own."""

    def __init__(self, out):
        self.out = out

    def __call__(self, gallery_conf, script_vars):
        return ["--out", str(self.out)]

    def __repr__(self):
        return "arguments"


class _Pictures:
    """Takes the pictures that a block of a script has saved into the page."""

    def __init__(self, out):
        self.out = out

    def __call__(self, block, block_vars, gallery_conf):
        from sphinx_gallery.scrapers import figure_rst

        names = []
        for path in sorted(self.out.rglob("*.png"), key=lambda path: path.stat().st_mtime_ns):
            name = next(block_vars["image_path_iterator"])
            shutil.move(path, name)
            names.append((name, re.sub("[_-]", " ", path.stem)))
        return "".join(figure_rst([name], gallery_conf["src_dir"], title) for name, title in names)

    def __repr__(self):
        return "pictures"
