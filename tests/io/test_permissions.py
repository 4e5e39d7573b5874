import os
import stat

import pytest

from aecodec.io.atomic import atomic_path
from aecodec.io.claims import claimed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


@pytest.fixture(autouse=True)
def umask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").write_bytes(b"data")
    old = os.umask(0o022)
    yield
    os.umask(old)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def write(name, *, existing=None, source=None, **options):
    """The modes of the temporary file and of the output."""
    if source is not None:
        os.chmod("source", source)
        options["like"] = "source"
    if existing is not None:
        with open(name, "wb"):
            os.chmod(name, existing)
    with atomic_path(name, force=True, **options) as temporary:
        while_written = mode_of(temporary)
    return while_written, mode_of(name)


@pytest.mark.parametrize(
    ("source", "existing", "mode"),
    [
        (None, None, 0o644),
        (None, 0o600, 0o600),
        (None, 0o664, 0o664),
        (0o600, None, 0o600),
        (0o640, None, 0o640),
        (0o444, None, 0o444),
        (0o666, None, 0o666),  # whatever the umask is, as gzip and xz
        (0o644, 0o600, 0o600),
        (0o644, 0o664, 0o664),
        (0o600, 0o644, 0o600),
        (0o640, 0o666, 0o660),
    ],
)
def test_mode(source, existing, mode):
    temporary, final = write("out", source=source, existing=existing)
    assert final == mode
    assert temporary & ~final == 0 or temporary == 0o600


def test_times_are_those_of_the_source():
    os.utime("source", (1_000_000, 2_000_000))
    write("out", source=0o644)
    assert os.stat("out").st_mtime == 2_000_000
    write("other")
    assert os.stat("other").st_mtime > 2_000_000


def test_an_output_is_as_private_as_all_inputs():
    os.chmod("source", 0o600)
    with claimed(inputs=["source"], outputs=["page", "folder"]):
        assert write("page") == (0o600, 0o600)
        assert write("folder", directory=True) == (0o700, 0o700)
        with atomic_path("tree", directory=True) as temporary:
            (temporary / "a").mkdir()
            (temporary / "a" / "0.png").touch()
    assert (mode_of("tree"), mode_of("tree/a"), mode_of("tree/a/0.png")) == (0o700, 0o700, 0o600)
    assert write("public") == (0o644, 0o644)


def test_a_replaced_folder_keeps_its_mode():
    os.mkdir("out")
    open("out/0.png", "w").close()
    os.chmod("out", 0o750)
    with atomic_path("out", force=True, directory=True) as temporary:
        (temporary / "0.png").touch()
    assert mode_of("out") == 0o750


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_owner_and_group_are_those_of_the_source_or_of_the_replaced():
    os.chown("source", 1234, 2345)
    write("out", source=0o640)
    assert (os.stat("out").st_uid, os.stat("out").st_gid) == (1234, 2345)
    os.chown("out", 3456, 4567)
    write("out", source=0o644)
    assert (os.stat("out").st_uid, os.stat("out").st_gid) == (3456, 4567)


def test_a_group_that_cannot_be_given_gets_what_all_may(monkeypatch):
    os.chmod("source", 0o640)
    real = os.stat("source")
    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr("aecodec.io.permissions._file_status", lambda _: other_group(real))
    with atomic_path("out", like="source"):
        pass
    assert mode_of("out") == 0o600


def refuse(*_):
    raise PermissionError(1, "not allowed")


def other_group(status):
    fields = list(status)
    fields[stat.ST_GID] += 1
    return os.stat_result([*fields, *[0.0] * 3, *[0] * 3])
