"""Reads the daily returns behind "symbols and a window" from market_data's history."""

from collections.abc import Sequence

from services.portfolio.domain.estimation.history import aligned_returns, span_of
from services.portfolio.domain.matrices import Floats, require_unique
from services.portfolio.ports import MarketData
from trading.clock import Clock


class ReadReturns:
    """Answers with one matrix of returns, for the optimiser and for risk alike."""

    def __init__(self, market_data: MarketData, clock: Clock) -> None:
        self._market_data = market_data
        self._clock = clock

    async def __call__(self, symbols: Sequence[str], days: int) -> Floats:
        """The newest `days` simple daily returns, days × symbols, float64, oldest first.

        Only finished UTC days count. Raises Refusal for no symbol or the same twice, InvalidArgument for a
        window out of bounds, UnknownSymbol, FailedPrecondition INSUFFICIENT_HISTORY when the symbols share
        fewer days, Unavailable when market_data is away.
        """
        require_unique(symbols)
        span = span_of(days, self._clock.now_ns())
        closes = await self._market_data.daily_closes(symbols, span.start_ns, span.end_ns)
        return aligned_returns(symbols, closes, days)
