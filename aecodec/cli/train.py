"""``aecodec train``: an image set in, a model file out."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Images
from aecodec.container.parts import DEQUANTIZER, LATENT_DECODER, LATENT_PRIOR, UNDERLAY
from aecodec.images import ImageSetError, open_images
from aecodec.io.atomic import atomic_path
from aecodec.models.file import pack_model
from aecodec.models.finding import load_model
from aecodec.models.model import Model
from aecodec.targets import QUALITY, QUALITY_MAX, QUALITY_MIN, Target

SIDE_MIN, SIDE_MAX = 8, 64
QUALITIES = 9
LAYERS = ("l", "p", "r", "d")  # in the order of training
Report = Callable[[int, dict[str, float]], None]


def fit_model(a: argparse.Namespace) -> int:
    """Run the command with its parsed options; returns the exit status."""
    output = Path(a.output)
    if output.exists() and not a.force:
        raise FileExistsError(17, "exists", str(output))
    layers = _layers(a.layers)
    a.resume_layers = a.resume and output.exists()  # some may be finished
    base = load_model(output if a.resume_layers else a.base) if a.resume_layers or a.base else None
    images, data = load_set(a.input)
    if base is not None:
        base.require_shape((images.shape[1], images.shape[2], images.shape[3]))
    _check_underlay(a, layers, base)
    name = a.name or (base.name if base else output.stem)
    moved = _left_behind(a, layers, base)
    told: dict[str, dict[str, Any]] = {}
    for layer in layers:
        fit = _FITS[layer]
        base, about = fit(
            a, images, data, Model(name, images.shape[1:], {}) if base is None else base
        )
        with atomic_path(output, force=a.force or layer != layers[0]) as temporary:
            temporary.write_bytes(pack_model(replace(base, name=name)))
        _tell(a, layer, about)
        told[layer] = {k: v for k, v in about.items() if k != "text"}
        if not about["finished"]:
            break
    if moved and not a.quiet:
        print(f"trained for latents that layer l had before: {', '.join(moved)}", file=sys.stderr)
    if a.json and base is not None:
        facts = {"output": a.output, "name": name, "shape": list(base.the_shape()), "layers": told}
        facts["parts_nbytes"] = {part.name: part.nbytes for part in base.parts.values()}
        print(json.dumps(facts))
    return 0


def _layers(text: str) -> list[str]:
    layers = text.split(",")
    if not set(layers) <= set(LAYERS) or len(set(layers)) < len(layers):
        raise ValueError(f"--layers: expected some of l,p,r,d, got {text!r}")
    return sorted(layers, key=LAYERS.index)


def _check_underlay(a: argparse.Namespace, layers: Sequence[str], base: Model | None) -> None:
    """What can be known of ``--underlay`` before the first layer is trained."""
    if a.underlay is None:
        return
    if "r" not in layers:
        raise ValueError(f"--underlay: of layer r, expected in --layers, got {a.layers!r}")
    if not QUALITY_MIN <= a.underlay <= QUALITY_MAX:
        raise ValueError(
            f"--underlay: expected a quality of {QUALITY_MIN:g} to {QUALITY_MAX:g}, "
            f"got {a.underlay:g}"
        )
    there = {"l": bool(base and base.encoder), "p": bool(base and LATENT_PRIOR in base.parts)}
    if missing := [layer for layer in there if not there[layer] and layer not in layers]:
        raise ValueError(
            f"--underlay: latents need layers l and p, trained with the pixel model or in --base: "
            f"{missing[0]} is missing"
        )


def _left_behind(a: argparse.Namespace, layers: Sequence[str], base: Model | None) -> list[str]:
    """Parts of the base that know latents which this run changes, and are not trained again."""
    from aecodec.container.parts import VARIANTS

    if base is None or "l" not in layers:
        return []
    trained = {LATENT_PRIOR} if "p" in layers else set()
    trained |= {VARIANTS[a.variant]} if "r" in layers else set()
    knowing = {name for name, part in base.parts.items() if UNDERLAY in part.tensors}
    knowing |= {LATENT_PRIOR} & set(base.parts)
    return sorted(knowing - trained)


# ---------------------------------------------------------------- layers


def _fit_latents(
    a: argparse.Namespace, images: Images, data: dict[str, Any], base: Model
) -> tuple[Model, dict[str, Any]]:
    """``base`` with layer L trained, and what to tell about it."""
    from aecodec.training.latents import LatentConfig, train_autoencoder

    config = configure(LatentConfig(), a)
    if config.batch_images < QUALITIES or config.batch_images % QUALITIES:
        raise ValueError(f"--batch: expected a multiple of nine, got {config.batch_images}")
    model = base
    if not (a.resume_layers and _is_done(base.training, config.steps, data) and base.encoder):
        with show_training(a, "l", config.steps, ".ckpt") as (checkpoint, report):
            model = train_autoencoder(
                images,
                config,
                name=base.name,
                provenance=data,
                base=load_model(a.base) if a.base else None,
                device=a.device,
                checkpoint=checkpoint,
                resume=a.resume,
                report=report,
            )
            _drop_finished(checkpoint, model.training, config.steps)
    others = {k: v for k, v in base.parts.items() if k != LATENT_DECODER}
    training = {**model.training, **{k: base.training[k] for k in others if k in base.training}}
    psnr = model.training["validation_psnr_db"]
    text = "validation PSNR at quality 1 to 9: " + " ".join(f"{v:.2f}" for v in psnr)
    return (
        replace(model, parts={**others, **model.parts}, training=training),
        _facts(model.training, config.steps, text, validation_psnr_db=psnr),
    )


def _fit_pixels(
    a: argparse.Namespace, images: Images, data: dict[str, Any], base: Model
) -> tuple[Model, dict[str, Any]]:
    """``base`` with the pixel model of ``--variant`` trained, and what to tell about it."""
    from aecodec.container.parts import VARIANTS
    from aecodec.training.pixels import PixelTrainConfig, train_pixel_model

    config = configure(PixelTrainConfig(), a)
    name = VARIANTS[a.variant]
    about = base.training.get(name, {})
    parts = dict(base.parts)
    if not (a.resume_layers and _is_done(about, config.steps, data) and name in parts):
        with show_training(a, f"r, {a.variant}", config.steps, f".{name}.ckpt") as (
            checkpoint,
            report,
        ):
            parts[name], about = train_pixel_model(
                images,
                config,
                name,
                provenance=data,
                exact=_load_indices(a.exact, len(images)) if a.exact else None,
                base=_to_go_on_from(a, base, name),
                tones=a.tones,
                underlay=_stored_quality(a.underlay),
                device=a.device,
                checkpoint=checkpoint,
                resume=a.resume,
                report=report,
            )
            _drop_finished(checkpoint, about, config.steps)
    bpp = about["validation_bpp"]
    text = "validation bpp at max error " + ", ".join(f"{k}: {v:.3f}" for k, v in bpp.items())
    return (
        replace(base, parts=parts, training={**base.training, name: about}),
        _facts(about, config.steps, text, validation_bpp=bpp),
    )


def _to_go_on_from(a: argparse.Namespace, base: Model, name: str) -> Model:
    """The model so far, but with the pixel model of ``--base``, or none: half done is resumed."""
    given = load_model(a.base) if a.base else None

    def settled(so_far: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        others = {k: v for k, v in so_far.items() if k != name}
        return {**others, **({name: before[name]} if name in before else {})}

    return replace(
        base,
        parts=settled(base.parts, given.parts if given else {}),
        training=settled(base.training, given.training if given else {}),
    )


def _stored_quality(quality: float | None) -> int | None:
    """``--underlay`` as it is stored."""
    if quality is None:
        return None
    return Target(QUALITY, quality).stored


def _fit_dequantizer(
    a: argparse.Namespace, images: Images, data: dict[str, Any], base: Model
) -> tuple[Model, dict[str, Any]]:
    """``base`` with the dequantizer trained, and what to tell about it."""
    from aecodec.training.pixels import DEQUANTIZER_STEPS, PixelTrainConfig, train_dequantizer

    config = configure(PixelTrainConfig(steps=DEQUANTIZER_STEPS), a)
    about = base.training.get(DEQUANTIZER, {})
    parts = dict(base.parts)
    if not (a.resume_layers and _is_done(about, config.steps, data) and DEQUANTIZER in parts):
        with show_training(a, "d", config.steps, f".{DEQUANTIZER}.ckpt") as (checkpoint, report):
            parts[DEQUANTIZER], about = train_dequantizer(
                images,
                config,
                provenance=data,
                exact=_load_indices(a.exact, len(images)) if a.exact else None,
                device=a.device,
                checkpoint=checkpoint,
                resume=a.resume,
                report=report,
            )
            _drop_finished(checkpoint, about, config.steps)
    gain = about["validation_gain_db"]
    text = "validation gain in dB at max error " + ", ".join(
        f"{k}: {v:.2f}" for k, v in gain.items()
    )
    return (
        replace(base, parts=parts, training={**base.training, DEQUANTIZER: about}),
        _facts(about, config.steps, text, validation_gain_db=gain),
    )


def _fit_prior(
    a: argparse.Namespace, images: Images, data: dict[str, Any], base: Model
) -> tuple[Model, dict[str, Any]]:
    """``base`` with the prior of its latents trained, and what to tell about it."""
    from aecodec.training.prior import PriorTrainConfig, train_prior

    if not base.encoder:
        raise ValueError(
            "--layers p: the latents' prior needs layer l, trained with it or in --base"
        )
    config = configure(PriorTrainConfig(), a)
    about = base.training.get(LATENT_PRIOR, {})
    parts = dict(base.parts)
    if not (a.resume_layers and _is_done(about, config.steps, data) and LATENT_PRIOR in parts):
        with show_training(a, "p", config.steps, f".{LATENT_PRIOR}.ckpt") as (checkpoint, report):
            parts[LATENT_PRIOR], about = train_prior(
                images,
                config,
                base,
                provenance=data,
                device=a.device,
                checkpoint=checkpoint,
                resume=a.resume,
                report=report,
            )
            _drop_finished(checkpoint, about, config.steps)
    bpp = about["validation_bpp"]
    text = "validation bpp at quality " + ", ".join(f"{k}: {v:.3f}" for k, v in bpp.items())
    return (
        replace(base, parts=parts, training={**base.training, LATENT_PRIOR: about}),
        _facts(about, config.steps, text, validation_bpp=bpp),
    )


_FITS = {"l": _fit_latents, "p": _fit_prior, "r": _fit_pixels, "d": _fit_dequantizer}


def configure(config: Any, a: argparse.Namespace) -> Any:  # noqa: ANN401
    """The layer's own defaults, with what the options name in their place."""
    chosen = {
        "steps": a.steps,
        "batch_images": a.batch,
        "flip": a.flip,
        "shift": a.shift,
        "weight_decay": a.weight_decay,
        "seed": a.seed,
        "validation": a.validation,
    }
    config = replace(config, **{k: v for k, v in chosen.items() if v is not None})
    if a.lr_scale is not None:
        rates = ("lr_matrices", "lr", "lr_rate")
        config = replace(config, **{k: a.lr_scale * getattr(config, k) for k in rates})
    if config.steps < 1:
        raise ValueError(f"--steps: expected 1 or more, got {config.steps}")
    if config.batch_images < 1:
        raise ValueError(f"--batch: expected 1 or more, got {config.batch_images}")
    if not 0 <= config.flip <= 1:
        raise ValueError(f"--flip: expected 0 to 1, got {config.flip}")
    if not 0 <= config.shift <= 1:
        raise ValueError(f"--shift: expected 0 to 1, got {config.shift}")
    if a.lr_scale is not None and not 0 < a.lr_scale <= 10:
        raise ValueError(f"--lr-scale: expected 0 to 10, got {a.lr_scale}")
    if not 0 <= config.weight_decay <= 10:
        raise ValueError(f"--weight-decay: expected 0 to 10, got {config.weight_decay}")
    if not 0 <= config.validation < 1:
        raise ValueError(f"--validation: expected 0 to 1, got {config.validation}")
    return config


def _is_done(about: Any, steps: int, data: dict[str, Any]) -> bool:  # noqa: ANN401
    """Whether a layer of the model to go on with has nothing left to train."""
    same_data = about.get("data_sha256") == data["data_sha256"]
    return same_data and bool(about.get("steps_done", 0) >= steps)


def _drop_finished(checkpoint: Path, about: Any, steps: int) -> None:  # noqa: ANN401
    if about["steps_done"] == steps:
        checkpoint.unlink(missing_ok=True)


def _facts(about: Any, steps: int, text: str, **measured: Any) -> dict[str, Any]:  # noqa: ANN401
    done = about["steps_done"]
    return {"steps_done": done, "finished": done >= steps, "text": text, **measured}


@contextmanager
def show_training(
    a: argparse.Namespace, what: str, steps: int, suffix: str
) -> Iterator[tuple[Path, Report]]:
    """Where checkpoints go, and a progress bar as the report."""
    from tqdm import tqdm

    output = Path(a.output)
    with tqdm(total=steps, unit=" steps", disable=a.quiet, desc=f"train {what}") as bar:
        shown: dict[str, float] = {}

        def report(step: int, numbers: dict[str, float]) -> None:
            for key, value in numbers.items():
                shown[key] = shown.get(key, value) * 0.98 + value * 0.02
            bar.update(step - bar.n)
            if step % 20 == 0:
                bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()}, refresh=False)

        yield output.with_name(output.name + suffix), report


def _tell(a: argparse.Namespace, layer: str, about: dict[str, Any]) -> None:
    if a.json or a.quiet:
        return
    print(f"{a.output}: layer {layer}, {about['text']}")
    if not about["finished"]:
        print(
            f"interrupted after {about['steps_done']} steps; the model is usable, and "
            "--resume -f continues",
            file=sys.stderr,
        )


# ---------------------------------------------------------------- input


def load_set(path: str) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    with open_images(sys.stdin.buffer if path == "-" else path) as source:
        height, width, _ = source.shape
        if not all(SIDE_MIN <= side <= SIDE_MAX for side in (height, width)):
            raise ImageSetError(
                f"{path}: images are {height}x{width}, sides {SIDE_MIN} to {SIDE_MAX} can be trained"
            )
        batches = list(source.batches(4096))
    if not batches:
        raise ImageSetError(f"{path}: the set is empty, nothing to train on")
    images = np.concatenate(batches)
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    name = Path(path).name if path != "-" else "standard input"
    return images, {"data": name, "data_sha256": digest, "images": len(images)}


def _load_indices(path: str, count: int) -> npt.NDArray[np.int64]:
    try:
        indices = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"--exact: {path} is not a .npy file of indices: {error}") from error
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(
            f"--exact: expected a row of whole numbers, got {indices.dtype} {indices.shape}"
        )
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        raise ValueError(f"--exact: expected indices 0 to {count - 1}, got {indices.max()}")
    whole: npt.NDArray[np.int64] = indices.astype(np.int64)
    return whole
