"""utils.get_file: files from addresses (of this computer) are kept, checked, unpacked, or refused whole."""

import hashlib
import io
import os
import pathlib
import tarfile
import zipfile

import pytest

from fastconv import downloads
from fastconv.utils import get_file


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTCONV_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def site(tmp_path):
    """A folder with a text and archives of it."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "note.txt").write_text("hello")
    with tarfile.open(folder / "note.tar.gz", "w:gz") as archive:
        archive.add(folder / "note.txt", "part/note.txt")
    with zipfile.ZipFile(folder / "note.zip", "w") as archive:
        archive.write(folder / "note.txt", "part/note.txt")
    return folder


def test_a_file_is_downloaded_once(site, cache, capsys):
    origin = (site / "note.txt").as_uri()
    path = get_file(origin=origin, cache_dir=cache)
    assert path == str(cache / "datasets" / "note.txt") and pathlib.Path(path).read_text() == "hello"
    assert "downloading" in capsys.readouterr().err
    (site / "note.txt").write_text("other")
    assert pathlib.Path(get_file("note.txt", origin, cache_dir=cache)).read_text() == "hello"
    assert not capsys.readouterr().err
    assert pathlib.Path(get_file(origin=origin, cache_dir=cache, force_download=True)).read_text() == "other"
    assert get_file("mine", origin, cache_dir=cache, cache_subdir="a/b") == str(cache / "a" / "b" / "mine")
    assert os.listdir(cache / "datasets") == ["note.txt"]  # nothing was left beside it


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_a_hash_that_differs_downloads_anew_or_is_refused(name, site, cache):
    origin, given = (site / "note.txt").as_uri(), {"md5_hash" if name == "md5" else "file_hash": None}
    first = pathlib.Path(get_file(origin=origin, cache_dir=cache))
    (site / "note.txt").write_text("newer")
    (key,) = given
    digest = hashlib.new(name, b"newer").hexdigest()
    assert pathlib.Path(get_file(origin=origin, cache_dir=cache, **{key: digest})).read_text() == "newer"
    with pytest.raises(ValueError, match=f"whose {name} is {digest}, not 00"):
        get_file(origin=origin, cache_dir=cache, **{key: "0" * len(digest)})
    assert first.read_text() == "newer" and os.listdir(first.parent) == ["note.txt"]


@pytest.mark.parametrize("name, options", [
    ("note.tar.gz", {"extract": True}), ("note.tar.gz", {"untar": True}), ("note.zip", {"extract": True}),
    ("note.zip", {"extract": True, "archive_format": ["tar", "zip"]}),
])  # fmt: skip
def test_archives_are_unpacked(name, options, site, cache):
    for _ in range(2):
        folder = get_file(origin=(site / name).as_uri(), cache_dir=cache, **options)
        assert folder == str(cache / "datasets" / "note_extracted")
        assert (pathlib.Path(folder) / "part" / "note.txt").read_text() == "hello"
    assert sorted(os.listdir(cache / "datasets")) == sorted([name, "note_extracted"])


def test_nothing_is_unpacked_outside(site, cache):
    with tarfile.open(site / "evil.tar", "w") as archive:
        entry = tarfile.TarInfo("../../evil.txt")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"bad"))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        get_file(origin=(site / "evil.tar").as_uri(), cache_dir=cache, extract=True)
    assert not list(cache.rglob("evil.txt")) and os.listdir(cache / "datasets") == ["evil.tar"]


@pytest.mark.parametrize("arguments, error, match", [
    ({}, ValueError, "needs origin"), ({"origin": "file:///"}, ValueError, "fname must be the name"),
    ({"fname": "../x", "origin": "file:///x"}, ValueError, "without folders"),
    ({"origin": "{site}/absent"}, OSError, "cannot be downloaded"),
    ({"origin": "{site}/note.txt", "extract": True}, ValueError, "no archive of tar or zip"),
    ({"origin": "{site}/note.zip", "extract": True, "archive_format": "tar"}, ValueError, "no archive of tar"),
    ({"origin": "{site}/note.zip", "extract": True, "archive_format": "rar"}, ValueError, "got 'rar'"),
    ({"origin": "{site}/note.txt", "hash_algorithm": "crc"}, ValueError, "hash_algorithm must be"),
])  # fmt: skip
def test_what_is_refused(arguments, error, match, site, cache):
    if "origin" in arguments:
        arguments = arguments | {"origin": arguments["origin"].replace("{site}", site.as_uri())}
    with pytest.raises(error, match=match):
        get_file(**arguments, cache_dir=cache)


@pytest.mark.parametrize("name, room, match", [
    ("note.txt", 3, "sends more than 3 bytes"), ("note.zip", 400, "unpacks to 5,000 bytes or more"),
    ("note.tar.gz", 400, "unpacks to 5,000 bytes or more"),
])  # fmt: skip
def test_nothing_takes_more_room_than_there_is(name, room, match, site, cache, monkeypatch):
    (site / "note.txt").write_text("h" * 5000)
    with tarfile.open(site / "note.tar.gz", "w:gz") as archive:
        archive.add(site / "note.txt", "note.txt")
    with zipfile.ZipFile(site / "note.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(site / "note.txt", "note.txt")
    monkeypatch.setattr(downloads, "_free", lambda folder: room)
    with pytest.raises(ValueError, match=match):
        get_file(origin=(site / name).as_uri(), cache_dir=cache, extract=name != "note.txt")
    assert [path.name for path in cache.rglob("note*")] == [name] * (name != "note.txt")


def test_offline_means_offline(site, cache, monkeypatch):
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")
    with pytest.raises(OSError, match="FASTCONV_OFFLINE forbids"):
        get_file(origin=(site / "note.txt").as_uri(), cache_dir=cache)
