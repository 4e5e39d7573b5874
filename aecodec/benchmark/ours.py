"""aecodec's own rows: its targets, with which coder of latents, variant and options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aecodec.archive.compress import encode
from aecodec.archive.decompress import decode
from aecodec.benchmark.measuring import Judge, Progress, Row, VerificationError
from aecodec.benchmark.peers.peer import BOUNDED, LOSSY
from aecodec.codec.codec import Codec
from aecodec.container.parts import VARIANTS
from aecodec.errors import ModelMissingError
from aecodec.targets import DEFAULT_EFFORT, MAX_ERROR, PSNR, QUALITY, QUALITY_MAX, QUALITY_MIN

PSNR_TARGETS = (20, 22, 25, 28, 30, 33, 36, 40, 45)
QUALITIES = tuple(range(QUALITY_MIN, QUALITY_MAX + 1))
SEARCHED_QUALITIES = (1, 2, 2.9, 3, 4, 4.4, 5, 7, 9)
BOUNDS = (0, 1, 2, 4, 8, 16)
WARM_UP_IMAGES = 16


@dataclass(frozen=True)
class Setup:
    """How ``encode`` is called: ``target`` is one of its keywords, ``options`` are further ones."""

    name: str
    target: str
    values: tuple[float, ...]
    coder: str = "zstd"
    variant: str = "fast"
    effort: int = DEFAULT_EFFORT
    options: dict[str, Any] = field(default_factory=dict)


FULL = (
    Setup("aecodec zstd", QUALITY, QUALITIES),
    Setup("aecodec zstd, effort 5", QUALITY, SEARCHED_QUALITIES, effort=5),
    Setup("aecodec ans", QUALITY, QUALITIES, coder="ans"),
    Setup("aecodec fast", MAX_ERROR, BOUNDS),
    Setup("aecodec small", MAX_ERROR, BOUNDS, variant="small"),
    Setup("aecodec --psnr", PSNR, PSNR_TARGETS),
    Setup(
        "aecodec --psnr, ans, small, effort 6",
        PSNR,
        PSNR_TARGETS,
        coder="ans",
        variant="small",
        effort=6,
    ),
)
QUICK = (
    Setup("aecodec zstd", QUALITY, (1, 3, 5, 7, 9)),
    Setup("aecodec ans", QUALITY, (1, 3, 5, 7, 9), coder="ans"),
    Setup("aecodec fast", MAX_ERROR, (0, 4, 8, 16, 32)),
    Setup("aecodec small", MAX_ERROR, (0,), variant="small"),
)


def our_rows(
    judge: Judge, codec: Codec, setups: Iterable[Setup], progress: Progress
) -> Iterator[Row]:
    """A row for each value of each setup.

    Setups for which the model has no part are noted in ``judge.left_out``.
    """
    for setup in setups:
        mine = codec.with_options(
            pixel_part=VARIANTS[setup.variant], coder=setup.coder, effort=setup.effort
        )
        try:
            for value in setup.values:
                progress(f"{setup.name}, {setup.target} {value:g}")
                yield our_row(judge, mine, setup, value)
        except ModelMissingError as error:
            judge.left_out.append({"coder": setup.name, "why": str(error)})


def our_row(judge: Judge, codec: Codec, setup: Setup, value: float) -> Row:
    """The row of one file with one target."""
    from aecodec.archive.array import Archive

    asked: dict[str, Any] = {
        setup.target: int(value) if setup.target == MAX_ERROR else value,
        **setup.options,
    }
    encode(judge.images[:WARM_UP_IMAGES], codec=codec, **asked)  # builds the networks
    found, files = judge.timed(
        setup.name,
        "any image",
        value,
        lambda: [encode(judge.images, codec=codec, **asked)],
        lambda blobs: decode(blobs[0], codec=codec),
    )
    bounded = setup.target == MAX_ERROR
    if bounded and found["max_error"] > value:
        raise VerificationError(
            f"{setup.name}: a sample is off by {found['max_error']}, the bound is {value:g}"
        )
    found |= {
        "family": setup.name,
        "ours": True,
        "kind": BOUNDED if bounded else LOSSY,
        "target": setup.target,
        "latent_coder": setup.coder,
        "variant": setup.variant,
        "effort": setup.effort,
        "options": setup.options,
    }
    with Archive(files[0]) as archive:
        found["images_by_mode"] = archive.info["images_by_mode"]
    return found
