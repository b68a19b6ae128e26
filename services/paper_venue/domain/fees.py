"""What the exchange charges for a fill: a share of what the customer receives."""

from dataclasses import dataclass

from services.paper_venue.domain.orders import Execution, Order
from trading.instruments import AssetClass, Instrument
from trading.money import divide_half_even, notional_nanos
from trading.order import Side

_BASIS_POINT = 10_000
_COIN_STEP = 10  # coins and what they are paid in are charged in eight decimals


@dataclass(frozen=True, slots=True)
class FeeRules:
    """Hundredths of a percent, for who rested in the book and for who took from it."""

    maker_bps: int = 0
    taker_bps: int = 0


@dataclass(frozen=True, slots=True)
class Fee:
    """An amount in nanos: of money, or `in_units` of the instrument."""

    nanos: int = 0
    in_units: bool = False


FREE = Fee()


def fee_of(rules: FeeRules, order: Order, execution: Execution, instrument: Instrument) -> Fee:
    """The fee of one fill: who buys coins pays in coins, everybody else in money."""
    bps = rules.maker_bps if execution.is_maker else rules.taker_bps
    if not bps:
        return FREE
    if instrument.asset_class is not AssetClass.CRYPTO:
        value = notional_nanos(execution.price_nanos, execution.quantity_nanos)
        return Fee(divide_half_even(value * bps, _BASIS_POINT))
    in_units = order.side is Side.BUY
    received = execution.quantity_nanos
    if not in_units:
        received = notional_nanos(execution.price_nanos, execution.quantity_nanos)
    return Fee(received * bps // _BASIS_POINT // _COIN_STEP * _COIN_STEP, in_units)
