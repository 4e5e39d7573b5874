"""``aecodec train``: a codec's model, or a small network for another use."""

from __future__ import annotations

import argparse
from pathlib import Path

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import refuse_existing, refuse_pipe
from aecodec.cli.options import IMAGE_SETS, InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.train_end import say_kept
from aecodec.container.parts import DEQUANTIZER, LATENT_PRIOR, PIXEL_FAST, VARIANTS
from aecodec.io.claims import claimed

CHECKPOINTS = ("", *(f".{part}" for part in (LATENT_PRIOR, DEQUANTIZER, *VARIANTS.values())))


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN", help=IMAGE_SETS)
    sub.add_argument(
        "-o",
        "--output",
        type=OutputPath,
        metavar="MODEL",
        required=True,
        help="a .safetensors file",
    )
    sub.add_argument("--name", help="what files call the model (default: MODEL's name)")
    sub.add_argument(
        "--layers",
        default="l,p,r,d",
        help="l (latents), p (their prior), r (pixel model), d (dequantizer); all",
    )
    sub.add_argument(
        "--variant",
        choices=list(VARIANTS),
        default=next(name for name, part in VARIANTS.items() if part == PIXEL_FAST),
        help="of r (fast)",
    )
    sub.add_argument("--base", type=ModelPath, metavar="MODEL", help="continue from this model")
    sub.add_argument(
        "--steps",
        type=int,
        help="optimizer steps of each layer (32000, 6000, 6000, 5000), or in all (7000)",
    )
    sub.add_argument(
        "--batch", type=int, help="images a step (144 l, a multiple of nine; 288 p, 128)"
    )
    _add_uses(sub)
    _add_details(sub)
    add_force(sub)
    add_talk(sub)


def _add_uses(sub: argparse.ArgumentParser) -> None:
    """What to train instead of a codec."""
    use = sub.add_mutually_exclusive_group()
    use.add_argument("--map", action="store_true", help="instead: an autoencoder for map")
    use.add_argument("--vae", action="store_true", help="instead: a variational one for generate")
    use.add_argument(
        "--denoise", type=float, metavar="SIGMA", help="instead: one for denoise, levels 0 to SIGMA"
    )
    sub.add_argument("--latent-dim", type=int, metavar="D", help="latents of map and vae (2)")
    sub.add_argument("--likelihood", choices=["bernoulli", "gaussian"], help="of vae (bernoulli)")
    sub.add_argument(
        "--noise", metavar="KINDS", help="of denoise: gaussian,salt-and-pepper,masking (all)"
    )


def _add_details(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--exact", type=InputPath, metavar="NPY", help="indices of the images that r ends on"
    )
    sub.add_argument("--flip", type=float, help="share of images mirrored in training (0)")
    sub.add_argument("--shift", type=float, help="share moved by up to a pixel, not at the end (0)")
    sub.add_argument("--tones", action="store_true", help="r learns a table of gray levels, too")
    sub.add_argument(
        "--underlay",
        type=float,
        metavar="Q",
        help="r predicts from what latents of this quality decode to; it needs l and p",
    )
    sub.add_argument("--weight-decay", type=float, metavar="W", help="0.1 for l, 0.3 for r")
    sub.add_argument("--lr-scale", type=float, metavar="F", help="times the learning rates (1)")
    sub.add_argument("--seed", type=int, help="of weights, batches and noise (0)")
    sub.add_argument("--validation", type=float, help="share of images held out (1/12, <= 5000)")
    sub.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    sub.add_argument("--resume", action="store_true", help="continue from MODEL.ckpt")


def run(a: argparse.Namespace) -> int:
    """Train until the end or an interruption, and write the model; returns the exit status."""
    refuse_pipe(a.output, "checkpoints are written beside it")
    refuse_foreign_ending(a.output, ".safetensors")
    refuse_existing(a.output, force=a.force)
    try:
        with claimed(inputs=(), outputs=[f"{a.output}{infix}.ckpt" for infix in CHECKPOINTS]):
            return _train(a)
    except KeyboardInterrupt:  # training itself ends otherwise: this came before it, or after
        say_kept(Path(a.output))
        raise


def _train(a: argparse.Namespace) -> int:
    if a.map or a.vae or a.denoise is not None:
        from aecodec.cli.train_use import train_use

        return train_use(a, Path(a.output))
    from aecodec.cli.train_layers import train_layers

    return train_layers(a, Path(a.output))
