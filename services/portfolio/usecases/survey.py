"""Takes stock of an account and of the market around it, for a rebalance."""

import asyncio
from collections.abc import Iterable, Mapping
from fractions import Fraction

from services.portfolio.domain.account import AccountValue
from services.portfolio.domain.rebalance_plan import Situation, Touch
from services.portfolio.ports import MarketData
from services.portfolio.usecases.read_book import ReadBook
from trading.errors import Kind, TradingError
from trading.instruments import Instruments
from trading.market import Quote

_CONCURRENT_QUOTES = 16
_NO_PRICE = frozenset({Kind.NOT_FOUND, Kind.UNAVAILABLE})
_BPS = 10_000


class Survey:
    """Answers with what an account holds and what everything it might trade costs now."""

    def __init__(self, read: ReadBook, market_data: MarketData, *, cushion_bps: int) -> None:
        self._read = read
        self._market_data = market_data
        self._cushion = Fraction(cushion_bps, _BPS)

    async def __call__(self, account: str, symbols: Iterable[str], known: Instruments | None = None) -> Situation:
        """The account with canonical `symbols` and its own; a symbol that nobody quotes has no price.

        Raises NotFound for an unknown account, Unavailable before execution told of it or when market_data is away.
        """
        value = await self._read.account(account)
        instruments = known or await self._market_data.instruments()
        held = await self._held(account, value)
        wanted = sorted({*symbols, *held})
        return Situation(
            equity_nanos=value.worth.equity_nanos,
            cash_nanos=value.cash_nanos,
            currency=value.terms.currency,
            held=held,
            instruments={symbol: instruments.get(symbol) for symbol in wanted if symbol in instruments},
            touches=await self._touches(wanted),
            cushion=self._cushion,
        )

    async def _held(self, account: str, value: AccountValue) -> dict[str, int]:
        """Quantities in the account's own currency."""
        positions = (held.position for held in (await self._read.positions(account)).positions)
        return {
            position.symbol: position.quantity_nanos
            for position in positions
            if position.currency == value.terms.currency
        }

    async def _touches(self, symbols: Iterable[str]) -> Mapping[str, Touch]:
        slots = asyncio.Semaphore(_CONCURRENT_QUOTES)

        async def touch(symbol: str) -> Touch | None:
            async with slots:
                try:
                    return _touch_of(await self._market_data.quote(symbol))
                except TradingError as error:
                    if error.kind not in _NO_PRICE:
                        raise
                    return None

        wanted = list(symbols)
        found = await asyncio.gather(*map(touch, wanted))
        return {symbol: price for symbol, price in zip(wanted, found, strict=True) if price is not None}


def _touch_of(quote: Quote) -> Touch | None:
    """Both sides of a quote, or the middle for a side that is empty."""
    middle = quote.mid_nanos
    return Touch(quote.bid_nanos or middle, quote.ask_nanos or middle) if middle > 0 else None
