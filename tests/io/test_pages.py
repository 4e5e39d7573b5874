"""Templates of pages: one pass, each value escaped for its place, and a policy."""

import json
import re

import pytest
from browser import browse

from aecodec.io.pages import Markup, content_policy, fill, fill_each, fill_page, joined, shortened

TEMPLATE = """<!DOCTYPE html><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{text policy}}">
<style>b { color: rgb(1, 2, 3) }</style>
<body><b title="{{text attribute}}">{{text text}}</b>{{markup more}}
<script type="application/json" id="data">{{json data}}</script>
<script>
const data = JSON.parse(document.getElementById("data").textContent);
document.body.dataset.ours = JSON.stringify([data, document.querySelector("b").title,
  getComputedStyle(document.querySelector("b")).color]);
</script>"""
INJECTED = Markup("<script>document.body.dataset.theirs = 1</script><b style='color:red'>b</b>")


def test_values_are_not_looked_at_again():
    template = "{{text a}}|{{text b}}|{{json c}}"
    values = {"a": "{{text b}}", "b": "{{json c}} {a}", "c": "{{text a}} @DATA@ /*DATA*/"}
    filled = fill(template, values)
    assert filled == '{{text b}}|{{json c}} {a}|"{{text a}} @DATA@ /*DATA*/"'


def test_each_kind_escapes_for_its_place():
    text = "<a href='x'>&\"</title>"
    assert (
        fill("{{text a}}", {"a": text}) == "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;&lt;/title&gt;"
    )
    data = fill(
        "{{json a}}", {"a": ["</script><!--\u2028\0", float("nan"), r"\ud800", "\U0001f600"]}
    )
    assert re.findall("[^ -~]|[<>&]", data) == []
    assert json.loads(data) == ["</script><!--\u2028\0", None, r"\ud800", "\U0001f600"]
    assert fill("{{markup a}}", {"a": fill("<b>{{text b}}</b>", {"b": "<"})}) == "<b>&lt;</b>"


def test_what_is_no_character_is_replaced():
    data = fill("{{json a}}", {"a": "\ud800 \udfff\ud800 \U0001f600\ud83d"})
    assert json.loads(data) == "\ufffd \ufffd\ufffd \U0001f600\ufffd"
    assert fill("{{text a}}", {"a": "a\0\x1b\ud800\x9b\t\nb"}) == "a\ufffd\ufffd\ufffd\ufffd\t\nb"


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("{{text a}}", {}),
        ("{{text a}}", {"a": "", "b": ""}),
        ("{{text a}}{{text a}}", {"a": ""}),
    ],
)
def test_a_place_for_each_value_and_a_value_for_each_place(template, values):
    with pytest.raises(ValueError, match=r"the template has the places \["):
        fill(template, values)


@pytest.mark.parametrize("tag", ["script", "style"])
def test_no_place_is_inside_a_script_or_a_style(tag):
    with pytest.raises(ValueError, match=r"\{\{json a\}\}: is inside a script or a style"):
        fill(f"<{tag}>x = {{{{json a}}}}</{tag}>", {"a": 1})


@pytest.mark.parametrize(("kind", "value"), [("text", 1), ("markup", "<b>"), ("url", "x")])
def test_a_value_of_another_kind_is_refused(kind, value):
    with pytest.raises(TypeError, match=f"place a is of kind {kind}, got"):
        fill(f"{{{{{kind} a}}}}", {"a": value})


def test_pieces():
    items = fill_each("<li>{{text a}}</li>", ({"a": text} for text in "<b"))
    assert items == "<li>&lt;</li><li>b</li>"
    assert joined([items, Markup("x")], "-") == f"{items}-x"
    assert shortened("abcd", 4) == "abcd"
    assert shortened("abcde", 4) == "abc\u2026"


def test_policy_allows_what_the_template_holds_and_nothing_else():
    policy = content_policy(TEMPLATE, "img-src data: 'self'", "frame-ancestors 'none'")
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-[\w+/=]{44}'; "
        r"img-src data: 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        policy,
    )
    assert "script-src 'none'; style-src 'none'" in content_policy("<p>")


def test_policy_stops_a_script_that_was_let_in(tmp_path):
    """The page's own script and style still work: the policy is not simply closed to all."""
    text = "\"'<>&{{json data}}"
    values = {"attribute": text, "text": text, "data": [text]}
    for name, more in (("kept", Markup()), ("let-in", INJECTED)):
        page = fill_page(TEMPLATE, {**values, "more": more})
        (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
    kept = browse((tmp_path / "kept.html").as_uri(), tmp_path)
    stopped = browse((tmp_path / "let-in.html").as_uri(), tmp_path)
    assert kept.console == ()
    assert len(stopped.console) == 2  # the script, and the style in an attribute
    assert all("Content Security Policy" in line for line in stopped.console)
    for seen in (kept, stopped):
        assert "rgb(1, 2, 3)" in seen.document
        assert "data-ours=" in seen.document
        assert "data-theirs" not in seen.document
