"""Codecs that bound every pixel's error: JPEG-LS, SZ3, ZFP, and rounding before xz or JPEG XL."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from aecodec.arrays import Floats, Images
from aecodec.benchmark.peers.peer import (
    BOUNDED,
    MOSAIC,
    SET,
    Peer,
    Picture,
    Shape,
    apart,
    as_picture,
    each,
    installed,
    mosaic,
    mosaic_shape,
    tiled,
)
from aecodec.benchmark.peers.streams import pack_xz

BOUNDS = (0, 1, 2, 4, 8, 16)
QUICK_BOUNDS = (0, 4, 8, 16)
ZFP_SLACK = 16  # tolerances are tried from this many times the bound on down
HALF = 0.49  # within this bound, rounding gives back every integer exactly


def bounded_peers(channels: int) -> Iterator[Peer]:
    """A setting is the largest error in gray levels; 0 is lossless."""
    yield _peer("rounded, xz -9e", SET, _encode_xz, _decode_xz, (8,))
    if not installed("imagecodecs"):
        return
    import imagecodecs

    if imagecodecs.JPEGXL.available and channels in (1, 3):
        yield _peer("rounded, JPEG XL", MOSAIC, _encode_jxl, _decode_jxl, QUICK_BOUNDS[1:])
    if imagecodecs.JPEGLS.available and channels in (1, 3):
        jpegls = Picture(
            lambda x, bound: bytes(imagecodecs.jpegls_encode(x, level=int(bound))),
            imagecodecs.jpegls_decode,
        )
        for scoped in (each(jpegls), tiled(jpegls)):
            yield Peer("JPEG-LS", kind=BOUNDED, settings=BOUNDS, quick=QUICK_BOUNDS, **scoped)
    if imagecodecs.SZ3.available:
        yield _floats(
            "SZ3",
            lambda x, bound: bytes(imagecodecs.sz3_encode(x, mode="abs", abs=bound or HALF)),
            lambda data, shape: imagecodecs.sz3_decode(data, shape, np.float32),
        )
    if imagecodecs.ZFP.available:
        yield _floats("ZFP", _pack_zfp, lambda data, shape: imagecodecs.zfp_decode(data))


def to_cells(images: Images, bound: int) -> Images:
    """uint8 pixels -> the number of the nearest multiple of 2 * bound + 1."""
    return ((images.astype(np.uint16) + bound) // (2 * bound + 1)).astype(np.uint8)


def from_cells(cells: Images, bound: int) -> Images:
    """Multiples of 2 * bound + 1, none above 255: each within ``bound`` of what it was."""
    return np.minimum(cells.astype(np.uint16) * (2 * bound + 1), 255).astype(np.uint8)


def _peer(
    name: str,
    scope: str,
    encode: Callable[[Images, float], list[bytes]],
    decode: Callable[[list[bytes], Shape, float], Images],
    quick: tuple[float, ...] = QUICK_BOUNDS,
) -> Peer:
    return Peer(name, scope, BOUNDED, BOUNDS, quick, encode, decode)


def _encode_xz(images: Images, bound: float) -> list[bytes]:
    return [pack_xz(to_cells(images, int(bound)).tobytes())]


def _decode_xz(files: list[bytes], shape: Shape, bound: float) -> Images:
    cells = np.frombuffer(lzma.decompress(files[0]), np.uint8).reshape(shape)
    return from_cells(cells, int(bound))


def _encode_jxl(images: Images, bound: float) -> list[bytes]:
    import imagecodecs

    picture = as_picture(mosaic(to_cells(images, int(bound))))
    return [bytes(imagecodecs.jpegxl_encode(picture, lossless=True, effort=7))]


def _decode_jxl(files: list[bytes], shape: Shape, bound: float) -> Images:
    import imagecodecs

    return from_cells(apart(imagecodecs.jpegxl_decode(files[0]), shape), int(bound))


def _pack_zfp(x: Floats, bound: float) -> bytes:
    """A plane at the largest tolerance whose real error, once rounded, stays within the bound.

    ZFP's real error is a fraction of its tolerance: with the bound as its tolerance it would look
    worse than it is.
    """
    import imagecodecs

    tolerance: Any = float(ZFP_SLACK * max(bound, HALF))
    while True:
        data = bytes(imagecodecs.zfp_encode(x, level=tolerance, mode="a"))
        error = np.abs(np.rint(imagecodecs.zfp_decode(data)) - x).max()
        if error <= bound or tolerance < HALF / 4:
            return data
        tolerance /= 2


def _floats(
    name: str,
    pack: Callable[[Floats, float], bytes],
    unpack: Callable[[bytes, Shape], Floats],
) -> Peer:
    """A codec of float arrays, given a mosaic of each channel; its output is rounded."""

    def encode(images: Images, bound: float) -> list[bytes]:
        picture = mosaic(images).transpose(2, 0, 1).astype(np.float32)  # (C, rows, columns)
        return [bytes(pack(np.ascontiguousarray(plane), bound)) for plane in picture]

    def decode(files: list[bytes], shape: Shape, bound: float) -> Images:
        sides = mosaic_shape(shape)
        planes = np.stack([np.asarray(unpack(data, sides)) for data in files], axis=-1)
        return apart(np.clip(np.rint(planes), 0, 255).astype(np.uint8), shape)

    return _peer(name, MOSAIC, encode, decode)
