"""`fastconv train --plots DIR`: pictures of a run, each a PNG.

What they show is fastconv.plotting's. Contract: a missing matplotlib or a folder that cannot be made is said before
training begins; a picture that such a network or such data do not have is left out, and it says so.
"""

import io
import os
from argparse import Namespace
from typing import Any

from fastconv.cli.arguments import bad, check_folder, one_line

DPI = 110


def check(arguments: Namespace) -> None:
    """Ends with the code 2 unless pictures can be written."""
    folder = arguments.plots
    if folder is None:
        return
    from fastconv.plotting.figures import new_figure

    try:
        new_figure(1, 1)
    except ImportError as error:
        bad(arguments, "--plots", error)
    check_folder(arguments, "--plots", folder)


def write(arguments: Namespace, model: Any, data: Any) -> list[str]:
    """Writes the pictures; the lines that say which there are, and why others are not."""
    from fastconv import files, plotting

    (x, y), samples = data.test, data.prepared(data.test[0], model)
    history = model.history
    predicted = model.predict(samples, verbose=0)
    pictures = {
        "history": lambda: plotting.history(history if history is not None else {}),
        "filters": lambda: plotting.filters(model),
        "activation_maps": lambda: plotting.activation_maps(model, samples[0]),
        "confusion_matrix": lambda: plotting.confusion_matrix(y, predicted, data.classes),
        "mistakes": lambda: plotting.mistakes(x, y, predicted, data.classes),
    }
    written, notes = [], []
    for name, draw in pictures.items():
        try:
            figure = draw()
        except ValueError as error:
            notes.append(f"{name}.png is not written: {one_line(error)}")
        else:
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=DPI)
            files.write_whole(os.path.join(arguments.plots, f"{name}.png"), stream.getvalue())
            written.append(f"{name}.png")
    return [f"{arguments.plots} holds {', '.join(written)}."] * bool(written) + notes
