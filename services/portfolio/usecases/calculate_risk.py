"""Measures the risk of positions on a returns matrix."""

from services.portfolio.domain.risk import RiskQuestion, RiskReport, measure, require_answerable
from services.portfolio.ports import Offload


class CalculateRisk:
    """Answers risk questions away from the event loop: a matrix may hold millions of returns."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload

    async def __call__(self, question: RiskQuestion) -> RiskReport:
        """The report; raises Refusal when the question has no answer."""
        return await self._offload(_answer, question)


def _answer(question: RiskQuestion) -> RiskReport:
    require_answerable(question)
    return measure(question)
