"""Whether an order can be an order of its instrument: tradable, in a market that trades, on its grids."""

from services.execution.domain.order import Denial
from services.execution.domain.risk.trial import Intent, Situation, denial
from trading.instruments import AssetClass, Instrument
from trading.money import ONE
from trading.order import Side

_FINE_TICK_NANOS = 100_000
_PINNED = {Side.BUY: "LIMIT_UP", Side.SELL: "LIMIT_DOWN"}


def check_tradable(intent: Intent, situation: Situation) -> Denial | None:
    """The venue takes orders for the instrument."""
    if intent.instrument.tradable:
        return None
    return Denial("NOT_TRADABLE", f"{intent.instrument.symbol} is not tradable.")


def check_session(intent: Intent, situation: Situation) -> Denial | None:
    """The market is not halted, and no price band pins the side that the order trades against."""
    symbol, session = intent.instrument.symbol, intent.session
    if session == "HALTED":
        return Denial("INSTRUMENT_HALTED", f"The venue has halted {symbol}.")
    if session == _PINNED[intent.terms.side]:
        return Denial(session, f"{symbol} stands at its price band: nobody trades against a {intent.terms.side}.")
    return None


def check_quantity(intent: Intent, situation: Situation) -> Denial | None:
    """The quantity lies on the lot grid, between the smallest and the largest order."""
    quantity, instrument = intent.terms.quantity_nanos, intent.instrument
    if quantity < instrument.min_quantity_nanos:
        return denial(
            "MIN_QUANTITY", "Quantity is below the minimum.", quantity=quantity, min=instrument.min_quantity_nanos
        )
    if quantity > instrument.max_quantity_nanos:
        return denial(
            "MAX_QUANTITY", "Quantity is above the maximum.", quantity=quantity, max=instrument.max_quantity_nanos
        )
    if quantity % instrument.lot_nanos:
        return denial("LOT_SIZE", "Quantity is no multiple of the lot.", quantity=quantity, lot=instrument.lot_nanos)
    return None


def check_tick(intent: Intent, situation: Situation) -> Denial | None:
    """Every price lies on the tick grid."""
    for price in _prices(intent):
        if price is not None and price % (tick := tick_at(intent.instrument, price)):
            return denial("TICK_SIZE", "Price is no multiple of the tick.", price=price, tick=tick)
    return None


def tick_at(instrument: Instrument, price_nanos: int) -> int:
    """The price step at a price: US shares below a dollar trade in hundredths of a cent."""
    if instrument.asset_class is AssetClass.EQUITY and price_nanos < ONE:
        return min(instrument.tick_nanos, _FINE_TICK_NANOS)
    return instrument.tick_nanos


def _prices(intent: Intent) -> tuple[int | None, ...]:
    terms = intent.terms
    return (
        terms.price_nanos,
        terms.stop_price_nanos,
        terms.trail_nanos,
        terms.take_profit_nanos,
        terms.stop_loss_nanos,
    )
