"""The page of ``aecodec view``: what goes into it, and that a browser draws it."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, browse
from PIL import Image

import aecodec
from aecodec.archive.array import Archive
from aecodec.cli import main
from aecodec.demo import load_sample
from aecodec.io.pages import data_url
from aecodec.view.gathering import gather
from aecodec.view.latent_map import principal_axes
from aecodec.view.page import build_page
from aecodec.view.serving import make_server
from aecodec.view.sheets import sheets

COUNT = 300
IMAGES = load_sample()[:COUNT]
LABELS = np.arange(COUNT) % 3
EVIL = "</script><img src=x onerror=\"document.body.dataset.error='evil'\">"
ABOUT = {"title": EVIL, "classes": ["cat", "<b>dog</b>", "emu"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    options = {"model": "fashion", "labels": LABELS, "about": ABOUT}
    aecodec.compress(IMAGES, folder / "latents.aez", quality=4, chunk_images=128, **options)
    aecodec.compress(IMAGES[:40], folder / "pixels.aez", lossless=True, model="fashion")
    noise = np.random.default_rng(0).integers(0, 256, (20, 9, 13, 3), np.uint8)
    aecodec.compress(noise, folder / "colour.aez", model="none")
    np.save(folder / "set.npy", IMAGES)
    return folder


def gathered(path, **options):
    with Archive(path) as archive:
        return gather(archive, **{"count": 1000, **options})


# ---------------------------------------------------------------- what is gathered


def test_everything_of_a_small_file(folder):
    found = gathered(folder / "latents.aez", against=folder / "set.npy")
    data = found.data
    assert data["indices"] == list(range(COUNT))
    with Archive(folder / "latents.aez") as archive:
        whole = archive[:][..., None]
        info = archive.info
    np.testing.assert_array_equal(found.images, whole)
    np.testing.assert_array_equal(found.originals[..., 0], IMAGES)
    cut = {"class_count": 3, "column_count": 1}
    assert data["info"] == {**info, **cut}
    assert sum(part["nbytes"] for part in data["parts"]) == (folder / "latents.aez").stat().st_size
    counts = {name: data["mode"].count(i) for i, name in enumerate(data["modes"])}
    assert counts == info["images_by_mode"]
    assert data["label"] == LABELS.tolist()
    assert data["errors"]["max"] == np.abs(whole[..., 0].astype(int) - IMAGES).max((1, 2)).tolist()
    assert len(data["map"]["x"]) == len(data["map"]["at"])
    assert data["map"]["source"] == "the file's own latents"
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_a_few_of_many_are_evenly_spread(folder):
    found = gathered(folder / "latents.aez", count=7, against=folder / "set.npy")
    assert found.data["indices"] == [0, 42, 85, 128, 171, 214, 257]
    np.testing.assert_array_equal(found.originals[..., 0], IMAGES[found.data["indices"]])
    assert found.data["label"] == LABELS[found.data["indices"]].tolist()
    assert len(found.data["mode"]) == 7


def test_a_file_without_latents_is_mapped_by_a_model(folder):
    data = gathered(folder / "pixels.aez").data
    assert data["map"]["source"] == "latents that model fashion makes of the decoded images"
    assert len(data["map"]["at"]) == 40
    assert data["label"] is None
    data = gathered(folder / "pixels.aez", model="mnist").data
    assert "model mnist" in data["map"]["source"]


def test_a_file_that_no_model_fits(folder):
    assert "no model at hand" in gathered(folder / "colour.aez").data["map"]["note"]
    with pytest.raises(aecodec.ModelMismatchError, match="28x28"):
        gathered(folder / "colour.aez", model="mnist")


def test_originals_of_another_set(folder, tmp_path):
    np.save(tmp_path / "few.npy", IMAGES[:-1])
    with pytest.raises(ValueError, match="299 images, expected 300"):
        gathered(folder / "latents.aez", against=tmp_path / "few.npy")
    np.save(tmp_path / "other.npy", np.zeros((300, 9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"images are \(9, 9, 1\), expected \(28, 28, 1\)"):
        gathered(folder / "latents.aez", against=tmp_path / "other.npy")


def test_no_images_at_all(tmp_path):
    aecodec.compress(np.empty((0, 8, 8), np.uint8), tmp_path / "x.aez", model="none")
    found = gathered(tmp_path / "x.aez")
    assert found.data["indices"] == []
    assert sheets(found.images) == []


def test_principal_axes_find_the_directions_that_matter():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 6)) * [1, 30, 1, 10, 1, 1]
    points, share = principal_axes(z)
    assert abs(np.corrcoef(points[:, 0], z[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(points[:, 1], z[:, 3])[0, 1]) > 0.99
    assert share > 0.98
    assert np.abs(points).max() == 1
    assert principal_axes(np.zeros((4, 6)))[0].tolist() == [[0, 0]] * 4


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sheets_hold_every_pixel(channels):
    rng = np.random.default_rng(channels)
    images = rng.integers(0, 256, (300, 5, 7, channels), np.uint8)
    made = sheets(images)
    assert len(made) == 2
    for i in (0, 17, 255, 256, 299):
        sheet = np.atleast_3d(np.asarray(Image.open(io.BytesIO(made[i // 256]))))
        row, column = divmod(i % 256, 16)
        tile = sheet[5 * row : 5 * row + 5, 7 * column : 7 * column + 7]
        np.testing.assert_array_equal(tile, images[i])


# ---------------------------------------------------------------- the page


def page_data(page: str) -> dict:
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    return json.loads(text)


def test_a_page_holds_all_it_shows(folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    argv = ["view", str(folder / "latents.aez"), "-o", str(out), "--json"]
    assert main([*argv, "--against", str(folder / "set.npy")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["nbytes"] == out.stat().st_size
    assert (facts["images"], facts["shown"]) == (300, 300)
    page = out.read_text(encoding="utf-8")
    data = page_data(page)
    assert data["info"]["title"] == EVIL
    assert len(data["sheets"]) == len(data["originals"]) == 2
    png = base64.b64decode(data["sheets"][0].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (448, 448)
    assert re.findall(r'(?:src|href)="(?!data:)|https?://|@import', page) == []
    assert EVIL not in page
    assert main(argv) == 1  # it is there already
    assert main([*argv, "-f", "-q"]) == 0


def test_default_output(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "colour.aez", "colour.aez")
    assert main(["view", "colour.aez", "-q", "--count", "5"]) == 0
    assert len(page_data(Path("colour.html").read_text(encoding="utf-8"))["indices"]) == 5


def test_wrong_count(folder, capsys):
    assert main(["view", str(folder / "colour.aez"), "--count", "0"]) == 2
    assert "count is 0" in capsys.readouterr().err


def test_wrong_port(folder, capsys):
    argv = ["view", str(folder / "colour.aez"), "--serve", "--port"]
    assert main([*argv, "65536"]) == 2
    assert "--port: expected 0 to 65535, got 65536" in capsys.readouterr().err


def check_drawn(document: str, cells: int, *, version: str = "1.2") -> None:
    assert "data-error" not in document
    assert f'data-ready="{cells}"' in document
    assert document.count('class="cell"') == cells
    assert f'<td class="k">format</td><td class="">.aez version {version}</td>' in document


def test_a_browser_draws_it(folder, tmp_path):
    out = tmp_path / "page.html"
    argv = ["view", str(folder / "latents.aez"), "-o", str(out), "-q"]
    assert main([*argv, "--against", str(folder / "set.npy")]) == 0
    seen = browse(out.as_uri(), tmp_path, "--window-size=1280,900")
    document = seen.document
    assert seen.console == ()
    check_drawn(document, 300)
    assert f'<h1 id="title">{html.escape(EVIL, quote=False)}</h1>' in document
    assert "&lt;b&gt;dog&lt;/b&gt;" in document
    assert "Two principal axes of the file's own latents" in document
    assert re.search(r'<canvas id="histogram" height="\d+"[^>]* width="\d{3,}"', document)
    assert "300 of 300" in document


@pytest.mark.parametrize(
    ("name", "cells", "version"), [("pixels", 40, "1.2"), ("colour", 20, "1.1")]
)
def test_a_browser_draws_other_files(name, cells, version, folder, tmp_path):
    out = tmp_path / "page.html"
    assert main(["view", str(folder / f"{name}.aez"), "-o", str(out), "-q"]) == 0
    check_drawn(browse(out.as_uri(), tmp_path).document, cells, version=version)


FRAME = """<iframe id="page" src="page.html" style="border:0;width:{width}px;height:844px"></iframe>
<script>
document.getElementById("page").onload = (event) => {
  const { contentWindow: page, contentDocument: { body, documentElement: root } } = event.target;
  document.body.dataset.probed = PROBE;
};
</script>"""


def probe(folder: Path, code: str, width: int = 1280) -> str:
    """What JavaScript finds on ``page.html``: in a frame, as a page runs no scripts but its own.

    A headless window is never narrower than 500 pixels, and a frame may be.
    """
    frame = FRAME.replace("{width}", str(width)).replace("PROBE", code)
    (folder / "frame.html").write_text(frame, encoding="utf-8")
    seen = browse((folder / "frame.html").as_uri(), folder, "--allow-file-access-from-files")
    (found,) = re.findall(r'data-probed="(.*?)"', seen.document, re.DOTALL)
    return html.unescape(found)


@pytest.mark.parametrize(("name", "cells"), [("latents", 300), ("colour", 20)])
def test_it_fits_a_phone(name, cells, folder, tmp_path):
    argv = ["view", str(folder / f"{name}.aez"), "-o", str(tmp_path / "page.html"), "-q"]
    assert main(argv) == 0
    code = """[page.innerWidth, root.scrollWidth - root.clientWidth, body.dataset.ready,
        body.dataset.error || "none"].join()"""
    assert probe(tmp_path, code, 390) == f"390,0,{cells},none"


def test_few_images_leave_no_empty_field(folder, tmp_path):
    aecodec.compress(np.empty((0, 8, 8), np.uint8), tmp_path / "none.aez", model="none")
    aecodec.compress(IMAGES[:1], tmp_path / "one.aez", model="fashion")
    documents, tall = {}, {}
    for name in ("none", "one"):
        out = tmp_path / "page.html"
        assert main(["view", str(tmp_path / f"{name}.aez"), "-o", str(out), "-q", "-f"]) == 0
        found = probe(tmp_path, "body.querySelector('#grid').clientHeight + body.outerHTML")
        height, documents[name] = re.fullmatch(r"(\d+)(.*)", found, re.DOTALL).groups()
        tall[name] = int(height)
    check_drawn(documents["none"], 0, version="1.1")
    assert documents["none"].count("The file holds no images.</p>") == 2
    assert tall["none"] == 0
    check_drawn(documents["one"], 1)
    assert "<b>1</b><span>image of 28\u00d728</span>" in documents["one"]
    assert 44 <= tall["one"] < 100


def test_all_but_a_few_are_not_all(folder, tmp_path):
    """3,998 of 4,000 are 99.95 %, not 100.0 %."""
    out = tmp_path / "page.html"
    assert main(["view", str(folder / "pixels.aez"), "-o", str(out), "-q"]) == 0
    code = "[[3998, 4000], [7, 7], [999999, 1e6]].map(([n, all]) => page.share(n, all)).join()"
    assert probe(tmp_path, code) == "99.95 %,100.0 %,99.99 %"


# ---------------------------------------------------------------- served


@pytest.fixture
def server():
    pages = {"/": ("text/html; charset=utf-8", b"<p>hi"), "/a.png": ("image/png", b"png")}
    with make_server(0, pages) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_served_on_loopback_alone(server):
    host, port = server.server_address
    assert host == "127.0.0.1"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/a.png") as response:
        assert response.read() == b"png"
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["Content-Security-Policy"] == "default-src 'none'"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/../etc/passwd")
    elsewhere = urllib.request.Request(
        f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(elsewhere)


def test_the_command_serves(folder, monkeypatch, capsys, tmp_path):
    seen = {}

    def serve(self) -> None:
        thread = threading.Thread(target=lambda: original(self), daemon=True)
        thread.start()
        port = self.server_address[1]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
                policy = response.headers["Content-Security-Policy"]
                data = page_data(response.read().decode())
            assert "script-src 'sha256-" in policy
            assert "unsafe" not in policy
            for url in data["sheets"]:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{url}") as response:
                    seen[url] = Image.open(io.BytesIO(response.read())).size
            if CHROMIUM is not None:
                drawn = browse(f"http://127.0.0.1:{port}/", tmp_path)
                check_drawn(drawn.document, 300)
                assert drawn.console == ()
        finally:
            self.shutdown()
            thread.join()
        raise KeyboardInterrupt

    from http.server import ThreadingHTTPServer

    original = ThreadingHTTPServer.serve_forever
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", serve)
    assert main(["view", str(folder / "latents.aez"), "--serve", "--json"]) == 0
    assert seen == {"/decoded/0.png": (448, 448), "/decoded/1.png": (448, 448)}
    assert json.loads(capsys.readouterr().out)["url"].startswith("http://127.0.0.1:")
    assert list(folder.glob("*.html")) == []


def test_data_urls_and_escapes():
    assert data_url(b"png") == "data:image/png;base64,cG5n"
    page = build_page({"title": "</SCRIPT>"}, ["a"], None)
    assert "</SCRIPT>" not in page
    assert page_data(page) == {"title": "</SCRIPT>", "sheets": ["a"], "originals": None}
