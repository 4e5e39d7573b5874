"""Whole sets at once: arrays <-> bytes, image sets <-> files. Memory is bounded by the chunk."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aecodec import container, models
from aecodec.archive import META, MODL, NAME, Archive, Source, mode_label
from aecodec.codec import Codec, default_chunk_images
from aecodec.errors import ModelMissingError
from aecodec.files import atomic_path
from aecodec.images import ImageSource, open_images, open_sink
from aecodec.metrics import bits_per_pixel, psnr_db
from aecodec.quantizer import quality_to_stored

Images = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]  # images done, images in all
ModelLike = models.Model | str | os.PathLike[str] | None
NO_MODEL = "none"
DEFAULT_QUALITY = 5.0
SAMPLE_IMAGES = 256  # that a model is chosen by


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


def _quiet(done: int, total: int) -> None:
    """No progress shown."""


# ---------------------------------------------------------------- arrays and bytes


def encode(
    images: Images,
    *,
    model: ModelLike = None,
    quality: float = DEFAULT_QUALITY,
    chunk_images: int | None = None,
    embed_model: bool = False,
    codec: Codec | None = None,
) -> bytes:
    """Encode uint8 (N, H, W) or (N, H, W, C) to the bytes of an ``.aez``.

    ``model`` is a name, a file or a loaded model; None takes the best installed one whose shape
    fits, "none" stores under zstd alone. ``quality`` is 1 to 9, fractions allowed. A ``codec``
    built before saves loading the model again. Raises ValueError for arrays of another kind,
    ModelMissingError when no model fits.
    """
    out = io.BytesIO()
    with open_images(np.asarray(images)) as source:
        _write(source, out, model, quality, chunk_images, embed_model, codec, _quiet)
    return out.getvalue()


def decode(blob: bytes, *, model: ModelLike = None, codec: Codec | None = None) -> Images:
    """All images of an ``.aez``: uint8 (N, H, W), or (N, H, W, C) if they had a channel axis."""
    with Archive(blob, model=model, codec=codec) as archive:
        return archive[:]


# ---------------------------------------------------------------- files


def compress(
    source: str | os.PathLike[str] | BinaryIO | Images,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    model: ModelLike = None,
    quality: float = DEFAULT_QUALITY,
    chunk_images: int | None = None,
    embed_model: bool = False,
    codec: Codec | None = None,
    force: bool = False,
    progress: Progress = _quiet,
) -> Summary:
    """Compress an image set (path, binary file or array) to an ``.aez``; see ``encode``.

    A path appears whole or not at all; FileExistsError if it exists and ``force`` is not given.
    """
    arguments = (model, quality, chunk_images, embed_model, codec, progress)
    with open_images(source) as opened:
        if not isinstance(target, str | os.PathLike):
            return _write(opened, target, *arguments)
        _keep_source(source, target)
        with atomic_path(target, force=force) as temporary, open(temporary, "wb") as file:
            return _write(opened, file, *arguments)


def decompress(
    source: Source,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    kind: str | None = None,
    images: slice = slice(None),
    model: ModelLike = None,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = _quiet,
) -> int:
    """Write the images of an ``.aez`` as ``kind`` (default: what they came from); their count.

    ``images`` picks a range, step 1. Chunks taken whole are checked against their pixel hashes.
    """
    with Archive(source, model=model, device=device) as archive:
        kind = kind or default_kind(archive)
        start, stop, step = images.indices(len(archive))
        if step != 1:
            raise ValueError(f"images: step is {step}, expected 1")
        stop = max(start, stop)
        names = archive.names
        options: dict[str, Any] = {
            "has_channel_axis": archive.has_channel_axis,
            "image_count": stop - start,
            "names": names[start:stop] if names else None,
        }
        place = (kind, archive.image_shape)
        if not isinstance(target, str | os.PathLike):
            with open_sink(target, *place, **options) as sink:
                for batch in _ranges(archive, start, stop, progress):
                    sink.write(batch)
        else:
            _keep_source(source, target)
            folder = kind == "folder"
            with (
                atomic_path(target, force=force, directory=folder) as temporary,
                open_sink(temporary, *place, **options) as sink,
            ):
                for batch in _ranges(archive, start, stop, progress):
                    sink.write(batch)
        return stop - start


def _keep_source(source: object, target: str | os.PathLike[str]) -> None:
    """ValueError if replacing ``target`` would delete ``source``: itself, or a folder around it."""
    if not isinstance(source, str | os.PathLike):
        return
    read, written = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if written == read or written in read.parents:
        raise ValueError(f"{os.fspath(target)}: writing there would replace the input")


def default_kind(archive: Archive) -> str:
    """The kind of set the images came from; .npy for pipes and arrays."""
    kind = archive.metadata.get("source")
    return kind if kind in ("idx", "idx.gz", "npz", "folder") else "npy"


def _ranges(archive: Archive, start: int, stop: int, progress: Progress) -> Iterator[Images]:
    """Images start..stop as (n, H, W, C), a chunk at a time."""
    if (start, stop) == (0, len(archive)):
        done = 0
        for batch in archive.batches():
            yield batch
            done += len(batch)
            progress(done, stop)
        return
    size = archive.reader.header.chunk_images
    at = start
    while at < stop:
        end = min(stop, (at // size + 1) * size)
        batch = archive[at:end]
        yield batch if archive.has_channel_axis else batch[..., None]
        at = end
        progress(at - start, stop - start)


def verify(
    source: Source, *, full: bool = False, model: ModelLike = None, progress: Progress = _quiet
) -> int:
    """Check every checksum; with ``full`` decode everything and compare the pixel hashes.

    Returns the number of images; raises the AezError that tells what is wrong.
    """
    with Archive(source, model=model) as archive:
        for entry in archive.reader.sections:
            archive.reader.read_section(entry)
        done = 0
        batches = archive.batches() if full else None
        for i in range(archive.reader.chunk_count):
            done += len(next(batches)) if batches else archive.reader.read_chunk(i).image_count
            progress(done, len(archive))
        return len(archive)


# ---------------------------------------------------------------- writing


def _write(
    source: ImageSource,
    file: BinaryIO,
    model: ModelLike,
    quality: float,
    chunk_images: int | None,
    embed_model: bool,
    codec: Codec | None,
    progress: Progress,
) -> Summary:
    stored_quality = quality_to_stored(quality)
    chunk_images = chunk_images or default_chunk_images(source.shape)
    batches = source.batches(chunk_images)
    first = next(batches, None)
    if codec is None:
        sample = first if first is not None else np.empty((0, *source.shape), np.uint8)
        codec = Codec(choose_model(model, sample, quality))
    if codec.model is not None:
        codec.model.require_shape(source.shape)
    writer = container.Writer(
        file,
        _header(source, codec.model, stored_quality, chunk_images),
        _sections(source, codec.model, embed_model=embed_model),
    )
    done = error_sum = error_max = 0
    by_mode: dict[str, int] = {}
    for batch in chain([] if first is None else [first], batches):
        chunk = codec.encode_chunk(batch, quality)
        writer.write_chunk(chunk)
        done += len(batch)
        error_sum += chunk.sum_squared_error
        error_max = max(error_max, chunk.max_error)
        _count_modes(chunk, by_mode)
        progress(done, source.image_count or done)
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
    )


def _header(
    source: ImageSource, model: models.Model | None, stored_quality: int, chunk_images: int
) -> container.Header:
    flags = container.FLAG_ZSTD | (container.FLAG_LATENTS if model else 0)
    return container.Header(
        height=source.shape[0],
        width=source.shape[1],
        channels=source.shape[2],
        target_kind=container.TARGET_QUALITY if model else container.TARGET_NONE,
        target_value=stored_quality if model else 0,
        chunk_images=chunk_images,
        required_flags=flags,
    )


def _sections(
    source: ImageSource, model: models.Model | None, *, embed_model: bool
) -> list[container.Section]:
    metadata = {"has_channel_axis": source.has_channel_axis, "source": source.kind}
    sections = [container.Section(META, required=False, payload=models.canonical_json(metadata))]
    if source.names is not None:
        names = json.dumps(list(source.names), ensure_ascii=True).encode()
        sections.append(container.Section(NAME, required=False, payload=zlib.compress(names, 9)))
    if model is None:
        return sections
    parts = [container.PartRef(name, digest) for name, digest in model.fingerprints().items()]
    payload = container.pack_parts(parts, model.name)
    sections.insert(0, container.Section(container.PART, required=True, payload=payload))
    if embed_model:
        packed = zlib.compress(models.pack_model(model.without_encoder()), 9)
        sections.append(container.Section(MODL, required=False, payload=packed))
    return sections


def _count_modes(chunk: container.Chunk, by_mode: dict[str, int]) -> None:
    counts = np.bincount(np.frombuffer(chunk.assignment, np.uint8), minlength=1)
    for sub, count in zip(chunk.sub_payloads, counts, strict=True):
        label = mode_label(sub.mode, sub.parameter)
        by_mode[label] = by_mode.get(label, 0) + int(count)


# ---------------------------------------------------------------- choosing a model


def choose_model(wanted: ModelLike, sample: Images, quality: float) -> models.Model | None:
    """The model to encode with: the one named, or the best installed one that fits the sample.

    sample uint8 (n, H, W, C). Best is the lowest rate plus lmbda times distortion on at most 256
    of its images, lmbda as the model was trained with at this quality.
    """
    if isinstance(wanted, models.Model):
        return wanted
    if wanted is not None:
        return None if os.fspath(wanted) == NO_MODEL else models.load_model(wanted)
    shape = (sample.shape[1], sample.shape[2], sample.shape[3])
    fitting = [m for m in models.installed_models() if m.shape == shape and m.encoder]
    if not fitting:
        raise ModelMissingError(
            f"no installed model is for {models.shape_text(shape)} images: make one with "
            "'aecodec train', name one with --model, or store them with --model none"
        )
    if len(fitting) == 1 or not len(sample):
        return fitting[0]
    sample = sample[:: max(1, len(sample) // SAMPLE_IMAGES)][:SAMPLE_IMAGES]
    return min(fitting, key=lambda model: _cost(model, sample, quality))


def _cost(model: models.Model, sample: Images, quality: float) -> float:
    chunk = Codec(model).encode_chunk(sample, quality)
    nbytes = sum(len(sub.data) for sub in chunk.sub_payloads)
    recipe = model.training.get("recipe", {})
    low, high = float(recipe.get("lmbda_min", 3e-5)), float(recipe.get("lmbda_max", 2e-2))
    lmbda = low * (high / low) ** ((quality - 1) / 8)
    mse = chunk.sum_squared_error / sample.size
    cost: float = bits_per_pixel(nbytes, (*sample.shape,)) + lmbda * mse
    return cost


def default_output(archive_path: str, kind: str) -> Path:
    """Where ``decompress`` writes without -o: the name without .aez, with the kind's suffix."""
    path = Path(archive_path)
    stem = path.with_suffix("") if path.suffix == ".aez" else path.with_name(path.name + ".out")
    suffix = {"npy": ".npy", "npz": ".npz", "idx.gz": ".gz"}.get(kind, "")
    return stem if stem.name.endswith(suffix) else stem.with_name(stem.name + suffix)
