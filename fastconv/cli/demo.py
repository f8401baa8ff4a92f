"""`fastconv demo`: a page in the browser to draw a digit on, which shows what a network sees; fastconv.demo serves it.

Contract: 0 after Ctrl-C, which is how it ends; 1 where the extra, the model or the port is not to be had.
"""

import contextlib
import threading
import webbrowser
from argparse import Namespace

from fastconv.cli.arguments import fail
from fastconv.cli.data import model_of


def run(arguments: Namespace) -> int:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        return fail(arguments, "The page needs starlette and uvicorn: pip install 'fastconv[demo]'.")
    from fastconv.demo.server import HOST, listen, serve
    from fastconv.demo.session import Session

    try:
        listening = listen(arguments.port)
    except OSError as error:
        hint = "leave --port out for one that is free"
        return fail(arguments, f"port {arguments.port} cannot be opened: {error.strerror}; {hint}.")
    with contextlib.closing(listening):
        try:
            model = None if arguments.model is None else model_of(arguments.model)
            session = Session(model, arguments.model or "")
        except (OSError, ValueError, ImportError) as error:
            return fail(arguments, error)
        with contextlib.closing(session):
            address = f"http://{HOST}:{listening.getsockname()[1]}/"
            print(f"Draw a digit at {address} (Ctrl-C ends it)", flush=True)
            if not arguments.no_browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            serve(session, listening)
    return 0
