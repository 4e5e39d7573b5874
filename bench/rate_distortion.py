"""Size against quality: aecodec beside JPEG, WebP, AVIF, JPEG XL, PCA and the KLT.

Whole files, the same images for all. The first table has what tutorials do with latents; the second
the bits a pixel that each coder needs for a PSNR, on the lower hull of its settings; aecodec is asked
for that PSNR. Two figures are drawn where matplotlib is installed.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from common import (
    add_result_options,
    facts,
    format_markdown,
    format_table,
    load_images,
    pooled_psnr_db,
    write_result,
)
from peers import SET, Peer, pca_peers, picture_peers

import aecodec
from aecodec import metrics
from aecodec.codec import VARIANTS, Codec
from aecodec.images import Images
from aecodec.pca import PcaBasis, fit_pca

TARGETS = (20, 22, 25, 28, 30, 33, 36, 40, 45)
QUALITIES = tuple(range(1, 10))
CODERS = (("zstd", "fast"), ("ans", "fast"), ("ans", "small"))  # of latents, and the variant
TUTORIAL_COMPONENTS = 32


def row(coder: str, scope: str, setting: float, nbytes: int, images: Images, x_hat: Images) -> Any:  # noqa: ANN401
    """One measured setting; errors are of all pixels of the set."""
    worst = metrics.max_error(images, x_hat)
    psnr = pooled_psnr_db(images, x_hat)
    return {
        "coder": coder,
        "scope": scope,
        "setting": setting,
        "nbytes": nbytes,
        "bpp": metrics.bits_per_pixel(nbytes, images.shape),
        "psnr_db": psnr if math.isfinite(psnr) else None,
        "max_error": int(worst.max()),
        "max_error_p99": float(np.quantile(worst, 0.99)),
    }


# ---------------------------------------------------------------- what is measured


def tutorial_rows(images: Images, basis: PcaBasis, codec: Codec) -> list[dict[str, Any]]:
    """Float latents, 32 an image, as text, as they are and under zstd; then quantized; then ours."""
    x = images.reshape(len(images), -1).astype(np.float32) - basis.mean
    axes = basis.axes[:TUTORIAL_COMPONENTS]
    y = x @ axes.T
    decoded = np.clip(np.rint(y @ axes + basis.mean), 0, 255).astype(np.uint8)
    x_hat = decoded.reshape(images.shape)
    text = io.StringIO()
    np.savetxt(text, y)
    raw = y.astype("<f4").tobytes()
    sizes = {
        "float latents as text": len(text.getvalue()),
        "float latents as float32": len(raw),
        "float32 under zstd -19": len(zstandard.ZstdCompressor(level=19).compress(raw)),
    }
    rows = [
        row(name, SET, TUTORIAL_COMPONENTS, nbytes, images, x_hat) for name, nbytes in sizes.items()
    ]
    same = rows[0]["psnr_db"]
    peer = next(p for p in pca_peers(basis) if p.name == f"PCA {TUTORIAL_COMPONENTS}, zstd -19")
    nbytes, quantized = peer.code(images, 128.0)
    rows.append(row(peer.name, SET, 128, nbytes, images, quantized))
    ours = [
        asked_row(images, codec, coder, "fast", psnr=same)
        for coder in dict.fromkeys(c for c, _ in CODERS)
    ]
    return rows + ours


def asked_row(
    images: Images, codec: Codec, coder: str, variant: str, **asked: float
) -> dict[str, Any]:
    """aecodec with one target; its size and error are those of the file."""
    mine = Codec(codec.model, pixel_part=VARIANTS[variant], coder=coder)
    blob = aecodec.encode(images, codec=mine, **asked)  # type: ignore[arg-type]
    x_hat = aecodec.decode(blob, codec=mine)
    ((_, value),) = asked.items()
    found: dict[str, Any] = row(
        f"aecodec, {coder}, {variant}", "any image", value, len(blob), images, x_hat
    )
    with aecodec.open(blob) as archive:
        found["images_by_mode"] = archive.info["images_by_mode"]
    return found


def peer_rows(images: Images, peers: Iterable[Peer]) -> list[dict[str, Any]]:
    """Every setting of every peer."""
    rows = []
    for peer in peers:
        for setting in peer.settings:
            nbytes, x_hat = peer.code(images, setting)
            rows.append(row(peer.name, peer.scope, setting, nbytes, images, x_hat))
    return rows


def bpp_at(rows: Sequence[dict[str, Any]], psnr: float) -> float | None:
    """Bits a pixel for a PSNR, between the two nearest points of the lower hull; None beyond it."""
    points = sorted((r["psnr_db"], r["bpp"]) for r in rows if r["psnr_db"] is not None)
    hull: list[tuple[float, float]] = []
    for point in points:
        while hull and (
            hull[-1][1] >= point[1] or (len(hull) > 1 and _above(hull[-2], hull[-1], point))
        ):
            hull.pop()
        hull.append(point)
    if hull and psnr <= hull[0][0]:
        return hull[0][1]
    for (low, cheap), (high, dear) in pairwise(hull):
        if low <= psnr <= high:
            return cheap + (dear - cheap) * (psnr - low) / (high - low)
    return None


def _above(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


# ---------------------------------------------------------------- what is shown


def families(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by coder and scope; all PCA of up to 128 components are one coder."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for r in rows:
        name = "PCA, zstd -19" if r["coder"].startswith("PCA") else r["coder"]
        groups.setdefault(f"{name}, {r['scope']}", []).append(r)
    return groups


def psnr_table(
    asked: Sequence[dict[str, Any]], groups: dict[str, list[dict[str, Any]]], targets: Sequence[int]
) -> list[tuple[str, ...]]:
    """A line for each coder: bpp at each target, and its best peer below."""
    lines = []
    for name in dict.fromkeys(r["coder"] for r in asked):
        mine = {r["setting"]: f"{r['bpp']:.4f}" for r in asked if r["coder"] == name}
        lines.append((name, *(mine.get(target, "") for target in targets)))
    for name, rows in groups.items():
        each = [bpp_at(rows, target) for target in targets]
        if any(each):
            lines.append((name, *("" if bpp is None else f"{bpp:.3f}" for bpp in each)))
    return lines


def draw(
    folder: Path,
    name: str,
    asked: Sequence[dict[str, Any]],
    groups: dict[str, list[dict[str, Any]]],
) -> None:
    """Size against PSNR as SVG and PNG, bits a pixel on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": name, "font.size": 10})
    figure, axes = plt.subplots(figsize=(9.5, 5.2), facecolor="white")
    markers = iter("osD^v<>ph*X" * 2)
    for label, rows in groups.items():
        points = [(p, bpp) for p in np.arange(16, 46, 0.5) if (bpp := bpp_at(rows, float(p)))]
        low = min(r["psnr_db"] for r in rows if r["psnr_db"] is not None)
        points = [(p, bpp) for p, bpp in points if p >= low]
        if points:
            axes.plot(*zip(*points, strict=True), "--", linewidth=1.2, label=label)
    for coder in dict.fromkeys(r["coder"] for r in asked):
        mine = sorted((r["psnr_db"], r["bpp"]) for r in asked if r["coder"] == coder)
        axes.plot(
            *zip(*mine, strict=True), linewidth=2.4, marker=next(markers), markersize=4, label=coder
        )
    axes.set(xlim=(16, 46), yscale="log", xlabel="PSNR in dB, pooled", ylabel="bits per pixel")
    axes.set_yticks([0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5], minor=False)
    axes.set_yticklabels(["0.03", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.tight_layout()
    for kind in ("svg", "png"):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(folder / f"{name}.{kind}", dpi=130, metadata=metadata)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN")
    parser.add_argument("--train", metavar="IN2", required=True, help="fit PCA on this set")
    parser.add_argument("--model", default="mnist", help="name or file (%(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("--targets", type=int, nargs="+", default=list(TARGETS), metavar="DB")
    parser.add_argument("--markdown", action="store_true", help="print tables for a README")
    add_result_options(parser, "rate-distortion")
    a = parser.parse_args(argv)
    images = load_images(a.input, a.limit)
    codec = Codec(aecodec.load_model(a.model))
    show = format_markdown if a.markdown else format_table
    basis = fit_pca(load_images(a.train), math.prod(images.shape[1:]))
    tutorial = tutorial_rows(images, basis, codec)
    head = (f"{TUTORIAL_COMPONENTS} latents an image", "bytes", "bpp", "PSNR dB")
    print(
        show(
            head,
            [
                (r["coder"], f"{r['nbytes']:,}", f"{r['bpp']:.4f}", f"{r['psnr_db']:.2f}")
                for r in tutorial
            ],
        )
    )
    asked = [
        asked_row(images, codec, coder, variant, psnr=target)
        for coder, variant in CODERS
        for target in a.targets
    ]
    ladder = [
        asked_row(images, codec, coder, "fast", quality=quality)
        for coder in dict.fromkeys(coder for coder, _ in CODERS)
        for quality in QUALITIES
    ]
    peers = peer_rows(images, chain(picture_peers(), pca_peers(basis)))
    groups = families(peers)
    lines = psnr_table(asked, groups, a.targets)
    print(show(("bpp at a PSNR in dB", *(str(target) for target in a.targets)), lines))
    result = {
        **facts(Path(a.input).name, images),
        "model": Path(a.model).stem,
        "decoder_nbytes": {n: p.nbytes for n, p in codec.model.parts.items()},  # type: ignore[union-attr]
        "tutorial": tutorial,
        "asked": asked,
        "qualities": ladder,
        "peers": peers,
    }
    path = write_result(a.name, result, a.results)
    try:
        draw(path.parent, path.stem, asked, groups)
    except ImportError:
        print("matplotlib is not installed: no figure")


if __name__ == "__main__":
    main()
