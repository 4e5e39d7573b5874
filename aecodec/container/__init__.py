"""The container: the records of an ``.aez`` file, as bytes (``formats/aez.md`` 1 to 7).

Needs the standard library alone. It knows bytes and not images: payloads pass through unchanged.
``Writer`` writes in one pass, ``Reader`` seeks. What is read is checked before it is trusted, and
before memory is allocated for it.
"""

from aecodec.container.chunks import Chunk, ChunkHead, SubPayload, chunk_nbytes
from aecodec.container.footer import FOOTER_MAGIC, Footer
from aecodec.container.header import (
    FLAG_ANS,
    FLAG_LATENTS,
    FLAG_LOW_TRUNK,
    FLAG_REFINEMENT,
    FLAG_TONES,
    FLAG_UNDERLAY,
    FLAG_ZSTD,
    FLAGS_NEEDING_PARTS,
    FLAGS_NEW,
    MAGIC,
    SUPPORTED_FLAGS,
    TARGET_MAX_ERROR,
    TARGET_NBYTES,
    TARGET_NONE,
    TARGET_PSNR,
    TARGET_QUALITY,
    VERSION_MINOR,
    VERSION_MINOR_NEW,
    Header,
)
from aecodec.container.index import IndexEntry
from aecodec.container.modes import (
    MODE_LATENTS_ANS,
    MODE_LATENTS_ZSTD,
    MODE_PIXELS_ANS,
    MODE_PIXELS_DEQUANTIZED,
    MODE_STORED,
    MODE_ZSTD,
    MODES,
    Mode,
)
from aecodec.container.parts import PartRef, pack_parts, unpack_parts
from aecodec.container.reader import Reader
from aecodec.container.sections import (
    COLM,
    HEAD,
    INDX,
    KNOWN_SECTIONS,
    META,
    MODL,
    NAME,
    PART,
    Section,
    SectionEntry,
    section_limit,
)
from aecodec.container.table import TABLE_ENTRY_NBYTES, TableEntry, is_crowded
from aecodec.container.writer import Writer

__all__ = [
    "COLM",
    "FLAGS_NEEDING_PARTS",
    "FLAGS_NEW",
    "FLAG_ANS",
    "FLAG_LATENTS",
    "FLAG_LOW_TRUNK",
    "FLAG_REFINEMENT",
    "FLAG_TONES",
    "FLAG_UNDERLAY",
    "FLAG_ZSTD",
    "FOOTER_MAGIC",
    "HEAD",
    "INDX",
    "KNOWN_SECTIONS",
    "MAGIC",
    "META",
    "MODES",
    "MODE_LATENTS_ANS",
    "MODE_LATENTS_ZSTD",
    "MODE_PIXELS_ANS",
    "MODE_PIXELS_DEQUANTIZED",
    "MODE_STORED",
    "MODE_ZSTD",
    "MODL",
    "NAME",
    "PART",
    "SUPPORTED_FLAGS",
    "TABLE_ENTRY_NBYTES",
    "TARGET_MAX_ERROR",
    "TARGET_NBYTES",
    "TARGET_NONE",
    "TARGET_PSNR",
    "TARGET_QUALITY",
    "VERSION_MINOR",
    "VERSION_MINOR_NEW",
    "Chunk",
    "ChunkHead",
    "Footer",
    "Header",
    "IndexEntry",
    "Mode",
    "PartRef",
    "Reader",
    "Section",
    "SectionEntry",
    "SubPayload",
    "TableEntry",
    "Writer",
    "chunk_nbytes",
    "is_crowded",
    "pack_parts",
    "section_limit",
    "unpack_parts",
]
