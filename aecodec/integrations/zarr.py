"""Zarr 3: chunks of images as ``.aez``, inside shards too. Extra ``zarr``.

Zarr finds the codec by its name, "aecodec", once both packages are installed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    from zarr.abc.codec import ArrayBytesCodec
except ImportError as error:
    raise ImportError("the Zarr codec needs zarr 3: pip install aecodec[zarr]") from error

from aecodec.errors import AezCorruptError
from aecodec.integrations.array_chunks import CODEC_ID, ChunkSettings, as_blob
from aecodec.integrations.stored_config import settings_of

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


@dataclass(frozen=True, init=False)
class AezCodec(ArrayBytesCodec):  # type: ignore[misc]  # Any to mypy: see pyproject.toml
    """Serializer for uint8 arrays (N, H, W) or (N, H, W, C) whose chunks are whole images.

    ``AezCodec(model="mnist", quality=5)``; a model is a name, a file, a loaded one, or "none". One
    of ``quality``, ``max_error``, ``lossless`` and ``psnr``; further ``coder`` and ``variant``, all
    as of :func:`aecodec.encode`. Under a lossy target write chunks whole: Zarr decodes and codes
    again those that are written in part.
    """

    is_fixed_size = False
    settings: ChunkSettings

    def __init__(self, **config: object) -> None:
        object.__setattr__(self, "settings", ChunkSettings.from_config(config))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AezCodec:
        """From array metadata, which are anyone's: AezError for whatever is wrong in them.

        They name a model by the fingerprints of its parts, or by the name of one that is installed,
        and never by a path. It is looked for when images are.
        """
        if data.get("name") != CODEC_ID:
            raise AezCorruptError(f"array metadata: expected codec {CODEC_ID!r}")
        codec = cls.__new__(cls)
        object.__setattr__(codec, "settings", settings_of(data.get("configuration", {})))
        return codec

    def to_dict(self) -> dict[str, Any]:
        """For array metadata; ``from_dict`` reads it."""
        return {"name": CODEC_ID, "configuration": self.settings.to_config()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: object) -> None:  # noqa: ANN401
        """ValueError at creation and AezCorruptError at opening unless it is a set of images."""
        chunk_shape = getattr(chunk_grid, "chunk_shape", None)
        if chunk_shape is None:
            wrong = AezCorruptError if self.settings.stored else ValueError
            raise wrong(f"{CODEC_ID}: chunks: expected a regular grid, got {chunk_grid}")
        self.settings.require_chunks(shape, chunk_shape, dtype.to_native_dtype())

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """NotImplementedError: it depends on the images."""
        raise NotImplementedError("the size of an .aez is known when it is written")

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        images = np.asarray(chunk_data.as_numpy_array())
        blob = await asyncio.to_thread(self.settings.encode, images)
        return chunk_spec.prototype.buffer.from_bytes(blob)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        blob = as_blob(chunk_data.to_bytes())
        images = await asyncio.to_thread(self.settings.decode, blob, chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(images)
