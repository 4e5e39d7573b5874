"""What a picture tells its viewer besides pixels: a turn, colours, transparency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.Image import Image

ORIENTATION = 0x0112  # the tag in EXIF
# Tags of TIFF and values of them
EXTRA_SAMPLES, PREMULTIPLIED = 338, 1
SAMPLE_FORMAT, SIGNED = 339, 2
TURNED = "turned"
PROFILE = "profile"
GAMMA = "gamma"
SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.01
# White, red, green and blue as (x, y) of sRGB
SRGB_COLOURS, COLOUR_TOLERANCE = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 0.005


def take_orientation(picture: Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1 if it tells none that can be read.

    Of a TIFF it is taken away: loading would turn the pixels, and some Pillows do so wrongly.
    """
    try:
        exif = picture.getexif()
        found: Any = exif.get(ORIENTATION, 1)
        if picture.format == "TIFF":
            for tags in (exif, getattr(picture, "tag_v2", {})):
                if ORIENTATION in tags:
                    del tags[ORIENTATION]
            picture._tile_orientation = None  # type: ignore[attr-defined]  # of Pillow 10
    except Exception:  # noqa: BLE001  # damaged EXIF raises nearly anything, and viewers pass over it
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(pillow: ModuleType, picture: Image, orientation: int) -> Image:
    """A loaded picture as its EXIF orientation wants it to be seen."""
    methods = pillow.Transpose
    by_orientation = {
        2: methods.FLIP_LEFT_RIGHT,
        3: methods.ROTATE_180,
        4: methods.FLIP_TOP_BOTTOM,
        5: methods.TRANSPOSE,
        6: methods.ROTATE_270,
        7: methods.TRANSVERSE,
        8: methods.ROTATE_90,
    }
    method = by_orientation.get(orientation)
    return picture if method is None else picture.transpose(method)


def tiff_fault(picture: Image) -> str | None:
    """Why the samples of a TIFF are not what Pillow takes them for; None if they are."""
    tags: Any = getattr(picture, "tag_v2", {})
    if PREMULTIPLIED in tags.get(EXTRA_SAMPLES, ()):
        return "colours are multiplied by the transparency already"
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        return "samples have signs, expected 0 to 255"
    return None


def colours_not_kept(info: dict[Any, Any]) -> set[str]:
    """PROFILE or GAMMA where the colours of a picture are not those of sRGB, the usual ones."""
    profile = info.get("icc_profile")
    if profile:
        is_srgb = b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile
        return set() if is_srgb else {PROFILE}
    if "srgb" in info:
        return set()
    gamma, colours = info.get("gamma"), info.get("chromaticity")
    found: set[str] = set()
    if gamma and abs(gamma - SRGB_GAMMA) > GAMMA_TOLERANCE:
        found.add(GAMMA)
    if colours and any(
        abs(value - of_srgb) > COLOUR_TOLERANCE
        for value, of_srgb in zip(colours, SRGB_COLOURS, strict=False)
    ):
        found.add(PROFILE)
    return found
