"""The REST API's reference data: tickers, their details, and whether the markets are open."""

import base64
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.routing import Route

from services.paper_venue.domain.sessions import NEW_YORK, Sessions
from services.paper_venue.polygon.errors import bad_request, not_found
from services.paper_venue.polygon.listing import Listing, Market, Ticker
from services.paper_venue.polygon.rest import Answer, Call, Door
from trading.clock import Clock

_ROWS_PER_PAGE, _MOST_ROWS = 100, 1_000
_FUND_SECTORS = ("Broad Market", "Emerging Markets")
_FILTERS = ("ticker", "type", "market", "locale")


class ReferenceApi:
    """The handlers of reference data."""

    def __init__(self, listing: Listing, sessions: Sessions, clock: Clock) -> None:
        self._listing = listing
        self._sessions = sessions
        self._clock = clock

    def routes(self, door: Door) -> list[Route]:
        """Every route of reference data behind `door`."""
        return [
            door.route("/v3/reference/tickers", self.tickers),
            door.route("/v3/reference/tickers/{ticker}", self.ticker),
            door.route("/v1/marketstatus/now", self.status),
        ]

    def tickers(self, call: Call) -> Answer:
        """The tickers that pass all filters, by name, in pages."""
        limit = call.limit(_ROWS_PER_PAGE, _MOST_ROWS)
        rows = [row for row in map(self._row, self._listing.tickers) if _passes(row, call)]
        rows.sort(key=lambda row: str(row["ticker"]), reverse=call.descending("order", "asc"))
        start = _place(call.query.get("cursor"))
        page = rows[start : start + limit]
        answer: Answer = {"results": page, "status": "OK", "count": len(page)}
        if start + limit < len(rows):
            kept = {name: text for name, text in call.query.items() if name not in ("cursor", "apiKey")}
            query = kept | {"cursor": base64.urlsafe_b64encode(str(start + limit).encode()).decode()}
            answer["next_url"] = f"{call.base}/v3/reference/tickers?{urlencode(query)}"
        return answer

    def ticker(self, call: Call) -> Answer:
        """What is known of one ticker."""
        ticker = self._listing.get(call.path["ticker"])
        if ticker is None:
            raise not_found("Ticker not found.")
        details = {"description": f"{ticker.instrument.name or ticker.symbol}: {ticker.instrument.sector}".rstrip(": ")}
        return {"results": self._row(ticker) | details, "status": "OK", "count": 1}

    def status(self, call: Call) -> Answer:
        """Whether the markets are open now."""
        now_ns = self._clock.now_ns()
        state = "open" if self._sessions.is_open(now_ns) else "closed"
        return {
            "market": state,
            "earlyHours": False,
            "afterHours": False,
            "serverTime": datetime.fromtimestamp(now_ns // 1_000_000_000, NEW_YORK).isoformat(),
            "exchanges": {"nyse": state, "nasdaq": state, "otc": "closed"},
            "currencies": {"fx": "closed", "crypto": "open"},
        }

    def _row(self, ticker: Ticker) -> Answer:
        row: Answer = {
            "ticker": ticker.name,
            "name": ticker.instrument.name or ticker.symbol,
            "market": ticker.market.value,
            "locale": ticker.market.locale,
            "active": True,
            "last_updated_utc": datetime.fromtimestamp(self._clock.now_ns() // 1_000_000_000, UTC).strftime(
                "%Y-%m-%dT00:00:00Z"
            ),
        }
        if ticker.market is Market.STOCKS:
            kind = "ETF" if ticker.instrument.sector in _FUND_SECTORS else "CS"
            return row | {"primary_exchange": "XNAS", "type": kind, "currency_name": "usd"}
        base, quote = ticker.currencies
        return row | {"base_currency_symbol": base, "currency_symbol": quote, "currency_name": quote.lower()}


def _passes(row: Answer, call: Call) -> bool:
    query, name = call.query, str(row["ticker"])
    if query.get("active", "true") != "true":
        return False
    if any(query.get(word) not in (None, "", row.get(word)) for word in _FILTERS):
        return False
    found = query.get("search", "").lower() in f"{name} {row['name']}".lower()
    return found and all(
        (
            name > query.get("ticker.gt", ""),
            name >= query.get("ticker.gte", ""),
            name < query.get("ticker.lt", "\x7f"),
            name <= query.get("ticker.lte", "\x7f"),
        )
    )


def _place(token: str | None) -> int:
    """The row that a cursor of ours stands for; raises ApiError 400 for any other."""
    try:
        return int(base64.urlsafe_b64decode(token).decode()) if token else 0
    except ValueError:
        raise bad_request("Could not parse the cursor.") from None
