"""The types of the arrays that modules share, by content, and positions in arrays."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Shape: TypeAlias = tuple[int, int, int]  # of an image: (H, W, C)
Images: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W, C), gray levels 0 to 255
Planes: TypeAlias = npt.NDArray[np.uint8]  # (N, P, R, S), gray levels by plane; see nets.planes
Symbols: TypeAlias = npt.NDArray[np.int16]  # (N, D), quantized latents
Indices: TypeAlias = npt.NDArray[np.intp]  # (n,), positions in an array
Floats: TypeAlias = npt.NDArray[np.float32]
Bits: TypeAlias = npt.NDArray[np.float64]  # the rates of images


def evenly(total: int, count: int, *, ends: bool = False) -> Indices:
    """``count`` positions spread evenly over 0..total-1; all of them if ``total`` is not larger.

    With ``ends`` the first and the last position are among them.
    """
    if total <= count:
        return np.arange(total)
    if ends:
        return np.linspace(0, total - 1, count).astype(np.intp)
    return np.arange(count) * total // count


def position(key: object, count: int, message: str) -> int | None:
    """The position 0 to count - 1 that an integer names; None where the key is no integer.

    Negatives count from the end. IndexError for one out of range: ``message``, with it for ``{}``.
    """
    if getattr(key, "ndim", 0) or not hasattr(key, "__index__"):
        return None
    if isinstance(key, bool) or str(getattr(key, "dtype", "")).rpartition(".")[2] == "bool":
        raise TypeError(f"index {key!r}: expected an integer, found a single boolean")
    index = operator.index(key)
    if not -count <= index < count:
        raise IndexError(message.format(index))
    return index % count


def positions(key: object, count: int, message: str) -> Indices:
    """The positions 0 to count - 1 that a key of several items names, as NumPy understands it.

    It is a slice, ``...``, a mask of ``count`` booleans, or integers as an array of any shape or as
    a list; negatives count from the end. Only integers keep their shape, the others give (n,).
    TypeError for keys of another kind, IndexError for a mask of another length and, by ``message``,
    for an integer out of range.
    """
    if key is Ellipsis:
        key = slice(None)
    if isinstance(key, slice):
        return np.arange(*key.indices(count))
    asked = _array_of(key)
    if asked.dtype.kind == "b":
        if asked.shape != (count,):
            raise IndexError(f"mask has shape {asked.shape}, expected ({count},)")
        return np.flatnonzero(asked)
    if not asked.size:
        return asked.astype(np.intp)
    least, most = int(asked.min()), int(asked.max())
    if least < -count or most >= count:
        raise IndexError(message.format(least if least < -count else most))
    found: Indices = asked.astype(np.intp)
    found[found < 0] += count
    return found


def _array_of(key: object) -> npt.NDArray[Any]:
    """A mask or integers, of 1 dimension or more; TypeError for what is neither."""
    fault = TypeError(
        f"index {key!r:.60}: expected an integer, a slice, a mask or integers, "
        f"found {'None (numpy.newaxis)' if key is None else type(key).__name__}"
    )
    try:
        asked = np.asarray(key)
    except (TypeError, ValueError, OverflowError) as error:
        raise fault from error
    is_empty_list = isinstance(key, list | tuple | range) and not asked.size
    if isinstance(key, list | tuple) and asked.dtype.kind in "iu" and _holds_booleans(key):
        raise TypeError(f"index {key!r:.60}: expected integers or booleans, found both")
    if asked.ndim and (asked.dtype.kind in "biu" or is_empty_list):
        return asked
    raise fault


def _holds_booleans(values: Sequence[object]) -> bool:
    return not {bool, np.bool_}.isdisjoint(map(type, values))


def split_key(key: object, ndim: int) -> tuple[tuple[Any, ...], object, tuple[Any, ...]]:
    """What a key of an array of ``ndim`` axes says of the first axis, and what stands around that.

    NumPy understands the three parts together, each a key of its own. TypeError for a new axis and
    for a single boolean, IndexError for more than ``ndim`` axes.
    """
    keys = key if isinstance(key, tuple) else (key,)
    for each in keys:
        if each is None:
            raise TypeError("index None (numpy.newaxis): index the images, then add an axis")
        if isinstance(each, bool | np.bool_):
            raise TypeError(f"index {each!r}: expected an integer, found a single boolean")
    if sum(each is Ellipsis for each in keys) > 1:
        raise IndexError("an index has one `...` at most")
    named = sum(map(_axes_of, keys))
    if named > ndim:
        raise IndexError(f"index names {named} axes, the images have {ndim}")
    if not keys or keys[0] is not Ellipsis:
        first = keys[0] if keys else slice(None)
        return (), first, keys[1:]
    if named < ndim:
        return (), slice(None), keys[1:] if named == ndim - 1 else keys
    return keys[:1], keys[1], keys[2:]


def _axes_of(key: object) -> int:
    """How many axes one part of a key names."""
    if key is Ellipsis:
        return 0
    is_mask = getattr(getattr(key, "dtype", None), "kind", "") == "b"
    return getattr(key, "ndim", 1) if is_mask else 1
