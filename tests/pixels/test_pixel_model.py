"""The pixel model: its exact network, its twin, and parts that are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import GRAY, pixel_part, smooth_images
from second_decoder import predict_plane

import aecodec
from aecodec.container.parts import PIXEL_FAST
from aecodec.errors import ModelCorruptError
from aecodec.models.model import Model
from aecodec.nets.pixel_model import ExactPixelModel, PixelConfig, unstack_layers
from aecodec.nets.planes import PHASES, PlaneGrid, bound_code
from aecodec.pixels.layer import PixelNetworks
from aecodec.pixels.planes import join, split
from aecodec.training.pixels import FEATURES, PixelTrainConfig, train_pixel_model
from aecodec.twins.pixel_model import PixelTwin, equalized, stack_layers, with_tones, with_underlay
from aecodec.twins.starting import seeded

SHAPES = {"gray": (8, 8, 1), "colour": (13, 10, 3), "row": (1, 9, 1), "digit": (28, 28, 1)}


KINDS = {
    "plain": (False, False),
    "toned": (True, False),
    "under": (False, True),
    "both": (True, True),
}
of_every_kind = pytest.mark.parametrize(("toned", "underlaid"), KINDS.values(), ids=KINDS)

EIGHT = PlaneGrid(8, 8, 1)


def layer_for(
    shape: tuple[int, int, int],
    features: int = 4,
    mixtures: int = 3,
    *,
    toned: bool = False,
    underlaid: bool = False,
) -> PixelNetworks:
    """A pixel model at work, from a bit generator alone."""
    part = pixel_part(
        PlaneGrid(*shape), PixelConfig(shape[2], features, mixtures, toned, underlaid), seed=3
    )
    return PixelNetworks(Model("it", shape, {part.name: part}), part.name)


def images_of(shape: tuple[int, int, int], count: int, seed: int = 0) -> np.ndarray:
    """Noise, uint8 (count, H, W, C)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


@of_every_kind
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_network_agrees_with_numpy(shape, toned, underlaid):
    layer, grid = layer_for(shape, toned=toned, underlaid=underlaid), PlaneGrid(*shape)
    part = pixel_part(grid, layer.config, seed=3)
    planes = split(images_of(shape, 3))
    under = split(images_of(shape, 3, seed=1)) if underlaid else None
    for k in range(grid.planes):
        rows, columns = grid.plane_shape(k)
        for bound in (0, 1, 5, 40, 127):
            expected = predict_plane(part.tensors, k, planes, bound, under)[:, :rows, :columns]
            np.testing.assert_array_equal(layer.predict(k, planes, bound, grid, under), expected)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_planes_are_the_image(shape):
    images, grid = images_of(shape, 4), PlaneGrid(*shape)
    np.testing.assert_array_equal(join(split(images), grid), images)
    assert sum(np.prod(grid.plane_shape(k)) for k in range(grid.planes)) == np.prod(shape)


def test_phases_cover_the_cell():
    assert sorted(PHASES) == list(range(16))


def test_plane_sees_only_the_planes_before_it():
    layer = layer_for((8, 8, 1))
    planes = split(images_of((8, 8, 1), 2))
    other = planes.copy()
    other[:, 5:] ^= 0xFF
    np.testing.assert_array_equal(
        layer.predict(5, planes, 2, EIGHT), layer.predict(5, other, 2, EIGHT)
    )
    assert (layer.predict(6, planes, 2, EIGHT) != layer.predict(6, other, 2, EIGHT)).any()


def test_plane_sees_the_underlay_where_nothing_is_known():
    layer = layer_for((8, 8, 1), underlaid=True)
    planes, under = (split(images_of((8, 8, 1), 2, seed=n)) for n in (0, 1))
    for k, changed, sees in ((5, slice(0, 5), False), (5, slice(5, 6), True), (0, slice(15), True)):
        other = under.copy()
        other[:, changed] ^= 0xFF
        same = layer.predict(k, planes, 2, EIGHT, under) == layer.predict(
            k, planes, 2, EIGHT, other
        )
        assert same.all() != sees


def test_bound_code():
    code = bound_code()
    assert (code.sum(axis=1) == 64).all()
    assert code[0].tolist() == [64, 0, 0, 0, 0, 0, 0, 0, 0]
    assert code[3].tolist() == [0, 0, 32, 32, 0, 0, 0, 0, 0]
    assert code[127].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 64]
    assert code[80].tolist() == [0, 0, 0, 0, 0, 0, 0, 48, 16]


@of_every_kind
def test_stacked_layers_come_apart_again(toned, underlaid):
    grid, c = PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3, toned, underlaid)
    tensors = pixel_part(grid, c).tensors
    again = stack_layers(c, unstack_layers(c, tensors))
    assert set(again) < set(tensors)
    for name, tensor in again.items():
        np.testing.assert_array_equal(tensor, tensors[name])


@of_every_kind
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 10, 3)])
def test_twin_is_the_stored_network(shape, toned, underlaid):
    torch.manual_seed(0)
    grid, c = PlaneGrid(*shape), PixelConfig(shape[2], 6, toned=toned, underlaid=underlaid)
    with seeded(0):
        twin = PixelTwin(c, grid).eval()
    with torch.no_grad():
        twin.see_codes.normal_(0, 0.2)
        twin.out_codes.normal_(0, 0.5)
        if toned:
            twin.start_tones(np.arange(256, dtype=np.uint8) * 7)
    net = ExactPixelModel(c, twin.arrays())
    planes, under = (torch.from_numpy(split(images_of(shape, 5, seed=n))) for n in (0, 1))
    floats = (under.float() / 64,) if underlaid else ()
    integers = (under,) if underlaid else ()
    for k in range(c.planes):
        with torch.no_grad():
            real = twin.predict(k, planes.float() / 64, torch.full((5,), 9), *floats)
        assert (real - net(k, planes, 9, *integers)).abs().max() <= 8  # eighths of a gray level


@of_every_kind
def test_stored_network_is_taken_over(toned, underlaid):
    grid, c = PlaneGrid(9, 10, 3), PixelConfig(3, 4, 2, toned, underlaid)
    tensors = pixel_part(grid, c).tensors
    twin = PixelTwin(c, grid)
    twin.load(tensors)
    planes = torch.from_numpy(split(images_of((9, 10, 3), 3)))
    under = (planes.flip(0),) if underlaid else ()
    again, stored = ExactPixelModel(c, twin.arrays()), ExactPixelModel(c, tensors)
    for k in (0, 7, 47):
        assert (again(k, planes, 5, *under) - stored(k, planes, 5, *under)).abs().max() <= 2


@pytest.mark.parametrize("order", ["t", "u", "tu", "ut"])
def test_tones_and_underlay_change_nothing_until_they_are_trained(order):
    grid, c = PlaneGrid(9, 10, 3), PixelConfig(3, 4, 2)
    tensors, images = pixel_part(grid, c).tensors, images_of((9, 10, 3), 3)
    plain = ExactPixelModel(c, tensors)
    for each in order:
        if each == "t":
            tensors, c = with_tones(c, tensors, images), replace(c, toned=True)
        else:
            tensors, c = with_underlay(c, tensors), replace(c, underlaid=True)
    planes = torch.from_numpy(split(images))
    other = ExactPixelModel(c, tensors)
    under = (planes.flip(0),) if c.underlaid else ()
    for k in (0, 1, 47):
        assert torch.equal(plain(k, planes, 5), other(k, planes, 5, *under))


def test_equalized_tones():
    levels = np.repeat([0, 100, 101, 102, 255], [1000, 20, 20, 20, 20]).astype(np.uint8)
    tones = equalized(levels)
    assert tones[[0, 100, 101, 102, 255]].tolist() == [0, 64, 128, 191, 255]
    assert (np.diff(tones.astype(int)) >= 0).all()
    assert equalized(np.zeros(9, np.uint8)).max() == 0


def test_tones_are_announced_and_older_files_stay_as_they_were():
    images = smooth_images(GRAY, 20)
    versions = {}
    for toned in (False, True):
        part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3, toned), name="pixel_fast")
        model = Model("it", (8, 8, 1), {part.name: part})
        blob = aecodec.encode(images, model=model, max_error=3, embed_model=True, chunk_images=4)
        with aecodec.open(blob) as archive:
            versions[archive.info["version"]] = archive.reader.header.required_flags
            assert int(np.abs(archive[:].astype(int) - images).max()) <= 3
    assert versions == {"1.1": 14, "1.2": 46}


def test_training_adds_tones_to_a_model_without():
    images = smooth_images(GRAY, 200)
    config = PixelTrainConfig(steps=3, batch_images=16, shift=0.5)
    plain = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, FEATURES[PIXEL_FAST], 5))
    base = Model("base", (8, 8, 1), {plain.name: plain})
    part, _ = train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=base, tones=True)
    assert part.tensors["tones"].shape == (256,)
    base = Model("toned", (8, 8, 1), {part.name: part})
    again, _ = train_pixel_model(images, config, PIXEL_FAST, provenance={}, base=base)
    assert "tones" in again.tensors  # which once learned are kept


@pytest.mark.parametrize(
    ("tensor", "value", "match"),
    [
        ("mix.bias", 1 << 24, "layer mix 2: sums can reach"),
        ("see.shift", 32, "layer see 3: shift up to 32"),
        ("out.shift", 32, "layer out 2: shift up to 32"),
    ],
)
def test_unprovable_model_is_refused(tensor, value, match):
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3))
    tensors = {name: array.copy() for name, array in part.tensors.items()}
    tensors[tensor][2] = value
    model = Model("bad", (8, 8, 1), {part.name: replace(part, tensors=tensors)})
    with pytest.raises(ModelCorruptError, match=match):
        PixelNetworks(model, part.name)


@pytest.mark.parametrize("field", ["features", "mixtures"])
def test_width_of_nothing_is_refused(field):
    sizes = {"features": 4, "mixtures": 3, field: 0}
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3))
    part = replace(part, config={**part.config, **sizes})
    with pytest.raises(ModelCorruptError, match=rf"pixel_fast: {field} is 0, not 1\.\.4096"):
        PixelNetworks(Model("bad", (8, 8, 1), {part.name: part}), part.name)


@pytest.mark.parametrize(("name", "change"), [("places", None), ("see.weight", np.int16)])
def test_part_with_other_tensors_is_refused(name, change):
    part = pixel_part(PlaneGrid(8, 8, 1), PixelConfig(1, 4, 3))
    tensors = dict(part.tensors)
    if change is None:
        del tensors[name]
    else:
        tensors[name] = tensors[name].astype(change)
    model = Model("bad", (8, 8, 1), {part.name: replace(part, tensors=tensors)})
    with pytest.raises(ModelCorruptError, match=rf"pixel_fast: tensor {name} is "):
        PixelNetworks(model, part.name)
