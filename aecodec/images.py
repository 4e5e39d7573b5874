"""Image sets <-> uint8 batches: IDX, ``.npy``, ``.npz`` and folders of pictures.

Everything streams: a source yields batches of (n, H, W, C), a sink takes them, and neither holds
more than one batch. On disk and in arrays a set is (N, H, W) or (N, H, W, C), C in 1..4;
``has_channel_axis`` remembers which, so that a set comes back as it was.
"""

from __future__ import annotations

import gzip
import io
import lzma
import math
import os
import re
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from _typeshed import WriteableBuffer
    from typing_extensions import Self

Images = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]  # (H, W, C)

KINDS = ("idx", "idx.gz", "npy", "npz", "folder")
PICTURE_SUFFIXES = (
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
ACCEPTED = "an IDX file (gzipped or not), .npy, .npz or a folder of pictures"
NPZ_MEMBER = "images"  # the array written; reading takes two more names for granted
NPZ_MEMBERS = (NPZ_MEMBER, "x", "arr_0")
SNIFF_NBYTES = 16
READ_NBYTES = 1 << 20
IDX_DTYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}
PICTURE_MAGIC = re.compile(
    rb"(?P<PNG>\x89PNG)|(?P<JPEG>\xff\xd8\xff)|(?P<GIF>GIF8)|(?P<TIFF>II\*\0|MM\0\*)"
    rb"|(?P<BMP>BM.{4}\0{4})|(?P<PGM>P[25]\s)|(?P<PPM>P[36]\s)|(?P<WebP>RIFF.{4}WEBP)",
    re.DOTALL,
)
# Pillow mode -> the mode that keeps every pixel in 8 bits; then with one transparent colour
PICTURE_MODES = {m: m for m in ("L", "LA", "RGB", "RGBA")} | {"1": "L", "P": "RGB", "PA": "RGBA"}
CLEAR_MODES = PICTURE_MODES | {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)


class ImageSetError(ValueError):
    """The content of an image set is not what this package takes; the message says why."""


# --- Sources ---


class ImageSource(ABC):
    """An image set, read from front to back; a context manager that closes what it opened."""

    kind: str  # one of KINDS, or "array"
    image_count: int
    shape: Shape
    has_channel_axis: bool
    names: tuple[str, ...] | None = None  # folder: file names, in image order
    ignored_count: int = 0  # folder: entries that are no pictures

    def __init__(self, kind: str, layout: _Layout) -> None:
        self.kind = kind
        self.image_count, self.shape, self.has_channel_axis = layout
        self._closer = ExitStack()

    def batches(self, batch_images: int) -> Iterator[Images]:
        """Yield uint8 (n, H, W, C), C-contiguous, n = batch_images but in the last batch.

        Starts at the first image each time; ValueError for a second time on a pipe. Only a
        source read to its end has been checked to its end.
        """
        if batch_images < 1:
            raise ValueError(f"batch_images is {batch_images}, expected at least 1")
        return self._read_batches(batch_images)

    @abstractmethod
    def _read_batches(self, batch_images: int) -> Iterator[Images]: ...

    def close(self) -> None:
        self._closer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_images(source: str | os.PathLike[str] | BinaryIO | Images) -> ImageSource:
    """Open an image set: a path, a binary file object (a pipe too) or an array.

    The kind is told by content, never by name. Raises ImageSetError for what is no image set,
    OSError for what cannot be read (FileNotFoundError for a folder without pictures).
    """
    if isinstance(source, np.ndarray):
        return _ArraySource("array", "array", source)
    if isinstance(source, str | os.PathLike):
        label = os.fspath(source)
        if os.path.isdir(label):
            return _FolderSource(label)
    elif hasattr(source, "read"):
        label = str(getattr(source, "name", "stream"))
    else:
        raise TypeError(f"expected a path, a binary file or an array, found {type(source)}")
    with ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            source = stack.enter_context(open(label, "rb"))
        opened = _open_file(source, label, stack)
        opened._closer = stack.pop_all()
        return opened


def detect_kind(head: bytes, name: str) -> str:
    """The kind of the set whose first SNIFF_NBYTES are ``head``; ``name`` is for messages."""
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # the second: an empty archive
        return "npz"
    if head.startswith(b"\x1f\x8b"):
        return "idx.gz"
    if head.startswith(b"\0\0") and head[2:3] and head[2] in IDX_DTYPES:
        return "idx"
    raise ImageSetError(f"{name}: {_describe(head)}, expected {ACCEPTED}")


def _describe(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.startswith(b"\x89AEZ"):
        return "an .aez file, already compressed"
    if picture := PICTURE_MAGIC.match(head):
        return f"a single {picture.lastgroup} picture (give the folder that holds it)"
    return f"not an image set, it starts with {head!r}"


class _Layout(NamedTuple):
    image_count: int
    shape: Shape
    has_channel_axis: bool


def _layout(label: str, dims: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> _Layout:
    """Check the dtype and shape of a whole set: uint8, (N, H, W) or (N, H, W, C)."""
    dtype = np.dtype(dtype)
    if dtype != np.uint8:
        hint = _conversion_hint(dtype)
        raise ImageSetError(f"{label}: found dtype {dtype}, expected uint8; {hint}")
    if len(dims) not in (3, 4):
        hint = "; reshape rows of pixels to (N, H, W)" if len(dims) == 2 else ""
        raise ImageSetError(
            f"{label}: found shape {dims}, expected (N, H, W) or (N, H, W, C){hint}"
        )
    count, height, width, channels = (*dims, 1)[:4]
    if count < 0 or height < 1 or width < 1:
        raise ImageSetError(f"{label}: found shape {dims}, expected sides of at least 1 pixel")
    if not 1 <= channels <= 4:
        hint = "; move the channels to the end" if 1 <= height <= 4 < channels else ""
        raise ImageSetError(f"{label}: found {channels} channels in {dims}, expected 1 to 4{hint}")
    return _Layout(count, (height, width, channels), len(dims) == 4)


def _conversion_hint(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "for values from 0 to 1: (images * 255).round().astype(np.uint8)"
    if dtype.kind == "b":
        return "images.astype(np.uint8) * 255"
    return "for values from 0 to 255: images.astype(np.uint8)"


class _ArraySource(ImageSource):
    """An array in memory, or one mapped from a file."""

    def __init__(self, kind: str, label: str, images: npt.NDArray[Any]) -> None:
        super().__init__(kind, _layout(label, images.shape, images.dtype))
        self._images = images

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        for start in range(0, self.image_count, batch_images):
            batch = np.ascontiguousarray(self._images[start : start + batch_images])
            yield batch.reshape(len(batch), *self.shape)


class _StreamSource(ImageSource):
    """Pixels in C order that fill the rest of ``stream``, as in IDX and ``.npy``."""

    def __init__(
        self, kind: str, label: str, layout: _Layout, stream: IO[bytes], *, rewindable: bool
    ) -> None:
        super().__init__(kind, layout)
        self._label, self._stream = label, stream
        # asked of the caller: gzip calls itself seekable over any pipe
        self._pixels_offset = stream.tell() if rewindable else None
        self._used = False

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        self._rewind()
        for start in range(0, max(self.image_count, 1), batch_images):
            n = min(batch_images, self.image_count - start)
            pixels = self._read_pixels(start, n)
            if n:
                yield np.frombuffer(pixels, np.uint8).reshape(n, *self.shape)

    def _read_pixels(self, start: int, n: int) -> bytearray:
        image_nbytes = math.prod(self.shape)
        with _damage_named(self._label):
            pixels = _read_up_to(self._stream, n * image_nbytes)
            if len(pixels) < n * image_nbytes:
                raise self._wrong_size(f"{start * image_nbytes + len(pixels)}, cut short")
            if start + n == self.image_count:
                self._check_end()
        return pixels

    def _rewind(self) -> None:
        if self._used:
            if self._pixels_offset is None:
                raise ValueError(f"{self._label}: a pipe can be read only once")
            self._stream.seek(self._pixels_offset)
        self._used = True

    def _check_end(self) -> None:
        """Refuse bytes after the last pixel; reaching the end also checks gzip's and zip's CRC."""
        extra_nbytes = len(self._stream.read(READ_NBYTES))
        if extra_nbytes:
            found = self.image_count * math.prod(self.shape) + extra_nbytes
            raise self._wrong_size(f"{found} or more")

    def _wrong_size(self, found: str) -> ImageSetError:
        expected = self.image_count * math.prod(self.shape)
        return ImageSetError(
            f"{self._label}: {self.image_count} images of {self.shape} (H, W, C): "
            f"expected {expected} bytes of pixels, found {found}"
        )


def _read_up_to(stream: IO[bytes], nbytes: int) -> bytearray:
    """Read ``nbytes``, fewer only at the end. Grows as data comes: a size may be a lie."""
    data = bytearray()
    while len(data) < nbytes:
        piece = stream.read(min(READ_NBYTES, nbytes - len(data)))
        if not piece:
            break
        data += piece
    return data


@contextmanager
def _damage_named(label: str, *more: type[Exception]) -> Iterator[None]:
    causes: tuple[type[Exception], ...] = (*DAMAGE, *more)
    try:
        yield
    except ImageSetError:
        raise
    except causes as error:
        raise ImageSetError(f"{label}: damaged, {error}") from error


class _Unread(io.RawIOBase):
    """A pipe with the bytes that were sniffed put back in front; closing leaves the pipe open."""

    def __init__(self, head: bytes, pipe: BinaryIO) -> None:
        super().__init__()
        self._head, self._pipe = head, pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._head[: len(view)] or self._pipe.read(len(view))
        self._head = self._head[len(view) :]
        view[: len(piece)] = piece
        return len(piece)


def _open_file(file: BinaryIO, label: str, stack: ExitStack) -> ImageSource:
    """Sniff and open; what is opened on the way is closed by ``stack``."""
    rewindable = file.seekable()
    head = bytes(_read_up_to(file, SNIFF_NBYTES))
    kind = detect_kind(head, label)
    if rewindable:
        file.seek(-len(head), os.SEEK_CUR)
    else:
        file = io.BufferedReader(_Unread(head, file), READ_NBYTES)
    if kind == "npz":
        return _open_npz(file, label, stack)
    if kind == "npy":
        return _open_npy(file, label, "npy", rewindable=rewindable)
    stream: IO[bytes] = file
    if kind == "idx.gz":
        stream = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file)))
    with _damage_named(label):
        layout = _read_idx_header(stream, label)
    return _StreamSource(kind, label, layout, stream, rewindable=rewindable)


# --- IDX ---


def _read_idx_header(stream: IO[bytes], label: str) -> _Layout:
    magic = bytes(_read_up_to(stream, 4))
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES:  # inside a gzip
        raise ImageSetError(f"{label}: holds no IDX file, it starts with {magic!r}")
    dims_nbytes = _read_up_to(stream, 4 * magic[3])
    if len(dims_nbytes) < 4 * magic[3]:
        raise ImageSetError(f"{label}: the IDX header is cut after {4 + len(dims_nbytes)} bytes")
    dims = struct.unpack(f">{magic[3]}I", dims_nbytes)
    if len(dims) == 1:
        raise ImageSetError(f"{label}: IDX of 1 dimension (labels?), expected images: 3 or 4")
    return _layout(label, dims, IDX_DTYPES[magic[2]])


# --- npy and npz ---


class _NpyHeader(NamedTuple):
    dims: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def _read_npy_header(stream: IO[bytes], label: str) -> _NpyHeader:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return _NpyHeader(*np.lib.format.read_array_header_1_0(stream))
        # 3.0 is 2.0 with UTF-8 for field names, and uint8 has no fields
        if version in ((2, 0), (3, 0)):
            return _NpyHeader(*np.lib.format.read_array_header_2_0(stream))
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError, RecursionError) as error:
        raise ImageSetError(f"{label}: the .npy header is damaged, {error}") from error
    raise ImageSetError(f"{label}: .npy version {version}, expected 1.0, 2.0 or 3.0")


def _open_npy(stream: IO[bytes], label: str, kind: str, *, rewindable: bool) -> ImageSource:
    header = _read_npy_header(stream, label)
    layout = _layout(label, header.dims, header.dtype)
    if header.fortran_order and layout.image_count:  # no images have no order
        return _map_fortran_npy(stream, label, header)
    return _StreamSource(kind, label, layout, stream, rewindable=rewindable)


def _map_fortran_npy(stream: IO[bytes], label: str, header: _NpyHeader) -> ImageSource:
    """In Fortran order the pixels of one image lie all over the file, so it is mapped."""
    if not isinstance(getattr(stream, "raw", None), io.FileIO):  # a pipe, or inside a .npz
        raise ImageSetError(
            f"{label}: Fortran order cannot be streamed; save np.ascontiguousarray(images)"
        )
    offset, found = stream.tell(), os.fstat(stream.fileno()).st_size
    expected = offset + math.prod(header.dims)
    if found != expected:
        raise ImageSetError(f"{label}: expected {expected} bytes for {header.dims}, found {found}")
    images = np.memmap(cast("BinaryIO", stream), np.uint8, "r", offset, header.dims, "F")
    return _ArraySource("npy", label, images)


def _open_npz(file: BinaryIO, label: str, stack: ExitStack) -> ImageSource:
    if not file.seekable():  # the directory of a zip is at its end
        on_disk = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(file, on_disk, READ_NBYTES)
        file = cast("BinaryIO", on_disk)
    # RuntimeError: encrypted or packed in an unknown way; the others: damage in the directory
    with _damage_named(label, RuntimeError, ValueError, struct.error):
        archive = stack.enter_context(zipfile.ZipFile(file))
        member = _choose_member(archive, label)
        stream = stack.enter_context(archive.open(member))
        return _open_npy(stream, f"{label}: {member}", "npz", rewindable=True)


def _choose_member(archive: zipfile.ZipFile, label: str) -> str:
    """One of NPZ_MEMBERS, whatever it holds, or else the only array that looks like images."""
    members = [name for name in archive.namelist() if name.endswith(".npy")]
    for name in NPZ_MEMBERS:
        if f"{name}.npy" in members:
            return f"{name}.npy"
    found, fitting = [], []
    for member in members:
        with archive.open(member) as stream:
            header = _read_npy_header(stream, f"{label}: {member}")
        found.append(f"{member.removesuffix('.npy')} {header.dtype}{header.dims}")
        if header.dtype == np.uint8 and len(header.dims) in (3, 4):
            fitting.append(member)
    if len(fitting) != 1:
        raise ImageSetError(
            f"{label}: expected one array named {', '.join(NPZ_MEMBERS)}, or just one that is "
            f"uint8 with 3 or 4 dimensions, found: {'; '.join(found) or 'no array'}"
        )
    return fitting[0]


# --- Folders of pictures ---


class _FolderSource(ImageSource):
    """The pictures directly inside a folder, in natural order, decoded one by one."""

    def __init__(self, folder: str) -> None:
        with os.scandir(folder) as entries:
            names = [(entry.name, entry.is_file()) for entry in entries]
        pictures = sorted((n for n, is_file in names if is_file and _is_picture(n)), key=_natural)
        if not pictures:
            raise FileNotFoundError(
                f"{folder}: no pictures among {len(names)} entries, looked for "
                + " ".join(PICTURE_SUFFIXES)
            )
        self._folder, self._pillow = folder, _import_pillow("reading")
        self._pictures = self.names = tuple(pictures)
        self.ignored_count = len(names) - len(pictures)
        shape = self._read(pictures[0]).shape
        super().__init__("folder", _Layout(len(pictures), shape, has_channel_axis=shape[2] > 1))

    def _read_batches(self, batch_images: int) -> Iterator[Images]:
        for start in range(0, self.image_count, batch_images):
            names = self._pictures[start : start + batch_images]
            batch = np.empty((len(names), *self.shape), np.uint8)
            for row, name in enumerate(names):
                batch[row] = self._read_alike(name)
            yield batch

    def _read_alike(self, name: str) -> Images:
        pixels = self._read(name)
        if pixels.shape != self.shape:
            raise ImageSetError(
                f"{self._folder}: pictures differ in shape (H, W, C): "
                f"{self._pictures[0]} is {self.shape}, {name} is {pixels.shape}"
            )
        return pixels

    def _read(self, name: str) -> Images:
        path = os.path.join(self._folder, name)
        with open(path, "rb") as file:
            return _decode_picture(self._pillow, file, path)


def _is_picture(name: str) -> bool:
    # A leading dot: hidden files, and the resource forks that macOS leaves beside pictures
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts img2 before img10; text and numbers alternate, so they compare."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _import_pillow(verb: str) -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{verb} image folders needs Pillow: pip install aecodec[png]") from error
    return Image


def _decode_picture(pillow: ModuleType, file: BinaryIO, path: str) -> Images:
    """(H, W, C) as stored: EXIF orientation and colour profiles are not applied."""
    try:
        # Up to twice its limit Pillow only warns. The limit is checked again here, since making
        # the warning an error would do so in every thread.
        with pillow.open(file) as picture:
            limit = pillow.MAX_IMAGE_PIXELS
            if limit is not None and math.prod(picture.size) > limit:
                raise ImageSetError(
                    f"{path}: {picture.size} (W, H) is more than Pillow's limit, {limit} pixels"
                )
            mode = _eight_bit_mode(picture, path)
            pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    except ImageSetError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the picture
        raise ImageSetError(f"{path}: cannot be decoded as a picture, {error}") from error
    return np.atleast_3d(pixels)


def _eight_bit_mode(picture: Any, path: str) -> str:  # noqa: ANN401  # Pillow is imported lazily
    """The Pillow mode that keeps every pixel, or ImageSetError."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16") or _is_16_bit(picture):
        raise ImageSetError(f"{path}: more than 8 bits per sample (16-bit), expected 8")
    frame_count = getattr(picture, "n_frames", 1)
    if frame_count > 1 and picture.format != "MPO":  # MPO: a JPEG with previews behind it
        raise ImageSetError(f"{path}: {frame_count} frames, expected one picture in each file")
    modes = CLEAR_MODES if "transparency" in picture.info else PICTURE_MODES
    if picture.mode not in modes:
        raise ImageSetError(f"{path}: mode {picture.mode}, expected one of {', '.join(modes)}")
    return modes[picture.mode]


def _is_16_bit(picture: Any) -> bool:  # noqa: ANN401
    """Whether Pillow would narrow 16-bit colour to 8 bits on loading, without a word."""
    for codec, _, _, args in picture.tile:
        # Netpbm: (mode, largest value); for bitmaps no value, or, in later Pillows, no tuple
        if codec.startswith("ppm") and isinstance(args, tuple):
            return (args[1] or 0) > 255
        if ";16" in str(args):  # the raw mode, e.g. RGB;16B
            return True
    return False


# --- Sinks ---


class ImageSink(ABC):
    """Takes the batches of a set in order; close() checks that all the images came."""

    def __init__(self, shape: Shape, image_count: int) -> None:
        self.shape, self.image_count = shape, image_count
        self.written_count = 0
        self._closer = ExitStack()

    def write(self, batch: Images) -> None:
        """Append uint8 (n, H, W, C)."""
        if batch.dtype != np.uint8:
            raise TypeError(f"batch has dtype {batch.dtype}, expected uint8")
        if batch.ndim != 4 or batch.shape[1:] != self.shape:
            expected = "(n, {}, {}, {})".format(*self.shape)
            raise ValueError(f"batch has shape {batch.shape}, expected {expected}")
        if self.written_count + len(batch) > self.image_count:
            raise ValueError(
                f"{self.written_count + len(batch)} images written, expected {self.image_count}"
            )
        self._write(batch)
        self.written_count += len(batch)

    @abstractmethod
    def _write(self, batch: Images) -> None: ...

    def close(self) -> None:
        """Finish the output and close what was opened; ValueError if images are missing."""
        self._closer.close()
        if self.written_count != self.image_count:
            raise ValueError(f"{self.written_count} images written, expected {self.image_count}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._closer.close()  # an output given up: say nothing of what is missing


def open_sink(
    target: str | os.PathLike[str] | BinaryIO,
    kind: str,
    shape: Shape,
    *,
    has_channel_axis: bool,
    image_count: int,
    names: Sequence[str] | None = None,
) -> ImageSink:
    """Open ``target`` to write ``image_count`` images of ``shape`` (H, W, C) as ``kind``.

    ``target`` is a path or binary file object; for "folder" an existing folder, which takes PNG
    files called by ``names`` (suffix replaced by .png) or 000000.png, 000001.png, ...
    The same images give the same bytes (for gzip and PNG: with the same zlib and Pillow).
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    dims = (image_count, *shape) if has_channel_axis else (image_count, *shape[:2])
    if _layout("the set to write", dims).shape != shape:
        raise ValueError(f"shape {shape} has {shape[2]} channels, they need has_channel_axis")
    if kind == "folder":
        if not isinstance(target, str | os.PathLike):
            raise TypeError("a folder of pictures needs a path, not a file object")
        return _FolderSink(os.fspath(target), shape, _picture_names(names, image_count))
    with ExitStack() as stack:
        if isinstance(target, str | os.PathLike):
            target = stack.enter_context(open(target, "wb"))
        stream = _STARTERS[kind](target, dims, stack)
        sink = _StreamSink(shape, image_count, stream)
        sink._closer = stack.pop_all()
        return sink


class _StreamSink(ImageSink):
    def __init__(self, shape: Shape, image_count: int, stream: IO[bytes]) -> None:
        super().__init__(shape, image_count)
        self._stream = stream

    def _write(self, batch: Images) -> None:
        self._stream.write(np.ascontiguousarray(batch).reshape(-1).data)


def _start_idx(target: IO[bytes], dims: tuple[int, ...], _: ExitStack) -> IO[bytes]:
    if max(dims) >= 1 << 32:
        raise ImageSetError(f"shape {dims}: an IDX file holds sides below 2**32, choose .npy")
    target.write(struct.pack(f">BBBB{len(dims)}I", 0, 0, 0x08, len(dims), *dims))
    return target


def _start_idx_gz(target: IO[bytes], dims: tuple[int, ...], stack: ExitStack) -> IO[bytes]:
    # neither time nor name, so that the bytes depend on the images alone
    packed = stack.enter_context(gzip.GzipFile("", "wb", fileobj=target, mtime=0))
    return _start_idx(cast("IO[bytes]", packed), dims, stack)


def _start_npy(target: IO[bytes], dims: tuple[int, ...], _: ExitStack) -> IO[bytes]:
    header = {"descr": "|u1", "fortran_order": False, "shape": dims}
    np.lib.format.write_array_header_1_0(target, header)
    return target


def _start_npz(target: IO[bytes], dims: tuple[int, ...], stack: ExitStack) -> IO[bytes]:
    archive = stack.enter_context(zipfile.ZipFile(target, "w"))
    entry = zipfile.ZipInfo(f"{NPZ_MEMBER}.npy")  # dated 1980, the start of zip time
    entry.create_system = 3  # Unix, also on Windows: the same bytes
    entry.external_attr = 0o644 << 16
    is_big = math.prod(dims) >= 1 << 31  # the sizes must fit before they are known
    stream = stack.enter_context(archive.open(entry, "w", force_zip64=is_big))
    return _start_npy(stream, dims, stack)


_STARTERS: dict[str, Callable[[IO[bytes], tuple[int, ...], ExitStack], IO[bytes]]] = {
    "idx": _start_idx,
    "idx.gz": _start_idx_gz,
    "npy": _start_npy,
    "npz": _start_npz,
}


class _FolderSink(ImageSink):
    def __init__(self, folder: str, shape: Shape, names: Sequence[str]) -> None:
        super().__init__(shape, len(names))
        self._pillow = _import_pillow("writing")
        if not os.path.isdir(folder):
            raise NotADirectoryError(f"{folder}: expected an existing folder")
        self._folder, self._names = folder, names

    def _write(self, batch: Images) -> None:
        pixels = batch[..., 0] if self.shape[2] == 1 else batch
        names = self._names[self.written_count : self.written_count + len(batch)]
        for name, one in zip(names, pixels, strict=True):
            with open(os.path.join(self._folder, name), "xb") as file:  # x: never over another
                self._pillow.fromarray(np.ascontiguousarray(one)).save(file, format="PNG")


def _picture_names(names: Sequence[str] | None, image_count: int) -> list[str]:
    """File names for the pictures; ``names`` may come from an archive made by anyone."""
    if names is None:
        digits = max(6, len(str(image_count - 1)))
        return [f"{i:0{digits}}.png" for i in range(image_count)]
    if len(names) != image_count:
        raise ValueError(f"{len(names)} names, expected {image_count}, one for each image")
    for name in names:
        _check_picture_name(name)
    kept = {name for name in names if name.lower().endswith(".png")}
    uses = Counter(_as_png(name) for name in names if name not in kept)
    chosen = []
    for name in names:
        if name in kept:
            chosen.append(name)
        elif uses[_as_png(name)] == 1 and _as_png(name) not in kept:
            chosen.append(_as_png(name))
        else:  # a.jpg beside a.png or a.gif
            chosen.append(f"{name}.png")
    if len(set(chosen)) < len(chosen):
        raise ImageSetError("names: two pictures would share one file, choose another kind")
    return chosen


def _as_png(name: str) -> str:
    return (os.path.splitext(name)[0] if _is_picture(name) else name) + ".png"


def _check_picture_name(name: str) -> None:
    forbidden = '/\\\0<>:"|?*' if os.name == "nt" else "/\\\0"
    if name in ("", ".", "..") or any(character in forbidden for character in name):
        raise ImageSetError(f"names: {name!r} is not a plain file name")
