"""The container: what an ``.aez`` file is made of, as bytes (``formats/aez.md`` 1 to 7).

Needs the standard library alone. It knows bytes and not images: payloads go through as they
are. ``Writer`` writes in one pass, ``Reader`` seeks; everything read is checked before it is
trusted or allocated.
"""

from aecodec.container.chunks import (
    MODE_LATENTS_ANS,
    MODE_LATENTS_ZSTD,
    MODE_PIXELS_ANS,
    MODE_PIXELS_DEQUANTIZED,
    MODE_STORED,
    MODE_ZSTD,
    Chunk,
    ChunkHead,
    SubPayload,
    TableEntry,
    chunk_nbytes,
)
from aecodec.container.reader import Reader
from aecodec.container.records import (
    FLAG_ANS,
    FLAG_LATENTS,
    FLAG_REFINEMENT,
    FLAG_ZSTD,
    FOOTER_MAGIC,
    MAGIC,
    SUPPORTED_FLAGS,
    TARGET_MAX_ERROR,
    TARGET_NBYTES,
    TARGET_NONE,
    TARGET_PSNR,
    TARGET_QUALITY,
    Footer,
    Header,
    IndexEntry,
)
from aecodec.container.sections import (
    HEAD,
    INDX,
    KNOWN_SECTIONS,
    PART,
    PartRef,
    Section,
    SectionEntry,
    pack_parts,
    unpack_parts,
)
from aecodec.container.writer import Writer

__all__ = [
    "FLAG_ANS",
    "FLAG_LATENTS",
    "FLAG_REFINEMENT",
    "FLAG_ZSTD",
    "FOOTER_MAGIC",
    "HEAD",
    "INDX",
    "KNOWN_SECTIONS",
    "MAGIC",
    "MODE_LATENTS_ANS",
    "MODE_LATENTS_ZSTD",
    "MODE_PIXELS_ANS",
    "MODE_PIXELS_DEQUANTIZED",
    "MODE_STORED",
    "MODE_ZSTD",
    "PART",
    "SUPPORTED_FLAGS",
    "TARGET_MAX_ERROR",
    "TARGET_NBYTES",
    "TARGET_NONE",
    "TARGET_PSNR",
    "TARGET_QUALITY",
    "Chunk",
    "ChunkHead",
    "Footer",
    "Header",
    "IndexEntry",
    "PartRef",
    "Reader",
    "Section",
    "SectionEntry",
    "SubPayload",
    "TableEntry",
    "Writer",
    "chunk_nbytes",
    "pack_parts",
    "unpack_parts",
]
