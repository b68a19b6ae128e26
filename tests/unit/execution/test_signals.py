"""From a signal to the order that follows it."""

from dataclasses import replace

import pytest
from builders.orders import AAPL, MAIN

from services.execution.domain.limits import SignalTrading
from services.execution.domain.request import OrderRequest
from services.execution.domain.signals import Signal, SignalSide, is_wanted, order_for
from trading.instruments import crypto
from trading.money import ONE
from trading.order import OrderType, Side, TimeInForce

SWITCH = SignalTrading(enabled=True, notional_nanos=1_000 * ONE, min_confidence=0.6, account=MAIN)
SIGNAL = Signal("s-1", "AAPL", SignalSide.BUY, 1.0, 0.7, "m", expires_ns=100, tick_receive_time_ns=1)
BTC = crypto("BTC")


def test_a_fresh_and_sure_signal_is_wanted() -> None:
    """While the switch is on."""
    assert is_wanted(SIGNAL, SWITCH, 99)
    assert not is_wanted(SIGNAL, replace(SWITCH, enabled=False), 99)


@pytest.mark.parametrize(
    ("signal", "switch", "now_ns"),
    [
        (SIGNAL, SWITCH, 100),
        (replace(SIGNAL, confidence=0.59), SWITCH, 0),
        (replace(SIGNAL, stale=True), SWITCH, 0),
        (SIGNAL, replace(SWITCH, models=("other",)), 0),
    ],
)
def test_other_signals_are_ignored(signal: Signal, switch: SignalTrading, now_ns: int) -> None:
    """Expired, unsure, stale, or of a model that is not traded."""
    assert not is_wanted(signal, switch, now_ns)


def test_a_signal_becomes_a_market_order_at_once_or_never() -> None:
    """Ten shares of a hundred are the whole notional; its id is the order's."""
    assert order_for(SIGNAL, SWITCH, AAPL, 100 * ONE, 0) == OrderRequest(
        symbol="AAPL",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity_nanos=10 * ONE,
        time_in_force=TimeInForce.IOC,
        account=MAIN,
        client_order_id="s-1",
    )


@pytest.mark.parametrize(
    ("side", "strength", "expected", "ordered"),
    [
        (SignalSide.BUY, 0.5, 0, 5),
        (SignalSide.BUY, 1.0, 4, 6),
        (SignalSide.BUY, 0.5, 10, -5),
        (SignalSide.BUY, 7.0, 0, 10),
        (SignalSide.BUY, -1.0, 0, 0),
        (SignalSide.SELL, 1.0, 0, -10),
        (SignalSide.SELL, 1.0, 10, -20),
        (SignalSide.FLAT, 1.0, 7, -7),
        (SignalSide.FLAT, 1.0, -7, 7),
        (SignalSide.FLAT, 1.0, 0, 0),
        (SignalSide.BUY, 1.0, 10, 0),
    ],
)
def test_the_order_leads_from_what_is_expected_to_the_target(
    side: SignalSide, strength: float, expected: int, ordered: int
) -> None:
    """Positive buys, negative sells, nothing when it is there already."""
    order = order_for(replace(SIGNAL, side=side, strength=strength), SWITCH, AAPL, 100 * ONE, expected * ONE)
    assert (order.side.sign * order.quantity_nanos if order else 0) == ordered * ONE


def test_the_target_is_rounded_down_to_lots() -> None:
    """A third of a share does not exist where the lot is one."""
    whole = replace(AAPL, lot_nanos=ONE, min_quantity_nanos=ONE)
    order = order_for(SIGNAL, SWITCH, whole, 300 * ONE, 0)
    assert order is not None
    assert order.quantity_nanos == 3 * ONE


def test_a_coin_is_sold_to_nothing_and_no_further() -> None:
    """There are no short coins."""
    order = order_for(replace(SIGNAL, side=SignalSide.SELL), SWITCH, BTC, 100 * ONE, 3 * ONE)
    assert order is not None
    assert (order.side, order.quantity_nanos) == (Side.SELL, 3 * ONE)


def test_a_moved_price_alone_is_no_reason_to_trade() -> None:
    """Less than a hundredth of the target."""
    assert order_for(SIGNAL, SWITCH, AAPL, 100 * ONE, 10 * ONE + ONE // 20) is None


def test_without_a_quote_the_models_price_counts() -> None:
    """And without either nothing is traded, least of all what is held."""
    priced = replace(SIGNAL, price_nanos=200 * ONE)
    order = order_for(priced, SWITCH, AAPL, 0, 0)
    assert order is not None
    assert order.quantity_nanos == 5 * ONE
    assert order_for(SIGNAL, SWITCH, AAPL, 0, 10 * ONE) is None


def test_an_order_is_no_larger_than_the_instrument_allows() -> None:
    """The rest comes with the next signal."""
    small = replace(AAPL, max_quantity_nanos=2 * ONE)
    order = order_for(SIGNAL, SWITCH, small, 100 * ONE, 0)
    assert order is not None
    assert order.quantity_nanos == 2 * ONE


def test_flat_needs_no_price() -> None:
    """Nothing times anything is nothing."""
    order = order_for(replace(SIGNAL, side=SignalSide.FLAT), SWITCH, AAPL, 0, 3 * ONE)
    assert order is not None
    assert order.quantity_nanos == 3 * ONE
