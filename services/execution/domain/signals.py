"""From a signal to the order that moves the position to its target."""

from dataclasses import dataclass
from enum import StrEnum

from services.execution.domain.limits import SignalTrading
from services.execution.domain.request import OrderRequest
from trading.instruments import Instrument
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce


class SignalSide(StrEnum):
    """Which way a signal points."""

    BUY = "BUY"
    SELL = "SELL"
    FLAT = "FLAT"


@dataclass(frozen=True, slots=True)
class Signal:
    """A wish for a target position; `strength` is the share of the notional to hold, times in ns UTC."""

    id: str
    symbol: str
    side: SignalSide
    strength: float
    confidence: float
    model: str
    expires_ns: int
    tick_receive_time_ns: int
    price_nanos: int = 0
    stale: bool = False


def is_wanted(signal: Signal, switch: SignalTrading, now_ns: int) -> bool:
    """The signal is fresh, sure enough, and from a model that is traded."""
    return (
        switch.enabled
        and not signal.stale
        and now_ns < signal.expires_ns
        and signal.confidence >= switch.min_confidence
        and (not switch.models or signal.model in switch.models)
    )


def target_nanos(signal: Signal, switch: SignalTrading, instrument: Instrument, price_nanos: int) -> int:
    """The signed position the signal wants: ±strength × notional ÷ price, rounded down to lots; no shorts of coins."""
    if signal.side is SignalSide.FLAT:
        return 0
    strength = round(min(max(signal.strength, 0.0), 1.0) * _STRENGTH_SCALE)
    quantity = strength * switch.notional_nanos * ONE // (price_nanos * _STRENGTH_SCALE)
    quantity -= quantity % instrument.lot_nanos
    if signal.side is SignalSide.BUY:
        return quantity
    return -quantity if instrument.shortable else 0


def order_for(
    signal: Signal, switch: SignalTrading, instrument: Instrument, mid_nanos: int, expected: int
) -> OrderRequest | None:
    """The MARKET IOC order from the `expected` position (working orders included) to the signal's target.

    `mid_nanos` is the newest price, 0 when there is none: then the price that the model saw counts. None when
    no price is known, or when the position is as good as there.
    """
    price = mid_nanos or signal.price_nanos
    if price <= 0 and signal.side is not SignalSide.FLAT:
        return None
    target = target_nanos(signal, switch, instrument, price)
    difference = target - expected
    quantity = abs(difference) - abs(difference) % instrument.lot_nanos
    if quantity < instrument.min_quantity_nanos or quantity * _DEAD_BAND < abs(target):
        return None
    return OrderRequest(
        symbol=instrument.symbol,
        side=Side.BUY if difference > 0 else Side.SELL,
        order_type=OrderType.MARKET,
        quantity_nanos=min(quantity, instrument.max_quantity_nanos),
        time_in_force=TimeInForce.IOC,
        account=switch.account,
        client_order_id=signal.id,
    )


_STRENGTH_SCALE = 1_000_000
_DEAD_BAND = 100
"""A change below 1/100 of the target is only the price having moved, not the signal."""
