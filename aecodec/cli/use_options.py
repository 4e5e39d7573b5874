"""Options of the other uses' commands, for the parser: the standard library alone."""

from __future__ import annotations

from typing import Any

SETS = "IDX (gzipped or not), .npy, .npz, a folder of pictures, or an .aez"


def add_train_options(sub: Any) -> None:  # noqa: ANN401
    """Of ``train``: what to train instead of a codec."""
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


def add_map_options(sub: Any) -> None:  # noqa: ANN401
    """Of ``map``."""
    sub.add_argument("input", metavar="IN", help=f"a table (.npy, .csv), or images: {SETS}")
    sub.add_argument(
        "-o", "--output", metavar="MAP", required=True, help=".png, .html, or .npy of the points"
    )
    how = sub.add_mutually_exclusive_group()
    how.add_argument(
        "--linear", action="store_true", help="without activations: finds what PCA finds"
    )
    how.add_argument("--nonlinear", action="store_true", help="the default")
    sub.add_argument("--dims", type=int, choices=[2, 3], default=2, help="of the map (2)")
    sub.add_argument("--labels", metavar="FILE", help="IDX, .npy, or a text of one a line")
    sub.add_argument(
        "--model", metavar="NAME|FILE", help="trained for map, or a codec's; else one is trained"
    )
    sub.add_argument("--steps", type=int, help="optimizer steps, where one is trained (5000)")
    sub.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")


def add_generate_options(sub: Any) -> None:  # noqa: ANN401
    """Of ``generate``."""
    sub.add_argument(
        "--model", metavar="NAME|FILE", required=True, help="mnist, fashion, or one of train --vae"
    )
    sub.add_argument("-o", "--output", metavar="OUT", help=".png of a grid, or .npy of the images")
    sub.add_argument("-n", type=int, default=64, metavar="N", help="how many images (64)")
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--manifold", action="store_true", help="the plane of a 2-D latent")
    what.add_argument(
        "--interpolate",
        nargs=2,
        type=int,
        metavar=("A", "B"),
        help="from image A to image B of --from; without that, from one sample to another",
    )
    sub.add_argument("--from", dest="source", metavar="IN", help=f"images to go between: {SETS}")
    sub.add_argument("--seed", type=int, default=0, help="of the samples (0)")
    sub.add_argument("--elbo", metavar="IN", help=f"tell the evidence bound on a set: {SETS}")


def add_denoise_options(sub: Any) -> None:  # noqa: ANN401
    """Of ``denoise``."""
    sub.add_argument("input", metavar="IN", help=SETS)
    sub.add_argument("-o", "--output", metavar="OUT", help="a set of the kind that the name tells")
    sub.add_argument(
        "--model", metavar="NAME|FILE", required=True, help="mnist, fashion, or one of train"
    )
    sub.add_argument("--against", metavar="CLEAN", help="the originals: tell PSNR before and after")
    sub.add_argument(
        "--add-noise",
        nargs=2,
        metavar=("KIND", "LEVEL"),
        help="IN is clean: add gaussian (clipped), salt-and-pepper or masking noise first",
    )
    sub.add_argument("--seed", type=int, default=0, help="of that noise (0)")
    sub.add_argument("--sheet", metavar="PNG", help="draw noisy, denoised and original images")


def add_sheet_options(sub: Any) -> None:  # noqa: ANN401
    """Of ``sheet``."""
    sub.add_argument("input", metavar="FILE.aez")
    sub.add_argument("--against", metavar="IN", required=True, help="the originals")
    sub.add_argument("-o", "--output", metavar="PNG", required=True)
    sub.add_argument("-n", type=int, default=10, metavar="N", help="how many, evenly spread (10)")
