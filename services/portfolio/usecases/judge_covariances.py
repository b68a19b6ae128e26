"""Judges covariances off the request path: each once, its verdict kept under its hash."""

import asyncio
from collections import OrderedDict

from services.portfolio.domain.matrices import Floats, Refusal
from services.portfolio.domain.optimiser.definiteness import JUDGED_AT_ONCE, refuse_indefinite
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.ports import Offload

VERIFIED, PENDING = "verified", "pending"


class JudgeCovariances:
    """Verdicts of at most `kept` covariances; at most `waiting` wait for theirs, more are left pending."""

    def __init__(self, offload: Offload, *, kept: int, waiting: int) -> None:
        self._offload = offload
        self._kept = kept
        self._verdicts: OrderedDict[str, Refusal | None] = OrderedDict()
        self._waiting: asyncio.Queue[tuple[str, Floats]] = asyncio.Queue(waiting)
        self._asked: set[str] = set()

    @property
    def has_refused(self) -> bool:
        """Some covariance was found indefinite, so that it is worth knowing a hash before a solver runs."""
        return any(verdict is not None for verdict in self._verdicts.values())

    def refuse(self, sha256: str) -> None:
        """Raise the Refusal of a covariance that was found indefinite."""
        verdict = self._verdicts.get(sha256)
        if verdict is not None:
            raise verdict

    def standing(self, problem: Problem, sha256: str) -> str:
        """`verified`, or `pending` and then judged as soon as there is time; raises the Refusal that it earned."""
        if problem.moments.is_psd_by_construction or problem.size <= JUDGED_AT_ONCE:
            return VERIFIED
        if sha256 in self._verdicts:
            self._verdicts.move_to_end(sha256)
            self.refuse(sha256)
            return VERIFIED
        if sha256 not in self._asked and not self._waiting.full():
            self._asked.add(sha256)
            self._waiting.put_nowait((sha256, problem.moments.covariance))
        return PENDING

    async def run(self) -> None:
        """Judge one covariance after another, for as long as the service lives."""
        while True:
            sha256, covariance = await self._waiting.get()
            self._verdicts[sha256] = await self._offload(_verdict, covariance)
            self._asked.discard(sha256)
            while len(self._verdicts) > self._kept:
                self._verdicts.popitem(last=False)


def _verdict(covariance: Floats) -> Refusal | None:
    try:
        refuse_indefinite(covariance)
    except Refusal as refusal:
        return refusal
    return None
