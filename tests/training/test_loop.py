"""The training loop: a usable model, and runs that stop and go on."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import GRAY, smooth_images

from aecodec.codec.codec import Codec
from aecodec.container.parts import LATENT_DECODER
from aecodec.errors import ENDING_SIGNALS, ModelCorruptError, ModelMismatchError
from aecodec.models.file import pack_model, unpack_model
from aecodec.models.model import Model
from aecodec.nets.dequantizer import DequantizerConfig
from aecodec.nets.latent_decoder import AutoencoderConfig
from aecodec.nets.latent_prior import PriorConfig
from aecodec.nets.pixel_model import PixelConfig
from aecodec.nets.planes import PlaneGrid
from aecodec.targets import QUALITY, Target
from aecodec.training import loop
from aecodec.training.draws import Draws, normal_like, uniform_like
from aecodec.training.factorized_prior import FactorizedPrior, soft_round
from aecodec.training.latent_objective import LatentObjective
from aecodec.training.latents import LatentConfig, train_autoencoder
from aecodec.training.loop import Trainer, _shifted
from aecodec.training.muon import Muon, _orthogonalize
from aecodec.training.objective import Objective
from aecodec.training.pixel_objective import DequantizerObjective, PixelObjective
from aecodec.training.prior_objective import PriorObjective
from aecodec.twins.starting import normal, seeded
from aecodec.uses.networks import DenseAutoencoder, LinearAutoencoder
from aecodec.uses.objectives import TableMapObjective
from aecodec.uses.stored import build

IMAGES = smooth_images(GRAY, 48)
CONFIG = LatentConfig(steps=4, batch_images=18, warmup=2)
ABOUT = {"data": "cosines", "data_sha256": "0" * 64}


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setattr(AutoencoderConfig, "for_shape", classmethod(lambda cls, h, w, c: GRAY))


def train(config: LatentConfig = CONFIG, **options) -> Model:
    return train_autoencoder(IMAGES, config, name="t", provenance=ABOUT, **options)


def weights(model: Model) -> dict[str, bytes]:
    part = model.parts[LATENT_DECODER].tensors
    return {k: v.tobytes() for k, v in {**part, **model.encoder}.items()}


def stop_at(last: int):
    def report(step: int, numbers: dict[str, float]) -> None:
        if step == last:
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="module")
def uninterrupted() -> Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoencoderConfig, "for_shape", classmethod(lambda cls, h, w, c: GRAY))
        return train()


def test_model_is_usable(uninterrupted):
    model = unpack_model(pack_model(uninterrupted))
    codec = Codec(model)
    chunk = codec.encode_chunk(IMAGES, Target(QUALITY, 5))
    decoded = codec.decode_chunk(chunk, (8, 8, 1), "it")
    assert chunk.max_error == np.abs(decoded.astype(int) - IMAGES).max()


def test_model_says_how_it_was_made(uninterrupted):
    about = uninterrupted.training
    assert about["steps_done"] == 4
    assert about["data_sha256"] == ABOUT["data_sha256"]
    assert about["recipe"]["steps"] == 4
    assert about["recipe"]["seed"] == 0
    assert len(about["validation_psnr_db"]) == 9
    floors = uninterrupted.encoder_config["mse_p999"]
    assert len(floors) == 9
    assert all(floor > 0 for floor in floors)


def test_report_is_called_each_step():
    seen: dict[int, dict[str, float]] = {}
    train(report=lambda step, numbers: seen.update({step: numbers}))
    assert list(seen) == [1, 2, 3, 4]
    assert all(set(numbers) == {"loss", "bpp", "psnr"} for numbers in seen.values())
    assert all(np.isfinite(list(numbers.values())).all() for numbers in seen.values())


def test_same_seed_same_weights(uninterrupted):
    assert weights(train()) == weights(uninterrupted)


def test_other_seed_other_weights(uninterrupted):
    assert weights(train(replace(CONFIG, seed=1))) != weights(uninterrupted)


def test_training_learns():
    losses: list[float] = []
    config = replace(CONFIG, steps=60, batch_images=72)
    train(config, report=lambda step, numbers: losses.append(numbers["loss"]))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


@pytest.mark.parametrize("last", [1, 3])
def test_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path, uninterrupted, last):
    checkpoint = tmp_path / "t.ckpt"
    stopped = train(checkpoint=checkpoint, report=stop_at(last))
    assert stopped.training["steps_done"] == last
    assert weights(stopped) != weights(uninterrupted)
    Codec(stopped).encode_chunk(IMAGES, Target(QUALITY, 5))  # usable, if poor
    resumed = train(checkpoint=checkpoint, resume=True)
    assert resumed.training["steps_done"] == 4
    assert weights(resumed) == weights(uninterrupted)


def test_checkpoints_are_written_on_the_way(tmp_path, uninterrupted):
    checkpoint = tmp_path / "t.ckpt"
    config = replace(CONFIG, checkpoint_s=0.0)
    train(config, checkpoint=checkpoint)
    assert checkpoint.is_file()
    resumed = train(config, checkpoint=checkpoint, resume=True)  # nothing is left to do
    assert weights(resumed) == weights(uninterrupted)


def test_without_resume_a_checkpoint_is_not_read(tmp_path, uninterrupted):
    checkpoint = tmp_path / "t.ckpt"
    checkpoint.write_bytes(b"junk")
    assert weights(train(checkpoint=checkpoint)) == weights(uninterrupted)


@pytest.mark.parametrize(
    "config", [replace(CONFIG, steps=5), replace(CONFIG, lr=1e-3), replace(CONFIG, seed=2)]
)
def test_checkpoint_of_other_options(tmp_path, config):
    checkpoint = tmp_path / "t.ckpt"
    train(checkpoint=checkpoint, report=stop_at(1))
    with pytest.raises(ModelMismatchError, match=r"t\.ckpt: checkpoint of another run"):
        train(config, checkpoint=checkpoint, resume=True)


def test_checkpoint_of_other_data(tmp_path):
    checkpoint = tmp_path / "t.ckpt"
    train(checkpoint=checkpoint, report=stop_at(1))
    with pytest.raises(ModelMismatchError, match="checkpoint of another run"):
        train_autoencoder(
            IMAGES,
            CONFIG,
            name="t",
            provenance={**ABOUT, "data_sha256": "1" * 64},
            checkpoint=checkpoint,
            resume=True,
        )


def rewritten(change):
    """A checkpoint with other tensors and metadata, as ``change`` returns them."""

    def damage(data: bytes) -> bytes:
        nbytes = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + nbytes])["__metadata__"]["aecodec"])
        tensors, metadata = change(safetensors.torch.load(data), about)
        return safetensors.torch.save(tensors, metadata)

    return damage


def said(about: object) -> dict[str, str]:
    return {"aecodec": json.dumps(about)}


def without(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v for k, v in tensors.items() if not k.startswith(name)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: b"junk",
        lambda d: d[:-50],
        lambda d: b"",
        rewritten(lambda t, about: (t, None)),
        rewritten(lambda t, about: (t, {"other": "x"})),
        rewritten(lambda t, about: (t, said({}))),
        rewritten(lambda t, about: (t, said([]))),
        rewritten(lambda t, about: (t, said({**about, "step": "some"}))),
        rewritten(lambda t, about: (without("now.model.log_step", t), said(about))),
        rewritten(lambda t, about: (without("averaged.", t), said(about))),
        rewritten(lambda t, about: ({**t, "now.typical": torch.zeros(3)}, said(about))),
        rewritten(lambda t, about: ({**t, "optimizer0.x.y": torch.zeros(3)}, said(about))),
    ],
)
def test_damaged_checkpoint(tmp_path, damage):
    checkpoint = tmp_path / "t.ckpt"
    train(checkpoint=checkpoint, report=stop_at(1))
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(ModelCorruptError, match=r"t\.ckpt: damaged checkpoint"):
        train(checkpoint=checkpoint, resume=True)


def test_images_are_split_once_for_all():
    images = np.arange(120, dtype=np.uint8).reshape(120, 1, 1, 1)
    kept, held = loop.split_images(images, CONFIG)
    assert len(held) == 10
    assert sorted([*kept.ravel(), *held.ravel()]) == list(range(120))
    again = loop.split_images(images, CONFIG)[1]
    np.testing.assert_array_equal(held, again)
    few = images[:10]
    assert all(part is few for part in loop.split_images(few, CONFIG))


def test_shifted_images_are_moved_by_a_pixel_at_most():
    images = np.random.default_rng(0).integers(1, 256, (60, 5, 7, 2), np.uint8)
    moved = _shifted(images, torch.Generator().manual_seed(0))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    ways = [padded[:, y : y + 5, x : x + 7] for y in range(3) for x in range(3)]
    found = np.array([(way == moved).all(axis=(1, 2, 3)) for way in ways])
    assert found.any(axis=0).all()
    assert found.any(axis=1).all()  # every way there is


def test_the_end_of_training_is_plain_and_on_what_is_named_for_it():
    config = LatentConfig(steps=10, batch_images=18, shift=1.0, final_share=0.3)
    black, white = np.zeros((9, *IMAGES.shape[1:]), np.uint8), np.full((9, *IMAGES.shape[1:]), 255)
    objective = TableMapObjective(LinearAutoencoder(4, 2), np.eye(4))
    trainer = Trainer(objective, config, torch.device("cpu"), "")
    generator = torch.Generator().manual_seed(0)
    shares = []
    for trainer.step in range(10):
        batch = trainer._batch(black, white.astype(np.uint8), generator)
        shares.append(float((batch == 255).mean()))
    assert shares == [0.0] * 7 + [0.5] * 3
    trainer.step = 0
    assert 0 < (trainer._batch(white.astype(np.uint8), None, generator) == 0).mean() < 0.5  # moved
    trainer.step = 9
    assert (trainer._batch(white.astype(np.uint8), None, generator) == 255).all()


def test_lmbdas_are_a_geometric_row():
    row = CONFIG.lmbdas()
    assert row[0] == pytest.approx(3.5e-5)
    assert row[8] == pytest.approx(4e-2)
    np.testing.assert_allclose(row[1:] / row[:-1], row[1] / row[0])


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (9, 9)])
def test_muon_steps_are_nearly_orthogonal(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(_orthogonalize(matrix[None])[0])
    assert values.max() < 1.4
    assert values.min() > 0.3


def test_muon_leaves_alone_what_has_no_gradient():
    p = torch.nn.Parameter(torch.ones(2, 2))
    Muon([p], lr=1.0).step()
    assert torch.equal(p, torch.ones(2, 2))


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING_SIGNALS])
def test_signal_within_a_step_waits_for_its_end(tmp_path, uninterrupted, monkeypatch, number):
    checkpoint = tmp_path / "t.ckpt"
    average = Trainer._average

    def strike(self):
        if self.step == 1:  # after the optimizers, before the step counts
            signal.raise_signal(number)
        average(self)

    before = signal.getsignal(number)
    monkeypatch.setattr(Trainer, "_average", strike)
    stopped = train(checkpoint=checkpoint)
    assert stopped.training["steps_done"] == 2
    assert signal.getsignal(number) is before
    monkeypatch.setattr(Trainer, "_average", average)
    assert weights(train(checkpoint=checkpoint, resume=True)) == weights(uninterrupted)


# ---------------------------------------------------------------- going on from a model


def test_training_goes_on_from_a_model(uninterrupted):
    losses: list[float] = []
    config = replace(CONFIG, steps=2, lr_matrices=1e-9, lr=1e-9, lr_rate=1e-9, weight_decay=0.0)
    model = train(config, base=uninterrupted, report=lambda i, n: losses.append(n["loss"]))
    assert model.training["earlier"]["steps_done"] == 4
    for name, tensor in uninterrupted.encoder.items():
        np.testing.assert_allclose(model.encoder[name], tensor, atol=1e-5)
    before = uninterrupted.training["validation_psnr_db"]
    np.testing.assert_allclose(model.training["validation_psnr_db"], before, atol=0.05)


def test_training_goes_on_from_no_model_of_another_width(uninterrupted, monkeypatch):
    other = replace(GRAY, hidden=20)
    monkeypatch.setattr(AutoencoderConfig, "for_shape", classmethod(lambda cls, h, w, c: other))
    with pytest.raises(ModelMismatchError, match=r"model 't': its layer L is .* expected"):
        train(base=uninterrupted)


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 6.0, 40.0])
def test_soft_rounding_lies_between_nothing_and_rounding(sharpness):
    v = torch.linspace(-2, 2, 401)
    soft = soft_round(v, sharpness)
    assert (soft.diff() >= -1e-6).all()
    assert ((soft - torch.floor(v + 0.5)).abs() <= (v - torch.floor(v + 0.5)).abs() + 1e-6).all()
    torch.testing.assert_close(soft[::50], v[::50])  # halves stay where they are


def test_prior_is_fitted_to_latents():
    with seeded(0) as generator:
        v = normal(9, 4000, 3) * torch.tensor([0.1, 1, 8]) + torch.tensor([0.0, 3, -20])
        prior = FactorizedPrior.fitted(v)
        bits = prior.rate_est_bits(v + uniform_like(v, generator) - 0.5).mean((0, 1)).tolist()
    assert bits[0] < 0.6
    assert bits[1] == pytest.approx(2.1, abs=0.15)  # log2(sqrt(2 pi e)), and a little noise
    assert bits[2] == pytest.approx(5.05, abs=0.15)


# ---------------------------------------------------------------- random numbers


def test_the_callers_generator_is_left_alone(uninterrupted):
    state = torch.get_rng_state()
    assert weights(train(replace(CONFIG, flip=0.5, shift=0.5))) != weights(uninterrupted)
    train(base=uninterrupted)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_callers_generator_has_no_effect(uninterrupted):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert weights(train()) == weights(uninterrupted)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_draws_are_those_of_the_default_generator_with_the_same_seed(order):
    """So weights are those of versions that seeded the default generator."""
    x = torch.zeros(3, 4, 5, 2).permute(order)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = [torch.rand(7), torch.rand_like(x), torch.randn_like(x)]
    generator = Draws(5).on("cpu")
    found = [torch.rand(7, generator=generator), uniform_like(x, generator)]
    found.append(normal_like(x, generator))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


# ---------------------------------------------------------------- optimizers


def objectives() -> dict[str, Objective]:
    shape, rows = (8, 8, 1), np.random.default_rng(0).normal(size=(20, 12))
    y, log_step = rows.astype(np.float32), np.zeros((9, 12), np.float32)
    grid = PlaneGrid.of(IMAGES)
    settings = {
        "map": {"use": "map", "latents": 2},
        "bernoulli": {"use": "vae", "latents": 2, "likelihood": "bernoulli"},
        "gaussian": {"use": "vae", "latents": 2, "likelihood": "gaussian"},
        "denoise": {"use": "denoise", "sigma": 0.5, "noises": ["gaussian"]},
    }
    return {
        "latents": LatentObjective(IMAGES, GRAY, CONFIG.lmbdas()),
        "one trunk": LatentObjective(IMAGES, replace(GRAY, low_below=0), CONFIG.lmbdas()),
        "prior": PriorObjective(
            PriorConfig(12, 2, 16), y, log_step, np.full((9, 12), 8, np.uint16), 64
        ),
        "pixels": PixelObjective(PixelConfig(1, 8, 2, toned=False, underlaid=False), grid),
        "all": PixelObjective(PixelConfig(1, 8, 2, toned=True, underlaid=True), grid),
        "dequantizer": DequantizerObjective(DequantizerConfig(1, 8), grid),
        "linear": TableMapObjective(LinearAutoencoder(12, 2), rows),
        "dense": TableMapObjective(DenseAutoencoder(12, 2), rows),
        **{name: build(shape, each) for name, each in settings.items()},
    }


def groups_by_name(module: torch.nn.Module) -> tuple[list[str], list[str], list[str]]:
    """The rule by which the released models were trained."""
    matrices: list[str] = []
    rate: list[str] = []
    rest: list[str] = []
    for name, p in module.named_parameters():
        if "log_" in name or name.startswith("prior."):
            rate.append(name)
        elif name.endswith(".weight") and p.dim() >= 2 and ".linear." not in name:
            matrices.append(name)
        else:
            rest.append(name)
    return matrices, rate, rest


@pytest.mark.parametrize("name", objectives())
def test_every_parameter_has_the_optimizer_it_always_had(name):
    objective = objectives()[name]
    names = {id(p): name for name, p in objective.named_parameters()}
    groups = objective.parameter_groups()
    found = tuple(
        [names[id(p)] for p in group] for group in (groups.matrices, groups.rate, groups.rest)
    )
    assert found == groups_by_name(objective)


def test_every_objective_is_tested():
    def kinds(kind: type) -> set[type]:
        return {kind}.union(*(kinds(each) for each in kind.__subclasses__()))

    tested = {type(each) for each in objectives().values()}
    ours = {each for each in kinds(Objective) if not each.__abstractmethods__}
    assert tested == ours
