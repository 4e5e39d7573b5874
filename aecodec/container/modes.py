"""The table of modes: one row for each mode of a sub-payload, with all of its facts (aez.md 7).

All other modules look up these facts here. A new mode needs a new row, and the class or function
that codes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aecodec.container.header import FLAG_ANS, FLAG_LATENTS, FLAG_REFINEMENT, FLAG_ZSTD
from aecodec.container.parts import DEQUANTIZER, LATENT_DECODER, LATENT_PRIOR, PIXEL_MODELS
from aecodec.targets import BOUND_MAX, QUALITY_UNIT, STORED_MAX, STORED_MIN

STORED_QUALITIES: Final = (STORED_MIN, STORED_MAX)  # the range of a parameter


@dataclass(frozen=True)
class Mode:
    """One mode of a sub-payload.

    ``name`` is what ``info`` calls it. ``required_flags`` are the header's flags that announce it.
    ``parameter_range`` is the range of its parameter, both ends included. ``parts`` are the parts
    of a model that decoding needs: each is a tuple of names, and one of these parts is enough.
    ``coder`` is the name of the latent coder that writes it, "" if it holds no latents.
    """

    number: int
    name: str
    required_flags: int = 0
    parameter_range: tuple[int, int] = (0, 0)
    parts: tuple[tuple[str, ...], ...] = ()
    coder: str = ""

    @property
    def holds_latents(self) -> bool:
        """Whether the payload holds latents, and the parameter is a stored quality."""
        return bool(self.coder)

    @property
    def is_bounded(self) -> bool:
        """Whether the payload holds pixels under an error bound, which is the parameter."""
        return bool(self.required_flags & FLAG_REFINEMENT)

    @property
    def is_under_ans(self) -> bool:
        """Whether the payload is one ANS stream (aez.md 12.4)."""
        return bool(self.required_flags & FLAG_ANS)

    def label(self, parameter: int) -> str:
        """What ``info`` prints: "latents q5", "pixels e8" (max error 8), "zstd", "stored"."""
        if self.holds_latents:
            return f"{self.name} q{parameter / QUALITY_UNIT:g}"
        return f"{self.name} e{parameter}" if self.is_bounded else self.name


_LATENTS, _PIXELS = (LATENT_DECODER,), PIXEL_MODELS
_BOUNDED = FLAG_REFINEMENT | FLAG_ANS

STORED: Final = Mode(0, "stored")
ZSTD: Final = Mode(1, "zstd", FLAG_ZSTD)
LATENTS_ZSTD: Final = Mode(
    2, "latents", FLAG_LATENTS | FLAG_ZSTD, STORED_QUALITIES, (_LATENTS,), coder="zstd"
)
PIXELS_ANS: Final = Mode(3, "pixels", _BOUNDED, (0, BOUND_MAX), (_PIXELS,))
PIXELS_DEQUANTIZED: Final = Mode(
    4, "dequantized", _BOUNDED, (1, BOUND_MAX), (_PIXELS, (DEQUANTIZER,))
)
LATENTS_ANS: Final = Mode(
    5,
    "latents ans",
    FLAG_LATENTS | FLAG_ANS,
    STORED_QUALITIES,
    (_LATENTS, (LATENT_PRIOR,)),
    coder="ans",
)

MODES: Final = {
    mode.number: mode
    for mode in (STORED, ZSTD, LATENTS_ZSTD, PIXELS_ANS, PIXELS_DEQUANTIZED, LATENTS_ANS)
}
MODE_OF_CODER: Final = {mode.coder: mode for mode in MODES.values() if mode.coder}
CODERS: Final = tuple(MODE_OF_CODER)  # names of the latent coders, the default first
DEFAULT_CODER: Final = CODERS[0]

MODE_STORED: Final = STORED.number
MODE_ZSTD: Final = ZSTD.number
MODE_LATENTS_ZSTD: Final = LATENTS_ZSTD.number
MODE_PIXELS_ANS: Final = PIXELS_ANS.number
MODE_PIXELS_DEQUANTIZED: Final = PIXELS_DEQUANTIZED.number
MODE_LATENTS_ANS: Final = LATENTS_ANS.number
