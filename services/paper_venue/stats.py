"""What the venue has said and done, for anybody to read: proof that nothing was lost on the way."""

from collections import Counter
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.paper_venue.counts import SentCounts
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Int64, Kind
from services.paper_venue.feed import Feed
from services.paper_venue.pump import Progress


class StatsPage:
    """`GET /stats`: counts by channel and symbol, the state of the replay, orders and fills."""

    def __init__(self, market: Market, progress: Progress, feed: Feed, counts: SentCounts, recorded: bool) -> None:
        self._market = market
        self._progress = progress
        self._feed = feed
        self._counts = counts
        self._recorded = recorded

    def routes(self) -> list[Route]:
        """The page needs no key: it tells counts, never an order or a price."""
        return [Route("/stats", self._endpoint, methods=["GET"]), Route("/healthz", self._healthy, methods=["GET"])]

    def page(self) -> dict[str, Any]:
        """`sent` counts what went out over all connections; `said` what the market did, heard or not."""
        exchange, sent = self._market.exchange, self._counts.rows
        progress = self._progress
        return {
            "market": "recording" if self._recorded else "simulation",
            "quotes_sent": int(sent[Kind.QUOTE].sum()),
            "trades_sent": int(sent[Kind.TRADE].sum()),
            "bars_sent": int(sent[Kind.BAR].sum()),
            "quotes_repeated": self._counts.repeated,
            "sent": self._by_symbol(sent),
            "said": self._by_symbol(self._market.said),
            "replay": {"state": progress.state.value, "position": progress.position, "total": progress.total},
            "orders": dict(Counter(order.status.value.lower() for order in exchange.orders())),
            "fills": sum(1 for _ in exchange.fills()),
            "connections": len(self._feed.listeners),
        }

    def _by_symbol(self, rows: Int64) -> dict[str, dict[str, int]]:
        symbols = self._market.exchange.symbols
        names = {Kind.QUOTE: "quotes", Kind.TRADE: "trades", Kind.BAR: "bars"}
        return {
            name: {symbols[index]: int(rows[kind, index]) for index in np.flatnonzero(rows[kind]).tolist()}
            for kind, name in names.items()
        }

    async def _endpoint(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self.page()), media_type="application/json")

    async def _healthy(self, request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")
