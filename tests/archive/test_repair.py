"""repair and --skip-damaged: whatever is damaged, the rest comes back, and what is lost is told."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec import container
from aecodec.archive.array import Archive
from aecodec.archive.repair import Repair, rewrite
from aecodec.cli import main
from aecodec.cli.words import losses_text
from aecodec.container import Header, Section, SubPayload, Writer
from aecodec.container.scan import Scan
from aecodec.errors import AezCorruptError, AezLimitError
from aecodec.limits import Limits

CHUNK = 16
IMAGES = np.random.default_rng(0).integers(0, 256, (200, 8, 8), np.uint8)  # 1 KiB a chunk
NONE = {"model": "none", "lossless": True}
LABELS = np.arange(200) % 7
WORDS = [f"word {i % 11}" for i in range(200)]


@pytest.fixture(scope="module")
def good() -> bytes:
    return aecodec.encode(IMAGES, model="none", chunk_images=CHUNK)


@pytest.fixture(scope="module")
def told() -> bytes:
    """With labels, a column of texts and a title."""
    about = {"title": "Noise", "classes": [f"class {i}" for i in range(7)]}
    options = {"labels": LABELS, "columns": {"word": WORDS}, "about": about, **NONE}
    return aecodec.encode(IMAGES, chunk_images=CHUNK, **options)


def kept_images(done, images=IMAGES) -> np.ndarray:
    return np.concatenate([images[:0], *(images[at:end] for at, end in done.kept)])


def run(data: bytes, folder: Path, images=IMAGES):
    (folder / "bad.aez").write_bytes(data)
    done = aecodec.repair(folder / "bad.aez", folder / "out.aez", force=True)
    assert (folder / "bad.aez").read_bytes() == data
    with aecodec.open(folder / "out.aez") as archive:
        np.testing.assert_array_equal(
            archive[:].reshape(-1, *images.shape[1:]), kept_images(done, images)
        )
    return done


def sections_of(data: bytes) -> dict[str, container.SectionEntry]:
    with Archive(data) as archive:
        return {entry.kind: entry for entry in archive.reader.sections}


def chunk_at(data: bytes, number: int) -> container.IndexEntry:
    with Archive(data) as archive:
        return archive.reader.index_entry(number)


def without(data: bytes, at: int, nbytes: int) -> bytes:
    return data[:at] + bytes(nbytes) + data[at + nbytes :]


# ---------------------------------------------------------------- images


def test_whole_file_comes_back_unchanged(good, told, tmp_path):
    for data in (good, told):
        assert run(data, tmp_path).whole
        assert (tmp_path / "out.aez").read_bytes() == data


def test_any_1000_bytes_cost_two_chunks(good, tmp_path):
    for at in range(0, len(good) - 999, 97):
        done = run(without(good, at, 1000), tmp_path)
        assert done.images_kept >= len(IMAGES) - 2 * CHUNK, at


@pytest.mark.slow
def test_any_1000_bytes_of_10_000_images_in_chunks_of_256(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (10_000, 4, 4), np.uint8)  # 4 KiB a chunk
    labels = np.arange(10_000) % 10
    data = aecodec.encode(images, labels=labels, chunk_images=256, **NONE)
    places = [*range(0, len(data) - 999, 499), *range(1200), *range(len(data) - 4000, len(data), 7)]
    for at in places:
        done = run(without(data, at, 1000)[: len(data)], tmp_path, images)
        assert done.images_kept >= 10_000 - 512, at
        with Archive(tmp_path / "out.aez") as archive:
            if archive.labels is not None:
                np.testing.assert_array_equal(archive.labels, kept_images(done, labels))
            else:
                assert "COLM" in done.dropped_sections or done.lost_nbytes != 0


def test_cut_files_keep_the_chunks_before_the_cut(good, tmp_path):
    with aecodec.open(good) as archive:
        ends = [sum(archive.reader.index_entry(i)[:2]) for i in range(archive.reader.chunk_count)]
    for nbytes in range(48, len(good), 101):
        done = run(good[:nbytes], tmp_path)
        assert done.images_kept == min(200, CHUNK * sum(end <= nbytes for end in ends))
        assert not done.whole


def test_damage_after_the_sections_costs_nothing(told, tmp_path):
    """What stands there is made anew: the copies, the index, the footer."""
    last = chunk_at(told, 12)
    for at in range(last.offset + last.nbytes, len(told), 13):
        done = run(without(told, at, 40)[: len(told)], tmp_path)
        assert done.whole, at
        assert (tmp_path / "out.aez").read_bytes() == told


def test_images_after_a_lost_index_are_not_promised(good, tmp_path):
    entry = chunk_at(good, 12)
    done = run(without(good, entry.offset, len(good) - entry.offset), tmp_path)
    assert (done.images, done.images_kept, done.whole) == (None, 192, False)


TINY = np.random.default_rng(2).integers(0, 256, (19, 2, 2), np.uint8)  # 5 chunks, one not full


def tiny_file(count: int, **options) -> bytes:
    return aecodec.encode(TINY[:count], chunk_images=4, **NONE, **options)


def repaired(data: bytes, undamaged: bytes) -> Repair:
    """What a repair tells; what it keeps must be the images at the places that it names."""
    out = io.BytesIO()
    done = rewrite(Scan(io.BytesIO(data), "bad.aez", Limits()), out)
    decoded = aecodec.decode(out.getvalue()).reshape(-1, 2, 2)
    np.testing.assert_array_equal(decoded, kept_images(done, TINY))
    if done.whole:
        assert out.getvalue() == undamaged
    return done


def require_truth(done: Repair, count: int) -> None:
    """Every image is kept, told as lost, or among those that nothing is known of."""
    assert done.images in (count, None)
    known = sorted([*done.kept, *done.lost])
    assert [0, *(end for _, end in known)][:-1] == [at for at, _ in known]
    told = known[-1][1] if known else 0
    assert told == count if done.images else (told <= count and done.unknown_from == told)
    text = losses_text(done.lost, done)
    assert ("images lost: none" in text) == (done.images_kept == count and done.images == count)
    assert done.whole == (text == "images lost: none")


@pytest.mark.parametrize("count", [19, 16, 3])
@pytest.mark.parametrize("labelled", [False, True])
def test_every_cut_is_told_as_it_is(count, labelled):
    data = tiny_file(count, labels=LABELS[:count]) if labelled else tiny_file(count)
    for nbytes in range(48, len(data)):
        require_truth(repaired(data[:nbytes], data), count)


def test_every_damaged_byte_is_told_as_it_is():
    data = tiny_file(19)
    for at in range(len(data)):
        done = repaired(without(data, at, 1), data)
        require_truth(done, 19)
        assert done.images == 19, at


def test_a_cut_in_the_first_chunk_loses_all_images(tmp_path, capsys):
    """A whole chunk head tells how many images its chunk had; without it nobody knows."""
    source, output = tmp_path / "bad.aez", tmp_path / "out.aez"
    for count, nbytes, told in (
        (3, 60, "all from 0 on, and nothing left tells how many"),
        (3, 85, "0:3"),
        (16, 85, "0:4, all from 4 on, and nothing left tells how many"),
    ):
        data = tiny_file(count)
        source.write_bytes(data[: chunk_at(data, 0).offset + nbytes])
        assert main(["repair", str(source), "-o", str(output), "-f"]) == 3
        assert f"0 images kept; images lost: {told}" in capsys.readouterr().out


def test_a_section_after_a_chunk_tells_that_it_was_the_last():
    """The copy of the header follows the chunks: the index is lost, and yet all are known."""
    data = tiny_file(16)
    end = chunk_at(data, 3).offset + chunk_at(data, 3).nbytes
    assert repaired(data[: end + 30], data).images == 16
    assert repaired(data[:end], data).images is None


# ---------------------------------------------------------------- sections


def test_columns_and_names_tell_how_many_images_there_were(told, tmp_path):
    entry = chunk_at(told, 12)
    done = run(without(told, entry.offset, len(told) - entry.offset), tmp_path)
    assert (done.images, done.lost) == (200, [[192, 200]])


def test_rows_go_with_their_images(told, tmp_path):
    entry = chunk_at(told, 3)
    done = run(without(told, entry.offset + 90, 1), tmp_path)
    assert (done.lost, done.dropped_sections, done.lost_nbytes) == ([[48, 64]], [], 0)
    with Archive(tmp_path / "out.aez") as archive:
        keep = [*range(48), *range(64, 200)]
        np.testing.assert_array_equal(archive.labels, LABELS[keep])
        assert list(archive.columns["word"].values) == [WORDS[i] for i in keep]
        assert archive.classes == tuple(f"class {i}" for i in range(7))
        assert archive.metadata["repaired"] == {"kept": done.kept, "lost": done.lost}


@pytest.mark.parametrize("kind", ["META", "COLM"])
@pytest.mark.parametrize("of_frame", [False, True])
def test_lost_sections_are_told(told, tmp_path, kind, of_frame):
    entry = sections_of(told)[kind]
    done = run(without(told, entry.offset if of_frame else entry.payload_offset, 8), tmp_path)
    assert not done.whole
    assert done.images_kept == 200
    if of_frame:  # nobody knows what it was
        assert done.lost_nbytes == entry.end_offset - entry.offset
        assert done.dropped_sections == []
    else:
        assert (done.lost_nbytes, done.dropped_sections) == (0, [kind])


@pytest.mark.parametrize("of_frame", [False, True])
def test_label_goes_with_its_column(tmp_path, of_frame):
    about = {"title": "Noise", "classes": list("abcdefg")}
    data = aecodec.encode(IMAGES, labels=LABELS, about=about, chunk_images=CHUNK, **NONE)
    entry = sections_of(data)["COLM"]
    run(without(data, entry.offset if of_frame else entry.payload_offset, 8), tmp_path)
    with Archive(tmp_path / "out.aez") as archive:
        assert (archive.labels, archive.classes) == (None, ())
        assert archive.annotations.title == "Noise"
    assert aecodec.verify(tmp_path / "out.aez", full=True) == 200


def test_names_go_with_their_images_and_the_command_says_what_is_lost(tmp_path, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    image = pytest.importorskip("PIL.Image")
    for i in range(40):
        image.fromarray(IMAGES[i]).save(folder / f"{i:02}.png")
    source, output = tmp_path / "set.aez", tmp_path / "out.aez"
    aecodec.compress(folder, source, model="none", chunk_images=CHUNK)
    data = bytearray(source.read_bytes())
    data[chunk_at(bytes(data), 1).offset + 200] ^= 1
    source.write_bytes(data)
    assert main(["repair", str(source), "-o", str(output), "--json"]) == 3
    facts = json.loads(capsys.readouterr().out)
    assert (facts["images"], facts["lost"], facts["kept"]) == (40, [[16, 32]], [[0, 16], [32, 40]])
    with aecodec.open(output) as archive:
        assert archive.names == tuple(f"{i:02}.png" for i in [*range(16), *range(32, 40)])
        assert archive.metadata["repaired"]["lost"] == [[16, 32]]


def test_records_of_a_later_version_are_passed_over(tmp_path):
    """A mode, or a required section, that nobody here knows costs itself alone."""
    header = Header(8, 8, 1, 0, 0, CHUNK, 0)
    path = tmp_path / "new.aez"
    with path.open("wb") as file:
        writer = Writer(file, header, [Section("NEXT", required=True, payload=b"what")])
        with aecodec.open(aecodec.encode(IMAGES[:32], chunk_images=CHUNK, **NONE)) as archive:
            for i in range(2):
                chunk = archive.reader.read_chunk(i)
                data = IMAGES[i * CHUNK : (i + 1) * CHUNK].tobytes()
                stored = (SubPayload(container.MODE_STORED, 0, data),)
                writer.write_chunk(
                    container.Chunk(CHUNK, stored, bytes(CHUNK), 0, 0, chunk.pixels_sha256)
                )
        writer.close()
    done = aecodec.repair(path, tmp_path / "out.aez")
    assert (done.images_kept, done.whole, done.lost_nbytes) == (32, False, 32)
    with aecodec.open(tmp_path / "out.aez") as archive:
        np.testing.assert_array_equal(archive[:].reshape(-1, 8, 8), IMAGES[:32])


def test_limits_hold(good, told, tmp_path):
    for data, limits, message in (
        (good, Limits(max_memory_nbytes=3000), "memory to decode 16 images of 64 bytes is 3"),
        (told, Limits(max_column_nbytes=20), "max_column_nbytes allows 20"),
    ):
        (tmp_path / "x.aez").write_bytes(data)
        with pytest.raises(AezLimitError, match=message):
            aecodec.repair(tmp_path / "x.aez", tmp_path / "out.aez", limits=limits)
        assert not (tmp_path / "out.aez").exists()


def test_refusals_leave_nothing(good, tmp_path):
    source, output = tmp_path / "a.aez", tmp_path / "b.aez"
    source.write_bytes(b"junk" * 100)
    with pytest.raises(AezCorruptError, match=r"not an \.aez"):
        aecodec.repair(source, output)
    assert not output.exists()
    with pytest.raises(ValueError, match="would replace the input"):
        aecodec.repair(source, source, force=True)
    assert source.read_bytes() == b"junk" * 100


# ---------------------------------------------------------------- decompress --skip-damaged


def skipped(data: bytes, folder: Path, **options):
    (folder / "bad.aez").write_bytes(data)
    return aecodec.decompress(
        folder / "bad.aez", folder / "out.npz", kind="npz", skip_damaged=True, force=True, **options
    )


def test_skipping_nothing_is_decompressing(told, tmp_path):
    done = skipped(told, tmp_path)
    assert (done.images, done.lost, done.repair, done.whole) == (200, [], None, True)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["images"], IMAGES)


@pytest.mark.parametrize("cut", [False, True])
def test_what_is_whole_is_written_with_its_labels(told, tmp_path, cut):
    data = without(told, chunk_at(told, 3).offset + 90, 1)
    last = chunk_at(told, 11)
    if cut:
        data = data[: last.offset + last.nbytes - 5]
    with pytest.raises(AezCorruptError):
        aecodec.decompress(data, tmp_path / "none.npy")
    assert not (tmp_path / "none.npy").exists()
    done = skipped(data, tmp_path)
    keep = [*range(48), *range(64, 176 if cut else 200)]
    assert done.images == len(keep)
    assert done.lost == ([[48, 64], [176, 200]] if cut else [[48, 64]])
    assert not done.whole
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["images"], IMAGES[keep])
        np.testing.assert_array_equal(out["label"], LABELS[keep])
        assert out["word"].tolist() == [WORDS[i] for i in keep]


def test_ranges_count_in_the_file_as_it_was(told, tmp_path):
    data = without(told, chunk_at(told, 3).offset + 90, 1)
    done = skipped(data, tmp_path, images=slice(40, 70))
    assert (done.images, done.lost) == (14, [[48, 64]])
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["label"], LABELS[[*range(40, 48), *range(64, 70)]])
    done = skipped(data, tmp_path, images=slice(64, 80))
    assert (done.images, done.lost) == (16, [])


def test_chunk_that_does_not_decode_is_skipped(told, tmp_path):
    """Its checksums are right and its pixels are not: only decoding tells."""
    entry = chunk_at(told, 2)
    with Archive(told) as archive:
        header = archive.reader.header
        out = (tmp_path / "forged.aez").open("wb")
        with out:
            sections = [
                Section(e.kind, e.required, archive.reader.read_section(e))
                for e in archive.reader.sections
            ]
            writer = Writer(out, header, sections)
            for i in range(archive.reader.chunk_count):
                chunk = archive.reader.read_chunk(i)
                fields = {**vars(chunk)}
                if i == 2:
                    fields["pixels_sha256"] = bytes(32)
                writer.write_chunk(container.Chunk(**fields))
            writer.close()
    assert entry.image_count == CHUNK
    done = skipped((tmp_path / "forged.aez").read_bytes(), tmp_path)
    assert (done.images, done.lost, done.repair) == (184, [[32, 48]], None)
    with np.load(tmp_path / "out.npz") as archive:
        keep = [*range(32), *range(48, 200)]
        np.testing.assert_array_equal(archive["images"], IMAGES[keep])
        np.testing.assert_array_equal(archive["label"], LABELS[keep])


def test_the_command_tells_and_exits_with_3(told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.aez").write_bytes(without(told, chunk_at(told, 3).offset + 90, 1))
    assert main(["decompress", "bad.aez", "-o", "a.npz"]) == 3
    assert not Path("a.npz").exists()
    capsys.readouterr()
    assert main(["decompress", "bad.aez", "-o", "a.npz", "--skip-damaged"]) == 3
    assert "a.npz: 184 images as npz\n  damaged: images lost: 48:64" in capsys.readouterr().err
    assert main(["decompress", "bad.aez", "-o", "b.npz", "--skip-damaged", "--json"]) == 3
    facts = json.loads(capsys.readouterr().out)
    assert (facts["images"], facts["lost"], facts["repair"]["lost"]) == (
        184,
        [[48, 64]],
        [[48, 64]],
    )
    Path("cut.aez").write_bytes(told[:9000])
    assert main(["decompress", "cut.aez", "--skip-damaged"]) == 3
    assert np.load("cut.npy").shape[1:] == (8, 8)


def test_headerless_file_is_beyond_help(tmp_path):
    with pytest.raises(AezCorruptError, match=r"not an \.aez"):
        skipped(b"junk" * 100, tmp_path)
    assert not (tmp_path / "out.npz").exists()


SOUND = aecodec.encode(IMAGES[:20], labels=LABELS[:20], **NONE)


def with_meta(text: str) -> bytes:
    """A whole file of 20 images whose META is this text."""
    with Archive(SOUND) as archive:
        sections = [
            Section(e.kind, e.required, archive.reader.read_section(e))
            for e in archive.reader.sections
        ]
        chunks = [archive.reader.read_chunk(i) for i in range(archive.reader.chunk_count)]
        out = io.BytesIO()
        meta = Section("META", required=False, payload=text.encode("utf-8", "surrogatepass"))
        others = [section for section in sections if section.kind != "META"]
        writer = Writer(out, archive.reader.header, [meta, *others])
        for chunk in chunks:
            writer.write_chunk(chunk)
        writer.close()
    return out.getvalue()


@pytest.mark.parametrize(
    "meta",
    [
        '{"label": []}', '{"label": {"a": 1}}', '{"label": "\\ud800"}', '{"label": 3}',
        '{"classes": "abc", "label": "label"}', '{"classes": [[]], "label": "label"}',
        '{"classes": ["a", "a"], "label": "label"}', '{"classes": ["a"], "label": "label"}',
        '{"classes": ["a"]}', '{"title": ["x"]}', '{"origin": "\\ud800"}', '{"licence": NaN}',
        '{"title": 1e999}', "[]", "3", "{", '{"title": "' + "x" * 70_000 + '"}',
        '{"a": ' * 300 + "1" + "}" * 300, "[" * 5000, "\ud800", "1" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_cut", [False, True])
def test_metadata_that_no_reader_takes_cost_no_image(meta, is_cut, tmp_path):
    data = with_meta(meta)
    done = run(data[:-20] if is_cut else data, tmp_path, IMAGES[:20])
    assert (done.images_kept, done.lost) == (20, [])
    assert done.dropped_sections == ["META"]
    with aecodec.open(tmp_path / "out.aez") as archive:
        archive.check_sections()
        assert list(archive.columns) == ["label"]
        assert archive.info["images"] == 20
    (tmp_path / "bad.aez").write_bytes(data)
    saved = aecodec.decompress(tmp_path / "bad.aez", tmp_path / "x.npy", skip_damaged=True)
    assert saved.images == 20
    assert not saved.whole


def test_lone_surrogates_that_no_reader_looks_at_are_kept(tmp_path):
    damaged = with_meta('{"other": "\\ud800é", "label": "label"}')
    with Archive(damaged) as archive:
        end = archive.reader.index_entry(0)
    bad = bytearray(damaged)
    bad[end.offset + 90] ^= 1
    done = run(bytes(bad), tmp_path, IMAGES[:20])
    assert done.lost == [[0, 20]]
    with aecodec.open(tmp_path / "out.aez") as archive:
        assert archive.metadata["other"] == "\ud800é"
        assert archive.metadata["repaired"] == {"kept": [], "lost": [[0, 20]]}


@pytest.mark.parametrize(
    "names", ["[[]]", '["a"]', "{}", "[" * 5000, '["' + "x" * (1 << 21) + '"]', "[1e9]"]
)
def test_names_that_no_reader_takes_cost_no_image(names, tmp_path):
    out = io.BytesIO()
    with Archive(SOUND) as archive:
        writer = Writer(out, archive.reader.header)
        writer.write_chunk(archive.reader.read_chunk(0))
        packed = zlib.compress(names.encode())
        writer.write_section(Section("NAME", required=False, payload=packed))
        writer.close()
    if len(names) > 1 << 20:
        with pytest.raises(AezLimitError, match="text 0 has over"):
            run(out.getvalue(), tmp_path, IMAGES[:20])
        return
    done = run(out.getvalue(), tmp_path, IMAGES[:20])
    assert (done.images_kept, done.dropped_sections) == (20, ["NAME"])
