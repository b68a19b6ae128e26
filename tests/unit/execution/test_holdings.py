"""Positions by average cost, and the sums that risk is judged by."""

from builders.orders import NOW_NS, an_order, event, execution
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.holdings import Holdings
from services.execution.domain.order import Order, apply
from services.execution.domain.position import Position
from trading.clock import DAY_NS
from trading.money import ONE
from trading.order import OrderEventKind as Kind
from trading.order import Side

trades = st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 500)), max_size=30)


def test_a_position_opens_at_its_price() -> None:
    """Cost is price times quantity."""
    position = Position().after(10 * ONE, 100 * ONE)
    assert position == Position(10 * ONE, 1_000 * ONE * ONE, 0)
    assert position.entry_price_nanos == 100 * ONE


def test_a_position_closes_against_its_average_cost() -> None:
    """Bought at 100 and 110, sold at 120."""
    position = Position().after(10 * ONE, 100 * ONE).after(10 * ONE, 110 * ONE).after(-10 * ONE, 120 * ONE)
    assert position == Position(10 * ONE, 1_050 * ONE * ONE, 150 * ONE * ONE)


def test_a_short_position_gains_when_the_price_falls() -> None:
    """Sold at 100, bought back at 90."""
    position = Position().after(-10 * ONE, 100 * ONE).after(10 * ONE, 90 * ONE)
    assert position == Position(0, 0, 100 * ONE * ONE)
    assert position.entry_price_nanos == 0


def test_a_flip_opens_the_rest_at_the_new_price() -> None:
    """Ten long at 100, twenty sold at 110."""
    position = Position().after(10 * ONE, 100 * ONE).after(-20 * ONE, 110 * ONE)
    assert position == Position(-10 * ONE, -1_100 * ONE * ONE, 100 * ONE * ONE)


def test_what_is_open_is_worth_its_mark() -> None:
    """Ten at 100, now 105."""
    assert Position().after(10 * ONE, 100 * ONE).unrealized_value(105 * ONE) == 50 * ONE * ONE


@given(trades)
def test_profit_never_appears_or_vanishes(moves: list[tuple[int, int]]) -> None:
    """Realised + unrealised = what the trades paid + what is held is worth, exactly, at any mark."""
    position, cash, held = Position(), 0, 0
    for quantity, price in moves:
        position = position.after(quantity, price)
        cash -= quantity * price
        held += quantity
    assert position.quantity_nanos == held
    assert position.realized_value + position.unrealized_value(123) == cash + 123 * held


def test_a_working_order_reaches_farther_than_what_is_held() -> None:
    """Ten held, five buying, three selling."""
    holdings = Holdings()
    holdings.fill("AAPL", Side.BUY, execution(10), NOW_NS)
    holdings.replace(None, an_order(Kind.SUBMITTED, quantity_nanos=5 * ONE))
    holdings.replace(None, an_order(Kind.SUBMITTED, side=Side.SELL, quantity_nanos=3 * ONE))
    assert holdings.reach("AAPL") == (15 * ONE, 7 * ONE)
    assert holdings.open_orders == 2


def test_a_symbol_nobody_trades_is_flat() -> None:
    """No entry is made by looking."""
    holdings = Holdings()
    assert holdings.reach("X") == (0, 0)
    assert holdings.symbols() == set()


def test_a_closed_order_holds_nothing_back() -> None:
    """A denial, a cancel or a last fill frees what was reserved."""
    for ending in (Kind.DENIED,), (Kind.SUBMITTED, Kind.CANCELED), (Kind.SUBMITTED, Kind.REJECTED):
        holdings = Holdings()
        created = an_order()
        holdings.replace(None, created)
        order = created
        for kind in ending:
            after = apply(order, event(order, kind))
            holdings.replace(order, after)
            order = after
        assert (holdings.reach("AAPL"), holdings.open_orders) == ((0, 0), 0)


def test_a_fill_moves_from_working_to_held() -> None:
    """The reach stays, the reserve shrinks."""
    holdings = Holdings()
    order = an_order(Kind.SUBMITTED)
    holdings.replace(None, order)
    after = _traded(holdings, order, 4)
    assert holdings.reach("AAPL") == (10 * ONE, 4 * ONE)
    _traded(holdings, after, 6)
    assert holdings.reach("AAPL") == (10 * ONE, 10 * ONE)
    assert holdings.open_orders == 0


def test_fees_are_paid_in_cash_and_count_as_loss() -> None:
    """A buy of one at 100 with a fee of 1."""
    holdings = Holdings()
    holdings.fill("AAPL", Side.BUY, execution(1, 100, fee_nanos=ONE), NOW_NS)
    assert holdings.cash_flow_value == -101 * ONE * ONE
    assert holdings.realized_on(NOW_NS // DAY_NS) == -1 * ONE * ONE


def test_a_late_fill_of_yesterday_is_not_todays_profit() -> None:
    """Only the newest day is kept."""
    holdings = Holdings()
    holdings.fill("AAPL", Side.BUY, execution(2, 100), NOW_NS)
    holdings.fill("AAPL", Side.SELL, execution(1, 150), NOW_NS - DAY_NS)
    assert holdings.realized_on(NOW_NS // DAY_NS) == 0


def _traded(holdings: Holdings, order: Order, quantity: int) -> Order:
    step = event(order, Kind.FILL, execution=execution(quantity))
    after = apply(order, step)
    holdings.replace(order, after)
    holdings.fill("AAPL", order.terms.side, step.execution or execution(), NOW_NS)
    return after
