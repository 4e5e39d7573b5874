"""formats/aez.md: its byte tables add up, its examples are true, and its clauses exist."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_tiny_reader import tiny_reader
from test_vectors import MANIFEST, VECTORS

from aecodec.entropy.mixture import Mixtures

SPEC = (VECTORS.parent / "aez.md").read_text(encoding="utf-8")
EXAMPLE = VECTORS / "good" / "worked-example.aez"
HEX_LINE = re.compile(r"^    ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", re.MULTILINE)
RECORDS = {"## 3 ": 48, "## 4 ": 28, "5.1 ": 80, "6.1 ": 28, "6.2 ": 48}


@pytest.mark.parametrize(("heading", "nbytes"), RECORDS.items())
def test_records_have_no_gap(heading, nbytes):
    text = SPEC.split(f"\n{heading}")[1]
    table = re.search(r"\| offset \| size .*?(?=\n\n)", text, re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| (\d+) \| (\d*) \|", table[0], re.MULTILINE)
    end = 0
    for offset, size in rows:
        assert int(offset) == end
        end += int(size or 0)  # a payload has no size of its own
    assert end == nbytes


def test_worked_example_is_the_file():
    lines = HEX_LINE.findall(SPEC)
    assert len(lines) >= 50
    found = bytearray()
    for offset, line in lines:
        assert int(offset, 16) == len(found)
        found += bytes.fromhex(line)
    assert bytes(found) == EXAMPLE.read_bytes()
    assert f"{len(found)} bytes, which is the vector `worked-example`" in SPEC


def test_worked_example_decodes_to_what_the_text_says():
    clause = SPEC.split("## 15 A worked example")[1].split("## 16")[0]
    sentence = re.search(r"The images are (.*), twice (.*), and (.*)\.", clause)
    assert sentence is not None
    first, middle, last = (list(map(int, re.findall(r"\d+", each))) for each in sentence.groups())
    images = tiny_reader.decode(EXAMPLE.read_bytes())
    assert images.reshape(4, 6).tolist() == [first, middle, middle, last]


def test_worked_example_tells_sizes_and_counts_rightly():
    """Where a line names a field and a number, its bytes are that number."""
    named = re.findall(
        r"^    [0-9a-f]{4}  ((?:[0-9a-f]{2} )+) +(?:\w+: )?"
        r"(\w+_nbytes|index_offset|\w*_count|chunk_images|ordinal|sum_squared_error) (\d+)$",
        SPEC,
        re.MULTILINE,
    )
    assert len(named) >= 12
    for line, field, number in named:
        assert int.from_bytes(bytes.fromhex(line), "little") == int(number), field


def test_check_values_of_mixtures():
    (clause,) = re.findall(r"^12\.6 .*?(?=\n\n)", SPEC, re.MULTILINE | re.DOTALL)
    cases = re.findall(
        r"raw = ([-0-9, ]+?)\s+and E = (\d+),.*?"
        r"first\((\d+)\) to first\((\d+)\)\s+are ([0-9, ]+)\.",
        " ".join(clause.split()),
    )
    assert len(cases) == 2
    for raw, e, low, high, values in cases:
        row = np.array([[int(each) for each in raw.split(",")]])
        expected = [int(each) for each in values.split(",")]
        wanted = slice(int(low), int(high) + 1)
        assert tiny_reader.first_slots(row, int(e))[0, wanted].tolist() == expected
        mixtures = Mixtures.from_raw(row.astype(np.int32))
        symbols = np.arange(int(low), int(high) + 1)
        found = [int(mixtures.cumulative(np.array([s]), int(e))[0]) for s in symbols]
        assert found == expected


def test_crc32_is_the_one_that_the_text_names():
    assert "the crc32 of `123456789` is 0xCBF43926" in SPEC
    tiny_reader.crc32_of(b"123456789", 0xCBF43926, "it")


def test_vectors_name_clauses_that_are_there():
    clauses = set(re.findall(r"^(?:## )?(\d+(?:\.\d+)?) ", SPEC, re.MULTILINE))
    for name, entry in MANIFEST.items():
        assert entry["clause"].split(",")[0] in clauses, name


def test_clauses_are_numbered_in_order():
    clauses = re.findall(r"^(\d+)\.(\d+) ", SPEC, re.MULTILINE)
    numbers = [(int(clause), int(part)) for clause, part in clauses]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)


def test_second_reader_names_clauses_that_are_there():
    source = (VECTORS.parent / "tiny_reader.py").read_text(encoding="utf-8")
    clauses = set(re.findall(r"^(?:## )?(\d+(?:\.\d+)?) ", SPEC, re.MULTILINE))
    named = set(re.findall(r"\((\d+\.\d+)\)|# (\d+\.\d+)$|\"\"\"(\d+\.\d+)", source, re.MULTILINE))
    found = {each for group in named for each in group if each}
    assert len(found) > 10
    assert found <= clauses
