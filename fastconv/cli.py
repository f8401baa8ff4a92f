"""The command `fastconv`: `fastconv train`, `fastconv info`, `fastconv --version`.

Not a library: it uses the public names only, as a user's program would.
Contract: `main` returns the exit code. 0: done; 1: it could not be done (no data, disk full, training diverged); 2: a
bad argument; 130: interrupted; 141: nobody reads the output any more. Everything but 0 puts one line on stderr (141:
none), and no traceback. What is heavy loads inside `main`, so that this holds from its first line on.
"""

import argparse
import contextlib
import math
import os
import sys
import time
import warnings
from typing import NamedTuple


class Recipe(NamedTuple):
    """How to train: what `fastconv train` does unless its arguments say otherwise.

    `schedule` is what becomes of the learning rate. "falling": it falls in equal steps, epoch by epoch, towards 0; the
    last weights then do not depend on the luck of the last few batches. "one-cycle": it climbs to the rate given and
    falls to 0, step by step, within the run. None: it stays.
    """

    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int
    schedule: str | None
    network: str = "tutorial"


DEFAULT_RECIPES = {
    "mnist-mini": Recipe("adam", 0.003, 32, 8, "falling"),
    "mnist": Recipe("adam", 0.002, 100, 3, "falling"),
}
PRESETS = {
    "tutorial": Recipe("sgd", 0.01, 100, 5, None),
    "fast": Recipe("adam", 0.01, 200, 2, "one-cycle", "fast"),
}


def main(argv=None):
    """Run the command line `argv` (a list of str, without the program's name; default: sys.argv's)."""
    try:
        code, problem = _run(argv), None
        if sys.stdout is not None:
            sys.stdout.flush()  # what is wrong with it shows now, not when Python exits
    except KeyboardInterrupt:
        code, problem = 130, "interrupted"
    except BrokenPipeError:  # `fastconv train | head -1` ends as the pipe's signal would end it
        code, problem = 141, None
    except OSError as error:
        code, problem = 1, error
    if code:
        _discard_output()
    if problem:
        print(f"fastconv: {_one_line(problem)}", file=sys.stderr)
    return code


def _run(argv):
    try:
        parser = _parser()
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return 0
        try:
            from fastconv import kernels  # noqa: F401  the first to need NumPy and what was compiled
        except (ImportError, ValueError) as error:  # it is not there, or FASTCONV_ISA is none
            return _fail(arguments, error)
        return arguments.run(arguments)
    except SystemExit as stop:  # how argparse ends for --help, --version and a bad argument
        return stop.code


def _discard_output():
    """Python flushes stdout once more when it exits, and would complain once more; what can be written is written."""
    try:
        sys.stdout.flush()
    except AttributeError:
        pass  # there is no stdout
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # no file behind it
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, sys.stdout.fileno())
            os.close(sink)


def train(arguments):
    """`fastconv train`: train a small network on handwritten digits and test it."""
    import fastconv

    recipe = _recipe(arguments)
    optimizer = _optimizer(arguments, recipe)
    _check_outputs(arguments)
    if arguments.threads is not None:
        _or_error(arguments, "--threads", fastconv.set_num_threads, arguments.threads)
    fastconv.utils.set_random_seed(arguments.seed)
    try:
        dataset = getattr(fastconv.datasets, arguments.data.replace("-", "_"))
        (x_train, y_train), (x_test, y_test) = dataset.load_data()
    except (OSError, ValueError) as error:
        return _fail(arguments, error)

    model = _network(recipe, optimizer)
    model.summary()
    stopped = None
    try:
        accuracy = _train_and_test(model, recipe, optimizer, (x_train, y_train), (x_test, y_test))
    except (KeyboardInterrupt, UserWarning) as error:
        stopped = error
    try:
        _write_results(arguments, model, stopped)
    except (OSError, ValueError) as error:
        return _fail(arguments, error)
    if isinstance(stopped, UserWarning):
        return _fail(arguments, stopped)
    if stopped:
        raise stopped
    print(f"Test accuracy: {accuracy:.4f}")
    return 0


def info(arguments):
    """`fastconv info`: what a bug report needs."""
    from fastconv.info import report

    print(report())
    return 0


def _network(recipe, optimizer):
    from fastconv import layers, models

    model = models.Sequential([layers.Input((28, 28, 1))])
    for layer in {"tutorial": _tutorial_layers, "fast": _fast_layers}[recipe.network](layers):
        model.add(layer)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def _tutorial_layers(layers):
    return [
        layers.Conv2D(32, (5, 5), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (5, 5), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]


def _fast_layers(layers):
    """An eighth of the tutorial's multiply-adds; the hidden dense layer, which is cheap, makes up for it."""
    return [
        layers.Conv2D(8, (5, 5), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]


def _schedule(recipe, optimizer, samples):
    """Gives the optimizer its schedule, or returns the callbacks that are one."""
    from fastconv.schedules import OneCycle

    if recipe.schedule == "one-cycle":
        steps = recipe.epochs * math.ceil(samples / recipe.batch_size)
        optimizer.learning_rate = OneCycle(optimizer.learning_rate, steps)
    return [_linear_decay()] if recipe.schedule == "falling" else None


def _linear_decay():
    from fastconv.callbacks import Callback

    class LinearDecay(Callback):
        def on_train_begin(self, logs=None):
            self.initial = self.model.optimizer.learning_rate

        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = self.initial * (1 - epoch / self.params["epochs"])

    return LinearDecay()


def _prepared(images):
    # (n, 28, 28) uint8 -> (n, 28, 28, 1) in [0, 1]
    return images[..., None].astype("float32") / 255


def _train_and_test(model, recipe, optimizer, train, test):
    """The accuracy on the test digits. KeyboardInterrupt after a complete step; UserWarning if the loss is no number."""
    import fastconv

    (x, y), (x_test, y_test) = [(_prepared(x), fastconv.utils.to_categorical(y, 10)) for x, y in (train, test)]
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The loss is not finite")  # fit's diagnosis
        model.fit(
            x, y, batch_size=recipe.batch_size, epochs=recipe.epochs, callbacks=_schedule(recipe, optimizer, len(x))
        )
    print(
        f"Trained on {len(x):,} digits in {time.perf_counter() - start:.1f} seconds "
        f"(threads: {fastconv.get_num_threads()})"
    )
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    if not math.isfinite(loss):
        raise UserWarning("The loss of the test digits is not finite: the learning rate is probably too high.")
    return accuracy


def _write_results(arguments, model, stopped):
    """--save and --history. Of a run that was stopped, what there is, and it says so; but what is worth nothing
    (weights that no step has moved, or of a loss that is no number; no complete epoch) replaces no file."""
    history, steps, notes = model.history, model.optimizer.iterations, []
    if arguments.save:
        if not stopped or (steps and not isinstance(stopped, UserWarning)):
            model.save(arguments.save)
            notes.append(f"{arguments.save} holds the weights after {steps} steps.")
        else:
            notes.append(f"{arguments.save} is not written.")
    if arguments.history:
        if history and history.epoch:
            _write_history(arguments.history, history.history)
            notes.append(f"{arguments.history} holds the complete epochs: {len(history.epoch)}.")
        else:
            notes.append(f"{arguments.history} is not written: no epoch is complete.")
    if stopped and notes:
        print(*notes, flush=True)


def _write_history(path, history):
    """One row an epoch, counted from 1; one column a quantity."""
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([epoch, *values] for epoch, values in enumerate(zip(*history.values()), 1))


# Arguments


class _Parser(argparse.ArgumentParser):
    """argparse, but a bad argument is one line: the usage is what --help is for."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")

    def _print_message(self, message, file=None):
        if message and file is not None:
            file.write(message)  # argparse's own passes over an OSError


def _parser():
    from fastconv import __version__

    parser = _Parser(prog="fastconv", allow_abbrev=False, description="Convolutional neural networks on the CPU.")
    parser.add_argument("--version", action="version", version=f"fastconv {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="{train,info}")

    command = commands.add_parser(
        "train",
        help="train a CNN on handwritten digits",
        allow_abbrev=False,
        description="Train a small CNN on handwritten digits and test it.",
        epilog=_recipes_text(),
    )
    command.set_defaults(run=train, parser=command)
    add = command.add_argument
    add(
        "data",
        nargs="?",
        default="mnist-mini",
        choices=list(DEFAULT_RECIPES),
        help="5,000 digits that ship with fastconv (default), or all 70,000",
    )
    add("--preset", choices=list(PRESETS), help=_presets_text())
    add("--epochs", type=_at_least(1), metavar="N", help="passes over the training digits")
    add("--batch-size", type=_at_least(1), metavar="N", help="digits a training step")
    add("--optimizer", metavar="NAME", help="such as sgd or adam")
    add("--learning-rate", type=_learning_rate, metavar="X", help="the optimizer's step size")
    add("--seed", type=_seed, default=0, metavar="N", help="of weights and shuffling (default: 0)")
    add("--threads", type=_at_least(1), metavar="N", help="default: what OMP_NUM_THREADS or the system gives")
    add("--save", metavar="PATH", help="write the trained model to this .safetensors file")
    add("--history", metavar="PATH.csv", help="write loss and accuracy of each epoch to this file")

    command = commands.add_parser(
        "info", help="print what a bug report needs", allow_abbrev=False, description="Print what a bug report needs."
    )
    command.set_defaults(run=info, parser=command)
    return parser


def _presets_text():
    purposes = {"tutorial": "the well-known one", "fast": "99 %% of MNIST in seconds"}
    return "; ".join(f"{name}, {purposes[name]}: {_recipe_text(recipe)}" for name, recipe in PRESETS.items())


def _recipes_text():
    texts = [f"{data}: {_recipe_text(recipe)}" for data, recipe in DEFAULT_RECIPES.items()]
    return f"Without --preset, {'; '.join(texts)}. Explicit options override the recipe."


def _recipe_text(recipe):
    rate = {None: "at", "falling": "falling towards 0 from", "one-cycle": "in one cycle up to"}[recipe.schedule]
    network = "" if recipe.network == "tutorial" else "a smaller network, "
    return (
        f"{network}{recipe.optimizer} {rate} {recipe.learning_rate}, batches of {recipe.batch_size}, "
        f"{recipe.epochs} epochs"
    )


def _whole_number(text):
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}") from None


def _at_least(minimum):
    def convert(text):
        value = _whole_number(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}; got {value}")
        return value

    return convert


def _seed(text):
    value = _whole_number(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be from 0 to {2**32 - 1}; got {value}")
    return value


def _learning_rate(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return value


def _recipe(arguments):
    """The preset's or the data set's recipe, overridden by what was given explicitly."""
    recipe = PRESETS[arguments.preset] if arguments.preset else DEFAULT_RECIPES[arguments.data]
    given = {field: getattr(arguments, field, None) for field in Recipe._fields}
    if given["optimizer"] and given["learning_rate"] is None:
        recipe = recipe._replace(learning_rate=None)  # the recipe's step size suits its own optimizer only
    return recipe._replace(**{field: value for field, value in given.items() if value is not None})


def _optimizer(arguments, recipe):
    from fastconv import optimizers

    optimizer = _or_error(arguments, "--optimizer", optimizers.get, recipe.optimizer)
    if recipe.learning_rate is not None:
        optimizer.learning_rate = recipe.learning_rate
    return optimizer


def _check_outputs(arguments):
    """Whether --save and --history can be written is asked before hours of training, not after."""
    for option, path in (("--save", arguments.save), ("--history", arguments.history)):
        if path is None:
            continue
        folder = os.path.dirname(path) or "."
        if not path or os.path.isdir(path):
            _bad(arguments, option, f"must name a file; got {path!r}")
        if not os.path.isdir(folder):
            _bad(arguments, option, f"the folder {folder!r} does not exist")
        # A model file is replaced as a whole, which takes a writable folder too.
        targets = [path] * os.path.exists(path) + [folder] * (option == "--save" or not os.path.exists(path))
        if not all(os.access(target, os.W_OK) for target in targets):
            _bad(arguments, option, f"{path!r} cannot be written (permission denied)")
    if arguments.save and arguments.save.endswith((".keras", ".h5")):
        _bad(arguments, "--save", f"writes safetensors, not Keras' formats; got {arguments.save!r}")
    if arguments.save and arguments.save == arguments.history:
        _bad(arguments, "--history", f"must not be the file of --save; got {arguments.history!r}")


def _or_error(arguments, option, function, value):
    """`function(value)`, its ValueError or TypeError turned into a bad argument."""
    try:
        return function(value)
    except (TypeError, ValueError) as error:
        _bad(arguments, option, error)


def _bad(arguments, option, problem):
    arguments.parser.error(f"argument {option}: {_one_line(problem)}")


def _fail(arguments, error):
    print(f"{arguments.parser.prog}: {_one_line(error)}", file=sys.stderr)
    return 1


def _one_line(text):
    return " ".join(str(text).split())
