"""Which model decodes a file: found by the parts that the file names, and checked against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from aecodec.advice import Advice, advised
from aecodec.container import FLAG_UNDERLAY, MODES, Chunk, Reader
from aecodec.container.parts import PIXEL_MODELS, UNDERLAY_PARTS
from aecodec.errors import AezCorruptError, ModelCorruptError, ModelMismatchError, ModelMissingError

if TYPE_CHECKING:
    import os

    from aecodec.codec.codec import Codec
    from aecodec.models.model import Model

    GivenModel: TypeAlias = Model | str | os.PathLike[str] | None

TO_NAME_MODEL: Final = Advice(
    python="or give it as model",
    command="decompress, verify, view and sheet take it by --model too",
)


@dataclass(frozen=True)
class FileParts:
    """The parts that an open file names, and what else it says of the model that decodes it.

    Damage in the file is AezCorruptError; a model that is not the file's is ModelMismatchError.
    """

    reader: Reader

    @property
    def name(self) -> str:
        """The file's name in errors."""
        return self.reader.name

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        header = self.reader.header
        return header.height, header.width, header.channels

    @property
    def pixel_part(self) -> str | None:
        """The pixel model that the file names, if any; AezCorruptError if it names several."""
        names = [part.name for part in self.reader.parts if part.name in PIXEL_MODELS]
        if len(names) > 1:
            raise AezCorruptError(f"{self.name}: section PART names {len(names)} pixel models")
        return names[0] if names else None

    def find_codec(
        self, given: GivenModel, embedded: bytes | None, device: str, max_model_nbytes: int
    ) -> Codec:
        """A codec with the file's model: the embedded one, the one given, or an installed one.

        ``embedded`` is the payload of section MODL, unpacked.
        """
        from aecodec.codec.codec import Codec

        pixel_part = self.pixel_part  # first: it finds a PART at odds with itself
        model = self._find_model(given, embedded, max_model_nbytes)
        codec = Codec(model, device, pixel_part)
        if model is not None and embedded is not None:
            try:
                codec.networks.prove()  # now: a file may raise nothing but its own damage
            except ModelCorruptError as error:
                raise AezCorruptError(f"{self.name}: embedded model: {error}") from error
        return codec

    def adopt(self, codec: Codec) -> Codec:
        """A codec that was loaded before, after a check that its model is the file's."""
        if codec.model is None:
            return codec
        self._check_fingerprints(codec.model)
        if self.reader.parts:
            self._check_model(codec.model)
        return codec.with_options(pixel_part=self.pixel_part)

    def check_chunks(self, chunks: Sequence[Chunk], where: Sequence[str]) -> None:
        """AezCorruptError unless PART names all parts that these chunks need."""
        named = {part.name for part in self.reader.parts}
        for chunk, place in zip(chunks, where, strict=True):
            for sub in chunk.sub_payloads:
                for names in MODES[sub.mode].parts:
                    if named.isdisjoint(names):
                        raise AezCorruptError(
                            f"{place}: mode {sub.mode} needs part {' or '.join(names)}, "
                            f"section PART names {', '.join(sorted(named)) or 'none'}"
                        )

    def _find_model(
        self, given: GivenModel, embedded: bytes | None, max_model_nbytes: int
    ) -> Model | None:
        from aecodec.models.finding import find_parts, installed_models, load_model
        from aecodec.models.model import Model

        wanted = {part.name: part.fingerprint for part in self.reader.parts}
        if not wanted:
            return None
        if embedded is not None:
            model = self._unpack_embedded(embedded, wanted)
        elif given is not None:
            if not isinstance(given, Model):
                given = load_model(given, max_model_nbytes=max_model_nbytes)
            self._check_fingerprints(given)
            model = given
        else:
            try:
                model = find_parts(wanted, installed_models(), self.reader.model_name or "?")
            except ModelMissingError as error:
                advised(error, TO_NAME_MODEL)
                raise
        self._check_model(model)
        return model

    def _unpack_embedded(self, embedded: bytes, wanted: dict[str, bytes]) -> Model:
        from aecodec.models.file import unpack_model

        where = f"{self.name}: embedded model"
        try:
            model = unpack_model(embedded, where, expected_parts=wanted)
        except ModelCorruptError as error:
            raise AezCorruptError(str(error)) from error
        if model.fingerprints() != wanted:
            raise AezCorruptError(f"{where} is not the one that the file names")
        return model

    def _check_fingerprints(self, model: Model) -> None:
        have = model.fingerprints()
        for part in self.reader.parts:
            if have.get(part.name) != part.fingerprint:
                found = have[part.name].hex()[:16] if part.name in have else "none"
                raise ModelMismatchError(
                    f"{self.name}: part {part.name} of model {self.reader.model_name!r} has "
                    f"fingerprint {part.fingerprint.hex()[:16]}, model {model.name!r} has {found}"
                )

    def _check_model(self, model: Model) -> None:
        """Check that the model fits the images, and that header and PART announce what it needs."""
        if not model.fits(self.image_shape):
            raise AezCorruptError(
                f"{self.name}: images are {self.image_shape}, its model is for {model.shape}"
            )
        flags, named = self.reader.header.required_flags, [p.name for p in self.reader.parts]
        needed = model.required_flags(named)
        if needed & ~flags:
            raise AezCorruptError(
                f"{self.name}: its parts have tones, an underlay or a low trunk, "
                f"but required_flags {flags:#x} lacks {needed & ~flags:#x}"
            )
        missing = sorted(set(UNDERLAY_PARTS) - set(named))
        if needed & FLAG_UNDERLAY and missing:
            raise AezCorruptError(
                f"{self.name}: its pixel model stands on latents, "
                f"but section PART lacks {missing[0]}"
            )
