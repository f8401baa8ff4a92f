"""`fastconv evaluate MODEL DATA`: the loss and accuracy of a model file on a data set's test part."""

from argparse import Namespace

from fastconv.cli.arguments import fail, or_error
from fastconv.cli.data import check_classes, check_fit, load, model_of, ready


def run(arguments: Namespace) -> int:
    import fastconv

    if arguments.threads is not None:
        or_error(arguments, "--threads", fastconv.set_num_threads, arguments.threads)
    try:
        model = model_of(arguments.model)
        data = load(arguments, model.input_shape)
        check_fit(model, data, arguments.model)
        check_classes(model, data, arguments.model)
        ready(model, data)
    except (OSError, ValueError, ImportError) as error:
        return fail(arguments, error)
    x, y = data.test
    loss, accuracy = model.evaluate(data.prepared(x, model), y, verbose=0)
    print(f"Tested on {len(x):,} {data.kind}: loss {loss:.4f}")
    print(f"Test accuracy: {accuracy:.4f}")
    return 0
