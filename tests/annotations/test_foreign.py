"""Labels and columns as other libraries hold them."""

from __future__ import annotations

import array
import enum

import numpy as np
import pytest
import torch

import aecodec
from aecodec.annotations.annotations import annotate
from aecodec.annotations.column import Column

IMAGES = np.zeros((4, 8, 8), np.uint8)
WHOLE = [3, 0, 2, 1]


class Kind(enum.IntEnum):
    CAT = 3
    DOG = 0


class Name(str, enum.Enum):
    CAT = "cat"


class Series:
    """As a series of pandas: an array by ``__array__``, and a dtype of its own."""

    def __init__(self, values, dtype=None, missing=()):
        self._values = np.asarray(values)
        self.dtype = self._values.dtype if dtype is None else dtype
        self._missing = np.isin(np.arange(len(self._values)), missing)

    def __len__(self):
        return len(self._values)

    def __array__(self, dtype=None, copy=None):
        return self._values.astype(dtype) if dtype else self._values

    def to_numpy(self, dtype=None):
        return np.array(self._values.tolist(), dtype)

    def isna(self):
        return self._missing


class Nullable:
    """As the dtype of a series of pandas that may have missing values."""

    def __init__(self, name):
        self.numpy_dtype = np.dtype(name)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (torch.tensor(WHOLE), "int64"),
        (torch.tensor(WHOLE, dtype=torch.uint8), "uint8"),
        (torch.tensor(WHOLE, dtype=torch.int16), "int16"),
        (torch.tensor(WHOLE)[:, None], "int64"),
        (torch.tensor(WHOLE, dtype=torch.bfloat16), "float32"),
        (torch.tensor(WHOLE, dtype=torch.float16), "float16"),
        (torch.tensor(WHOLE, dtype=torch.float32, requires_grad=True), "float32"),
        (torch.tensor([[3, 9], [0, 9], [2, 9], [1, 9]])[:, 0], "int64"),
        ([torch.tensor(v) for v in WHOLE], "int64"),
        (list(np.array(WHOLE)), "int64"),
        (list(np.array(WHOLE, np.uint8)), "uint8"),
        (list(np.array(WHOLE, np.float32)), "float32"),
        ([np.int64(3), 0, np.int32(2), 1], "int64"),
        ([3.0, np.float32(0), 2, 1], "float64"),
        (tuple(WHOLE), "int64"),
        (iter(WHOLE), "int64"),
        ((v for v in WHOLE), "int64"),
        (array.array("i", WHOLE), "int64"),
        (np.array(WHOLE)[:, None], "int64"),
        ([[v] for v in WHOLE], "int64"),
        (np.array(WHOLE, ">i4"), "int32"),
        (np.array([9, 1, 9, 2, 9, 0, 9, 3])[::-2], "int64"),
        (np.array(WHOLE, object), "int64"),
        (np.ma.masked_array(WHOLE), "int64"),
        (np.array(WHOLE).reshape(4, 1).view(np.matrix), "int64"),
        ([Kind.CAT, Kind.DOG, 2, 1], "int64"),
        (Series(WHOLE), "int64"),
        (Series(np.array(WHOLE, object), Nullable("uint8")), "uint8"),
        (Series(np.array(WHOLE, object), "category"), "int64"),
        (Column.of("other", WHOLE, "uint16"), "uint16"),
    ],
)  # fmt: skip
def test_numbers_of_every_make(values, dtype):
    blob = aecodec.encode(IMAGES, model="none", labels=values)
    with aecodec.open(blob) as a:
        assert a.labels.dtype == dtype
        assert a.labels.tolist() == WHOLE


@pytest.mark.parametrize(
    "values",
    [
        np.array(["cat", "dog", "cat", "ö"]),
        list(np.array(["cat", "dog", "cat", "ö"])),
        np.array(["cat", "dog", "cat", "ö"], object),
        np.array([["cat"], ["dog"], ["cat"], ["ö"]]),
        Series(np.array(["cat", "dog", "cat", "ö"], object), "category"),
        Series(np.array(["cat", "dog", "cat", "ö"], object), "string"),
        [Name.CAT, "dog", Name.CAT, "ö"],
    ],
)
def test_texts_of_every_make(values):
    assert Column.of("a", values) == Column.of("a", ["cat", "dog", "cat", "ö"])


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy before 2")
def test_texts_of_any_length():
    values = np.array(["a", "bc"], np.dtypes.StringDType())
    assert Column.of("a", values).values == ("a", "bc")


def test_bools_of_every_make():
    for values in (torch.tensor([True, False]), [np.True_, np.False_], [np.True_, False]):
        assert Column.of("a", values) == Column.of("a", [True, False])


def test_no_nan_is_lost():
    values = torch.tensor([1.0, float("nan")])
    assert Column.of("a", values).array.view(np.uint32).tolist() == [
        0x3F800000,
        0x7FC00000,
    ]
    assert np.isnan(Column.of("a", Series(np.array([1.0, np.nan]), missing=[1])).array[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (Series(np.array([1, None], object), Nullable("int64"), [1]), "value 1 is missing"),
        (Series(np.array(["a", np.nan], object), "category", [1]), "value 1 is missing"),
        (np.ma.masked_array([1, 2], [False, True]), "value 1 is missing"),
        (np.array(["a", None], object), r"value 1 is missing \(None\)"),
        (["a", float("nan")], r"value 1 is missing \(nan\)"),
        (np.zeros((2, 2)), r"shape is \(2, 2\), expected one value for each image"),
        (np.zeros((1, 2)), r"shape is \(1, 2\), expected one value"),
        (torch.zeros(()), r"shape is \(\), expected one value"),
        (np.array(["2026-01-01"], "M8[s]"), r"dtype is datetime64\[s\], .*astype\(str\)"),
        (np.array([b"a"]), r"dtype is \|S1, .*numpy.char.decode"),
        (np.array([1j]), "dtype is complex128"),
        (torch.tensor([1j]), "dtype is complex64"),
        ("abc", "found str, expected a value for each image"),
        ({1: 2}, "found dict, expected a value for each image"),
        ({1, 2}, "found set, expected a value for each image, in order"),
        (3, "found int, expected a value for each image"),
        ([b"a"], "values are of bytes"),
        ([[1, 2], [3, 4]], "values are of list"),
    ],
)  # fmt: skip
def test_what_is_told(values, message):
    with pytest.raises(ValueError, match=f"^column label: {message}"):
        annotate(values)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([1, 2], "columns: found list, expected a mapping of names to values"),
        ({1: [1]}, "columns: name 1 is int, expected a text"),
    ],
)
def test_columns_that_are_no_mapping(columns, message):
    with pytest.raises(ValueError, match=message):
        annotate(columns=columns)


def test_a_record_array_has_columns():
    records = np.array([(1, "a"), (2, "b")], [("n", np.int16), ("t", "U1")])
    made = annotate(columns=records)
    assert [(c.name, c.values) for c in made.columns] == [("n", (1, 2)), ("t", ("a", "b"))]
    assert made.columns[0].dtype == "int16"


# ---------------------------------------------------------------- the libraries themselves


def test_series_and_frames_of_pandas():
    pd = pytest.importorskip("pandas")
    texts = ["a", "b", "a"]
    for series, expected, dtype in (
        (pd.Series([1, 2, 3], index=[7, 8, 9]), (1, 2, 3), "int64"),
        (pd.Series([1, 2, 3], dtype="Int8"), (1, 2, 3), "int8"),
        (pd.Series([True, False, True], dtype="boolean"), (True, False, True), "bool"),
        (pd.Series([1.5, 2, 3], dtype="Float32"), (1.5, 2, 3), "float32"),
        (pd.Series(texts), texts, "text"),
        (pd.Series(texts, dtype=object), texts, "text"),
        (pd.Series(texts, dtype="string"), texts, "text"),
        (pd.Series(texts, dtype="category"), texts, "text"),
        (pd.Categorical(texts), texts, "text"),
        (pd.Series([5, 6, 5], dtype="category"), (5, 6, 5), "int64"),
        (pd.Index(texts), texts, "text"),
        (pd.DataFrame({"y": [1, 2, 3]}), (1, 2, 3), "int64"),
    ):
        column = annotate(series).columns[0]
        assert (column.values, column.dtype) == (tuple(expected), dtype)
    for missing in (
        pd.Series([1, None], dtype="Int64"),
        pd.Series(["a", None]),
        pd.Series(["a", None], dtype="category"),
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", None], dtype=object),
    ):
        with pytest.raises(ValueError, match="value 1 is missing"):
            annotate(missing)
    with pytest.raises(ValueError, match="astype"):
        annotate(pd.Series(pd.to_datetime(["2026-01-01"])))
    frame = pd.DataFrame({"label": [1, 2], "name": ["a", "b"]})
    assert [c.name for c in annotate(columns=frame).columns] == ["label", "name"]
    named = frame.set_index("name")
    assert [c.name for c in annotate(columns=named).columns] == ["name", "label"]


def test_arrays_of_arrow():
    pa = pytest.importorskip("pyarrow")
    for values, expected, dtype in (
        (pa.array([1, 2], pa.int16()), (1, 2), "int16"),
        (pa.array([True, False]), (True, False), "bool"),
        (pa.array(["a", "b"]), ("a", "b"), "text"),
        (pa.array(["a", "b"]).dictionary_encode(), ("a", "b"), "text"),
        (pa.chunked_array([[1], [2]]), (1, 2), "int64"),
    ):
        column = annotate(values).columns[0]
        assert (column.values, column.dtype) == (expected, dtype)
    with pytest.raises(ValueError, match="value 1 is missing"):
        annotate(pa.array([1, None]))
    assert annotate(columns=pa.table({"y": [1, 2]})).label == "y"


def test_series_of_polars():
    pl = pytest.importorskip("polars")
    for values, expected, dtype in (
        (pl.Series([1, 2], dtype=pl.Int8), (1, 2), "int8"),
        (pl.Series(["a", "b"]), ("a", "b"), "text"),
        (pl.Series(["a", "b"], dtype=pl.Categorical), ("a", "b"), "text"),
    ):
        column = annotate(values).columns[0]
        assert (column.values, column.dtype) == (expected, dtype)
    with pytest.raises(ValueError, match="value 1 is missing"):
        annotate(pl.Series([1, None]))
    assert annotate(columns=pl.DataFrame({"y": [1, 2]})).label == "y"
