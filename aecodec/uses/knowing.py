"""Whether a trained network knows a set: its error there against that on its validation images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aecodec.arrays import evenly
from aecodec.held_rows import Rows
from aecodec.models.finding import load_model
from aecodec.uses.stored import FOLDER, MAP, restore

if TYPE_CHECKING:
    from aecodec.models.model import Model

MAP_FACTOR = (
    1.5  # how much larger the error of a set that is known may be than on validation images
)
ELBO_FACTOR = 1.2  # the same of the evidence bound, a part of which no model can avoid
SAMPLE_IMAGES = 256


def knows_by_map(model: Model, mse: float) -> bool:
    """Whether a model for maps knows images with this mean squared error, gray levels squared."""
    usual = model.training.get("validation_mse_255")
    return usual is None or mse <= MAP_FACTOR * float(usual)


def knows_by_elbo(model: Model, elbo_nats: float) -> bool:
    """Whether a variational autoencoder knows images with this evidence bound, nats an image."""
    usual = model.training.get("validation_elbo_nats")
    return usual is None or -elbo_nats <= ELBO_FACTOR * abs(float(usual))


def bundled_map_for(images: Rows, dims: int) -> Model | None:
    """The bundled model for maps of ``dims`` dimensions that knows images (N, H, W, C) best."""
    from aecodec.uses.maps import map_error

    shape = (images.shape[1], images.shape[2], images.shape[3])
    few = images[evenly(len(images), SAMPLE_IMAGES)]
    best: tuple[float, Model] | None = None
    for path in sorted(FOLDER.glob(f"*-{MAP}.safetensors")):
        model = load_model(path)
        if not model.fits(shape) or model.encoder_config["latents"] != dims:
            continue
        error = map_error(restore(model), few)
        share = error / float(model.training["validation_mse_255"])
        if knows_by_map(model, error) and (best is None or share < best[0]):
            best = share, model
    return best[1] if best else None
