"""A file from an address, part by part, so that its size is no matter of memory.

It knows no data set and keeps nothing: `download` hands the parts to a function that writes them. Contract: what is
longer than allowed, or is another file than its checksum says, raises ValueError before `write` sees the end; whatever
the network does is an Unreachable, which passing troubles become only after ATTEMPTS.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator

from fastconv.datasets._formats import gunzipped

ATTEMPTS = 3  # per file; an answer that will not change (403, wrong content) is not asked for again
RETRY_DELAY = 1.0  # seconds before the second attempt, doubled before the third
STALL_TIMEOUT = 15.0  # seconds without a byte
TOTAL_TIMEOUT = 600.0  # seconds per file, for a server that drips; more where the file is large
SLOWEST = 200_000  # bytes a second


class Unreachable(OSError):
    """The network did not give the file; `passing` where asking again may help. It has no errno: those are the disk's."""

    def __init__(self, reason: str, passing: bool = True):
        super().__init__(reason)
        self.passing = passing


class TooLong(ValueError):
    """The file has more bytes than there is room for."""


def download(url: str, limit: int, write: Callable[[Iterator[bytes]], None], seal: Callable | None = None) -> None:
    """Calls `write` with the parts of the file at `url`, at most `limit` bytes, through `seal`, and anew at each attempt."""
    print(f"fastconv: downloading {url}", file=sys.stderr)
    deadline = time.monotonic() + max(TOTAL_TIMEOUT, limit / SLOWEST)
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(RETRY_DELAY * 2 ** (attempt - 1))
        try:
            parts = _parts(url, limit, deadline)
            return write(parts if seal is None else seal(parts))
        except Unreachable as error:
            if not error.passing or attempt == ATTEMPTS - 1 or time.monotonic() > deadline:
                raise


def checked(parts: Iterator[bytes], checksum: str, content_limit: int | None = None) -> Iterator[bytes]:
    """The parts; ValueError at their end where their checksum, SHA-256 or MD5 by its length, differs.

    content_limit: the sum is that of what gzip unpacks from them, at most so many bytes.
    """
    import hashlib

    name = "MD5" if len(checksum) == 32 else "SHA-256"
    digest, size, kept = hashlib.new(name.replace("-", ""), usedforsecurity=False), 0, []
    for part in parts:
        size += len(part)
        if content_limit is None:
            digest.update(part)
        else:
            kept.append(part)
        yield part
    if content_limit is not None:
        digest.update(gunzipped(io.BytesIO(b"".join(kept)), content_limit))
    found = digest.hexdigest()
    if found != checksum:
        raise ValueError(f"wrong content: {size:,} bytes, {name} {found[:12]}... instead of {checksum[:12]}...")


def _parts(url, limit, deadline):
    """The bytes at `url`, as they come."""
    import http.client
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    received = 0
    try:
        with urlopen(Request(url, headers={"User-Agent": "fastconv"}), timeout=STALL_TIMEOUT) as response:
            promised = response.headers.get("Content-Length", "")
            promised = int(promised) if promised.isdigit() else None
            # read1 returns what one recv gave, so that a server that drips meets the deadline.
            read = getattr(response, "read1", response.read)
            while True:
                if max(received, promised or 0) > limit:
                    raise TooLong(f"sends more than {limit:,} bytes")
                part = read(1 << 16)
                if not part:
                    break
                received += len(part)
                if time.monotonic() > deadline:
                    raise Unreachable(f"not complete in time; stopped at {received:,} bytes")
                yield part
    except HTTPError as error:
        error.close()
        passing = error.code >= 500 or error.code in (408, 429)
        raise Unreachable(f"HTTP {error.code} {error.reason}", passing) from error
    except Unreachable:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        passing = not isinstance(reason, FileNotFoundError)  # of a file: address
        raise Unreachable(str(reason) or type(error).__name__, passing) from error
    if promised is not None and received != promised:
        raise Unreachable(f"the connection ended after {received:,} of {promised} bytes")
