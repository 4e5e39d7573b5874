import os
import socket
import stat
import sys
import threading

import pytest

from aecodec.io.atomic import atomic_path

posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions, devices and links")


def names(folder):
    return sorted(os.listdir(folder))


def test_file_appears_whole(tmp_path):
    target = tmp_path / "out.aez"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"data")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".out.aez.")
        assert not target.exists()
    assert target.read_bytes() == b"data"
    assert names(tmp_path) == ["out.aez"]


def test_folder_appears_whole(tmp_path):
    with atomic_path(tmp_path / "out", directory=True) as temporary:
        (temporary / "0.png").write_bytes(b"data")
    assert (tmp_path / "out" / "0.png").read_bytes() == b"data"
    assert names(tmp_path) == ["out"]


def write_half(target, error, **options):
    with atomic_path(target, **options) as temporary:
        (temporary / "x" if temporary.is_dir() else temporary).write_bytes(b"half")
        raise error("stop")


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_nothing(tmp_path, error, directory):
    with pytest.raises(error, match="stop"):
        write_half(tmp_path / "out", error, directory=directory)
    assert names(tmp_path) == []


def test_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stop"):
        write_half(target, RuntimeError, force=True)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_existing_file_needs_force(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError, match="out: exists; force=True"), atomic_path(target):
        pass
    with atomic_path(target, force=True) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_existing_folder_needs_force(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.png").touch()
    with pytest.raises(FileExistsError, match="force=True"), atomic_path(target, directory=True):
        pass
    with atomic_path(target, directory=True, force=True) as temporary:
        (temporary / "old.png").write_bytes(b"new")
        (temporary / "new.png").touch()
    assert names(target) == ["new.png", "old.png"]
    assert (target / "old.png").read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


def test_other_entries_of_a_folder_are_never_deleted(tmp_path):
    target = tmp_path / "out"
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "notes.txt").write_text("mine")
    for name in ("0.png", "b.png", "c.png", "d.png", "e.png"):
        (target / name).touch()
    with (
        pytest.raises(FileExistsError, match=r"holds 'b.png', 'c.png', 'd.png' and 2 more"),
        atomic_path(target, directory=True, force=True) as temporary,
    ):
        (temporary / "0.png").write_bytes(b"new")
    assert (target / "0.png").read_bytes() == b""
    assert (target / "sub" / "notes.txt").read_text() == "mine"
    assert names(tmp_path) == ["out"]


def test_a_tree_is_replaced_by_one_with_the_same_folders(tmp_path):
    target = tmp_path / "out"
    (target / "a").mkdir(parents=True)
    (target / "a" / "0.png").touch()
    with atomic_path(target, directory=True, force=True) as temporary:
        (temporary / "a").mkdir()
        (temporary / "a" / "0.png").write_bytes(b"new")
        (temporary / "b").mkdir()
        (temporary / "b" / "0.png").touch()
    assert (target / "a" / "0.png").read_bytes() == b"new"
    assert names(target) == ["a", "b"]


@pytest.mark.parametrize("force", [False, True])
def test_an_empty_folder_is_filled_and_stays_itself(tmp_path, force):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    before = (tmp_path / "real").stat().st_ino
    with atomic_path(tmp_path / "link", directory=True, force=force) as temporary:
        (temporary / "a").mkdir()
        (temporary / "a" / "0.png").touch()
        (temporary / "b.png").touch()
    assert names(tmp_path / "real") == ["a", "b.png"]
    assert (tmp_path / "real").stat().st_ino == before
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["link", "real"]


def test_an_empty_folder_stays_empty_after_an_error(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RuntimeError, match="stop"):
        write_half(tmp_path / "out", RuntimeError, directory=True)
    assert names(tmp_path / "out") == []


def fill(temporary, target):
    (temporary / "0.png").write_bytes(b"ours")
    (target / "0.png").write_bytes(b"theirs")


def test_a_folder_that_is_filled_meanwhile_is_kept(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    with (
        pytest.raises(FileExistsError, match="not empty any more"),
        atomic_path(target, directory=True, force=True) as temporary,
    ):
        fill(temporary, target)
    assert (target / "0.png").read_bytes() == b"theirs"
    assert names(target) == ["0.png"]


def test_a_replaced_folder_behind_a_link_leaves_the_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "0.png").touch()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    with atomic_path(tmp_path / "link", directory=True, force=True) as temporary:
        (temporary / "0.png").write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "0.png").read_bytes() == b"new"


def test_target_made_meanwhile_is_kept(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(FileExistsError, match="force=True"), atomic_path(target):
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]


def test_the_other_kind_is_refused_even_with_force(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with (
        pytest.raises(IsADirectoryError, match="is a folder, a file was expected"),
        atomic_path(tmp_path / "folder", force=True),
    ):
        pass
    with (
        pytest.raises(NotADirectoryError, match="exists and is not a folder"),
        atomic_path(tmp_path / "file", force=True, directory=True),
    ):
        pass


def test_home_folder_is_never_replaced(tmp_path, monkeypatch):
    home = tmp_path / "users" / "home"
    home.mkdir(parents=True)
    (home / "0.png").touch()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for folder in (home, home.parent):
        with (
            pytest.raises(FileExistsError, match="is or holds the home folder"),
            atomic_path(folder, force=True, directory=True) as temporary,
        ):
            (temporary / "0.png").touch()


def test_working_folder_is_never_replaced(tmp_path, monkeypatch):
    (tmp_path / "0.png").touch()
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(FileExistsError, match="holds the working folder"),
        atomic_path(".", force=True, directory=True),
    ):
        pass


@posix_only
def test_read_only_folder_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do all
    with (
        pytest.raises(PermissionError, match="out"),
        atomic_path(tmp_path / "out", force=True, directory=True),
    ):
        pass
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["0.png"]


@posix_only
def test_an_old_folder_comes_back_when_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").write_bytes(b"old")
    replace = type(tmp_path).replace

    def failing(path, target):
        if path.name.endswith(".tmp"):
            raise OSError("the disk is gone")
        return replace(path, target)

    monkeypatch.setattr(type(tmp_path), "replace", failing)
    with (
        pytest.raises(OSError, match="the disk is gone"),
        atomic_path(tmp_path / "out", force=True, directory=True) as temporary,
    ):
        (temporary / "0.png").write_bytes(b"new")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "0.png").read_bytes() == b"old"


@posix_only
def test_device_is_written_to_and_never_replaced():
    with atomic_path(os.devnull) as temporary:
        temporary.write_bytes(b"data")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with (
        pytest.raises(NotADirectoryError, match="null: exists and is not a folder"),
        atomic_path(os.devnull, directory=True),
    ):
        pass


@posix_only
def test_socket_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with (
            pytest.raises(FileExistsError, match="s: exists and is not an ordinary file"),
            atomic_path("s", force=True),
        ):
            pass


def test_missing_parent_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"no such folder to write into: .*absent"),
        atomic_path(tmp_path / "absent" / "out"),
    ):
        pass


@posix_only
@pytest.mark.parametrize("directory", [False, True])
def test_permissions_follow_the_umask(tmp_path, directory):
    old = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "out", directory=directory):
            pass
    finally:
        os.umask(old)
    mode = stat.S_IMODE((tmp_path / "out").stat().st_mode)
    assert mode == (0o750 if directory else 0o640)


@posix_only
def test_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic_path(tmp_path / "link", force=True) as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_longest_name(tmp_path):
    target = tmp_path / ("n" * 255)
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"data")
    assert target.read_bytes() == b"data"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames over no file in use")
def test_two_writers_do_not_mix(tmp_path):
    both_open = threading.Barrier(2)

    def write(content):
        with atomic_path(tmp_path / "out", force=True) as temporary:
            both_open.wait(timeout=10)
            temporary.write_bytes(content)

    threads = [threading.Thread(target=write, args=(c * 1000,), daemon=True) for c in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "out").read_bytes() in (b"a" * 1000, b"b" * 1000)
    assert names(tmp_path) == ["out"]
