"""Pictures with matplotlib: scatters, grids of images, sheets. White ground, for any viewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Floats, Images, evenly
from aecodec.held_rows import Rows, reshaped
from aecodec.io.atomic import atomic_path
from aecodec.io.pages import figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ten colours that stay apart for most eyes, on white and on black, after Tol's bright and muted.
COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee",
    "#aa3377", "#999999", "#ee7733", "#8866cc", "#44aa99",
)  # fmt: skip
DPI = 110
MOST_POINTS = 100_000  # in a picture or on a page
MAX_LEGEND = 20
MOST_SIDE = 512  # pixels of an image in a row; of larger ones every second, third ... is shown
LABEL_TEXT = 40  # characters
NOTE_TEXT = 200
HEAVY_TAILS = (
    6.0  # an axis whose 99th percentile is this many times its median; a normal one has 3.8
)
GAP = 2  # white pixels between the images of a grid


def new_figure(width: float, height: float) -> Figure:
    """A figure that belongs to no window; ImportError says what to install."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'aecodec[uses]'") from error
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def write_figure(figure: Figure, output: Path, *, force: bool) -> None:
    """Save as PNG, whole or not at all, with nothing in it that changes from run to run."""
    with atomic_path(output, force=force) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def linear_widths(points: Floats) -> list[float]:
    """For each axis of a map where an asinh scale turns from linear to logarithmic; 0: all linear.

    Where few points lie far out, the many near 0 would else be one blot.
    """
    if points.shape[1] != 2 or not len(points):
        return [0.0] * points.shape[1]
    middle, far = np.percentile(np.abs(points), [50, 99], axis=0)
    return [float(m) if 0 < HEAVY_TAILS * m < f else 0.0 for m, f in zip(middle, far, strict=True)]


def asinh_ticks(values: Floats, linear_width: float) -> list[float]:
    """0 and round numbers on both sides of it, from ``linear_width`` on, within the values."""
    first = math.floor(math.log10(linear_width))
    last = math.ceil(math.log10(float(np.abs(values).max())))
    sizes = [m * 10.0**e for e in range(first, last + 1) for m in (1, 3)]
    sizes = [size for size in sizes if size >= linear_width]
    ticks = [-size for size in reversed(sizes)] + [0.0] + sizes
    return [tick for tick in ticks if values.min() <= tick <= values.max()]


def axis_name(name: str, linear_width: float) -> str:
    """What an axis of a map is called."""
    return f"{name} coordinate (asinh scale)" if linear_width else f"{name} coordinate"


def scatter(points: Floats, labels: npt.NDArray[Any] | None, title: str, note: str) -> Figure:
    """Points (N, 2) or (N, 3), coloured by label; of more than 100,000 as many, evenly spread."""
    shown = evenly(len(points), MOST_POINTS)
    if len(shown) < len(points):
        note = f"{note}; {len(shown):,} of {len(points):,} points are shown"
        points, labels = points[shown], None if labels is None else labels[shown]
    figure = new_figure(7.6, 6.2)
    flat = points.shape[1] == 2
    axes: Any = figure.add_subplot() if flat else figure.add_subplot(projection="3d")
    size = float(np.clip(16000 / max(1, len(points)), 2.5, 24))
    names, code = [""], np.zeros(len(points), np.int64)
    if labels is not None:
        names, code = (each.tolist() for each in np.unique(labels, return_inverse=True))
    order = np.random.default_rng(0).permutation(len(points))  # else the last label hides others
    colours = [COLOURS[code[i] % len(COLOURS)] for i in order]
    axes.scatter(*points[order].T, s=size, c=colours, linewidths=0, alpha=0.75)
    widths = linear_widths(points)
    axes.set_xlabel(axis_name("first", widths[0]))
    axes.set_ylabel(axis_name("second", widths[1]))
    for k, (width, name) in enumerate(zip(widths, "xyz", strict=False)):
        if width:
            getattr(axes, f"set_{name}scale")("asinh", linear_width=width)
            ticks = asinh_ticks(points[:, k], width)
            getattr(axes, f"set_{name}ticks")(ticks, [f"{tick:g}" for tick in ticks])
    if not flat:
        axes.set_zlabel("third coordinate", labelpad=10)
        axes.xaxis.labelpad = axes.yaxis.labelpad = 10
        axes.tick_params(axis="z", pad=7)
        axes.locator_params(nbins=5)
        axes.set_box_aspect(None, zoom=0.88)
    axes.set_title(f"{figure_text(title)}\n{figure_text(note, NOTE_TEXT)}", fontsize=10)
    if 1 < len(names) <= MAX_LEGEND:
        for i, name in enumerate(names):
            axes.scatter(
                *[[]] * points.shape[1],
                s=30,
                c=COLOURS[i % len(COLOURS)],
                label=figure_text(str(name), LABEL_TEXT),
            )
        legend = figure.legend(loc="outside right upper", title="label")
        legend.get_frame().set_linewidth(0)
    return figure


def tile(images: Images, columns: int) -> Images:
    """uint8 (N, H, W, C) row by row on white, with a gap -> one picture (h, w, C)."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    page = np.full(
        (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 255, np.uint8
    )
    for i, image in enumerate(images):
        y, x = i // columns * (height + GAP), i % columns * (width + GAP)
        page[y : y + height, x : x + width] = image
    return page


def show(axes: Axes, image: Images) -> None:
    """A picture (h, w, C) without ticks."""
    if image.shape[2] == 2:  # gray and alpha: the gray
        image = image[:, :, :1]
    gray = image.shape[2] == 1
    axes.imshow(image[:, :, 0] if gray else image, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def grid_figure(images: Images, columns: int, title: str) -> Figure:
    """Images in a grid under a title."""
    page = tile(images, columns)
    width = min(9.0, max(3.6, page.shape[1] / 45))
    figure = new_figure(width, width * page.shape[0] / page.shape[1] + 0.7)
    axes = figure.add_subplot()
    show(axes, page)
    axes.set_title(figure_text(title, NOTE_TEXT), fontsize=10, wrap=True)
    return figure


def plane_figure(images: Images, side: int, title: str) -> Figure:
    """The plane of a 2-D latent, (side * side) images, with the latents along its edges."""
    figure = new_figure(6.6, 6.9)
    axes = figure.add_subplot()
    page = tile(images, side)
    show(axes, page)
    shares = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    values = [f"{NormalDist().inv_cdf(share):.2f}" for share in shares]
    axes.set_xticks(shares * page.shape[1], values)
    axes.set_yticks((1 - shares) * page.shape[0], values)
    axes.set_xlabel("first latent (at even quantiles of the prior)")
    axes.set_ylabel("second latent")
    axes.set_title(figure_text(title, NOTE_TEXT), fontsize=10)
    return figure


def rows_figure(
    rows: Sequence[tuple[str, Rows]], title: str, notes: Sequence[str] | None = None
) -> Figure:
    """Named rows of images, one under the other; ``notes`` stand under the columns."""
    count = len(rows[0][1])
    figure = new_figure(1.3 + 0.62 * count, 0.75 + 0.66 * len(rows) + (0.35 if notes else 0))
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (name, images) in zip(grid, rows, strict=True):
        for i, axes in enumerate(line):
            show(axes, _fitting(images, i))
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes, note in zip(grid[-1], notes or (), strict=False):
        axes.set_xlabel(note, fontsize=7)
    figure.suptitle(figure_text(title, NOTE_TEXT), fontsize=10)
    return figure


def _fitting(images: Rows, number: int) -> Images:
    """One of the images; of a large one every second, third ... pixel each way."""
    count, height, width, channels = images.shape
    step = -(-max(height, width) // MOST_SIDE)
    lines = reshaped(images, (count * height, width, channels))
    image: Images = lines[number * height : (number + 1) * height : step][:, ::step]
    return np.ascontiguousarray(image)
