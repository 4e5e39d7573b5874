"""repair: whatever 1,000 bytes are damaged, the images of two chunks at most are lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec.cli import main
from aecodec.errors import AezCorruptError

CHUNK = 16
IMAGES = np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)  # 1 KiB a chunk


@pytest.fixture(scope="module")
def good() -> bytes:
    return aecodec.encode(IMAGES, model="none", chunk_images=CHUNK)


def kept_images(done) -> np.ndarray:
    parts = [IMAGES[at:end] for at, end in done.kept]
    return np.concatenate([IMAGES[:0], *parts])


def run(data: bytes, folder: Path):
    (folder / "bad.aez").write_bytes(data)
    done = aecodec.repair(folder / "bad.aez", folder / "out.aez", force=True)
    assert (folder / "bad.aez").read_bytes() == data
    with aecodec.open(folder / "out.aez") as archive:
        np.testing.assert_array_equal(archive[:].reshape(-1, 8, 8), kept_images(done))
    return done


def test_whole_file_comes_back_unchanged(good, tmp_path):
    assert run(good, tmp_path).whole
    assert (tmp_path / "out.aez").read_bytes() == good


def test_any_1000_bytes_cost_two_chunks(good, tmp_path):
    for at in range(0, len(good) - 999, 97):
        done = run(good[:at] + bytes(1000) + good[at + 1000 :], tmp_path)
        assert done.images_kept >= len(IMAGES) - 2 * CHUNK, at


def test_cut_files_keep_the_chunks_before_the_cut(good, tmp_path):
    with aecodec.open(good) as archive:
        ends = [sum(archive.reader.index_entry(i)[:2]) for i in range(archive.reader.chunk_count)]
    for nbytes in range(48, len(good), 101):
        done = run(good[:nbytes], tmp_path)
        assert done.images_kept == min(200, CHUNK * sum(end <= nbytes for end in ends))


def test_names_go_with_their_images_and_the_command_says_what_is_lost(tmp_path, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    image = pytest.importorskip("PIL.Image")
    for i in range(40):
        image.fromarray(IMAGES[i]).save(folder / f"{i:02}.png")
    source, output = tmp_path / "set.aez", tmp_path / "out.aez"
    aecodec.compress(folder, source, model="none", chunk_images=CHUNK)
    data = bytearray(source.read_bytes())
    with aecodec.open(bytes(data)) as archive:
        data[archive.reader.index_entry(1).offset + 200] ^= 1
    source.write_bytes(data)
    assert main(["repair", str(source), "-o", str(output), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["lost"], told["kept"]) == (40, [[16, 32]], [[0, 16], [32, 40]])
    with aecodec.open(output) as archive:
        assert archive.names == tuple(f"{i:02}.png" for i in [*range(16), *range(32, 40)])
        assert archive.metadata["repaired"]["lost"] == [[16, 32]]


def test_refusals_leave_nothing(good, tmp_path):
    source, output = tmp_path / "a.aez", tmp_path / "b.aez"
    source.write_bytes(b"junk" * 100)
    with pytest.raises(AezCorruptError, match=r"not an \.aez"):
        aecodec.repair(source, output)
    assert not output.exists()
    with pytest.raises(ValueError, match="damaged file itself"):
        aecodec.repair(source, source, force=True)
    assert source.read_bytes() == b"junk" * 100
