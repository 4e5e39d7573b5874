"""How a file is to be written, and what a compression reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aecodec.annotations.annotations import LABEL, Annotations, annotate
from aecodec.codec.choosing import ModelLike, choose_codec
from aecodec.codec.codec import Codec
from aecodec.container.modes import DEFAULT_CODER
from aecodec.container.parts import part_of_variant
from aecodec.images import ImageSource, Rows, Skipped, paired_columns
from aecodec.models.model import Model
from aecodec.targets import DEFAULT_EFFORT, Target, one_target

if TYPE_CHECKING:
    from aecodec.annotations.annotations import Values
    from aecodec.arrays import Images

Progress = Callable[[int, int], None]  # images done, images in all


@dataclass(frozen=True)
class Summary:
    """What a compression did; ``nbytes`` is the whole file.

    ``skipped`` are the entries of the set that are not in it, with the reasons; ``notes`` tell what
    is different in pictures that are: turned as EXIF says, a colour profile that is not kept.
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


@dataclass(frozen=True)
class Options:
    """The encoding options, by the names that users know; :func:`aecodec.encode` explains them.

    ValueError for targets out of range or several of them, for an unknown variant, and for
    annotations that are not what a file can hold.
    """

    model: ModelLike = None
    quality: float | None = None
    max_error: int | None = None
    lossless: bool = False
    psnr: float | None = None
    target_bytes_per_image: float | None = None
    variant: str | None = None
    coder: str = DEFAULT_CODER
    effort: int = DEFAULT_EFFORT
    chunk_images: int | None = None
    embed_model: bool = False
    codec: Codec | None = None
    labels: Values | None = None
    columns: Mapping[str, Values] | None = None
    about: Mapping[str, Any] | None = None
    tables: tuple[Rows, ...] = ()

    def __post_init__(self) -> None:
        _ = self.target, self.pixel_part, self.annotations  # which raises before anything is read

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
        return Codec(model, pixel_part=self.pixel_part, coder=self.coder, effort=self.effort)


def no_progress(done: int, total: int) -> None:
    """Show no progress."""
