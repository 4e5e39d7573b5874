"""``aecodec sheet``: originals, the same images decoded, their errors, and their bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aecodec.archive.array import Archive
from aecodec.archive.damage import pointing_to_repair
from aecodec.arrays import Bits, Images, Symbols
from aecodec.container.modes import MODES
from aecodec.held_rows import AT_ONCE_NBYTES, Rows, batches_of, hold, reshaped
from aecodec.images import ImageSetError, open_images
from aecodec.measures.metrics import max_error, psnr_db, squared_error
from aecodec.uses.latents import unpack_symbols

LINES_NBYTES = 1 << 20  # of pixels that are compared together


@dataclass(frozen=True, eq=False)
class Shown:
    """The images of a sheet, uint8 (n, H, W, C); how each is coded (``labels``), and its bytes.

    Images of a chunk are coded together, so ``nbytes`` is a share of their payload. For latents it
    is in proportion to the information in the image's own symbols; otherwise all are equal.
    """

    indices: list[int]
    originals: Rows
    decoded: Rows
    labels: list[str]
    nbytes: list[float]

    @property
    def psnr_db(self) -> list[float]:
        """The PSNR of each image in dB; inf without error."""
        size = math.prod(self.originals.shape[1:])
        by_line = np.concatenate([squared_error(x, x_hat) for x, x_hat in self._lines()])
        errors = by_line.reshape(len(self.originals), -1).sum(axis=1)
        return [psnr_db(int(error), size) for error in errors]

    def error_maps(self) -> tuple[Rows, int]:
        """|original - decoded| as images, white for 0, black for the largest; and the largest."""
        largest = max(int(max_error(x, x_hat).max()) for x, x_hat in self._lines())
        shades = 255 - np.rint(np.arange(256) * (255 / max(1, largest)))
        shades = np.clip(shades, 0, 255).astype(np.uint8)
        lines = (shades[np.maximum(x, y) - np.minimum(x, y)] for x, y in self._lines())
        maps = hold(lines, self.originals.shape[2:], np.uint8)
        return reshaped(maps, self.originals.shape), largest

    def _lines(self) -> Iterator[tuple[Images, Images]]:
        """Some lines (n, W, C) of the originals, and the same decoded, one part after the other."""
        _, height, width, channels = self.originals.shape
        lines = (len(self.originals) * height, width, channels)
        both = (reshaped(rows, lines) for rows in (self.originals, self.decoded))
        return zip(*(batches_of(rows, lines[0], LINES_NBYTES) for rows in both), strict=True)


def choose(count: int, wanted: int) -> list[int]:
    """``wanted`` positions spread evenly over 0..count-1, both ends among them, rounded.

    All of them if there are no more; ValueError if ``wanted`` is less than 1.
    """
    if wanted < 1:
        raise ValueError(f"-n: expected 1 or more, got {wanted}")
    wanted = min(wanted, count)
    return [int(i) for i in np.linspace(0, count - 1, wanted).round()]


def look_up(archive: Archive, originals: str | BinaryIO, indices: list[int]) -> Shown:
    """Images of a file at these positions, and of the set it was made from.

    ValueError for a position that is not in the file, ImageSetError for another set.
    """
    for index in indices:
        if not 0 <= index < len(archive):
            raise ValueError(f"image {index}: the file holds 0 to {len(archive) - 1}")
    coded: list[tuple[str, float]] = []
    decoded = hold(_decoded(archive, indices, coded), archive.image_shape, np.uint8)
    labels, nbytes = [label for label, _ in coded], [share for _, share in coded]
    return Shown(indices, _take(originals, archive, indices), decoded, labels, nbytes)


def _decoded(
    archive: Archive, indices: list[int], coded: list[tuple[str, float]]
) -> Iterator[Images]:
    """The images (1, H, W, C) one after the other; how each is coded goes to ``coded``."""
    shares_of: dict[tuple[int, int], Bits] = {}  # of the last sub-payload
    for index in indices:
        number, place = divmod(index, archive.chunk_images)
        with pointing_to_repair():
            opened = next(archive.open_chunks([number]))
            assignment = np.frombuffer(opened.chunk.assignment, np.uint8)
            which = int(assignment[place])
            sub, count = opened.chunk.sub_payloads[which], int(opened.counts[which])
            share = len(sub.data) / max(1.0, count)
            if MODES[sub.mode].holds_latents:
                if (number, which) not in shares_of:
                    weight = 1 + _information(unpack_symbols(archive, sub, count, opened.where))
                    shares = len(sub.data) * weight / max(1.0, weight.sum())
                    shares_of = {(number, which): shares}
                before = int(np.count_nonzero(assignment[:place] == which))
                share = float(shares_of[number, which][before])
            coded.append((MODES[sub.mode].label(sub.parameter), share))
            is_whole = opened.chunk.image_count == 1  # then its hash is checked
            image = opened.all() if is_whole else opened.take(np.array([place]))
        del opened, assignment, sub
        yield image
        del image


def _information(symbols: Symbols) -> Bits:
    """(N,) bits of each row of symbols (N, D), by how common each is in its column."""
    bits = np.zeros(len(symbols))
    for column in symbols.T:
        _, code, counts = np.unique(column, return_inverse=True, return_counts=True)
        bits += np.log2(len(column) / counts)[code]
    return bits


def _take(path: str | BinaryIO, archive: Archive, indices: list[int]) -> Rows:
    """The originals by number; ImageSetError when the set is not the file's in count or shape."""
    wanted = np.array(sorted(set(indices)))
    with open_images(path) as source:
        count, at_once = 0, max(1, min(4096, AT_ONCE_NBYTES // math.prod(source.shape)))

        def batches() -> Iterator[Images]:
            nonlocal count
            for batch in source.batches(at_once):
                here = wanted[(wanted >= count) & (wanted < count + len(batch))] - count
                count += len(batch)
                yield batch[here]

        found = hold(batches(), source.shape, np.uint8)
        if source.shape != archive.image_shape or count != len(archive):
            raise ImageSetError(
                f"{path}: {count} images of {source.shape}, {archive.name} holds "
                f"{len(archive)} of {archive.image_shape}"
            )
    return found if wanted.tolist() == indices else found[np.searchsorted(wanted, indices)]
