"""The lower convex hull of points."""

import numpy as np

from aecodec.measures.hull import lower_hull


def test_hull_falls_and_rises_and_leaves_out_what_lies_above():
    points = [(4.0, 9.0), (0.0, 5.0), (1.0, 1.0), (3.0, 1.5), (2.0, 4.0), (5.0, 8.0)]
    assert lower_hull(points) == [1, 2, 3, 5]


def test_hull_leaves_out_points_on_a_line():
    assert lower_hull([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]) == [0, 3]


def test_hull_of_few_points():
    assert lower_hull([]) == []
    assert lower_hull([(1.0, 2.0)]) == [0]
    assert lower_hull([(1.0, 2.0), (1.0, 2.0)]) == [0]
    assert lower_hull([(1.0, 3.0), (1.0, 2.0)]) == [1]


def test_hull_keeps_the_last_of_equal_points_between_others():
    assert lower_hull([(0.0, 5.0), (1.0, 1.0), (1.0, 1.0), (2.0, 0.0)]) == [0, 2, 3]


def test_no_point_lies_below_the_hull():
    rng = np.random.default_rng(0)
    for _ in range(100):
        points = [(float(x), float(y)) for x, y in rng.integers(0, 9, (12, 2))]
        hull = np.array([points[i] for i in lower_hull(points)])
        assert (np.diff(hull[:, 0]) > 0).all()
        for x, y in points:
            assert y >= np.interp(x, hull[:, 0], hull[:, 1]) - 1e-12
