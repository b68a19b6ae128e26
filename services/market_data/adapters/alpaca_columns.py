"""How Alpaca writes ticks: amounts as numbers, times as msgpack timestamps or RFC 3339 texts."""

from collections.abc import Sequence

import msgspec

from services.market_data.adapters.alpaca_messages import QuoteMessage, TradeMessage
from services.market_data.adapters.alpaca_times import time_ns, times_ns
from services.market_data.adapters.tick_columns import QuoteFields, TickColumns, TradeFields
from trading.market import Int64Column

_SIDES = {"B": 1, "S": -1}


class AlpacaColumns(TickColumns):
    """Collects Alpaca's ticks."""

    quote_type, trade_type = QuoteMessage, TradeMessage

    def _quote_alone(self, message: QuoteMessage, received_ns: int) -> tuple[str, int, Sequence[float]]:
        return message.S, time_ns(bytes(message.t)), (message.bp, message.bs, message.ap, message.ask_size)

    def _quote_fields(self, messages: Sequence[QuoteMessage], received: Int64Column) -> QuoteFields:
        spellings, times, *amounts = zip(*map(msgspec.structs.astuple, messages), strict=True)
        return QuoteFields(spellings, times_ns(times), amounts)

    def _trade_fields(self, messages: Sequence[TradeMessage], received: Int64Column) -> TradeFields:
        spellings, times, prices, sizes, ids, sides = zip(*map(msgspec.structs.astuple, messages), strict=True)
        return TradeFields(spellings, times_ns(times), (prices, sizes), ids, [_SIDES.get(side, 0) for side in sides])
