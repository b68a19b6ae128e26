"""A market of one share and one coin as Polygon's customers are told of it, and how to ask it things."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import numpy as np
from builders.paper_venue import AAPL, BTC, a_trade, counted_ids, nanos

from services.paper_venue.domain.charts import Charts
from services.paper_venue.domain.exchange import Exchange, ExchangeRules
from services.paper_venue.domain.history import History
from services.paper_venue.domain.market import Batch, Market
from services.paper_venue.domain.tape import Placed, Tape
from services.paper_venue.domain.ticks import Ticks
from services.paper_venue.polygon.aggregates import SecondAggregates
from services.paper_venue.polygon.aggregates_api import AggregatesApi
from services.paper_venue.polygon.frames import Framer
from services.paper_venue.polygon.listing import Listing
from services.paper_venue.polygon.listing import Market as MarketName
from services.paper_venue.polygon.rest import Call
from services.paper_venue.polygon.snapshots_api import SnapshotsApi
from services.paper_venue.polygon.ticks_api import TicksApi
from trading.clock import SECOND_NS, ManualClock

START_NS = 1_704_205_800 * SECOND_NS  # 2024-01-02 14:30 UTC, a Tuesday: 09:30 in New York
COINS = 1


class Floor:
    """A market of one share and one coin, and what Polygon's customers are told of it."""

    def __init__(self, opens_ns: int = START_NS) -> None:
        instruments = (AAPL, BTC)
        exchange = Exchange(instruments, ExchangeRules(), counted_ids())
        history = History(instruments, {i.symbol: nanos(100) for i in instruments}, 7, opens_ns)
        self.market = Market(exchange, Tape(10_000), Charts(instruments, history, 1_000))
        self.listing = Listing(instruments)
        self.aggregates = AggregatesApi(self.market, self.listing, ManualClock(opens_ns))
        self.ticks = TicksApi(self.market, self.listing)
        self.snapshots = SnapshotsApi(self.listing, self.aggregates, self.ticks)
        self.seconds = SecondAggregates(self.market, self.listing)

    def say(self, *ticks: Ticks) -> Batch:
        together = Ticks.concat(ticks)
        self.market.tape.load(together)
        return self.market.say(together, int(together.time_ns[-1]))

    def trade(self, price: float, at_s: float, size: float = 100.0, instrument: int = 0, trade_id: int = 1) -> Batch:
        return self.say(at(price, at_s, size, instrument, trade_id))

    def events(self, market: MarketName, batch: Batch) -> list[dict[str, Any]]:
        positions = np.arange(batch.first, batch.first + len(batch.ticks))
        framer = Framer(market, [ticker.stream_name for ticker in self.listing.tickers])
        return [msgspec.to_builtins(event) for event in framer.events(Placed(batch.ticks, positions))]


def at(price: float, at_s: float, size: float = 100.0, instrument: int = 0, trade_id: int = 1, side: int = 1) -> Ticks:
    """A trade so many seconds after the start."""
    return a_trade(price, size, instrument, START_NS + round(at_s * SECOND_NS), side, trade_id)


def ask(handler: Any, path: dict[str, str], **query: object) -> Any:
    """Call a handler as HTTP would; `timestamp__gt` stands for `timestamp.gt`."""
    texts = {name.replace("__", "."): str(value) for name, value in query.items()}
    return handler(Call(path, texts, "http://here"))


def follow(handler: Any, path: dict[str, str], **query: object) -> list[list[Any]]:
    """The results of every page, by following `next_url`."""
    answer, pages = ask(handler, path, **query), []
    while True:
        pages.append(answer.get("results", []))
        if "next_url" not in answer:
            return pages
        url = urlsplit(answer["next_url"])
        start, end = url.path.split("/")[-2:]
        step = path | ({"start": start, "end": end} if "start" in path else {})
        answer = handler(Call(step, dict(parse_qsl(url.query)), "http://here"))


def bars(window: str, start: object, end: object, ticker: str = "AAPL") -> dict[str, str]:
    """The path of a range of aggregates: `bars("5 minute", …)`."""
    count, span = window.split()
    return {"ticker": ticker, "count": count, "span": span, "start": str(start), "end": str(end)}
