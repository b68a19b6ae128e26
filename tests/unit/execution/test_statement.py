"""An account's day, folded from its fills."""

import pytest
from builders.orders import MAIN, NOW_NS, execution
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.fill import LoggedFill
from services.execution.domain.statement import DayFold, Statement, day_text, parse_day
from trading.clock import DAY_NS
from trading.errors import InvalidArgument
from trading.ids import EventId, OrderId, new_id
from trading.money import ONE
from trading.order import Side

TODAY = NOW_NS // DAY_NS
OPENING = 1_000 * ONE


def a_fill(
    side: Side, quantity: int, price: int, *, day: int = TODAY, fee: int = 0, symbol: str = "AAPL"
) -> LoggedFill:
    """A trade at noon of a day, in whole units; the fee in nanos."""
    trade = execution(quantity, price, fee_nanos=fee)
    return LoggedFill(
        1, EventId(new_id()), OrderId(new_id()), MAIN, symbol, side, "USD", day * DAY_NS + DAY_NS // 2, trade
    )


def a_statement(*fills: LoggedFill, day: int = TODAY) -> Statement:
    """The day of an account that opened with a thousand."""
    fold = DayFold("main", "paper", "USD", OPENING, day)
    fold.take(fills)
    return fold.statement()


def test_a_day_without_trades_ends_as_it_began() -> None:
    """Nothing happened."""
    assert a_statement() == Statement("main", "paper", "USD", TODAY, OPENING, OPENING)


def test_a_day_states_its_cash_its_profit_and_what_is_held() -> None:
    """Bought ten at 50 yesterday; today four are sold at 60, each trade for a fee of one."""
    bought = a_fill(Side.BUY, 10, 50, day=TODAY - 1, fee=ONE)
    sold = a_fill(Side.SELL, 4, 60, fee=ONE)
    found = a_statement(bought, sold)
    assert found.opening_cash_nanos == (1_000 - 500 - 1) * ONE
    assert found.closing_cash_nanos == (1_000 - 500 - 1 + 240 - 1) * ONE
    assert (found.realized_nanos, found.fees_nanos) == ((40 - 1) * ONE, ONE)
    assert found.fills == [sold]
    assert {name: held.quantity_nanos for name, held in found.positions.items()} == {"AAPL": 6 * ONE}
    assert found.positions["AAPL"].entry_price_nanos == 50 * ONE


def test_a_past_day_knows_nothing_of_later_ones() -> None:
    """Its positions are those of its end."""
    fills = (a_fill(Side.BUY, 10, 50, day=TODAY - 1), a_fill(Side.SELL, 10, 60), a_fill(Side.BUY, 1, 9, symbol="TSLA"))
    found = a_statement(*fills, day=TODAY - 1)
    assert (found.opening_cash_nanos, found.closing_cash_nanos) == (OPENING, 500 * ONE)
    assert (found.fills, list(found.positions)) == ([fills[0]], ["AAPL"])


def test_yesterdays_fees_and_profits_are_not_todays() -> None:
    """They are in the opening cash."""
    found = a_statement(a_fill(Side.BUY, 1, 50, day=TODAY - 1, fee=3), a_fill(Side.SELL, 1, 60, day=TODAY - 1, fee=4))
    assert (found.realized_nanos, found.fees_nanos, found.fills) == (0, 0, [])
    assert found.opening_cash_nanos == found.closing_cash_nanos == 1_010 * ONE - 7


def test_a_trade_that_the_log_learnt_of_late_belongs_to_its_own_day() -> None:
    """Yesterday's fill stands in the log behind one of today's."""
    today, late = a_fill(Side.BUY, 1, 100), a_fill(Side.BUY, 2, 50, day=TODAY - 1)
    found = a_statement(today, late)
    assert (found.opening_cash_nanos, found.closing_cash_nanos) == (900 * ONE, 800 * ONE)
    assert found.fills == [today]


def test_what_is_flat_is_not_held() -> None:
    """And the rest is in order of its names."""
    found = a_statement(
        a_fill(Side.SELL, 2, 5, symbol="TSLA"), a_fill(Side.BUY, 1, 5), a_fill(Side.BUY, 1, 5, symbol="F"),
        a_fill(Side.SELL, 1, 5, symbol="F"),
    )  # fmt: skip
    assert list(found.positions) == ["AAPL", "TSLA"]
    assert found.positions["TSLA"].quantity_nanos == -2 * ONE


trades = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 2)), max_size=12
)


@given(trades)
def test_money_is_lost_by_no_rounding(day: list[tuple[Side, int, int, int]]) -> None:
    """However odd the amounts, cash is Σ −side × price × quantity − fees, cut to the nano once."""
    fills = []
    for side, quantity, price, ago in day:
        fill = a_fill(side, 1, 1, day=TODAY - ago, fee=7)
        fills.append(fill._replace(execution=execution(quantity_nanos=quantity, price_nanos=price, fee_nanos=7)))
    found = a_statement(*fills)
    flows = [-f.side.sign * f.execution.price_nanos * f.execution.quantity_nanos - 7 * ONE for f in fills]
    earlier = [flow for flow, (*_, ago) in zip(flows, day, strict=True) if ago]
    assert found.closing_cash_nanos == OPENING + sum(flows) // ONE
    assert found.opening_cash_nanos == OPENING + sum(earlier) // ONE


DAYS = [("", TODAY), ("1970-01-01", 0), ("1970-01-02", 1), ("2024-02-29", 19_782), ("0001-01-01", -719_162)]


@pytest.mark.parametrize(("text", "day"), DAYS)
def test_a_day_is_read(text: str, day: int) -> None:
    """Today where nothing is said."""
    assert parse_day(text, NOW_NS) == day
    assert parse_day(day_text(day), NOW_NS) == day
    assert not text or day_text(day) == text


@pytest.mark.parametrize("text", ["today", "2026-02-30", "2026-1-1", "1.2.2026", "20260101", "2026-W01-1"])
def test_what_is_no_day_is_refused(text: str) -> None:
    """In the one form that there is."""
    with pytest.raises(InvalidArgument) as refusal:
        parse_day(text, NOW_NS)
    assert refusal.value.metadata["field"] == "day"


def test_a_day_to_come_has_no_statement() -> None:
    """Whoever asks for tomorrow has mistaken the day."""
    with pytest.raises(InvalidArgument, match="has begun") as refusal:
        parse_day(day_text(TODAY + 1), NOW_NS)
    assert refusal.value.metadata["field"] == "day"
