"""ahead: an iterator that a thread of its own runs a few elements ahead of whoever asks, where that is worth it.

Contract: elements keep their order; what the iterator raises is raised where its element would have come; when nobody
asks any longer, the thread ends and the iterator is closed.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

from fastconv import kernels

_END = object()
QUICK = 0.001  # seconds that an element may take to be made when it is asked for
LATE = 0.01  # seconds past that, in all, after which a thread makes the rest; the first elements prepare for the others


def ahead(elements: Iterator, count: int) -> Iterator:
    """The elements, up to `count` of which are made before they are asked for.

    They are made in bursts of half of them: a thread that wakes for each finds the caches cold and leaves them so. Where
    the kernels have every processor, a thread takes one from them, and they wait for it: what is QUICK to make is made
    when it is asked for.
    """
    late = 0.0 if kernels.get_num_threads() >= kernels.usable_processors() else LATE
    try:
        while late < LATE:
            start = time.perf_counter()
            element = next(elements, _END)
            late += max(time.perf_counter() - start - QUICK, 0)
            if element is _END:
                return
            yield element
            del element
    except GeneratorExit:
        _close(elements)
        raise
    yield from _by_thread(elements, count)


def _by_thread(elements, count):
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
            _close(elements)

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


def _close(elements):
    if hasattr(elements, "close"):
        elements.close()
