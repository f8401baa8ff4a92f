"""ahead: an iterator that a thread of its own runs a few elements ahead of whoever asks.

Contract: elements keep their order; what the iterator raises is raised where its element would have come; when nobody
asks any longer, the thread ends and the iterator is closed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

_END = object()


def ahead(elements: Iterator, count: int) -> Iterator:
    """The elements, up to `count` of which are made before they are asked for."""
    ready: deque = deque()
    changed = threading.Condition()
    stopped = False

    def work():
        try:
            for element in elements:
                if not put((element, None)):
                    break
            else:
                put((_END, None))
        except BaseException as error:  # it belongs to whoever asks for the element
            put((_END, error))
        finally:
            if hasattr(elements, "close"):
                elements.close()

    def put(item):
        with changed:
            changed.wait_for(lambda: stopped or len(ready) < count)
            ready.append(item)
            changed.notify_all()
            return not stopped

    thread = threading.Thread(target=work, name="fastconv-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: ready)
                element, error = ready.popleft()
                changed.notify_all()
            if error is not None:
                raise error
            if element is _END:
                return
            yield element
    finally:
        with changed:
            stopped = True
            changed.notify_all()
        thread.join(timeout=5.0)
