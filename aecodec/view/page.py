"""The page: facts and sheets put into ``page.html``, which draws them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from aecodec.io.pages import content_policy, fill_page

SHEETS = "img-src data: 'self'"  # the sheets of a page that is served are files beside it


def build_page(data: dict[str, Any], images: Sequence[str], originals: Sequence[str] | None) -> str:
    """HTML in one text; sheets are given as URLs, for a page by itself as data URLs."""
    whole = {**data, "sheets": list(images), "originals": originals and list(originals)}
    return fill_page(_template(), {"data": whole}, SHEETS)


def page_policy() -> str:
    """The page's Content-Security-Policy, for the header of an answer; no page may frame it."""
    return content_policy(_template(), SHEETS, "frame-ancestors 'none'")


@cache
def _template() -> str:
    return (files("aecodec.view") / "page.html").read_text(encoding="utf-8")
