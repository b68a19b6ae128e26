"""The equity curve: what was earned is told from what was paid in, whatever was thinned out."""

from collections.abc import Sequence
from decimal import Decimal, localcontext

import pytest
from builders.portfolio import a_charge, a_fill, a_transfer, an_acquisition, some_terms
from hypothesis import given
from hypothesis import strategies as st

from services.portfolio.domain.account import AccountBook, BookTotals
from services.portfolio.domain.entries import Entry
from services.portfolio.domain.equity import UNIT, Amounts, Point, is_news, point_of, symbols_of
from services.portfolio.domain.ledger import Ledger
from services.portfolio.domain.rates import Rates
from trading.money import ONE
from trading.order import Side

TERMS = some_terms(opening="1000")


class Account:
    """An account whose entries come one after the other."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.marks = {"AAPL": 100 * ONE}
        self.points: list[Point] = []

    def book(self, *entries: Entry) -> None:
        for entry in entries:
            self.ledger.post(entry)

    def read(self) -> AccountBook:
        cash = {key.currency: cash for key, cash in self.ledger.cash.items()}
        return AccountBook(BookTotals("main"), tuple(self.ledger.positions.values()), cash)

    def point(self) -> Point:
        before = self.points[-1] if self.points else None
        time_ns = 60 * ONE * (len(self.points) + 1)
        self.points.append(point_of(before, TERMS, self.read(), Rates(self.marks, {"USDT"}), time_ns))
        return self.points[-1]


def test_the_first_point_is_the_opening_cash_and_has_earned_nothing() -> None:
    point = Account().point()
    assert point[:7] == (60 * ONE, 1000 * ONE, 1000 * ONE, UNIT, 0, 0, 0)


def test_what_a_price_gains_is_earned() -> None:
    account = Account()
    account.book(a_fill(1, Side.BUY, "5", "100", fee="1"))
    account.point()
    account.marks["AAPL"] = 120 * ONE
    point = account.point()
    assert (point.equity_nanos, point.growth) == (1099 * ONE, UNIT * 1099 // 999)
    assert (point.traded_nanos, point.fees_nanos, point.realized_nanos) == (500 * ONE, ONE, 0)


def test_what_is_paid_in_or_out_is_not_earned() -> None:
    account = Account()
    account.point()
    account.book(a_transfer(1, "3000"))
    account.point()
    account.book(a_charge(1, "500", kind="TRANSFER"))
    point = account.point()
    assert (point.equity_nanos, point.paid_in_nanos, point.growth) == (3500 * ONE, 3500 * ONE, UNIT)


def test_what_is_brought_in_counts_at_its_value_then_and_not_at_its_cost() -> None:
    account = Account()
    account.point()
    account.book(an_acquisition(1, "10", "20", value_nanos=1000 * ONE))
    point = account.point()
    assert (point.equity_nanos, point.paid_in_nanos, point.growth) == (2000 * ONE, 2000 * ONE, UNIT)


def test_a_currency_that_gets_its_first_rate_earns_nothing_by_it() -> None:
    account = Account()
    account.book(a_transfer(1, "100", currency="EUR"))
    assert account.point()[1:4] == (1000 * ONE, 1000 * ONE, UNIT)
    account.marks["EUR-USD"] = 2 * ONE
    point = account.point()
    assert (point.equity_nanos, point.paid_in_nanos, point.growth) == (1200 * ONE, 1200 * ONE, UNIT)
    account.marks["EUR-USD"] = 3 * ONE
    assert account.point().growth == UNIT * 1300 // 1200


def test_a_currency_that_loses_its_rate_loses_nothing_by_it() -> None:
    account = Account()
    account.marks["EUR-USD"] = 2 * ONE
    account.book(a_transfer(1, "100", currency="EUR"))
    account.point()
    del account.marks["EUR-USD"]
    point = account.point()
    assert (point.equity_nanos, point.growth, point.unpriced) == (1000 * ONE, UNIT, ("EUR",))
    assert point.basis["EUR"] == Amounts(paid_in=100 * ONE)


def test_sums_of_another_currency_are_converted_when_they_are_first_seen() -> None:
    account = Account()
    account.marks |= {"EUR-USD": 2 * ONE, "SAP": 50 * ONE}
    account.book(a_fill(1, Side.BUY, "2", "40", fee="1", symbol="SAP", currency="EUR"))
    account.point()
    account.marks["EUR-USD"] = 3 * ONE
    account.book(a_fill(2, Side.SELL, "2", "50", symbol="SAP", currency="EUR"))
    point = account.point()
    assert (point.traded_nanos, point.fees_nanos, point.realized_nanos) == ((160 + 300) * ONE, 2 * ONE, 60 * ONE)


def test_an_account_that_lost_everything_has_grown_to_nothing() -> None:
    account = Account()
    account.book(a_fill(1, Side.BUY, "10", "100"))
    account.point()
    account.marks["AAPL"] = 1
    account.book(a_charge(1, "5"))
    assert account.point().growth == 0
    account.book(a_transfer(1, "50"))
    assert account.point().growth == 0


def test_no_two_points_are_at_the_same_time() -> None:
    account = Account()
    first = account.point()
    second = point_of(first, TERMS, account.read(), Rates(account.marks), first.time_ns)
    assert second.time_ns == first.time_ns + 1


def test_a_point_is_news_while_something_is_held_or_after_a_change() -> None:
    account = Account()
    before, after = account.point(), account.point()
    assert is_news(None, before, account.read())
    assert not is_news(before, after, account.read())
    account.book(a_transfer(1))
    assert is_news(after, account.point(), account.read())
    account.book(a_fill(1))
    assert is_news(account.points[-1], account.points[-1], account.read())


def test_the_prices_behind_a_point_are_of_its_positions_and_currencies() -> None:
    account = Account()
    account.book(a_fill(1), a_fill(2, symbol="TSLA"), a_transfer(1, currency="EUR"))
    rates = Rates(account.marks | {"EUR-USD": ONE, "MSFT": ONE})
    assert symbols_of(TERMS, account.read(), rates) == {"AAPL", "EUR-USD"}


steps = st.lists(
    st.tuples(
        st.integers(50, 200),
        st.lists(
            st.one_of(
                st.integers(-300, 900).map(lambda amount: a_transfer(1, str(amount))),
                st.tuples(st.sampled_from(Side), st.integers(1, 3), st.integers(80, 120)).map(
                    lambda trade: a_fill(1, trade[0], str(trade[1]), str(trade[2]), fee="0.01")
                ),
                st.integers(0, 5).map(lambda amount: a_charge(1, str(amount))),
            ),
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=15,
)


@given(steps)
def test_growth_equals_a_decimal_recomputation(moves: Sequence[tuple[int, list[Entry]]]) -> None:
    """The chain of (equity − paid in) ÷ equity before, recomputed from the entries alone."""
    account = Account()
    account.point()
    with localcontext() as context:
        context.prec = 60
        cash, held, growth, equity = Decimal(1000), Decimal(0), Decimal(1), Decimal(1000)
        for price, entries in moves:
            account.marks["AAPL"] = price * ONE
            account.book(*entries)
            point, paid = account.point(), Decimal(0)
            for entry in entries:
                cash, held, paid = _moved(entry, cash, held, paid)
            worth = cash + held * price
            if equity > 0:
                growth *= max(worth - paid, Decimal(0)) / equity
            equity = worth
            assert point.equity_nanos == equity.scaleb(9)
            assert abs(Decimal(point.growth).scaleb(-18) - growth) < Decimal("1e-14") * max(growth, 1)


def _moved(entry: Entry, cash: Decimal, held: Decimal, paid: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    if hasattr(entry, "transfer_id"):
        amount = Decimal(entry.amount_nanos).scaleb(-9)
        return cash + amount, held, paid + amount
    if hasattr(entry, "side"):
        size = Decimal(entry.quantity_nanos).scaleb(-9) * (1 if entry.side is Side.BUY else -1)
        return cash - size * Decimal(entry.price_nanos).scaleb(-9) - Decimal("0.01"), held + size, paid
    return cash - Decimal(entry.amount_nanos).scaleb(-9), held, paid  # type: ignore[union-attr]


def test_a_stretch_is_a_difference_of_points_whatever_lay_between() -> None:
    account = Account()
    account.book(a_fill(1, Side.BUY, "5", "100"))
    for price in (100, 130, 90, 140):
        account.marks["AAPL"] = price * ONE
        account.point()
    first, *_, last = account.points
    assert last.growth / first.growth == pytest.approx(1200 / 1000)
