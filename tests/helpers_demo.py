"""The mechanics of the page's tests: a session served in this process, and requests to it."""

import contextlib
import http.client
import json
import struct
import threading

import numpy as np

PAD = 140


@contextlib.contextmanager
def served(session):
    """The port at which the session is served, as `fastconv demo` serves it, until the block ends."""
    from fastconv.demo.server import listen, server

    with contextlib.closing(session), contextlib.closing(listen(0)) as listening:
        port = listening.getsockname()[1]
        running = server(session, port)
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        try:
            yield port
        finally:
            running.should_exit = True
            thread.join()


def request(port, method, path, body=None, **headers):
    """(status, headers, body) of a request, as the page makes it unless `headers` say otherwise (None: not sent)."""
    usual = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}", "Content-Length": len(body or b"")}
    sent = {name: value for name, value in {**usual, **headers}.items() if value is not None}
    for left in range(4, -1, -1):
        try:
            return _request(port, method, path, body, sent)
        except (ConnectionResetError, BrokenPipeError):  # a refused body was on its way when the server closed
            if not left:
                raise


def _request(port, method, path, body, headers):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, str(value))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def unpacked(message):
    """(the JSON part, the image, [(maps, kept or None) of each layer]) of what `look` gives."""
    (length,) = struct.unpack("<I", message[:4])
    head, rest = json.loads(message[4 : 4 + length]), np.frombuffer(message[4 + length :], "uint8")

    def take(*shape):
        nonlocal rest
        found, rest = rest[: np.prod(shape)].reshape(shape), rest[np.prod(shape) :]
        return found

    image, pictures = take(28, 28), []
    for layer in head["layers"]:
        shape = len(layer["shown"]), layer["rows"], layer["columns"]
        pictures.append((take(*shape), take(*shape) if layer["pool"] else None))
    assert not rest.size
    return head, image, pictures


def drawing(image):
    """A digit (28, 28) as the page sends it."""
    return np.kron(image, np.ones((5, 5), "uint8")).tobytes()
