"""An image set into a file, chunk by chunk; memory is bounded by the chunk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import BinaryIO

import numpy as np

from aecodec import container
from aecodec.archive.head import head_of, nbytes_without_chunks, row_sections
from aecodec.archive.needs import Needs
from aecodec.archive.opening import best_opening
from aecodec.archive.options import Options, Progress, Summary
from aecodec.arrays import Images
from aecodec.codec.by_size import SizeError
from aecodec.codec.choosing import NO_MODEL, SetEncoder, encoder_for, most_chunk_images
from aecodec.codec.codec import Codec
from aecodec.container.modes import MODES
from aecodec.images import ImageSource
from aecodec.io.left_out import tell
from aecodec.measures.metrics import bits_per_pixel, psnr_db
from aecodec.targets import NBYTES


def write(source: ImageSource, file: BinaryIO, options: Options, progress: Progress) -> Summary:
    """Write the set as an ``.aez``; see :func:`aecodec.encode` for errors."""
    given = options
    options = given.paired(source)
    if source.is_settled:
        options.annotations.over(source.annotations).require_count(source.image_count)
    batches = source.batches(options.chunk_images or most_chunk_images(source.shape))
    first = next(batches, np.empty((0, *source.shape), np.uint8))
    codec = options.choose_codec(first)
    if codec.model is not None:
        codec.model.require_shape(source.shape)
    second = next(batches, None)
    encoder = encoder_for(codec, options.target, first)
    opening = best_opening(encoder, options, source, first, is_whole=second is None, done=progress)
    encoder, chunk_images = opening.encoder, opening.chunk_images
    rest = [first[opening.image_count :], *([] if second is None else [second])]
    pieces = _pieces(chain(rest, batches), chunk_images)
    chunks = _encoded(pieces, encoder, options, source)
    known = opening.chunks or tuple(islice(chunks, 1))
    lone = known[0] if known and second is None and len(first) <= chunk_images else None
    head = head_of(source, encoder, options, chunk_images, lone)
    writer = container.Writer(file, head.header, head.sections)
    totals = _Totals(math.prod(source.shape))
    totals.needs.add_sections(head.sections)
    for chunk in chain(known, chunks):
        writer.write_chunk(chunk)
        totals.add(chunk, encoder)
        if totals.images > opening.image_count:
            progress(totals.images, source.image_count or totals.images)
    if not source.is_settled:
        options = given.paired(source)
        rows = row_sections(source, options.annotations)
        totals.needs.add_sections(rows)
        for section in rows:
            writer.write_section(section)
    totals.needs.add_columns(options.annotations.over(source.annotations).columns)
    totals.needs.add_index(writer.index_nbytes)
    tell(source.label, totals.needs.notes())
    return totals.summary(writer.close(), source, encoder, codec)


@dataclass
class _Totals:
    """Sums over the chunks written so far."""

    image_nbytes: int
    images: int = 0
    sum_squared_error: int = 0
    max_error: int = 0
    unlike_images: int = 0
    images_by_mode: dict[str, int] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)

    def add(self, chunk: container.Chunk, encoder: SetEncoder) -> None:
        self.needs.add_chunk(chunk, self.image_nbytes, encoder.codec)
        self.images += chunk.image_count
        self.sum_squared_error += chunk.sum_squared_error
        self.max_error = max(self.max_error, chunk.max_error)
        counts = np.bincount(np.frombuffer(chunk.assignment, np.uint8), minlength=1)
        for sub, count in zip(chunk.sub_payloads, counts, strict=True):
            label = MODES[sub.mode].label(sub.parameter)
            self.images_by_mode[label] = self.images_by_mode.get(label, 0) + int(count)
            self.unlike_images += 0 if encoder.is_usual(sub) else int(count)

    def summary(
        self, nbytes: int, source: ImageSource, encoder: SetEncoder, wanted: Codec
    ) -> Summary:
        """The summary of a file of ``nbytes``; ``wanted`` is the codec that was tried first."""
        raw_nbytes = self.images * self.image_nbytes
        return Summary(
            self.images,
            raw_nbytes,
            nbytes,
            bits_per_pixel(nbytes, (self.images, *source.shape)) if self.images else None,
            psnr_db(self.sum_squared_error, raw_nbytes) if self.images else None,
            self.max_error,
            encoder.codec.model.name if encoder.codec.model else NO_MODEL,
            self.images_by_mode,
            source.skipped,
            tuple(note.text for note in (*source.notes, *self.needs.notes())),
            tried_model=wanted.model.name if wanted.model else NO_MODEL,
            unlike_images=self.unlike_images if wanted.model else 0,
        )


def _encoded(
    pieces: Iterable[Images], encoder: SetEncoder, options: Options, source: ImageSource
) -> Iterator[container.Chunk]:
    """All chunks; under a size, each may take what the chunks before it left over."""
    if encoder.target.kind != NBYTES:
        for piece in pieces:
            yield encoder.encode_chunk(piece)
        return
    own = float(nbytes_without_chunks(source, encoder, options))
    known = source.image_count if source.is_settled else 0  # else only in the end
    left = 0.0 if known else -own
    for piece in pieces:
        left += encoder.target.value * len(piece)
        if known:  # the file's own bytes are shared by all images
            left -= own * len(piece) / known
        try:
            chunk = encoder.encode_chunk(piece, int(left))
        except SizeError:
            if len(piece) != known:
                raise
            chunk = _lone_without_model(piece, encoder, options, source)
        left -= container.chunk_nbytes(chunk)
        yield chunk


def _lone_without_model(
    piece: Images, encoder: SetEncoder, options: Options, source: ImageSource
) -> container.Chunk:
    """The only chunk of a file, under a size, by zstd: such a file names no parts of a model."""
    plain = SetEncoder(Codec(None), encoder.target, by_pixels=False)
    own = nbytes_without_chunks(source, plain, options)
    return plain.encode_chunk(piece, int(encoder.target.value * len(piece) - own))


def _pieces(batches: Iterable[Images], chunk_images: int) -> Iterator[Images]:
    """The set in chunks of ``chunk_images``; the first batches are larger than layer R's chunks."""
    kept: Images | None = None
    for batch in batches:
        pieces = batch if kept is None or not len(kept) else np.concatenate([kept, batch])
        whole = len(pieces) - len(pieces) % chunk_images
        for start in range(0, whole, chunk_images):
            yield pieces[start : start + chunk_images]
        kept = pieces[whole:]
    if kept is not None and len(kept):
        yield kept
