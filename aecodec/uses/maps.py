"""Maps: rows or images -> points of 2 or 3 dimensions by an autoencoder, compared with PCA.

A linear map is trained by Adam on squared error like any other network here, not solved. It finds
the subspace of PCA (Baldi and Hornik 1989), up to a change of axes within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from aecodec.arrays import Floats, evenly
from aecodec.held_rows import Rows, flattened, rows_at_once
from aecodec.measures.passes import Matrix
from aecodec.measures.pca import PcaBasis, fit_pca
from aecodec.nets.exactness import float_inference
from aecodec.training.loop import Report, TrainConfig, Trainer
from aecodec.training.surroundings import undisturbed
from aecodec.twins.starting import seeded
from aecodec.uses.networks import DenseAutoencoder, FloatAutoencoder, LinearAutoencoder
from aecodec.uses.objectives import ImageMapObjective, TableMapObjective

MapObjective: TypeAlias = TableMapObjective | ImageMapObjective

BATCH_ROWS = 1000
NEIGHBOURS = 5
BATCH_NUMBERS = 1 << 20  # of rows that are taken together
TURNED_ROWS = 100_000
ASKED_POINTS = 10_000  # for their neighbours
DISTANCES = 1 << 20  # at once


@dataclass(frozen=True)
class MapConfig(TrainConfig):
    """How a map of a table is trained."""

    steps: int = 5_000
    batch_images: int = 512
    lr: float = 1e-2  # Adam: all of a linear map
    weight_decay: float = 0.02


@dataclass(frozen=True, eq=False)
class Map:
    """Points (N, D) of a set, and the mean squared error per sample of their reconstruction."""

    points: Floats
    mse: float


@undisturbed
def fit_linear(
    rows: Rows, dims: int, config: MapConfig, report: Report = lambda step, numbers: None
) -> tuple[Map, Floats]:
    """Train a linear autoencoder on rows (N, P); its map, and the plane it found, (P, D).

    The plane's columns are orthonormal, and points are coordinates along them, turned so that
    their variance falls from the first to the last: the network itself leaves the axes open.
    """
    with seeded(config.seed):
        objective = TableMapObjective(LinearAutoencoder(rows.shape[1], dims), rows)
    _run(objective, rows, config, report)
    found = objective.model.linear["decode"].weight.detach().double().numpy()  # type: ignore[union-attr,index]
    plane, _ = np.linalg.qr(found)
    plane = plane @ _turn(_centred(rows, objective.exact_mean), plane).T
    points = np.empty((len(rows), dims), np.float32)
    for start, x in _centred(rows, objective.exact_mean):
        points[start : start + len(x)] = x @ plane
    return Map(points, table_error(objective, rows)), plane


def _centred(rows: Rows, mean: Matrix) -> Iterator[tuple[int, Matrix]]:
    """Where a batch starts, and the batch (n, P), less the mean."""
    at_once = rows_at_once(rows, 4 * BATCH_ROWS, BATCH_NUMBERS)
    for start in range(0, len(rows), at_once):
        x = rows[start : start + at_once].astype(np.float64)
        x -= mean
        yield start, x


def _turn(centred: Iterator[tuple[int, Matrix]], plane: Matrix) -> Matrix:
    """(D, D): the axes of the projections on a plane, strongest first."""
    projected, count = [np.empty((0, plane.shape[1]))], 0
    for _, x in centred:
        projected.append(x @ plane)
        count += len(x)
        if count > TURNED_ROWS:  # only their products are kept
            projected, count = [np.linalg.qr(np.concatenate(projected))[1]], 0
    turn: Matrix = np.linalg.svd(np.concatenate(projected), full_matrices=False)[2]
    return turn


@undisturbed
def fit_dense(
    rows: Rows, dims: int, config: MapConfig, report: Report = lambda step, numbers: None
) -> Map:
    """Train an autoencoder of dense layers on rows (N, P); its map."""
    with seeded(config.seed):
        objective = TableMapObjective(DenseAutoencoder(rows.shape[1], dims), rows)
    _run(objective, rows, config, report)
    return Map(encode_rows(objective, rows), table_error(objective, rows))


@undisturbed
def fit_images(
    images: Rows, dims: int, config: MapConfig, report: Report = lambda step, numbers: None
) -> Map:
    """Train a convolutional autoencoder on the images uint8 (N, H, W, C) themselves; its map."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    with seeded(config.seed):
        objective = ImageMapObjective(FloatAutoencoder(shape, dims), images)
    _run(objective, images, config, report)
    return map_images(objective, images)


def map_images(objective: ImageMapObjective, images: Rows) -> Map:
    """The map of images uint8 (N, H, W, C) by a trained network."""
    return Map(encode_rows(objective, images), map_error(objective, images))


def map_pca(rows: Rows, dims: int, most_nbytes: int | None = None) -> tuple[Map, PcaBasis]:
    """PCA of the rows themselves, for comparison; ``most_nbytes`` is that of ``fit_pca``."""
    basis = fit_pca(rows, dims, most_nbytes)
    flat = flattened(rows)
    points = np.empty((len(flat), len(basis.axes)), np.float32)
    total, at_once = 0.0, rows_at_once(flat, BATCH_ROWS, BATCH_NUMBERS)
    for start in range(0, len(flat), at_once):
        x = flat[start : start + at_once].astype(np.float64)
        x -= basis.mean
        points[start : start + len(x)] = y = x @ basis.axes.T
        total += float(np.square(x, out=x).sum() - np.square(y).sum())
    return Map(points, max(total, 0.0) / flat.size), basis


def _run(objective: MapObjective, rows: Rows, config: MapConfig, report: Report) -> None:
    trainer = Trainer(objective, config, torch.device("cpu"), "map")
    no_checkpoint: Path | None = None
    trainer.run(rows, no_checkpoint, report)
    if trainer.interruption is not None:
        raise trainer.interruption
    objective.load_state_dict(trainer.averaged)
    objective.eval()


def encode_rows(objective: MapObjective, rows: Rows) -> Floats:
    """Points (N, D) of rows or images, by a trained network."""
    points: Floats | None = None
    at_once = _at_once(objective, rows)
    with float_inference():
        for start in range(0, len(rows), at_once):
            x = objective.prepare(rows[start : start + at_once])
            y = objective.model.encode(x).numpy()
            points = np.empty((len(rows), y.shape[1]), np.float32) if points is None else points
            points[start : start + len(y)] = y
    if points is None:
        raise ValueError("no rows to encode")
    return points


def _at_once(objective: MapObjective, rows: Rows) -> int:
    """How many rows are in a network together: one of images outputs more numbers for each."""
    numbers = BATCH_NUMBERS // (8 if isinstance(objective, ImageMapObjective) else 1)
    return rows_at_once(rows, BATCH_ROWS, numbers)


def table_error(objective: TableMapObjective, rows: Rows) -> float:
    """Mean squared error per sample, in the rows' own units squared."""
    total, at_once = 0.0, _at_once(objective, rows)
    with float_inference():
        for start in range(0, len(rows), at_once):
            x = objective.prepare(rows[start : start + at_once])
            x_hat = objective.model.decode(objective.model.encode(x))
            total += float((x_hat - x).double().square().sum())
    return total / rows.size * float(objective.spread) ** 2


def map_error(objective: ImageMapObjective, images: Rows) -> float:
    """Mean squared error per sample, gray levels squared, of images through the bottleneck."""
    total, (height, width) = 0.0, images.shape[1:3]
    at_once = _at_once(objective, images)
    with float_inference():
        for start in range(0, len(images), at_once):
            batch = images[start : start + at_once]
            model = objective.model
            x_hat = 256 * model.decode(model.encode(objective.prepare(batch)))
            x = torch.from_numpy(batch.astype(np.float32)).permute(0, 3, 1, 2)
            total += float((x_hat[:, :, :height, :width] - x).double().square().sum())
    return total / images.size


# ---------------------------------------------------------------- how good a map is


def neighbour_accuracy(points: Floats, labels: npt.NDArray[Any], k: int = NEIGHBOURS) -> float:
    """Share of points whose label is the commonest among their k nearest others.

    Each point is left out of its own vote; of labels equally common the first in order wins. Of
    more than 10,000 points as many are asked, evenly spread.
    """
    if len(points) <= k:
        raise ValueError(f"{len(points)} points, {k} neighbours need more")
    code = np.unique(labels, return_inverse=True)[1]
    hits, asked = 0, evenly(len(points), ASKED_POINTS)
    y = torch.from_numpy(np.ascontiguousarray(points, np.float32)).double()
    at_once = max(1, min(BATCH_ROWS, DISTANCES // len(points)))
    for start in range(0, len(asked), at_once):
        some = asked[start : start + at_once]
        distance = torch.cdist(y[some], y)
        distance[torch.arange(len(some), device="cpu"), torch.from_numpy(some)] = torch.inf
        near = code[distance.topk(k, largest=False).indices.numpy()]
        votes = (near[:, :, None] == near[:, None, :]).sum(axis=1)
        most = np.where(votes == votes.max(axis=1, keepdims=True), near, len(points))
        hits += int((most.min(axis=1) == code[some]).sum())
    return hits / len(asked)


def principal_angles(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Degrees between the spaces that the columns of a (P, D) and b (P, D) span, smallest first."""
    qa, _ = np.linalg.qr(a.astype(np.float64))
    qb, _ = np.linalg.qr(b.astype(np.float64))
    cosines = np.linalg.svd(qa.T @ qb, compute_uv=False)
    sines = np.linalg.svd(qb - qa @ (qa.T @ qb), compute_uv=False)[::-1]
    angles: npt.NDArray[np.float64] = np.degrees(np.arctan2(sines, cosines))
    return angles


def facts_of(
    made: Map, pca: Map, labels: npt.NDArray[Any] | None
) -> Mapping[str, float | int | None]:
    """The errors of a map and of PCA, and their accuracies if there are labels, for a report."""
    known = labels is not None and len(labels) > NEIGHBOURS
    return {
        "points": len(made.points),
        "dims": made.points.shape[1],
        "mse": made.mse,
        "pca_mse": pca.mse,
        "accuracy": neighbour_accuracy(made.points, labels) if known else None,  # type: ignore[arg-type]
        "pca_accuracy": neighbour_accuracy(pca.points, labels) if known else None,  # type: ignore[arg-type]
    }
