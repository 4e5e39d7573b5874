"""Which form of the latents' symbols does zstd like best? Layouts by chunk size, one table.

usage: python bench/latent_layout.py IN [--model NAME|FILE] [--quality 1 5 9]

Waste is size over the symbols' own order-0 entropy (latent by latent, over all images), in per
cent. The winner is what aecodec/entropy/packed_symbols.py writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from common import add_result_options, facts, format_table, load_images, write_result

from aecodec import Codec, load_model
from aecodec.arrays import Symbols
from aecodec.entropy.packed_symbols import pack_symbols, symbols_per_byte
from aecodec.latents.quantizer import quantize
from aecodec.targets import QUALITY, Target

CHUNKS = (256, 1024, 4096, 16384)
DICTIONARY_NBYTES = 4096


def plain_columns(symbols: Symbols) -> list[bytes]:
    """Each latent's symbols, a byte each."""
    return [np.clip(column, -128, 127).astype(np.int8).tobytes() for column in symbols.T]


def mixed_radix_columns(symbols: Symbols) -> list[bytes]:
    """Each latent's symbols, as many to a byte as its range allows."""
    columns = []
    for column in symbols.T.astype(np.int64):
        column -= column.min()
        span = int(column.max()) + 1
        packed = max(1, symbols_per_byte(span)) if span > 1 else 0
        if not packed:
            continue
        padded = np.zeros(-(-len(column) // packed) * packed, np.int64)
        padded[: len(column)] = column
        place = span ** np.arange(packed - 1, -1, -1)
        columns.append((padded.reshape(-1, packed) @ place).astype(np.uint8).tobytes())
    return columns


def _compressor(
    dictionary: zstandard.ZstdCompressionDict | None = None,
) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=19, dict_data=dictionary, write_content_size=False)


def one_frame(columns: list[bytes]) -> int:
    """The size of all columns in one zstd frame."""
    return len(_compressor().compress(b"".join(columns)))


def frame_each(columns: list[bytes]) -> int:
    """The size of a zstd frame for each column."""
    compressor = _compressor()
    return sum(len(compressor.compress(column)) for column in columns)


def frame_each_with_dictionary(columns: list[bytes], trained_on: list[bytes]) -> int:
    """The same with a dictionary trained on other images' latents, which is not counted."""
    dictionary = zstandard.train_dictionary(DICTIONARY_NBYTES, [*trained_on])
    compressor = _compressor(dictionary)
    return sum(len(compressor.compress(column)) for column in columns)


LAYOUTS: dict[str, Callable[[Symbols], int]] = {
    "image by image, one frame": lambda s: one_frame(plain_columns(s.T)),
    "plain bytes, one frame": lambda s: one_frame(plain_columns(s)),
    "plain bytes, frame per latent": lambda s: frame_each(plain_columns(s)),
    "mixed radix, one frame": lambda s: one_frame(mixed_radix_columns(s)),
    "mixed radix, frame per latent": lambda s: frame_each(mixed_radix_columns(s)),
    "mixed radix, alike latents share (aecodec)": lambda s: len(pack_symbols(s)),
}
WITH_DICTIONARY = "plain bytes, frame per latent, dictionary"


def order0_nbytes(symbols: Symbols) -> float:
    """The order-0 entropy of symbols (N, D), latent by latent, in bytes."""
    total = 0.0
    for column in symbols.T:
        counts = np.unique(column, return_counts=True)[1]
        total -= float((counts * np.log2(counts / len(column))).sum())
    return total / 8


def measure(symbols: Symbols) -> list[dict[str, Any]]:
    """Waste of every layout at every chunk size, over whole chunks of these symbols (N, D)."""
    rows = []
    whole = order0_nbytes(symbols)
    for chunk in CHUNKS:
        size = min(chunk, len(symbols))
        starts = range(0, len(symbols) - size + 1, size)[:8]
        entropy = whole * size * len(starts) / len(symbols)
        chunks = [symbols[start : start + size] for start in starts]
        row: dict[str, Any] = {"chunk": chunk}
        for name, layout in LAYOUTS.items():
            row[name] = round(100 * (sum(map(layout, chunks)) / entropy - 1), 1)
        if len(symbols) >= 2 * size:  # trained on the last chunk, measured on the others
            trained_on = plain_columns(symbols[-size:])
            others = chunks[: min(len(chunks), len(symbols) // size - 1)]
            nbytes = sum(frame_each_with_dictionary(plain_columns(c), trained_on) for c in others)
            share = whole * size * len(others) / len(symbols)
            row[WITH_DICTIONARY] = round(100 * (nbytes / share - 1), 1)
        rows.append(row)
    return rows


def main() -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("input", metavar="IN")
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--quality", type=float, nargs="+", default=[1, 3, 5, 9])
    add_result_options(parser, "latent_layout")
    a = parser.parse_args()
    images = load_images(Path(a.input))
    layer = Codec(load_model(a.model)).networks.latents()
    y = layer.analyse(images)
    results = []
    for quality in a.quality:
        symbols, _ = quantize(y, layer.log_step, Target(QUALITY, quality).stored)
        bpp = 8 * order0_nbytes(symbols) / (len(images) * images.shape[1] * images.shape[2])
        rows = measure(symbols)
        results.append({"quality": quality, "order0_bpp": round(bpp, 4), "waste_percent": rows})
        names = [*LAYOUTS, WITH_DICTIONARY]
        print(f"quality {quality:g}: order-0 entropy {bpp:.4f} bpp; waste in %")
        head = ["layout", *(str(row["chunk"]) for row in rows)]
        print(format_table(head, [[n, *(str(row.get(n, "-")) for row in rows)] for n in names]))
    found = {**facts(Path(a.input).name, images), "model": a.model, "results": results}
    write_result(a.name, found, a.results)


if __name__ == "__main__":
    main()
