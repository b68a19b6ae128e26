"""The fold of fills: exact, in one order, whatever order they came in."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from builders.portfolio import a_charge, a_fill, a_transfer, an_acquisition
from hypothesis import given
from hypothesis import strategies as st

from services.portfolio.domain.entries import CashKey, Fill, Moving, PositionKey, in_order
from services.portfolio.domain.ledger import Cash, Ledger, Position, flat, fold, late_keys, refold
from trading.order import Side

KEY = PositionKey("main", "AAPL", "USD")
USD = 1_000_000_000


def folded(*fills: Fill) -> Position:
    return refold(KEY, fills)


def test_a_buy_opens_a_position_at_its_cost() -> None:
    position = folded(a_fill(1, Side.BUY, "10", "100"))
    assert (position.quantity_nanos, position.cost_nanos) == (10 * USD, 1000 * USD)
    assert position.avg_price_nanos == 100 * USD


def test_a_second_buy_averages_the_price() -> None:
    position = folded(a_fill(1, Side.BUY, "10", "100"), a_fill(2, Side.BUY, "30", "120"))
    assert position.avg_price_nanos == 115 * USD


def test_a_sale_realises_proceeds_less_the_cost_it_takes_away() -> None:
    position = folded(a_fill(1, Side.BUY, "10", "100"), a_fill(2, Side.SELL, "4", "110"))
    assert position.realized_nanos == 40 * USD
    assert (position.quantity_nanos, position.cost_nanos) == (6 * USD, 600 * USD)


def test_a_short_gains_when_it_is_bought_back_lower() -> None:
    position = folded(a_fill(1, Side.SELL, "10", "100"), a_fill(2, Side.BUY, "10", "90"))
    assert position.realized_nanos == 100 * USD
    assert (position.quantity_nanos, position.cost_nanos, position.avg_price_nanos) == (0, 0, 0)


def test_a_short_has_a_positive_average_price() -> None:
    position = folded(a_fill(1, Side.SELL, "10", "100"))
    assert (position.cost_nanos, position.avg_price_nanos) == (-1000 * USD, 100 * USD)


def test_crossing_zero_closes_first_and_then_opens_at_the_new_price() -> None:
    position = folded(a_fill(1, Side.BUY, "10", "100"), a_fill(2, Side.SELL, "15", "110"))
    assert position.realized_nanos == 100 * USD
    assert (position.quantity_nanos, position.avg_price_nanos) == (-5 * USD, 110 * USD)


def test_fees_are_kept_apart_from_realised_profit() -> None:
    position = folded(a_fill(1, fee="0.25"), a_fill(2, Side.SELL, fee="0.75"))
    assert (position.realized_nanos, position.fees_nanos) == (0, USD)


def test_a_third_of_a_cost_is_taken_away_rounded_half_even_and_the_last_third_takes_the_rest() -> None:
    fills = [a_fill(1, Side.BUY, "3", "0.000000001"), *(a_fill(n, Side.SELL, "1", "0") for n in (2, 3, 4))]
    position = folded(*fills)
    assert (position.quantity_nanos, position.cost_nanos, position.realized_nanos) == (0, 0, -3)


def test_the_ledger_keeps_accounts_symbols_and_currencies_apart() -> None:
    ledger = Ledger()
    for number, words in enumerate(({}, {"account": "two"}, {"symbol": "TSLA"}, {"currency": "EUR"})):
        ledger.post(a_fill(number, **words))
    assert len(ledger.positions) == 4
    assert {key: cash.flow_nanos for key, cash in ledger.cash.items()} == {
        CashKey("main", "USD"): -2000 * USD,
        CashKey("two", "USD"): -1000 * USD,
        CashKey("main", "EUR"): -1000 * USD,
    }


def test_a_fill_before_the_newest_of_its_position_is_late() -> None:
    positions = {KEY: folded(a_fill(2), a_fill(5))}
    assert late_keys(positions, [a_fill(4)]) == {KEY}
    assert late_keys(positions, [a_fill(6), a_fill(1, symbol="TSLA")]) == set()


def test_the_newest_time_and_place_in_the_log_stay_when_an_older_fill_is_folded() -> None:
    position = fold(folded(a_fill(5)), a_fill(2))
    assert (position.updated_time_ns, position.log_sequence, position.fill_count) == (5 * USD, 15, 2)


fills = st.lists(
    st.builds(
        lambda side, quantity, price, fee, symbol: (side, quantity, price, fee, symbol),
        st.sampled_from(Side),
        st.integers(1, 10**13),
        st.integers(0, 10**13),
        st.integers(-(10**9), 10**9),
        st.sampled_from(["AAPL", "TSLA"]),
    ),
    max_size=40,
).map(
    lambda rows: [
        a_fill(number, side, quantity_nanos=quantity, price_nanos=price, fee_nanos=fee, symbol=symbol)
        for number, (side, quantity, price, fee, symbol) in enumerate(rows, 1)
    ]
)


def recomputed(rows: Sequence[Fill]) -> tuple[dict[str, tuple[Decimal, Decimal, Decimal, Decimal]], Decimal]:
    """Quantity, cost, realised P&L and fees by symbol, and the cash flow, by Decimal and another way of thinking."""
    book: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    cash = Decimal(0)
    nano = Decimal("1e-9")
    with localcontext() as context:
        context.prec = 80
        for row in rows:
            price, size, fee = (Decimal(n).scaleb(-9) for n in (row.price_nanos, row.quantity_nanos, row.fee_nanos))
            trade = size if row.side is Side.BUY else -size
            value = (price * size).quantize(nano, ROUND_HALF_EVEN).copy_sign(trade)
            held, cost, realised, fees = book[row.symbol]
            closing = min(size, abs(held)) if held * trade < 0 else Decimal(0)
            if closing:
                part = (price * closing).quantize(nano, ROUND_HALF_EVEN).copy_sign(trade) if closing < size else value
                gone = (cost * closing / abs(held)).quantize(nano, ROUND_HALF_EVEN)
                realised += -part - gone
                cost += value - part - gone
            else:
                cost += value
            book[row.symbol] = [held + trade, cost, realised, fees + fee]
            cash -= value + fee
    return {symbol: (row[0], row[1], row[2], row[3]) for symbol, row in book.items()}, cash


@given(fills)
def test_the_fold_equals_a_decimal_recomputation_to_the_nano(rows: list[Fill]) -> None:
    ledger = Ledger()
    for row in rows:
        ledger.post(row)
    book, cash = recomputed(rows)
    assert sum(cash.flow_nanos for cash in ledger.cash.values()) == cash.scaleb(9)
    for symbol, expected in book.items():
        position = ledger.positions[PositionKey("main", symbol, "USD")]
        ours = (position.quantity_nanos, position.cost_nanos, position.realized_nanos, position.fees_nanos)
        assert ours == tuple(value.scaleb(9) for value in expected)


@given(fills)
def test_cash_flow_and_cost_are_always_realised_profit_less_fees(rows: list[Fill]) -> None:
    ledger = Ledger()
    for row in rows:
        ledger.post(row)
        positions = ledger.positions.values()
        assert sum(cash.flow_nanos for cash in ledger.cash.values()) + sum(p.cost_nanos for p in positions) == sum(
            p.realized_nanos - p.fees_nanos for p in positions
        )


@given(fills)
def test_a_flat_position_has_no_cost(rows: list[Fill]) -> None:
    position = flat(KEY)
    for row in rows:
        position = fold(position, row)
        if position.quantity_nanos == 0:
            assert position.cost_nanos == 0
        else:
            assert position.cost_nanos * position.quantity_nanos >= 0


@given(fills, st.randoms(use_true_random=False))
def test_duplicates_and_disorder_leave_one_book(rows: list[Fill], random: object) -> None:
    delivered = rows + rows[::2]
    random.shuffle(delivered)  # type: ignore[attr-defined]
    assert in_order(delivered) == rows


@pytest.mark.parametrize("split", range(5))
def test_a_refold_can_go_on_from_a_stretch_that_was_folded(split: int) -> None:
    rows = [a_fill(n, Side.BUY if n % 2 else Side.SELL, str(n)) for n in range(1, 6)]
    assert refold(KEY, rows[split:], refold(KEY, rows[:split])) == refold(KEY, rows)


@given(fills)
def test_many_fills_at_once_are_what_each_of_them_would_be(rows: list[Fill]) -> None:
    one_by_one, at_once = Ledger(), Ledger()
    for row in rows:
        one_by_one.post(row)
    at_once.post_fills(rows[: len(rows) // 2])
    at_once.post_fills(rows[len(rows) // 2 :])
    assert (at_once.positions, at_once.cash) == (one_by_one.positions, one_by_one.cash)


def test_what_was_traded_is_counted_whichever_way_it_went() -> None:
    ledger = Ledger()
    ledger.post(a_fill(1, Side.BUY, "10", "100", fee="1"))
    ledger.post(a_fill(2, Side.SELL, "4", "110"))
    assert ledger.cash[CashKey("main", "USD")] == Cash(-561 * USD, 0, 0, 1440 * USD)


def test_a_transfer_moves_the_cash_and_is_paid_in() -> None:
    ledger = Ledger()
    assert ledger.post(a_transfer(1, "-20")) is None
    assert ledger.cash == {CashKey("main", "USD"): Cash(-20 * USD, -20 * USD)}
    assert ledger.positions == {}


def test_what_is_brought_in_moves_the_position_and_counts_as_paid_in_at_its_value() -> None:
    ledger = Ledger()
    ledger.post(a_fill(1, Side.SELL, "4", "110"))
    position = ledger.post(an_acquisition(1, "10", "100", value_nanos=1200 * USD))
    assert position is not None
    assert (position.quantity_nanos, position.cost_nanos, position.realized_nanos) == (6 * USD, 600 * USD, 40 * USD)
    assert (position.fill_count, position.fees_nanos) == (1, 0)
    assert ledger.cash[CashKey("main", "USD")] == Cash(440 * USD, 1200 * USD, 0, 440 * USD)


def test_a_charge_counts_behind_its_fill_and_an_import_behind_both() -> None:
    fill, charge = a_fill(1), a_charge(7, symbol="AAPL", log_sequence=3)
    acquisition = an_acquisition(1, sequence=1, log_sequence=3)
    mixed: list[Moving] = [acquisition, charge, fill, charge]
    assert in_order(mixed) == [fill, charge, acquisition]
    positions = {KEY: refold(KEY, [fill, acquisition])}
    assert late_keys(positions, [charge]) == {KEY}
    assert late_keys({KEY: refold(KEY, [fill])}, [charge]) == set()
    assert late_keys(positions, [a_charge(9), a_transfer()]) == set()
