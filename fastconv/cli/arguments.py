"""The arguments of all commands: the parser, what their texts may be, and how a wrong one is refused.

It loads neither NumPy nor kernels, so that help and errors come at once. Contract: a bad argument is one line on stderr
that names it, the value, what it must be and near matches, and the exit code 2.
"""

import argparse
import difflib
import math
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from fastconv.cli.recipes import PRESETS, presets_text, recipes_text


class Parser(argparse.ArgumentParser):
    """argparse, but a bad argument is one line: the usage is what --help is for."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> argparse.Namespace:
        found, unknown = self.parse_known_args(args, namespace)
        command = getattr(found, "parser", self)
        for action in command._actions:
            if getattr(found, action.dest, None) == []:  # what argparse makes of --save=--
                command.error(f"argument {'/'.join(action.option_strings) or action.metavar}: expected one argument")
        if unknown:
            options = [option for action in command._actions for option in action.option_strings]
            near = difflib.get_close_matches(unknown[0].partition("=")[0], options, 1)
            command.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(near)}")
        return found

    def _check_value(self, action, value):
        """argparse's own does not say which of the choices may have been meant."""
        if action.choices is not None and value not in action.choices:
            near = difflib.get_close_matches(str(value), action.choices, 1)
            known = ", ".join(action.choices)
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{_meant(near)} (choose from {known})")

    def _print_message(self, message, file=None):
        if message and file is not None:
            file.write(message)  # argparse's own passes over an OSError


def _meant(near):
    return f" - did you mean {near[0]}?" if near else ""


def parser() -> Parser:
    """Of the whole command line; `arguments.run(arguments)` runs the command that was chosen."""
    from fastconv import __version__

    main = Parser(prog="fastconv", allow_abbrev=False, description="Convolutional neural networks on the CPU.")
    main.add_argument("--version", action="version", version=f"fastconv {__version__}")
    commands = main.add_subparsers(title="commands", dest="command", metavar="COMMAND")

    def command(name, help, epilog=None):
        made = commands.add_parser(
            name, help=help, allow_abbrev=False, description=help[0].upper() + help[1:] + ".", epilog=epilog
        )
        made.set_defaults(run=_runner(name), parser=made)
        return made

    _train_arguments(command("train", "train a network on images and test it", recipes_text()))
    evaluate = command("evaluate", "test a saved model on a data set")
    evaluate.add_argument("model", metavar="MODEL", help="a .safetensors or .keras file")
    evaluate.add_argument("data", metavar="DATA", help="as in fastconv train")
    _common_arguments(evaluate)
    predict = command("predict", "say what a saved model sees in images: three classes with their probabilities")
    predict.add_argument("model", metavar="MODEL", help="a .safetensors or .keras file")
    predict.add_argument("images", metavar="IMAGE", nargs="+", help="an image file")
    predict.add_argument(
        "--as-is", action="store_true", help="do not invert, crop and centre photos for a model of digits or letters"
    )
    summary = command("summary", "print the layers, sizes and classes of a saved model")
    summary.add_argument("model", metavar="MODEL", help="a .safetensors or .keras file")
    demo = command("demo", "open a page to draw a digit on, which shows what each layer of a network makes of it")
    demo.add_argument("--model", metavar="FILE", help="a .safetensors or .keras file of a network that takes images of "
        "28 x 28 x 1; default: the tutorial's, trained while the page is open")  # fmt: skip
    demo.add_argument("--port", type=port, default=0, metavar="N", help="of 127.0.0.1; default: one that is free")
    demo.add_argument("--no-browser", action="store_true", help="print the address only")
    command("info", "print what a bug report needs")
    return main


def _runner(name):
    def run(arguments):
        import importlib

        return importlib.import_module(f"fastconv.cli.{name}").run(arguments)

    return run


def _train_arguments(command):
    add = command.add_argument
    add(
        "data", nargs="?", default="mnist-mini", metavar="DATA",
        help="mnist-mini (5,000 digits that ship with fastconv, the default), mnist or another data set (an unknown name "
        "lists them), or a folder of images with a folder for each class",
    )  # fmt: skip
    add("--preset", choices=list(PRESETS), help=presets_text())
    add("--model", metavar="NAME", help="a network of fastconv.applications (an unknown name lists them), or a model file "
        "to go on from; default: the tutorial's small one")  # fmt: skip
    add("--epochs", type=at_least(1), metavar="N", help="passes over the training images")
    add("--batch-size", type=at_least(1), metavar="N", help="images a training step")
    add("--optimizer", metavar="NAME", help="such as sgd or adam")
    add("--learning-rate", type=learning_rate, metavar="X", help="the optimizer's step size")
    add("--augment", action="store_true", help="shift, turn and stretch images a little, anew each epoch; mirror those "
        "that are no writing")  # fmt: skip
    add("--validation-split", type=share, metavar="X", help="keep this share of the training images to look at after "
        "each epoch, such as 0.1")  # fmt: skip
    add("--early-stopping", type=at_least(1), nargs="?", const=3, metavar="N", help="stop when the validation loss has "
        "not fallen for N epochs (default: 3), and keep the best weights; holds 0.1 out unless --validation-split says")  # fmt: skip
    add("--checkpoint", metavar="DIR", help="keep there, after each epoch, what a stopped run goes on from, and the best "
        "model so far, best.safetensors")  # fmt: skip
    add("--resume", action="store_true", help="go on with the run that stopped in --checkpoint DIR")
    add("--save", metavar="PATH", help="write the trained model to this .safetensors or .keras file")
    add("--history", metavar="PATH.csv", help="write loss and accuracy of each epoch to this file")
    add("--plots", metavar="DIR", help="write pictures there: history, filters, activation maps, confusion matrix and "
        "mistakes, as PNG files (needs matplotlib)")  # fmt: skip
    add("--distributed", action="store_true", help="train on all processes that mpirun or srun started, as in `mpirun -n 4 "
        "fastconv train --distributed` (needs mpi4py)")  # fmt: skip
    add("--shards", type=shards, metavar="N", help="with --distributed: cut a batch into N parts, a power of two, "
        "whatever the number of processes (default: 8)")  # fmt: skip
    add("--seed", type=seed, default=0, metavar="N", help="of weights and shuffling (default: 0)")
    _common_arguments(command)


def _common_arguments(command):
    add = command.add_argument
    add("--image-size", type=image_size, metavar="N", help="resize the images to N x N, or RxC: rows x columns")
    add("--color-mode", choices=["grayscale", "rgb"], help="make a folder's images grey, or coloured")
    add("--threads", type=at_least(1), metavar="N", help="default: what OMP_NUM_THREADS or the system gives")


# Texts


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}") from None


def at_least(minimum: int) -> Callable[[str], int]:
    def convert(text):
        value = whole_number(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}; got {value}")
        return value

    return convert


def shards(text: str) -> int:
    value = whole_number(text)
    if value < 1 or value & (value - 1):
        raise argparse.ArgumentTypeError(f"must be a power of two, such as 8; got {value}")
    return value


def seed(text: str) -> int:
    value = whole_number(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be from 0 to {2**32 - 1}; got {value}")
    return value


def port(text: str) -> int:
    value = whole_number(text)
    if not 0 <= value < 2**16:
        raise argparse.ArgumentTypeError(f"must be from 0 to {2**16 - 1}; got {value}")
    return value


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def learning_rate(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return value


def share(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1; got {text!r}")
    return value


def image_size(text: str) -> tuple[int, int]:
    """(rows, columns) of "64" or "64x48"."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and 0 < int(part) <= 16384 for part in parts):
        raise argparse.ArgumentTypeError(f"must be a number of pixels such as 64, or 64x48; got {text!r}")
    return int(parts[0]), int(parts[-1])


# Refusals


def unknown(value: str, known: list[str], more: str) -> str:
    """What is said of a name that is none of the known ones, `more` is what else it may be: near ones, or all."""
    near = difflib.get_close_matches(value.lower(), [name.lower() for name in known], 3)
    if near:
        meant = [name for name in known if name.lower() in near]
        return f"{value!r} is unknown. Did you mean {' or '.join(meant)}? Or give {more}."
    return f"{value!r} is unknown. It must be one of {', '.join(known)}, or {more}."


def or_error(arguments: argparse.Namespace, option: str, function: Callable[..., Any], *values: Any) -> Any:
    """`function(*values)`, its ValueError or TypeError turned into a bad argument."""
    try:
        return function(*values)
    except (TypeError, ValueError) as error:
        bad(arguments, option, error)


def check_folder(arguments: argparse.Namespace, option: str, folder: str) -> None:
    """Makes the folder that an option names, unless it is there; `bad` where it cannot be written into."""
    if not folder or os.path.exists(folder) and not os.path.isdir(folder):
        bad(arguments, option, f"must name a folder; got {folder!r}")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        bad(arguments, option, f"{folder!r} cannot be made: {error.strerror}")
    if not os.access(folder, os.W_OK):
        bad(arguments, option, f"{folder!r} cannot be written (permission denied)")


def bad(arguments: argparse.Namespace, option: str, problem: Any) -> NoReturn:
    """Ends with the code 2 and one line about an option."""
    arguments.parser.error(f"argument {option}: {one_line(problem)}")


def fail(arguments: argparse.Namespace, error: Any) -> int:
    """One line about what could not be done; the code 1."""
    print(f"{arguments.parser.prog}: {one_line(error)}", file=sys.stderr)
    return 1


def one_line(text: Any) -> str:
    return " ".join(str(text).replace("\n- ", " ").split())
