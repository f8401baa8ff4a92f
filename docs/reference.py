"""The API's pages, one a public module, written from `__all__` when the documentation is built.

No text of its own: what a page says are the docstrings of the module and of its names. Contract: every public name
stands once on its module's page, under the file that defines it, other names of the same thing beside it; a file is
written only where it changes, so that Sphinx reads again what is new.
"""

import importlib
import inspect
import pathlib
import sys
from contextlib import suppress

import fastconv

ONE_PAGE = {"kernels"}  # modules in whose __all__ the modules that define the functions are helpers
LATER = {"backend", "saving", "utils"}  # modules that repeat names of others
SUBMODULES = {"ops": ["image"]}  # public, though not in __all__
WHOLE = ("fastconv.models.Model", "fastconv.models.Sequential")  # whose inherited methods stand there too


def write(folder: pathlib.Path) -> None:
    """Writes the pages and their index into `folder`, and drops pages of modules that are gone."""
    found = _loaded()
    modules = [name for name, thing in found.items() if inspect.ismodule(thing)]
    homes, pages = {}, {"fastconv": ""}
    for name in sorted(modules, key=lambda name: (name in LATER, name)):
        module = getattr(fastconv, name)
        pages[f"fastconv.{name}"] = _page(module, module.__all__, homes, inner=name not in ONE_PAGE)
    top = [name for name in found if name not in modules and name != "__version__"]
    pages["fastconv"] = _page(fastconv, top, homes)
    pages = dict(sorted(pages.items()))
    pages["index"] = _title("API", "=") + (
        "What is public, module by module, in the words of its docstrings; ``help(name)`` shows the same, with types.\n\n"
        ".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {page}\n" for page in pages)
    )
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for page, text in pages.items():
        path = folder / f"{page}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _loaded():
    """name -> thing of fastconv's public names, but for modules whose extra is not installed."""
    found = {}
    for name in fastconv.__all__:
        with suppress(ImportError):
            found[name] = getattr(fastconv, name)
    return found


def _page(module, names, homes, inner=True):
    """A page: the module's docstring, then its names by the files that define them; with `inner`, its modules too.
    `homes` has the full name under which each class stands already."""
    full = module.__name__
    text = _title(full, "=") + f".. automodule:: {full}\n   :no-members:\n\n"
    rooms, same = {}, {}
    for name in names:
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            continue
        key = name if isinstance(thing, (int, float, str, type(None))) else id(thing)
        same.setdefault(key, []).append(name)
        if len(same[key]) == 1:
            rooms.setdefault(getattr(thing, "__module__", None) or full, []).append(key)
    for room, keys in rooms.items():
        if len(rooms) > 1:
            text += _title(_heading(room), "-")
        for key in keys:
            group = same[key]
            called = getattr(getattr(module, group[0]), "__name__", group[0])
            text += _entry(module, called if called in group else group[0], group, homes)
    modules = [name for name in names if inspect.ismodule(getattr(module, name))] if inner else []
    for name in modules + SUBMODULES.get(full.removeprefix("fastconv."), []):
        inside = importlib.import_module(getattr(module, name).__name__)
        text += _title(f"{full}.{name}", "-") + f".. automodule:: {full}.{name}\n   :no-members:\n\n"
        for own in _public(inside):
            text += _entry(inside, own, [own], homes, f"{full}.{name}")
    return text


def _entry(module, name, group, homes, full=None):
    """The directive for one name; `group` are all names of the same thing."""
    thing, full = getattr(module, name), f"{full or module.__name__}.{name}"
    others = [other for other in group if other != name]
    if inspect.isclass(thing):
        home = homes.setdefault(thing, full)
        if home != full:  # Sphinx takes one description of a class
            return f"``{full}`` is :py:class:`{home}`.\n\n"
        text = f".. autoclass:: {full}\n"
        if not _is_layer(thing):
            text += "   :members:\n"
        if full in WHOLE:
            text += "   :inherited-members: Layer\n"
    elif callable(thing):
        text = f".. autofunction:: {full}\n"
    else:
        text = f".. py:data:: {full}\n   :value: {thing!r}\n"
    if others:
        text += f"\n   Other names: {', '.join(f'``{other}``' for other in others)}.\n"
    return text + "\n"


def _public(module):
    """A module's names: `__all__`, or else the functions and classes that it defines."""
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def _is_layer(thing):
    """Whether it is one of the layers, whose methods are Layer's."""
    return (
        issubclass(thing, fastconv.Layer)
        and thing.__module__.startswith("fastconv.layers.")
        and thing is not fastconv.Layer
    )


def _heading(room):
    """What a file says that it is: its docstring up to the first stop."""
    doc = (sys.modules[room].__doc__ or room) if room in sys.modules else room
    first = " ".join(doc.split("\n\n")[0].split())
    for stop in (": ", ". ", "; ", ", "):
        first = first.split(stop)[0]
    return first.rstrip(".").replace("`", "")


def _title(text, line):
    return f"{text}\n{line * len(text)}\n\n"
