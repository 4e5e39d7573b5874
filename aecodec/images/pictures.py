"""Single pictures: which files are pictures, and their 8-bit pixels, by Pillow."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aecodec.arrays import Images
from aecodec.errors import ImageSetError
from aecodec.images.safe_names import (
    DEPTH_MAX,
    NAME_MAX_NBYTES,
    PATH_MAX_NBYTES,
    PICTURE_SUFFIXES,
)
from aecodec.images.viewing import TURNED, colours_not_kept, take_orientation, tiff_fault, upright

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.ImageFile import ImageFile

# Pillow's mode -> the mode that keeps every pixel in 8 bits
PICTURE_MODES = {m: m for m in ("L", "LA", "RGB", "RGBA")} | {"1": "L", "P": "RGB", "PA": "RGBA"}
# the same for pictures with one transparent colour
CLEAR_MODES = PICTURE_MODES | {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}
# suffix -> Pillow's name of a lossless format, the numbers of channels it takes, its options
LOSSLESS_FORMATS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    ".png": ("PNG", (1, 2, 3, 4), {}),
    ".bmp": ("BMP", (1, 3), {}),
    ".tif": ("TIFF", (1, 2, 3, 4), {}),
    ".tiff": ("TIFF", (1, 2, 3, 4), {}),
    ".webp": ("WEBP", (3, 4), {"lossless": True, "exact": True}),
    ".pgm": ("PPM", (1,), {}),
    ".ppm": ("PPM", (3,), {}),
}


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture."""
    # A leading dot: hidden files, and the resource forks that macOS puts beside pictures
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")


def natural_key(name: str) -> tuple[list[list[str | int]], str]:
    """Sort key that puts img2 before img10; texts and numbers alternate, so keys compare."""
    split = (re.split(r"([0-9]+)", part) for part in name.casefold().split("/"))
    return [[int(p) if i % 2 else p for i, p in enumerate(parts)] for parts in split], name


def import_pillow(verb: str) -> ModuleType:
    """The module PIL.Image; ImportError names the extra to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{verb} image folders needs Pillow: pip install aecodec[png]") from error
    return Image


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels uint8 (H, W, C) of a picture, and what was changed or is not kept."""

    pixels: Images
    changes: frozenset[str]  # of TURNED, PROFILE and GAMMA


def decode_picture(pillow: ModuleType, file: BinaryIO, path: str) -> Picture:
    """A picture as viewers show it, but for its colours: EXIF orientation is applied.

    Colour profiles are not. ImageSetError for a picture that cannot be decoded, is too large for
    Pillow's limit, has more than 8 bits for a sample, several frames, or premultiplied colours.
    """
    try:
        # Up to twice its limit Pillow only warns. The limit is checked here again: making the
        # warning an error would change all threads.
        with pillow.open(file) as picture:
            limit = pillow.MAX_IMAGE_PIXELS
            if limit is not None and math.prod(picture.size) > limit:
                raise ImageSetError(
                    f"{path}: {picture.size} (W, H) is more than Pillow's limit, {limit} pixels"
                )
            mode = _eight_bit_mode(picture, path)
            orientation = take_orientation(picture)
            picture.load()
            changes = colours_not_kept(picture.info) | ({TURNED} if orientation > 1 else set())
            seen = upright(pillow, picture, orientation)
            pixels = np.asarray(seen if seen.mode == mode else seen.convert(mode))
    except ImageSetError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a fault of the disk, not of the picture
        text = re.sub(r" <_io.*>", "", str(error))  # which names the file once more
        raise ImageSetError(f"{path}: cannot be decoded as a picture, {text}") from error
    return Picture(np.atleast_3d(pixels), frozenset(changes))


def _eight_bit_mode(picture: ImageFile, path: str) -> str:
    """The Pillow mode that keeps every pixel, or ImageSetError."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16") or _is_16_bit(picture):
        raise ImageSetError(f"{path}: more than 8 bits per sample (16-bit), expected 8")
    if fault := tiff_fault(picture):
        raise ImageSetError(f"{path}: {fault}")
    frame_count = getattr(picture, "n_frames", 1)
    if frame_count > 1 and picture.format != "MPO":  # MPO: a JPEG followed by previews
        raise ImageSetError(f"{path}: {frame_count} frames, expected one picture in each file")
    modes = CLEAR_MODES if "transparency" in picture.info else PICTURE_MODES
    if picture.mode not in modes:
        raise ImageSetError(f"{path}: mode {picture.mode}, expected one of {', '.join(modes)}")
    return modes[picture.mode]


def _is_16_bit(picture: ImageFile) -> bool:
    """Whether Pillow would silently narrow 16-bit samples to 8 bits on loading."""
    for codec, _, _, args in picture.tile:
        # Netpbm: (mode, largest value); bitmaps have no value or, in later Pillows, no tuple
        if codec.startswith("ppm") and isinstance(args, tuple):
            return (args[1] or 0) > 255
        if ";16" in str(args):  # the raw mode, e.g. RGB;16B
            return True
    return False


def save_picture(pillow: ModuleType, pixels: Images, path: str) -> None:
    """Write (H, W) or (H, W, C) in the format of the path's suffix; never over another file."""
    name, _, options = LOSSLESS_FORMATS[os.path.splitext(path)[1].lower()]
    with open(path, "xb") as file:  # x: FileExistsError
        pillow.fromarray(np.ascontiguousarray(pixels)).save(file, format=name, **options)


def check_picture_name(name: str) -> None:
    """ImageSetError unless a path is plain: it may lead down into folders and nowhere else."""
    forbidden = '\\\0<>:"|?*' if os.name == "nt" else "\\\0"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in forbidden for c in name):
        raise ImageSetError(f"names: {name!r:.80} is not a plain file name, or path in a folder")
    try:
        too_long = max(len(os.fsencode(part)) for part in parts) > NAME_MAX_NBYTES
    except UnicodeEncodeError as error:
        raise ImageSetError(f"names: {name!r:.80} cannot name a file: {error.reason}") from error
    if too_long or len(os.fsencode(name)) > PATH_MAX_NBYTES or len(parts) > DEPTH_MAX:
        raise ImageSetError(
            f"names: {name!r:.80} is no path of up to {DEPTH_MAX} names of "
            f"{NAME_MAX_NBYTES} bytes, {PATH_MAX_NBYTES} in all"
        )
