"""Channels of pictures, gray or colour, opaque or not, and changes that lose nothing."""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Images

OPAQUE = 255


def has_alpha(channels: int) -> bool:
    """Whether the last of so many channels is transparency."""
    return channels in (2, 4)


def is_gray(channels: int) -> bool:
    """Whether so many channels hold no colour."""
    return channels <= 2


def least_channels(pixels: Images) -> int:
    """The fewest channels that hold all of a picture uint8 (H, W, C)."""
    return next(n for n in (1, 2, 3, 4) if n >= pixels.shape[2] or fits(pixels, n))


def fits(pixels: Images, channels: int) -> bool:
    """Whether so many channels hold all of a picture uint8 (H, W, C)."""
    stored = pixels.shape[2]
    if has_alpha(stored) and not has_alpha(channels) and (pixels[..., -1] != OPAQUE).any():
        return False
    if is_gray(channels) and not is_gray(stored):
        return bool((pixels[..., :1] == pixels[..., 1:3]).all())
    return True


def with_channels(pixels: Images, channels: int) -> Images:
    """A picture uint8 (H, W, C) that fits, with so many channels."""
    if pixels.shape[2] == channels:
        return pixels
    colour = pixels[..., :1] if is_gray(channels) or is_gray(pixels.shape[2]) else pixels[..., :3]
    if not is_gray(channels):
        colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    if not has_alpha(channels):
        return np.ascontiguousarray(colour)
    alpha = np.full_like(pixels[..., :1], OPAQUE)
    if has_alpha(pixels.shape[2]):
        alpha = pixels[..., -1:]
    return np.concatenate([colour, alpha], axis=2)


def common_channels(stored: dict[int, int], least: dict[int, set[int]]) -> int:
    """The channels of a set: those that most pictures have, or fewer, without any loss to these.

    ``stored`` counts the pictures by the channels that they have; ``least`` are the fewest that
    pictures of so many need. Only channels that some picture has come into question: what all
    pictures share stays as it is.
    """
    most = max(stored, key=lambda channels: stored[channels])
    for fewer in sorted(channels for channels in stored if channels < most):
        alike = (
            has_alpha(n) <= has_alpha(fewer) and is_gray(n) >= is_gray(fewer) for n in least[most]
        )
        if all(alike):
            return fewer
    return most
