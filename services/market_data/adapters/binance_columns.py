"""How Binance writes ticks: amounts as decimal texts, times in microseconds; a bookTicker has no time at all."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from services.market_data.adapters.binance_messages import TickerEvent, TradeEvent
from services.market_data.adapters.binance_rest import time_ns
from services.market_data.adapters.tick_columns import Floats, QuoteFields, TickColumns, TradeFields, texts_to_nanos
from trading.market import Int64Column
from trading.money import MAX_NANOS

UNREADABLE = -1


class BinanceColumns(TickColumns):
    """Collects Binance's ticks. A quote's venue time is the time of its receipt by the venue's clock (`offset_ns`)."""

    quote_type, trade_type = TickerEvent, TradeEvent

    def __init__(self, venue: str, symbols: Mapping[str, str], offset_ns: int = 0) -> None:
        super().__init__(venue, symbols)
        self._offset_ns = offset_ns

    def _quote_alone(self, message: TickerEvent, received_ns: int) -> tuple[str, int, Sequence[str]]:
        spelling, _, *amounts, time = msgspec.structs.astuple(message)
        told = _time_ns(time) if time else UNREADABLE
        return spelling, told if told > 0 else received_ns + self._offset_ns, amounts

    def _quote_fields(self, messages: Sequence[TickerEvent], received: Int64Column) -> QuoteFields:
        spellings, _, *amounts, times = zip(*map(msgspec.structs.astuple, messages), strict=True)
        stamps = received + self._offset_ns
        if any(times):
            told = np.fromiter(map(_time_ns, times), np.int64, len(times))
            stamps = np.where(told > 0, told, stamps)
        return QuoteFields(spellings, stamps, amounts)

    def _trade_fields(self, messages: Sequence[TradeEvent], received: Int64Column) -> TradeFields:
        spellings, ids, prices, sizes, times, makers = zip(*map(msgspec.structs.astuple, messages), strict=True)
        stamps = np.fromiter(map(_time_ns, times), np.int64, len(times))
        return TradeFields(spellings, stamps, (prices, sizes), ids, [-1 if maker else 1 for maker in makers])

    def _floats(self, amounts: Sequence[Sequence[Any]]) -> Floats:
        try:
            return np.array([list(map(float, texts)) for texts in amounts], np.float64)
        except ValueError:
            return np.array([list(map(_float, texts)) for texts in amounts], np.float64)

    def _nanos(self, amounts: Sequence[Any], floats: Floats) -> Int64Column:
        return texts_to_nanos(amounts, floats)


def _time_ns(time: int) -> int:
    found = time_ns(time)
    return found if 0 <= found <= MAX_NANOS else UNREADABLE


def _float(text: str) -> float:
    """What is no number is not a number, and its tick unreadable."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
