"""The facts of an open file, as ``info`` shows them. Chunk heads are read, payloads are not."""

from __future__ import annotations

import math
from typing import Any

from aecodec.annotations.annotations import ABOUT
from aecodec.archive.sections import Sections
from aecodec.container import MODES, MODL, Header, Reader
from aecodec.container.header import TARGETS
from aecodec.targets import PEAK_SQUARED


def facts_of(reader: Reader, sections: Sections) -> dict[str, Any]:
    """All facts, as plain values by name; the README lists them."""
    header, facts = reader.header, sections.facts
    source = sections.metadata.get("source")
    images_by_mode: dict[str, int] = {}
    payload_nbytes = error_max = error_sum = 0
    for i in range(reader.chunk_count):
        head = reader.read_chunk_head(i)
        payload_nbytes += head.payload_nbytes
        error_max = max(error_max, head.max_error)
        error_sum += head.sum_squared_error
        for index, length in head.runs:
            label = MODES[head.modes[index].mode].label(head.modes[index].parameter)
            images_by_mode[label] = images_by_mode.get(label, 0) + length
    pixels = reader.image_count * header.height * header.width
    samples = pixels * header.channels
    psnr = 10 * math.log10(PEAK_SQUARED * samples / error_sum) if error_sum else None
    return {
        "version": f"{header.version_major}.{header.version_minor}",
        "images": reader.image_count,
        "height": header.height,
        "width": header.width,
        "channels": header.channels,
        "chunks": reader.chunk_count,
        "chunk_images": header.chunk_images,
        "target": _target(header),
        "model": reader.model_name or None,
        "parts": {part.name: part.fingerprint.hex() for part in reader.parts},
        "model_embedded": any(entry.kind == MODL for entry in reader.sections),
        "file_nbytes": reader.file_nbytes,
        "payload_nbytes": payload_nbytes,
        "raw_nbytes": samples,
        "bpp": 8 * reader.file_nbytes / pixels if pixels else None,
        "max_error": error_max,
        "psnr_db": psnr,
        "images_by_mode": images_by_mode,
        "source": source if isinstance(source, str) else None,
        **{name: facts[name] for name in ABOUT},
        "label": facts["label"],
        "classes": list(facts["classes"]),
        "columns": {head.name: head.dtype for head in sections.column_heads},
    }


def _target(header: Header) -> dict[str, float] | None:
    """What the writer was asked for, by its name: quality, max_error, psnr or a size."""
    if header.target_kind not in TARGETS:
        return None
    name, units = TARGETS[header.target_kind]
    return {name: header.target_value / units}
