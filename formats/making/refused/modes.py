"""Clause 7: modes, their parameters, what they need, and stored images."""

from __future__ import annotations

from dataclasses import replace

from making.assemble import ANS, LATENTS, REFINEMENT, ZSTD, Sub
from making.coding import DEQUANTIZED, LATENTS_ANS, file_of
from making.refused.common import (
    PIXELS,
    NamedVectors,
    bad,
    latent_chunk,
    unsupported,
    with_pixel_model,
    with_table,
)
from making.tiny_models import GRAY, LATENT_MODEL, dots

BAD_PARAMETERS = {0: (1,), 1: (1,), 2: (255, 2305), 3: (128,), 4: (0, 128), 5: (255, 2305)}
GOOD_PARAMETERS = {1: 0, 2: 1280, 3: 5, 4: 5, 5: 1280}
FLAGS = {1: ZSTD, 2: LATENTS | ZSTD, 3: REFINEMENT | ANS, 4: REFINEMENT | ANS, 5: LATENTS | ANS}


def vectors() -> NamedVectors:
    """Each name with its vector."""
    for mode in (6, 255):
        data = with_table([Sub(PIXELS[:24], mode)])
        match = f"mode {mode} is unknown"
        yield unsupported(f"mode-{mode}", data, "7", f"mode {mode}", match)
    for mode, values in BAD_PARAMETERS.items():
        for value in values:
            data = with_table([Sub(PIXELS[:24], mode, value)])
            about = f"parameter {value} of mode {mode}"
            yield bad(f"mode-{mode}-parameter-{value}", data, "7", about, "parameter")
    for name, data in (("short", PIXELS[:23]), ("long", PIXELS[:25]), ("empty", b"")):
        nbytes = len(data)
        data = with_table([Sub(data)], flags=0)
        match = f"{nbytes} (bytes stored|samples)"
        yield bad(f"stored-{name}", data, "7", f"{nbytes} bytes stored of 24", match)
    yield from _without_flags()
    yield from _without_parts()


def _without_flags() -> NamedVectors:
    for mode, flags in FLAGS.items():
        for flag in (LATENTS, REFINEMENT, ZSTD, ANS):
            if flags & flag:
                sub = Sub(PIXELS[:24], mode, GOOD_PARAMETERS[mode])
                data, about = (
                    with_table([sub], flags=15 & ~flag),
                    f"mode {mode} without flag {flag}",
                )
                yield bad(f"mode-{mode}-without-flag-{flag}", data, "7", about, "flags")


def _without_parts() -> NamedVectors:
    chunk = latent_chunk()
    chunk = replace(chunk, subs=[replace(chunk.subs[0], mode=LATENTS_ANS)])
    decoder = LATENT_MODEL.decoding(["latent_decoder"])
    data = file_of(GRAY, [chunk], LATENTS | ANS, decoder)
    about = "mode 5 needs latent_prior, PART names latent_decoder alone"
    yield bad("model-prior-not-named", data, "7", about, "latent_prior", ("latents-8x8",))
    data = with_pixel_model(dots(), DEQUANTIZED, 1)
    about = "mode 4 needs dequantizer, PART names pixel_fast alone"
    yield bad("model-dequantizer-not-named", data, "7", about, "dequantizer")
