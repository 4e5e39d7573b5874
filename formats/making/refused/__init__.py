"""The unsupported and the bad vectors, one module for each clause of aez.md.

Each file has one fault, which is the reason why it is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from making.refused import (
    ans,
    chunks,
    header,
    index,
    integer_networks,
    latent_payloads,
    latent_prior,
    models,
    modes,
    parts,
    pixel_model,
    sections,
    tables,
    zstd_frames,
)
from making.vector import Refusal

CLAUSES = (
    header,  # 3
    sections,  # 4
    parts,  # 4.5
    chunks,  # 5.1
    tables,  # 5.2
    index,  # 6
    modes,  # 7
    latent_payloads,  # 8
    zstd_frames,  # 8.4
    integer_networks,  # 9
    models,  # 10
    pixel_model,  # 11
    ans,  # 12
    latent_prior,  # 14
)


def vectors() -> Iterator[tuple[str, Refusal]]:
    """Each name, with its folder, and the vector."""
    for clause in CLAUSES:
        yield from clause.vectors()
