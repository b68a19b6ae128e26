"""Orders of other programs in the same venue account: adopted, so that what they trade is in our book too."""

from services.execution.domain.order import OrderTerms
from services.execution.domain.venue import VenueOrder, VenuePosition, VenueTerms
from trading.ids import AccountId, ClientOrderId, OrderId, hashed_id
from trading.instruments import Instrument
from trading.order import OrderType, Side, TimeInForce


def adopted_id(found: VenueOrder) -> OrderId:
    """The order id of a stranger's order: the same whenever it is found."""
    return OrderId(hashed_id("external order", found.venue_order_id))


def position_terms(
    found: VenuePosition, quantity_nanos: int, instrument: Instrument, account: AccountId, venue: str
) -> OrderTerms:
    """What an account held before we were, as one order that has traded at the position's mean cost."""
    order_id = OrderId(hashed_id("opening position", account, instrument.symbol))
    return OrderTerms(
        order_id=order_id,
        client_order_id=ClientOrderId(order_id),
        account=account,
        venue=venue,
        symbol=instrument.symbol,
        side=Side.BUY if quantity_nanos > 0 else Side.SELL,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        quantity_nanos=abs(quantity_nanos),
        currency=instrument.currency,
        external=True,
        venue_symbol=found.symbol,
    )


def adopted_terms(
    found: VenueOrder, asked: VenueTerms, instrument: Instrument, account: AccountId, venue: str
) -> OrderTerms:
    """What the stranger asked for, as an order of ours; under our own id where it once was ours and was forgotten."""
    order_id = found.order_id or adopted_id(found)
    return OrderTerms(
        order_id=order_id,
        client_order_id=ClientOrderId(order_id),
        account=account,
        venue=venue,
        symbol=instrument.symbol,
        side=asked.side,
        order_type=asked.order_type,
        time_in_force=asked.time_in_force,
        quantity_nanos=asked.quantity_nanos,
        price_nanos=asked.price_nanos,
        stop_price_nanos=asked.stop_price_nanos,
        currency=instrument.currency,
        external=True,
        venue_symbol=asked.symbol,
    )
