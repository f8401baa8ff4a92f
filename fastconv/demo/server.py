"""The page's server: Starlette on uvicorn, on 127.0.0.1, for the browser of this machine alone.

What is computed is session.py's. Contract: a request that names another host (as after DNS rebinding), a POST from another
page, and a body that is larger than a drawing are refused before anything of it is read; whatever is sent, the server
goes on until Ctrl-C, which it ends at in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fastconv.demo.session import PAD, Busy, Session

HOST = "127.0.0.1"
PATIENCE = 10  # seconds for a body that comes slowly
FILES = {
    "/": ("index.html", "text/html"),
    "/demo.css": ("demo.css", "text/css"),
    "/demo.js": ("demo.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def listen(port: int) -> socket.socket:
    """A socket of 127.0.0.1 at this port, 0 for any that is free, which queues who comes early; OSError where it is
    not to be had."""
    # The protocol is named: where it is not, asyncio leaves Nagle's delay on, 40 ms an answer.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # at once again after a server that ended
        made.bind((HOST, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def serve(session: Session, listening: socket.socket) -> None:
    """Answers until Ctrl-C; SIGTERM ends the process as ever, once what was asked is answered."""
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn shuts down in order, then hands the signal on
        server(session, listening.getsockname()[1]).run(sockets=[listening])


def server(session: Session, port: int) -> uvicorn.Server:
    """The server of a session that is reached at this port."""
    config = uvicorn.Config(
        application(session, port), loop="asyncio", http="h11", ws="none", lifespan="off", log_level="error",
        access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    return uvicorn.Server(config)


def application(session: Session, port: int) -> Any:
    """The ASGI application of a session that is served at this port."""
    looking = ThreadPoolExecutor(1, "looking")  # the kernels have threads of their own

    async def look(request: Request) -> Response:
        drawing = await _body(request)
        if isinstance(drawing, Response):
            return drawing
        try:
            message = await asyncio.get_running_loop().run_in_executor(looking, session.look, drawing)
        except ValueError as error:
            return _refusal(400, str(error))
        return Response(message, media_type="application/octet-stream")

    def train(request: Request) -> Response:
        try:
            session.train()
        except Busy as error:
            return _refusal(409, str(error))
        return JSONResponse(session.state())

    def stop(request: Request) -> Response:
        session.stop()
        return JSONResponse(session.state())

    def state(request: Request) -> Response:
        return JSONResponse(session.state())

    def samples(request: Request) -> Response:
        return Response(session.samples(), media_type="application/octet-stream")

    posts = [Route(f"/{post.__name__}", post, methods=["POST"]) for post in (look, train, stop)]
    gets = [Route(f"/{get.__name__}", get) for get in (state, samples)]
    return Guard(Starlette(routes=[*(_file(path, *row) for path, row in FILES.items()), *gets, *posts]), port)


def _file(path, name, kind):
    content = resources.files("fastconv.demo").joinpath("page", name).read_bytes()
    return Route(path, lambda request: Response(content, media_type=kind))


async def _body(request):
    """The body of a drawing, or the refusal of one that has no such size."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        return _refusal(411, "The request must say its length.")
    if len(length) > 9 or int(length) > PAD * PAD:
        return _refusal(413, f"A drawing is {PAD * PAD} bytes; this is larger.")
    try:
        return await asyncio.wait_for(request.body(), PATIENCE)
    except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
        return _refusal(408, "The drawing came too slowly.")
    except ClientDisconnect:
        return _refusal(400, "The drawing is not complete.")


def _refusal(status, text):
    return PlainTextResponse(text, status)


class Guard:
    """ASGI middleware: only requests that name this server as their host, POSTs only from its own page; answers forbid
    the page what it does not need."""

    def __init__(self, app: Any, port: int) -> None:
        names = [f"{name}:{port}" for name in (HOST, "localhost")] + [HOST, "localhost"] * (port == 80)
        self.app, self.hosts = app, {name.encode() for name in names}
        self.origins = {b"http://" + host for host in self.hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message):
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await (self._problem(scope) or self.app)(scope, receive, guarded)

    def _problem(self, scope):
        def given(wanted):
            return [value for name, value in scope["headers"] if name == wanted]

        hosts, origins = given(b"host"), given(b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return _refusal(403, "This server answers for its own address only.")
        if scope["method"] not in ("GET", "HEAD") and (len(origins) != 1 or origins[0] not in self.origins):
            return _refusal(403, "This server takes drawings from its own page only.")
        return None
