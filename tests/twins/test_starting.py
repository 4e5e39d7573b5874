"""Initial weights: those of torch under a seed, without its default generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aecodec.twins.starting import conv, dense, normal, seeded

LAYERS = {
    "dense": (lambda: nn.Linear(37, 19), lambda: dense(37, 19)),
    "conv": (lambda: nn.Conv2d(5, 7, 3, padding=1), lambda: conv(5, 7)),
    "strided": (
        lambda: nn.Conv2d(5, 7, 5, stride=2, padding=2),
        lambda: conv(5, 7, 5, stride=2, padding=2),
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_are_those_of_torch_under_the_seed(kind):
    theirs, ours = LAYERS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        expected, tail = theirs(), torch.randn(3, 2)
        state = torch.get_rng_state()
        with seeded(4):
            found, own_tail = ours(), normal(3, 2)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found.weight, expected.weight)
    assert torch.equal(found.bias, expected.bias)
    assert torch.equal(own_tail, tail)
    x = torch.ones(1, *((37,) if kind == "dense" else (5, 9, 8)))
    assert torch.equal(found(x), expected(x))


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_that_are_to_be_loaded_are_zero(kind):
    state = torch.get_rng_state()
    layer = LAYERS[kind][1]()
    assert not any(parameter.any() for parameter in layer.parameters())
    assert torch.equal(torch.get_rng_state(), state)
