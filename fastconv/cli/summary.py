"""`fastconv summary MODEL`: the layers, sizes and classes of a model file, in the columns that the terminal has."""

import shutil
import textwrap
from argparse import Namespace

from fastconv.cli.arguments import fail
from fastconv.cli.data import model_of


def run(arguments: Namespace) -> int:
    try:
        model = model_of(arguments.model)
    except (OSError, ValueError, ImportError) as error:
        return fail(arguments, error)
    columns = shutil.get_terminal_size().columns
    model.summary(line_length=columns)
    print(f"Input: {model.input_shape}, output: {model.output_shape}")
    if model.class_names:
        print(textwrap.fill(f"Classes: {', '.join(model.class_names)}", columns))
    return 0
