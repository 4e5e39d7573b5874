"""A model's networks: built once, when they are needed, and shared by codecs that may."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from aecodec.codec.codec import Codec
from aecodec.codec.networks import Networks
from aecodec.container import MODES
from aecodec.container.parts import LATENT_DECODER, LATENT_PRIOR, PIXEL_FAST, PIXEL_SMALL
from aecodec.errors import ModelMissingError
from aecodec.latents.layer import LatentNetworks


def test_threads_build_a_network_once(known, monkeypatch):
    built = []
    init = LatentNetworks.__init__

    def counted(self: LatentNetworks, *args: object) -> None:
        built.append(1)
        init(self, *args)

    monkeypatch.setattr(LatentNetworks, "__init__", counted)
    networks = Networks(known)
    with ThreadPoolExecutor(8) as pool:
        priors = set(pool.map(lambda _: networks.prior(), range(16)))
    assert len(built) == len(priors) == 1


def test_options_share_the_networks(known):
    codec = Codec(known)
    other = codec.with_options(effort=5, coder="ans", pixel_part=PIXEL_FAST)
    assert (other.effort, other.coder, other.pixel_part) == (5, "ans", PIXEL_FAST)
    assert other.networks.latents() is codec.networks.latents()
    assert codec.effort == 3
    with pytest.raises(TypeError, match="cannot change device, model"):
        codec.with_options(model=None, device="cuda")
    with pytest.raises(ValueError, match="effort: expected 1 to 9, got 10"):
        codec.with_options(effort=10)


def test_another_model_has_networks_of_its_own(known, tiny):
    codec = Codec(known)
    assert replace(codec, model=tiny).networks.latents() is not codec.networks.latents()


def test_parts_of_modes(known, standing):
    every = list(MODES.values())
    plain = Networks(known, pixel_part=PIXEL_SMALL)
    assert plain.parts_of(every[:2]) == []
    assert plain.parts_of(every[2:3]) == [LATENT_DECODER]
    assert plain.parts_of(every) == ["dequantizer", LATENT_DECODER, LATENT_PRIOR, PIXEL_SMALL]
    assert Networks(standing).has_underlay()
    assert not Networks(known).has_underlay()


def test_no_model_has_no_networks():
    networks = Networks(None)
    for ask in (networks.latents, networks.prior, networks.pixels, networks.dequantizer):
        with pytest.raises(ModelMissingError, match=r"no model|needed|needs"):
            ask()
    assert networks.pixel_model_name() is None
    assert not networks.can_refine()
