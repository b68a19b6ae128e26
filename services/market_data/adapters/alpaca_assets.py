"""What Alpaca lists, from the trading API."""

from functools import partial
from urllib.parse import quote

import msgspec

from services.market_data.adapters.alpaca_key import SPELLING
from services.market_data.adapters.alpaca_rest import AlpacaRest
from services.market_data.adapters.venue_listing import VenueListing
from services.market_data.domain.registry import VenueAsset
from trading.clock import Clock
from trading.errors import NotFound
from trading.instruments import AssetClass, Instrument
from trading.money import parse_nanos

_CLASSES = {"us_equity": AssetClass.EQUITY, "crypto": AssetClass.CRYPTO}
Number = str | int | float | None


class AssetBody(msgspec.Struct, rename={"asset_class": "class"}):
    """An asset object; sizes come as text, as numbers, or not at all."""

    symbol: str
    asset_class: str = "us_equity"
    name: str | None = None
    status: str = "active"
    tradable: bool = False
    shortable: bool = False
    min_order_size: Number = None
    min_trade_increment: Number = None
    price_increment: Number = None


class AlpacaAssets:
    """Asks about one asset at a time, or about all `at_once` where many are wanted."""

    def __init__(self, rest: AlpacaRest, clock: Clock, *, at_once: bool = False) -> None:
        self._rest, self._at_once = rest, at_once
        self._lists = {kind: VenueListing(partial(self._ask_all, name), clock) for name, kind in _CLASSES.items()}

    async def asset(self, instrument: Instrument) -> VenueAsset | None:
        """What Alpaca says about an instrument; None when it does not list it, or as something else."""
        body = await self._body(instrument.venue_symbol(SPELLING), instrument.asset_class)
        if body is None or _CLASSES.get(body.asset_class) is not instrument.asset_class or body.status != "active":
            return None
        return _asset(body, instrument.asset_class)

    async def _body(self, spelling: str, asset_class: AssetClass) -> AssetBody | None:
        if self._at_once:
            return await self._lists[asset_class].get(spelling)
        try:
            return await self._rest.get(f"/v2/assets/{quote(spelling, safe='')}", AssetBody)
        except NotFound:
            return None

    async def _ask_all(self, asset_class: str) -> dict[str, AssetBody]:
        params = {"status": "active", "asset_class": asset_class}
        return {body.symbol: body for body in await self._rest.get("/v2/assets", list[AssetBody], params)}


def _asset(body: AssetBody, asset_class: AssetClass) -> VenueAsset:
    return VenueAsset(
        spelling=body.symbol,
        asset_class=asset_class,
        name=body.name or "",
        tradable=body.tradable,
        shortable=body.shortable,
        min_quantity_nanos=_nanos(body.min_order_size),
        lot_nanos=_nanos(body.min_trade_increment),
        tick_nanos=_nanos(body.price_increment),
    )


def _nanos(amount: Number) -> int | None:
    return None if amount is None else parse_nanos(amount)
