"""An open ``.aez``: facts of the file, and any image in it, as an array.

Opening and describing a file need the standard library alone; NumPy and torch are imported when
images are asked for.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aecodec.archive.damage import pointing_to_repair
from aecodec.archive.facts import facts_of
from aecodec.archive.lazy import LazyImages
from aecodec.archive.origin import Origin, Recipe
from aecodec.archive.parts import FileParts
from aecodec.archive.sections import Sections
from aecodec.archive.source import Source, open_source
from aecodec.arguments import CODEC, LIMITS, MODEL, SOURCE, TEXT, checked
from aecodec.container import Reader
from aecodec.errors import (
    AezChangedError,
    AezCorruptError,
    AezLimitError,
    AezUnsupportedError,
)
from aecodec.io.locks import ForkLock
from aecodec.limits import DEFAULT_LIMITS, Limits, chunk_memory_nbytes

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Self

    from aecodec.annotations.annotations import Annotations
    from aecodec.annotations.column import Column
    from aecodec.archive.decoding import Decoding
    from aecodec.archive.parts import GivenModel
    from aecodec.arrays import Indices
    from aecodec.codec.codec import Codec
    from aecodec.codec.decode import OpenChunk


class Archive(LazyImages):
    """An open ``.aez`` as a read-only array of images, uint8 (N, H, W) or (N, H, W, C).

    It is indexed as NumPy's arrays are, and only the chunks that are touched are read and decoded;
    ``numpy.asarray(archive)`` decodes all. ``model`` is needed only when the file's parts are
    neither embedded nor found among the installed models; ``codec`` is one loaded before.
    ``limits`` are what the file may make this process spend. A file raises only ``AezError``.

    Threads may share an archive (``asyncio.to_thread`` too), and so may processes that were forked
    from the one that opened it. It pickles, for processes that were spawned, and there it opens
    its path or URL again; AezChangedError if another file is there. Where a path is given another
    file, an open archive goes on with the old one; where a file is overwritten in place, it raises
    AezChangedError for what it finds changed. A file object that no path, URL or bytes stand behind
    can be shared by threads; by forks only if it is a file of the system or in memory, and it does
    not pickle.
    """

    @pointing_to_repair()
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
        if codec is not None and model is not None:
            raise ValueError("model: has no effect with a codec, which brings its own")
        self._file, self.name, self._owned = open_source(source, limits)
        self._wanted_model, self._codec, self._device = model, codec, device
        self._given_codec = codec
        self.limits = limits
        self._codec_is_checked = False  # that it is the one that the file names
        self._lock = ForkLock()  # of the codec
        self._origin = Origin.of(source, self._file)
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
    def has_channel_axis(self) -> bool:
        """Whether images have shape (H, W, C) in Python; else it is (H, W)."""
        return bool(self.metadata.get("has_channel_axis", True)) or self.image_shape[2] > 1

    @property
    def chunk_images(self) -> int:
        """How many images each chunk has; the last one may have fewer."""
        return self.reader.header.chunk_images

    def __len__(self) -> int:
        return self.reader.image_count

    @property
    def metadata(self) -> dict[str, Any]:
        """The object in section META; empty in a file without."""
        return self._sections.metadata

    @property
    def names(self) -> Sequence[str] | None:
        """File names of the images, when they came from a folder; equal to a tuple of texts."""
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
        return self._sections.facts["classes"]  # type: ignore[no-any-return]

    @property
    def info(self) -> dict[str, Any]:
        """Facts of the file, all plain values; chunk heads are read, payloads are not."""
        return facts_of(self.reader, self._sections)

    @property
    def sections(self) -> Sections:
        """The sections about the images, each of which can be read alone, or for some images."""
        return self._sections

    @pointing_to_repair()
    def check_sections(self) -> None:
        """Read every section and check its checksum; names and columns are unpacked too."""
        self._sections.check()

    # ------------------------------------------------------------ images

    def batches(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Chunk by chunk, uint8 (n, H, W, C), each checked against its hash of the pixels."""
        for opened in self.open_chunks(range(self.reader.chunk_count)):
            yield opened.all()
            del opened  # before the next one is read

    @pointing_to_repair()
    def _decode(self, indices: npt.NDArray[np.intp] | range) -> npt.NDArray[np.uint8]:
        import numpy as np

        if isinstance(indices, range) and indices.step == 1:
            return self._decoding.decode_run(indices)
        return self._decoding.decode(np.asarray(indices, np.intp))

    def check_decoded(self, image_count: int) -> None:
        """AezLimitError if this many images take more than ``max_decoded_nbytes``."""
        nbytes, most = image_count * math.prod(self.image_shape), self.limits.max_decoded_nbytes
        if nbytes > most:
            raise AezLimitError(
                f"{self.name}: {nbytes} bytes of images, max_decoded_nbytes allows {most}"
            )

    def check_chunk_memory(self) -> None:
        """AezLimitError if the images of one chunk alone take more than ``max_memory_nbytes``."""
        count, nbytes = min(self.chunk_images, len(self)), math.prod(self.image_shape)
        needed, most = chunk_memory_nbytes(0, count, nbytes), self.limits.max_memory_nbytes
        if needed > most:
            raise AezLimitError(
                f"{self.name}: memory to decode {count} images of {nbytes} bytes is {needed}, "
                f"max_memory_nbytes allows {most}"
            )

    def open_chunks(self, numbers: Sequence[int] | Indices) -> Iterator[OpenChunk]:
        """These chunks in order, small ones several at a time, for random access within each.

        The last one is kept: neighbours are usually asked for together.
        """
        return self._decoding.open_chunks(numbers)

    @cached_property
    def _decoding(self) -> Decoding:
        from aecodec.archive.decoding import Decoding

        return Decoding(self.reader, self.require_codec, self.limits.max_memory_nbytes)

    @property
    def codec(self) -> Codec | None:
        """The codec that decodes this file, None before it is needed; other archives may use it."""
        return self._codec

    def require_codec(self) -> Codec:
        """The codec that decodes this file, found if need be; errors as when images are read."""
        with self._lock:
            if self._codec is None:
                embedded = self._sections.embedded_model if self.reader.parts else None
                most = self.limits.max_model_nbytes
                given, device = self._wanted_model, self._device
                self._codec = self._parts.find_codec(given, embedded, device, most)
            elif not self._codec_is_checked:
                self._codec = self._parts.adopt(self._codec)
            self._codec_is_checked = True
            return self._codec

    @property
    def _parts(self) -> FileParts:
        return FileParts(self.reader)

    @property
    def _out_of_range(self) -> str:
        return f"image {{}}, the file holds {len(self)}"

    # ------------------------------------------------------------ other processes

    def recipe(self) -> Recipe:
        """What opens the file again; TypeError for a file object, ValueError once it is closed."""
        if self._origin is None:
            raise TypeError(f"{self.name}: a file object does not pickle: open a path or bytes")
        if self._file.closed:
            raise ValueError(f"{self.name}: the archive is closed")
        model, device = self._wanted_model, self._device
        if self._given_codec is not None:
            model, device = self._given_codec.model, self._given_codec.device
        options = {"model": model, "device": device, "limits": self.limits}
        return Recipe(self._origin, self.reader.identity, self.name, options)

    def __reduce__(self) -> tuple[Callable[[Recipe], Archive], tuple[Recipe]]:
        return _unpickled, (self.recipe(),)

    def __dask_tokenize__(self) -> tuple[str, str]:
        """What tells this array from others, for Dask."""
        return "aecodec.Archive", self.reader.identity

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Close the file, if this archive opened it."""
        if self._owned:
            self.__dict__.pop("_decoding", None)
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


def reopened(recipe: Recipe, codec: Codec | None = None) -> Archive:
    """The archive of a recipe, opened again; AezChangedError if another file is there.

    ``codec`` is one that decoded the file before.
    """
    what = f"{recipe.name}: another file is here than was opened first: it was replaced, or "
    what += "overwritten, since; open it anew"
    options = recipe.options if codec is None else recipe.options | {"model": None}
    try:
        archive = Archive(recipe.origin.source, codec=codec, **options)
    except (AezCorruptError, AezUnsupportedError) as error:
        raise AezChangedError(f"{what} ({error})") from error
    if archive.reader.identity != recipe.identity:
        archive.close()
        raise AezChangedError(what)
    archive.name = archive.reader.name = recipe.name
    return archive


def _unpickled(recipe: Recipe) -> Archive:
    """As :func:`reopened`; the file is closed with the last reference, whoever made the copy."""
    archive = reopened(recipe)
    weakref.finalize(archive, archive._file.close)
    return archive
