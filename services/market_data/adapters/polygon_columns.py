"""How Polygon writes ticks: amounts as numbers, times in ms; sizes of a share's quotes in round lots."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from services.market_data.adapters.polygon_messages import CoinQuote, CoinTrade, Number, StockQuote, StockTrade
from services.market_data.adapters.tick_columns import QuoteFields, TickColumns, TradeFields
from trading.instruments import AssetClass
from trading.market import Int64Column
from trading.money import MAX_NANOS

UNREADABLE = -1
_MS = 1_000_000
_ROUND_LOT = 100
_SIGNS = {1: -1, 2: 1}


class StockColumns(TickColumns):
    """Collects ticks of shares."""

    quote_type, trade_type = StockQuote, StockTrade

    def _quote_alone(self, message: StockQuote, received_ns: int) -> tuple[str, int, Sequence[Number]]:
        spelling, time_ms, bid, bid_lots, ask, ask_lots = msgspec.structs.astuple(message)
        return spelling, _time_ns(time_ms), (bid, bid_lots * _ROUND_LOT, ask, ask_lots * _ROUND_LOT)

    def _quote_fields(self, messages: Sequence[StockQuote], received: Int64Column) -> QuoteFields:
        spellings, times, bids, bid_lots, asks, ask_lots = zip(*map(msgspec.structs.astuple, messages), strict=True)
        return QuoteFields(spellings, times_ns(times), (bids, _shares(bid_lots), asks, _shares(ask_lots)))

    def _trade_fields(self, messages: Sequence[StockTrade], received: Int64Column) -> TradeFields:
        spellings, times, prices, sizes, ids, exact = zip(*map(msgspec.structs.astuple, messages), strict=True)
        if any(exact):
            sizes = tuple(_size(*pair) for pair in zip(sizes, exact, strict=True))
        return TradeFields(spellings, times_ns(times), (prices, sizes), ids, [0] * len(ids))


class CoinColumns(TickColumns):
    """Collects ticks of pairs."""

    quote_type, trade_type = CoinQuote, CoinTrade

    def _quote_alone(self, message: CoinQuote, received_ns: int) -> tuple[str, int, Sequence[Number]]:
        spelling, time_ms, *amounts = msgspec.structs.astuple(message)
        return spelling, _time_ns(time_ms), amounts

    def _quote_fields(self, messages: Sequence[CoinQuote], received: Int64Column) -> QuoteFields:
        spellings, times, *amounts = zip(*map(msgspec.structs.astuple, messages), strict=True)
        return QuoteFields(spellings, times_ns(times), amounts)

    def _trade_fields(self, messages: Sequence[CoinTrade], received: Int64Column) -> TradeFields:
        spellings, times, prices, sizes, ids, conditions = zip(*map(msgspec.structs.astuple, messages), strict=True)
        return TradeFields(spellings, times_ns(times), (prices, sizes), ids, [sign(found) for found in conditions])


def columns_for(asset_class: AssetClass, venue: str, symbols: Mapping[str, str]) -> TickColumns:
    """Columns for the ticks of one market."""
    return (CoinColumns if asset_class is AssetClass.CRYPTO else StockColumns)(venue, symbols)


def times_ns(times: Sequence[int]) -> Int64Column:
    """ns UTC of times in ms; UNREADABLE where there is none."""
    return np.fromiter(map(_time_ns, times), np.int64, len(times))


def _time_ns(time_ms: int) -> int:
    return time_ms * _MS if 0 <= time_ms <= MAX_NANOS // _MS else UNREADABLE


def sign(conditions: Sequence[int]) -> int:
    """The aggressor of a coin's trade."""
    return next((_SIGNS[condition] for condition in conditions if condition in _SIGNS), 0)


def _shares(lots: Sequence[Number]) -> list[Number]:
    return [lot * _ROUND_LOT for lot in lots]


def _size(whole: Number, exact: str | None) -> Number:
    """A size as text where there is one; what is no number makes the trade unreadable."""
    try:
        return whole if exact is None else float(exact)
    except ValueError:
        return float("nan")
