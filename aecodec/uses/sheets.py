"""``aecodec sheet``: originals, the same images decoded, their errors, and their bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from aecodec.archive.array import Archive
from aecodec.arrays import Bits, Images, Symbols
from aecodec.container.modes import MODES
from aecodec.images import ImageSetError, open_images
from aecodec.measures.metrics import psnr_db, squared_error
from aecodec.uses.latents import unpack_symbols


@dataclass(frozen=True, eq=False)
class Shown:
    """The images of a sheet, uint8 (n, H, W, C); how each is coded (``labels``), and its bytes.

    Images of a chunk are coded together, so ``nbytes`` is a share of their payload. For latents it
    is in proportion to the information in the image's own symbols; otherwise all are equal.
    """

    indices: list[int]
    originals: Images
    decoded: Images
    labels: list[str]
    nbytes: list[float]

    @property
    def psnr_db(self) -> list[float]:
        """The PSNR of each image in dB; inf without error."""
        errors = squared_error(self.originals, self.decoded)
        size = math.prod(self.originals.shape[1:])
        return [psnr_db(int(error), size) for error in errors]

    def error_maps(self) -> tuple[Images, int]:
        """|original - decoded| as images, white for 0, black for the largest; and the largest."""
        difference = np.abs(self.originals.astype(np.int16) - self.decoded.astype(np.int16))
        largest = int(difference.max(initial=0))
        shown = 255 - np.rint(difference * (255 / max(1, largest)))
        return shown.astype(np.uint8), largest


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
    chunk_images = archive.reader.header.chunk_images
    labels, nbytes, decoded = [], [], []
    costs: dict[int, tuple[list[str], Bits]] = {}
    for index in indices:
        if not 0 <= index < len(archive):
            raise ValueError(f"image {index}: the file holds 0 to {len(archive) - 1}")
        chunk, place = divmod(index, chunk_images)
        if chunk not in costs:
            costs[chunk] = _costs(archive, chunk)
        labels.append(costs[chunk][0][place])
        nbytes.append(float(costs[chunk][1][place]))
        decoded.append(archive[index].reshape(archive.image_shape))
    return Shown(indices, _take(originals, archive, indices), np.stack(decoded), labels, nbytes)


def _costs(archive: Archive, number: int) -> tuple[list[str], Bits]:
    """How each image of a chunk is coded, and its bytes of the payload."""
    chunk = archive.reader.read_chunk(number)
    where = f"{archive.name}: chunk {number}"
    assignment = np.frombuffer(chunk.assignment, np.uint8)
    names = [MODES[sub.mode].label(sub.parameter) for sub in chunk.sub_payloads]
    nbytes = np.zeros(len(assignment))
    for index, sub in enumerate(chunk.sub_payloads):
        places = np.flatnonzero(assignment == index)
        weight = np.ones(len(places))
        if MODES[sub.mode].holds_latents:
            weight += _information(unpack_symbols(archive, sub, len(places), where))
        nbytes[places] = len(sub.data) * weight / max(1.0, weight.sum())
    return [names[index] for index in assignment], nbytes


def _information(symbols: Symbols) -> Bits:
    """(N,) bits of each row of symbols (N, D), by how common each is in its column."""
    bits = np.zeros(len(symbols))
    for column in symbols.T:
        _, code, counts = np.unique(column, return_inverse=True, return_counts=True)
        bits += np.log2(len(column) / counts)[code]
    return bits


def _take(path: str | BinaryIO, archive: Archive, indices: list[int]) -> Images:
    """The originals by number; ImageSetError when the set is not the file's in count or shape."""
    with open_images(path) as source:
        found, start = {}, 0
        for batch in source.batches(4096):
            for index in indices:
                if start <= index < start + len(batch):
                    found[index] = batch[index - start]
            start += len(batch)
        if source.shape != archive.image_shape or start != len(archive):
            raise ImageSetError(
                f"{path}: {start} images of {source.shape}, {archive.name} holds "
                f"{len(archive)} of {archive.image_shape}"
            )
    return np.stack([found[index] for index in indices])
