"""The commands ``map``, ``generate``, ``denoise`` and ``sheet``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.archive.array import Archive
from aecodec.arrays import Floats, Images
from aecodec.images import open_sink
from aecodec.io.atomic import atomic_path
from aecodec.models.finding import load_model
from aecodec.training.loop import Report
from aecodec.uses import drawing, generation, maps, sheets
from aecodec.uses.denoising import denoise, noisy_images, pooled_psnr_db
from aecodec.uses.inputs import is_aez, read_image_set, read_labels, read_table
from aecodec.uses.latents import has_latents, read_latents
from aecodec.uses.page import map_page
from aecodec.uses.stored import DENOISE, FOLDER, MAP, VAE, load_use, restore

SHEET_IMAGES = 10
SUFFIXES = {"map": (".png", ".html", ".npy"), "generate": (".png", ".npy")}


def run_use(a: argparse.Namespace) -> int:
    """Run the command that ``a.use`` names; returns the exit status."""
    for path in (a.output, getattr(a, "sheet", None)):
        if path and Path(path).exists() and not a.force:
            raise FileExistsError(17, "exists", path)  # now, before the work
    suffix = Path(a.output or "").suffix.lower()
    if a.output and a.use in SUFFIXES and suffix not in SUFFIXES[a.use]:
        wanted = ", ".join(SUFFIXES[a.use])
        raise ValueError(f"--output: expected a name that ends in {wanted}, got {a.output!r}")
    run = {"map": _map, "generate": _generate, "denoise": _denoise, "sheet": _sheet}[a.use]
    facts, text = run(a)
    if a.json:
        print(json.dumps(facts))
    elif not a.quiet:
        print(text, file=sys.stderr)
    return 0


# ---------------------------------------------------------------- map


def _map(a: argparse.Namespace) -> tuple[dict[str, Any], str]:
    config = maps.MapConfig(seed=a.seed)
    if a.steps is not None:
        if a.steps < 1:
            raise ValueError(f"--steps: expected 1 or more, got {a.steps}")
        config = replace(config, steps=a.steps)
    rows, images, source = _read_map_input(a)
    count = len(rows) if rows is not None else len(images)  # type: ignore[arg-type]
    labels = read_labels(a.labels, count) if a.labels else _labels_within(a.input)
    flat: npt.NDArray[Any] = images if rows is None else rows  # type: ignore[assignment]
    if flat.size // count < a.dims:
        raise ValueError(f"--dims: {a.input} has {flat.size // count} columns, fewer than {a.dims}")
    pca, basis = maps.map_pca(flat, a.dims)
    facts: dict[str, Any] = {"output": a.output, "input": source}
    with _progress(a, config.steps) as report:
        if a.linear:
            table = flat.reshape(count, -1).astype(np.float32)
            made, plane = maps.fit_linear(table, a.dims, config, report)
            angles = maps.principal_angles(plane, basis.axes.T)
            facts["angles_degrees"] = [round(float(v), 4) for v in angles]
        elif rows is not None:
            made = maps.fit_dense(rows, a.dims, config, report)
        else:
            made = _map_images(a, images, config, report)  # type: ignore[arg-type]
    facts |= {"method": "linear" if a.linear else "nonlinear", **maps.facts_of(made, pca, labels)}
    note = _map_note(facts)
    _write_map(a, made.points, labels, images, note)
    return facts, f"{a.output}: {count:,} points of {source}; {note}"


def _read_map_input(a: argparse.Namespace) -> tuple[Floats | None, Images | None, str]:
    """Rows to map, images to map or to show, and what was read, in words."""
    table = None if is_aez(a.input) else read_table(a.input)
    if table is not None:
        if a.model:
            raise ValueError(f"--model: {a.input} is a table, models are for images")
        return table, None, "a table"
    if is_aez(a.input):
        own = None if _is_for_map(a.model) else a.model
        with Archive(a.input, model=own) as archive:
            if len(archive) and has_latents(archive) and not _is_for_map(a.model):
                shown = a.output.lower().endswith(".html")
                images = np.concatenate(list(archive.batches())) if shown else None
                return read_latents(archive), images, "latents in the file"
    images = read_image_set(a.input)
    if a.model and not _is_for_map(a.model):
        from aecodec.latents.layer import LatentNetworks

        model = load_model(a.model)
        model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
        return LatentNetworks(model).analyse(images), images, f"latents by model {model.name}"
    return None, images, "images"


def _is_for_map(name: str | None) -> bool:
    """Whether --model names a map's model, by name or by file."""
    if name is None:
        return False
    if (FOLDER / f"{name}-{MAP}.safetensors").is_file():
        return True
    return bool(load_model(name).encoder_config.get("use") == MAP)


def _labels_within(path: str) -> npt.NDArray[Any] | None:
    """Labels that an ``.aez`` itself holds."""
    if not is_aez(path):
        return None
    with Archive(path) as archive:
        labels = getattr(archive, "labels", None)
        return None if labels is None else np.asarray(labels)


def _map_images(
    a: argparse.Namespace, images: Images, config: maps.MapConfig, report: Report
) -> maps.Map:
    if not a.model:
        return maps.fit_images(images, a.dims, replace(config, batch_images=96), report)
    model = load_use(a.model, MAP)
    model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
    if model.encoder_config["latents"] != a.dims:
        found = model.encoder_config["latents"]
        raise ValueError(f"--dims: model {model.name!r} has {found}, asked for {a.dims}")
    return maps.map_images(restore(model), images)


def _map_note(facts: dict[str, Any]) -> str:
    note = f"mean squared error {facts['mse']:.4g}, PCA {facts['pca_mse']:.4g}"
    if facts["accuracy"] is not None:
        note += (
            f"; 5 nearest neighbours {100 * facts['accuracy']:.1f} %, "
            f"PCA {100 * facts['pca_accuracy']:.1f} %"
        )
    if "angles_degrees" in facts:
        note += f"; at most {max(facts['angles_degrees']):.2f}° from PCA"
    return note


def _write_map(
    a: argparse.Namespace,
    points: Floats,
    labels: npt.NDArray[Any] | None,
    images: Images | None,
    note: str,
) -> None:
    title = f"{Path(a.input).name}: {'linear' if a.linear else 'nonlinear'} map"
    output = Path(a.output)
    if output.suffix.lower() == ".png":
        drawing.write_figure(drawing.scatter(points, labels, title, note), output, force=a.force)
        return
    with atomic_path(output, force=a.force) as temporary:
        if output.suffix.lower() == ".html":
            page = map_page(points, labels, images, title, note)
            temporary.write_text(page, encoding="utf-8")
        else:
            with open(temporary, "wb") as file:
                np.save(file, points)


# ---------------------------------------------------------------- generate


def _generate(a: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if not a.output and not a.elbo:
        raise ValueError("nothing to do: name an output with -o, or a set with --elbo")
    if a.n < 1:
        raise ValueError(f"-n: expected 1 or more, got {a.n}")
    model = load_use(a.model, VAE)
    objective = restore(model)
    facts: dict[str, Any] = {"output": a.output, "model": model.name, "seed": a.seed}
    told = []
    if a.elbo:
        images = read_image_set(a.elbo)
        model.require_shape((images.shape[1], images.shape[2], images.shape[3]))
        bound = generation.evidence(objective, images, a.seed)
        facts |= asdict(bound)
        told.append(
            f"{a.elbo}: ELBO {bound.elbo_nats:.2f} nats an image ({bound.nll_nats:.2f} for pixels, "
            f"{bound.kl_nats:.2f} for latents), {bound.bits_per_dim:.4f} bits per dimension; "
            f"{bound.convention}"
        )
    if a.output:
        images, figure_of = _generated(a, model.name, objective)
        output = Path(a.output)
        if output.suffix.lower() == ".png":
            drawing.write_figure(figure_of(images), output, force=a.force)
        else:
            _write_set(images, "npy", output, force=a.force)
        told.append(f"{a.output}: {len(images)} images by model {model.name}")
        facts["generated"] = len(images)
    return facts, "\n".join(told)


def _generated(a: argparse.Namespace, name: str, objective: Any) -> tuple[Images, Any]:  # noqa: ANN401
    """The images asked for, and how they are drawn."""
    latents = objective.model.config.latents
    side = math.isqrt(a.n)
    if a.manifold:
        if latents != 2:
            raise ValueError(f"--manifold: needs 2 latents, model {name!r} has {latents}")
        if side * side != a.n:
            raise ValueError(f"-n: a plane needs a square number of images, got {a.n}")
        y = generation.manifold_latents(side)
        title = f"{name}: the plane of its two latents"
        return generation.images_of(objective, y), (
            lambda images: drawing.plane_figure(images, side, title)
        )
    columns = math.ceil(math.sqrt(a.n))
    if a.interpolate:
        first, last = _ends(a, objective, latents)
        y = generation.interpolated_latents(first, last, a.n)
        title, columns = f"{name}: from {a.interpolate[0]} to {a.interpolate[1]}", min(a.n, 16)
    else:
        y = generation.sample_latents(a.n, latents, a.seed)
        title = f"{name}: {a.n} samples, seed {a.seed}"
    return generation.images_of(objective, y), (
        lambda images: drawing.grid_figure(images, columns, title)
    )


def _ends(a: argparse.Namespace, objective: Any, latents: int) -> tuple[Floats, Floats]:  # noqa: ANN401
    """Latents of the two ends of an interpolation."""
    first, last = a.interpolate
    if min(first, last) < 0:
        raise ValueError(f"--interpolate: expected numbers from 0 on, got {first} {last}")
    if not a.source:
        y = generation.sample_latents(max(first, last) + 1, latents, a.seed)
        return y[first], y[last]
    images = read_image_set(a.source)
    if max(first, last) >= len(images):
        raise ValueError(f"--interpolate: {a.source} has images 0 to {len(images) - 1}")
    ends = generation.latents_of(objective, images[[first, last]])
    return ends[0], ends[1]


# ---------------------------------------------------------------- denoise


def _denoise(a: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if not a.output and not a.sheet and not a.against and not a.add_noise:
        raise ValueError("nothing to do: name an output with -o, or originals with --against")
    if a.against and a.add_noise:
        raise ValueError("--add-noise: IN is then the original, --against has no place")
    model = load_use(a.model, DENOISE)
    objective = restore(model)
    noisy = read_image_set(a.input)
    if noisy.shape[3] != model.the_shape()[2]:
        raise ValueError(
            f"{a.input}: images have {noisy.shape[3]} channels, model {model.name!r} is for "
            f"{model.the_shape()[2]}"
        )
    clean = read_image_set(a.against) if a.against else None
    what = Path(a.input).name
    if a.add_noise:
        kind, level = a.add_noise
        clean, noisy = noisy, noisy_images(noisy, kind, _level(level), a.seed)
        what += f", {kind} noise {level}"
    if clean is not None and clean.shape != noisy.shape:
        raise ValueError(f"--against: found images {clean.shape}, expected {noisy.shape}")
    cleaned = denoise(objective, noisy)
    facts: dict[str, Any] = {"output": a.output, "model": model.name, "images": len(noisy)}
    text = f"{a.output or a.input}: {len(noisy):,} images denoised by model {model.name}"
    if clean is not None:
        before, after = pooled_psnr_db(clean, noisy), pooled_psnr_db(clean, cleaned)
        facts |= {"psnr_before_db": before, "psnr_after_db": after}
        what += f": {before:.2f} dB before, {after:.2f} dB after"
        text += f"; {what}"
    if a.output:
        _write_set(cleaned, _kind_of(a.output), Path(a.output), force=a.force)
    if a.sheet:
        chosen = sheets.choose(len(noisy), SHEET_IMAGES)
        rows = [("noisy", noisy[chosen]), ("denoised", cleaned[chosen])]
        rows += [("original", clean[chosen])] if clean is not None else []
        drawing.write_figure(drawing.rows_figure(rows, what), Path(a.sheet), force=a.force)
    return facts, text


def _level(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--add-noise: expected a level 0 to 1, got {text!r}") from None


def _kind_of(output: str) -> str:
    """The kind of set that a name asks for: a folder, where it has no suffix of another."""
    for suffix, kind in ((".npy", "npy"), (".npz", "npz"), (".gz", "idx.gz"), (".idx", "idx")):
        if output.lower().endswith(suffix):
            return kind
    return "idx" if output.endswith("-ubyte") else "folder"


def _write_set(images: Images, kind: str, output: Path, *, force: bool) -> None:
    shape = (images.shape[1], images.shape[2], images.shape[3])
    options: dict[str, Any] = {"has_channel_axis": shape[2] > 1, "image_count": len(images)}
    with (
        atomic_path(output, force=force, directory=kind == "folder") as temporary,
        open_sink(temporary, kind, shape, **options) as sink,
    ):
        sink.write(images)


# ---------------------------------------------------------------- sheet


def _sheet(a: argparse.Namespace) -> tuple[dict[str, Any], str]:
    with Archive(a.input) as archive:
        if not len(archive):
            raise ValueError(f"{a.input}: holds no images")
        shown = sheets.look_up(archive, a.against, sheets.choose(len(archive), a.n))
        bpp = archive.info["bpp"]
    errors, largest = shown.error_maps()
    psnr = [None if math.isinf(v) else round(v, 2) for v in shown.psnr_db]
    notes = [
        f"{label}\n{nbytes:.1f} bytes\n{'exact' if db is None else f'{db:.1f} dB'}"
        for label, nbytes, db in zip(shown.labels, shown.nbytes, psnr, strict=True)
    ]
    rows = [("original", shown.originals), ("decoded", shown.decoded), ("error", errors)]
    title = (
        f"{Path(a.input).name}: {bpp:.3f} bpp; errors from 0 (white) to {largest} (black) of 255; "
        "bytes are shares of a payload"
    )
    figure = drawing.rows_figure(rows, title, notes)
    drawing.write_figure(figure, Path(a.output), force=a.force)
    facts = {"output": a.output, "images": shown.indices, "modes": shown.labels}
    facts |= {"nbytes": shown.nbytes, "psnr_db": psnr, "largest_error": largest}
    return facts, f"{a.output}: {len(shown.indices)} images of {a.input}"


# ---------------------------------------------------------------- the terminal


@contextmanager
def _progress(a: argparse.Namespace, steps: int) -> Iterator[Report]:
    from tqdm import tqdm

    off = a.quiet or not sys.stderr.isatty()
    with tqdm(total=steps, unit=" steps", disable=off, desc="train map", delay=1) as bar:

        def report(step: int, numbers: dict[str, float]) -> None:
            del numbers
            bar.update(step - bar.n)

        yield report
