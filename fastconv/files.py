"""Whole files: how bytes come to a path all at once or not at all, whoever else is writing there or is killed.

Also where the user's cache is. It knows no format: saving.py, the data sets' cache and the command line decide what is in a file.
Contract: after `write_whole` the path holds all of the new bytes, safe from a power cut; if it raises, or its process
dies, the path holds what it held. Two that write to one path at once do not disturb each other: the later one stays.
A file that a killed writer left behind goes with the next write into its folder.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing tells whether a left file is still being written, so it stays
    fcntl = None

_OURS = re.compile(r"fastconv-[0-9a-f]{16}\.tmp")


def cache_dir() -> Path:
    """The user's cache of fastconv, whether or not it exists yet."""
    if os.name == "nt":
        base, default = os.environ.get("LOCALAPPDATA", ""), ("AppData", "Local")
    else:
        base, default = os.environ.get("XDG_CACHE_HOME", ""), (".cache",)
    # The XDG specification has relative paths ignored.
    root = Path(base) if os.path.isabs(base) else Path.home().joinpath(*default)
    return root / "fastconv"


def write_whole(path, content) -> None:
    """Puts the bytes `content`, or its parts, at `path`, through a symbolic link to its target; a file that is there keeps
    its mode.

    ValueError where something other than a regular file is; OSError, naming `path`, where it cannot be written.
    """
    path = os.path.realpath(os.fsdecode(path))
    try:
        _write(path, content)
    except OSError as error:
        if error.errno is None:
            raise
        folder = os.path.dirname(path)
        missing = error.errno == errno.ENOENT and not os.path.isdir(folder)
        reason = f"There is no folder {folder} to write into" if missing else error.strerror
        raise OSError(error.errno, reason, path) from error  # it names the temporary file, or none


def _write(path, content):
    folder, mode = os.path.dirname(path), _mode(path)
    _remove_left(folder)
    with _new(folder, 0o666 if mode is None else 0o600) as file:
        try:
            file.writelines((content,) if isinstance(content, (bytes, bytearray, memoryview)) else content)
            file.flush()
            # Some file systems have one mode for all files, and refuse to change even to it.
            if mode is not None and stat.S_IMODE(os.fstat(file.fileno()).st_mode) != mode:
                os.chmod(file.name, mode)
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames no open file; elsewhere the lock has to last until it is renamed
            os.replace(file.name, path)
        except BaseException:
            with suppress(OSError):  # what is still to be written may not be writable
                file.close()
            with suppress(FileNotFoundError):
                os.remove(file.name)
            raise
    _sync(folder)


def check_regular(path, kind: str) -> os.stat_result:
    """What os.stat says of `path`; ValueError unless it is a regular file, which alone can be `kind` ("model file")."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a device or a socket"
        raise ValueError(f"{os.fsdecode(path)} is {what}, not a {kind}.")
    return found


def _mode(path):
    """The permissions of the file at `path`; None where there is none."""
    try:
        return stat.S_IMODE(check_regular(path, "file that can be replaced").st_mode)
    except FileNotFoundError:
        return None


def _new(folder, mode):
    """A new file in `folder`, open for writing and locked while it is; the umask takes its part of `mode`."""
    while True:
        name = os.path.join(folder, f"fastconv-{secrets.token_hex(8)}.tmp")
        # "x" makes a file or fails: a link that somebody put there is not followed.
        file = open(name, "xb", opener=lambda name, flags: os.open(name, flags, mode))
        if fcntl is None:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.lexists(name):
                return file
        except BlockingIOError:
            pass
        except OSError:
            return file  # no locks on this file system: then nobody can take one and remove the file either
        file.close()  # another writer took it for a left one before it was locked, and removes it


def _remove_left(folder):
    """Removes the files of writers that were killed: those of our names that nobody has locked."""
    if fcntl is None:
        return
    with suppress(OSError):
        for name in filter(_OURS.fullmatch, os.listdir(folder)):
            with suppress(OSError):
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(name):
    handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its writer may have renamed it since it was opened; while the lock is held, nobody does.
        if stat.S_ISREG(os.fstat(handle).st_mode) and os.path.samestat(os.fstat(handle), os.lstat(name)):
            os.remove(name)
    finally:
        os.close(handle)


def _sync(folder):
    """Makes the new name of a file in `folder` last, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
