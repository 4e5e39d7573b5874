"""Buffers that array stores give, of any strides, and the memory order of the images in them."""

from __future__ import annotations

import io
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from aecodec.container import META, Reader, Section, Writer
from aecodec.io.untrusted_json import parse_json
from aecodec.models.model import canonical_json

ORDER_KEY = "memory_order"  # in META, which readers pass over
FORTRAN = "F"

Out = TypeVar("Out")


def as_array(buffer: object, *, shared: bool = False) -> npt.NDArray[Any]:
    """The array of a buffer or of what NumPy takes for an array; TypeError for anything else.

    With ``shared`` it is a buffer alone, and the array has its memory.
    """
    if isinstance(buffer, np.ma.MaskedArray):
        raise TypeError("aecodec: expected an array without a mask, found a masked array")
    if isinstance(buffer, np.ndarray):
        return buffer
    if hasattr(buffer, "__array__") and not shared:
        return np.asarray(buffer)
    return np.asarray(memoryview(buffer))  # type: ignore[arg-type]  # which raises


def is_fortran(array: npt.NDArray[Any]) -> bool:
    """Whether the array is in Fortran order, and in no other."""
    return array.flags.f_contiguous and not array.flags.c_contiguous


def copy_into(images: npt.NDArray[np.uint8], out: Out) -> Out:
    """Write images into ``out`` and return it; ValueError if it is read-only or of another size.

    One of the images' shape gets them whatever its strides, any other one their bytes as they lie
    in memory.
    """
    target = as_array(out, shared=True)
    if not target.flags.writeable:
        raise ValueError("out: is read-only")
    if target.dtype.hasobject:
        raise ValueError("out: expected bytes, found objects")
    if target.nbytes != images.nbytes:
        raise ValueError(f"out: has {target.nbytes} bytes, the images have {images.nbytes}")
    if target.shape == images.shape and target.dtype.itemsize == 1:
        np.copyto(target, images.view(target.dtype))
    else:
        in_memory = images.reshape(-1, order="A").view(target.dtype)
        as_it_lies = target.T if is_fortran(target) else target
        np.copyto(as_it_lies, in_memory.reshape(as_it_lies.shape))
    return out


def with_order(blob: bytes, order: str) -> bytes:
    """An ``.aez`` whose META says in which memory order its images came."""
    reader = Reader(io.BytesIO(blob), "chunk")
    sections = []
    for entry in reader.sections:
        payload = reader.read_section(entry)
        if entry.kind == META:
            facts = parse_json(payload, "chunk: section META")
            payload = canonical_json({**facts, ORDER_KEY: order})
        sections.append(Section(entry.kind, entry.required, payload))
    out = io.BytesIO()
    writer = Writer(out, reader.header, sections)
    for i in range(reader.chunk_count):
        writer.write_chunk(reader.read_chunk(i))
    writer.close()
    return out.getvalue()
