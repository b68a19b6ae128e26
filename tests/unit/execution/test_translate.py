"""Between the words of the trade and the messages of execution."""

from dataclasses import replace
from typing import Any

import pytest
from builders.orders import MAIN, an_order, event, execution, life, terms
from google.protobuf.message import Message

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.inference.v1 import inference_pb2
from services.execution.domain.change import Change
from services.execution.domain.comparison import Comparison
from services.execution.domain.fill import LoggedFill
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.domain.order import INITIALIZED, Denial, Order, OrderEvent, apply, fold
from services.execution.domain.position import Position
from services.execution.domain.request import OrderRequest
from services.execution.domain.signals import SignalSide
from services.execution.domain.statement import Statement
from services.execution.domain.submission import Timings
from services.execution.ports.controls import AuditEntry, AuditQuery
from services.execution.translate import controls, events, orders, reports, requests, signals
from services.execution.usecases.submit import Patience, Wait
from trading.errors import InvalidArgument, UnknownSymbol
from trading.ids import AccountId, OrderId, VenueOrderId
from trading.money import ONE
from trading.order import (
    Liquidity,
    OrderEventKind,
    OrderRole,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TradingState,
)


def a_submit(**changes: Any) -> rpc.SubmitOrderRequest:
    """A market order to buy one AAPL."""
    given = {"symbol": "AAPL", "side": pb.SIDE_BUY, "order_type": pb.ORDER_TYPE_MARKET, "quantity_nanos": ONE}
    return rpc.SubmitOrderRequest(**{**given, **changes})


def test_a_request_is_taken_word_for_word() -> None:
    """Absent prices stay absent, zero ones stay zero."""
    assert requests.order_request(a_submit()) == OrderRequest(
        "AAPL", Side.BUY, OrderType.MARKET, ONE, account=AccountId("")
    )
    full = a_submit(
        side=pb.SIDE_SELL,
        order_type=pb.ORDER_TYPE_STOP,
        price_nanos=0,
        stop_price_nanos=5,
        time_in_force=pb.TIME_IN_FORCE_FOK,
        account="a",
        client_order_id="c",
        client_timestamp_ns=7,
    )
    assert requests.order_request(full) == OrderRequest(
        "AAPL", Side.SELL, OrderType.STOP, ONE, 0, 5, TimeInForce.FOK, AccountId("a"), "c", 7
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"side": 0}, "side"),
        ({"side": 9}, "side"),
        ({"order_type": 0}, "order_type"),
        ({"order_type": 99}, "order_type"),
        ({"time_in_force": 99}, "time_in_force"),
    ],
)
def test_a_number_that_means_nothing_is_named(change: dict[str, int], field: str) -> None:
    """With what was expected."""
    with pytest.raises(InvalidArgument) as refusal:
        requests.order_request(a_submit(**change))
    assert refusal.value.metadata["field"] == field


@pytest.mark.parametrize(
    ("change", "patience"),
    [
        ({}, Patience(None, 2.0)),
        ({"wait": pb.WAIT_NONE}, Patience(Wait.NONE, 2.0)),
        ({"wait": pb.WAIT_ACCEPTED, "wait_ms": 1}, Patience(Wait.ACCEPTED, 0.001)),
        ({"wait": pb.WAIT_TERMINAL, "wait_ms": 10_000}, Patience(Wait.TERMINAL, 10.0)),
    ],
)
def test_patience_has_a_default_and_a_cap(change: dict[str, int], patience: Patience) -> None:
    """Two seconds, ten at most."""
    assert requests.patience(a_submit(**change)) == patience


@pytest.mark.parametrize("change", [{"wait_ms": -1}, {"wait_ms": 10_001}, {"wait": 99}])
def test_patience_beyond_the_cap_is_refused(change: dict[str, int]) -> None:
    """And so is a wait that means nothing."""
    with pytest.raises(InvalidArgument):
        requests.patience(a_submit(**change))


def test_an_order_is_told_whole() -> None:
    """Every field has its place."""
    order = an_order(
        OrderEventKind.SUBMITTED,
        order_type=OrderType.LIMIT,
        price_nanos=2 * ONE,
        client_timestamp_ns=7,
        time_in_force=TimeInForce.GTC,
    )
    order = apply(order, event(order, OrderEventKind.ACCEPTED, venue_order_id=VenueOrderId("v")))
    order = apply(order, event(order, OrderEventKind.FILL, execution=execution(3, 2)))
    told = orders.order(order, Timings(6, 1, 2))
    assert (told.order_id, told.client_order_id, told.venue_order_id) == (order.order_id, order.order_id, "v")
    assert (told.side, told.order_type, told.time_in_force) == (
        pb.SIDE_BUY,
        pb.ORDER_TYPE_LIMIT,
        pb.TIME_IN_FORCE_GTC,
    )
    assert (told.price_nanos, told.HasField("stop_price_nanos"), told.client_timestamp_ns) == (2 * ONE, False, 7)
    assert (told.status, told.filled_quantity_nanos, told.avg_price_nanos, told.version) == (
        pb.ORDER_STATUS_PARTIALLY_FILLED,
        3 * ONE,
        2 * ONE,
        4,
    )
    assert (told.total_latency_ns, told.validation_time_ns, told.execution_time_ns) == (6, 1, 2)
    assert not told.HasField("denial")


def test_a_denial_is_told_with_its_numbers() -> None:
    """Code, message, limits."""
    order = an_order()
    denied = apply(order, event(order, OrderEventKind.DENIED, denial=Denial("X", "no", {"limit": "1"})))
    told = orders.order(denied).denial
    assert (told.code, told.message, dict(told.limits)) == ("X", "no", {"limit": "1"})


@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_state_has_its_number(status: OrderStatus) -> None:
    """And its way back."""
    told = orders.order(replace(an_order(), status=status))
    assert pb.OrderStatus.Name(told.status) == f"ORDER_STATUS_{status}"
    assert requests.statuses([told.status]) == {status}


@pytest.mark.parametrize("kind", [INITIALIZED, *OrderEventKind])
def test_every_event_has_its_number(kind: Any) -> None:
    """The creation too."""
    order = an_order()
    told = events.order_event(7, replace(event(order, OrderEventKind.SUBMITTED), kind=kind), order)
    assert pb.OrderEventKind.Name(told.kind) == f"ORDER_EVENT_KIND_{kind}"
    assert told.log_sequence == 7


def test_a_fills_event_carries_the_fill() -> None:
    """As it is listed, too."""
    lived = life(OrderEventKind.SUBMITTED, OrderEventKind.FILL, of=terms(side=Side.SELL))
    after = fold(lived)
    told = pb.OrderEvent.FromString(events.order_event_bytes(3, lived[-1], after))
    trade = lived[-1].execution
    assert trade is not None
    assert told.fill == pb.Fill(
        event_id=lived[-1].event_id,
        order_id=after.order_id,
        execution_id=trade.execution_id,
        account="main",
        symbol="AAPL",
        side=pb.SIDE_SELL,
        price_nanos=trade.price_nanos,
        quantity_nanos=trade.quantity_nanos,
        currency="USD",
        event_time_ns=lived[-1].event_time_ns,
        log_sequence=3,
    )
    assert not events.order_event(2, lived[1], after).HasField("fill")


@pytest.mark.parametrize(
    "limits",
    [
        RiskLimits(MAIN),
        RiskLimits(MAIN, 1, 2, 3, 4, 0.5, 6, 7, 8, 9),
        RiskLimits(MAIN, max_open_orders=0, price_collar=0.0),
        RiskLimits(MAIN, 1, 2, 3, 4, 0.5, 6, 7, 8, 9, 10, 11, 12, refuse_self_trades=True, updated_time_ns=13),
        RiskLimits(MAIN, duplicate_window_ns=0, refuse_self_trades=False),
    ],
)
def test_limits_survive_the_wire(limits: RiskLimits) -> None:
    """Absent is not zero."""
    assert controls.limits(controls.limits_message(limits)) == limits


def test_the_signal_switch_survives_the_wire() -> None:
    """And an empty account is main."""
    switch = SignalTrading(enabled=True, notional_nanos=5, min_confidence=0.5, account=MAIN, models=("m",))
    assert controls.signal_trading(controls.signal_trading_message(switch)) == switch
    assert controls.signal_trading(pb.SignalTrading(notional_nanos=5)).account == MAIN


@pytest.mark.parametrize("state", list(TradingState))
def test_the_kill_switch_survives_the_wire(state: TradingState) -> None:
    """All three positions; none is a fourth."""
    assert controls.trading_state(controls.trading_state_value(state)) is state
    with pytest.raises(InvalidArgument):
        controls.trading_state(0)


def test_an_error_of_the_stream_carries_its_facts() -> None:
    """As text."""
    told = orders.stream_error(UnknownSymbol("no", symbol="X", count=1))
    assert (told.code, told.reason, told.message) == ("NOT_FOUND", "UNKNOWN_SYMBOL", "no")
    assert dict(told.metadata) == {"symbol": "X", "count": "1"}


def a_signal(**changes: Any) -> inference_pb2.Signal:
    given = {"id": "s", "symbol": "AAPL", "side": inference_pb2.SIGNAL_SIDE_SELL, "strength": 0.5, "confidence": 0.75}
    return inference_pb2.Signal(**{**given, **changes})


def test_a_signal_is_read() -> None:
    """As inference published it."""
    read = signals.signal(a_signal(model="m", expires_ns=2, tick_receive_time_ns=1, stale=True).SerializeToString())
    assert (read.id, read.side, read.strength, read.confidence) == ("s", SignalSide.SELL, 0.5, 0.75)
    assert (read.model, read.expires_ns, read.tick_receive_time_ns, read.stale) == ("m", 2, 1, True)


@pytest.mark.parametrize("message", [a_signal(side=0), a_signal(side=9), None])
def test_what_is_no_signal_is_refused(message: Message | None) -> None:
    """No side, an unknown side, or no message at all."""
    with pytest.raises(InvalidArgument):
        signals.signal(b"\xff" if message is None else message.SerializeToString())


def test_a_request_of_every_kind_is_taken_word_for_word() -> None:
    """Trails, ends, flags and legs."""
    asked = a_submit(
        order_type=pb.ORDER_TYPE_TRAILING_STOP,
        time_in_force=pb.TIME_IN_FORCE_GTD,
        expire_time_ns=1,
        trail_nanos=2,
        trail_bps=3,
        reduce_only=True,
        post_only=True,
        take_profit_nanos=4,
        stop_loss_nanos=5,
    )
    read = requests.order_request(asked)
    assert (read.order_type, read.time_in_force, read.expire_time_ns) == (OrderType.TRAILING_STOP, TimeInForce.GTD, 1)
    assert (read.trail_nanos, read.trail_bps, read.reduce_only, read.post_only) == (2, 3, True, True)
    assert (read.take_profit_nanos, read.stop_loss_nanos) == (4, 5)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (rpc.ModifyOrderRequest(quantity_nanos=1, price_nanos=2, stop_price_nanos=3), Change(1, 2, 3)),
        (rpc.ModifyOrderRequest(price_nanos=0), Change(None, 0, None)),
        (rpc.ModifyOrderRequest(order_id="o"), Change()),
    ],
)
def test_a_change_names_what_it_changes(message: rpc.ModifyOrderRequest, change: Change) -> None:
    """Absent is not zero."""
    assert requests.change(message) == change


def test_an_order_of_every_kind_is_told_whole() -> None:
    """A leg that was adopted, trails, and slipped by one."""
    order = an_order(
        OrderEventKind.SUBMITTED,
        OrderEventKind.FILL,
        expire_time_ns=1,
        trail_nanos=2,
        trail_bps=3,
        reduce_only=True,
        post_only=True,
        parent_order_id=OrderId("parent"),
        role=OrderRole.STOP_LOSS,
        external=True,
        arrival_price_nanos=99 * ONE,
    )
    told = orders.order(order)
    assert (told.expire_time_ns, told.trail_nanos, told.trail_bps) == (1, 2, 3)
    assert (told.reduce_only, told.post_only, told.external) == (True, True, True)
    assert (told.parent_order_id, told.role) == ("parent", pb.ORDER_ROLE_STOP_LOSS)
    assert (told.arrival_price_nanos, told.slippage_nanos) == (99 * ONE, ONE)
    plain = orders.order(an_order())
    assert (plain.parent_order_id, plain.role, plain.replacements) == ("", pb.ORDER_ROLE_UNSPECIFIED, 0)
    absent = ("expire_time_ns", "trail_nanos", "trail_bps", "arrival_price_nanos", "slippage_nanos")
    assert not any(plain.HasField(name) for name in absent)


@pytest.mark.parametrize(
    ("liquidity", "told"),
    [(None, pb.LIQUIDITY_UNSPECIFIED), (Liquidity.MAKER, pb.LIQUIDITY_MAKER), (Liquidity.TAKER, pb.LIQUIDITY_TAKER)],
)
def test_a_trade_tells_who_made_its_price(liquidity: Liquidity | None, told: int) -> None:
    """And the middle of the market then, where anybody knew."""
    lived = life(OrderEventKind.SUBMITTED)
    trade = execution(fee_nanos=5, mid_nanos=7, liquidity=liquidity)
    filled = event(fold(lived), OrderEventKind.FILL, execution=trade)
    message = events.order_event(1, filled, apply(fold(lived), filled)).fill
    assert (message.fee_nanos, message.mid_nanos, message.liquidity) == (5, 7, told)
    plain = events.order_event(1, *_last(life(OrderEventKind.SUBMITTED, OrderEventKind.FILL))).fill
    assert not plain.HasField("mid_nanos")


def test_a_trail_is_asked_for_with_one_entry_more_than_a_page() -> None:
    """To know whether there are more."""
    assert requests.audit_query(rpc.ListAuditRequest()) == AuditQuery(101)
    asked = rpc.ListAuditRequest(page_size=7, account="main", subject="risk_limits", before_id=9)
    assert requests.audit_query(asked) == AuditQuery(8, "main", "risk_limits", 9)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (rpc.ListAuditRequest(page_size=-1), "page_size"),
        (rpc.ListAuditRequest(page_size=1_001), "page_size"),
        (rpc.ListAuditRequest(before_id=-1), "before_id"),
    ],
)
def test_a_trail_out_of_range_is_refused(message: rpc.ListAuditRequest, field: str) -> None:
    """By name."""
    with pytest.raises(InvalidArgument) as refusal:
        requests.audit_query(message)
    assert refusal.value.metadata["field"] == field


def test_an_entry_of_the_trail_is_told() -> None:
    """Who, what, when, why."""
    told = reports.audit_entry(AuditEntry(1, "risk_limits", "main", "{}", "me", "why", 2))
    assert told == pb.AuditEntry(
        id=1, subject="risk_limits", account="main", value="{}", actor="me", reason="why", time_ns=2
    )


def test_a_day_is_told_whole() -> None:
    """Its money, its trades, what is held at its end."""
    filled, after = _last(life(OrderEventKind.SUBMITTED, OrderEventKind.FILL))
    assert filled.execution is not None
    terms_of = after.terms
    trade = LoggedFill(
        3, filled.event_id, terms_of.order_id, MAIN, "AAPL", Side.BUY, "USD", filled.event_time_ns, filled.execution
    )
    day = Statement("main", "paper", "USD", 20_513, 5, 4, 3, 2, [trade], {"AAPL": Position().after(2 * ONE, 7 * ONE)})
    assert reports.statement(day) == pb.Statement(
        account="main",
        venue="paper",
        currency="USD",
        day="2026-03-01",
        opening_cash_nanos=5,
        closing_cash_nanos=4,
        realized_nanos=3,
        fees_nanos=2,
        fills=[orders.fill(trade)],
        positions=[pb.StatementPosition(symbol="AAPL", quantity_nanos=2 * ONE, avg_price_nanos=7 * ONE)],
    )


@pytest.mark.parametrize(("venue", "agrees"), [("10", True), ("9", False)])
def test_a_comparison_is_told_in_both_words(venue: str, agrees: bool) -> None:
    """And whether they are the same."""
    told = reports.comparison(Comparison("position", "AAPL", "10", venue))
    assert told == pb.VenueDifference(subject="position", name="AAPL", ours="10", venue=venue, agrees=agrees)


def _last(events: list[OrderEvent]) -> tuple[OrderEvent, Order]:
    return events[-1], fold(events)
