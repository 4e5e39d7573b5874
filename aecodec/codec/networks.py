"""The networks of a model, built when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from aecodec.container.modes import Mode
from aecodec.container.parts import (
    DEQUANTIZER,
    LATENT_DECODER,
    LATENT_PRIOR,
    PIXEL_MODELS,
    UNDERLAY,
    UNDERLAY_PARTS,
)
from aecodec.errors import ModelMissingError
from aecodec.forks import fork_safe
from aecodec.latents.quantizer import interpolate
from aecodec.models.model import Model
from aecodec.pixels.payloads import Refiner
from aecodec.pixels.underlay import Underlay
from aecodec.targets import QUALITIES, QUALITY_UNIT, floor_db, mse_at

if TYPE_CHECKING:
    from aecodec.latents.layer import LatentNetworks
    from aecodec.latents.prior import PriorNetwork
    from aecodec.pixels.layer import Dequantizer, PixelNetworks

GUARD_FACTOR = 1.5  # an image may be this much worse than the training set's 99.9th percentile
LMBDAS = (3.5e-5, 4e-2)  # of qualities 1 and 9, for a model that does not record its own

Network = TypeVar("Network")


class Networks:
    """The networks of one model on one device.

    ``pixel_part`` names the pixel model to use; None takes the fast one, or the only one there is.
    Each network is built once, by the first thread that asks for it.

    ModelMissingError names a part that is asked for and missing; ModelCorruptError names one that
    cannot be proven to decode exactly.
    """

    def __init__(
        self, model: Model | None, device: str = "cpu", pixel_part: str | None = None
    ) -> None:
        self.model, self.device, self.pixel_part = model, device, pixel_part
        self._built: dict[str, Any] = {}  # by part
        self._lock = threading.RLock()

    def with_pixel_part(self, name: str | None) -> Networks:
        """These networks with another pixel model chosen; both share what is built."""
        other = Networks(self.model, self.device, name)
        other._built, other._lock = self._built, self._lock
        return other

    def __reduce__(self) -> tuple[type[Networks], tuple[Model | None, str, str | None]]:
        """A copy, in this process or another one, builds its networks anew."""
        return Networks, (self.model, self.device, self.pixel_part)

    # ------------------------------------------------------------ what the model has

    def has(self, *parts: str) -> bool:
        """Whether the model has all of these parts."""
        return self.model is not None and set(parts) <= set(self.model.parts)

    def can_encode_latents(self) -> bool:
        """Whether the model has layer L's encoder."""
        return self.model is not None and bool(self.model.encoder)

    def can_dequantize(self) -> bool:
        """Whether the model has a dequantizer."""
        return self.has(DEQUANTIZER)

    def can_refine(self) -> bool:
        """Whether the model can encode with the chosen pixel model, and with its underlay."""
        name = self.pixel_model_name()
        if name is None or not self.has(name):
            return False
        return not self.has_underlay() or (self.can_encode_latents() and self.has(*UNDERLAY_PARTS))

    def has_underlay(self) -> bool:
        """Whether the chosen pixel model has an underlay, and so needs layer L and its prior."""
        part = self.model.parts.get(self.pixel_model_name() or "") if self.model else None
        return part is not None and UNDERLAY in part.tensors

    def pixel_model_name(self) -> str | None:
        """The name of the chosen pixel model's part; None when the model has none."""
        if self.pixel_part is not None:
            return self.pixel_part
        return next((name for name in PIXEL_MODELS if self.has(name)), None)

    def parts_of(self, modes: Iterable[Mode]) -> list[str]:
        """The parts that decoding payloads of these modes takes, in sorted order."""
        names = set()
        for alternatives in {names for mode in modes for names in mode.parts}:
            is_pixel_model = alternatives == PIXEL_MODELS
            names.add(self.pixel_model_name() if is_pixel_model else alternatives[0])
        return sorted(filter(None, names))

    # ------------------------------------------------------------ the networks

    def latents(self) -> LatentNetworks:
        """Layer L's networks."""
        model = self._require(LATENT_DECODER, "a model is needed to decode latents, none was given")

        def build() -> LatentNetworks:
            from aecodec.latents.layer import LatentNetworks

            return LatentNetworks(model, self.device)

        return self._once(LATENT_DECODER, build)

    def prior(self) -> PriorNetwork:
        """The prior of layer L's latents."""
        model = self._require(
            LATENT_PRIOR,
            f"{self._owner()} has no part {LATENT_PRIOR}, which latents under ANS need: train one "
            "with 'aecodec train --layers p', or use --coder zstd",
        )

        def build() -> PriorNetwork:
            from aecodec.latents.prior import PriorNetwork

            return PriorNetwork(model, self.latents().gains, self.device)

        return self._once(LATENT_PRIOR, build)

    def pixels(self) -> PixelNetworks:
        """The chosen pixel model."""
        name = self.pixel_model_name() or PIXEL_MODELS[0]
        model = self._require(
            name,
            f"{self._owner()} has no part {name}, which bounded errors need: "
            "train one with 'aecodec train --layers r', or use --model none",
        )

        def build() -> PixelNetworks:
            from aecodec.pixels.layer import PixelNetworks

            return PixelNetworks(model, name, self.device)

        return self._once(name, build)

    def dequantizer(self) -> Dequantizer:
        """Layer R's dequantizer."""
        model = self._require(
            DEQUANTIZER, f"the model has no part {DEQUANTIZER}, which the file needs"
        )

        def build() -> Dequantizer:
            from aecodec.pixels.layer import Dequantizer

            return Dequantizer(model, self.device)

        return self._once(DEQUANTIZER, build)

    def refiner(self) -> Refiner:
        """The chosen pixel model, with its underlay if it has one."""
        pixels = self.pixels()
        if pixels.underlay is None:
            return Refiner(pixels)
        if missing := [name for name in sorted(UNDERLAY_PARTS) if not self.has(name)]:
            raise ModelMissingError(
                f"the model has no part {missing[0]}, which the underlay of its "
                f"{self.pixel_model_name()} needs"
            )
        latents, prior = self.latents(), self.prior()
        return Refiner(pixels, Underlay(latents, prior, pixels.underlay))

    def require_refiner(self) -> Refiner:
        """The chosen pixel model, to encode with.

        ModelMismatchError where the model cannot encode the latents of its underlay.
        """
        refiner = self.refiner()
        if refiner.underlay:
            self.latents().require_encoder()
        return refiner

    def prove(self) -> None:
        """Build every network of the model now; ModelCorruptError names one that is not exact."""
        builders: dict[str, Callable[[], object]] = {
            LATENT_DECODER: self.latents,
            LATENT_PRIOR: self.prior,
            DEQUANTIZER: self.dequantizer,
        }
        for part in self.model.parts if self.model else ():
            if part in PIXEL_MODELS:
                self.with_pixel_part(part).refiner()
            elif part in builders:
                builders[part]()

    # ------------------------------------------------------------ numbers of its training

    def lmbda(self, stored_quality: int) -> float:
        """The weight that training gave to mean squared error, gray levels squared, against bpp."""
        recipe = self.model.training.get("recipe", {}) if self.model else {}
        low = float(recipe.get("lmbda_min", LMBDAS[0]))
        high = float(recipe.get("lmbda_max", LMBDAS[1]))
        share = (stored_quality / QUALITY_UNIT - 1) / (QUALITIES - 1)
        return float(low * (high / low) ** share)

    def mse_limit(self, stored_quality: int) -> float:
        """The limit of an image's mean squared error, gray levels squared, at a quality.

        It is that of the quality's floor, or less where the model did better in training.
        """
        limits = np.log(np.maximum(self.latents().mse_p999, 1e-3))[:, None]
        trained = GUARD_FACTOR * float(np.exp(interpolate(limits, stored_quality)[0]))
        return min(trained, mse_at(floor_db(stored_quality)))

    # ------------------------------------------------------------ helpers

    def _owner(self) -> str:
        return f"model {self.model.name!r}" if self.model else "no model"

    def _require(self, part: str, message: str) -> Model:
        """The model, if it has the part.

        Layer L is not checked here: a model without it is damaged, which reading it finds.
        """
        if self.model is None or (part != LATENT_DECODER and not self.has(part)):
            raise ModelMissingError(message)
        return self.model

    @fork_safe
    def _once(self, part: str, build: Callable[[], Network]) -> Network:
        """The network of a part, built by the first thread that asks.

        No fork happens meanwhile: a child would find the lock closed for ever.
        """
        with self._lock:
            if part not in self._built:
                self._built[part] = build()
            network: Network = self._built[part]
            return network
