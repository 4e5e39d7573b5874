"""The page: facts and sheets put into ``page.html``, which draws them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

_DATA_PLACE = "/*DATA*/"


def build_page(data: dict[str, Any], images: Sequence[str], originals: Sequence[str] | None) -> str:
    """HTML in one text; sheets are given as URLs, for a page by itself as data URLs.

    Nothing that a file says can end the script it stands in: "<" is escaped, and the page shows
    texts as texts.
    """
    whole = {**data, "sheets": list(images), "originals": originals and list(originals)}
    text = json.dumps(whole, allow_nan=False).replace("<", "\\u003c")
    template = (files("aecodec.view") / "page.html").read_text(encoding="utf-8")
    before, after = template.split(_DATA_PLACE)
    return before + text + after


def data_url(png: bytes) -> str:
    """A PNG as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
