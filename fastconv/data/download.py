"""get_file: a file from the net into the cache, checked and, where asked for, unpacked; after `keras.utils.get_file`.

Contract: https only; a file appears in the cache whole or not at all, and with a hash only if it is right; an archive is
unpacked inside its own folder: no paths out of it, no links, no devices, within a limit of size.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

from fastconv.files import cache_dir as default_cache

__all__ = ["get_file"]

SIZE_LIMIT = 8 << 30  # bytes of a file, and of what an archive unpacks to
TIMEOUT = 30.0  # seconds without a byte


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | list | None = "auto",
    cache_dir: str | os.PathLike | None = None,
    force_download: bool = False,
) -> str:
    """The path of `origin`'s file in the cache, downloaded if it is not there yet; of its folder where it is unpacked.

    file_hash: its SHA-256 (or MD5: hash_algorithm); a file in the cache with another hash is fetched again. extract:
    unpacks a .zip or .tar archive into a folder beside the file. cache_dir: FASTCONV_DATA_DIR or the user's cache.
    FASTCONV_OFFLINE=1 forbids all downloads. Raises ValueError for a wrong hash or archive, OSError without the net.
    """
    if origin is None:
        raise ValueError("get_file needs origin: the address of the file, https://...")
    if urllib.parse.urlsplit(origin).scheme != "https":
        raise ValueError(f"origin must be an https address; got {origin!r}.")
    name = fname or os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name or name in (".", "..") or re.search(r"[\\/\0]", name):
        raise ValueError(f"fname must be the name of a file, without folders; got {name!r}.")
    if hash_algorithm not in ("auto", "sha256", "md5"):
        raise ValueError(f"hash_algorithm must be 'auto', 'sha256' or 'md5'; got {hash_algorithm!r}.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    folder = _cache(cache_dir) / cache_subdir
    path = folder / name
    if force_download or not path.is_file() or (file_hash and not _fits(path, file_hash, hash_algorithm)):
        _fetch(origin, path, file_hash, hash_algorithm)
    if not (extract or untar):
        return str(path)
    target = folder / f"{name}_extracted"
    if not target.is_dir():
        unpack(path, target, "tar" if untar else archive_format)
    return str(target)


def unpack(archive: Path, target: Path, archive_format: str | list | None = "auto") -> None:
    """Unpacks a .zip or .tar archive into the folder `target`, which appears whole or not at all."""
    formats = (
        ["tar", "zip"]
        if archive_format == "auto"
        else [archive_format]
        if isinstance(archive_format, str)
        else archive_format
    )
    kind = "zip" if "zip" in formats and zipfile.is_zipfile(archive) else None
    kind = "tar" if kind is None and "tar" in formats and tarfile.is_tarfile(archive) else kind
    if kind is None:
        raise ValueError(f"{archive} is no archive of the format {archive_format!r}.")
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        (_unzip if kind == "zip" else _untar)(archive, staging)
        os.replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unzip(archive, folder):
    with zipfile.ZipFile(archive) as file:
        entries = [(entry, entry.filename, entry.file_size) for entry in file.infolist() if not entry.is_dir()]
        for entry, name, _ in _safe(entries, archive):
            with file.open(entry) as source:
                _write(source, folder / name, entry.file_size)


def _untar(archive, folder):
    with tarfile.open(archive) as file:
        members = [member for member in file if not member.isdir()]
        odd = next((member.name for member in members if not member.isreg()), None)
        if odd is not None:
            raise ValueError(f"{archive} holds {odd!r}, which is a link or device; only files are unpacked.")
        for member, name, size in _safe([(m, m.name, m.size) for m in members], archive):
            _write(file.extractfile(member), folder / name, size)


def _safe(entries, archive):
    if sum(size for _, _, size in entries) > SIZE_LIMIT:
        raise ValueError(f"{archive} would unpack to more than {SIZE_LIMIT:,} bytes.")
    for entry, name, size in entries:
        parts = name.replace("\\", "/").split("/")
        if name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
            raise ValueError(f"{archive} holds {name!r}, a path out of its folder; it is not unpacked.")
        yield entry, "/".join(part for part in parts if part not in ("", ".")), size


def _write(source, path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with open(path, "xb") as file:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"{path.name} is longer than its archive says; it is not unpacked.")
            file.write(chunk)


def _cache(cache_dir):
    setting = os.environ.get("FASTCONV_DATA_DIR")
    return Path(cache_dir) if cache_dir is not None else Path(setting) if setting else default_cache()


def _fits(path, expected, algorithm):
    digest = hashlib.md5() if algorithm == "md5" or (algorithm == "auto" and len(expected) == 32) else hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == expected.lower()


def _fetch(origin, path, expected, algorithm):
    if os.environ.get("FASTCONV_OFFLINE", "") not in ("", "0"):
        raise OSError(
            f"{path.name} is not in the cache, {path.parent}, and FASTCONV_OFFLINE forbids to fetch {origin}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(origin, timeout=TIMEOUT) as answer, open(part, "wb") as file:
            if urllib.parse.urlsplit(answer.url).scheme != "https":
                raise ValueError(f"{origin} leads to {answer.url}, which is not https.")
            size = 0
            while chunk := answer.read(1 << 20):
                size += len(chunk)
                if size > SIZE_LIMIT:
                    raise ValueError(f"{origin} is longer than {SIZE_LIMIT:,} bytes; get it by other means.")
                file.write(chunk)
        if expected and not _fits(part, expected, algorithm):
            raise ValueError(f"{origin} has another hash than {expected}; the file was not kept.")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
