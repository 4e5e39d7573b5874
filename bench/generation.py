"""What evidence bound do the variational autoencoders reach on a test set? Facts, as JSON.

usage: python bench/generation.py IN --model mnist mnist-vae20

One sample of the latents an image; what the bound is of stands beside it as its convention.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from common import add_result_options, facts, load_images, write_result

from aecodec.uses.generation import evidence
from aecodec.uses.stored import VAE, load_use, restore


def main(argv: Sequence[str] | None = None) -> None:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("input", metavar="IN", help="test images")
    parser.add_argument("--model", required=True, nargs="+")
    add_result_options(parser, "generation")
    a = parser.parse_args(argv)
    images = load_images(Path(a.input))
    results = []
    for name in a.model:
        model = load_use(name, VAE)
        bound = evidence(restore(model), images, seed=0)
        latents = model.encoder_config["latents"]
        results.append({"model": model.name, "latents": latents, **asdict(bound)})
        print(f"{model.name}, {latents} latents: {bound.elbo_nats:.2f} nats")
    write_result(a.name, {**facts(Path(a.input).name, images), "results": results}, a.results)


if __name__ == "__main__":
    main()
