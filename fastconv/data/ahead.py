"""ahead: an iterator that a thread of its own runs a few elements ahead of whoever asks.

Contract: elements keep their order; what the iterator raises is raised where its element would have come; when nobody
asks any longer, the thread ends and the iterator is closed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

_END = object()


def ahead(elements: Iterator, count: int) -> Iterator:
    """The elements, up to `count` of which are made before they are asked for.

    They are made in bursts of half of them: a thread that wakes for each finds the caches cold and leaves them so.
    """
    ready: queue.SimpleQueue = queue.SimpleQueue()  # (element, error)
    room: queue.SimpleQueue = queue.SimpleQueue()  # how many more may be made
    stopped = False

    def work():
        credit = count
        try:
            for element in elements:
                ready.put((element, None))
                del element  # nothing is held while it waits: its memory is used again
                credit -= 1
                if not credit:
                    credit = room.get()
                if stopped:
                    return
            ready.put((_END, None))
        except BaseException as error:  # it belongs to whoever asks for the element
            ready.put((_END, error))
        finally:
            if hasattr(elements, "close"):
                elements.close()

    thread = threading.Thread(target=work, name="fastconv-ahead", daemon=True)
    thread.start()
    burst, taken = max(count // 2, 1), 0
    try:
        while True:
            element, error = ready.get()
            taken += 1
            if taken == burst:
                room.put(taken)
                taken = 0
            if error is not None:
                raise error
            if element is _END:
                return
            yield element
    finally:
        stopped = True
        room.put(1)
        thread.join(timeout=5.0)
