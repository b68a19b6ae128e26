"""Bars of several lengths agree with one another, whatever comes late or is taken back."""

from collections.abc import Iterable

import numpy as np
import pytest
from builders.market import NOON_NS, a_quote_block, a_trade_block, nanos
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_data.domain.bars import BarBook
from services.market_data.domain.corrections import TradeCorrection
from services.market_data.domain.market_days import MarketDays
from trading.clock import DAY_NS, MINUTE_NS, SECOND_NS
from trading.market import Bar, Interval, TradeBlock

HOUR_NS = 60 * MINUTE_NS
MIDNIGHT_NS = NOON_NS - NOON_NS % DAY_NS
AFTER_ALL_NS = MIDNIGHT_NS + 3 * DAY_NS


def a_book(**rules: object) -> BarBook:
    return BarBook("paper", Interval, 0, **rules)  # type: ignore[arg-type]


def trades(*facts: tuple[int, float, float], first_id: int = 0) -> TradeBlock:
    """Trades of (offset from midnight in ns, price, size), with ids that count up."""
    block = a_trade_block(
        *[(price, size) for _, price, size in facts], times_ns=[MIDNIGHT_NS + at for at, _, _ in facts]
    )
    ids = tuple(str(first_id + at) for at in range(len(facts)))
    columns = (block.event_time_ns, block.receive_time_ns, block.price_nanos, block.size_nanos, block.side_sign)
    return TradeBlock(block.venue, block.symbol, *columns, ids)


def newest(bars: Iterable[Bar]) -> dict[tuple[str, int], Bar]:
    """The last revision of every bar that was not emptied, without its count."""
    last = {(bar.interval, bar.timestamp_ns): bar._replace(revision=0) for bar in bars}
    return {key: bar for key, bar in last.items() if bar.trade_count}


def test_every_length_has_its_bars_and_a_longer_one_is_made_of_the_same_trades() -> None:
    book = a_book()
    bars = book.add_trades(trades((0, 10, 1), (MINUTE_NS, 12, 2), (7 * MINUTE_NS, 9, 3), (2 * HOUR_NS, 11, 4)))

    bars += book.wait(AFTER_ALL_NS)

    day = [bar for bar in bars if bar.interval == "1d"]
    assert [(bar.open_nanos, bar.high_nanos, bar.low_nanos, bar.close_nanos, bar.volume) for bar in day] == [
        (*map(nanos, (10, 12, 9, 11)), 10.0)
    ]
    counts = {str(interval): sum(bar.interval == interval for bar in bars) for interval in Interval}
    assert counts == {"1m": 4, "5m": 3, "1h": 2, "1d": 1}


def test_a_late_trade_publishes_the_bars_that_were_closed_again_as_a_revision() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1)))
    first = book.add_trades(trades((6 * MINUTE_NS, 10, 1)))

    again = book.add_trades(trades((30 * SECOND_NS, 20, 1)))

    assert [(bar.interval, bar.revision) for bar in first] == [("1m", 0), ("5m", 0)]
    assert [(bar.interval, bar.revision, bar.high_nanos, bar.trade_count) for bar in again] == [
        ("1m", 1, nanos(20), 2),
        ("5m", 1, nanos(20), 2),
    ]


def test_a_late_trade_of_a_minute_that_had_none_makes_its_bar() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1), (3 * MINUTE_NS, 10, 1)))

    bars = book.add_trades(trades((MINUTE_NS, 20, 1)))

    assert [(bar.interval, bar.timestamp_ns - MIDNIGHT_NS, bar.revision) for bar in bars] == [("1m", MINUTE_NS, 0)]


def test_after_the_time_for_revisions_a_late_trade_changes_no_length() -> None:
    book = a_book(revisable_ns=5 * MINUTE_NS)
    book.add_trades(trades((0, 10, 1), (10 * MINUTE_NS, 10, 1)))

    assert book.add_trades(trades((MINUTE_NS, 99, 1))) == []
    assert book.late == 1
    assert all(bar.high_nanos == nanos(10) for bar in book.wait(AFTER_ALL_NS))


def test_a_cancelled_trade_leaves_its_bars() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1), (1, 99, 5), (2, 11, 1), (6 * MINUTE_NS, 10, 1)))

    bars = book.correct(TradeCorrection("AAPL", "1"))

    facts = [(bar.interval, bar.revision, bar.high_nanos, bar.volume, bar.trade_count) for bar in bars]
    assert facts == [("1m", 1, nanos(11), 2.0, 2), ("5m", 1, nanos(11), 2.0, 2)]
    assert next(bar for bar in book.wait(AFTER_ALL_NS) if bar.interval == "1d").high_nanos == nanos(11)


def test_a_corrected_trade_counts_at_its_new_price_and_may_be_corrected_again_by_its_new_id() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1), (1, 99, 5), (2 * MINUTE_NS, 10, 1)))

    (once,) = book.correct(TradeCorrection("AAPL", "1", nanos(9), nanos(2), new_id="1b"))
    (twice,) = book.correct(TradeCorrection("AAPL", "1b", nanos(8), nanos(2)))

    assert (once.low_nanos, once.volume, once.revision) == (nanos(9), 3.0, 1)
    assert (twice.low_nanos, twice.close_nanos, twice.revision) == (nanos(8), nanos(8), 2)


def test_a_bar_whose_trades_are_all_cancelled_is_published_empty_and_can_come_back() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1), (6 * MINUTE_NS, 12, 1)))

    empty = book.correct(TradeCorrection("AAPL", "0"))
    back = book.add_trades(trades((1, 30, 2), first_id=9))

    assert [(bar.interval, bar.trade_count, bar.volume, bar.vwap_nanos) for bar in empty] == [
        ("1m", 0, 0.0, nanos(10)),
        ("5m", 0, 0.0, nanos(10)),
    ]
    assert [(bar.low_nanos, bar.trade_count, bar.revision) for bar in back] == [(nanos(30), 1, 2)] * 2
    assert next(bar for bar in book.wait(AFTER_ALL_NS) if bar.interval == "1d").open_nanos == nanos(30)


def test_a_bar_that_is_emptied_before_it_was_published_never_is() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1)))
    book.correct(TradeCorrection("AAPL", "0"))

    bars = book.add_trades(trades((6 * MINUTE_NS, 12, 1), first_id=1)) + book.wait(AFTER_ALL_NS)

    assert {(bar.interval, bar.trade_count) for bar in bars} == {("1m", 1), ("5m", 1), ("1h", 1), ("1d", 1)}


def test_a_correction_before_the_bar_is_published_makes_no_revision() -> None:
    book = a_book()
    book.add_trades(trades((0, 10, 1), (1, 99, 1)))

    assert book.correct(TradeCorrection("AAPL", "1")) == []
    assert {(bar.high_nanos, bar.revision) for bar in book.wait(AFTER_ALL_NS)} == {(nanos(10), 0)}


@pytest.mark.parametrize("trade_id", ["77", "0"])
def test_a_correction_of_a_trade_that_is_not_kept_is_counted(trade_id: str) -> None:
    book = a_book(trades_kept=2)
    book.add_trades(trades((0, 10, 1)))
    book.add_trades(trades((1, 10, 1), (2 * MINUTE_NS, 10, 1), first_id=1))

    assert book.correct(TradeCorrection("AAPL", trade_id)) == []
    assert book.uncorrected == 1


def test_a_minute_of_which_a_trade_is_no_longer_kept_cannot_be_corrected() -> None:
    book = a_book(trades_kept=2)
    book.add_trades(trades((0, 10, 1)))
    book.add_trades(trades((1, 99, 1), (2 * MINUTE_NS, 10, 1), first_id=1))

    assert book.correct(TradeCorrection("AAPL", "1")) == []
    assert book.uncorrected == 1


def test_a_correction_of_a_symbol_that_never_traded_changes_nothing() -> None:
    assert a_book().correct(TradeCorrection("AAPL", "1")) == []


def test_a_correction_after_the_time_for_revisions_changes_nothing() -> None:
    book = a_book(revisable_ns=MINUTE_NS)
    book.add_trades(trades((0, 10, 1), (1, 99, 1), (10 * MINUTE_NS, 10, 1)))

    assert book.correct(TradeCorrection("AAPL", "1")) == []


def test_the_first_trade_ends_the_bars_of_mids_of_every_length() -> None:
    book = a_book()
    book.add_quotes(a_quote_block((100, 102), times_ns=[MIDNIGHT_NS]))
    book.add_trades(trades((2, 7, 1)))

    assert {bar.high_nanos for bar in book.wait(AFTER_ALL_NS)} == {nanos(7)}


def test_a_day_ends_at_midnight_of_the_market_s_own_place() -> None:
    book = BarBook("paper", Interval, 0, zone_of=lambda _symbol: "America/New_York")
    hours = (3, 22, 27, 29)
    bars = book.add_trades(trades(*[(hour * HOUR_NS, 10, 1) for hour in hours])) + book.wait(AFTER_ALL_NS)

    days = [bar for bar in bars if bar.interval == "1d"]

    assert [(bar.timestamp_ns - MIDNIGHT_NS) / HOUR_NS for bar in days] == [-19, 5, 29]
    assert [bar.trade_count for bar in days] == [1, 2, 1]


@pytest.mark.parametrize(
    ("date_ns", "hours"), [(1_710_000_000, 24), (1_710_050_400, 23), (1_730_606_400, 25)], ids=["usual", "23 h", "25 h"]
)
def test_a_day_is_as_long_as_its_clock_makes_it(date_ns: int, hours: int) -> None:
    days = MarketDays("America/New_York")
    start_ns = days.start_of(date_ns * SECOND_NS)

    assert days.start_of(start_ns + hours * HOUR_NS - 1) == start_ns
    assert days.start_of(start_ns + hours * HOUR_NS) == start_ns + hours * HOUR_NS


_facts = st.lists(
    st.tuples(
        st.integers(0, 3 * HOUR_NS),
        st.integers(1, 10**6).map(lambda cents: cents / 100),
        st.integers(1, 10**4).map(float),
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(_facts, st.data())
def test_late_trades_and_corrections_leave_the_bars_that_the_true_trades_make(
    facts: list[tuple[int, float, float]], data: st.DataObject
) -> None:
    """Whatever the order of arrival, and whatever is taken back: the last revisions are the bars of what is true."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(facts)))) | {len(facts)})
    book = a_book(revisable_ns=DAY_NS)
    bars: list[Bar] = []
    for start, end in zip([0, *cuts], cuts, strict=False):
        bars += book.add_trades(trades(*facts[start:end], first_id=start))
    true: list[tuple[int, float, float] | None] = list(facts)
    for at in data.draw(st.lists(st.integers(0, len(facts) - 1), max_size=6, unique=True)):
        if data.draw(st.booleans()):
            true[at] = None
            bars += book.correct(TradeCorrection("AAPL", str(at)))
        else:
            true[at] = (facts[at][0], 55.5, 7.0)
            bars += book.correct(TradeCorrection("AAPL", str(at), nanos(55.5), nanos(7)))
    bars += book.wait(AFTER_ALL_NS)

    oracle = a_book(revisable_ns=DAY_NS)
    kept = [fact for fact in true if fact is not None]
    expected = (oracle.add_trades(trades(*kept)) if kept else []) + oracle.wait(AFTER_ALL_NS)
    assert newest(bars) == newest(expected)


def test_memory_of_a_long_run_is_that_of_the_time_for_revisions() -> None:
    book = a_book(trades_kept=100)
    for minute in range(3 * 24 * 60):
        book.add_trades(trades((minute * MINUTE_NS, 10, 1)))

    symbol = book._symbols["AAPL"]
    assert [len(level.made) for level in symbol._levels] <= [25, 20, 30, 3]
    assert book._log._count == 100
    assert np.all([len(level.changed) == 0 for level in symbol._levels])
