"""Figures and the page from a bench's JSON; the page in a browser, where there is one."""

import json
import re
import sys
from pathlib import Path

import pytest
from bench_result import bench_result
from browser import browse

from aecodec.benchmark import figures, page

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import report

PHONE, DESKTOP = 390, 1200


@pytest.fixture
def result():
    return bench_result()


def test_page_has_every_table_and_fetches_nothing(result):
    html = page.report_page([result, result])
    titles = ("Without loss", "Under an error bound", "At a PSNR", "Every setting", "Left out")
    for title in titles:
        assert html.count(f"<h3>{title}</h3>") == 2
    assert "<td>aecodec ans</td><td>0.130</td><td>0.240</td>" in html
    assert "<td>JPEG, mosaic</td><td>0.800</td><td>1.300</td>" in html  # between 22 and 32 dB
    assert "a&amp;b.npy" in html
    assert "too &lt;small&gt;" in html
    assert "not installed: brotli" in html
    assert re.findall(r"<(?:script|link|img|iframe)|@import|src=", html) == []
    assert re.findall(r"url\((?!#)", html) == []  # only a figure's own clip paths
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_page_says_where_figures_come_from_without_matplotlib(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "No figures: they need matplotlib" in page.report_page([result])


def test_page_needs_a_result():
    with pytest.raises(ValueError, match="no results, expected at least one"):
        page.report_page([])


def test_figures_are_those_with_rows(result):
    assert list(figures.figure_names(result)) == ["psnr", "bounds", "lossless", "speed"]
    exact = [r for r in result["rows"] if r["kind"] == "lossless"]
    assert list(figures.figure_names({**result, "rows": exact})) == ["lossless", "speed"]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", ["psnr", "bounds", "lossless", "speed"])
def test_no_text_of_a_figure_is_cut(result, name, narrow):
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    from matplotlib.text import Text

    figure = figures.draw(result, name, narrow=narrow)
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    assert any("aecodec" in text for text in texts)
    drawn = figure.get_tightbbox()  # of all that is drawn, in inches
    width, height = figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.02
    assert drawn.x1 <= width + 0.02
    assert drawn.y1 <= height + 0.02


def test_report_script_writes_figures_and_page(result, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    (tmp_path / "rd.json").write_text(json.dumps(result))
    report.main([str(tmp_path / "rd.json"), "--folder", str(tmp_path / "out")])
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    names = ("bounds", "lossless", "psnr", "speed")
    assert made == [*(f"rd-{n}.{kind}" for n in names for kind in ("png", "svg")), "report.html"]
    assert len(capsys.readouterr().out.splitlines()) == 9
    before = (tmp_path / "out" / "rd-psnr.svg").read_bytes()
    report.main([str(tmp_path / "rd.json"), "--folder", str(tmp_path / "out")])
    assert (tmp_path / "out" / "rd-psnr.svg").read_bytes() == before
    assert "<svg" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_page_in_a_browser_is_as_wide_as_the_screen(result, tmp_path, width):
    from PIL import Image

    # in a frame: a browser's own window does not get as narrow as a phone
    frame = page.report_page([result]).replace("&", "&amp;").replace('"', "&quot;")
    probe = (
        "const inner = document.querySelector('iframe').contentWindow, set = document.body.dataset;"
        "set.inner = inner.innerWidth; set.full = inner.document.documentElement.scrollWidth;"
        "set.boxes = [...inner.document.querySelectorAll('.box, figure')].every("
        "b => b.getBoundingClientRect().right <= inner.innerWidth)"
    )
    style = f"width:{width}px;height:2600px;border:0"
    outer = f'<body style="margin:0"><iframe srcdoc="{frame}" style="{style}" onload="{probe}">'
    (tmp_path / "outer.html").write_text(f"<!DOCTYPE html>{outer}</iframe>", encoding="utf-8")
    address = (tmp_path / "outer.html").as_uri()
    size = f"--window-size={DESKTOP},2600"
    dom = browse(address, tmp_path, size)
    assert dom.console == ()
    seen = dict(re.findall(r'data-(inner|full|boxes)="(\w+)"', dom.document))
    assert seen == {"inner": str(width), "full": str(width), "boxes": "true"}
    shot = tmp_path / f"{width}.png"
    browse(address, tmp_path, size, f"--screenshot={shot}", dump=False)
    with Image.open(shot) as picture:
        seen_part = picture.convert("RGB").crop((0, 0, width, picture.height))
        assert len(seen_part.getcolors(1 << 24)) > 50  # figures and text, not a blank
