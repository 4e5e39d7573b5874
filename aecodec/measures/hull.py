"""The lower convex hull of points in a plane: the settings that no mixture of others beats."""

from __future__ import annotations

from collections.abc import Sequence


def lower_hull(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (x, y) on the lower convex hull, by rising x.

    A point on a line between two others is left out, and one of equal points is kept: between two
    others it is the last one. Andrew's monotone chain (1979).
    """
    hull: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: points[i]):
        while len(hull) > 1 and _is_above(points[hull[-2]], points[hull[-1]], points[i]):
            hull.pop()
        hull.append(i)
    if len(hull) > 1 and points[hull[-2]][0] == points[hull[-1]][0]:
        hull.pop()  # the first of one x is the lowest
    return hull


def _is_above(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b, whose x is between those of a and c, is on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
