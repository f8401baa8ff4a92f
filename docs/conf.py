"""Sphinx' settings for fastconv's documentation: `sphinx-build -W docs build/html`.

Not the pages, and no list of names: reference.py writes the API's pages from each module's `__all__`. Contract: it
builds offline and without a warning, whether or not there are examples and packages for them; fastconv is the installed
one. Python in the pages is run by tests/test_docs.py, without Sphinx.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import fastconv

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import drawings  # noqa: E402  beside this file
import gallery  # noqa: E402
import reference  # noqa: E402

project, author = "fastconv", "the fastconv authors"
version = release = fastconv.__version__
html_title = f"fastconv {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["README.md", "scripts", "sg_execution_times.rst"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["fastconv.css"]
html_copy_source = html_show_sourcelink = html_show_copyright = html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "monokai"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

default_role = "code"  # docstrings put code into single backticks
autodoc_typehints = "none"  # signatures show names and defaults, as Keras' do; help() shows the types
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
add_module_names = False
toc_object_entries_show_parents = "hide"

if gallery.scripts():
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = gallery.settings()

# Outside of code, docstrings are plain text, in which stars, bars and last underscores mean themselves.
_CODE = re.compile(r"(`+[^`]+`+)")
_COMMON = re.compile(r"(activity_regularizer=None, )?trainable=True, .*name=None, input_shape=None\)$")
_MARKS = re.compile(r"[*|\\]|(?<=\w)_(?=\W|$)")


def plain(app, what, name, item, options, lines):
    """Docstrings' text outside of code and examples, made safe for reStructuredText; of a module's the first paragraph,
    since the rest is for who changes it."""
    if what == "module" and "" in lines:
        del lines[lines.index("") :]
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = _CODE.split(line)
            lines[number] = "".join(p if i % 2 else _MARKS.sub(r"\\\g<0>", p) for i, p in enumerate(parts))


def shortened(app, what, name, item, options, signature, returns):
    """A layer's signature without what every Layer takes."""
    if what == "class" and signature and issubclass(item, fastconv.Layer) and item is not fastconv.Layer:
        signature = _COMMON.sub("**kwargs)", signature).replace("(*, **", "(**").replace(", *, **", ", **")
    return signature, returns


def skipped(app, what, name, item, skip, options):
    """What scikit-learn gives each estimator, in the words of its own pages, which are not here."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def made(app):
    """Writes what the pages show: the API's pages, the drawings, and the pictures that pictures.md's own program draws.
    Runs start.md's program too, which draws."""
    reference.write(HERE / "api")
    drawings.write(HERE / "drawings")
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        for page, where in (("pictures.md", folder), ("start.md", aside)):
            subprocess.run([sys.executable, HERE / "running.py", HERE / page], cwd=where, check=True)


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", made)
    app.connect("autodoc-process-docstring", plain)
    app.connect("autodoc-process-signature", shortened)
    app.connect("autodoc-skip-member", skipped)
