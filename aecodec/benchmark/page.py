"""A bench's result as one HTML page: nothing is fetched, light and dark, for phones too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aecodec.benchmark.figures import figure_names, inline_svg
from aecodec.benchmark.tables import Table, tables
from aecodec.io.pages import Markup, fill, fill_each, fill_page, joined

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
svg * { stroke-linejoin: round; stroke-linecap: butt; }
"""
PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{{{text policy}}}}">
<title>{{{{text title}}}}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{{{{text heading}}}}</h1>
{{{{markup body}}}}
</main>
</body>
</html>
"""
FIGURES = "style-src-attr 'unsafe-inline'"  # figures have their styles in attributes
TALL_LINES = 20
COUNTED = "Bits per pixel (bpp) are 8 &times; the bytes of whole files over N·H·W."


def report_page(results: Sequence[Result]) -> str:
    """The page of one bench run or several, with a section each; ValueError if there is none.

    Figures need matplotlib: without it the page says so.
    """
    if not results:
        raise ValueError("no results, expected at least one")
    title = "aecodec beside other codecs"
    body = joined((_section(result, i) for i, result in enumerate(results)), "\n")
    return fill_page(PAGE, {"title": title, "heading": title, "body": body}, FIGURES)


def _section(result: Result, ordinal: int) -> Markup:
    count, height, width, channels = result["data"]["shape"]
    kind = {1: "gray", 3: "RGB"}.get(channels, f"{channels} channels")
    counted = f"{count:,} images of {height}\u00d7{width}, {kind}."
    head = fill(
        '<section id="set{{text ordinal}}"><h2>{{text name}}</h2>\n'
        f"<p>{{{{text counted}}}} {COUNTED} {{{{markup not_counted}}}}</p>",
        {
            "ordinal": str(ordinal),
            "name": result["data"]["name"],
            "counted": counted,
            "not_counted": _not_counted(result),
        },
    )
    parts = [
        head,
        _classification(result),
        _figures(result),
        *(_table(table) for table in tables(result)),
        _absent(result),
        _facts(result),
        Markup("</section>"),
    ]
    return joined((part for part in parts if part), "\n")


def _not_counted(result: Result) -> Markup:
    sizes = result["decoder_nbytes"]
    if not sizes:
        return Markup("There is no model of aecodec for these images.")
    return fill(
        "Not counted are aecodec&rsquo;s decoders, which come with model {{text model}} "
        "(bytes: {{text sizes}}){{markup pca}}.",
        {
            "model": result["model"],
            "sizes": ", ".join(f"{name} {nbytes:,}" for name, nbytes in sizes.items()),
            "pca": _pca_text(result),
        },
    )


def _pca_text(result: Result) -> Markup:
    """What is said of PCA's basis, if there is a row of PCA."""
    if not result["pca_fitted_on"]:
        return Markup()
    text = ", and PCA&rsquo;s basis, fitted on {{text name}}"
    return fill(text, {"name": result["pca_fitted_on"]})


def _classification(result: Result) -> Markup:
    facts = result["classifier"]
    if not facts:
        return Markup()
    return fill(
        "<p>&ldquo;read right&rdquo; is the share of {{text asked}} decoded images that a small "
        "convolutional network, trained on {{text trained}} originals, still classifies "
        "rightly; of the originals it is {{text share}}.</p>",
        {
            "asked": f"{facts['asked_about']:,}",
            "trained": f"{facts['trained_on']:,}",
            "share": f"{facts['originals']:.2%}",
        },
    )


def _figures(result: Result) -> Markup:
    try:
        drawn = {title: inline_svg(result, name) for name, title in figure_names(result).items()}
    except ImportError:
        return Markup("<p>No figures: they need matplotlib (pip install matplotlib).</p>")
    items = fill_each(
        "<figure><figcaption>{{text title}}</figcaption>{{markup svg}}</figure>",
        ({"title": title, "svg": svg} for title, svg in drawn.items()),
    )
    return fill('<div class="figures">{{markup items}}</div>', {"items": items})


def _table(table: Table) -> Markup:
    head = fill_each('<th scope="col">{{text cell}}</th>', ({"cell": c} for c in table.head))
    lines = []
    for i, cells in enumerate(table.lines):
        line = fill_each("<td>{{text cell}}</td>", ({"cell": cell} for cell in cells))
        mark = ' class="ours"' if i in table.ours else ""
        lines.append(fill(f"<tr{mark}>{{{{markup line}}}}</tr>", {"line": line}))
    tall = " tall" if len(lines) > TALL_LINES else ""
    return fill(
        "<h3>{{text title}}</h3><p>{{text note}}</p>"
        f'<div class="box{tall}" tabindex="0" role="region" aria-label="{{{{text label}}}}">'
        "<table><thead><tr>{{markup head}}</tr></thead>"
        "<tbody>{{markup lines}}</tbody></table></div>",
        {
            "title": table.title,
            "note": table.note,
            "label": table.title,
            "head": head,
            "lines": joined(lines),
        },
    )


def _absent(result: Result) -> Markup:
    lines = [f"not installed: {text}" for text in result["absent"]]
    lines += [f"{entry['coder']}: {entry['why']}" for entry in result["left_out"]]
    if not lines:
        return Markup()
    items = fill_each("<li>{{text line}}</li>", ({"line": line} for line in lines))
    return fill("<h3>Left out</h3><ul>{{markup items}}</ul>", {"items": items})


def _facts(result: Result) -> Markup:
    machine = result["machine"]
    threads = ", ".join(f"{k} {v}" for k, v in result["threads"].items() if v is not None)
    versions = {**result["versions"], **result["libraries"]}
    facts = {
        "date": result["date"],
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        "threads": threads,
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "pixels\u2019 SHA-256": result["data"]["pixels_sha256"],
    }
    items = fill_each(
        "<dt>{{text name}}</dt><dd>{{text value}}</dd>",
        ({"name": name, "value": value} for name, value in facts.items()),
    )
    return fill("<h3>This run</h3><dl>{{markup items}}</dl>", {"items": items})
