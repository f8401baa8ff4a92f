"""The examples as pages: what sphinx-gallery is told about the folder `examples/`.

It executes the scripts in RUN, two minutes of them, and shows the pictures that they save; all else is shown without
pictures. Contract: without the folder there is no gallery; a script that needs a package beside fastconv's and matplotlib is
never executed here; nothing is written into the folder. The order is that of examples/README.md's table.
"""

import os
import pathlib
import re
import shutil
import sys

DOCS = pathlib.Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
COPIES = DOCS / "scripts"  # where sphinx-gallery reads them, beside a title for the page
PICTURES = "pictures"  # what the scripts are told as --out; the current folder is COPIES then
PLAIN = COPIES / "plain.png"
RUN = (
    "tutorial", "overfitting", "postcode_and_cheque", "autoencoder", "unet_masks", "grad_cam", "own_layer_and_loop",
    "numpy_inference", "moving_digits_3d", "voxel_shapes", "audio_tones",
)  # fmt: skip
HEADER = """Examples
========

Programs of less than 120 lines from the folder ``examples/``, which run offline in less than two minutes; the first line
of each says what it shows. Those with pictures were run when this page was built.
"""


def scripts() -> list[pathlib.Path]:
    """The examples that there are."""
    return [path for path in sorted(EXAMPLES.glob("*.py")) if path.stem not in ("common", "__init__")]


def settings() -> dict:
    """`sphinx_gallery_conf`."""
    shutil.rmtree(COPIES, ignore_errors=True)
    COPIES.mkdir()
    for path in EXAMPLES.glob("*.py"):
        shutil.copy2(path, COPIES)
    (COPIES / "GALLERY_HEADER.rst").write_text(HEADER)
    _draw_plain()
    os.environ["XDG_CACHE_HOME"] = str(COPIES)  # the data that come with fastconv, whatever this computer has
    os.environ["FASTCONV_OFFLINE"] = "1"
    for name in ("FASTCONV_DATA_DIR", "EXAMPLES_QUICK"):
        os.environ.pop(name, None)
    return {
        "examples_dirs": str(COPIES),
        "gallery_dirs": "examples",
        "filename_pattern": rf"/({'|'.join(RUN)})\.py$",
        "ignore_pattern": r"(common|__init__)\.py$",
        "within_subsection_order": Order,
        "default_thumb_file": str(PLAIN),
        "reset_argv": Arguments(),
        "image_scrapers": (Pictures(),),
        "reset_modules": (Fresh(),),
        "capture_repr": (),
        "download_all_examples": False,
        "show_memory": False,
        "show_signature": False,
        "min_reported_time": 1e9,
        "log_level": {"backreference_missing": "debug"},
    }


def _draw_plain():
    """The picture of a script that was not executed."""
    from matplotlib.figure import Figure

    figure = Figure((4, 2.8), facecolor="#eef1f4")
    figure.text(0.5, 0.5, "not run here", ha="center", va="center", fontsize=18, color="#5b6670")
    figure.savefig(PLAIN, dpi=100)


class Order:
    """A script's place on the page: that in the table of examples/README.md, others after it."""

    def __init__(self, folder):
        readme = EXAMPLES / "README.md"
        self.names = re.findall(r"\((\w+\.py)\)", readme.read_text(encoding="utf-8")) if readme.exists() else []

    def __call__(self, name):
        return (self.names.index(name) if name in self.names else len(self.names), name)


class Arguments:
    """The command line that scripts see: where their pictures go."""

    def __call__(self, gallery_conf, script_vars):
        return ["--out", PICTURES]

    def __repr__(self):
        return "arguments"


class Fresh:
    """Before each script: what a process of its own would have, such as layers numbered from the start."""

    def __call__(self, gallery_conf, script):
        import fastconv

        sys.modules.pop("common", None)  # which reads the command line when it is imported
        fastconv.backend.clear_session()

    def __repr__(self):
        return "fresh"


class Pictures:
    """Takes the pictures that a block of a script has saved into the page."""

    def __call__(self, block, block_vars, gallery_conf):
        from sphinx_gallery.scrapers import figure_rst

        shown = ""
        for path in sorted((COPIES / PICTURES).glob("*.png"), key=lambda path: path.stat().st_mtime_ns):
            name = next(block_vars["image_path_iterator"])
            shutil.move(path, name)
            shown += figure_rst([name], gallery_conf["src_dir"], path.stem.replace("_", " "))
        return shown

    def __repr__(self):
        return "pictures"
