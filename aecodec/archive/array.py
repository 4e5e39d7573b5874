"""An open ``.aez`` as a lazy array: facts of the file, and any image in it.

Opening and describing a file need the standard library alone; NumPy and torch are imported when
images are asked for.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aecodec.archive.facts import facts_of
from aecodec.archive.parts import FileParts
from aecodec.archive.sections import Sections
from aecodec.archive.source import Source, open_source
from aecodec.arguments import CODEC, LIMITS, MODEL, SOURCE, TEXT, checked
from aecodec.container import MODL, Reader
from aecodec.errors import AezError, AezLimitError
from aecodec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from aecodec.annotations.annotations import Annotations
    from aecodec.annotations.column import Column
    from aecodec.archive.parts import GivenModel
    from aecodec.codec.codec import Codec
    from aecodec.codec.decode import OpenChunk
    from aecodec.container import Chunk


TOGETHER_IMAGES, TOGETHER_NBYTES = 4096, 16 << 20  # decoded at once, where chunks are small


class Archive:
    """An open ``.aez`` as a read-only array of images, uint8 (N, H, W) or (N, H, W, C).

    Indexing reads and decodes only the chunks it touches. ``model`` is needed only when the file's
    parts are neither embedded nor found among the installed models; ``codec`` is one loaded before.
    ``limits`` are what the file may make this process spend. A file raises only ``AezError``.
    """

    @checked(
        source=SOURCE, model=MODEL.or_none(), codec=CODEC.or_none(), device=TEXT, limits=LIMITS
    )
    def __init__(
        self,
        source: Source,
        *,
        model: GivenModel = None,
        codec: Codec | None = None,
        device: str = "cpu",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._file, self.name, self._owned = open_source(source)
        self._wanted_model, self._codec, self._device = model, codec, device
        self.limits = limits
        self._codec_is_checked = False  # that it is the one that the file names
        self._last: tuple[int, OpenChunk] | None = None
        try:
            self.reader = Reader(self._file, self.name, max_memory_nbytes=limits.max_memory_nbytes)
            self._sections = Sections(self.reader, limits)
            _ = self._sections.metadata
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ facts

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
        """Whether images have shape (H, W, C) in Python; else it is (H, W)."""
        return bool(self.metadata.get("has_channel_axis", True)) or self.image_shape[2] > 1

    def __len__(self) -> int:
        return self.reader.image_count

    @property
    def metadata(self) -> dict[str, Any]:
        """The object in section META; empty in a file without."""
        return self._sections.metadata

    @property
    def names(self) -> tuple[str, ...] | None:
        """File names of the images, when they came from a folder."""
        return self._sections.names

    @property
    def annotations(self) -> Annotations:
        """Columns, classes, and words about the set."""
        return self._sections.annotations

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
        """The names of the labels; empty if the file has none."""
        return self.annotations.classes

    @property
    def info(self) -> dict[str, Any]:
        """Facts of the file, all plain values; chunk heads are read, payloads are not."""
        return facts_of(self.reader, self._sections)

    def check_sections(self) -> None:
        """Read every section and check its checksum; names and columns are unpacked too."""
        self._sections.check()

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
        for opened in self.open_chunks(range(self.reader.chunk_count)):
            yield opened.all()

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

        chunk_of = indices // self.reader.header.chunk_images
        wanted = [int(i) for i in np.unique(chunk_of)]
        if len(wanted) == 1:
            (opened,) = self.open_chunks(wanted)
            start = wanted[0] * self.reader.header.chunk_images
            whole = np.array_equal(indices, np.arange(start, start + opened.chunk.image_count))
            return opened.all() if whole else opened.take(indices - start)
        out = np.empty((len(indices), *self.image_shape), np.uint8)
        for i, opened in zip(wanted, self.open_chunks(wanted), strict=True):
            here = chunk_of == i
            within = indices[here] - i * self.reader.header.chunk_images
            whole = len(within) == opened.chunk.image_count  # then its hash can be checked
            out[here] = opened.all()[within] if whole else opened.take(within)
        return out

    def check_decoded(self, image_count: int) -> None:
        """AezLimitError if this many images take more than ``max_decoded_nbytes``."""
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
                self._parts.check_chunks(chunks, where)
                opened = self.require_codec().open_chunks(chunks, self.image_shape, where)
                self._last = (group[len(chunks) - 1], opened[-1])
                yield from opened
            if damage:
                raise damage

    def _read_chunks(self, numbers: Sequence[int]) -> tuple[list[Chunk], AezError | None]:
        """The chunks before the first that cannot be read, and the error of that one."""
        chunks: list[Chunk] = []
        try:
            for i in numbers:
                chunks.append(self.reader.read_chunk(i))  # noqa: PERF401  # those before the damage
        except AezError as error:
            return chunks, error
        return chunks, None

    def _squeeze(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return images if self.has_channel_axis else images[..., 0]

    @property
    def codec(self) -> Codec | None:
        """The codec that decodes this file, None before it is needed; other archives may use it."""
        return self._codec

    def require_codec(self) -> Codec:
        """The codec that decodes this file, found if need be; errors as when images are read."""
        if self._codec_is_checked and self._codec is not None:
            return self._codec
        if self._codec is None:
            embedded = self._sections.unpacked(MODL) if self.reader.parts else None
            most = self.limits.max_model_nbytes
            given, device = self._wanted_model, self._device
            self._codec = self._parts.find_codec(given, embedded, device, most)
        else:
            self._codec = self._parts.adopt(self._codec)
        self._codec_is_checked = True
        return self._codec

    @property
    def _parts(self) -> FileParts:
        return FileParts(self.reader)

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Close the file, if this archive opened it."""
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
