"""``aecodec view``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aecodec.cli.endings import refuse_foreign_ending
from aecodec.cli.files import Source, is_stdout, output_path, source_of, whole_source_of
from aecodec.cli.limits import add_limit_options, limits_of
from aecodec.cli.options import InputPath, ModelPath, OutputPath, add_force, add_talk
from aecodec.cli.progress import progress_bar
from aecodec.io.strict_json import strict_json

if TYPE_CHECKING:
    from aecodec.held_rows import Rows
    from aecodec.view.gathering import Gathered

Draw: TypeAlias = Callable[[], bytes]  # a PNG
COUNT = 2000
PAGE_TYPE = "text/html; charset=utf-8"


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("input", type=InputPath, metavar="IN.aez")
    sub.add_argument("-o", "--output", type=OutputPath, metavar="HTML", help="default: IN.html")
    sub.add_argument(
        "--against", type=InputPath, metavar="IN", help="the originals, to show errors"
    )
    sub.add_argument(
        "--model",
        type=ModelPath,
        metavar="NAME|FILE",
        help="where the file's model is; for the map",
    )
    sub.add_argument(
        "--count",
        type=int,
        default=COUNT,
        metavar="N",
        help=f"images shown, evenly spread ({COUNT})",
    )
    sub.add_argument("--serve", action="store_true", help="serve it on loopback, write no file")
    sub.add_argument("--port", type=int, default=0, metavar="P", help="for --serve (any free one)")
    add_force(sub)
    add_talk(sub)
    add_limit_options(sub)


def run(a: argparse.Namespace) -> int:
    """Write the page, or serve it until interrupted; returns the exit status."""
    from aecodec.archive.array import Archive
    from aecodec.view.gathering import gather

    if not 0 <= a.port <= 65535:
        raise ValueError(f"--port: expected 0 to 65535, got {a.port}")
    refuse_foreign_ending(a.output, ".html", ".htm")
    source, against = whole_source_of(a.input), source_of(a.against) if a.against else None
    if not a.output and not a.serve and source is not a.input:
        raise ValueError("--output: expected a name for the page, since IN is a pipe")
    own_model = _own_model(a, source)
    with (
        Archive(source, model=own_model, limits=limits_of(a)) as archive,
        progress_bar(a, "view") as progress,
    ):
        found = gather(archive, count=a.count, against=against, model=a.model, progress=progress)
    count = found.data["info"]["images"]
    facts = {"input": a.input, "images": count, "shown": len(found.images)}
    act = _serve if a.serve else _write
    act(a, found, facts)
    return 0


def _own_model(a: argparse.Namespace, source: Source) -> str | None:
    """The model named, if the file needs it for decoding; None if it is for the map alone."""
    from aecodec.archive.array import Archive
    from aecodec.models.finding import load_model

    named: str | None = a.model
    if named is None:
        return None
    with Archive(source, limits=limits_of(a)) as archive:
        wanted = {part.name: part.fingerprint for part in archive.reader.parts}
    has = load_model(named).fingerprints()
    return named if wanted and all(has.get(n) == f for n, f in wanted.items()) else None


def _write(a: argparse.Namespace, found: Gathered, facts: dict[str, Any]) -> None:
    """Write a page that contains its pictures, which are drawn one after the other."""
    import secrets

    from aecodec.io.atomic import atomic_path
    from aecodec.io.pages import data_url, replaced_one_by_one
    from aecodec.view.page import build_page

    decoded, originals = _sheets(found.images), _sheets(found.originals)
    names = [secrets.token_hex(16) for _ in (*decoded, *originals)]
    of_originals = names[len(decoded) :] if found.originals is not None else None
    page = build_page(found.data, names[: len(decoded)], of_originals)
    places = {
        name: partial(_called, data_url, draw)
        for name, draw in zip(names, (*decoded, *originals), strict=True)
    }
    output = output_path(a.output) if a.output else str(Path(a.input).with_suffix(".html"))
    with atomic_path(output, force=a.force) as temporary:
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(replaced_one_by_one(page, places))
        nbytes = temporary.stat().st_size
    if a.json and not is_stdout(output):
        print(strict_json({"output": output, **facts, "nbytes": nbytes}))
    elif not a.quiet:
        print(f"{output}: {facts['shown']:,} of {facts['images']:,} images", file=sys.stderr)


def _called(outer: Callable[[bytes], str], inner: Callable[[], bytes]) -> str:
    return outer(inner())


def _sheets(images: Rows | None) -> list[Draw]:
    """What draws each sheet of images; none for None."""
    from aecodec.view.sheets import sheet, sheet_count

    if images is None:
        return []
    return [partial(sheet, images, number) for number in range(sheet_count(images))]


def _serve(a: argparse.Namespace, found: Gathered, facts: dict[str, Any]) -> None:
    """Serve a page and its pictures on loopback, until interrupted."""
    from aecodec.view.page import build_page, page_policy
    from aecodec.view.serving import Content, make_server

    decoded, originals = _sheets(found.images), _sheets(found.originals)
    pages: dict[str, tuple[str, Content]] = {}
    pages |= {f"/decoded/{i}.png": ("image/png", draw) for i, draw in enumerate(decoded)}
    pages |= {f"/original/{i}.png": ("image/png", draw) for i, draw in enumerate(originals)}
    page = build_page(
        found.data,
        [f"/decoded/{i}.png" for i in range(len(decoded))],
        None if found.originals is None else [f"/original/{i}.png" for i in range(len(originals))],
    )
    pages["/"] = (PAGE_TYPE, page.encode("utf-8"))
    with make_server(a.port, pages, page_policy()) as server:
        url = f"http://{server.server_address[0]!s}:{server.server_address[1]}/"
        if a.json:
            print(strict_json({"url": url, **facts}), flush=True)
        elif not a.quiet:
            print(f"{url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
