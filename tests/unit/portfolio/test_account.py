"""What positions and accounts are worth."""

from builders.portfolio import a_fill, a_quote, a_transfer, some_terms

from services.portfolio.domain.account import AccountBook, BookTotals, is_marked, utc_day, value_position, worth_of
from services.portfolio.domain.entries import Entry
from services.portfolio.domain.ledger import Ledger, Position
from services.portfolio.domain.marks import Marks
from services.portfolio.domain.rates import Rates
from trading.clock import DAY_NS
from trading.money import ONE, Money
from trading.order import Side


def position_of(*fills: object) -> Position:
    ledger = Ledger()
    return [ledger.post(fill) for fill in fills][-1]  # type: ignore[arg-type,return-value]


def test_a_marked_position_is_worth_quantity_times_mark() -> None:
    value = value_position(position_of(a_fill(quantity="10", price="100")), {"AAPL": 111 * ONE})
    assert (value.market_value_nanos, value.unrealized_nanos) == (1110 * ONE, 110 * ONE)


def test_a_short_loses_when_the_mark_rises() -> None:
    value = value_position(position_of(a_fill(1, Side.SELL, "10", "100")), {"AAPL": 111 * ONE})
    assert (value.market_value_nanos, value.unrealized_nanos) == (-1110 * ONE, -110 * ONE)


def test_a_position_without_a_price_is_valued_at_its_cost() -> None:
    value = value_position(position_of(a_fill()), {})
    assert (value.mark_nanos, value.market_value_nanos, value.unrealized_nanos) == (0, 1000 * ONE, 0)


def a_book(*entries: Entry) -> AccountBook:
    ledger = Ledger()
    for entry in entries:
        ledger.post(entry)
    cash = {key.currency: cash for key, cash in ledger.cash.items()}
    return AccountBook(BookTotals("main"), tuple(ledger.positions.values()), cash)


def test_equity_is_cash_and_positions_of_every_currency_that_has_a_rate() -> None:
    book = a_book(
        a_fill(1), a_fill(2, Side.SELL, "2", "50", symbol="SAP", currency="EUR"), a_transfer(1, "7", currency="JPY")
    )
    rates = Rates({"AAPL": 111 * ONE, "SAP": 60 * ONE, "EUR-USD": 1_200_000_000})
    worth = worth_of(some_terms(opening="5000"), book, rates)
    assert worth.equity_nanos == (5000 - 1000 + 1110) * ONE + (100 - 120) * 1_200_000_000
    assert (worth.gross_nanos, worth.net_nanos) == ((1110 + 144) * ONE, (1110 - 144) * ONE)
    assert worth.unpriced == ("JPY",)
    assert worth.balances == (Money("EUR", 100 * ONE), Money("JPY", 7 * ONE), Money("USD", 4000 * ONE))


def test_a_currency_that_is_all_gone_is_not_missed() -> None:
    book = a_book(a_transfer(1, "7", currency="JPY"), a_transfer(2, "-7", currency="JPY"))
    assert worth_of(some_terms(), book, Rates({})).unpriced == ()


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
