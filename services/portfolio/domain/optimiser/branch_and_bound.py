"""Weights that are zero or at least a minimum: best-first branch and bound over a convex relaxation.

The relaxation of a node forgets the hole between 0 and the minimum for every asset that is still
undecided; its objective bounds everything below the node. A weight that lies in its hole is decided twice:
once at zero, once at the minimum or more. The search ends when no open node can be better than the best
portfolio found by more than the gap, or when its time is over; then the gap that is left is reported.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.proof import Multipliers

_IN_A_HOLE = 1e-7
"""A weight this far from both 0 and the minimum is in its hole."""
RELATIVE_GAP = 1e-7


class Point(NamedTuple):
    """The optimum of one relaxation: smaller objectives are better."""

    objective: float
    weights: Floats
    multipliers: Multipliers


class Node(NamedTuple):
    """A box of the search and the optimum inside it."""

    lower: Floats
    upper: Floats
    point: Point


Relax = Callable[[Floats, Floats], Point | None]
"""The optimum inside a box, or None when the box is infeasible."""


@dataclass(slots=True)
class Search:
    """One search for the best weights in {0} ∪ [least, upper]; `is_over` says when time is up."""

    relax: Relax
    least: float
    is_over: Callable[[], bool]
    best: Node | None = None

    def run(self, upper: Floats) -> tuple[Node | None, float]:
        """The best node whose weights have no holes left, and its proven relative gap; None when there is none."""
        root = self._node(np.zeros_like(upper), upper)
        if root is None:
            return None, 0.0
        self._round(root)
        tickets = itertools.count()
        heap = [(root.point.objective, next(tickets), root)]
        while heap and not self.is_over():
            bound, _, node = heapq.heappop(heap)
            if self._is_beaten(bound):
                return self.best, 0.0
            for child in self._children(node):
                heapq.heappush(heap, (child.point.objective, next(tickets), child))
        return self.best, self._gap(heap[0][0]) if heap else 0.0

    def _children(self, node: Node) -> Iterator[Node]:
        """The open nodes below one; a node without holes becomes the best, or nothing."""
        holes = self._holes(node)
        if not holes.any():
            self._offer(node)
            return
        depth = np.where(holes, np.minimum(node.point.weights, self.least - node.point.weights), -1.0)
        index = int(depth.argmax())
        for lower, upper in (_held(node, index, self.least), _dropped(node, index)):
            child = self._node(lower, upper)
            if child is None or self._is_beaten(child.point.objective):
                continue
            if self._holes(child).any():
                yield child
            else:
                self._offer(child)

    def _round(self, root: Node) -> None:
        """A first good portfolio: hold the largest weights of the relaxation, about as many as it truly holds."""
        order = np.argsort(-root.point.weights, kind="stable")
        likely = int(np.count_nonzero(root.point.weights >= self.least / 2))
        counts = range(1, min(len(order), int(1 / self.least + 1e-9)) + 1)
        for count in sorted(counts, key=lambda count: abs(count - likely)):
            held = np.isin(np.arange(len(order)), order[:count])
            node = self._node(np.where(held, self.least, 0.0), np.where(held, root.upper, 0.0))
            if node is not None:
                self._offer(node)
            if node is not None or self.is_over():
                return

    def _node(self, lower: Floats, upper: Floats) -> Node | None:
        point = self.relax(lower, upper)
        return None if point is None else Node(lower, upper, point)

    def _holes(self, node: Node) -> npt.NDArray[np.bool_]:
        weights = node.point.weights
        return (weights > _IN_A_HOLE) & (weights < self.least - _IN_A_HOLE) & (node.lower <= 0)

    def _offer(self, node: Node) -> None:
        if self.best is None or node.point.objective < self.best.point.objective:
            self.best = node

    def _is_beaten(self, bound: float) -> bool:
        return self.best is not None and self._gap(bound) <= RELATIVE_GAP

    def _gap(self, bound: float) -> float:
        if self.best is None:
            return float("inf")
        found = self.best.point.objective
        return max(found - bound, 0.0) / max(abs(found), 1e-12)


def _held(node: Node, index: int, least: float) -> tuple[Floats, Floats]:
    lower = node.lower.copy()
    lower[index] = least
    return lower, node.upper


def _dropped(node: Node, index: int) -> tuple[Floats, Floats]:
    upper = node.upper.copy()
    upper[index] = 0.0
    return node.lower, upper
