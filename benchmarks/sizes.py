"""Installed bytes of distributions: `python -m benchmarks.sizes NAME...`, run by the interpreter that has them.

Standard library only. Contract: prints {"own": bytes of the named distributions' files, "all": theirs and those of all
they need} as JSON, or nothing, with exit code 1, where none of them is installed; what is needed but not installed
here counts nothing.
"""

import importlib.metadata
import json
import re
import sys


def main(names):
    installed = [name for name in names if _files(name) is not None]
    if not installed:
        return 1
    needed = set()
    queue = list(installed)
    while queue:
        name = queue.pop()
        if name not in needed and _files(name) is not None:
            needed.add(name)
            queue += _requirements(name)
    print(json.dumps({"own": sum(map(_size, installed)), "all": sum(map(_size, needed))}))
    return 0


def _requirements(name):
    for line in importlib.metadata.requires(name) or []:
        if "extra ==" not in line:
            yield re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")


def _files(name):
    try:
        return importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None


def _size(name):
    paths = (file.locate() for file in _files(name))
    return sum(path.stat().st_size for path in paths if path.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
