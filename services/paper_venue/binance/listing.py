"""Binance's names for what trades here: the coins only, with the filters that every order must pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.paper_venue.binance.errors import filter_failure, unknown_symbol
from services.paper_venue.binance.texts import decimal
from trading.instruments import AssetClass, Instrument
from trading.money import ONE, notional_nanos

VENUE = "binance"
QUOTE_ASSET = "USDT"
ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
_MOST_QUANTITY = 9_000 * ONE
_MOST_PRICE = 1_000_000 * ONE
_LEAST_NOTIONAL, _MOST_NOTIONAL = 5 * ONE, 9_000_000 * ONE
_MOST_ORDERS, _MOST_STOPS = 200, 5
_LEAST_DELTA, _MOST_DELTA = 10, 2_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One symbol of this protocol; `index` is its place in the market's ticks."""

    name: str
    instrument: Instrument
    index: int

    @property
    def symbol(self) -> str:
        """The canonical symbol."""
        return self.instrument.symbol

    @property
    def base_asset(self) -> str:
        return self.name.removesuffix(QUOTE_ASSET)

    @property
    def most_quantity(self) -> int:
        return min(_MOST_QUANTITY, self.instrument.max_quantity_nanos)

    def check_price(self, price: int) -> None:
        """Refuse a price beyond PRICE_FILTER."""
        tick = self.instrument.tick_nanos
        if not tick <= price <= _MOST_PRICE or price % tick:
            raise filter_failure("PRICE_FILTER")

    def check_quantity(self, quantity: int) -> None:
        """Refuse a quantity beyond LOT_SIZE."""
        lot = self.instrument.lot_nanos
        if not lot <= quantity <= self.most_quantity or quantity % lot:
            raise filter_failure("LOT_SIZE")

    def check_notional(self, price: int, quantity: int, market: bool) -> None:
        """Refuse a value beyond NOTIONAL; its upper bound is not for orders to MARKET."""
        self.check_value(notional_nanos(price, quantity), market)

    def check_value(self, value: int, market: bool) -> None:
        """Refuse a sum of money beyond NOTIONAL."""
        if value < _LEAST_NOTIONAL or (value > _MOST_NOTIONAL and not market):
            raise filter_failure("NOTIONAL")

    def check_trailing_delta(self, delta: int) -> None:
        """Refuse a distance in basis points beyond TRAILING_DELTA."""
        if not _LEAST_DELTA <= delta <= _MOST_DELTA:
            raise filter_failure("TRAILING_DELTA")

    def check_count(self, open_orders: int, open_stops: int, stop: bool) -> None:
        """Refuse one more order than MAX_NUM_ORDERS or MAX_NUM_ALGO_ORDERS allow."""
        if open_orders >= _MOST_ORDERS:
            raise filter_failure("MAX_NUM_ORDERS")
        if stop and open_stops >= _MOST_STOPS:
            raise filter_failure("MAX_NUM_ALGO_ORDERS")

    def filters(self) -> list[dict[str, object]]:
        """The same bounds as exchangeInfo states them."""
        tick, lot = decimal(self.instrument.tick_nanos), decimal(self.instrument.lot_nanos)
        most = decimal(self.most_quantity)
        return [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": decimal(_MOST_PRICE), "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
            {
                "filterType": "NOTIONAL",
                "minNotional": decimal(_LEAST_NOTIONAL),
                "applyMinToMarket": True,
                "maxNotional": decimal(_MOST_NOTIONAL),
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
            {
                "filterType": "TRAILING_DELTA",
                "minTrailingAboveDelta": _LEAST_DELTA,
                "maxTrailingAboveDelta": _MOST_DELTA,
                "minTrailingBelowDelta": _LEAST_DELTA,
                "maxTrailingBelowDelta": _MOST_DELTA,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": _MOST_ORDERS},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": _MOST_STOPS},
        ]

    def info(self, is_halted: bool) -> dict[str, object]:
        """The symbol in exchangeInfo."""
        return {
            "symbol": self.name,
            "status": "HALT" if is_halted else "TRADING" if self.instrument.tradable else "BREAK",
            "baseAsset": self.base_asset,
            "baseAssetPrecision": 8,
            "quoteAsset": QUOTE_ASSET,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": True,
            "otoAllowed": True,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }


class Listing:
    """The pairs that this protocol offers."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.pairs = tuple(
            Pair(instrument.venue_symbol(VENUE), instrument, index)
            for index, instrument in enumerate(instruments)
            if instrument.asset_class is AssetClass.CRYPTO
        )
        self._by_name = {pair.name: pair for pair in self.pairs}
        self._by_symbol = {pair.symbol: pair for pair in self.pairs}

    def find(self, name: str) -> Pair:
        """By Binance's own spelling, in capitals; raises ApiError −1121."""
        pair = self._by_name.get(name)
        if pair is None:
            raise unknown_symbol()
        return pair

    def find_stream(self, name: str) -> Pair | None:
        """By the lower-case spelling of stream names."""
        return self._by_name.get(name.upper()) if name == name.lower() else None

    def of_symbol(self, symbol: str) -> Pair | None:
        """By canonical symbol; None for what is not offered on this protocol."""
        return self._by_symbol.get(symbol)
