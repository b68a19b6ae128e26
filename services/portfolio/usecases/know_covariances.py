"""Knows the covariances of the newest questions again, so that the same numbers are judged, hashed and copied once."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import Fingerprints, Problem, fingerprints

_ROWS = 64
"""Compared at a time, so that two matrices that differ are soon told apart."""


class KnowCovariances:
    """At most `kept` matrices of at most `bytes_most` together, the longest unused forgotten first.

    A matrix that is kept stands for every later one of the same bytes; it must never change.
    """

    def __init__(self, *, kept: int, bytes_most: int) -> None:
        self._most = kept
        self._bytes_most = bytes_most
        self._kept: OrderedDict[str, Floats] = OrderedDict()

    def recall(self, covariance: Floats) -> Floats | None:
        """The kept matrix of the same bytes, to be asked on any thread."""
        kept = tuple(self._kept.values())
        return next((known for known in kept if known is covariance or _is_same(known, covariance)), None)

    def recalled(self, problem: Problem) -> Problem:
        """The problem over the kept matrix, where its numbers were seen before."""
        known = self.recall(problem.moments.covariance)
        if known is None or known is problem.moments.covariance:
            return problem
        return replace(problem, moments=problem.moments._replace(covariance=known))

    def fingerprints(self, problem: Problem) -> Fingerprints:
        """The problem's fingerprints; its covariance is hashed only when it is not a kept one."""
        kept = tuple(self._kept.items())
        known = next((sha256 for sha256, matrix in kept if matrix is problem.moments.covariance), None)
        return fingerprints(problem, known)

    def keep(self, covariance: Floats, sha256: str) -> None:
        """Remember a judged matrix under its fingerprint; one that is larger than all may be is not kept."""
        if covariance.nbytes > self._bytes_most:
            return
        self._kept.setdefault(sha256, covariance)
        self._kept.move_to_end(sha256)
        while len(self._kept) > self._most or self._bytes() > self._bytes_most:
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(matrix.nbytes for matrix in self._kept.values())


def _is_same(known: Floats, given: Floats) -> bool:
    """Every bit: −0 is not 0 here, because they have different fingerprints."""
    if known.shape != given.shape or not np.array_equal(_bits(np.diagonal(known)), _bits(np.diagonal(given))):
        return False
    starts = range(0, len(known), _ROWS)
    return all(np.array_equal(_bits(known[at : at + _ROWS]), _bits(given[at : at + _ROWS])) for at in starts)


def _bits(values: Floats) -> npt.NDArray[np.int64]:
    return values.view(np.int64)
