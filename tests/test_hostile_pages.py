"""Every page that is written, in a browser, with texts that try to run scripts: none does.

All pages stand in frames of one page, which moves the pointer over them, clicks, and looks for
what a script of theirs would leave.
"""

from __future__ import annotations

import html
import json
import re
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from bench_result import bench_result
from browser import CHROMIUM, browse

import aecodec
from aecodec.archive.array import Archive
from aecodec.benchmark.page import report_page
from aecodec.cli import main
from aecodec.io.pages import data_url
from aecodec.uses.page import map_page
from aecodec.view.gathering import gather
from aecodec.view.page import build_page, page_policy
from aecodec.view.serving import make_server
from aecodec.view.sheets import sheets

CODE = "window.theirs=1;document.title=`theirs`;document.documentElement.dataset.theirs=1"
HOSTILE = (
    f"</script><script>{CODE}</script>",
    f"<script>{CODE}</script>",
    f"</title></style></textarea><script>{CODE}</script>",
    f'"><img src=x onerror="{CODE}">',
    f"'><svg onload='{CODE}'>",
    f'" onmouseover="{CODE}" autofocus onfocus="{CODE}" x="',
    f'";{CODE};//',
    f"`;{CODE};//${{{CODE}}}",
    f"\\';{CODE};//\\",
    f"--><script>{CODE}</script><!-- <script>",
    f"{{{{json data}}}}{{{{markup body}}}}{{{{text title}}}}</p><script>{CODE}</script>",
    f"@DATA@@SPRITE@@TITLE@@NOTE@/*DATA*/{{body}}{{title}}%s</p><script>{CODE}</script>",
    f"url('javascript:{CODE}')",
    f"javascript:{CODE}",
    f"\u2028{CODE}\u2029",
    f"\u202e\u2066<img src=x onerror='{CODE}'>",
    "w" * 3000,
    "__proto__",
)
ANYTHING = (f"\0</script\n><script\0>{CODE}</script>", f"\ud800<script>{CODE}</script>\udfff", "")
TEXT = " ".join(HOSTILE)
DRAWN = "$\\x$ $<b>-->"  # in figures there is little room
IMAGES = np.random.default_rng(0).integers(0, 256, (len(HOSTILE), 8, 8), np.uint8)
FRAMES = """<!DOCTYPE html><script>
async function look(frame) {
  await new Promise((done) => { frame.onload = done; });
  const page = frame.contentWindow, inner = frame.contentDocument;
  await new Promise((done) => setTimeout(done, 200));
  const map = inner.getElementById("map"), cell = inner.querySelector(".cell");
  if (map) {
    const box = map.getBoundingClientRect();
    for (let x = 4; x < box.width; x += 12) for (let y = 4; y < box.height; y += 12) {
      const at = { bubbles: true, clientX: box.left + x, clientY: box.top + y };
      for (const kind of ["pointermove", "mouseover"]) {
        map.dispatchEvent(new page.PointerEvent(kind, at));
      }
      const tip = inner.getElementById("tip");
      if (!tip.hidden && tip.style.left) frame.dataset.tip = tip.textContent.length;
    }
  }
  if (cell) cell.click();
  const dialog = inner.querySelector("dialog");
  await new Promise((done) => setTimeout(done, 200));
  return {
    theirs: [page.theirs, inner.title === "theirs", inner.documentElement.dataset.theirs,
      inner.querySelectorAll("body img, body iframe, body [onmouseover], body object").length],
    title: inner.title, text: inner.body.textContent.length, ready: inner.body.dataset.ready,
    error: inner.body.dataset.error, opened: Boolean(dialog && dialog.open), tip: frame.dataset.tip,
    wide: inner.documentElement.scrollWidth - inner.documentElement.clientWidth,
  };
}
addEventListener("load", async () => {
  const found = {};
  for (const name of NAMES) {
    const frame = document.createElement("iframe");
    frame.style.cssText = "width:900px;height:700px";
    frame.src = name + ".html";
    document.body.append(frame);
    found[name] = await look(frame);
    frame.remove();
  }
  document.body.dataset.found = JSON.stringify(found);
});
</script><body></body>"""
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pages")


def map_pages(write) -> None:
    points = np.random.default_rng(1).normal(size=(len(IMAGES), 3)).astype(np.float32)
    labels = np.array([*HOSTILE[: -len(ANYTHING)], *ANYTHING], object)
    for dims in (2, 3):
        for name, images in (("bare", None), ("pictures", IMAGES[..., None])):
            page = map_page(points[:, :dims], labels, images, TEXT + ANYTHING[1], TEXT)
            write(f"map-{name}-{dims}", page)


def view_data(folder: Path) -> dict:
    """What a page of a hostile file is made of; what no writer lets in is put in here."""
    path = folder / "hostile.aez"
    texts = [text[:250] for text in HOSTILE]
    about = {"title": TEXT, "origin": TEXT, "licence": TEXT, "classes": texts}
    columns = {text: np.full(len(IMAGES), np.nan, np.float16) for text in texts}
    labels = np.arange(len(IMAGES))
    aecodec.compress(
        IMAGES, path, model="none", labels=labels, columns=columns, about=about, force=True
    )
    with Archive(path) as archive:
        found = gather(archive, count=100)
    data = found.data
    data["file"] = f"{TEXT}.aez"
    data["names"] = [*HOSTILE[: -len(ANYTHING)], *ANYTHING]
    data["info"] |= {"model": TEXT, "source": TEXT, "version": TEXT}
    data["info"]["parts"] = {TEXT: TEXT}
    data["modes"] = [TEXT for _ in data["modes"]]
    data["parts"] = [{"name": text, "nbytes": 1} for text in HOSTILE]
    data["map"] = {
        "at": list(range(len(IMAGES))),
        "x": np.arange(len(IMAGES)).tolist(),
        "y": [*np.arange(len(IMAGES) - 1).tolist(), float("nan")],
        "source": TEXT,
        "share": float("nan"),
    }
    data["pngs"] = sheets(found.images)
    return data


def hostile_result(value, text=TEXT):
    """A bench's result, with hostile texts and names for all of its own."""
    if isinstance(value, dict):
        return {
            hostile_key(name): hostile_result(each, DRAWN if name == "rows" else text)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [hostile_result(each, text) for each in value]
    kept = ("psnr", "max_error", "lossy", "bounded", "lossless", "image")
    return value if not isinstance(value, str) or value in kept else f"{value} {text}"


def hostile_key(name: str) -> str:
    return TEXT if name in ("libjxl", "latent_decoder", "torch") else name


@pytest.fixture(scope="module")
def seen(folder) -> dict:
    names = []

    def write(name: str, page: str) -> None:
        names.append(name)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")

    map_pages(write)
    data = view_data(folder)
    pngs = [data_url(png) for png in data.pop("pngs")]
    write("view", build_page(data, pngs, pngs))
    write("bench", report_page([hostile_result(bench_result())]))
    if sys.platform != "win32":
        file_pages(folder, names)
    write("control", f"<!DOCTYPE html><title>x</title><p>{TEXT}</p>")
    frames = FRAMES.replace("NAMES", json.dumps(names))
    (folder / "frames.html").write_text(frames, encoding="utf-8")
    options = ("--allow-file-access-from-files", "--window-size=1000,800")
    found = browse((folder / "frames.html").as_uri(), folder, *options)
    (text,) = re.findall(r'data-found="(.*?)"', found.document, re.DOTALL)
    pages = json.loads(html.unescape(text))
    assert list(pages) == names
    of_ours = [line for line in found.console if "control.html" not in line]
    return {"pages": pages, "console": of_ours}


def file_pages(folder: Path, names: list[str]) -> None:
    """Pages that the commands write of files with hostile names."""
    name = f'{{{{json data}}}}@DATA@"><img src=x onerror="{CODE}">'
    path = folder / f"{name}.aez"
    aecodec.compress(IMAGES, path, model="none", labels=[text[:60000] for text in HOSTILE])
    for command in (["map", "--linear", "--steps", "2"], ["view"]):
        page = f"{command[0]}-file"
        assert main([*command, str(path), "-o", str(folder / f"{page}.html"), "-q"]) == 0
        names.append(page)


def test_no_script_of_theirs_runs(seen):
    for name, page in seen["pages"].items():
        if name != "control":
            assert page["theirs"] == [None, False, None, 0], name


def test_the_same_texts_run_where_they_are_not_escaped(seen):
    assert seen["pages"]["control"]["theirs"][:3] == [1, True, "1"]


def test_our_own_scripts_run(seen):
    for name, page in seen["pages"].items():
        assert page.get("error") is None, name
        if name.startswith(("map", "view")):
            assert page.get("ready") == str(len(IMAGES)), name
            if name != "view-file":  # which has no map
                assert int(page.get("tip", 0)) > 0, name
        assert page["opened"] == name.startswith("view")
    assert seen["console"] == []


def test_texts_stay_texts_and_within_the_page(seen):
    for name, page in seen["pages"].items():
        if name == "control":
            continue
        assert page["wide"] == 0, name
        assert page["text"] > 1000, name


def test_no_script_runs_on_the_page_that_is_served(folder, seen):
    del seen  # which made the file
    data = view_data(folder)
    pages = {f"/decoded/{i}.png": ("image/png", png) for i, png in enumerate(data.pop("pngs"))}
    page = build_page(data, list(pages), None)
    pages["/"] = ("text/html; charset=utf-8", page.encode("utf-8"))
    with make_server(0, pages, page_policy()) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        try:
            with urllib.request.urlopen(url) as answer:
                assert answer.headers["Content-Security-Policy"] == page_policy()
            found = browse(url, folder)
        finally:
            server.shutdown()
            thread.join()
    assert "data-theirs" not in found.document
    assert f'data-ready="{len(IMAGES)}"' in found.document
    assert found.console == ()
