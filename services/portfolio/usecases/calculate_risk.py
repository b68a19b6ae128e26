"""Measures the risk of positions: given ones or an account's, on given returns or on the fleet's own history."""

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.risk import (
    PositionKind,
    RiskQuestion,
    RiskReport,
    market_of,
    measure,
    require_answerable,
)
from services.portfolio.domain.risk_inputs import DEFAULT_WINDOW_DAYS, RiskRequest, Subject
from services.portfolio.ports import Offload
from services.portfolio.usecases.read_exposures import ReadExposures
from services.portfolio.usecases.read_market import ReadMarket
from trading.errors import InvalidArgument


class CalculateRisk:
    """Answers risk questions away from the event loop: a matrix may hold millions of returns."""

    def __init__(self, exposures: ReadExposures, market: ReadMarket, offload: Offload) -> None:
        self._exposures = exposures
        self._market = market
        self._offload = offload

    async def __call__(self, request: RiskRequest) -> RiskReport:
        """The report.

        Raises Refusal when the question has no answer, InvalidArgument when its parts do not fit together,
        NotFound for an unknown account or symbol, FailedPrecondition for an empty book or too little history.
        """
        symbols, positions, kind = await self._positions(request)
        returns, market = await self._returns(request, symbols)
        question = RiskQuestion(
            symbols, positions, kind, returns, market, request.risk_free_rate, request.periods_per_year
        )
        return await self._offload(_answer, question)

    async def _positions(self, request: RiskRequest) -> tuple[tuple[str, ...], Floats, PositionKind]:
        if not request.account:
            return request.symbols, request.positions, request.kind
        if request.symbols or len(request.positions):
            raise InvalidArgument("Expected an account or symbols, not both.", field="account")
        if request.returns is not None:
            raise InvalidArgument("Expected the history of an account's symbols, not returns.", field="returns")
        found = await self._exposures(Subject(request.account))
        return found.symbols, found.values, PositionKind.NOTIONAL

    async def _returns(self, request: RiskRequest, symbols: tuple[str, ...]) -> tuple[Floats, Floats | None]:
        if request.returns is None:
            days = request.window_days or DEFAULT_WINDOW_DAYS
            returns, market = await self._market(symbols, days, request.benchmark)
            return returns, request.market if request.market is not None else market
        if request.window_days:
            raise InvalidArgument("Expected returns or a window, not both.", field="returns")
        if request.market is not None:
            return request.returns, request.market
        return request.returns, market_of(symbols, request.returns, request.benchmark)


def _answer(question: RiskQuestion) -> RiskReport:
    require_answerable(question)
    return measure(question)
