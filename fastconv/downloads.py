"""keras.utils.get_file: a file from an address, kept in the user's cache, checked and unpacked.

Not the data sets that fastconv knows, which datasets/_files.py checks against hashes of its own. Contract: a file is in
the cache whole or not at all; one whose hash is given and differs is never returned; nothing is unpacked outside its
folder, and nothing that was unpacked is run; nothing takes more room than the disk has. FASTCONV_OFFLINE=1 forbids
downloads.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from fastconv.files import cache_dir as default_cache
from fastconv.files import write_whole

__all__ = ["get_file"]


def get_file(
    fname: str | os.PathLike[str] | None = None, origin: str | None = None, untar: bool = False,
    md5_hash: str | None = None, file_hash: str | None = None, cache_subdir: str = "datasets",
    hash_algorithm: str = "auto", extract: bool = False, archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None, force_download: bool = False,
) -> str:  # fmt: skip
    """The path of the file `fname` in `cache_dir/cache_subdir`, downloaded from the address `origin` where it is not
    there yet or its hash differs; `fname` is by default the last part of the address.

    `file_hash` is checked by `hash_algorithm`: "sha256", "md5", or "auto", by its length; `md5_hash` is its older name.
    `extract=True` unpacks a tar or zip archive (`archive_format`: "auto", "tar", "zip", or several) and gives the
    folder's path: fname without its ending, and "_extracted". `untar=True` is the older way to say it of a tar archive.
    `cache_dir` is by default fastconv's folder in the user's cache. `force_download` downloads in any case.

    ValueError for a hash that differs from what `origin` gave, or an archive that is none; OSError where there is
    nothing to be had.
    """
    if not origin:
        raise ValueError("get_file needs origin, the address of the file.")
    name = os.path.basename(unquote(urlsplit(origin).path)) if fname is None else os.fspath(fname)
    if not name or os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(f"fname must be the name of a file, without folders; got {name!r}.")
    wanted, algorithm = _hash(file_hash or md5_hash, "md5" if md5_hash and not file_hash else hash_algorithm)
    folder = pathlib.Path(default_cache() if cache_dir is None else cache_dir) / cache_subdir
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if force_download or not path.is_file() or (wanted and _digest(path, algorithm) != wanted):
        _download(origin, path, wanted, algorithm)
    if not (extract or untar):
        return str(path)
    return _unpacked(path, "tar" if untar and not extract else archive_format, force_download)


def _hash(value: str | None, algorithm: str) -> tuple[str | None, str]:
    if algorithm not in ("auto", "sha256", "md5"):
        raise ValueError(f"hash_algorithm must be 'auto', 'sha256' or 'md5'; got {algorithm!r}.")
    if value is None:
        return None, "sha256"
    return value.lower(), ("sha256" if len(value) == 64 else "md5") if algorithm == "auto" else algorithm


def _digest(path: pathlib.Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _download(origin: str, path: pathlib.Path, wanted: str | None, algorithm: str) -> None:
    """Puts what `origin` gives at `path`, whole and with the wanted hash."""
    from fastconv.datasets._files import offline
    from fastconv.datasets._network import TooLong, Unreachable, download

    if offline():
        raise OSError(f"{path.name} is not in {path.parent}, and FASTCONV_OFFLINE forbids to download {origin}.")

    def hashed(parts: Iterator[bytes]) -> Iterator[bytes]:
        digest = hashlib.new(algorithm)
        for part in parts:
            digest.update(part)
            yield part
        if wanted and digest.hexdigest() != wanted:
            raise ValueError(
                f"{origin} gave a file whose {algorithm} is {digest.hexdigest()}, not {wanted}: it is damaged, or another."
            )

    try:
        download(origin, _free(path.parent), lambda parts: write_whole(path, parts), hashed)
    except Unreachable as error:
        raise OSError(f"{origin} cannot be downloaded: {error}.") from error
    except TooLong as error:
        raise ValueError(f"{origin} {error}, which is all that {path.parent} has room for.") from error


def _free(folder: pathlib.Path) -> int:
    """Bytes that the disk of a folder has room for: the limit of what is downloaded or unpacked there."""
    return shutil.disk_usage(folder).free


def _unpacked(path: pathlib.Path, archive_format: str | Sequence[str] | None, again: bool) -> str:
    """The folder with what is in the archive at `path`."""
    import tarfile
    import zipfile
    import zlib

    formats = [archive_format] if isinstance(archive_format, str) or archive_format is None else list(archive_format)
    if unknown := [one for one in formats if one not in ("auto", "tar", "zip", None)]:
        raise ValueError(f"archive_format must be 'auto', 'tar', 'zip' or several of them; got {unknown[0]!r}.")
    allowed = {"tar", "zip"} if "auto" in formats else set(formats)
    target = path.parent / (path.name.removesuffix(path.suffix).removesuffix(".tar") + "_extracted")
    if target.is_dir() and not again and target.stat().st_mtime >= path.stat().st_mtime:
        return str(target)
    folder = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        if "tar" in allowed and tarfile.is_tarfile(path):
            _untar(path, folder)
        elif "zip" in allowed and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                _check_room(path, folder, sum(entry.file_size for entry in zipped.infolist()))
                zipped.extractall(folder)
        else:
            raise ValueError(f"{path} is no archive of {' or '.join(sorted(map(str, allowed)))}.")
        if target.exists():
            shutil.rmtree(target)
        os.chmod(folder, 0o755)
        os.replace(folder, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return str(target)


def _untar(path: pathlib.Path, folder: str) -> None:
    import tarfile

    if not hasattr(tarfile, "data_filter"):
        raise ValueError(f"This Python is too old to unpack {path} safely: unpack it yourself.")
    with tarfile.open(path) as archive:
        room, needed = _free(path.parent), 0
        for member in archive:
            needed += member.size
            _check_room(path, folder, needed, room)
            archive.extract(member, folder, filter="data")  # nothing outside, no devices


def _check_room(path: pathlib.Path, folder: str, needed: int, room: int | None = None) -> None:
    room = _free(pathlib.Path(folder)) if room is None else room
    if needed > room:
        raise ValueError(f"{path} unpacks to {needed:,} bytes or more, and the disk has room for {room:,}.")
