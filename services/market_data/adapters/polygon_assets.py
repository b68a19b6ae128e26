"""What Polygon lists, from its reference data."""

from urllib.parse import quote

import msgspec

from services.market_data.adapters.polygon_rest import SPELLING, PolygonRest
from services.market_data.domain.registry import VenueAsset
from trading.errors import NotFound
from trading.instruments import AssetClass, Instrument

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


class PolygonAssets:
    """Asks about one ticker at a time."""

    def __init__(self, rest: PolygonRest) -> None:
        self._rest = rest

    async def asset(self, instrument: Instrument) -> VenueAsset | None:
        """What Polygon says about an instrument; None when it does not list it, or as something else."""
        spelling = instrument.venue_symbol(SPELLING)
        try:
            body = (await self._rest.get(f"/v3/reference/tickers/{quote(spelling, safe=':')}", TickerAnswer)).results
        except NotFound:
            return None
        if _CLASSES.get(body.market) is not instrument.asset_class or not body.active:
            return None
        return VenueAsset(body.ticker, instrument.asset_class, body.name, tradable=True, shortable=instrument.shortable)
