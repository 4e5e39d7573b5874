"""A bench's result as one HTML page: nothing is fetched, light and dark, for phones too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from aecodec.benchmark.figures import figure_names, inline_svg
from aecodec.benchmark.tables import Table, tables

Result = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --dim: #5b6876; --paper: #fff; --line: #dde3ea;
  --card: #f6f8fa; --ours: #d6336c14; --accent: #c2255c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e9ef; --dim: #9aa7b5; --paper: #14191f;
  --line: #2d3742; --card: #1b222a; --ours: #f0659522; --accent: #f783ac; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .3rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, li, dd { color: var(--dim); margin: .3rem 0 .7rem; }
strong { color: var(--accent); }
.figures { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; padding: .6rem; background: var(--card); border-radius: .5rem; }
figcaption { font-weight: 600; margin: 0 0 .4rem .3rem; }
svg { display: block; width: 100%; height: auto; color: var(--ink); }
.box { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; }
.tall { max-height: 34rem; overflow-y: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); max-width: 46vw; white-space: normal; }
th:first-child { background: var(--card); z-index: 1; }
tr + tr td { border-top: 1px solid var(--line); }
tr.ours td { background: linear-gradient(var(--ours), var(--ours)) var(--paper); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .85rem; }
dt, dd { margin: 0; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
TALL_LINES = 20
COUNTED = "Bits per pixel (bpp) are 8 &times; the bytes of whole files over N·H·W."


def report_page(results: Sequence[Result]) -> str:
    """The page of one bench run or several, with a section each; ValueError if there is none.

    Figures need matplotlib: without it the page says so.
    """
    if not results:
        raise ValueError("no results, expected at least one")
    title = "aecodec beside other codecs"
    body = [f"<h1>{title}</h1>", *(_section(result, i) for i, result in enumerate(results))]
    return PAGE.format(title=title, style=STYLE, body="\n".join(body))


def _section(result: Result, ordinal: int) -> str:
    count, height, width, channels = result["data"]["shape"]
    name = escape(result["data"]["name"])
    kind = {1: "gray", 3: "RGB"}.get(channels, f"{channels} channels")
    counted = f"{count:,} images of {height}&times;{width}, {kind}."
    parts = [
        f'<section id="set{ordinal}"><h2>{name}</h2>',
        f"<p>{counted} {COUNTED} {_not_counted(result)}</p>",
        _classification(result),
        _figures(result),
        *(_table(table) for table in tables(result)),
        _absent(result),
        _facts(result),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _not_counted(result: Result) -> str:
    sizes = result["decoder_nbytes"]
    if not sizes:
        return "There is no model of aecodec for these images."
    each = ", ".join(f"{escape(name)} {nbytes:,}" for name, nbytes in sizes.items())
    return (
        f"Not counted are aecodec&rsquo;s decoders, which come with model "
        f"{escape(result['model'])} (bytes: {each}){_pca_text(result)}."
    )


def _pca_text(result: Result) -> str:
    """What is said of PCA's basis, if there is a row of PCA."""
    if not result["pca_fitted_on"]:
        return ""
    return f", and PCA&rsquo;s basis, fitted on {escape(result['pca_fitted_on'])}"


def _classification(result: Result) -> str:
    facts = result["classifier"]
    if not facts:
        return ""
    asked, trained = f"{facts['asked_about']:,}", f"{facts['trained_on']:,}"
    return (
        f"<p>&ldquo;read right&rdquo; is the share of {asked} decoded images that a small "
        f"convolutional network, trained on {trained} originals, still classifies "
        f"rightly; of the originals it is {facts['originals']:.2%}.</p>"
    )


def _figures(result: Result) -> str:
    try:
        drawn = {title: inline_svg(result, name) for name, title in figure_names(result).items()}
    except ImportError:
        return "<p>No figures: they need matplotlib (pip install matplotlib).</p>"
    items = (
        f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in drawn.items()
    )
    return f'<div class="figures">{"".join(items)}</div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    lines = []
    for i, cells in enumerate(table.lines):
        mark = ' class="ours"' if i in table.ours else ""
        lines.append(f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    tall = " tall" if len(lines) > TALL_LINES else ""
    return (
        f"<h3>{table.title}</h3><p>{escape(table.note)}</p>"
        f'<div class="box{tall}" tabindex="0" role="region" aria-label="{table.title}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _absent(result: Result) -> str:
    lines = [f"not installed: {text}" for text in result["absent"]]
    lines += [f"{entry['coder']}: {entry['why']}" for entry in result["left_out"]]
    if not lines:
        return ""
    return f"<h3>Left out</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _facts(result: Result) -> str:
    machine = result["machine"]
    threads = ", ".join(f"{k} {v}" for k, v in result["threads"].items() if v is not None)
    versions = {**result["versions"], **result["libraries"]}
    facts = {
        "date": result["date"],
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        "threads": threads,
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "pixels&rsquo; SHA-256": result["data"]["pixels_sha256"],
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<h3>This run</h3><dl>{items}</dl>"
