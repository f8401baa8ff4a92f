"""`fastconv train`: a network trained on a data set or a folder of images, tested, and saved.

How to train is recipes.py's, what is trained networks.py's. Contract: Ctrl-C, and a loss that is no number, leave what
there is in --save, --history and --checkpoint, and say so; what is worth nothing (weights that no step has moved, or of
a loss that is no number; no complete epoch) replaces no file.
"""

import contextlib
import csv
import math
import os
import time
import warnings
from argparse import Namespace

from fastconv.cli import plots
from fastconv.cli.arguments import bad, check_folder, fail, or_error
from fastconv.cli.augmenting import augmented
from fastconv.cli.data import load, ready, writable
from fastconv.cli.networks import ENDINGS, network
from fastconv.cli.recipes import recipe as chosen_recipe

BACKUP, BEST = "latest.safetensors", "best.safetensors"


def run(arguments: Namespace) -> int:
    if arguments.distributed:
        return _distributed(arguments)
    if arguments.shards is not None:
        bad(arguments, "--shards", "goes with --distributed")
    _warn_of_processes()
    return _run(arguments)


def _warn_of_processes():
    from fastconv.distribution.world import LAUNCHERS, launched

    variable, started = launched()
    if started > 1:
        warnings.warn(
            f"{LAUNCHERS[variable]} says that it has started {started} processes, and each trains a network of its own: with "
            "--distributed they train one.",
            stacklevel=2,
        )


def _distributed(arguments):
    """One of several processes, of which the first prints and writes; what ends one, ends all."""
    from fastconv import distribution
    from fastconv.distribution.world import abort

    try:
        distribution.initialize()
        distribution.set_distribution(distribution.DataParallel(shards=arguments.shards or 8))
    except (ImportError, RuntimeError, ValueError) as error:
        return fail(arguments, error)
    stop = None
    with open(os.devnull, "w") as nowhere, contextlib.ExitStack() as stack:
        if distribution.rank():
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            code = _run(arguments)
        except SystemExit as error:
            stop, code = error, error.code
        except KeyboardInterrupt as error:
            stop, code = error, 130
        except OSError as error:
            stop, code = error, fail(arguments, error)
    if code and distribution.size() > 1:
        abort(code)
    if stop is not None:
        raise stop
    return code


def _is_first():
    """Whether this process writes files."""
    import fastconv

    return fastconv.distribution.rank() == 0


def _run(arguments):
    import fastconv

    recipe = chosen_recipe(arguments)
    optimizer = _optimizer(arguments, recipe)
    if not arguments.distributed or _is_first():
        _check_outputs(arguments)
    if arguments.threads is not None:
        or_error(arguments, "--threads", fastconv.set_num_threads, arguments.threads)
    fastconv.utils.set_random_seed(arguments.seed)
    try:
        data = load(arguments, _shape_of_file(arguments))
        model = network(arguments, recipe, data)
    except (OSError, ValueError, ImportError) as error:
        return fail(arguments, error)
    if arguments.augment and len(data.shape) != 3:
        bad(arguments, "--augment", f"is for images; {data.name} holds {data.kind}")
    goes_on = arguments.model and model.optimizer and not (arguments.optimizer or arguments.learning_rate)
    ready(model, data, None if goes_on else optimizer)

    model.summary()
    stopped, rate = None, float(model.optimizer.learning_rate)
    try:
        accuracy = _train_and_test(arguments, model, recipe, data)
    except (KeyboardInterrupt, UserWarning, OSError) as error:
        stopped = error
    except ValueError as error:  # such as a backup of another model in --checkpoint
        return fail(arguments, error)
    model.optimizer.learning_rate = rate  # who goes on from the file does not begin where a schedule ended, at 0
    try:
        if not arguments.distributed or _is_first():
            _write_results(arguments, model, data, stopped)
    except BrokenPipeError:
        raise
    except (OSError, ValueError, ImportError) as error:
        return fail(arguments, error)
    if isinstance(stopped, UserWarning):
        return fail(arguments, stopped)
    if stopped:
        raise stopped
    print(f"Test accuracy: {accuracy:.4f}")
    return 0


def _train_and_test(arguments, model, recipe, data):
    """The accuracy on the test part. KeyboardInterrupt after a complete step; UserWarning if the loss is no number."""
    import fastconv

    x, y, held_out = _split(arguments, data)
    validation = None if held_out is None else (data.prepared(held_out[0], model), held_out[1])
    options = {"epochs": recipe.epochs, "callbacks": _callbacks(arguments, model, recipe, len(x), validation)}
    if validation is not None:
        options["validation_data"] = validation
    x = x if arguments.augment else data.prepared(x, model)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The loss is not finite")  # fit's diagnosis
        if arguments.augment:
            model.fit(_stream(arguments, model, recipe, data, x, y), **options)
        else:
            model.fit(x, y, batch_size=recipe.batch_size, **options)
    print(
        f"Trained on {len(x):,} {data.kind} in {time.perf_counter() - start:.1f} seconds "
        f"(threads: {fastconv.get_num_threads()})"
    )
    loss, accuracy = model.evaluate(data.prepared(data.test[0], model), data.test[1], verbose=0)
    if not math.isfinite(loss):
        raise UserWarning(f"The loss of the test {data.kind} is not finite: the learning rate is probably too high.")
    return accuracy


def _split(arguments, data):
    """(x, y, (x, y) of what is held out or None): a share that the seed draws, since folders come class by class."""
    import numpy as np

    (x, y), share = data.train, arguments.validation_split or (0.1 if arguments.early_stopping else None)
    if share is None:
        return x, y, None
    count = max(1, round(share * len(x)))
    if count >= len(x):
        bad(arguments, "--validation-split", f"{share} of {len(x)} {data.kind} leaves none for training")
    order = np.random.default_rng(arguments.seed).permutation(len(x))
    kept, held_out = np.sort(order[count:]), np.sort(order[:count])
    return x[kept], y[kept], (x[held_out], y[held_out])


def _stream(arguments, model, recipe, data, x, y):
    """Batches of augmented images, made while the network trains."""
    from fastconv.data import Dataset

    def batch(images, labels, generator):
        return augmented(data.prepared(images, model).astype("float32"), generator, not data.is_writing), labels

    batches = Dataset.from_arrays((x, y)).shuffle(seed=arguments.seed).batch(recipe.batch_size)
    return batches.map(batch, seed=arguments.seed).prefetch(2)


# Callbacks


def _callbacks(arguments, model, recipe, samples, validation):
    from fastconv import callbacks

    found = _schedule(recipe, model.optimizer, samples)
    monitor = "loss" if validation is None else "val_loss"
    if arguments.early_stopping:
        found.append(
            callbacks.EarlyStopping(monitor, patience=arguments.early_stopping, restore_best_weights=True, verbose=1)
        )
    if arguments.checkpoint:
        best = os.path.join(arguments.checkpoint, BEST)
        found.append(callbacks.ModelCheckpoint(best, monitor, save_best_only=True))
        # Last: what the others hold at the start of a run is not what a backup holds.
        found.append(callbacks.BackupAndRestore(arguments.checkpoint))
    return found


def _schedule(recipe, optimizer, samples):
    """Gives the optimizer its schedule, or returns the callbacks that are one."""
    from fastconv.schedules import OneCycle

    if recipe.schedule == "one-cycle":
        steps = recipe.epochs * math.ceil(samples / recipe.batch_size)
        optimizer.learning_rate = OneCycle(optimizer.learning_rate, steps)
    return [_linear_decay()] if recipe.schedule == "falling" else []


def _linear_decay():
    from fastconv.callbacks import Callback

    class LinearDecay(Callback):
        def on_train_begin(self, logs=None):
            self.initial = self.model.optimizer.learning_rate

        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = self.initial * (1 - epoch / self.params["epochs"])

    return LinearDecay()


# Arguments


def _optimizer(arguments, recipe):
    from fastconv import optimizers

    optimizer = or_error(arguments, "--optimizer", optimizers.get, recipe.optimizer)
    if recipe.learning_rate is not None:
        optimizer.learning_rate = recipe.learning_rate
    return optimizer


def _shape_of_file(arguments):
    """The input shape of the model file to go on from, which a folder's images are brought to."""
    if arguments.model is None or not arguments.model.endswith(ENDINGS) or not os.path.isdir(arguments.data):
        return None
    from fastconv.cli.data import model_of

    return model_of(arguments.model).input_shape


def _check_outputs(arguments):
    for option, path in (("--save", arguments.save), ("--history", arguments.history)):
        if path is not None:
            writable(arguments, option, path)
    if arguments.save and arguments.save.endswith((".h5", ".hdf5", ".pt", ".pth")):
        bad(arguments, "--save", f"writes *.safetensors or *.keras; got {arguments.save!r}")
    if arguments.save and arguments.save.endswith(".keras"):
        try:
            import h5py  # noqa: F401
        except ImportError:
            bad(arguments, "--save", "Keras' files need h5py: pip install 'fastconv[keras]'")
    if arguments.save and arguments.save == arguments.history:
        bad(arguments, "--history", f"must not be the file of --save; got {arguments.history!r}")
    _check_checkpoint(arguments)
    plots.check(arguments)


def _check_checkpoint(arguments):
    folder = arguments.checkpoint
    if folder is None:
        if arguments.resume:
            bad(arguments, "--resume", "goes on with the run in --checkpoint DIR: name it")
        return
    check_folder(arguments, "--checkpoint", folder)
    there = os.path.exists(os.path.join(folder, BACKUP))
    if there and not arguments.resume:
        bad(arguments, "--checkpoint", f"{folder!r} holds a run that was stopped: add --resume, or empty it")
    if arguments.resume and not there:
        print(f"{folder} holds no stopped run: starting at the first epoch.")


# Results


def _write_results(arguments, model, data, stopped):
    """--save, --history and --plots; of a run that was stopped, what there is, and it says so."""
    history, steps, notes = model.history, model.optimizer.iterations, []
    if arguments.save:
        if not stopped or (steps and not isinstance(stopped, UserWarning)):
            model.save(arguments.save)
            notes.append(f"{arguments.save} holds the weights after {steps} steps.")
        else:
            notes.append(f"{arguments.save} is not written.")
    if arguments.history:
        if history and history.epoch:
            rows = _write_history(arguments, history)
            notes.append(f"{arguments.history} holds the complete epochs: {rows}.")
        else:
            notes.append(f"{arguments.history} is not written: no epoch is complete.")
    if arguments.checkpoint and os.path.exists(os.path.join(arguments.checkpoint, BACKUP)):
        if stopped:
            notes.append("The same command with --resume goes on after the last complete epoch.")
        else:
            os.remove(os.path.join(arguments.checkpoint, BACKUP))  # stopped early is done, too
    if arguments.plots and (not stopped or (steps and not isinstance(stopped, UserWarning))):
        print(*plots.write(arguments, model, data), sep="\n", flush=True)
    if stopped and notes:
        print(*notes, flush=True)


def _write_history(arguments, history):
    """One row an epoch, counted from 1; one column a quantity. A run that goes on keeps the rows before. Their number."""
    names, before = ["epoch", *history.history], []
    if arguments.resume and os.path.exists(arguments.history):
        with open(arguments.history, newline="", encoding="utf-8") as file:
            head, *rows = [*csv.reader(file)] or [[]]
        before = [row for row in rows if head == names and row[0].isdigit() and int(row[0]) <= history.epoch[0]]
    with open(arguments.history, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(before)
        writer.writerows([epoch + 1, *values] for epoch, *values in zip(history.epoch, *history.history.values()))
    return len(before) + len(history.epoch)
