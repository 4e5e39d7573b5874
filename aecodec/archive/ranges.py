"""Which images of a file are written: a range, less what damage took."""

from __future__ import annotations

from aecodec.archive.salvage import Salvage


def asked_for(
    found: Salvage, images: slice, *, exact: bool = False
) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """(first, last + 1) of the archive's images to write, and which of those asked for are lost.

    ``images`` counts in the file as it was before any damage. ValueError for a step other than 1,
    and for a start after the end; if the range is to be ``exact``, also for one without images,
    or one that reaches over an end.
    """
    ends = [at + stop - start for start, stop, at in found.spans] + [end for _, end in found.lost]
    total = max([len(found.archive), *ends])
    first, last, step = images.indices(total)
    if step != 1:
        raise ValueError(f"images: step is {step}, expected 1")
    if total and images.start is not None and images.start >= total:
        raise ValueError(f"images: the first is {images.start}, the file holds {total}")
    if exact:
        _check_range(images, (first, last), total, is_known=_is_known(found))
    last = max(first, last)
    spans: list[tuple[int, int]] = []
    for start, stop, at in found.spans:
        begin, end = max(first, at) - at + start, min(last - at + start, stop)
        if begin < end:
            spans.append((begin, end))
    lost = [[max(first, at), min(last, end)] for at, end in found.lost]
    return spans, [span for span in lost if span[0] < span[1]]


def _is_known(found: Salvage) -> bool:
    """Whether it is known how many images there were before any damage."""
    return found.repair is None or found.repair.images is not None


def _check_range(images: slice, span: tuple[int, int], total: int, *, is_known: bool) -> None:
    text = ":".join("" if end is None else str(end) for end in (images.start, images.stop))
    if span[0] >= span[1] and text != ":":
        raise ValueError(f"images: {text} holds no image, of {total} in the file")
    for end in (images.start, images.stop):
        if end is not None and (end < -total or (is_known and end > total)):
            raise ValueError(f"images: {text} reaches over the end, the file holds {total}")
