"""Values as other libraries hold them: arrays, tensors, series and frames, as NumPy or lists.

They are known by their methods; none of these libraries is imported here but NumPy, and that only
for values that are arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from aecodec.annotations.values import Value


def plain_values(values: Iterable[Any], where: str) -> list[Any] | npt.NDArray[Any]:
    """Values as a NumPy array (N,) of any dtype but object, or as a list.

    ``values`` are an array, a tensor, a series or any other iterable; a second axis of length 1 is
    dropped. ValueError for what is not one value for each image, and for missing values.
    """
    if not hasattr(values, "__array__"):
        if isinstance(values, str | Mapping | set | frozenset) or not isinstance(values, Iterable):
            kind = type(values).__name__
            raise ValueError(f"{where}: found {kind}, expected a value for each image, in order")
        return _of_list(list(values))
    array = _as_array(values, where)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{where}: shape is {array.shape}, expected one value for each image")
    return _of_list(array.tolist()) if array.dtype.kind == "O" else array


def _as_array(values: Any, where: str) -> npt.NDArray[Any]:  # noqa: ANN401
    """An array, tensor or series as an array; ValueError if a value is missing in it."""
    import numpy as np

    _refuse_missing(values, where)
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # a tensor of torch
        tensor = values.detach().cpu()
        if tensor.is_floating_point() and tensor.element_size() < 4:  # bfloat16: none in NumPy
            half = str(tensor.dtype) == "torch.float16"
            tensor = tensor if half else tensor.float()
        values = tensor.resolve_neg().numpy()
    own = getattr(getattr(values, "dtype", None), "numpy_dtype", None)
    if isinstance(own, np.dtype):  # a series of pandas that may have missing values, and has none
        values = values.to_numpy(dtype=own)
    return np.asarray(values)


def _refuse_missing(values: Any, where: str) -> None:  # noqa: ANN401
    """ValueError if a masked array or a series says that a value is missing.

    NaN in an array of floats is a value like others.
    """
    import numpy as np

    dtype = getattr(values, "dtype", None)
    if isinstance(values, np.ma.MaskedArray):
        missing = np.ma.getmaskarray(values)
    elif isinstance(dtype, np.dtype) or (dtype is None and hasattr(values, "columns")):
        return
    else:
        find = getattr(values, "isna", None) or getattr(values, "is_null", None)
        missing = np.zeros(0, np.bool_) if find is None else np.asarray(find(), np.bool_)
    if missing.any():
        raise ValueError(
            f"{where}: value {int(np.flatnonzero(missing)[0])} is missing, "
            "expected one for each image"
        )


def _of_list(values: list[Any]) -> list[Any] | npt.NDArray[Any]:
    """A list of Python's own values, or an array if all are NumPy's of one dtype of numbers."""
    dtypes = {getattr(value, "dtype", None) for value in values}
    if len(dtypes) == 1 and all(type(value).__module__ == "numpy" for value in values):
        import numpy as np

        array = np.array(values)
        if array.ndim == 1 and array.dtype.kind in "biuf":
            return array
    return [_python_value(value) for value in values]


def _python_value(value: Any) -> Any:  # noqa: ANN401
    """The int, float, bool or str that a value is; any other value as it is."""
    if type(value) in (int, float, bool, str):
        return value
    if isinstance(value, list | tuple) and len(value) == 1:  # a row of a table of one column
        return _python_value(value[0])
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return value.item()  # a scalar of NumPy
    if hasattr(value, "numel") and value.numel() == 1:
        return value.item()  # a tensor
    if isinstance(value, int):  # of an enumeration, say
        return int(value)
    return str.__str__(value) if isinstance(value, str) else value


def named_values(columns: Any) -> dict[str, Iterable[Value]]:  # noqa: ANN401
    """The columns of a mapping, a data frame (pandas, polars), a table (Arrow) or a record array.

    An index of pandas that has a name is a column too. ValueError for what is none of these, for a
    name that is no text, and for two columns of one name.
    """
    if columns is None:
        return {}
    if isinstance(columns, Mapping):
        pairs = list(columns.items())
    elif hasattr(columns, "reset_index") and hasattr(columns, "items"):
        has_names = any(name is not None for name in columns.index.names)
        pairs = list((columns.reset_index() if has_names else columns).items())
    elif hasattr(columns, "column_names") and hasattr(columns, "column"):
        pairs = [(name, columns.column(i)) for i, name in enumerate(columns.column_names)]
    elif hasattr(columns, "get_columns"):
        pairs = [(column.name, column) for column in columns.get_columns()]
    elif names := getattr(getattr(columns, "dtype", None), "names", None):
        pairs = [(name, columns[name]) for name in names]
    else:
        raise ValueError(
            f"columns: found {type(columns).__name__}, expected a mapping of names to values"
        )
    for name, _ in pairs:
        if not isinstance(name, str):
            raise ValueError(f"columns: name {name!r} is {type(name).__name__}, expected a text")  # noqa: TRY004
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(f"columns: a name occurs twice among {', '.join(n for n, _ in pairs)}")
    return dict(pairs)
