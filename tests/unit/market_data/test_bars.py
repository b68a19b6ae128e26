"""Bars are exact, whatever the order and the cut of the blocks that they are made from."""

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from builders.market import NOON_NS, a_quote_block, a_trade_block, nanos
from hypothesis import given
from hypothesis import strategies as st
from servers import SHARED_DATA

from services.market_data.domain.bars import BarBook
from trading.clock import DAY_NS, MINUTE_NS, SECOND_NS
from trading.market import Bar, Interval, TradeBlock
from trading.money import ONE

_LATER_NS = 1_000 * MINUTE_NS


def a_book(grace_ns: int = 0, revisable_ns: int = 0) -> BarBook:
    return BarBook("paper", [Interval.ONE_MINUTE], grace_ns, revisable_ns=revisable_ns)


def test_a_bar_closes_when_the_next_minute_trades() -> None:
    book = a_book()

    assert book.add_trades(a_trade_block((10, 1), (12, 2), (9, 3), (11, 4))) == []
    (bar,) = book.add_trades(a_trade_block((50, 1), times_ns=[NOON_NS + MINUTE_NS]))

    assert bar == Bar(
        symbol="AAPL",
        interval="1m",
        timestamp_ns=NOON_NS,
        open_nanos=nanos(10),
        high_nanos=nanos(12),
        low_nanos=nanos(9),
        close_nanos=nanos(11),
        volume=10.0,
        vwap_nanos=nanos(10.5),
        trade_count=4,
        venue="paper",
        close_time_ns=NOON_NS + 3 * SECOND_NS,
    )


def test_a_block_over_several_minutes_makes_a_bar_of_each() -> None:
    times = [NOON_NS, NOON_NS + MINUTE_NS, NOON_NS + 3 * MINUTE_NS]

    bars = a_book().add_trades(a_trade_block((1, 1), (2, 1), (3, 1), times_ns=times))

    assert [(bar.timestamp_ns, bar.close_nanos) for bar in bars] == [(times[0], nanos(1)), (times[1], nanos(2))]


def test_a_late_trade_within_the_grace_still_counts() -> None:
    book = a_book(grace_ns=SECOND_NS)
    book.add_trades(a_trade_block((10, 1)))
    assert book.add_trades(a_trade_block((20, 1), times_ns=[NOON_NS + MINUTE_NS])) == []
    assert book.add_trades(a_trade_block((30, 1), times_ns=[NOON_NS + MINUTE_NS - 1])) == []

    (bar,) = book.add_trades(a_trade_block((20, 1), times_ns=[NOON_NS + MINUTE_NS + SECOND_NS]))

    assert (bar.close_nanos, bar.trade_count, book.late) == (nanos(30), 2, 0)


def test_a_trade_that_comes_when_its_bar_is_final_is_counted_as_late_and_changes_nothing() -> None:
    book = a_book()
    book.add_trades(a_trade_block((10, 1)))
    book.add_trades(a_trade_block((10, 1), times_ns=[NOON_NS + MINUTE_NS]))

    assert book.add_trades(a_trade_block((99, 1), (98, 1))) == []
    assert book.late == 2


def test_among_equal_times_the_first_to_arrive_opens_and_the_last_closes() -> None:
    book = a_book()
    book.add_trades(a_trade_block((1, 1), (2, 1), times_ns=[NOON_NS, NOON_NS]))
    book.add_trades(a_trade_block((3, 1), times_ns=[NOON_NS]))

    (bar,) = book.wait(NOON_NS + MINUTE_NS)

    assert (bar.open_nanos, bar.close_nanos) == (nanos(1), nanos(3))


def test_silence_closes_a_bar_by_the_time_that_has_passed_since_the_newest_tick() -> None:
    book = a_book()
    block = a_quote_block((10, 12), times_ns=[NOON_NS + 30 * SECOND_NS], received_ns=[_LATER_NS])
    book.add_quotes(block)

    assert book.wait(_LATER_NS + 29 * SECOND_NS) == []
    assert [bar.timestamp_ns for bar in book.wait(_LATER_NS + 30 * SECOND_NS)] == [NOON_NS]


def test_a_clock_that_steps_back_closes_nothing() -> None:
    book = a_book()
    book.add_quotes(a_quote_block((10, 12)))

    assert book.wait(0) == []


def test_a_symbol_without_trades_gets_bars_of_its_mids() -> None:
    book = a_book()
    book.add_quotes(a_quote_block((10, 12), (10, 14), (9, 10)))

    (bar,) = book.wait(NOON_NS + MINUTE_NS + 2 * SECOND_NS)

    assert (bar.open_nanos, bar.high_nanos, bar.low_nanos, bar.close_nanos) == tuple(map(nanos, (11, 12, 9.5, 9.5)))
    assert (bar.volume, bar.trade_count, bar.vwap_nanos) == (0.0, 0, nanos(9.5))


@pytest.mark.parametrize(("quote", "mid"), [((0, 12), 12), ((10, 0), 10)])
def test_the_mid_of_a_one_sided_quote_is_its_one_side(quote: tuple[float, float], mid: float) -> None:
    book = a_book()
    book.add_quotes(a_quote_block(quote, (0, 0)))

    (bar,) = book.wait(NOON_NS + MINUTE_NS + SECOND_NS)

    assert (bar.open_nanos, bar.close_nanos) == (nanos(mid), nanos(mid))


def test_quotes_of_nothing_make_no_bar() -> None:
    book = a_book()
    book.add_quotes(a_quote_block((0, 0)))

    assert book.wait(NOON_NS + MINUTE_NS) == []


def test_the_first_trade_replaces_the_bar_of_mids() -> None:
    book = a_book()
    book.add_quotes(a_quote_block((100, 102)))
    book.add_trades(a_trade_block((7, 1)))
    book.add_quotes(a_quote_block((100, 102)))

    (bar,) = book.wait(NOON_NS + MINUTE_NS)

    assert (bar.high_nanos, bar.trade_count) == (nanos(7), 1)


def test_quotes_of_the_next_minute_close_the_bar_of_a_symbol_that_trades() -> None:
    book = a_book()
    book.add_trades(a_trade_block((7, 1)))

    (bar,) = book.add_quotes(a_quote_block((1, 2), times_ns=[NOON_NS + MINUTE_NS]))

    assert bar.close_nanos == nanos(7)


def test_the_mid_of_the_largest_prices_does_not_overflow() -> None:
    book = a_book()
    book.add_quotes(a_quote_block((9.2e9, 9.2e9)))

    (bar,) = book.wait(NOON_NS + MINUTE_NS)

    assert bar.close_nanos == nanos(9.2e9)


_trades = st.lists(
    st.tuples(
        st.integers(0, 3 * MINUTE_NS - 1), st.integers(1, 9_000_000_000 * ONE), st.integers(1, 9_000_000_000 * ONE)
    ),
    min_size=1,
    max_size=30,
)


@given(_trades, st.data())
def test_bars_equal_their_definition_for_any_order_and_cut(
    trades: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    trades = data.draw(st.permutations(trades))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(trades)))) | {len(trades)})
    book = a_book(grace_ns=3 * MINUTE_NS)

    start = 0
    for end in cuts:
        book.add_trades(_block(trades[start:end]))
        start = end
    bars = book.wait(NOON_NS + 100 * MINUTE_NS)

    assert bars == _defined(trades)


def _block(trades: list[tuple[int, int, int]]) -> TradeBlock:
    offsets, prices, sizes = np.array(trades, np.int64).T
    times = offsets + NOON_NS
    return TradeBlock("paper", "AAPL", times, times, prices, sizes, np.zeros_like(times), ("",) * len(trades))


def _defined(trades: list[tuple[int, int, int]]) -> list[Bar]:
    """Bars by their definition, in fractions."""
    bars = []
    for minute in range(3):
        mine = [trade for trade in trades if trade[0] // MINUTE_NS == minute]
        if not mine:
            continue
        in_time = sorted(mine, key=lambda trade: trade[0])  # stable: arrival decides among equals
        size = sum(trade[2] for trade in mine)
        vwap = round(Fraction(sum(price * amount for _, price, amount in mine), size))
        prices = [trade[1] for trade in mine]
        start_ns = NOON_NS + minute * MINUTE_NS
        bars.append(
            Bar(
                "AAPL", "1m", start_ns, in_time[0][1], max(prices), min(prices), in_time[-1][1],
                size / ONE, vwap, len(mine), "paper", 0, NOON_NS + in_time[-1][0],
            )
        )  # fmt: skip
    return bars


def recorded_bars(book: BarBook, block_size: int) -> list[Bar]:
    """The bars of the recorded trades, given in blocks."""
    trades = pl.read_parquet(SHARED_DATA / "xrp-eth-trades-2019-10-11.parquet")
    times = trades["timestamp"].to_numpy() * 1_000_000
    prices, sizes = (np.rint(trades[name].to_numpy() * ONE).astype(np.int64) for name in ("price", "amount"))
    ids = tuple(map(str, range(len(trades))))
    bars: list[Bar] = []
    for start in range(0, len(trades), block_size):
        rows = slice(start, start + block_size)
        columns = (times[rows], times[rows], prices[rows], sizes[rows], np.zeros_like(sizes[rows]))
        bars += book.add_trades(TradeBlock("x", "XRP-ETH", *columns, ids[rows]))
    return bars + book.wait(int(times[-1]) + DAY_NS)


def recorded_candles(interval: Interval) -> list[tuple[int, ...]]:
    """The exchange's own candles of a minute, put together to those of an interval, in nanos."""
    candles = pl.read_parquet(SHARED_DATA / "xrp-eth-1m-candles.parquet").sort("date")
    wide = candles.group_by_dynamic("date", every=str(interval)).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        (pl.col("volume") * ONE).round().cast(pl.Int64).sum(),
    )
    names = ("open", "high", "low", "close")
    prices = [(wide[name] * ONE).round().cast(pl.Int64) for name in names]
    return list(zip(wide["date"].dt.epoch("ns"), *prices, wide["volume"], strict=True))


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the recorded trades are not on this machine")
@pytest.mark.parametrize("block_size", [1, 256, 100_000])
def test_bars_of_recorded_trades_equal_the_exchange_s_own_candles(block_size: int) -> None:
    bars = recorded_bars(BarBook("paper", Interval, SECOND_NS), block_size)

    assert {bar.revision for bar in bars} == {0}
    for interval, count in ((Interval.ONE_MINUTE, 2_469), (Interval.FIVE_MINUTES, None), *_LONG):
        ours = [
            (b.timestamp_ns, b.open_nanos, b.high_nanos, b.low_nanos, b.close_nanos, round(b.volume * ONE))
            for b in bars
            if b.interval == interval
        ]
        theirs = recorded_candles(interval)
        assert ours == theirs
        assert count in (None, len(theirs))


_LONG = ((Interval.ONE_HOUR, None), (Interval.ONE_DAY, None))
