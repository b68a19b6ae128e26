"""What a solver remembers of its last answers: the weights, and the size of the objective.

Only a hint: column generation finds the same optimum from any start. So the key may be cheap, and is: the
problem's words and the diagonal of Σ.
"""

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.column_generation import ColumnGeneration
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.domain.optimiser.program import Indices


class _Start(NamedTuple):
    support: Indices
    size: float
    weights: Floats | None


class WarmStarts:
    """The newest `most` starts; the longest unused one is forgotten."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._starts: OrderedDict[bytes, _Start] = OrderedDict()

    def __len__(self) -> int:
        return len(self._starts)

    def begin(self, problem: Problem, columns: ColumnGeneration) -> None:
        """Start where the last answer to a problem like this ended."""
        key = _key(problem)
        found = self._starts.get(key)
        if found is not None:
            self._starts.move_to_end(key)
            columns.warm, columns.size, columns.weights = found

    def keep(self, problem: Problem, columns: ColumnGeneration) -> None:
        """Remember where this one ended."""
        if columns.warm is not None:
            self._put(problem, _Start(columns.warm, columns.size, columns.weights))

    def support(self, problem: Problem, columns: ColumnGeneration) -> None:
        """Let a problem that was never solved start from the assets of another one."""
        if columns.warm is not None and _key(problem) not in self._starts:
            self._put(problem, _Start(columns.warm, 1.0, None))

    def _put(self, problem: Problem, start: _Start) -> None:
        self._starts[_key(problem)] = start
        if len(self._starts) > self._most:
            self._starts.popitem(last=False)


def _key(problem: Problem) -> bytes:
    diagonal = np.ascontiguousarray(np.diagonal(problem.moments.covariance))
    digest = hashlib.blake2b(diagonal.data, digest_size=16)
    digest.update(f"{problem.objective}{problem.size}{problem.constraints.allow_cash}".encode())
    return digest.digest()
