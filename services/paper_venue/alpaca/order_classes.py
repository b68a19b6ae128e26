"""What Alpaca asks of bracket, oco and oto orders beyond what it asks of each order by itself."""

from services.paper_venue.alpaca.errors import FIELD, UNPROCESSABLE, ApiError
from services.paper_venue.domain.groups import GroupRequest
from services.paper_venue.domain.orders import GroupKind, OrderRequest
from services.paper_venue.domain.touch import Touch
from trading.instruments import CENT, AssetClass, Instrument
from trading.money import format_nanos
from trading.order import OrderType


def check_group(group: GroupRequest, instrument: Instrument, touch: Touch) -> None:
    """Refuse coins, and exits that lie on the wrong side of where the entry is expected; raises ApiError 422."""
    first = group.orders[0]
    if instrument.asset_class is AssetClass.CRYPTO:
        raise ApiError(422, UNPROCESSABLE, f"crypto orders not allowed for order_class {group.kind.value.lower()}")
    exits = group.orders if group.kind is GroupKind.OCO else group.orders[1:]
    profit = next((each.limit_nanos for each in exits if each.order_type is OrderType.LIMIT), None)
    loss = next((each.stop_nanos for each in exits if each.stop_nanos is not None), None)
    sign = exits[0].side.sign
    if profit is not None and loss is not None and sign * (loss - profit) <= 0:
        raise ApiError(422, FIELD, "take_profit.limit_price must be better than stop_loss.stop_price")
    base = _base(first, touch) if group.has_entry else 0
    if base:
        _check_side("take_profit.limit_price", profit, base, -sign)
        _check_side("stop_loss.stop_price", loss, base, sign)


def _base(entry: OrderRequest, touch: Touch) -> int:
    """Where the entry is expected to fill: at its limit or stop, else at the touch; 0 when nobody knows."""
    return entry.limit_nanos or entry.stop_nanos or touch.opposite(entry.side)[0]


def _check_side(name: str, price: int | None, base: int, sign: int) -> None:
    """Refuse a price that is not at least a cent above (`sign` 1) or below (−1) the base."""
    if price is not None and sign * (price - base) < CENT:
        way = ">= base_price + 0.01" if sign > 0 else "<= base_price - 0.01"
        raise ApiError(422, UNPROCESSABLE, f"{name} must be {way}", base_price=format_nanos(base))
