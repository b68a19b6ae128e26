"""Hierarchical risk parity (López de Prado, 2016): assets are ordered by likeness, then the budget is halved.

Likeness is the distance √((1 − correlation) / 2), clustered by single linkage. Single linkage is the minimum spanning
tree taken edge by edge, shortest first; each edge joins two clusters, the older one left. Of two halves of the order
each gets the share of the budget that is inverse to its variance, with weights inverse to the variances inside, or the
nearest share that the bounds of the assets in both halves can carry.
"""

import numpy as np

from services.portfolio.domain.matrices import Floats

Tree = list[tuple[float, int, int]]


def hierarchical_risk_parity(covariance: Floats, lower: Floats, upper: Floats) -> Floats:
    """Weights that sum to 1 within bounds, for N positive variances and bounds with Σ lower ≤ 1 ≤ Σ upper."""
    deviations = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(deviations, deviations)
    distance = np.sqrt(np.clip((1.0 - correlation) / 2.0, 0.0, 1.0))
    return _halved(covariance, _order(distance), lower, upper)


def _order(distance: Floats) -> list[int]:
    """The leaves of the dendrogram from left to right."""
    size = len(distance)
    clusters = {index: (index, [index]) for index in range(size)}  # by root: the cluster's number and its leaves
    parent = list(range(size))
    for number, (_, source, target) in enumerate(sorted(_spanning_tree(distance), key=lambda edge: edge[0])):
        roots = _root(parent, source), _root(parent, target)
        left, right = sorted(roots, key=lambda root: clusters[root][0])
        parent[right] = left
        clusters[left] = (size + number, clusters[left][1] + clusters.pop(right)[1])
    return clusters[_root(parent, 0)][1]


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _spanning_tree(distance: Floats) -> Tree:
    """Prim's minimum spanning tree, in the order in which it grows from asset 0."""
    size = len(distance)
    outside = np.ones(size, dtype=bool)
    nearest = np.full(size, np.inf)
    edges: Tree = []
    here = 0
    for _ in range(size - 1):
        outside[here] = False
        nearest = np.minimum(nearest, distance[here])
        there = int(np.where(outside, nearest, np.inf).argmin())
        edges.append((float(nearest[there]), here, there))
        here = there
    return edges


def _halved(covariance: Floats, order: list[int], lower: Floats, upper: Floats) -> Floats:
    weights = np.ones(len(order))
    parts = [order]
    while parts:
        halves = [(part[: len(part) // 2], part[len(part) // 2 :]) for part in parts if len(part) > 1]
        for left, right in halves:
            left_variance, right_variance = _variance(covariance, left), _variance(covariance, right)
            total = left_variance + right_variance
            share = 1.0 - left_variance / total if total > 0 else 0.5
            budget = float(weights[left[0]])  # all of the part still carry what the part has
            if budget <= 0:
                continue
            least = max(float(lower[left].sum()) / budget, 1.0 - float(upper[right].sum()) / budget)
            most = min(float(upper[left].sum()) / budget, 1.0 - float(lower[right].sum()) / budget)
            share = min(max(share, least), most)
            weights[left] *= share
            weights[right] *= 1.0 - share
        parts = [half for pair in halves for half in pair]
    return weights


def _variance(covariance: Floats, members: list[int]) -> float:
    """Variance of the members at weights inverse to their own variances."""
    part = covariance[np.ix_(members, members)]
    inverse = 1.0 / np.diagonal(part)
    weights = inverse / inverse.sum()
    return float(weights @ part @ weights)
