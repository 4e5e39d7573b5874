"""Options of the images of a chunk: the least cost with the table's runs, by brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from aecodec.codec.bound_assignment import (
    RUN_BITS,
    cheapest_assignment,
    options_worth_having,
    table_bits,
)


def total(costs: np.ndarray, choice: np.ndarray) -> float:
    """The cost of a choice of options, its runs included."""
    runs = np.count_nonzero(np.diff(choice)) * RUN_BITS
    return float(costs[choice, np.arange(len(choice))].sum() + runs)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_choice_costs_less(seed):
    costs = np.random.default_rng(seed).gamma(1.0, 15.0, (3, 7))
    found = total(costs, cheapest_assignment(costs))
    every = (total(costs, np.array(choice)) for choice in product(range(3), repeat=7))
    assert found == pytest.approx(min(every))


def test_many_tables_at_once_are_as_one_by_one():
    costs = np.random.default_rng(0).gamma(1.0, 15.0, (4, 2, 3, 20))
    choice = cheapest_assignment(costs)
    assert choice.shape == (4, 2, 20)
    for i, j in product(range(4), range(2)):
        np.testing.assert_array_equal(choice[i, j], cheapest_assignment(costs[i, j]))


def test_options_change_only_where_it_pays_for_the_run():
    costs = np.array([[0.0, 0, 9, 0, 0], [50.0, 50, 0, 50, 50]])
    assert cheapest_assignment(costs).tolist() == [0] * 5
    costs[0, 2] = 2 * RUN_BITS + 1
    assert cheapest_assignment(costs).tolist() == [0, 0, 1, 0, 0]


def test_one_image_and_one_option():
    assert cheapest_assignment(np.array([[3.0], [2.0]])).tolist() == [1]
    assert cheapest_assignment(np.ones((1, 4))).tolist() == [0] * 4


def test_what_a_table_charges():
    assert table_bits(np.array([1, 1, 1]), 100) == 100
    assert table_bits(np.array([0, 1, 1, 0]), 100) == 200 + 3 * RUN_BITS


def test_options_worth_having():
    costs = np.array([[10.0, 90, 90], [90.0, 10, 90], [90.0, 90, 80], [60.0, 60, 60]])
    assert options_worth_having(costs, 4, 5.0) == [0, 1, 3]
    assert options_worth_having(costs, 2, 5.0) == [0, 3]
    assert options_worth_having(costs, 4, 1000.0) == [3]
