"""Single pictures by Pillow: which files are pictures, their pixels in 8 bits, and back."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aecodec.arrays import Images
from aecodec.errors import ImageSetError

if TYPE_CHECKING:
    from types import ModuleType

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
# Pillow mode -> the mode that keeps every pixel in 8 bits; then with one transparent colour
PICTURE_MODES = {m: m for m in ("L", "LA", "RGB", "RGBA")} | {"1": "L", "P": "RGB", "PA": "RGBA"}
CLEAR_MODES = PICTURE_MODES | {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}
# suffix -> Pillow's name of a format that keeps every pixel, the channels it keeps, its options
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
    """Whether a file is called as a picture is."""
    # A leading dot: hidden files, and the resource forks that macOS leaves beside pictures
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")


def natural_key(name: str) -> tuple[list[list[str | int]], str]:
    """Sort key that puts img2 before img10; text and numbers alternate, so they compare."""
    split = (re.split(r"([0-9]+)", part) for part in name.casefold().split("/"))
    return [[int(p) if i % 2 else p for i, p in enumerate(parts)] for parts in split], name


def import_pillow(verb: str) -> ModuleType:
    """PIL.Image; ImportError names the extra to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{verb} image folders needs Pillow: pip install aecodec[png]") from error
    return Image


def decode_picture(pillow: ModuleType, file: BinaryIO, path: str) -> Images:
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


def save_picture(pillow: ModuleType, pixels: Images, path: str) -> None:
    """(H, W) or (H, W, C) in the format of the path's suffix; FileExistsError if it is there."""
    name, _, options = LOSSLESS_FORMATS[os.path.splitext(path)[1].lower()]
    with open(path, "xb") as file:  # x: never over another
        pillow.fromarray(np.ascontiguousarray(pixels)).save(file, format=name, **options)


def picture_names(names: Sequence[str] | None, image_count: int, channels: int) -> list[str]:
    """Paths, with /, for the pictures; ``names`` may come from an archive made by anyone.

    A name whose format does not keep every pixel, as JPEG's, is given the suffix .png.
    """
    if names is None:
        digits = max(6, len(str(image_count - 1)))
        return [f"{i:0{digits}}.png" for i in range(image_count)]
    if len(names) != image_count:
        raise ValueError(f"{len(names)} names, expected {image_count}, one for each image")
    for name in names:
        check_picture_name(name)
    kept = {name for name in names if _keeps_pixels(name, channels)}
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
    folders = {name[:i] for name in chosen for i, char in enumerate(name) if char == "/"}
    if both := folders.intersection(chosen):
        raise ImageSetError(f"names: {min(both)!r} would be a picture and a folder")
    return chosen


def _keeps_pixels(name: str, channels: int) -> bool:
    known = LOSSLESS_FORMATS.get(os.path.splitext(name)[1].lower())
    return known is not None and channels in known[1]


def _as_png(name: str) -> str:
    return (os.path.splitext(name)[0] if is_picture(name) else name) + ".png"


def check_picture_name(name: str) -> None:
    """ImageSetError for a path that is not plain: it may lead down into folders, nowhere else."""
    forbidden = '\\\0<>:"|?*' if os.name == "nt" else "\\\0"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in forbidden for c in name):
        raise ImageSetError(f"names: {name!r} is not a plain file name, or path in a folder")
