"""numcodecs: arrays of images as ``.aez``, for Zarr 2 stores and others. Extra ``numcodecs``.

``numcodecs.get_codec({"id": "aecodec", ...})`` finds it once both packages are installed.
"""

from __future__ import annotations

from typing import Any

try:
    from numcodecs.abc import Codec
except ImportError as error:
    raise ImportError("the codec needs numcodecs: pip install aecodec[numcodecs]") from error

from aecodec.arrays import Images
from aecodec.integrations.array_chunks import CODEC_ID, ChunkSettings, as_blob
from aecodec.integrations.buffers import as_array, copy_into


class AezCodec(Codec):  # type: ignore[misc]  # numcodecs may be untyped, or not here
    """Encodes uint8 (n, H, W) or (n, H, W, C) to the bytes of an ``.aez``, and decodes them.

    ``AezCodec(model="mnist", quality=5)``, arguments as of
    :class:`aecodec.integrations.zarr.AezCodec`. In a Zarr 2 array use it as the only filter or as
    the compressor without filters: it must see the images.
    """

    codec_id = CODEC_ID

    def __init__(self, **config: object) -> None:
        self.settings = ChunkSettings.from_config(config)

    def get_config(self) -> dict[str, Any]:
        """The configuration as plain values, ``id`` among them."""
        return {"id": self.codec_id, **self.settings.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AezCodec:
        """The codec that ``get_config`` described; ValueError names a field that is wrong."""
        return cls(**{name: value for name, value in config.items() if name != "id"})

    def encode(self, buf: Any) -> bytes:  # noqa: ANN401  # what numcodecs gives
        """The bytes of an ``.aez`` with the images in a buffer, uint8 (n, H, W[, C]).

        It may have any strides. ValueError for another dtype or shape, TypeError for what is no
        buffer.
        """
        return self.settings.encode(as_array(buf), keep_order=True)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401  # what numcodecs gives
        """The images of an ``.aez``, in ``out`` if it is given, which is then returned.

        They come in Fortran order if the buffer that was encoded had it: Zarr 2 takes what is
        decoded for the bytes that it gave. ``out`` is a writable buffer of as many bytes: one of
        the images' shape gets the images whatever its strides, any other one the bytes in memory
        order. ValueError for an ``out`` of another size or that is read-only.
        """
        images: Images = self.settings.decode(as_blob(buf), keep_order=True)
        return images if out is None else copy_into(images, out)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AezCodec) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash((type(self), self.settings))

    def __repr__(self) -> str:
        config = self.settings.to_config()
        return f"AezCodec({', '.join(f'{name}={value!r}' for name, value in config.items())})"
