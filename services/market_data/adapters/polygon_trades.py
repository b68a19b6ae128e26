"""The trades that Polygon remembers, page by page."""

from urllib.parse import quote

import msgspec
import numpy as np

from services.market_data.adapters.polygon_columns import sign
from services.market_data.adapters.polygon_messages import Number
from services.market_data.adapters.polygon_rest import SPELLING, PolygonRest
from services.market_data.adapters.tick_columns import LARGEST, to_nanos
from services.market_data.domain.blocks import joined
from services.market_data.domain.trade_line import Mark
from trading.clock import Clock
from trading.instruments import AssetClass, Instrument
from trading.market import TradeBlock
from trading.money import MAX_NANOS

_ROWS_MOST = 50_000


class TradeBody(msgspec.Struct):
    """A trade of the past; times in ns, and a coin has no SIP."""

    price: Number
    size: Number = 0
    id: str = ""
    participant_timestamp: int = 0
    sip_timestamp: int | None = None
    conditions: list[int] = []


class TradesBody(msgspec.Struct):
    """A page of trades."""

    results: list[TradeBody] | None = None
    next_url: str | None = None


class PolygonTrades:
    """Answers from a mark's time on."""

    def __init__(self, venue: str, rest: PolygonRest, clock: Clock) -> None:
        self._venue, self._rest, self._clock = venue, rest, clock

    async def trades(self, instrument: Instrument, since: Mark, limit: int) -> TradeBlock | None:
        """Trades since a mark, oldest first; see `ports.TradeSource`."""
        path = f"/v3/trades/{quote(instrument.venue_symbol(SPELLING), safe=':')}"
        question = {
            "timestamp.gte": since.time_ns, "order": "asc", "sort": "timestamp", "limit": min(limit, _ROWS_MOST)
        }  # fmt: skip
        blocks: list[TradeBlock] = []
        async for page in self._rest.pages(path, TradesBody, question):
            if readable := [body for body in page.results or () if _is_readable(body)]:
                blocks.append(self._block(instrument, readable))
            if sum(map(len, blocks)) >= limit:
                break
        return joined(blocks) if blocks else None

    def _block(self, instrument: Instrument, bodies: list[TradeBody]) -> TradeBlock:
        coins = instrument.asset_class is AssetClass.CRYPTO
        times = list(map(_time_ns, bodies))
        prices, sizes = np.array([(body.price, body.size) for body in bodies], np.float64).T
        signs = [sign(body.conditions) if coins else 0 for body in bodies]
        return TradeBlock(
            self._venue,
            instrument.symbol,
            np.array(times, np.int64),
            np.full(len(bodies), self._clock.now_ns(), np.int64),
            to_nanos(prices),
            to_nanos(sizes),
            np.array(signs, np.int64),
            tuple(body.id for body in bodies),
        )


def _time_ns(body: TradeBody) -> int:
    return body.sip_timestamp or body.participant_timestamp


def _is_readable(body: TradeBody) -> bool:
    return 0 < body.price < LARGEST and 0 <= body.size < LARGEST and 0 <= _time_ns(body) <= MAX_NANOS
