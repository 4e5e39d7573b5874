"""The lazy array over an open ``.aez``: what it says of itself, and any image of it.

Opening and describing a file need the standard library alone; NumPy and torch are imported when
images are asked for.
"""

from __future__ import annotations

import io
import math
import operator
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Union

from aecodec import container
from aecodec.annotations import ABOUT, Annotations, class_fault, read_metadata
from aecodec.columns import Column, unpack_column
from aecodec.container import COLM, META, MODL, NAME
from aecodec.errors import AezCorruptError, AezError, AezLimitError, ModelCorruptError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.remote import is_url, open_url
from aecodec.targets import MAX_ERROR, NBYTES, PSNR, QUALITY, QUALITY_UNIT
from aecodec.unpacking import inflate, parse_json

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from aecodec.codec import Codec
    from aecodec.container import Chunk, SectionEntry
    from aecodec.decoding import OpenChunk
    from aecodec.models import Model

Source = Union[str, "os.PathLike[str]", bytes, BinaryIO]

MODE_NAMES = {
    container.MODE_STORED: "stored",
    container.MODE_ZSTD: "zstd",
    container.MODE_LATENTS_ZSTD: "latents",
    container.MODE_LATENTS_ANS: "latents ans",
    container.MODE_PIXELS_ANS: "pixels",
    container.MODE_PIXELS_DEQUANTIZED: "dequantized",
}
TARGET_NAMES = {
    container.TARGET_QUALITY: (QUALITY, QUALITY_UNIT),
    container.TARGET_MAX_ERROR: (MAX_ERROR, 1),
    container.TARGET_PSNR: (PSNR, QUALITY_UNIT),
    container.TARGET_NBYTES: (NBYTES, QUALITY_UNIT),
}
TOGETHER_IMAGES, TOGETHER_NBYTES = 4096, 16 << 20  # decoded at once, where chunks are small


class Archive:
    """An open ``.aez`` as a read-only array of images, uint8 (N, H, W) or (N, H, W, C).

    Indexing reads and decodes only the chunks it touches. ``model`` is needed only when the file's
    parts are neither embedded nor found among the installed models; ``codec`` is one loaded before.
    ``limits`` are what the file may make this process spend. A file raises nothing but ``AezError``.
    """

    def __init__(
        self,
        source: Source,
        *,
        model: Model | str | os.PathLike[str] | None = None,
        codec: Codec | None = None,
        device: str = "cpu",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._file, self.name, self._owned = open_source(source)
        self._wanted_model, self._codec, self._device = model, codec, device
        self.limits = limits
        self._codec_is_checked = False  # that it is the one that the file names
        self._annotations: Annotations | None = None
        self._last: tuple[int, OpenChunk] | None = None
        try:
            self.reader = container.Reader(
                self._file, self.name, max_memory_nbytes=limits.max_memory_nbytes
            )
            self.metadata = self._read_metadata()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ what it says

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        header = self.reader.header
        return header.height, header.width, header.channels

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W), or (N, H, W, C) when the images came with a channel axis."""
        full = (self.reader.image_count, *self.image_shape)
        return full if self.has_channel_axis else full[:3]

    @property
    def has_channel_axis(self) -> bool:
        return bool(self.metadata.get("has_channel_axis", True)) or self.image_shape[2] > 1

    def __len__(self) -> int:
        return self.reader.image_count

    @property
    def names(self) -> tuple[str, ...] | None:
        """File names of the images, when they came from a folder."""
        data = self._unpacked_section(NAME)
        if data is None:
            return None
        names = parse_json(data, f"{self.name}: section {NAME}")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise AezCorruptError(f"{self.name}: section {NAME} is not a list of texts")
        if len(names) != len(self):
            raise AezCorruptError(f"{self.name}: {len(names)} names, expected {len(self)}")
        return tuple(names)

    @property
    def annotations(self) -> Annotations:
        """All that the file says of its images besides their pixels and names."""
        if self._annotations is None:
            told = read_metadata(self.metadata, self.name)
            left, columns = self.limits.max_column_nbytes, []
            for entry in self.reader.sections:
                if entry.kind == COLM:
                    payload = self._read_section(entry)
                    columns.append(unpack_column(payload, len(self), self.name, left))
                    left -= columns[-1].nbytes
            names = [column.name for column in columns]
            if len(set(names)) < len(names):
                raise AezCorruptError(f"{self.name}: section COLM: a name occurs twice in {names}")
            if told["label"] is not None and told["label"] not in names:
                raise AezCorruptError(f"{self.name}: META: label is {told['label']}, no column")
            annotations = Annotations(tuple(columns), **told)
            if fault := class_fault(annotations.labels, annotations.classes):
                raise AezCorruptError(f"{self.name}: {fault}")
            self._annotations = annotations
        return self._annotations

    @property
    def columns(self) -> dict[str, Column]:
        """The per-image columns by name; ``.values`` of one are plain, ``.array`` is NumPy's."""
        return {column.name: column for column in self.annotations.columns}

    @property
    def labels(self) -> npt.NDArray[Any] | None:
        """(N,) the column of labels; None in a file without. Numbers of ``classes``, if given."""
        labels = self.annotations.labels
        return None if labels is None else labels.array

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels are called; empty if the file does not tell."""
        return self.annotations.classes

    @property
    def info(self) -> dict[str, Any]:
        """Facts of the file, all plain values; chunk heads are read, payloads are not."""
        reader, header, annotations = self.reader, self.reader.header, self.annotations
        images_by_mode: dict[str, int] = {}
        payload_nbytes = error_max = error_sum = 0
        for i in range(reader.chunk_count):
            head = reader.read_chunk_head(i)
            payload_nbytes += head.payload_nbytes
            error_max = max(error_max, head.max_error)
            error_sum += head.sum_squared_error
            for index, length in head.runs:
                label = mode_label(head.modes[index].mode, head.modes[index].parameter)
                images_by_mode[label] = images_by_mode.get(label, 0) + length
        count = reader.image_count
        samples = count * math.prod(self.image_shape)
        pixels = count * header.height * header.width
        psnr = 10 * math.log10(65025 * samples / error_sum) if error_sum else None
        embedded = any(entry.kind == MODL for entry in reader.sections)
        return {
            "version": f"{header.version_major}.{header.version_minor}",
            "images": count,
            "height": header.height,
            "width": header.width,
            "channels": header.channels,
            "chunks": reader.chunk_count,
            "chunk_images": header.chunk_images,
            "target": self._target(),
            "model": reader.model_name or None,
            "parts": {part.name: part.fingerprint.hex() for part in reader.parts},
            "model_embedded": embedded,
            "file_nbytes": reader.file_nbytes,
            "payload_nbytes": payload_nbytes,
            "raw_nbytes": samples,
            "bpp": 8 * reader.file_nbytes / pixels if pixels else None,
            "max_error": error_max,
            "psnr_db": psnr,
            "images_by_mode": images_by_mode,
            "source": self.metadata.get("source"),
            **{name: getattr(annotations, name) for name in ABOUT},
            "label": annotations.label,
            "classes": list(annotations.classes),
            "columns": {column.name: column.dtype for column in annotations.columns},
        }

    def _target(self) -> dict[str, float] | None:
        """What the writer was asked for, by name: quality, max_error or psnr."""
        header = self.reader.header
        if header.target_kind not in TARGET_NAMES:
            return None
        name, unit = TARGET_NAMES[header.target_kind]
        return {name: header.target_value / unit}

    def _read_metadata(self) -> dict[str, Any]:
        entry = self._only_section(META)
        if entry is None:
            return {}
        metadata = parse_json(self._read_section(entry), f"{self.name}: section {META}")
        if not isinstance(metadata, dict):
            raise AezCorruptError(f"{self.name}: section {META} is not a JSON object")
        return metadata

    def check_sections(self) -> None:
        """Read every section, whose checksum it is held against; names and columns are unpacked."""
        for entry in self.reader.sections:
            self._read_section(entry)
        _ = self.names, self.annotations

    def _only_section(self, kind: str) -> SectionEntry | None:
        found = [entry for entry in self.reader.sections if entry.kind == kind]
        if len(found) > 1:
            raise AezCorruptError(f"{self.name}: {len(found)} sections {kind}, expected one")
        return found[0] if found else None

    def _read_section(self, entry: SectionEntry) -> bytes:
        return self.reader.read_section(entry, container.section_limit(entry.kind, self.limits))

    def _unpacked_section(self, kind: str) -> bytes | None:
        """A section under zlib, packed and unpacked within the limit of its kind."""
        entry = self._only_section(kind)
        if entry is None:
            return None
        limit = container.section_limit(kind, self.limits)
        return inflate(self._read_section(entry), f"{self.name}: section {kind}", limit)

    # ------------------------------------------------------------ images

    def __getitem__(self, key: int | slice) -> npt.NDArray[np.uint8]:
        """One image (H, W[, C]) for an int, (n, H, W[, C]) for a slice."""
        import numpy as np

        if isinstance(key, slice):
            asked = range(*key.indices(len(self)))
            self.check_decoded(len(asked))
            return self._squeeze(self._take(np.arange(asked.start, asked.stop, asked.step)))
        index = operator.index(key)
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index}, the file holds {len(self)}")
        return self._squeeze(self._take(np.array([index % len(self)])))[0]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        for batch in self.batches():
            yield from self._squeeze(batch)

    def batches(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Chunk by chunk, uint8 (n, H, W, C), each checked against its hash of the pixels."""
        from aecodec.codec import decode_whole

        for opened in self.open_chunks(range(self.reader.chunk_count)):
            yield decode_whole(opened)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        """The images at these indices (n, H, W, C); every chunk they touch is read once."""
        import numpy as np

        asked = np.asarray(indices, np.intp)
        if len(asked) and not 0 <= asked.min() <= asked.max() < len(self):
            raise IndexError(f"images {asked.min()}..{asked.max()}, the file holds {len(self)}")
        self.check_decoded(len(asked))
        return self._take(asked)

    def _take(self, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        import numpy as np

        from aecodec.codec import decode_whole

        chunk_of = indices // self.reader.header.chunk_images
        wanted = [int(i) for i in np.unique(chunk_of)]
        if len(wanted) == 1:
            (opened,) = self.open_chunks(wanted)
            start = wanted[0] * self.reader.header.chunk_images
            whole = np.array_equal(indices, np.arange(start, start + opened.chunk.image_count))
            return decode_whole(opened) if whole else opened.take(indices - start)
        out = np.empty((len(indices), *self.image_shape), np.uint8)
        for i, opened in zip(wanted, self.open_chunks(wanted), strict=True):
            here = chunk_of == i
            within = indices[here] - i * self.reader.header.chunk_images
            whole = len(within) == opened.chunk.image_count  # then its hash can be checked
            out[here] = decode_whole(opened)[within] if whole else opened.take(within)
        return out

    def check_decoded(self, image_count: int) -> None:
        """AezLimitError if so many images are more than ``max_decoded_nbytes``."""
        nbytes, most = image_count * math.prod(self.image_shape), self.limits.max_decoded_nbytes
        if nbytes > most:
            raise AezLimitError(
                f"{self.name}: {nbytes} bytes of images, max_decoded_nbytes allows {most}"
            )

    def open_chunks(self, numbers: Sequence[int]) -> Iterator[OpenChunk]:
        """These chunks in order, small ones several at a time, for random access within each.

        The last one is kept: neighbours are usually asked for together.
        """
        header = self.reader.header
        images = min(TOGETHER_IMAGES, TOGETHER_NBYTES // header.image_nbytes)
        together = max(1, images // header.chunk_images)
        for start in range(0, len(numbers), together):
            group = numbers[start : start + together]
            if len(group) == 1 and self._last and self._last[0] == group[0]:
                yield self._last[1]
                continue
            chunks, damage = self._read_chunks(group)
            where = [f"{self.name}: chunk {i}" for i in group[: len(chunks)]]
            if chunks:
                self._check_named(chunks, where)
                opened = self._the_codec().open_chunks(chunks, self.image_shape, where)
                self._last = (group[len(chunks) - 1], opened[-1])
                yield from opened
            if damage:
                raise damage

    def _read_chunks(self, numbers: Sequence[int]) -> tuple[list[Chunk], AezError | None]:
        """Chunks up to the first that cannot be read, and what is wrong with that."""
        chunks: list[Chunk] = []
        try:
            for i in numbers:
                chunks.append(self.reader.read_chunk(i))  # noqa: PERF401  # those before the damage
        except AezError as error:
            return chunks, error
        return chunks, None

    def _check_named(self, chunks: Sequence[Chunk], where: Sequence[str]) -> None:
        """That PART names all the parts that these chunks need: no other is known to be right."""
        from aecodec.decoding import parts_needed

        names = {part.name for part in self.reader.parts}
        for chunk, place in zip(chunks, where, strict=True):
            for sub in chunk.sub_payloads:
                for parts in parts_needed(sub.mode):
                    if names.isdisjoint(parts):
                        raise AezCorruptError(
                            f"{place}: mode {sub.mode} needs part {' or '.join(parts)}, "
                            f"section PART names {', '.join(sorted(names)) or 'none'}"
                        )

    def _squeeze(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return images if self.has_channel_axis else images[..., 0]

    @property
    def codec(self) -> Codec | None:
        """The codec that decodes this file, once an image was asked for; for other archives too."""
        return self._codec

    def _the_codec(self) -> Codec:
        if self._codec is None:
            from aecodec.codec import Codec

            pixel_part = self._pixel_part()  # which finds a PART at odds with itself
            codec = Codec(self._find_model(), self._device, pixel_part)
            if codec.model is not None and any(e.kind == MODL for e in self.reader.sections):
                try:
                    codec.prove()  # now: a file may raise nothing but its own damage
                except ModelCorruptError as error:
                    raise AezCorruptError(f"{self.name}: embedded model: {error}") from error
            self._codec = codec
            self._codec_is_checked = True
        elif self._codec.model is not None and not self._codec_is_checked:
            self._check_parts(self._codec.model)
            if self.reader.parts:
                self._check_shape(self._codec.model)
                self._check_announced(self._codec.model)
            self._codec = self._codec.with_pixel_part(self._pixel_part())
            self._codec_is_checked = True
        return self._codec

    def _pixel_part(self) -> str | None:
        """The pixel model that the file names."""
        from aecodec.models import PIXEL_MODELS

        names = [part.name for part in self.reader.parts if part.name in PIXEL_MODELS]
        if len(names) > 1:
            raise AezCorruptError(f"{self.name}: section PART names {len(names)} pixel models")
        return names[0] if names else None

    def _find_model(self) -> Model | None:
        from aecodec import models

        wanted = {part.name: part.fingerprint for part in self.reader.parts}
        if not wanted:
            return None
        where = f"{self.name}: embedded model"
        embedded = self._unpacked_section(MODL)
        if embedded is not None:
            try:
                model = models.unpack_model(embedded, where)
            except ModelCorruptError as error:
                raise AezCorruptError(str(error)) from error
            if model.fingerprints() != wanted:
                raise AezCorruptError(f"{where} is not the one that the file names")
        elif self._wanted_model is not None:
            given = self._wanted_model
            if isinstance(given, models.Model):
                model = given
            else:
                most = self.limits.max_model_nbytes
                model = models.load_model(given, max_model_nbytes=most)
            self._check_parts(model)
        else:
            model = models.find_parts(
                wanted, models.installed_models(), self.reader.model_name or "?"
            )
        self._check_shape(model)
        self._check_announced(model)
        return model

    def _check_shape(self, model: Model) -> None:
        if model.shape != self.image_shape:
            raise AezCorruptError(
                f"{self.name}: images are {self.image_shape}, its model is for {model.shape}"
            )

    def _check_announced(self, model: Model) -> None:
        """Corrupt unless the file tells what is new in its parts, and names all that they need."""
        from aecodec.models import UNDERLAY_PARTS

        flags, named = self.reader.header.required_flags, [p.name for p in self.reader.parts]
        needed = model.required_flags(named)
        if needed & ~flags:
            raise AezCorruptError(
                f"{self.name}: its parts have tones, an underlay or a low trunk, but required_flags "
                f"{flags:#x} lacks {needed & ~flags:#x}"
            )
        missing = sorted(set(UNDERLAY_PARTS) - set(named))
        if needed & container.FLAG_UNDERLAY and missing:
            raise AezCorruptError(
                f"{self.name}: its pixel model stands on latents, but section PART lacks "
                f"{missing[0]}"
            )

    def _check_parts(self, model: Model) -> None:
        from aecodec.errors import ModelMismatchError

        have = model.fingerprints()
        for part in self.reader.parts:
            if have.get(part.name) != part.fingerprint:
                found = have[part.name].hex()[:16] if part.name in have else "none"
                raise ModelMismatchError(
                    f"{self.name}: part {part.name} of model {self.reader.model_name!r} has "
                    f"fingerprint {part.fingerprint.hex()[:16]}, model {model.name!r} has {found}"
                )

    # ------------------------------------------------------------ life

    def close(self) -> None:
        if self._owned:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Archive {self.name!r} {self.shape}>"


def open_source(source: Source) -> tuple[BinaryIO, str, bool]:
    """A seekable file, its name for messages, and whether closing it is the caller's."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "bytes", True
    if isinstance(source, str) and is_url(source):
        return open_url(source), source, True
    if isinstance(source, str | os.PathLike):
        return open(source, "rb"), os.fspath(source), True
    if not source.seekable():  # a pipe: the index is at its end
        return io.BytesIO(source.read()), str(getattr(source, "name", "stream")), True
    return source, str(getattr(source, "name", "stream")), False


def mode_label(mode: int, parameter: int) -> str:
    """A mode as ``info`` calls it: "latents q5", "pixels e8" (max error 8), "zstd", "stored"."""
    name = MODE_NAMES.get(mode, f"mode {mode}")
    if mode in (container.MODE_LATENTS_ZSTD, container.MODE_LATENTS_ANS):
        return f"{name} q{parameter / QUALITY_UNIT:g}"
    by_bound = (container.MODE_PIXELS_ANS, container.MODE_PIXELS_DEQUANTIZED)
    return f"{name} e{parameter}" if mode in by_bound else name
