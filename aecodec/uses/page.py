"""A map as one HTML page that needs nothing else: points on a canvas, images on hover."""

from __future__ import annotations

import io
import math
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Floats, Images, Indices, evenly
from aecodec.held_rows import Rows
from aecodec.io.pages import data_url, fill_page, replaced_one_by_one, shortened
from aecodec.uses.drawing import COLOURS, MOST_POINTS, asinh_ticks, axis_name, linear_widths

SPRITE_COLUMNS = 100
SPRITE_NBYTES = 4 << 20  # of pixels in a picture, unless one image has more
AXES = ("first", "second", "third")
NAME_TEXT = 200  # characters of a label
TITLE_TEXT = 300  # of the title, and of the note


def map_page(
    points: Floats,
    labels: npt.NDArray[Any] | None,
    images: Rows | None,
    title: str,
    note: str,
) -> str:
    """The page's text, of the pieces of :func:`map_page_pieces`."""
    return "".join(map_page_pieces(points, labels, images, title, note))


def map_page_pieces(
    points: Floats,
    labels: npt.NDArray[Any] | None,
    images: Rows | None,
    title: str,
    note: str,
) -> Iterator[str]:
    """The page's text in pieces, as pictures are drawn one after the other.

    points (N, 2) or (N, 3); images uint8 (N, H, W, C), or None for a table. Of more than 100,000
    points as many are shown, evenly spread. ImportError without Pillow.
    """
    shown = evenly(len(points), MOST_POINTS)
    is_whole = len(shown) == len(points)
    if not is_whole:
        note = f"{note}; {len(shown):,} of {len(points):,} points are shown"
    points = points[shown]
    sprites = None if images is None else _Sprites(images, shown)
    names, codes = np.zeros(0), np.zeros(len(points), np.int64)
    if labels is not None:
        names, codes = np.unique(labels[shown], return_inverse=True)
    widths = linear_widths(points)
    data = {
        "axes": [axis_name(name, width) for name, width in zip(AXES, widths, strict=False)],
        "widths": widths,
        "ticks": [asinh_ticks(points[:, k], w) if w else [] for k, w in enumerate(widths)],
        "points": [[round(float(v), 4) for v in point] for point in points],
        "numbers": None if is_whole else shown.tolist(),
        "codes": codes.tolist(),
        "names": [shortened(str(name), NAME_TEXT) for name in names],
        "colours": COLOURS,
        "columns": SPRITE_COLUMNS,
        "size": [0, 0] if images is None else [images.shape[2], images.shape[1]],
        "each": 1 if sprites is None else sprites.each,
        "sprites": [] if sprites is None else sprites.places,
    }
    title, note = shortened(title, TITLE_TEXT), shortened(note, TITLE_TEXT)
    values = {"title": title, "heading": title, "label": title, "note": note, "data": data}
    return replaced_one_by_one(fill_page(_PAGE, values), sprites.urls() if sprites else {})


class _Sprites:
    """Images at some positions in PNGs of ``each``, and the last one of fewer.

    ``places`` stand for their URLs until these are made.
    """

    def __init__(self, images: Rows, shown: Indices) -> None:
        self.images, self.shown = images, shown
        self.each = max(1, SPRITE_NBYTES // math.prod(images.shape[1:]))
        self.starts = range(0, len(shown), self.each)
        self.places = [secrets.token_hex(16) for _ in self.starts]

    def urls(self) -> dict[str, Callable[[], str]]:
        """What makes the URL of each place."""
        return {
            place: partial(self._url, start)
            for place, start in zip(self.places, self.starts, strict=True)
        }

    def _url(self, start: int) -> str:
        return _sprite(self.images[self.shown[start : start + self.each]])


def _sprite(images: Images) -> str:
    """Images in one PNG, as a data URL; needs Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("pages with images need Pillow: pip install 'aecodec[uses]'") from error
    count, height, width, channels = images.shape
    columns = min(SPRITE_COLUMNS, count)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    sheet = np.ascontiguousarray(sheet).reshape(rows * height, columns * width, channels)
    buffer = io.BytesIO()
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(buffer, "PNG", optimize=True)
    return data_url(buffer.getvalue())


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{text policy}}">
<meta name="color-scheme" content="light dark">
<title>{{text title}}</title>
<style>
:root { color-scheme: light dark; --ground: #fff; --ink: #222; --line: #bbb; --quiet: #666 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --ink: #e6e6e6; --line: #4a4e55; --quiet: #a0a4aa } }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.4 \
system-ui, sans-serif }
main { max-width: 900px; margin: 0 auto; padding: 16px }
h1 { font-size: 18px; margin: 0 } p { margin: 2px 0 10px; color: var(--quiet) }
h1, p, #text { overflow-wrap: anywhere }
canvas { width: 100%; height: auto; display: block; touch-action: none }
ul { list-style: none; padding: 0; margin: 8px 0; display: flex; flex-wrap: wrap; gap: 4px 16px }
li { max-width: 100%; overflow-wrap: anywhere }
li bdi { display: inline-block; max-width: 260px; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; vertical-align: bottom }
li span { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 6px }
#tip { position: fixed; display: none; pointer-events: none; padding: 6px; border-radius: 4px;
  background: var(--ground); border: 1px solid var(--line); font-size: 13px; text-align: center;
  max-width: 240px }
#tip canvas { image-rendering: pixelated; width: 112px; margin: 0 auto 3px }
</style></head><body><main>
<h1 dir="auto">{{text heading}}</h1><p>{{text note}}</p>
<canvas id="map" role="img" aria-label="{{text label}}"></canvas><ul id="legend"></ul>
</main><div id="tip"><canvas id="thumb"></canvas><div id="text" dir="auto"></div></div>
<script id="data" type="application/json">{{json data}}</script>
<script>
"use strict";
const D = JSON.parse(document.getElementById("data").textContent), P = D.points;
const map = document.getElementById("map"), tip = document.getElementById("tip");
const thumb = document.getElementById("thumb"), pen = map.getContext("2d");
const L = 62, B = 52, T = 12, R = 12, solid = P.length && P[0].length === 3;
const sprites = D.sprites.map(url => { const s = new Image(); s.src = url; return s; });
const dims = solid ? 3 : 2, low = [], high = [];
for (let k = 0; k < dims; k++) {
  let a = Infinity, b = -Infinity;
  for (const p of P) { a = Math.min(a, p[k]); b = Math.max(b, p[k]); }
  a = at(k, a); b = at(k, b);
  const room = (b - a || 1) * 0.03; low.push(a - room); high.push(b + room);
}
function at(k, v) { return D.widths[k] ? Math.asinh(v / D.widths[k]) : v; }
function across(u) { return L + (u - low[0]) / (high[0] - low[0]) * (W - L - R); }
function up(v) { return H - B - (v - low[1]) / (high[1] - low[1]) * (H - B - T); }
let W = 900, H = 640, yaw = 0.6, pitch = 0.4, screen = [];
function project(p) {
  if (!solid) return [across(at(0, p[0])), up(at(1, p[1]))];
  const [x, y, z] = p.map((v, k) => (v - low[k]) / (high[k] - low[k]) - 0.5);
  const u = x * Math.cos(yaw) + y * Math.sin(yaw), v = y * Math.cos(yaw) - x * Math.sin(yaw);
  const size = Math.min(W * 0.51, H * 0.66);
  return [W / 2 + u * size, H / 2 - (z * Math.cos(pitch) + v * Math.sin(pitch)) * size];
}
function ticks(k) {
  if (D.widths[k]) return D.ticks[k].map(v => [at(k, v), Number(v.toPrecision(6)).toString()]);
  const a = low[k], b = high[k];
  const raw = (b - a) / 6, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find(m => m * unit >= raw) * unit, out = [];
  for (let i = Math.ceil(a / step); i * step <= b; i++) out.push(i * step);
  return out.map(v => [v, Number(v.toPrecision(6)).toString()]);
}
function draw() {
  W = map.clientWidth; H = Math.round(Math.max(0.71 * W, Math.min(W, 420)));
  const css = getComputedStyle(document.documentElement), scale = devicePixelRatio || 1;
  map.width = W * scale; map.height = H * scale; pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = css.getPropertyValue("--ground"); pen.fillRect(0, 0, W, H);
  pen.strokeStyle = css.getPropertyValue("--line"); pen.fillStyle = css.getPropertyValue("--ink");
  pen.font = "13px system-ui, sans-serif"; pen.textAlign = "center";
  if (solid) {
    D.axes.forEach((name, k) => {
      const from = low.slice(), to = low.slice(); to[k] = high[k];
      const a = project(from), b = project(to);
      pen.beginPath(); pen.moveTo(...a); pen.lineTo(...b); pen.stroke();
      pen.fillText(name, Math.min(W - 30, Math.max(30, b[0])), Math.min(H - 6, b[1] + 14));
    });
  } else {
    pen.strokeRect(L, T, W - L - R, H - B - T);
    for (const [v, text] of ticks(0)) {
      const x = across(v);
      pen.beginPath(); pen.moveTo(x, H - B); pen.lineTo(x, H - B + 5); pen.stroke();
      pen.fillText(text, x, H - B + 19);
    }
    pen.fillText(D.axes[0], (W + L) / 2, H - 8);
    pen.textAlign = "right";
    for (const [v, text] of ticks(1)) {
      const y = up(v);
      pen.beginPath(); pen.moveTo(L, y); pen.lineTo(L - 5, y); pen.stroke();
      pen.fillText(text, L - 8, y + 4);
    }
    pen.save(); pen.translate(14, H / 2); pen.rotate(-Math.PI / 2); pen.textAlign = "center";
    pen.fillText(D.axes[1], 0, 0); pen.restore();
  }
  screen = P.map(project);
  const r = Math.max(1.1, Math.min(4, 90 / Math.sqrt(P.length)));
  pen.globalAlpha = 0.8;
  screen.forEach(([x, y], i) => {
    pen.fillStyle = D.colours[D.codes[i] % D.colours.length];
    pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.fill();
  });
  pen.globalAlpha = 1;
}
function hover(event) {
  const box = map.getBoundingClientRect(), k = W / box.width;
  const x = (event.clientX - box.left) * k, y = (event.clientY - box.top) * k;
  let best = -1, near = 144;
  screen.forEach(([a, b], i) => {
    const d = (a - x) ** 2 + (b - y) ** 2; if (d < near) { near = d; best = i; }
  });
  if (best < 0) { tip.style.display = "none"; return; }
  const [w, h] = D.size;
  thumb.style.display = w ? "block" : "none";
  if (w) {
    thumb.width = w; thumb.height = h;
    const sprite = sprites[Math.floor(best / D.each)], n = best % D.each;
    const sx = n % D.columns * w, sy = Math.floor(n / D.columns) * h;
    thumb.getContext("2d").drawImage(sprite, sx, sy, w, h, 0, 0, w, h);
  }
  const number = D.numbers ? D.numbers[best] : best;
  document.getElementById("text").textContent =
    "number " + number + (D.names.length ? ", label " + D.names[D.codes[best]] : "");
  tip.style.display = "block";
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 6) + "px";
}
let held = null;
map.addEventListener("pointerdown", e => { held = solid ? [e.clientX, e.clientY] : null; });
addEventListener("pointerup", () => { held = null; });
map.addEventListener("pointermove", e => {
  if (!held) { hover(e); return; }
  yaw -= (e.clientX - held[0]) / 150;
  pitch = Math.max(-1.5, Math.min(1.5, pitch + (e.clientY - held[1]) / 150));
  held = [e.clientX, e.clientY]; draw();
});
map.addEventListener("pointerleave", () => { tip.style.display = "none"; });
const legend = document.getElementById("legend");
D.names.slice(0, 40).forEach((name, i) => {
  const item = document.createElement("li"), dot = document.createElement("span");
  const text = document.createElement("bdi");
  dot.style.background = D.colours[i % D.colours.length]; text.textContent = name;
  item.append(dot, text); legend.append(item);
});
if (D.names.length > 40) {
  const item = document.createElement("li");
  item.textContent = "and " + (D.names.length - 40) + " more"; legend.append(item);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", draw); draw();
document.body.dataset.ready = String(P.length);
</script></body></html>
"""
