"""Texts in one block: they are a sequence of texts, equal to a tuple of them, and small."""

from __future__ import annotations

import pickle

import pytest

from aecodec.annotations.texts import Texts, has_repeats

MANY = ("a", "", "é\n", "\udc80x", "\U0001f600", "a")


def test_they_are_a_sequence_of_texts():
    texts = Texts(MANY)
    assert len(texts) == 6
    assert tuple(texts) == MANY == texts
    assert [texts[i] for i in range(-6, 6)] == [*MANY, *MANY]
    assert texts[1:-1:2] == MANY[1:-1:2]
    assert texts.index("é\n") == 2
    assert "nowhere" not in texts
    with pytest.raises(IndexError):
        texts[6]


def test_equality_and_copies():
    texts = Texts(MANY)
    assert texts == Texts(list(MANY))
    assert hash(texts) == hash(MANY)
    assert texts != MANY[:-1]
    assert texts != (*MANY[:-1], "b")
    assert texts != list(MANY)
    assert pickle.loads(pickle.dumps(texts)) == texts
    assert Texts() == ()


def test_they_show_few_of_many():
    assert repr(Texts(MANY)) == repr(MANY)
    assert repr(Texts(map(str, range(1000)))) == "('0', '1', '2', ..., '999': 1000 texts)"


def test_a_text_takes_8_bytes_besides_its_own():
    assert Texts(["ab"] * 1000).nbytes == 10_000


@pytest.mark.parametrize("count", [3, 70_000])
def test_repeats(count):
    texts = list(map(str, range(count)))
    assert not has_repeats(Texts(texts))
    assert has_repeats(Texts([*texts, texts[1]]))
    assert has_repeats([*texts, *texts])
