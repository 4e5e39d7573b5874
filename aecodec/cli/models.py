"""``aecodec models``."""

from __future__ import annotations

import argparse

from aecodec.io.strict_json import strict_json


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("--json", action="store_true", help="a JSON list on standard output")
    sub.set_defaults(verbose=True)  # what was passed over belongs to the list


def run(a: argparse.Namespace) -> int:
    """List the models on this machine; returns the exit status."""
    from aecodec.models.finding import installed_models
    from aecodec.models.model import shape_text

    models = installed_models()
    if a.json:
        facts = [
            {
                "name": model.name,
                "shape": list(model.the_shape()),
                "parts": {name: digest.hex() for name, digest in model.fingerprints().items()},
                "decoder_nbytes": sum(part.nbytes for part in model.parts.values()),
                "training": dict(model.training),
            }
            for model in models
        ]
        print(strict_json(facts))
        return 0
    for model in models:
        digests = model.fingerprints().items()
        parts = ", ".join(f"{name} {digest.hex()[:16]}" for name, digest in digests)
        nbytes = sum(part.nbytes for part in model.parts.values())
        print(f"{model.name:12} {shape_text(model.the_shape()):10} {nbytes:>9,} bytes  {parts}")
    return 0
