"""``aecodec train`` without another use: the layers of a codec's model, one after the other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.cli.progress import steps_bar
from aecodec.cli.train_end import UNFINISHED, end_interrupted, model_name, say_where_it_goes_on
from aecodec.cli.train_input import configure, load_indices, load_set
from aecodec.container.parts import LATENT_PRIOR, VARIANTS
from aecodec.io.atomic import atomic_path
from aecodec.io.strict_json import strict_json
from aecodec.targets import QUALITIES, QUALITY, QUALITY_MAX, QUALITY_MIN, Target

if TYPE_CHECKING:
    from aecodec.arrays import Images
    from aecodec.models.model import Model
    from aecodec.training.layers import Setup
    from aecodec.training.loop import TrainConfig

Measured = Sequence[float] | Mapping[str, float]  # by quality; by quality or bound


def train_layers(a: argparse.Namespace, output: Path) -> int:
    """Train the layers, write the model after each, and say what it reaches.

    Until the last one is trained, the model's name says that it is unfinished. Returns the exit
    status.
    """
    from aecodec.models.file import pack_model
    from aecodec.models.model import Model
    from aecodec.training.layers import LAYERS, trained_for_other_latents

    layers = _layers(a.layers)
    continued = _load(output) if a.resume and output.exists() else None
    name = model_name(a.name, output, continued.name if continued else None)
    base = _load(a.base)
    model = continued or base
    images, data = load_set(a.input)
    shape = (images.shape[1], images.shape[2], images.shape[3])
    if model is not None:
        model.require_shape(shape)
    _check_needed(a, layers, model)
    setup = _setup(a, layers, images, data, base)
    configs = _configs(a, layers)
    outdated = trained_for_other_latents(model, layers, setup)
    model = replace(model or Model(name, shape, {}), name=name)
    facts: dict[str, dict[str, Any]] = {}
    about: Mapping[str, Any] = {}
    for layer in layers:
        config = configs[layer]
        if continued is None or not LAYERS[layer].is_done(model, setup, config.steps):
            model = _train(a, layer, setup, config, model)
        about = LAYERS[layer].training_of(model, setup)
        facts[layer] = _facts(about, config.steps, LAYERS[layer].measured)
        finished = facts[layer]["finished"]
        ends = finished and layer == layers[-1]
        written = replace(model, name=name if ends else name + UNFINISHED)
        with atomic_path(output, force=a.force or layer != layers[0]) as temporary:
            temporary.write_bytes(pack_model(written))
        _say(a, layer, about[LAYERS[layer].measured])
        if not finished:
            break
        _checkpoint(a, layer, setup).unlink(missing_ok=True)
    _say_all(a, written, facts, outdated)
    return 0 if finished else end_interrupted(output, about)


def _load(path: str | Path | None) -> Model | None:
    from aecodec.models.finding import load_model

    return load_model(path) if path else None


def _layers(text: str) -> list[str]:
    """``--layers`` in the order of training."""
    from aecodec.training.layers import LAYERS

    layers = text.split(",")
    if not set(layers) <= set(LAYERS) or len(set(layers)) < len(layers):
        raise ValueError(f"--layers: expected some of {','.join(LAYERS)}, got {text!r}")
    return [layer for layer in LAYERS if layer in layers]


def _check_needed(a: argparse.Namespace, layers: Sequence[str], model: Model | None) -> None:
    """ValueError for a layer that needs others, which are neither trained nor in ``model``."""
    present = {"l": bool(model and model.encoder), "p": bool(model and LATENT_PRIOR in model.parts)}
    missing = [layer for layer in present if not present[layer] and layer not in layers]
    if "p" in layers and "l" in missing:
        raise ValueError(
            "--layers p: the latents' prior needs layer l, trained with it or in --base"
        )
    if a.underlay is None:
        return
    if "r" not in layers:
        raise ValueError(f"--underlay: of layer r, expected in --layers, got {a.layers!r}")
    if not QUALITY_MIN <= a.underlay <= QUALITY_MAX:
        raise ValueError(
            f"--underlay: expected a quality of {QUALITY_MIN:g} to {QUALITY_MAX:g}, "
            f"got {a.underlay:g}"
        )
    if missing:
        raise ValueError(
            f"--underlay: latents need layers l and p, trained with the pixel model or in --base: "
            f"{missing[0]} is missing"
        )


def _setup(
    a: argparse.Namespace,
    layers: Sequence[str],
    images: Images,
    data: Mapping[str, object],
    base: Model | None,
) -> Setup:
    """What the options say about all layers."""
    from aecodec.training.layers import Setup

    uses_exact = a.exact and {"r", "d"} & set(layers)
    return Setup(
        images,
        data,
        base,
        pixel_part=VARIANTS[a.variant],
        tones=a.tones,
        underlay=None if a.underlay is None else Target(QUALITY, a.underlay).stored,
        exact=load_indices(a.exact, len(images)) if uses_exact else None,
        device=a.device,
        resume=a.resume,
    )


def _configs(a: argparse.Namespace, layers: Sequence[str]) -> dict[str, TrainConfig]:
    """The configuration of each layer."""
    from aecodec.training.layers import LAYERS

    configs = {layer: configure(LAYERS[layer].config, a) for layer in layers}
    if "l" in layers and configs["l"].batch_images % QUALITIES:
        raise ValueError(f"--batch: expected a multiple of nine, got {configs['l'].batch_images}")
    return configs


def _train(
    a: argparse.Namespace, layer: str, setup: Setup, config: TrainConfig, model: Model
) -> Model:
    """Train one layer under a progress bar."""
    from aecodec.training.layers import train_layer

    checkpoint = _checkpoint(a, layer, setup)
    if a.resume:
        say_where_it_goes_on(checkpoint, f"layer {layer}", quiet=a.quiet)
    title = f"train r, {a.variant}" if layer == "r" else f"train {layer}"
    with steps_bar(title, config.steps, off=a.quiet) as report:
        try:
            return train_layer(layer, setup, config, model, checkpoint=checkpoint, report=report)
        except ValueError as error:
            if str(error).startswith("underlay: "):  # a parameter that is an option here
                raise ValueError(f"--{error}") from error
            raise


def _checkpoint(a: argparse.Namespace, layer: str, setup: Setup) -> Path:
    """Where a layer's training keeps its state, until the model with the layer is written."""
    from aecodec.training.layers import LAYERS

    output = Path(a.output)
    infix = "" if layer == "l" else f".{LAYERS[layer].part_of(setup)}"
    return output.with_name(f"{output.name}{infix}.ckpt")


def _facts(about: Mapping[str, Any], steps: int, measured: str) -> dict[str, Any]:
    """What --json says about a layer."""
    done = about["steps_done"]
    return {"steps_done": done, "finished": done >= steps, measured: about[measured]}


def _say(a: argparse.Namespace, layer: str, measured: Measured) -> None:
    """Say what a layer reaches on the images held out."""
    if not (a.json or a.quiet):
        print(f"{a.output}: layer {layer}, {_measured_text(layer, measured)}")


def _measured_text(layer: str, measured: Measured) -> str:
    if not isinstance(measured, Mapping):
        return "validation PSNR at quality 1 to 9: " + " ".join(f"{v:.2f}" for v in measured)
    what, digits = {
        "p": ("bpp at quality", 3),
        "r": ("bpp at max error", 3),
        "d": ("gain in dB at max error", 2),
    }[layer]
    return f"validation {what} " + ", ".join(f"{k}: {v:.{digits}f}" for k, v in measured.items())


def _say_all(
    a: argparse.Namespace,
    model: Model,
    facts: Mapping[str, Mapping[str, Any]],
    outdated: Sequence[str],
) -> None:
    """Say which parts do not fit the latents any more, and with --json all that was trained."""
    if outdated and not a.quiet:
        names = ", ".join(outdated)
        print(f"trained for latents that layer l had before: {names}", file=sys.stderr)
    if a.json:
        about = {"output": a.output, "name": model.name, "shape": list(model.the_shape())}
        sizes = {part.name: part.nbytes for part in model.parts.values()}
        print(strict_json({**about, "layers": facts, "parts_nbytes": sizes}))
