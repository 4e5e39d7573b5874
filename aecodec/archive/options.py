"""How a file is to be written, and what a compression reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from aecodec.annotations.annotations import LABEL, Annotations, annotate
from aecodec.codec.choosing import NO_MODEL, ModelLike, choose_codec
from aecodec.codec.codec import Codec
from aecodec.container.modes import DEFAULT_CODER
from aecodec.container.parts import part_of_variant
from aecodec.images import ImageSource, Rows, Skipped, paired_columns
from aecodec.models.model import Model
from aecodec.targets import DEFAULT_EFFORT, MAX_ERROR, Target, one_target

if TYPE_CHECKING:
    from aecodec.annotations.annotations import Values
    from aecodec.arrays import Images

Progress = Callable[[int, int], None]  # images done, images in all


@dataclass(frozen=True)
class Summary:
    """What a compression did; ``nbytes`` is the whole file.

    ``model`` is the one that the file needs. ``tried_model`` is the one that was chosen at first:
    where zstd alone is smaller, the file needs none. ``unlike_images`` is how many images that
    model does not know: at a quality they are no latents of that quality, and under other targets
    zstd packs them.
    ``skipped`` are the entries of the set that are not in it, with the reasons; ``notes`` tell what
    is different in pictures that are: turned as EXIF says, a colour profile that is not kept. They
    also tell which of its limits a reader has to raise, where the defaults refuse the file.
    """

    images: int
    raw_nbytes: int
    nbytes: int
    bpp: float | None
    psnr_db: float | None
    max_error: int
    model: str
    images_by_mode: dict[str, int]
    skipped: tuple[Skipped, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    tried_model: str = NO_MODEL
    unlike_images: int = 0


@dataclass(frozen=True)
class Options:
    """The encoding options, by the names that users know; :func:`aecodec.encode` explains them.

    ValueError for targets out of range or several of them, for an unknown variant or coder, for
    options that have no effect beside others, and for annotations that a file cannot hold.
    """

    model: ModelLike = None
    quality: float | None = None
    max_error: int | None = None
    lossless: bool = False
    psnr: float | None = None
    target_bytes_per_image: float | None = None
    variant: str | None = None
    coder: str | None = None
    effort: int | None = None
    chunk_images: int | None = None
    embed_model: bool = False
    codec: Codec | None = None
    labels: Values | None = None
    columns: Mapping[str, Values] | None = None
    about: Mapping[str, Any] | None = None
    tables: tuple[Rows, ...] = ()

    def __post_init__(self) -> None:
        _ = self.target, self.pixel_part, self.annotations  # which raises before anything is read
        if self.chunk_images is not None:
            require_count("chunk_images", self.chunk_images)
        for name, reason in self._idle_options():
            raise ValueError(f"{name}: has no effect {reason}; leave one of them out")
        self._codec_of(None)  # which raises for an unknown coder or effort

    def _idle_options(self) -> Iterator[tuple[str, str]]:
        """Options that are given and do nothing, each with the reason."""

        def given(*names: str) -> list[str]:
            return [name for name in names if getattr(self, name) not in (None, False)]

        if self.codec is not None:
            for name in given("model", "variant", "coder", "effort"):
                yield name, "with a codec, which brings its own"
        if self._is_without_model():
            for name in given("quality", "variant", "coder", "effort", "embed_model"):
                yield name, "without a model: zstd packs the pixels"
        if self.target.kind == MAX_ERROR:
            for name in given("coder", "effort"):
                yield name, "under max_error or lossless: they are about latents"

    def _is_without_model(self) -> bool:
        if self.codec is not None:
            return self.codec.model is None
        return isinstance(self.model, str) and self.model == NO_MODEL

    @cached_property
    def target(self) -> Target:
        """What every image has to meet."""
        return one_target(
            self.quality,
            self.max_error,
            self.psnr,
            self.target_bytes_per_image,
            lossless=self.lossless,
        )

    @cached_property
    def pixel_part(self) -> str | None:
        """The part of the pixel model to use; None for the usual one."""
        return part_of_variant(self.variant)

    @cached_property
    def annotations(self) -> Annotations:
        """Labels, columns and words about the set; they go over those of the source.

        ``tables`` are not among them before they are ``paired``.
        """
        return annotate(self.labels, self.columns, self.about)

    def paired(self, source: ImageSource) -> Options:
        """The options with all columns in the order of the source's images.

        Columns come from ``columns`` and from ``tables``, of files; those that have the names of
        images are paired by these, if the source has names. ImageSetError where they do not match.
        """
        given = self.annotations
        labels = None if self.labels is None else given.column(LABEL)
        own = Rows("columns", tuple(c for c in given.columns if c is not labels))
        skipped = {name for name, _ in source.skipped}
        columns = paired_columns([own, *self.tables], source.names, skipped)
        return replace(self, labels=labels, columns={c.name: c for c in columns}, tables=())

    def choose_codec(self, sample: Images) -> Codec:
        """The codec for a set of which ``sample`` (n, H, W, C) are some images.

        ModelMissingError when no model fits.
        """
        return self.codec or choose_codec(self.model, sample, self.target, self._codec_of)

    def _codec_of(self, model: Model | None) -> Codec:
        return Codec(
            model,
            pixel_part=self.pixel_part,
            coder=DEFAULT_CODER if self.coder is None else self.coder,
            effort=DEFAULT_EFFORT if self.effort is None else self.effort,
        )


def require_count(name: str, value: object) -> None:
    """TypeError unless ``value`` is a whole number, ValueError unless it is at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, got {value}")


def no_progress(done: int, total: int) -> None:
    """Show no progress."""
