"""write_whole: what a path holds while others write to it, and after a writer was killed."""

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import python

from fastconv import files
from fastconv.files import write_whole

KILLED = """
import os, signal, sys
from fastconv.files import write_whole
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
write_whole(sys.argv[1], b"half")
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "whole"


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_threads_that_write_to_one_path_leave_one_whole_file(path):
    contents = [bytes([value]) * 100_000 for value in range(4)]
    write_whole(path, contents[0])
    done = threading.Event()

    def read():
        seen = set()
        while not done.is_set():
            seen.add(path.read_bytes())
        return seen

    with ThreadPoolExecutor(5) as pool:
        seen = pool.submit(read)
        writers = [pool.submit(lambda c=content: [write_whole(path, c) for _ in range(25)]) for content in contents]
        errors = [writer.exception() for writer in writers]
        done.set()
    assert errors == [None] * 4 and seen.result() <= set(contents)
    assert path.read_bytes() in contents and os.listdir(path.parent) == [path.name]


def test_what_a_killed_writer_leaves_goes_with_the_next_write(path):
    write_whole(path, b"old")
    for _ in range(2):
        assert python("-c", KILLED, str(path)).returncode == -9
    assert path.read_bytes() == b"old" and len(os.listdir(path.parent)) == 2
    write_whole(path.with_name("another"), b"new")
    assert sorted(os.listdir(path.parent)) == ["another", "whole"] and path.read_bytes() == b"old"


def test_a_file_that_is_being_written_is_no_left_one(path, monkeypatch):
    sync = os.fsync

    def write_another(handle):
        monkeypatch.setattr(os, "fsync", sync)
        write_whole(path.with_name("another"), b"second")
        sync(handle)

    monkeypatch.setattr(os, "fsync", write_another)
    write_whole(path, b"first")
    assert path.read_bytes() == b"first" and path.with_name("another").read_bytes() == b"second"


def test_a_file_that_was_taken_for_a_left_one_is_made_again(path, monkeypatch):
    lock = files.fcntl.flock

    def late(file, how):
        monkeypatch.setattr(files.fcntl, "flock", lock)
        files._remove_left(path.parent)
        lock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    write_whole(path, b"content")
    assert path.read_bytes() == b"content" and os.listdir(path.parent) == [path.name]


def test_where_there_are_no_locks_nothing_is_taken_for_a_left_one(path, monkeypatch):
    other = path.with_name("fastconv-0123456789abcdef.tmp")
    other.write_bytes(b"being written")
    monkeypatch.setattr(files, "fcntl", None)
    write_whole(path, b"content")
    assert path.read_bytes() == b"content" and sorted(os.listdir(path.parent)) == sorted((other.name, path.name))


def test_only_files_of_writers_are_removed(path):
    kept = ["fastconv-notes.tmp", "fastconv-0123456789abcdeF.tmp", "model.safetensors.12.tmp"]
    for name in kept:
        path.with_name(name).write_bytes(b"the user's")
    link = path.with_name("fastconv-0123456789abcdef.tmp")
    link.symlink_to(path.with_name(kept[0]))
    os.mkfifo(path.with_name("fastconv-0123456789abcde0.tmp"))
    write_whole(path, b"content")
    assert len(os.listdir(path.parent)) == 6 and link.read_bytes() == b"the user's"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755], ids=oct)
def test_a_file_keeps_its_mode(path, mode):
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert mode_of(path) == mode and path.read_bytes() == b"new"


def test_a_new_file_has_the_mode_that_open_gives_it(path):
    before = os.umask(0o027)
    try:
        write_whole(path, b"new")
    finally:
        os.umask(before)
    assert mode_of(path) == 0o640


def test_content_that_is_to_be_private_never_is_public(path, monkeypatch):
    path.write_bytes(b"old")
    path.chmod(0o640)
    modes, chmod = [], os.chmod

    def noted(name, mode):
        modes.append(stat.S_IMODE(os.stat(name).st_mode))
        chmod(name, mode)

    monkeypatch.setattr(os, "chmod", noted)
    write_whole(path, b"new")
    assert modes == [0o600] and mode_of(path) == 0o640


def test_a_link_stays_and_its_target_is_written(path):
    target = path.with_name("target")
    path.symlink_to(target)
    for content in (b"new", b"newer"):
        write_whole(path, content)
        assert path.is_symlink() and target.read_bytes() == content


def test_a_planted_link_is_not_followed(path):
    victim = path.with_name("victim")
    victim.write_bytes(b"precious")
    path.with_name(f"{path.name}.{os.getpid()}.tmp").symlink_to(victim)
    write_whole(path, b"content")
    assert victim.read_bytes() == b"precious" and path.read_bytes() == b"content" and not path.is_symlink()


def test_what_is_no_file_is_not_replaced(path):
    os.mkfifo(path)
    with pytest.raises(ValueError, match="whole is a pipe, a device or a socket"):
        write_whole(path, b"content")
    with pytest.raises(ValueError, match="is a folder"):
        write_whole(path.parent, b"content")
    assert os.listdir(path.parent) == [path.name]


def test_errors_name_the_path(path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="nowhere/whole"):
        write_whole(path.parent / "nowhere" / "whole", b"content")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: .*whole"):
        write_whole(path, b"content")
    assert os.listdir(path.parent) == []
