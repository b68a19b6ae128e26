"""What Binance lists, from one answer about everything that is kept for a minute."""

import msgspec

from services.market_data.adapters.binance_rest import SPELLING, BinanceRest
from services.market_data.adapters.venue_listing import VenueListing
from services.market_data.domain.registry import VenueAsset
from trading.clock import Clock
from trading.instruments import AssetClass, Instrument
from trading.money import parse_nanos


class FilterBody(
    msgspec.Struct, rename={"kind": "filterType", "tick": "tickSize", "step": "stepSize", "least": "minQty"}
):
    """A rule for orders; only prices and lots say anything here."""

    kind: str
    tick: str = ""
    step: str = ""
    least: str = ""


class PairBody(msgspec.Struct, rename={"base": "baseAsset", "quote": "quoteAsset"}):
    """One symbol."""

    symbol: str
    status: str = "TRADING"
    base: str = ""
    quote: str = ""
    filters: list[FilterBody] = []


class InfoBody(msgspec.Struct):
    """The answer to exchangeInfo."""

    symbols: list[PairBody]


class BinanceAssets:
    """Looks pairs up; shares are not listed here."""

    def __init__(self, rest: BinanceRest, clock: Clock) -> None:
        self._rest = rest
        self._pairs = VenueListing(self._ask, clock)

    async def asset(self, instrument: Instrument) -> VenueAsset | None:
        """What Binance says about an instrument; None when it does not list it."""
        if instrument.asset_class is not AssetClass.CRYPTO:
            return None
        pair = await self._pairs.get(instrument.venue_symbol(SPELLING))
        return None if pair is None else _asset(pair)

    async def _ask(self) -> dict[str, PairBody]:
        info = await self._rest.get("/api/v3/exchangeInfo", InfoBody)
        return {pair.symbol: pair for pair in info.symbols}


def _asset(pair: PairBody) -> VenueAsset:
    rules = {rule.kind: rule for rule in pair.filters}
    prices, lots = rules.get("PRICE_FILTER"), rules.get("LOT_SIZE")
    return VenueAsset(
        spelling=pair.symbol,
        asset_class=AssetClass.CRYPTO,
        name="",
        tradable=pair.status == "TRADING",
        shortable=False,
        min_quantity_nanos=_nanos(lots.least) if lots else None,
        lot_nanos=_nanos(lots.step) if lots else None,
        tick_nanos=_nanos(prices.tick) if prices else None,
    )


def _nanos(text: str) -> int | None:
    """A step in nanos; Binance writes 0 for a rule that does not bind."""
    return (parse_nanos(text) or None) if text else None
