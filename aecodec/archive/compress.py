"""Image sets to files, arrays to bytes. Memory is bounded by the chunk."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from aecodec.archive.options import Options, Progress, Summary, no_progress
from aecodec.archive.write import write
from aecodec.arguments import (
    CODEC,
    FUNCTION,
    MAPPING,
    MODEL,
    NUMBER,
    TARGET,
    TEXT,
    VALUES,
    WHOLE,
    checked,
)
from aecodec.arrays import Images
from aecodec.codec.choosing import ModelLike, most_chunk_images
from aecodec.codec.codec import Codec
from aecodec.images import ImageSource, open_images
from aecodec.images.walking import is_read
from aecodec.io.atomic import atomic_path
from aecodec.io.claims import claimed
from aecodec.io.special import is_special, open_special

OPTIONS: Final = {
    "model": MODEL.or_none(),
    "codec": CODEC.or_none(),
    "quality": NUMBER.or_none(),
    "max_error": NUMBER.or_none(),
    "psnr": NUMBER.or_none(),
    "target_bytes_per_image": NUMBER.or_none(),
    "variant": TEXT.or_none(),
    "chunk_images": WHOLE.or_none(),
    "labels": VALUES.or_none(),
    "columns": MAPPING.or_none(),
    "about": MAPPING.or_none(),
}

if TYPE_CHECKING:
    from aecodec.annotations.annotations import Values


@checked(**OPTIONS)
def encode(
    images: Images,
    *,
    model: ModelLike = None,
    quality: float | None = None,
    max_error: int | None = None,
    lossless: bool = False,
    psnr: float | None = None,
    target_bytes_per_image: float | None = None,
    variant: str | None = None,
    coder: str | None = None,
    effort: int | None = None,
    chunk_images: int | None = None,
    embed_model: bool = False,
    codec: Codec | None = None,
    labels: Values | None = None,
    columns: Mapping[str, Values] | None = None,
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode uint8 (N, H, W) or (N, H, W, C) to the bytes of an ``.aez``.

    ``model`` is a name, a file or a loaded model; None takes the best installed one whose shape
    fits, "none" does without: zstd alone packs the pixels, rounded as far as the target allows, and
    exact if there is none. At most one target: ``quality`` is 1 to 9, fractions allowed (5 when
    nothing is asked for and there is a model); ``max_error`` bounds every pixel's error in gray
    levels, 0 to 127; ``lossless`` is a bound of 0; ``psnr`` is in dB, over each chunk of images, by
    whatever is smallest; ``target_bytes_per_image`` is a size, of the whole file over its images,
    that is not exceeded. ``variant``, "fast" (default) or "small", is the pixel model that keeps
    error bounds; ``coder``, "zstd" (default) or "ans", which is smaller, is what packs latents;
    ``effort``, 1 to 9 (3), is how long better latents are searched for (from 4 on). A ``codec``
    built before saves loading the model again, and brings its own model, variant, coder and effort.
    ``chunk_images`` is how many images are packed together, at least 1. An option that has no
    effect beside the others is refused. A UserWarning tells when the default limits of a reader
    refuse the bytes: one image takes too much memory, or ``chunk_images`` do.

    Whatever the images are, none has a PSNR under 12 dB at quality 1, 18 dB at quality 5 and 22 dB
    at quality 9, on lines between, and no file is larger than without loss: images that the model
    does not know are coded by its pixel model or by zstd.

    ``labels`` and ``columns`` (by name, or a data frame) are arrays, tensors, series or lists with
    a value for each image: int, float, bool or str. Where the images have names, a column
    "file_name" pairs its table's rows with them. ``about`` may tell title, origin, licence, and
    classes, the names of labels that count from 0.

    Raises ValueError for arrays of another kind, targets out of range or several of them, and
    ModelMissingError when no model fits.
    """
    options = Options(
        model=model,
        quality=quality,
        max_error=max_error,
        lossless=lossless,
        psnr=psnr,
        target_bytes_per_image=target_bytes_per_image,
        variant=variant,
        coder=coder,
        effort=effort,
        chunk_images=chunk_images,
        embed_model=embed_model,
        codec=codec,
        labels=labels,
        columns=columns,
        about=about,
    )
    out = io.BytesIO()
    for note in compress_with(options, np.asarray(images), out).notes:
        warnings.warn(note, stacklevel=3)  # of the caller, around the check of arguments
    return out.getvalue()


@checked(target=TARGET, progress=FUNCTION, **OPTIONS)
def compress(
    source: str | os.PathLike[str] | BinaryIO | Images,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    model: ModelLike = None,
    quality: float | None = None,
    max_error: int | None = None,
    lossless: bool = False,
    psnr: float | None = None,
    target_bytes_per_image: float | None = None,
    variant: str | None = None,
    coder: str | None = None,
    effort: int | None = None,
    chunk_images: int | None = None,
    embed_model: bool = False,
    codec: Codec | None = None,
    labels: Values | None = None,
    columns: Mapping[str, Values] | None = None,
    about: Mapping[str, Any] | None = None,
    strict: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
) -> Summary:
    """Compress an image set (path, binary file or array) to an ``.aez``; see ``encode``.

    A path appears whole or not at all; FileExistsError if it exists and ``force`` is not given,
    ValueError if it is the source. It takes the permissions and the time of a source that is a
    file. Entries of a folder or an .npz that cannot be taken are skipped, and the summary names
    them; if ``strict``, ImageSetError is raised instead and nothing is written.
    """
    options = Options(
        model=model,
        quality=quality,
        max_error=max_error,
        lossless=lossless,
        psnr=psnr,
        target_bytes_per_image=target_bytes_per_image,
        variant=variant,
        coder=coder,
        effort=effort,
        chunk_images=chunk_images,
        embed_model=embed_model,
        codec=codec,
        labels=labels,
        columns=columns,
        about=about,
    )
    return compress_with(options, source, target, strict=strict, force=force, progress=progress)


def compress_with(
    options: Options,
    source: str | os.PathLike[str] | BinaryIO | Images,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    strict: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
) -> Summary:
    """As :func:`compress`, with the encoding options built before."""
    path = target if isinstance(target, str | os.PathLike) else None
    with (
        claimed(inputs=[source], models=[options.model], outputs=[path], reads=is_read),
        open_images(source) as opened,
    ):
        if strict:
            _require_all(opened, reads_first=path is None or is_special(path))
        with _output(target, source, force=force) as file:
            return write(opened, file, options, progress)


def _require_all(opened: ImageSource, *, reads_first: bool) -> None:
    """Let the set skip nothing: to be known first, where what is written cannot be taken back."""
    opened.require_all()
    if reads_first and not opened.is_settled:
        for _ in opened.batches(most_chunk_images(opened.shape)):
            pass


@contextmanager
def _output(
    target: str | os.PathLike[str] | BinaryIO, source: object, *, force: bool
) -> Iterator[BinaryIO]:
    """The file to write to; a path appears whole or not at all, if it is no pipe."""
    if not isinstance(target, str | os.PathLike):
        yield target
    elif is_special(target):
        with open_special(target) as file:
            yield file
    else:
        like = source if isinstance(source, str | os.PathLike) else None
        with atomic_path(target, force=force, like=like) as path, open(path, "wb") as file:
            yield file
