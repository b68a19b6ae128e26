"""Which covariances are known again, and how many are kept."""

import numpy as np
import pytest
from builders.portfolio import a_problem
from fakes.portfolio import FakeMarketData, SolverHere, run_here

from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.problem import Objective, fingerprint_of, fingerprints, given_moments
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_covariances import KnowCovariances
from services.portfolio.usecases.optimize import Optimize
from trading.clock import SystemClock


def a_matrix(seed: int = 1, count: int = 80) -> Floats:
    rows = np.random.default_rng(seed).normal(size=(count, count))
    matrix: Floats = rows @ rows.T
    return matrix


def knowing(*matrices: Floats, kept: int = 4, bytes_most: int = 1 << 20) -> KnowCovariances:
    know = KnowCovariances(kept=kept, bytes_most=bytes_most)
    for matrix in matrices:
        know.keep(matrix, fingerprint_of(matrix))
    return know


def test_the_same_numbers_are_known_again_wherever_they_lie() -> None:
    first, second = a_matrix(1), a_matrix(2)
    know = knowing(first, second)
    assert know.recall(first) is first
    assert know.recall(second.copy()) is second
    assert know.recall(np.frombuffer(first.tobytes()).reshape(first.shape)) is first


@pytest.mark.parametrize("at", [(0, 0), (3, 70), (79, 0), (79, 79)])
def test_a_single_bit_makes_another_matrix(at: tuple[int, int]) -> None:
    first = a_matrix()
    other = first.copy()
    other[at] = np.nextafter(other[at], np.inf)
    assert knowing(first).recall(other) is None


def test_a_zero_with_a_sign_is_another_number_and_another_shape_is_another_matrix() -> None:
    zeros = np.zeros((3, 3))
    assert knowing(zeros).recall(-zeros) is None
    assert knowing(zeros).recall(np.zeros((9, 1))) is None


def test_the_longest_unused_is_forgotten_first() -> None:
    first, second, third = a_matrix(1), a_matrix(2), a_matrix(3)
    know = knowing(first, second, first, third, kept=2)
    assert know.recall(second) is None
    assert know.recall(first) is first
    assert know.recall(third) is third


def test_no_more_bytes_are_kept_than_may_be() -> None:
    small, large = a_matrix(1, 20), a_matrix(2, 40)
    know = knowing(small, bytes_most=large.nbytes)
    know.keep(a_matrix(3, 41), "too large")
    assert know.recall(small) is small
    know.keep(large, "fits alone")
    assert know.recall(small) is None
    assert know.recall(large) is large


def test_fingerprints_of_a_known_covariance_are_those_of_its_numbers() -> None:
    matrix = a_matrix()
    problem = a_problem(np.linspace(0.1, 0.2, 80), matrix.copy())
    know = knowing(matrix)
    assert know.fingerprints(know.recalled(problem)) == fingerprints(problem) == know.fingerprints(problem)
    assert know.recalled(problem).moments.covariance is matrix


def test_a_covariance_that_is_known_is_not_judged_again() -> None:
    lopsided = np.array([[1.0, 0.5], [0.4, 1.0]])  # as only a memory could let it pass
    assert given_moments(np.zeros(2), lopsided.copy(), ("A", "B"), knowing(lopsided).recall).covariance is lopsided
    with pytest.raises(Refusal):
        given_moments(np.zeros(2), lopsided, ("A", "B"), knowing(a_matrix(1, 2)).recall)


async def test_a_question_is_remembered_when_it_has_an_answer() -> None:
    know = knowing()
    judge = JudgeCovariances(run_here, kept=4, waiting=1)
    optimize = Optimize(SolverHere(), FakeMarketData(), run_here, judge, know, SystemClock(), timeout_s=30)
    refused = a_problem([0.1, 0.2], np.diag([0.09, 0.16]), max_position_size=0.3)
    with pytest.raises(Refusal):
        await optimize(refused, 5.0)
    answered = a_problem([0.1, 0.2], np.diag([0.04, 0.16]), Objective.MIN_VARIANCE)
    first = await optimize(answered, 5.0)
    assert know.recall(refused.moments.covariance) is None
    assert know.recall(np.diag([0.04, 0.16])) is answered.moments.covariance
    again = await optimize(a_problem([0.1, 0.2], np.diag([0.04, 0.16]), Objective.MIN_VARIANCE), 5.0)
    assert again.input_sha256 == first.input_sha256
