"""What Polygon lists, from its reference data."""

from functools import partial
from urllib.parse import quote

import msgspec

from services.market_data.adapters.polygon_rest import SPELLING, PolygonRest
from services.market_data.adapters.venue_listing import VenueListing
from services.market_data.domain.registry import VenueAsset
from trading.clock import Clock
from trading.errors import NotFound
from trading.instruments import AssetClass, Instrument

_PAGE = 1000
_CLASSES = {"stocks": AssetClass.EQUITY, "crypto": AssetClass.CRYPTO}


class TickerBody(msgspec.Struct):
    """A ticker; steps and sizes are not told."""

    ticker: str
    name: str = ""
    market: str = "stocks"
    active: bool = True


class TickerAnswer(msgspec.Struct):
    """The answer about one ticker."""

    results: TickerBody


class TickerPage(msgspec.Struct):
    """Some of all tickers, and where the next are."""

    results: list[TickerBody] = []
    next_url: str | None = None


class PolygonAssets:
    """Asks about one ticker at a time, or about all `at_once`, in pages, where many are wanted."""

    def __init__(self, rest: PolygonRest, clock: Clock, *, at_once: bool = False) -> None:
        self._rest, self._at_once = rest, at_once
        self._lists = {kind: VenueListing(partial(self._ask_all, name), clock) for name, kind in _CLASSES.items()}

    async def asset(self, instrument: Instrument) -> VenueAsset | None:
        """What Polygon says about an instrument; None when it does not list it, or as something else."""
        body = await self._body(instrument.venue_symbol(SPELLING), instrument.asset_class)
        if body is None or _CLASSES.get(body.market) is not instrument.asset_class or not body.active:
            return None
        return VenueAsset(body.ticker, instrument.asset_class, body.name, tradable=True, shortable=instrument.shortable)

    async def _body(self, spelling: str, asset_class: AssetClass) -> TickerBody | None:
        if self._at_once:
            return await self._lists[asset_class].get(spelling)
        try:
            return (await self._rest.get(f"/v3/reference/tickers/{quote(spelling, safe=':')}", TickerAnswer)).results
        except NotFound:
            return None

    async def _ask_all(self, market: str) -> dict[str, TickerBody]:
        params = {"market": market, "active": "true", "limit": _PAGE}
        pages = self._rest.pages("/v3/reference/tickers", TickerPage, params)
        return {body.ticker: body async for page in pages for body in page.results}
