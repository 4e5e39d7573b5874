"""numcodecs: arrays of images as ``.aez``, for Zarr 2 stores and others. Extra ``numcodecs``.

``numcodecs.get_codec({"id": "aecodec", ...})`` finds it once both packages are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from numcodecs.abc import Codec
except ImportError as error:
    raise ImportError("the codec needs numcodecs: pip install aecodec[numcodecs]") from error

from aecodec.arrays import Images
from aecodec.errors import AezCorruptError
from aecodec.integrations.array_chunks import CODEC_ID, ChunkSettings, as_blob
from aecodec.integrations.buffers import as_array, copy_into
from aecodec.integrations.chunk_limits import BUFFER_NBYTES_MAX
from aecodec.integrations.stored_config import settings_of


class AezCodec(Codec):  # type: ignore[misc]  # numcodecs may be untyped, or not here
    """Encodes uint8 (n, H, W) or (n, H, W, C) to the bytes of an ``.aez``, and decodes them.

    ``AezCodec(model="mnist", quality=5)``, arguments as of
    :class:`aecodec.integrations.zarr.AezCodec`. In a Zarr 2 array use it as the only filter or as
    the compressor without filters: it must see the images.
    """

    codec_id = CODEC_ID
    max_buffer_size = BUFFER_NBYTES_MAX

    def __init__(self, **config: object) -> None:
        self.settings = ChunkSettings.from_config(config)

    def get_config(self) -> dict[str, Any]:
        """The configuration as plain values, ``id`` among them."""
        return {"id": self.codec_id, **self.settings.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AezCodec:
        """The codec that ``get_config`` described: ``numcodecs.get_codec`` calls this.

        What an array's metadata say is anyone's: AezError names a field that is wrong. They name a
        model by the fingerprints of its parts, or by the name of one that is installed, and never
        by a path; to name a path, call the class itself.
        """
        if not isinstance(config, Mapping):
            raise AezCorruptError(f"array metadata: codec {CODEC_ID}: expected an object")
        codec = cls.__new__(cls)
        codec.settings = settings_of({k: v for k, v in config.items() if k != "id"})
        return codec

    def encode(self, buf: Any) -> bytes:  # noqa: ANN401  # what numcodecs gives
        """The bytes of an ``.aez`` with the images in a buffer, uint8 (n, H, W[, C]).

        It may have any strides. ValueError for another dtype or shape, or more than
        ``max_buffer_size`` bytes; TypeError for what is no buffer.
        """
        images = as_array(buf)
        if images.nbytes > self.max_buffer_size:
            raise ValueError(
                f"buffer: has {images.nbytes} bytes, expected at most {self.max_buffer_size}"
            )
        return self.settings.encode(images, keep_order=True)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401  # what numcodecs gives
        """The images of an ``.aez``, in ``out`` if it is given, which is then returned.

        They come in Fortran order if the buffer that was encoded had it: Zarr 2 takes what is
        decoded for the bytes that it gave. ``out`` is a writable buffer of as many bytes: one of
        the images' shape gets the images whatever its strides, any other one the bytes in memory
        order. ValueError for an ``out`` of another size or that is read-only; AezLimitError for
        images of more than ``max_buffer_size`` bytes. Both come before images are decoded.
        """
        nbytes = None if out is None else as_array(out, shared=True).nbytes
        images: Images = self.settings.decode(as_blob(buf), nbytes=nbytes, keep_order=True)
        return images if out is None else copy_into(images, out)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AezCodec) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash((type(self), self.settings))

    def __repr__(self) -> str:
        config = self.settings.to_config()
        return f"AezCodec({', '.join(f'{name}={value!r}' for name, value in config.items())})"
