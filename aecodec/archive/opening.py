"""The first chunks of a file: they tell whether its model helps, or zstd alone is smaller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aecodec.archive.head import nbytes_of_head
from aecodec.archive.options import Options, Progress, no_progress
from aecodec.arrays import Images
from aecodec.codec.choosing import SetEncoder
from aecodec.codec.codec import bound_without_model
from aecodec.codec.plan import rounded_to
from aecodec.codec.zstd_fallback import is_clearly_smaller
from aecodec.container import MODE_STORED, MODE_ZSTD, Chunk, chunk_nbytes
from aecodec.images import ImageSource
from aecodec.targets import MAX_ERROR, NBYTES

FEW_NBYTES = 16 << 10  # of a file: what it holds of a model counts


@dataclass(frozen=True)
class Opening:
    """How a set is encoded, and the chunks of its first images that are encoded already."""

    encoder: SetEncoder
    chunk_images: int
    chunks: tuple[Chunk, ...] = ()

    @property
    def image_count(self) -> int:
        """How many images the chunks hold."""
        return sum(chunk.image_count for chunk in self.chunks)

    @property
    def nbytes(self) -> int:
        """The bytes of the chunks."""
        return sum(map(chunk_nbytes, self.chunks))

    def uses_zstd(self) -> bool:
        """Whether any image is under zstd or stored."""
        subs = (sub for chunk in self.chunks for sub in chunk.sub_payloads)
        return any(sub.mode in (MODE_ZSTD, MODE_STORED) for sub in subs)


def best_opening(
    encoder: SetEncoder,
    options: Options,
    source: ImageSource,
    first: Images,
    *,
    is_whole: bool,
    done: Progress,
) -> Opening:
    """The first images (n, H, W, C) by the encoder, or by what keeps the target in fewer bytes.

    Without a model, zstd packs many more images together. ``is_whole`` is whether they are the
    whole set. Where the model goes into the file, or under a size, there is nothing to compare.
    """

    def opened(by: SetEncoder, progress: Progress = no_progress) -> tuple[float, Opening]:
        """The opening by an encoder, and the bytes that an image takes."""
        chunk_images = options.chunk_images or by.chunk_images(source.shape)
        found = _encoded(by, chunk_images, first, source.image_count, progress, is_whole=is_whole)
        lone = found.chunks[0] if len(found.chunks) == 1 else None
        own = nbytes_of_head(source, by, options, lone) if is_whole else 0
        return (found.nbytes + own) / max(1, found.image_count), found

    is_settled = encoder.target.kind == NBYTES or options.embed_model or not len(first)
    if encoder.codec.model is None or is_settled:
        return Opening(encoder, options.chunk_images or encoder.chunk_images(source.shape))
    nbytes, opening = opened(encoder, done)
    if not opening.chunks or not _is_in_doubt(opening, nbytes, first):
        return opening
    others = [opened(other) for other in encoder.without_loss()]
    smaller = [other for other in others if other[1].chunks and other[0] <= nbytes]
    return min(smaller, default=(nbytes, opening), key=lambda each: each[0])[1]


def _encoded(
    encoder: SetEncoder,
    chunk_images: int,
    first: Images,
    total: int,
    done: Progress,
    *,
    is_whole: bool,
) -> Opening:
    """The whole chunks of the first images, and the last one if they are the whole set."""
    end = len(first) if is_whole else len(first) - len(first) % chunk_images
    chunks = []
    for start in range(0, end, chunk_images):
        images = first[start : min(start + chunk_images, end)]
        chunks.append(encoder.encode_chunk(images))
        done(start + len(images), max(total, len(first)))
    return Opening(encoder, chunk_images, tuple(chunks))


def _is_in_doubt(opening: Opening, nbytes: float, first: Images) -> bool:
    """Whether the images may be smaller without the model than ``nbytes`` each."""
    if opening.uses_zstd():
        return True
    target, images = opening.encoder.target, first[: opening.image_count]
    if target.kind != MAX_ERROR and nbytes * len(images) > FEW_NBYTES:
        return False
    bound = bound_without_model(images, target)
    rounded = rounded_to(images, np.full(len(images), bound)) if bound else images
    return not is_clearly_smaller(nbytes * len(images), rounded)
