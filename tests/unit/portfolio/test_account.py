"""What positions and accounts are worth."""

from builders.portfolio import a_fill, a_quote, some_terms

from services.portfolio.domain.account import equity_nanos, is_marked, utc_day, value_position
from services.portfolio.domain.ledger import Ledger, Position
from services.portfolio.domain.marks import Marks
from trading.clock import DAY_NS
from trading.money import ONE
from trading.order import Side


def position_of(*fills: object) -> Position:
    ledger = Ledger()
    return [ledger.post(fill) for fill in fills][-1]  # type: ignore[arg-type]


def test_a_marked_position_is_worth_quantity_times_mark() -> None:
    value = value_position(position_of(a_fill(quantity="10", price="100")), {"AAPL": 111 * ONE})
    assert (value.market_value_nanos, value.unrealized_nanos) == (1110 * ONE, 110 * ONE)


def test_a_short_loses_when_the_mark_rises() -> None:
    value = value_position(position_of(a_fill(1, Side.SELL, "10", "100")), {"AAPL": 111 * ONE})
    assert (value.market_value_nanos, value.unrealized_nanos) == (-1110 * ONE, -110 * ONE)


def test_a_position_without_a_price_is_valued_at_its_cost() -> None:
    value = value_position(position_of(a_fill()), {})
    assert (value.mark_nanos, value.market_value_nanos, value.unrealized_nanos) == (0, 1000 * ONE, 0)


def test_equity_is_cash_and_the_positions_of_the_accounts_own_currency() -> None:
    marks = {"AAPL": 111 * ONE}
    values = [value_position(position_of(a_fill(currency=currency)), marks) for currency in ("USD", "EUR")]
    assert equity_nanos(some_terms(opening="5000"), -1000 * ONE, values) == 5110 * ONE


def test_only_open_positions_need_a_mark() -> None:
    closed = position_of(a_fill(1), a_fill(2, Side.SELL))
    assert is_marked([closed], {})
    assert not is_marked([closed, position_of(a_fill(symbol="TSLA"))], {"AAPL": ONE})


def test_a_day_begins_at_midnight_utc() -> None:
    assert (utc_day(DAY_NS - 1), utc_day(DAY_NS)) == (0, 1)


def test_a_mark_is_the_mid_of_the_newest_quote() -> None:
    marks = Marks()
    marks.see(a_quote(bid="110", ask="112", receive_time_ns=5))
    marks.see(a_quote(bid="90", ask="92", receive_time_ns=4))
    assert dict(marks) == {"AAPL": 111 * ONE}
    assert len(marks) == 1


def test_a_quote_without_a_price_marks_nothing() -> None:
    marks = Marks()
    marks.see(a_quote(bid="0", ask="0"))
    assert "AAPL" not in marks
