"""Branch and bound finds what trying every choice of positions finds."""

from itertools import product

import numpy as np
import pytest

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.branch_and_bound import Point, Search
from services.portfolio.domain.optimiser.proof import Multipliers

LEAST = 0.2


class Projection:
    """A relaxation that is solved by bisection: the weights nearest to a wish, in a box, that sum to 1."""

    def __init__(self, wish: Floats) -> None:
        self.wish = wish
        self.calls = 0

    def __call__(self, lower: Floats, upper: Floats) -> Point | None:
        self.calls += 1
        if lower.sum() > 1 + 1e-12 or upper.sum() < 1 - 1e-12 or (lower > upper).any():
            return None
        low, high = -3.0, 3.0
        for _ in range(80):
            shift = (low + high) / 2
            low, high = (shift, high) if np.clip(self.wish + shift, lower, upper).sum() < 1 else (low, shift)
        weights = np.clip(self.wish + high, lower, upper)
        return Point(float(((weights - self.wish) ** 2).sum()), weights, Multipliers())


def never() -> bool:
    return False


def by_brute_force(relax: Projection, upper: Floats) -> float:
    choices = (np.array(chosen, dtype=bool) for chosen in product((False, True), repeat=len(upper)))
    points = (relax(np.where(held, LEAST, 0.0), np.where(held, upper, 0.0)) for held in choices)
    return min(point.objective for point in points if point is not None)


@pytest.mark.parametrize("seed", range(25))
def test_the_search_finds_the_best_of_all_choices(seed: int) -> None:
    random = np.random.default_rng(seed)
    wish, upper = random.uniform(-0.1, 0.4, 7), np.full(7, random.uniform(0.3, 0.6))
    best, gap = Search(Projection(wish), LEAST, never).run(upper)
    assert best is not None
    assert best.point.objective == pytest.approx(by_brute_force(Projection(wish), upper), rel=1e-6, abs=1e-12)
    assert gap == 0.0
    weights = best.point.weights
    assert ((weights < 1e-7) | (weights > LEAST - 1e-7)).all()


def test_a_relaxation_without_holes_is_the_answer_at_once() -> None:
    relax = Projection(np.array([0.5, 0.5, -1.0]))
    best, _ = Search(relax, LEAST, never).run(np.full(3, 0.6))
    assert best is not None
    assert best.point.weights == pytest.approx([0.5, 0.5, 0.0])
    assert relax.calls <= 3


def test_an_infeasible_box_has_no_answer() -> None:
    assert Search(Projection(np.zeros(2)), LEAST, never).run(np.full(2, 0.3)) == (None, 0.0)


def test_holes_that_cannot_be_filled_have_no_answer() -> None:
    assert Search(Projection(np.array([0.4, 0.4, 0.3])), 0.4, never).run(np.full(3, 0.45)) == (None, 0.0)


def test_when_time_is_over_the_best_so_far_comes_with_the_gap_that_is_left() -> None:
    wish = np.random.default_rng(3).uniform(0.05, 0.15, 9)
    relax = Projection(wish)
    best, gap = Search(relax, LEAST, lambda: relax.calls >= 3).run(np.full(9, 0.5))
    assert best is not None
    assert gap > 0
    proven = best.point.objective * (1 - gap)
    assert proven <= by_brute_force(Projection(wish), np.full(9, 0.5)) <= best.point.objective
