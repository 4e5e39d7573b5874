"""What a file holds besides its chunks: the header, and the sections around the chunks."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import dataclass

from aecodec import container
from aecodec.annotations.annotations import Annotations
from aecodec.annotations.payload import pack_column
from aecodec.archive.options import Options
from aecodec.codec.choosing import SetEncoder
from aecodec.container.header import KIND_OF_TARGET
from aecodec.images import ImageSource
from aecodec.models.file import pack_model
from aecodec.models.model import Model, canonical_json
from aecodec.targets import QUALITY


@dataclass(frozen=True)
class Head:
    """What a file holds before its chunks: its header, and the sections that follow it."""

    header: container.Header
    sections: list[container.Section]


def head_of(
    source: ImageSource,
    encoder: SetEncoder,
    options: Options,
    chunk_images: int,
    lone: container.Chunk | None = None,
) -> Head:
    """The head of a set's file; ``lone`` is its only chunk, if it has just one.

    The file names the parts that its only chunk uses, or those that any chunk may use.
    """
    model, networks = encoder.codec.model, encoder.codec.networks
    modes = encoder.modes(lone)
    parts = [name for name in networks.parts_of(modes) if networks.has(name)]
    flags = container.FLAG_ZSTD
    for mode in modes:
        flags |= mode.required_flags
    if model is not None:
        flags |= model.required_flags(parts)
    header = _header(source, encoder, chunk_images, flags)
    return Head(header, _sections(source, model, parts, options))


def _header(
    source: ImageSource, encoder: SetEncoder, chunk_images: int, flags: int
) -> container.Header:
    target = encoder.target
    new = bool(flags & container.FLAGS_NEW)
    without_target = encoder.codec.model is None and target.kind == QUALITY
    return container.Header(
        height=source.shape[0],
        width=source.shape[1],
        channels=source.shape[2],
        target_kind=container.TARGET_NONE if without_target else KIND_OF_TARGET[target.kind],
        target_value=0 if without_target else target.stored,
        chunk_images=chunk_images,
        required_flags=flags,
        version_minor=container.VERSION_MINOR_NEW if new else container.VERSION_MINOR,
    )


def _sections(
    source: ImageSource, model: Model | None, parts: list[str], options: Options
) -> list[container.Section]:
    """The sections before the chunks; names and columns not known yet follow the chunks."""
    metadata = {"has_channel_axis": source.has_channel_axis, "source": source.kind}
    metadata |= options.annotations.over(source.annotations).metadata()
    sections = [container.Section(container.META, required=False, payload=canonical_json(metadata))]
    if source.is_settled:
        sections += row_sections(source, options.annotations)
    if model is None or not parts:
        return sections
    decoding = model.decoding(parts)
    references = [container.PartRef(*pair) for pair in decoding.fingerprints().items()]
    payload = container.pack_parts(references, model.name)
    sections.insert(0, container.Section(container.PART, required=True, payload=payload))
    if options.embed_model:
        packed = zlib.compress(pack_model(decoding), 9)
        sections.append(container.Section(container.MODL, required=False, payload=packed))
    return sections


def row_sections(source: ImageSource, annotations: Annotations) -> list[container.Section]:
    """The sections with a value for each image: the names, and every column.

    Raises ValueError unless there is a value for each.
    """
    sections = []
    if source.names is not None:
        names = json.dumps(list(source.names), ensure_ascii=True).encode()
        sections.append(
            container.Section(container.NAME, required=False, payload=zlib.compress(names, 9))
        )
    merged = annotations.over(source.annotations)
    merged.require_count(source.image_count)
    return sections + [
        container.Section(container.COLM, required=False, payload=pack_column(column))
        for column in merged.columns
    ]


def nbytes_without_chunks(source: ImageSource, encoder: SetEncoder, options: Options) -> int:
    """The bytes that a file takes besides its chunks, at most."""
    writer = _writer(source, encoder, options, None)
    if not source.is_settled:
        for section in row_sections(source, options.annotations):
            writer.write_section(section)
    return writer.close()


def nbytes_of_head(
    source: ImageSource, encoder: SetEncoder, options: Options, lone: container.Chunk | None
) -> int:
    """The bytes of a file without chunks, and without what may follow them."""
    return _writer(source, encoder, options, lone).close()


def _writer(
    source: ImageSource, encoder: SetEncoder, options: Options, lone: container.Chunk | None
) -> container.Writer:
    head = head_of(source, encoder, options, 1, lone)
    return container.Writer(io.BytesIO(), head.header, head.sections)
