"""A bounded run of the fuzzer, the same every time; formats/fuzz.py is the long one."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
from pathlib import Path

import pytest

FORMATS = Path(__file__).parents[2] / "formats"
sys.path.insert(0, str(FORMATS))

from fuzz import PACKAGE, PARTS, SHARES
from fuzzing import mutating, targets
from making import assemble, coding
from making.assemble import File
from making.tiny_models import LATENT_MODEL

import aecodec
from aecodec.archive.array import Archive
from aecodec.archive.repair import rewrite
from aecodec.codec.codec import Codec
from aecodec.container.scan import Scan
from aecodec.errors import AezCorruptError, AezError
from aecodec.limits import Limits

INPUTS = {"info": 2500, "verify": 2000, "repair": 1500, "symbols": 2000, "column": 2000}
INPUTS |= {"decode": 300, "model": 500, "folder": 300, "arrays": 300, "command": 200, "page": 500}
INPUTS |= {"view": 60, "sheet": 10, "map": 20, "store": 300, "url": 100}
GOOD = sorted((FORMATS / "vectors" / "good").glob("*.aez"))


@pytest.mark.parametrize("target", targets.TARGETS)
def test_nothing_but_an_aez_error(target):
    seeds = targets.seeds(target)
    mutate = targets.mutate(target, seeds)
    outcomes = []
    for n in range(INPUTS[target]):
        rng = random.Random(f"{target} {n}")
        data = mutate(rng.choice(seeds), rng.randrange(1 << 32))
        outcomes.append(targets.run(target, data))
    read = outcomes.count(targets.READ) / len(outcomes)
    assert (
        INPUTS[target] < 300 or 0.02 < read < 0.98
    )  # else hardly any code but the first checks is tried


def test_every_row_of_the_report_has_modules():
    for name, patterns in PARTS.items():
        for pattern in patterns:
            assert list(PACKAGE.glob(pattern)), (name, pattern)


def test_every_target_has_a_share_of_the_long_run():
    assert set(SHARES) == set(targets.TARGETS) == set(INPUTS)
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_mending_leaves_sound_files_as_they_are(path):
    data = path.read_bytes()
    if path.stem != "empty":  # which has no record to walk
        assert mutating.mend(data) == data


def test_mending_is_what_lets_changes_through():
    data = (FORMATS / "vectors" / "good" / "stored-chunks.aez").read_bytes()
    at = data.index(b"\x89CHK") + 88  # the first sample
    changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(AezCorruptError, match="crc32"):
        aecodec.verify(changed)
    aecodec.verify(mutating.mend(changed))
    with pytest.raises(AezCorruptError, match="decoded pixels have sha256"):
        aecodec.verify(mutating.mend(changed), full=True)


def test_mutations_are_the_same_every_time():
    seeds = targets.seeds("info")
    digest = hashlib.sha256()
    for seed in range(200):
        digest.update(mutating.mutate(seeds[seed % 7], seed, seeds[:9]))
    again = hashlib.sha256()
    for seed in range(200):
        again.update(mutating.mutate(seeds[seed % 7], seed, seeds[:9]))
    assert digest.digest() == again.digest()


@pytest.mark.slow
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_every_truncation_and_every_flipped_bit(path):
    """Of every good file: an AezError, or the same pixels."""
    data = path.read_bytes()
    codec = None if b"MODL" in data else targets.CODEC

    def decoded(data: bytes) -> bytes:
        with Archive(data, codec=codec) as archive:
            for i in range(archive.reader.chunk_count):
                archive.reader.read_chunk(i)  # most damage shows here, before networks run
            batches = [batch.tobytes() for batch in archive.batches()]
            return repr(archive.shape).encode() + b"".join(batches)

    whole = decoded(data)
    for nbytes in range(len(data)):
        with pytest.raises(AezError):
            decoded(data[:nbytes])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = decoded(bytes(flipped))
        except AezError:
            continue
        assert found[-len(whole) :] == whole, bit


def test_the_command_runs_without_atheris(tmp_path):
    command = [sys.executable, FORMATS / "fuzz.py", "--plain", "--inputs", "300"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == len(SHARES)


def test_the_guided_run(tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed (extra fuzz)")
    command = [sys.executable, FORMATS / "fuzz.py", "--target", "column", "--inputs", "100"]
    run = subprocess.run(
        [*command, "--folder", tmp_path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert '"column": {"inputs": ' in run.stdout


# ---------------------------------------------------------------- what was found


def test_sound_section_with_a_part_that_is_none():
    """repair passed an invalid PART to the writer, which raised a ValueError."""
    part = bytes([1, 0]) + bytes(32) + b"\0"
    chunk = assemble.stored(bytes(6), 1)
    data = File(assemble.header(chunk_images=1), [chunk], part=part).pack()
    done = rewrite(Scan(io.BytesIO(data), "it", Limits()), io.BytesIO())
    assert (done.images_kept, done.dropped_sections) == (1, ["PART"])


def test_codec_of_another_shape():
    """It has the parts that the file names, and its images do not fit."""
    coded = coding.by_latents(LATENT_MODEL, coding.symbols(3), 1280)
    chunk = coding.chunk_of([coded])
    data = coding.file_of((7, 8, 1), [chunk], assemble.LATENTS | assemble.ZSTD, LATENT_MODEL)
    with (
        Archive(data, codec=Codec(LATENT_MODEL)) as archive,
        pytest.raises(
            AezCorruptError, match=r"images are \(7, 8, 1\), its model is for \(8, 8, 1\)"
        ),
    ):
        archive[:]


def test_slice_of_a_file_that_says_it_is_huge():
    """Positions of all its images were made before any was held against a limit."""
    head = assemble.header(height=1, width=1, chunk_images=2**32 - 1)
    chunk = assemble.Chunk(2**32 - 1, [assemble.Sub(b"")], b"")
    with aecodec.open(File(head, [chunk]).pack()) as archive:
        assert len(archive) == 2**32 - 1
        with pytest.raises(AezError, match="max_memory_nbytes"):
            archive[-1:]
