"""A bench's rows as tables: bits a pixel at a PSNR, at a bound, without loss; every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from aecodec.measures.hull import lower_hull

Rows = Sequence[dict[str, Any]]
PSNRS = (20, 22, 25, 28, 30, 33, 36, 40, 45)


@dataclass(frozen=True)
class Table:
    """A table of texts; ``ours`` are the numbers of aecodec's lines."""

    title: str
    note: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    ours: frozenset[int]


def tables(result: dict[str, Any]) -> list[Table]:
    """Every table for which a result has rows, the summaries first."""
    rows = result["rows"]
    asked = sorted({r["setting"] for r in rows if r.get("target") == "psnr"}) or list(PSNRS)
    built = [
        _tutorial(result.get("tutorial", [])),
        _lossless(rows),
        _bounds(rows),
        _psnrs(rows, asked),
        _everything(rows),
    ]
    return [table for table in built if table.lines]


def families(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Rows by family, ours last, so that they are drawn on top."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: bool(r["ours"])):
        groups.setdefault(row["family"], []).append(row)
    return groups


def curves(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """The families of size against PSNR: peers that bound the largest error have their own."""
    lossy = [r for r in rows if r["ours"] or r["kind"] == "lossy"]
    return families([r for r in lossy if r["psnr_db"] is not None])


def bpp_at(rows: Rows, psnr: float) -> float | None:
    """Bits a pixel for a PSNR in dB, interpolated between the two nearest best settings.

    That of the first one for a lower PSNR; None beyond the last one.
    """
    hull = best_settings(rows)
    if hull and psnr <= hull[0][0]:
        return hull[0][1]
    for (low, cheap), (high, dear) in pairwise(hull):
        if low <= psnr <= high:
            return cheap + (dear - cheap) * (psnr - low) / (high - low)
    return None


def best_settings(rows: Rows) -> list[tuple[float, float]]:
    """(PSNR, bpp) of the settings that no mixture of others beats, by rising PSNR."""
    points = [(r["psnr_db"], r["bpp"]) for r in rows if r["psnr_db"] is not None]
    hull = [points[i] for i in lower_hull(points)]
    cheapest_last = min(range(len(hull)), key=lambda i: (hull[i][1], -i), default=0)
    return hull[cheapest_last:]


def lossless_rows(rows: Rows) -> list[dict[str, Any]]:
    """The smallest lossless row of each family, the smallest of all first; raw is left out."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        exact = row["max_error"] == 0 and row.get("target") in (None, "max_error")
        if exact and row["coder"] != "raw" and not row["coder"].startswith("rounded"):
            name = row["family"] if row["ours"] else f"{row['coder']}, {row['scope']}"
            best[name] = min(best.get(name, row), row, key=lambda r: float(r["bpp"]))
    return sorted(best.values(), key=lambda r: float(r["bpp"]))


# ---------------------------------------------------------------- the tables


def _table(title: str, note: str, head: Sequence[str], lines: list[tuple[bool, Any]]) -> Table:
    ours = frozenset(i for i, (mine, _) in enumerate(lines) if mine)
    return Table(title, note, tuple(head), tuple(tuple(cells) for _, cells in lines), ours)


def _tutorial(rows: Rows) -> Table:
    lines = [
        (bool(r["ours"]), (r["coder"], f"{r['nbytes']:,}", f"{r['bpp']:.4f}", _db(r))) for r in rows
    ]
    note = "What tutorials do with latents, and aecodec asked for the same PSNR."
    return _table("Stored latents", note, ("coder", "bytes", "bpp", "PSNR dB"), lines)


def _lossless(rows: Rows) -> Table:
    lines = [
        (
            bool(r["ours"]),
            (
                r["coder"],
                r["scope"],
                f"{r['nbytes']:,}",
                f"{r['bpp']:.4f}",
                _speed(r, "encode"),
                _speed(r, "decode"),
            ),
        )
        for r in lossless_rows(rows)
    ]
    head = ("coder", "a file holds", "bytes", "bpp", "enc img/s", "dec img/s")
    note = (
        "Every pixel comes back; smallest first. Only a file that holds an image, "
        "or any image of an .aez, can be read alone."
    )
    return _table("Without loss", note, head, lines)


def _bounds(rows: Rows) -> Table:
    bounded = [r for r in rows if r.get("kind") == "bounded"]
    bounds = sorted({r["setting"] for r in bounded})
    lines = []
    for name, group in families(bounded).items():
        each = {r["setting"]: f"{r['bpp']:.3f}" for r in group}
        lines.append((bool(group[0]["ours"]), (name, *(each.get(bound, "") for bound in bounds))))
    lines.sort(key=lambda line: not line[0])
    head = ("bpp at a largest error of", *(f"{bound:g}" for bound in bounds))
    note = "No sample of any image is off by more gray levels than that; 0 is without loss."
    return _table("Under an error bound", note, head, lines)


def _psnrs(rows: Rows, targets: Sequence[float]) -> Table:
    lines = []
    for name, group in curves(rows).items():
        asked = {r["setting"]: r["bpp"] for r in group if r.get("target") == "psnr"}
        each = [asked.get(t) if asked else bpp_at(group, t) for t in targets]
        if any(each):
            cells = ("" if bpp is None else f"{bpp:.3f}" for bpp in each)
            lines.append((bool(group[0]["ours"]), (name, *cells)))
    lines.sort(key=lambda line: not line[0])
    note = (
        "PSNR over all samples of the set together. aecodec --psnr is asked for it; the others are "
        "read off the lower hull of their settings, and at their coarsest setting below it."
    )
    return _table("At a PSNR", note, ("bpp at a PSNR of", *(f"{t:g}" for t in targets)), lines)


def _everything(rows: Rows) -> Table:
    classified = any(r.get("accuracy") is not None for r in rows)
    head = ["coder", "a file holds", "setting", "bytes", "bpp", "PSNR dB", "p99 err", "SSIM"]
    head += ["read right"] if classified else []
    head += ["enc img/s", "dec img/s"]
    lines = []
    for r in sorted(rows, key=lambda r: not r["ours"]):
        cells = [r["coder"], r["scope"], f"{r['setting']:g}", f"{r['nbytes']:,}"]
        cells += [f"{r['bpp']:.4f}", _db(r), f"{r['max_error_p99']:.0f}", f"{r['ssim']:.4f}"]
        cells += [f"{r['accuracy']:.2%}"] if classified else []
        cells += [_speed(r, "encode"), _speed(r, "decode")]
        lines.append((bool(r["ours"]), cells))
    note = (
        "Whole files. p99 err: 99 of 100 images have no sample off by more. "
        "SSIM: Gaussian window of 11 x 11. Speeds are of one run each."
    )
    return _table("Every setting", note, head, lines)


def _db(row: dict[str, Any]) -> str:
    return "lossless" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}"


def _speed(row: dict[str, Any], way: str) -> str:
    return rounded(row[f"{way}_images_per_s"])


# ---------------------------------------------------------------- as text


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text, the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(_pad(row, widths).rstrip() for row in (head, *rows))


def _pad(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return "  ".join(cells)


def format_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a README."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def rounded(value: float) -> str:
    """Three significant digits in plain notation, integers from 100 on: 12,345 and 0.0123."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
