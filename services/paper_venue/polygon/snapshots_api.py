"""The REST API's snapshots: the day, the last minute, trade and quote of one ticker, of many, of the movers."""

from starlette.routing import Route

from services.paper_venue.domain.ticks import Kind
from services.paper_venue.polygon.aggregates_api import AggregatesApi, bar_row
from services.paper_venue.polygon.errors import bad_request, not_found
from services.paper_venue.polygon.listing import Listing, Market, Ticker
from services.paper_venue.polygon.rest import Answer, Call, Door
from services.paper_venue.polygon.ticks_api import TicksApi, short_quote, short_trade

_MOST_MOVERS = 20
_DAY_FIELDS = ("o", "h", "l", "c", "v", "vw")
_TRADE_FIELDS = ("c", "i", "p", "s", "t", "x")
_QUOTE_FIELDS = ("P", "S", "p", "s", "t")


class SnapshotsApi:
    """The handlers of snapshots."""

    def __init__(self, listing: Listing, aggregates: AggregatesApi, ticks: TicksApi) -> None:
        self._listing = listing
        self._aggregates = aggregates
        self._ticks = ticks

    def routes(self, door: Door) -> list[Route]:
        """Every route of snapshots behind `door`."""
        base = "/v2/snapshot/locale/{locale}/markets/{market}"
        return [
            door.route(f"{base}/tickers", self.all),
            door.route(f"{base}/tickers/{{ticker}}", self.one),
            door.route(f"{base}/{{direction}}", self.movers),
        ]

    def all(self, call: Call) -> Answer:
        """The tickers that are asked for, or the whole market."""
        market = Market.called(call.path["market"], call.path["locale"])
        asked = [name for name in call.query.get("tickers", "").split(",") if name]
        found = [t for t in self._listing.of_market(market) if not asked or t.name in asked]
        return {"status": "OK", "count": len(found), "tickers": [self._snapshot(ticker) for ticker in found]}

    def one(self, call: Call) -> Answer:
        """One ticker."""
        market = Market.called(call.path["market"], call.path["locale"])
        ticker = self._listing.find(call.path["ticker"])
        if ticker.market is not market:
            raise not_found()
        return {"status": "OK", "ticker": self._snapshot(ticker)}

    def movers(self, call: Call) -> Answer:
        """The tickers whose day gained, or lost, the most."""
        market = Market.called(call.path["market"], call.path["locale"])
        direction = call.path["direction"]
        if direction not in ("gainers", "losers"):
            raise bad_request(f"Expected gainers or losers, was {direction!r}.")
        sign = -1 if direction == "gainers" else 1
        found = [self._snapshot(ticker) for ticker in self._listing.of_market(market)]
        moved = [each for each in found if sign * each["todaysChangePerc"] < 0]
        moved.sort(key=lambda each: sign * float(each["todaysChangePerc"]))
        return {"status": "OK", "tickers": moved[:_MOST_MOVERS]}

    def _snapshot(self, ticker: Ticker) -> Answer:
        days = self._aggregates.days(ticker)
        before = bar_row(days.previous)
        trade, quote = self._ticks.latest(Kind.TRADE, ticker), self._ticks.latest(Kind.QUOTE, ticker)
        last = short_trade(ticker, trade) if len(trade) else {}
        quoted = short_quote(ticker, quote) if len(quote) else {}
        change = last["p"] - before["c"] if last and before else 0.0
        return {
            "ticker": ticker.name,
            "todaysChange": change,
            "todaysChangePerc": 100.0 * change / before["c"] if before else 0.0,
            "updated": max(last.get("t", 0), quoted.get("t", 0)),
            "day": _chosen(bar_row(days.today), _DAY_FIELDS),
            "min": self._minute(ticker, bar_row(days.today)),
            "prevDay": _chosen(before, _DAY_FIELDS),
            "lastTrade": _chosen(last, _TRADE_FIELDS),
            "lastQuote": _chosen(quoted, _QUOTE_FIELDS),
        }

    def _minute(self, ticker: Ticker, today: Answer) -> Answer:
        """The last minute, with the volume of the day so far."""
        return {"av": today.get("v", 0), **bar_row(self._aggregates.newest_minute(ticker))}


def _chosen(row: Answer, fields: tuple[str, ...]) -> Answer:
    return {field: row[field] for field in fields if field in row}
