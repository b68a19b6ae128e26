"""Commissions that Binance takes in coins: of what was bought, or in BNB; those in money are in the fills."""

from collections.abc import Sequence
from typing import Any

from services.execution.adapters.binance_answers import UNKNOWN_SYMBOL, complaint, told
from services.execution.adapters.binance_orders import QUOTE, venue_order_id
from services.execution.adapters.binance_rest import BinanceRest, time_ns
from services.execution.adapters.binance_symbols import BinanceSymbols
from services.execution.domain.charge import ChargeKind, VenueCharge
from trading.errors import InvalidArgument
from trading.money import parse_nanos

_CURRENCY = "USD"
_PAGE = 1_000
_MOST_PAGES = 20
_MICROSECOND_NS = 1_000


class BinanceCommissions:
    """Reads the account's trades symbol by symbol; of each, the coins that it cost."""

    def __init__(self, rest: BinanceRest, symbols: BinanceSymbols) -> None:
        self._rest = rest
        self._symbols = symbols
        self._newest = ("", 0)

    async def since(self, after_ns: int, after_id: str) -> Sequence[VenueCharge]:
        """Commissions after a time, in the order of time, and after one of them when it is named.

        The newest one that was told is remembered with its time, so that what came before is not read again.
        """
        name, newest_ns = self._newest
        if after_id and after_id == name:
            after_ns = max(after_ns, newest_ns)
        found: list[VenueCharge] = []
        for symbol in self._symbols.names:
            found += await self._of(symbol, after_ns)
        found.sort(key=lambda charge: (charge.event_time_ns, charge.venue_id))
        at = next((place for place, charge in enumerate(found, 1) if charge.venue_id == after_id), 0)
        if found:
            self._newest = found[-1].venue_id, found[-1].event_time_ns
        return found[at:]

    async def _of(self, symbol: str, after_ns: int) -> list[VenueCharge]:
        found: list[VenueCharge] = []
        start = {"startTime": str(after_ns // _MICROSECOND_NS)} if after_ns > 0 else {"fromId": "0"}
        for _ in range(_MOST_PAGES):
            answer = await self._rest.ask("/api/v3/myTrades", {"symbol": symbol, **start, "limit": str(_PAGE)})
            said = complaint(answer)
            if said is not None and said.code == UNKNOWN_SYMBOL:
                break  # a share, say, is not listed there
            page = told(answer)
            found += [charge for trade in page if (charge := commission_of(trade)) is not None]
            if len(page) < _PAGE:
                break
            start = {"fromId": str(page[-1]["id"] + 1)}
        return [charge for charge in found if charge.event_time_ns >= after_ns]


def commission_of(trade: Any) -> VenueCharge | None:
    """What a trade cost in coins, None when nothing; raises InvalidArgument for what is no trade."""
    try:
        symbol, asset, quantity = trade["symbol"], trade["commissionAsset"], parse_nanos(trade["commission"])
        if asset == QUOTE or not quantity:
            return None
        return VenueCharge(
            venue_id=f"{symbol}:{trade['id']}",
            kind=ChargeKind.FEE,
            currency=_CURRENCY,
            amount_nanos=0,
            event_time_ns=time_ns(trade["time"]),
            symbol=f"{asset}{QUOTE}",
            quantity_nanos=quantity,
            venue_order_id=venue_order_id(symbol, trade["orderId"]),
        )
    except (KeyError, TypeError, ValueError, InvalidArgument) as error:
        raise InvalidArgument("Not a trade of Binance.", trade=str(trade)[:200]) from error
