"""JSON without NaN and infinities."""

import json

import pytest

from aecodec.io.strict_json import strict_json


def test_numbers_that_are_not_finite_become_null():
    value = {"a": [1.5, float("nan"), (float("inf"), -float("inf"))], "b": {"c": None, "d": "x"}}
    text = strict_json(value)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [1.5, None, [None, None]],
        "b": {"c": None, "d": "x"},
    }
    assert strict_json("\u2028\ud800") == '"\\u2028\\ud800"'
    with pytest.raises(TypeError, match="not JSON serializable"):
        strict_json({"a": object()})
