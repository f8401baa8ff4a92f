"""Runs the Python of a page, as its reader would: `python docs/running.py docs/pictures.md`, in the current folder.

Not a notebook: nothing is shown and nothing is compared but by the blocks themselves. Contract: the blocks marked
```python run one after another in one namespace, but those after a line `<!-- fragment -->`, which are only examples of
form; an error shows the page's own line.
"""

import pathlib
import re
import sys

_BLOCK = re.compile(r"(<!-- fragment -->\n+)?^```python\n(.*?)^```$", re.M | re.S)


def blocks(page: pathlib.Path) -> list[tuple[int, str, bool]]:
    """(line, code, whether it runs) of each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(2)), match[2], not match[1]) for match in _BLOCK.finditer(text)]


def run(page: pathlib.Path) -> None:
    """Runs the page's blocks in the current folder."""
    names = {"__name__": "__main__"}
    for line, code, runs in blocks(page):
        if runs:
            exec(compile("\n" * line + code, page.name, "exec"), names)  # noqa: S102  the page's own code


if __name__ == "__main__":
    run(pathlib.Path(sys.argv[1]))
