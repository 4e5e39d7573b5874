"""The coders of latents: one row in the table of modes and one class are all that one takes."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from conftest import GRAY, smooth_images

import aecodec
from aecodec.arrays import Symbols
from aecodec.codec.codec import Codec
from aecodec.container import modes
from aecodec.latents import coders
from aecodec.latents.coders import ZstdCoder
from aecodec.latents.rows import SymbolRows, UnpackedRows

LATENTS_XZ = replace(modes.LATENTS_ZSTD, number=6, name="latents xz", coder="xz")


class XzCoder(ZstdCoder):
    """Symbols as they are, under xz."""

    mode = LATENTS_XZ

    def pack(self, symbols: Symbols, stored_quality: int) -> bytes:
        return lzma.compress(symbols.astype("<i2").tobytes())

    def unpack(
        self,
        payloads: Sequence[bytes],
        counts: Sequence[int],
        stored_quality: int,
        where: Sequence[str],
    ) -> list[SymbolRows]:
        raw = [np.frombuffer(lzma.decompress(payload), "<i2") for payload in payloads]
        return [
            UnpackedRows(symbols.reshape(n, -1)) for symbols, n in zip(raw, counts, strict=True)
        ]


@pytest.fixture
def third_coder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row and the class in their tables."""
    monkeypatch.setitem(modes.MODES, LATENTS_XZ.number, LATENTS_XZ)
    monkeypatch.setitem(modes.MODE_OF_CODER, "xz", LATENTS_XZ)
    monkeypatch.setitem(coders.CODERS, "xz", XzCoder)
    monkeypatch.setitem(coders.CODERS_BY_MODE, LATENTS_XZ.number, XzCoder)


def test_every_coder_has_its_row():
    assert tuple(coders.CODERS) == modes.CODERS == ("zstd", "ans")
    for name, coder in coders.CODERS.items():
        assert coder.mode is modes.MODE_OF_CODER[name] is modes.MODES[coder.mode.number]
        assert coders.CODERS_BY_MODE[coder.mode.number] is coder
    assert {mode.number for mode in modes.MODES.values() if mode.holds_latents} == set(
        coders.CODERS_BY_MODE
    )


@pytest.mark.usefixtures("third_coder")
@pytest.mark.parametrize("asked", [{"quality": 4}, {"psnr": 25}, {"target_bytes_per_image": 40}])
def test_a_third_coder_takes_a_row_and_a_class(tiny, asked):
    images = smooth_images(GRAY, 60)
    expected = aecodec.decode(aecodec.encode(images, codec=Codec(tiny), quality=4), model=tiny)
    blob = aecodec.encode(images, codec=Codec(tiny, coder="xz"), **asked)
    with aecodec.open(blob, model=tiny) as archive:
        decoded = archive[:]
        assert list(archive.info["parts"]) == ["latent_decoder"]
        assert all(label.startswith("latents xz q") for label in archive.info["images_by_mode"])
        np.testing.assert_array_equal(archive[7], decoded[7])
    if "quality" in asked:
        np.testing.assert_array_equal(decoded, expected)
