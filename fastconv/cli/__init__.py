"""The command `fastconv`: train, evaluate, predict, summary, demo, info; a file each beside this one.

Not a library: it uses the public names only, as a user's program would.
Contract: `main` returns the exit code. 0: done; 1: it could not be done (no data, disk full, training diverged); 2: a
bad argument; 130: interrupted; 141: nobody reads the output any more. Everything but 0 puts one line on stderr (141:
none), and no traceback. What is heavy loads inside `main`, so that this holds from its first line on.
"""

import os
import sys
import warnings

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int | str | None:
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
        _one_line(problem)
    return code


def _run(argv):
    from fastconv.cli.arguments import fail, parser

    try:
        arguments = parser().parse_args(argv)
        if arguments.command is None:
            parser().print_help()
            return 0
        try:
            from fastconv import kernels  # noqa: F401  the first to need NumPy and what was compiled
        except (ImportError, ValueError) as error:  # it is not there, or FASTCONV_ISA is none
            return fail(arguments, error)
        with warnings.catch_warnings():
            warnings.showwarning = _one_line  # Python's own shows a line of this source
            return arguments.run(arguments)
    except SystemExit as stop:  # how argparse ends for --help, --version and a bad argument
        return stop.code


def _one_line(message, *_, **__):
    print(f"fastconv: {' '.join(str(message).split())}", file=sys.stderr)


def _discard_output():
    """Python flushes stdout once more when it exits, and would complain once more; what can be written is written."""
    import contextlib

    try:
        sys.stdout.flush()
    except AttributeError:
        pass  # there is no stdout
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # no file behind it
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, sys.stdout.fileno())
            os.close(sink)
