"""
What the examples share
=======================

Not an example: where pictures go, what is said when a package is missing, the digits, and the nearest neighbour that
networks are held against. Contract: `--out DIR` (the
current folder by default, made when it is missing) gets every picture, each is named by a line "wrote PATH";
EXAMPLES_QUICK=1 asks for little data and few epochs; a missing package ends the script with status 2, and one line
says what to install.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

from fastconv.datasets import mnist_mini


def need(module, install):
    """The module; without it, one line that says what to install, and the end of the script with status 2."""
    try:
        return importlib.import_module(module)
    except ImportError:
        print(f"needs: pip install {install}")
        sys.exit(2)


def save(figure, name):
    """Write a Figure as `name` into the folder of the pictures, and say so."""
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / name, dpi=100)
    print("wrote", OUT / name)


def digits():
    """(x_train, y_train), (x_test, y_test): the 4,000 and 1,000 digits of MNIST that ship with fastconv.

    Images are (n, 28, 28, 1), float32 from 0 (paper) to 1 (ink); labels are (n,), whole numbers. In the short form
    there are 1,000 and 300.
    """
    (x_train, y_train), (x_test, y_test) = mnist_mini.load_data()
    train, test = (1000, 300) if QUICK else (4000, 1000)

    def ready(x, y, count):
        return x[:count, ..., None].astype("float32") / 255, y[:count].astype("int64")

    return ready(x_train, y_train, train), ready(x_test, y_test, test)


def nearest(train, labels, test):
    """The label of the nearest training sample (squared differences, summed) of each test sample."""
    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
    return labels[((train**2).sum(axis=1) - 2 * test @ train.T).argmin(axis=1)]


QUICK = os.environ.get("EXAMPLES_QUICK", "") not in ("", "0")
_parser = argparse.ArgumentParser(description="An example of fastconv. EXAMPLES_QUICK=1 runs it in a short form.")
_parser.add_argument(
    "--out", type=Path, default=Path(), metavar="DIR", help="folder of the pictures (default: this one)"
)
OUT = _parser.parse_args().out
need("matplotlib", "'fastconv[plot]'")
