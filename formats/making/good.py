"""The good vectors: what each is for, and its bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from aecodec.codec.codec import Codec
from aecodec.entropy import zstd
from aecodec.latents.coders import AnsCoder
from aecodec.models.file import pack_model
from aecodec.models.model import Model, Part
from aecodec.pixels import payloads
from making import assemble, models
from making.assemble import (
    ANS,
    LATENTS,
    LOW_TRUNK,
    REFINEMENT,
    TONES,
    UNDERLAY,
    ZSTD,
    Chunk,
    File,
    Sub,
)

GRAY = (8, 8, 1)
COLOUR = (5, 3, 3)
LATENT_MODEL = models.latent_model(GRAY, "latents-8x8")
STORED, PACKED, LATENTS_ZSTD, PIXELS, DEQUANTIZED, LATENTS_ANS = range(6)


class Vector(NamedTuple):
    """A file, the clause it shows, why it is there, and the model files it needs."""

    data: bytes
    clause: str
    about: str
    models: tuple[str, ...] = ()


class Coded(NamedTuple):
    """A sub-payload and the pixels it decodes to, (n, H, W, C)."""

    sub: Sub
    pixels: np.ndarray


def noise(count: int, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def smooth(count: int, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Slopes; any two of the tests' images differ."""
    rng = np.random.default_rng(seed)
    down, across, level = rng.integers(-9, 10, (3, count, 1, 1, 1))
    row, column, channel = np.indices(shape)
    x = (
        128
        + 5 * level
        + down * row
        + across * column
        + 9 * channel
        + rng.integers(0, 4, (count, *shape))
    )
    return np.clip(x, 0, 255).astype(np.uint8)


def symbols(count: int, latents: int = 4, seed: int = 0, widest: int = 20) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0, widest / 3, (count, latents))
    return np.clip(drawn.round(), -widest, widest).astype(np.int16)


def by_latents(model: Model, y_hat: np.ndarray, quality: int, mode: int = LATENTS_ZSTD) -> Coded:
    codec = Codec(model)
    layer = codec.networks.latents()
    pixels = layer.synthesize(y_hat, quality)
    packed = (
        zstd.pack_symbols(y_hat)
        if mode == LATENTS_ZSTD
        else AnsCoder(codec.networks.prior()).pack(y_hat, quality)
    )
    return Coded(Sub(packed, mode, quality), pixels)


def by_pixels(model: Model, images: np.ndarray, e: int, mode: int = PIXELS) -> Coded:
    codec = Codec(model)
    mover = codec.networks.dequantizer() if mode == DEQUANTIZED else None
    refiner, underlay = codec.networks.refiner(), None
    if refiner.underlay:  # whose latents an encoder would choose
        drawn = symbols(len(images), codec.networks.latents().config.latents, seed=e)
        underlay = refiner.underlay.code_symbols(drawn)
    plan = payloads.PixelPlan(refiner, images, e, mover, underlay=underlay)
    return Coded(Sub(plan.encode(np.arange(len(images))), mode, e), plan.x_hat)


def by_bytes(images: np.ndarray, mode: int = STORED) -> Coded:
    data = images.tobytes()
    return Coded(Sub(zstd.compress_bytes(data) if mode == PACKED else data, mode), images)


def chunk_of(coded: Sequence[Coded], order: Sequence[int] | None = None, off: int = 0) -> Chunk:
    """A chunk of these sub-payloads, one after the other or in the order of sub-payloads given.

    ``off`` is by how much the first sample is said to differ from its original.
    """
    if order is None:
        order = [n for n, each in enumerate(coded) for _ in each.pixels]
    left = [iter(each.pixels) for each in coded]
    images = np.stack([next(left[n]) for n in order])
    runs: list[tuple[int, int]] = []
    for n in order:
        runs[-1:] = [(n, runs[-1][1] + 1)] if runs and runs[-1][0] == n else [*runs[-1:], (n, 1)]
    return Chunk(
        len(order),
        [each.sub for each in coded],
        images.tobytes(),
        runs if len(coded) > 1 else (),
        max_error=off,
        sum_squared_error=off * off,
    )


def file_of(
    shape: Sequence[int],
    chunks: Sequence[Chunk],
    flags: int = 0,
    model: Model | None = None,
    *,
    embed: bool = False,
    chunk_images: int | None = None,
    sections: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
    **fields: Any,  # noqa: ANN401  # of the header
) -> bytes:
    height, width, channels = shape
    full = chunk_images or (chunks[0].images if chunks else 4)
    head = assemble.header(
        height=height,
        width=width,
        channels=channels,
        required_flags=flags,
        chunk_images=full,
        **fields,
    )
    part = None
    sections = list(sections)
    if model is not None:
        part = assemble.part_payload(
            [(name.encode(), print_) for name, print_ in model.fingerprints().items()],
            model.name.encode(),
        )
        if embed:
            packed = zlib.compress(pack_model(model), 9)
            sections.append(assemble.section("MODL", packed))
    return File(head, chunks, sections, after, part=part).pack()


def colour_model(shape: tuple[int, int, int]) -> Model:
    """All parts; most kernels are zero, so that it can be embedded in little space."""
    base = models.latent_model(shape, "every part", latents=3)
    parts = [models.pixels(shape, "pixel_small", 1, 0.1), models.mover(shape, 1, 0.2)]
    return Model("every part", shape, {**base.parts, **{part.name: part for part in parts}})


def vectors(pixel_model: Model, dequantizer: Model) -> Iterator[tuple[str, Vector]]:
    """Name and vector; the two models are those that lie in vectors/models."""
    yield from _of_the_container()
    yield from _of_latents()
    yield from _of_pixels(pixel_model, dequantizer)
    yield from _of_models()


def _of_the_container() -> Iterator[tuple[str, Vector]]:
    few = smooth(5, (2, 3, 1))

    def pieces(size: int, images: np.ndarray = few) -> list[Chunk]:
        starts = range(0, len(images), size)
        return [chunk_of([by_bytes(images[at : at + size])]) for at in starts]

    yield "empty", Vector(file_of((2, 3, 1), []), "2.3", "no images, no chunk")
    yield (
        "stored-one",
        Vector(file_of((2, 3, 1), pieces(1, few[:1])), "7, mode 0", "one image"),
    )
    yield (
        "stored-chunks",
        Vector(file_of((2, 3, 1), pieces(2)), "5.1", "three chunks, the last one of fewer images"),
    )
    yield (
        "stored-two-channels",
        Vector(file_of((3, 2, 2), pieces(4, smooth(4, (3, 2, 2)))), "1.3", "two channels"),
    )
    yield (
        "stored-four-channels",
        Vector(file_of((1, 1, 4), pieces(9, noise(9, (1, 1, 4)))), "1.3", "four channels"),
    )
    yield (
        "zstd-chunks",
        Vector(
            file_of(
                GRAY,
                [
                    chunk_of([by_bytes(smooth(n, GRAY, seed=n).repeat(4, axis=0), PACKED)])
                    for n in (6, 6, 1)
                ],
                ZSTD,
            ),
            "7, mode 1",
            "zstd, three chunks",
        ),
    )
    yield (
        "zstd-colour",
        Vector(
            file_of((5, 7, 3), [chunk_of([by_bytes(smooth(9, (5, 7, 3)), PACKED)])], ZSTD),
            "7, mode 1",
            "zstd, colour, sides that 4 does not divide",
        ),
    )
    yield "worked-example", Vector(_worked_example(), "15", "the file that aez.md takes apart")
    many = noise(300, (1, 1, 1))
    coded = [by_bytes(many[:150]), by_bytes(many[150:], PACKED)]
    order = [0] * 10 + [1] * 149 + [0] * 140 + [1]
    yield (
        "runs",
        Vector(
            file_of((1, 1, 1), [chunk_of(coded, order)], ZSTD),
            "5.3",
            "runs of two sub-payloads, some lengths in two bytes of LEB128",
        ),
    )
    for kind, value, about in (
        (1, 1408, "a quality"),
        (2, 255, "a maximum error"),
        (3, 65535, "a PSNR"),
        (4, 4294967295, "bytes an image"),
        (200, 4294967295, "a kind that is unknown, told and not refused"),
    ):
        data = file_of((2, 3, 1), pieces(5), target_kind=kind, target_value=value)
        yield f"target-kind-{kind}", Vector(data, "3.5", f"what was asked for: {about}")
    data = file_of((2, 3, 1), pieces(5), optional_flags=0xFFFFFFFF)
    yield "optional-flags", Vector(data, "1.4", "an unused field that is not 0")
    data = file_of((2, 3, 1), pieces(5), version_minor=0)
    yield "minor-of-the-draft", Vector(data, "17.1", "version_minor 0, which was the draft's")
    data = file_of((2, 3, 1), pieces(5), version_minor=65535)
    yield "minor-from-the-future", Vector(data, "3.4", "any version_minor is read")
    error = chunk_of([by_bytes(few)], off=255)
    yield "largest-error", Vector(file_of((2, 3, 1), [error]), "5.4", "one sample off by 255")
    sections = [assemble.section("Xtra", b"before"), assemble.section("0000", b"")]
    data = file_of((2, 3, 1), pieces(2), sections=sections, after=[assemble.section("Xtra", b"\0")])
    yield "unknown-sections", Vector(data, "4.2", "optional sections of unknown kinds, one empty")
    meta = {"has_channel_axis": False, "source": "folder"}
    names = json.dumps([f"{name}.png" for name in "abcd\u00e9"]).encode()
    sections = [
        assemble.section("META", json.dumps(meta).encode()),
        assemble.section("NAME", zlib.compress(names, 9)),
    ]
    data = file_of((2, 3, 1), pieces(5), sections=sections)
    yield "metadata", Vector(data, "10.4", "META and NAME: no channel axis, and file names")


def _worked_example() -> bytes:
    """Four images of 2x3: stored, two of one gray under zstd, stored."""
    ends = np.arange(1, 13, dtype=np.uint8).reshape(2, 2, 3, 1)
    middle = np.full((2, 2, 3, 1), 200, np.uint8)
    frame = bytes.fromhex("00 00 63 00 00 c8")  # one block: 12 times C8
    coded = [by_bytes(ends), Coded(Sub(frame, PACKED), middle)]
    return file_of((2, 3, 1), [chunk_of(coded, [0, 1, 1, 0])], ZSTD, target_kind=2)


def _of_latents() -> Iterator[tuple[str, Vector]]:
    model, needs = LATENT_MODEL, ("latents-8x8",)
    decoder = model.decoding(["latent_decoder"])
    flags = LATENTS | ZSTD

    def by_zstd(y_hat: np.ndarray, quality: int) -> bytes:
        return file_of(GRAY, [chunk_of([by_latents(model, y_hat, quality)])], flags, decoder)

    yield (
        "empty-with-parts",
        Vector(file_of(GRAY, [], flags, decoder), "4.5", "no images, but PART"),
    )
    for quality, about in (
        (256, "the lowest quality"),
        (1280, "quality 5"),
        (1407, "a quality between two rows of gain"),
        (2304, "the highest quality, row 9 read as row 8"),
    ):
        data = by_zstd(symbols(30, seed=quality), quality)
        yield f"latents-q{quality}", Vector(data, "8.1", f"latents under zstd: {about}", needs)
    y_hat = symbols(21)
    y_hat[:, 0] = -7
    y_hat[:, 1] = np.arange(21) % 2
    y_hat[:, 2] = np.arange(21) * 3000 - 32768
    y_hat[-1, 2] = 32767
    y_hat[:, 3] = np.arange(21) % 6 - 3
    yield (
        "latents-spans",
        Vector(
            by_zstd(y_hat, 1280), "8.3", "spans of 1, 2, 65536 and 6; symbols that clamp", needs
        ),
    )
    constant = np.tile(np.array([[5, -5, 0, -32768]], np.int16), (3, 1))
    yield "latents-constant", Vector(by_zstd(constant, 700), "8.2", "no frame at all", needs)
    chunk = chunk_of([by_latents(model, symbols(1, seed=3), 900)])
    data = file_of(GRAY, [chunk], flags, decoder)
    yield "latents-one", Vector(data, "8.2", "latents under zstd: one image", needs)
    mixed = [
        by_latents(model, symbols(9, seed=5), 512),
        by_bytes(noise(3, GRAY)),
        by_latents(model, symbols(4, seed=6), 2000),
        by_bytes(smooth(2, GRAY), PACKED),
    ]
    order = [0, 0, 1, 0, 2, 2, 0, 0, 0, 3, 1, 1, 0, 2, 0, 3, 2, 0]
    data = file_of(GRAY, [chunk_of(mixed, order)], flags, decoder)
    yield "latents-mixed", Vector(data, "5.3", "four sub-payloads, images shared in runs", needs)
    flags = LATENTS | ANS
    for quality, about in ((1280, "quality 5"), (835, "between two rows"), (2304, "the last row")):
        y_hat = symbols(40, seed=quality)
        chunk = chunk_of([by_latents(model, y_hat, quality, LATENTS_ANS)])
        about = f"latents under ANS: {about}"
        yield (
            f"latents-ans-q{quality}",
            Vector(file_of(GRAY, [chunk], flags, model), "14", about, needs),
        )
    y_hat = symbols(20, seed=1, widest=128)
    y_hat[0], y_hat[1] = -128, 127
    pieces = [y_hat[:9], y_hat[9:18], y_hat[18:]]
    chunks = [chunk_of([by_latents(model, each, 1000, LATENTS_ANS)]) for each in pieces]
    about = "latents under ANS to the ends of their range, three chunks"
    yield "latents-ans-chunks", Vector(file_of(GRAY, chunks, flags, model), "14.4", about, needs)


def _of_pixels(pixel_model: Model, dequantizer: Model) -> Iterator[tuple[str, Vector]]:
    both = Model("both", GRAY, {**pixel_model.parts, **dequantizer.parts})
    flags = REFINEMENT | ANS
    data = file_of(
        GRAY, [chunk_of([by_pixels(pixel_model, smooth(9, GRAY), 127)])], flags, pixel_model
    )
    yield "pixels-e127", Vector(data, "11.3", "the largest bound: two levels", ("pixels-8x8",))
    chunk = chunk_of([by_pixels(pixel_model, noise(5, GRAY), 5)])
    data = file_of(GRAY, [chunk], flags, pixel_model)
    yield "pixels-noise", Vector(data, "12.3", "improbable samples, long payload", ("pixels-8x8",))
    for e in (1, 127):
        chunk = chunk_of([by_pixels(both, smooth(9, GRAY, seed=e), e, DEQUANTIZED)])
        data = file_of(GRAY, [chunk], flags, both)
        needs = ("pixels-8x8", "dequantizer-8x8")
        yield f"dequantized-e{e}", Vector(data, "13", f"the dequantizer at a bound of {e}", needs)
    mixed = [by_pixels(both, smooth(7, GRAY, seed=2), 4, DEQUANTIZED)]
    mixed += [by_pixels(both, smooth(5, GRAY, seed=3), e) for e in (4, 9)]
    order = [0, 1, 2] * 5 + [0, 0]
    data = file_of(GRAY, [chunk_of(mixed, order)], flags, both)
    yield (
        "pixels-and-dequantized",
        Vector(data, "5.2", "modes 3 and 4, one parameter twice in different modes", needs),
    )


def _toned(shape: Sequence[int], name: str = "pixel_small") -> Part:
    """With kernels few enough to be embedded in little space."""
    height, width, channels = shape
    return models.pixels((height, width, channels), name, 1, 0.1, toned=True)


def underlaid(
    shape: tuple[int, int, int], quality: int = 600, *, toned: bool = False, low_below: int = 0
) -> Model:
    """Layer L of two latents, and a pixel model that stands on it, few of whose numbers are not 0."""
    base = models.latent_model(shape, "underlaid", 2, low_below)
    part = models.pixels(shape, "pixel_fast", 1, 0.08, toned=toned, underlay=quality)
    return Model("underlaid", shape, {**base.parts, part.name: part})


def _of_underlays() -> Iterator[tuple[str, Vector]]:
    flags = LATENTS | REFINEMENT | ANS | UNDERLAY
    model, images = underlaid(GRAY), smooth(9, GRAY, seed=4)
    coded = [by_pixels(model, images[:5], 0), by_pixels(model, images[5:], 9)]
    data = file_of(GRAY, [chunk_of(coded)], flags, model, embed=True, version_minor=2)
    about = "a pixel model with an underlay, embedded, under two bounds"
    yield "underlay", Vector(data, "11.8", about)
    odd = underlaid((5, 6, 2), 2304, toned=True)
    moved = models.mover(odd.shape, 1, 0.05)
    odd = Model("underlaid", odd.shape, {**odd.parts, moved.name: moved})
    images = smooth(5, odd.shape)
    coded = [by_pixels(odd, images[:3], 2), by_pixels(odd, images[3:], 7, DEQUANTIZED)]
    data = file_of(odd.shape, [chunk_of(coded)], flags | TONES, odd, embed=True, version_minor=2)
    about = (
        "an underlay of the finest quality, tones, a dequantizer, two channels, sides not of fours"
    )
    yield "underlay-colour", Vector(data, "11.8", about)
    low = underlaid(GRAY, 699, low_below=700)
    images = smooth(6, GRAY, seed=4)
    coded = [by_pixels(low, images[:4], 1), by_latents(low, symbols(2, 2, seed=3), 700)]
    flags |= ZSTD | LOW_TRUNK
    data = file_of(GRAY, [chunk_of(coded)], flags, low, embed=True, version_minor=2)
    about = "an underlay by the low trunk, and latents by the other one"
    yield "underlay-low-trunk", Vector(data, "11.8", about)


def _of_models() -> Iterator[tuple[str, Vector]]:
    model = LATENT_MODEL
    chunk = chunk_of([by_latents(model, symbols(12, seed=9), 1280, LATENTS_ANS)])
    data = file_of(GRAY, [chunk], LATENTS | ANS, model, embed=True)
    yield "embedded-model", Vector(data, "10.4", "the model embedded: decoder and prior")
    everything = colour_model(COLOUR)
    images = smooth(8, COLOUR)
    coded = [
        by_latents(everything, symbols(3, 3, seed=4), 1100),
        by_latents(everything, symbols(3, 3, seed=5), 1100, LATENTS_ANS),
        by_pixels(everything, images[:3], 6),
        by_pixels(everything, images[3:5], 6, DEQUANTIZED),
        by_bytes(images[5:7], PACKED),
        by_bytes(noise(1, COLOUR)),
    ]
    chunk = chunk_of(coded)
    flags = LATENTS | REFINEMENT | ZSTD | ANS
    data = file_of(COLOUR, [chunk], flags, everything, embed=True)
    about = "colour, sides that 4 does not divide, all six modes in one chunk, all parts embedded"
    yield "colour-every-mode", Vector(data, "7", about)
    toned = Model("toned", GRAY, {"pixel_small": _toned(GRAY)})
    images = smooth(9, GRAY, seed=4)
    coded = [by_pixels(toned, images[:6], 0), by_pixels(toned, images[6:], 8)]
    flags = REFINEMENT | ANS | TONES
    data = file_of(GRAY, [chunk_of(coded)], flags, toned, embed=True, version_minor=2)
    yield "tones", Vector(data, "11.7", "a pixel model with tones, embedded, under two bounds")
    odd = Model("toned", (5, 6, 3), {"pixel_fast": _toned((5, 6, 3), "pixel_fast")})
    data = file_of(
        odd.shape,
        [chunk_of([by_pixels(odd, smooth(3, odd.shape), 2)])],
        flags,
        odd,
        embed=True,
        version_minor=2,
    )
    about = "tones, colour, sides that 4 does not divide: outside the image the tone is tones[0]"
    yield "tones-colour", Vector(data, "11.7", about)
    yield from _of_underlays()
    both = models.latent_model(GRAY, "two-trunks", 2, low_below=700)
    coded = [by_latents(both, symbols(4, 2, seed=6), quality) for quality in (699, 700)]
    coded.append(by_latents(both, symbols(4, 2, seed=6), 300, LATENTS_ANS))
    flags = LATENTS | ZSTD | ANS | LOW_TRUNK
    data = file_of(GRAY, [chunk_of(coded)], flags, both, embed=True, version_minor=2)
    about = "a low trunk that ends below quality 700: the same symbols on both sides of it"
    yield "low-trunk", Vector(data, "9.4", about)
    point = (1, 2, 1)
    dots = Model("dots", point, {"pixel_fast": models.pixels(point, "pixel_fast", 1, 0.3)})
    data = file_of(
        point, [chunk_of([by_pixels(dots, noise(8, point), 2)])], REFINEMENT | ANS, dots, embed=True
    )
    yield "pixels-1x2", Vector(data, "11.2", "images of two pixels: most planes hold none")
    decoder = Model("dots", point, {"latent_decoder": models.latent_decoder(point, 1)})
    chunk = chunk_of([by_latents(decoder, symbols(8, 1), 300)])
    data = file_of(point, [chunk], LATENTS | ZSTD, decoder, embed=True)
    yield "latents-1x2", Vector(data, "9.2", "images of two pixels from one latent")
