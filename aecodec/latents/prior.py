"""The latent prior at work: the exact prior of a model, NumPy in and out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from aecodec.arrays import Symbols
from aecodec.container.parts import LATENT_PRIOR
from aecodec.errors import ModelCorruptError
from aecodec.forks import fork_safe
from aecodec.latents.quantizer import gains_at
from aecodec.latents.search import PriorRate
from aecodec.models.checking import check_mixtures, read_config, read_part, take_tensors
from aecodec.models.model import Model
from aecodec.nets.exactness import gradients
from aecodec.nets.latent_prior import ExactPrior, PriorConfig, tensor_shapes

BATCH_IMAGES = 2048  # images in the network at once
BATCH_NUMBERS = 1 << 21  # that a layer outputs for a batch, at most: a file may have wide ones
UNIT_MAX = 15  # values of a latent are in units of 2**unit


class PriorNetwork:
    """The prior of a model on one device; ``gains`` (9, D) are the decoder's.

    Raises ModelCorruptError, with the layer's name, for a part that lacks a tensor, has one of
    another shape or type, or cannot be proven to decode exactly.
    """

    @fork_safe
    def __init__(self, model: Model, gains: npt.NDArray[np.uint16], device: str = "cpu") -> None:
        self.device = torch.device(device)
        part = read_part(model, LATENT_PRIOR)
        c = self.config = read_config(part, PriorConfig)
        check_mixtures(LATENT_PRIOR, c.mixtures)
        if c.latents != gains.shape[1]:
            raise ModelCorruptError(
                f"{LATENT_PRIOR}: latents is {c.latents}, the decoder has {gains.shape[1]}"
            )
        tensors = take_tensors(part, tensor_shapes(c))
        self.order = tensors["order"].astype(np.intp)
        if not np.array_equal(np.sort(self.order), np.arange(c.latents)):
            raise ModelCorruptError(f"{LATENT_PRIOR}: order does not name every latent once")
        if int(tensors["unit"].max()) > UNIT_MAX:
            raise ModelCorruptError(
                f"{LATENT_PRIOR}: unit up to {int(tensors['unit'].max())}, expected 0..{UNIT_MAX}"
            )
        self.gains = gains
        self._tensors = tensors
        self._net = ExactPrior(c, tensors).to(self.device)

    @property
    def threads(self) -> int:
        """How many threads may decode at once: as many as torch uses."""
        return torch.get_num_threads()

    @fork_safe
    def rate(self, stored_quality: int) -> PriorRate:
        """The rate of softly rounded symbols of a stored quality under this prior."""
        gains = gains_at(self.gains, stored_quality)
        with gradients():
            return PriorRate(self.config, self._tensors, gains, stored_quality, self.device)

    @fork_safe
    def predict(
        self, g: int, symbols: Symbols, gains: npt.NDArray[np.int64], stored_quality: int
    ) -> npt.NDArray[np.int32]:
        """Symbols (N, D) of the groups before g -> raw parameters of group g, int32 (N, n, 3K).

        Symbols and ``gains`` (D,) are in the order of coding.
        """
        c = self.config
        members = c.members(g)
        count = members.stop - members.start
        out = np.empty((len(symbols), count, 3 * c.mixtures), np.int32)
        step = max(1, min(BATCH_IMAGES, BATCH_NUMBERS // max(c.features, count * 3 * c.mixtures)))
        for start in range(0, len(symbols), step):
            known = np.ascontiguousarray(symbols[start : start + step, : members.start])
            raw = self._net(g, torch.from_numpy(known).to(self.device), gains, stored_quality)
            out[start : start + len(known)] = raw.cpu().numpy()
        return out
