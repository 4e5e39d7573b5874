"""An image set into a file, chunk by chunk; memory is bounded by the chunk."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from aecodec import container, models
from aecodec.annotations import Annotations
from aecodec.archive import mode_label
from aecodec.choosing import NO_MODEL, ModelLike, choose_codec
from aecodec.codec import DEFAULT_EFFORT, Codec, default_chunk_images
from aecodec.columns import pack_column
from aecodec.images import ImageSource, Skipped
from aecodec.latent_coding import ANS, ZSTD
from aecodec.metrics import bits_per_pixel, psnr_db
from aecodec.targets import MAX_ERROR, NBYTES, PSNR, QUALITY, Target

Images = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]  # images done, images in all

_TARGET_KINDS = {
    QUALITY: container.TARGET_QUALITY,
    MAX_ERROR: container.TARGET_MAX_ERROR,
    PSNR: container.TARGET_PSNR,
    NBYTES: container.TARGET_NBYTES,
}


@dataclass(frozen=True)
class Summary:
    """What a compression did; ``nbytes`` is the whole file."""

    images: int
    raw_nbytes: int
    nbytes: int
    bpp: float | None
    psnr_db: float | None
    max_error: int
    model: str
    images_by_mode: dict[str, int]
    skipped: tuple[Skipped, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Options:
    """How a file is to be written; ``codec`` saves loading ``model`` again."""

    target: Target
    model: ModelLike = None
    pixel_part: str | None = None
    coder: str = ZSTD
    effort: int = DEFAULT_EFFORT
    chunk_images: int | None = None
    embed_model: bool = False
    codec: Codec | None = None
    annotations: Annotations = field(default_factory=Annotations)  # over those of the source


def no_progress(done: int, total: int) -> None:
    """No progress shown."""


def write(source: ImageSource, file: BinaryIO, options: Options, progress: Progress) -> Summary:
    """Write the set as an ``.aez``; see :func:`aecodec.encode` for errors."""
    target = options.target
    if source.is_settled:
        options.annotations.over(source.annotations).require_count(source.image_count)
    batches = source.batches(options.chunk_images or default_chunk_images(source.shape))
    first = next(batches, np.empty((0, *source.shape), np.uint8))
    codec = options.codec or choose_codec(
        options.model, first, target, options.pixel_part, options.coder, options.effort
    )
    if codec.model is not None:
        codec.model.require_shape(source.shape)
    by_pixels = codec.goes_by_pixels(target, first)
    chunk_images = options.chunk_images or default_chunk_images(
        source.shape, by_pixels=by_pixels, coder=codec.coder
    )
    second = next(batches, None)
    pieces = _pieces(chain([first], [] if second is None else [second], batches), chunk_images)
    chunks = _encoded(pieces, codec, target, options, source, by_pixels=by_pixels)
    opening = next(chunks, None)
    lone = opening if opening and second is None and len(first) <= chunk_images else None
    parts = _needed_parts(codec, target, lone, by_pixels=by_pixels)
    writer = container.Writer(
        file,
        _header(source, codec, target, chunk_images, parts),
        _sections(source, codec.model, parts, options),
    )
    done = error_sum = error_max = 0
    by_mode: dict[str, int] = {}
    for chunk in chain([opening] if opening else [], chunks):
        writer.write_chunk(chunk)
        done += chunk.image_count
        error_sum += chunk.sum_squared_error
        error_max = max(error_max, chunk.max_error)
        _count_modes(chunk, by_mode)
        progress(done, source.image_count or done)
    if not source.is_settled:
        for section in _rows(source, options.annotations):
            writer.write_section(section)
    nbytes = writer.close()
    raw_nbytes = done * int(np.prod(source.shape))
    return Summary(
        done,
        raw_nbytes,
        nbytes,
        bits_per_pixel(nbytes, (done, *source.shape)) if done else None,
        psnr_db(error_sum, raw_nbytes) if done else None,
        error_max,
        codec.model.name if codec.model else NO_MODEL,
        by_mode,
        source.skipped,
    )


def _encoded(
    pieces: Iterable[Images],
    codec: Codec,
    target: Target,
    options: Options,
    source: ImageSource,
    *,
    by_pixels: bool,
) -> Iterator[container.Chunk]:
    """Every chunk; under a size each may take what those before it have left over."""
    if target.kind != NBYTES:
        for piece in pieces:
            yield codec.encode_chunk(piece, target, by_pixels=by_pixels)
        return
    own = float(_nbytes_without_chunks(source, codec, target, options, by_pixels=by_pixels))
    known = source.image_count if source.is_settled else 0  # else only in the end
    left = 0.0 if known else -own
    for piece in pieces:
        left += target.value * len(piece)
        if known:  # the file's own bytes are shared by all images
            left -= own * len(piece) / known
        chunk = codec.encode_chunk(piece, target, by_pixels=by_pixels, nbytes=int(left))
        left -= container.chunk_nbytes(chunk)
        yield chunk


def _nbytes_without_chunks(
    source: ImageSource, codec: Codec, target: Target, options: Options, *, by_pixels: bool
) -> int:
    """What a file takes besides its chunks, at most."""
    parts = _needed_parts(codec, target, None, by_pixels=by_pixels)
    writer = container.Writer(
        io.BytesIO(),
        _header(source, codec, target, 1, parts),
        _sections(source, codec.model, parts, options),
    )
    if not source.is_settled:
        for section in _rows(source, options.annotations):
            writer.write_section(section)
    return writer.close()


def _pieces(batches: Iterable[Images], chunk_images: int) -> Iterator[Images]:
    """The set in chunks of ``chunk_images``; batches come larger when layer R was not yet chosen."""
    kept: Images | None = None
    for batch in batches:
        pieces = batch if kept is None or not len(kept) else np.concatenate([kept, batch])
        whole = len(pieces) - len(pieces) % chunk_images
        for start in range(0, whole, chunk_images):
            yield pieces[start : start + chunk_images]
        kept = pieces[whole:]
    if kept is not None and len(kept):
        yield kept


def _needed_parts(
    codec: Codec, target: Target, lone: container.Chunk | None, *, by_pixels: bool
) -> list[str]:
    """Parts the file names: those its only chunk uses, or those that any chunk may use."""
    if codec.model is None:
        return []
    pixel_model = codec.pixel_model_name() if codec.can_refine() else None
    homes: dict[int, list[str | None]] = {
        container.MODE_LATENTS_ZSTD: [models.LATENT_DECODER],
        container.MODE_LATENTS_ANS: [models.LATENT_DECODER, models.LATENT_PRIOR],
        container.MODE_PIXELS_ANS: [pixel_model],
        container.MODE_PIXELS_DEQUANTIZED: [pixel_model, models.DEQUANTIZER],
    }
    used: set[str | None]
    if lone is not None:
        used = {name for sub in lone.sub_payloads for name in homes.get(sub.mode, ())}
    else:
        used = {pixel_model} if by_pixels else {models.LATENT_DECODER, pixel_model}
        if target.kind == NBYTES:  # a chunk may go the other way where its own is too large
            used = {pixel_model, models.LATENT_DECODER if codec.model.encoder else None}
        if target.kind in (PSNR, NBYTES) and codec.can_dequantize():
            used.add(models.DEQUANTIZER)
        if models.LATENT_DECODER in used and codec.coder == ANS:
            used.add(models.LATENT_PRIOR)
    if pixel_model and pixel_model in used and codec.stands_on_latents():
        used.update(models.UNDERLAY_PARTS)
    return sorted(name for name in used if name)


def _header(
    source: ImageSource, codec: Codec, target: Target, chunk_images: int, parts: list[str]
) -> container.Header:
    flags = container.FLAG_ZSTD
    if models.LATENT_DECODER in parts:
        flags |= container.FLAG_LATENTS
    if models.LATENT_PRIOR in parts:
        flags |= container.FLAG_ANS
    if any(name in models.PIXEL_MODELS for name in parts):
        flags |= container.FLAG_REFINEMENT | container.FLAG_ANS
    if codec.model is not None:
        flags |= codec.model.required_flags(parts)
    new = bool(flags & container.FLAGS_NEW)
    without_target = codec.model is None and target.kind == QUALITY
    return container.Header(
        height=source.shape[0],
        width=source.shape[1],
        channels=source.shape[2],
        target_kind=container.TARGET_NONE if without_target else _TARGET_KINDS[target.kind],
        target_value=0 if without_target else target.stored,
        chunk_images=chunk_images,
        required_flags=flags,
        version_minor=container.VERSION_MINOR_NEW if new else container.VERSION_MINOR,
    )


def _sections(
    source: ImageSource, model: models.Model | None, parts: list[str], options: Options
) -> list[container.Section]:
    """Those before the chunks; rows that are not settled follow the chunks."""
    metadata = {"has_channel_axis": source.has_channel_axis, "source": source.kind}
    metadata |= options.annotations.over(source.annotations).metadata()
    sections = [
        container.Section(container.META, required=False, payload=models.canonical_json(metadata))
    ]
    if source.is_settled:
        sections += _rows(source, options.annotations)
    if model is None or not parts:
        return sections
    decoding = model.decoding(parts)
    references = [container.PartRef(*pair) for pair in decoding.fingerprints().items()]
    payload = container.pack_parts(references, model.name)
    sections.insert(0, container.Section(container.PART, required=True, payload=payload))
    if options.embed_model:
        packed = zlib.compress(models.pack_model(decoding), 9)
        sections.append(container.Section(container.MODL, required=False, payload=packed))
    return sections


def _rows(source: ImageSource, annotations: Annotations) -> list[container.Section]:
    """What there is of each image: its name, its value in every column."""
    sections = []
    if source.names is not None:
        names = json.dumps(list(source.names), ensure_ascii=True).encode()
        sections.append(
            container.Section(container.NAME, required=False, payload=zlib.compress(names, 9))
        )
    merged = annotations.over(source.annotations)
    merged.require_count(source.image_count)
    return sections + [
        container.Section(container.COLM, required=False, payload=pack_column(column))
        for column in merged.columns
    ]


def _count_modes(chunk: container.Chunk, by_mode: dict[str, int]) -> None:
    counts = np.bincount(np.frombuffer(chunk.assignment, np.uint8), minlength=1)
    for sub, count in zip(chunk.sub_payloads, counts, strict=True):
        label = mode_label(sub.mode, sub.parameter)
        by_mode[label] = by_mode.get(label, 0) + int(count)
