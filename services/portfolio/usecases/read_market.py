"""Reads the returns of symbols beside those of the market that they are measured against."""

from collections.abc import Sequence

from services.portfolio.domain.matrices import Floats
from services.portfolio.usecases.read_returns import ReadReturns
from trading.errors import Kind, TradingError
from trading.instruments import DEFAULT_BENCHMARK

_NO_HISTORY = frozenset({Kind.NOT_FOUND, Kind.FAILED_PRECONDITION})


class ReadMarket:
    """Answers with a window of returns and the benchmark's own column."""

    def __init__(self, read: ReadReturns) -> None:
        self._read = read

    async def __call__(self, symbols: Sequence[str], days: int, benchmark: str) -> tuple[Floats, Floats | None]:
        """Returns days × symbols and days of the benchmark, over the days that all of them traded.

        A benchmark that is named must have a history; without the default one there is no market (None).
        Raises what ReadReturns raises.
        """
        name = benchmark or DEFAULT_BENCHMARK
        if name in symbols:
            returns = await self._read(symbols, days)
            return returns, returns[:, list(symbols).index(name)]
        try:
            returns = await self._read([*symbols, name], days)
        except TradingError as error:
            if benchmark or error.kind not in _NO_HISTORY:
                raise
            return await self._read(symbols, days), None
        return returns[:, :-1], returns[:, -1]
