"""What the stories of orders know of the market: instruments, and the newest quotes."""

from dataclasses import dataclass

from services.execution.ports.market import Catalogue, Quotes
from trading.errors import TradingError


@dataclass(frozen=True, slots=True)
class Market:
    """Where instruments and quotes come from."""

    catalogue: Catalogue
    quotes: Quotes

    async def symbol(self, spelling: str) -> str:
        """The canonical symbol behind a venue's spelling, or the spelling itself where nobody knows it."""
        try:
            return (await self.catalogue.get(spelling)).symbol
        except TradingError:
            return spelling

    def mid(self, symbol: str) -> int:
        """The middle of the newest quote in nanos, 0 without one."""
        seen = self.quotes.latest(symbol)
        return seen.quote.mid_nanos if seen else 0
