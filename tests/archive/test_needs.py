"""What a writer says of files that the default limits of a reader refuse."""

import math
import re
import warnings

import numpy as np
import pytest
from conftest import GRAY, smooth_images

import aecodec
from aecodec.archive import needs
from aecodec.cli import main
from aecodec.codec.choosing import most_chunk_images
from aecodec.codec.codec import Codec
from aecodec.errors import AezLimitError
from aecodec.limits import DEFAULT_LIMITS, Limits, chunk_memory_nbytes
from aecodec.targets import QUALITY, Target


@pytest.mark.parametrize("shape", [(1, 1, 1), (28, 28, 1), (64, 64, 3), (4096, 4096, 1)])
def test_chunks_of_default_size_are_within_the_default_limit(shape):
    """Also where zstd is no help: then images are stored as they are."""
    count, nbytes = most_chunk_images(shape), math.prod(shape)
    assert chunk_memory_nbytes(count * nbytes, count, nbytes) <= DEFAULT_LIMITS.max_memory_nbytes


@pytest.mark.parametrize(
    ("shape", "options"), [((1, 4800, 4800), {}), ((45_000, 28, 28), {"chunk_images": 45_000})]
)
def test_more_is_written_and_told(shape, options):
    images = np.zeros(shape, np.uint8)
    with pytest.warns(
        UserWarning, match=r"--max-memory \d+M, in Python with Limits\(max_m"
    ) as told:
        blob = aecodec.encode(images, model="none", **options)
    assert told[0].filename == __file__
    with pytest.raises(AezLimitError, match="max_memory_nbytes allows 67108864"):
        aecodec.open(blob)[0]
    (nbytes,) = re.findall(r"max_memory_nbytes=(\d+)", str(told[0].message))
    limits = Limits(max_memory_nbytes=int(nbytes))
    assert not aecodec.open(blob, limits=limits)[-1].any()


def test_the_command_tells_what_reading_takes(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((1, 4800, 4800), np.uint8))
    blob, back = str(tmp_path / "x.aez"), str(tmp_path / "y.npy")
    argv = ["compress", str(tmp_path / "x.npy"), "-o", blob, "--model", "none"]
    assert main(argv) == 0
    (flag, nbytes) = re.findall(r"(--max-memory) (\d+M)", capsys.readouterr().err)[0]
    assert main(["decompress", blob, "-o", back]) == 4
    assert "--max-memory allows 67108864" in capsys.readouterr().err
    assert main(["decompress", blob, "-o", back, flag, nbytes]) == 0
    assert main([*argv, "-f", "--json"]) == 0
    assert "max_memory_nbytes" in capsys.readouterr().out


def test_other_files_say_nothing(known):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aecodec.encode(smooth_images(GRAY, 40), model=known, embed_model=True, labels=range(40))


def test_names_columns_models_and_the_index_are_counted(known, tmp_path, monkeypatch):
    for i, image in enumerate(smooth_images(GRAY, 40)):
        (tmp_path / f"{i}.pgm").write_bytes(b"P5 8 8 255\n" + image.tobytes())
    options = {"model": known, "embed_model": True, "columns": {"a": ["x"] * 40}}
    cases = {"max_column_nbytes": 10, "max_model_nbytes": 1000, "max_memory_nbytes": 50}
    for name, most in cases.items():
        monkeypatch.setattr(needs, "DEFAULT_LIMITS", Limits(**{name: most}))
        done = aecodec.compress(tmp_path, tmp_path.parent / "x.aez", force=True, **options)
        (note,) = done.notes
        assert f"Limits({name}=" in note


def test_latents_under_ans_are_within_the_readers_limit(known):
    """As many as the reader allows are decoded at once, in one chunk and side by side."""
    codec = Codec(known, coder="ans")
    images = smooth_images(GRAY, 40)
    chunk = codec.encode_chunk(images, Target(QUALITY, 5), by_pixels=False)
    other = codec.encode_chunk(images[:30], Target(QUALITY, 5), by_pixels=False)
    counts = np.bincount(np.frombuffer(chunk.assignment, np.uint8))
    nbytes = 2 * GRAY.latents * int(counts.max())
    expected = codec.open_chunks([chunk], images.shape[1:], ["a"])[0].all()
    (opened,) = codec.open_chunks([chunk], images.shape[1:], ["a"], nbytes)
    np.testing.assert_array_equal(opened.all(), expected)
    (opened,) = codec.open_chunks([chunk], images.shape[1:], ["a"], nbytes - 1)
    with pytest.raises(AezLimitError, match=f"{nbytes} bytes of latents under ANS, max_memory_n"):
        opened.all()
    both = codec.open_chunks([chunk, other], images.shape[1:], ["a", "b"], nbytes)
    np.testing.assert_array_equal(both[0].all(), expected)
    np.testing.assert_array_equal(both[1].all(), expected[:30])
