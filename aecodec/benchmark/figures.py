"""A bench's figures, by matplotlib: size against PSNR and largest error, lossless sizes, speed."""

from __future__ import annotations

import io
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.benchmark.tables import (
    best_settings,
    bpp_at,
    curves,
    families,
    lossless_rows,
    rounded,
)
from aecodec.io.pages import Markup, figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Result = dict[str, Any]

INK = "#1b2733"  # text and axes; a page uses its own text colour instead
OURS = ("#d6336c", "#e8710a", "#b8860b", "#9c36b5", "#c92a2a", "#f06595", "#7a5af5")
PEERS = ("#1c7ed6", "#0f9d8f", "#5c7cfa", "#74a12e", "#868e96", "#3bc9db", "#a17f5d", "#4a6f9c")
ALONE, TOGETHER = "#4a7fb5", "#a3b5c9"  # bars: any image can be read alone, or only all
PSNR_RANGE_DB = (16.0, 46.0)
BPP_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
NARROW = (4.5, 4.6)  # inches: read at a phone's width
WIDE = (9.6, 5.2)
_SVG_STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)


def figure_names(result: Result) -> dict[str, str]:
    """The figures for which a result has rows, and the title of each."""
    rows = result["rows"]
    shown = {
        "psnr": ("Size against PSNR", bool(curves(rows))),
        "bounds": ("Size against the largest error", any(r["kind"] == "bounded" for r in rows)),
        "lossless": ("Size without loss", bool(lossless_rows(rows))),
        "speed": ("Images a second", bool(rows)),
    }
    return {name: title for name, (title, there) in shown.items() if there}


def draw(result: Result, name: str, *, narrow: bool = False) -> Figure:
    """One matplotlib figure. No window is opened, and no global setting is changed."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 9 if narrow else 10,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": INK,
        "grid.alpha": 0.15,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    drawers: dict[str, Callable[[Result, Figure, bool], None]] = {
        "psnr": _draw_psnr,
        "bounds": _draw_bounds,
        "lossless": _draw_lossless,
        "speed": _draw_speed,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=NARROW if narrow else WIDE, layout="constrained")
        FigureCanvasAgg(figure)
        drawers[name]({**result, "rows": _drawable(result["rows"])}, figure, narrow)
    return figure


def _drawable(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with names that matplotlib shows as they are."""
    texts = ("coder", "family", "scope")
    return [{**row, **{name: figure_text(row[name]) for name in texts}} for row in rows]


def write_figures(result: Result, folder: Path, stem: str) -> list[Path]:
    """STEM-NAME.svg and .png of every figure, on white; their paths."""
    paths = []
    for name in figure_names(result):
        figure = draw(result, name)
        for kind in ("svg", "png"):
            path = folder / f"{stem}-{name}.{kind}"
            path.write_bytes(_render(figure, kind, f"{stem}-{name}"))
            paths.append(path)
    return paths


def inline_svg(result: Result, name: str) -> Markup:
    """A figure for a page: without a size, transparent, its ink in the colour of the text.

    Its style sheet is left out: the page's has the same rule. matplotlib escapes all texts.
    """
    svg = _render(draw(result, name, narrow=True), "svg", name, transparent=True).decode()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = _SVG_STYLE.sub("", svg)
    head, rest = svg.split(">", 1)
    kept = [word for word in head.split() if not word.startswith(("width=", "height="))]
    return Markup(f'{" ".join(kept)} role="img">{rest}')


def _render(figure: Figure, kind: str, salt: str, *, transparent: bool = False) -> bytes:
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": salt}):  # the same bytes from the same JSON
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=140, metadata=metadata, transparent=transparent)
    return file.getvalue()


# ---------------------------------------------------------------- curves


def _draw_psnr(result: Result, figure: Figure, narrow: bool) -> None:
    axes = figure.add_subplot()
    rows = result["rows"]
    asked = any(r.get("target") == "psnr" for r in rows)
    styles = _styles()
    low, high = PSNR_RANGE_DB
    for name, group in curves(rows).items():
        ours = group[0]["ours"]
        if ours and asked and group[0].get("target") != "psnr":
            continue
        if ours:
            points = sorted((r["psnr_db"], r["bpp"]) for r in group)
        else:
            first = min(r["psnr_db"] for r in group)
            steps = [low + i / 4 for i in range(int(4 * (high - low)) + 1)]
            steps = sorted({p for p in steps if p >= first} | {p for p, _ in best_settings(group)})
            points = [(p, bpp) for p in steps if (bpp := bpp_at(group, p)) is not None]
        points = [point for point in points if low <= point[0] <= high]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, **next(styles[ours]))
    axes.set_xlabel("PSNR in dB, pooled over the set")
    _finish(figure, axes, narrow)


def _draw_bounds(result: Result, figure: Figure, narrow: bool) -> None:
    axes = figure.add_subplot()
    rows = [r for r in result["rows"] if r["kind"] == "bounded"]
    bounds = sorted({r["setting"] for r in rows})
    styles = _styles()
    for name, group in families(rows).items():
        points = sorted((bounds.index(r["setting"]), r["bpp"]) for r in group)
        style = {**next(styles[group[0]["ours"]]), "marker": "o"}
        axes.plot(*zip(*points, strict=True), label=name, **style)
    axes.set_xticks(range(len(bounds)), [f"{bound:g}" for bound in bounds])
    axes.set_xlabel("largest error of any sample, in gray levels")
    _finish(figure, axes, narrow)


def _styles() -> dict[bool, Iterator[dict[str, Any]]]:
    """Line styles: ours are thick, with dots, in warm colours; peers are thin, in cool colours.

    Peers are dashed from the ninth on.
    """

    def ours() -> Iterator[dict[str, Any]]:
        for i in count():
            colour = OURS[i % len(OURS)]
            yield {"color": colour, "linewidth": 2.4, "marker": "o", "markersize": 4, "zorder": 3}

    def peers() -> Iterator[dict[str, Any]]:
        for i in count():
            dash = ("-", "--", ":")[i // len(PEERS) % 3]
            colour = PEERS[i % len(PEERS)]
            yield {"color": colour, "linewidth": 1.4, "linestyle": dash, "markersize": 3}

    return {True: ours(), False: peers()}


def _finish(figure: Figure, axes: Axes, narrow: bool) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = [tick for tick in BPP_TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("bits per pixel")
    axes.grid(visible=True)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: not labels[i].startswith("aecodec"))
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower center" if narrow else "outside right upper",
        ncols=2 if narrow else 1,
        fontsize="small" if narrow else None,
        frameon=False,
    )


# ---------------------------------------------------------------- bars


def _draw_lossless(result: Result, figure: Figure, narrow: bool) -> None:
    from matplotlib.patches import Patch

    rows = lossless_rows(result["rows"])[::-1]
    axes = _lines_of_text(figure, [_label(r) for r in rows], narrow)
    colours = [_bar_colour(r) for r in rows]
    bars = axes.barh(range(len(rows)), [r["bpp"] for r in rows], color=colours, height=0.72)
    axes.bar_label(bars, [f"{r['bpp']:.2f}" for r in rows], padding=3)
    axes.set_xlim(0, 1.12 * max(r["bpp"] for r in rows))
    axes.set_xlabel("bits per pixel, every pixel as it was")
    key = {OURS[0]: "aecodec, any image alone", ALONE: "a file each", TOGETHER: "only all at once"}
    figure.legend(
        handles=[Patch(color=c, label=text) for c, text in key.items() if c in colours],
        loc="outside lower center",
        ncols=1 if narrow else 3,
        frameon=False,
    )


def _draw_speed(result: Result, figure: Figure, narrow: bool) -> None:
    groups = families([r for r in result["rows"] if r["coder"] != "raw"])
    speeds = {
        name: [
            statistics.median(r[f"{way}_images_per_s"] for r in group)
            for way in ("encode", "decode")
        ]
        for name, group in groups.items()
    }
    names = sorted(speeds, key=lambda name: speeds[name][1])
    axes = _lines_of_text(figure, names, narrow)
    for i, name in enumerate(names):
        colour = OURS[0] if groups[name][0]["ours"] else ALONE
        axes.plot(speeds[name], [i, i], color=colour, linewidth=1, alpha=0.5)
        axes.plot(speeds[name][0], i, "o", color=colour, markersize=6)
        axes.plot(speeds[name][1], i, "o", color=colour, markersize=6, fillstyle="none")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: _thousands(value))
    axes.grid(visible=True, axis="x")
    axes.set_xlabel(
        "● encoding, ○ decoding, images a second\nmedian of settings, one run each",
        x=0.98,
        ha="right",
    )


def _lines_of_text(figure: Figure, names: Sequence[str], narrow: bool) -> Axes:
    """Axes with a line for each name; the height of the figure is set to fit them."""
    figure.set_size_inches(NARROW[0] if narrow else WIDE[0], 1.5 + 0.21 * len(names))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for name, label in zip(names, axes.get_yticklabels(), strict=True):
        if name.startswith("aecodec"):
            label.set_fontweight("bold")
    return axes


def _label(row: dict[str, Any]) -> str:
    return str(row["coder"]) if row["ours"] else f"{row['coder']}, {row['scope']}"


def _bar_colour(row: dict[str, Any]) -> str:
    if row["ours"]:
        return OURS[0]
    return ALONE if row["scope"] == "image" else TOGETHER


def _thousands(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else rounded(value)
