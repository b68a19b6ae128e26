"""Bars are built from trades, else from mids, and group into longer ones."""

from datetime import UTC, datetime

import numpy as np
import pytest
from builders.paper_venue import AAPL, BTC, a_quote, a_trade
from servers import SHARED_DATA

from services.paper_venue.domain.bars import BarTable, RunningBars, extended
from services.paper_venue.domain.charts import Charts, Length, Unit
from services.paper_venue.domain.history import History
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.clock import DAY_NS, MINUTE_NS
from trading.instruments import CATALOGUE, Instruments
from trading.market import Bar
from trading.money import ONE

NOON = int(datetime(2026, 3, 4, 17, tzinfo=UTC).timestamp()) * 10**9
"""Noon in New York on a Wednesday."""


def a_bar(minute: int, close: int = 10, volume: float = 5.0, symbol: str = "AAPL") -> Bar:
    start = NOON + minute * MINUTE_NS
    return Bar(symbol, "1m", start, 9 * ONE, 12 * ONE, 8 * ONE, close * ONE, volume, 10 * ONE, 2, "paper")


def test_a_minute_closes_when_the_next_one_begins() -> None:
    bars = RunningBars("AAPL")
    first = [a_trade(10, 1, time_ns=5), a_trade(12, 3, time_ns=6), a_trade(11, 1, time_ns=7)]
    assert bars.take(Ticks.concat(first)) == []
    (bar,) = bars.take(a_trade(50, time_ns=MINUTE_NS))

    assert bar[2:7] == (0, 10 * ONE, 12 * ONE, 10 * ONE, 11 * ONE)
    assert (bar.volume, bar.trade_count, bar.vwap_nanos) == (5.0, 3, round(57 / 5 * ONE))


def test_a_minute_without_trades_is_made_of_mids_without_volume() -> None:
    bars = RunningBars("AAPL")
    bars.take(Ticks.concat([a_quote(9, 1, 11, 1), a_quote(11, 1, 13, 1)]))
    (bar,) = bars.finish()

    assert (bar.open_nanos, bar.close_nanos, bar.volume, bar.trade_count) == (10 * ONE, 12 * ONE, 0.0, 0)


def test_trades_rule_out_mids_in_their_minute() -> None:
    bars = RunningBars("AAPL")
    bars.take(Ticks.concat([a_quote(90, 1, 110, 1), a_trade(10, 2), a_quote(90, 1, 110, 1)]))

    assert bars.finish()[0].high_nanos == 10 * ONE


def test_one_batch_may_close_several_minutes() -> None:
    ticks = Ticks.concat([a_trade(price, time_ns=price * MINUTE_NS) for price in (1, 2, 5)])

    assert [bar.timestamp_ns for bar in RunningBars("AAPL").take(ticks)] == [MINUTE_NS, 2 * MINUTE_NS]


def test_nothing_said_is_no_bar() -> None:
    assert RunningBars("AAPL").finish() == []


def test_a_day_grows_by_its_minutes_and_starts_anew() -> None:
    day = extended(None, a_bar(0), 100)
    day = extended(day, a_bar(1, close=11, volume=15.0)._replace(vwap_nanos=20 * ONE), 100)

    assert (day.timestamp_ns, day.interval, day.volume, day.trade_count) == (100, "1d", 20.0, 4)
    assert (day.close_nanos, day.vwap_nanos) == (11 * ONE, round(17.5 * ONE))
    assert extended(day, a_bar(2), 200).volume == 5.0


def test_groups_take_first_open_extreme_prices_last_close_and_weigh_vwap() -> None:
    table = BarTable.of([a_bar(0), a_bar(1, close=11, volume=15.0), a_bar(2, close=8)])
    grouped = table.grouped(np.array([0, 0, 7], np.int64))

    assert len(grouped) == 2
    assert (grouped.close[0], grouped.volume[0], grouped.trades[0], grouped.start_ns[1]) == (11 * ONE, 20.0, 4, 7)


@pytest.fixture(scope="module")
def history() -> History:
    return History((AAPL, BTC), {"AAPL": 190 * ONE, "BTC-USDT": 62_000 * ONE}, 7, NOON)


def test_history_leads_up_to_the_opening_price(history: History) -> None:
    for symbol, price in (("AAPL", 190 * ONE), ("BTC-USDT", 62_000 * ONE)):
        assert history.daily(symbol).close[-1] == price
        assert history.minutes(symbol).close[-1] == price


def test_history_reaches_back_two_years_of_days_and_thirty_of_minutes(history: History) -> None:
    assert NOON - history.daily("AAPL").start_ns[0] > 2 * 365 * DAY_NS
    assert len(history.daily("AAPL")) > 504
    assert NOON - history.minutes("AAPL").start_ns[0] > 28 * DAY_NS
    assert len(history.minutes("BTC-USDT")) >= 30 * 1440


def test_shares_have_weekdays_and_exchange_hours_and_coins_never_rest(history: History) -> None:
    days = [datetime.fromtimestamp(start / 1e9, UTC) for start in history.daily("AAPL").start_ns.tolist()]
    minutes = history.minutes("AAPL").start_ns[:390]
    coins = np.diff(history.minutes("BTC-USDT").start_ns)

    assert {day.weekday() for day in days} == {0, 1, 2, 3, 4}
    assert {day.hour for day in days} == {4, 5}
    assert datetime.fromtimestamp(int(minutes[0]) / 1e9, UTC).strftime("%H:%M") == "14:30"
    assert minutes[-1] - minutes[0] == 389 * MINUTE_NS
    assert (coins == MINUTE_NS).all()


def test_bars_of_the_past_hold_their_prices(history: History) -> None:
    for table in (history.daily("AAPL"), history.minutes("AAPL"), history.daily("BTC-USDT")):
        assert (np.diff(table.start_ns) > 0).all()
        assert (table.high >= np.maximum(table.open, table.close)).all()
        assert (table.low <= np.minimum(table.open, table.close)).all()
        assert (table.volume > 0).all()


def test_recent_days_are_made_of_their_minutes(history: History) -> None:
    minutes, day = history.minutes("AAPL"), history.daily("AAPL")[-2:-1]
    own = minutes.between(int(day.start_ns[0]), int(day.start_ns[0]) + DAY_NS - 1)

    assert (day.high[0], day.low[0]) == (own.high.max(), own.low.min())
    assert day.volume[0] == pytest.approx(own.volume.sum())


def test_the_same_seed_gives_the_same_past(history: History) -> None:
    again = History((AAPL, BTC), {"AAPL": 190 * ONE, "BTC-USDT": 62_000 * ONE}, 7, NOON)
    other = History((AAPL, BTC), {"AAPL": 190 * ONE, "BTC-USDT": 62_000 * ONE}, 8, NOON)

    assert np.array_equal(again.daily("AAPL").close, history.daily("AAPL").close)
    assert not np.array_equal(other.daily("AAPL").close, history.daily("AAPL").close)


@pytest.fixture
def charts(history: History) -> Charts:
    made = Charts((AAPL, BTC), history, 1_000)
    made.add([a_bar(minute, close=100 + minute) for minute in range(3)])
    return made


def everything(charts: Charts, count: int, unit: Unit, symbol: str = "AAPL") -> BarTable:
    return charts.find(symbol, Length(count, unit), 0, 2**62)


def test_live_minutes_follow_the_past_ones(charts: Charts) -> None:
    minutes = everything(charts, 1, Unit.MINUTE)

    assert minutes.close[-3:].tolist() == [100 * ONE, 101 * ONE, 102 * ONE]
    assert (np.diff(minutes.start_ns) > 0).all()


def test_today_is_made_of_past_and_live_minutes(charts: Charts, history: History) -> None:
    today, past = everything(charts, 1, Unit.DAY)[-1:], history.daily("AAPL")[-1:]

    assert today.start_ns[0] == past.start_ns[0]
    assert today.open[0] == past.open[0]
    assert today.close[0] == 102 * ONE
    assert today.volume[0] == pytest.approx(past.volume[0] + 15.0)


def test_without_live_minutes_days_are_those_of_the_past(history: History) -> None:
    assert everything(Charts((AAPL, BTC), history, 10), 1, Unit.DAY).close[-1] == 190 * ONE


@pytest.mark.parametrize(("count", "unit", "step"), [(5, Unit.MINUTE, 5), (15, Unit.MINUTE, 15), (2, Unit.HOUR, 120)])
def test_longer_bars_start_on_their_own_grid(charts: Charts, count: int, unit: Unit, step: int) -> None:
    starts = everything(charts, count, unit, "BTC-USDT").start_ns

    assert (starts % (step * MINUTE_NS) == 0).all()
    assert (np.diff(starts) >= step * MINUTE_NS).all()


def test_weeks_start_on_monday_and_quarters_in_january_april_july_october(charts: Charts) -> None:
    weeks = [datetime.fromtimestamp(s / 1e9, UTC) for s in everything(charts, 1, Unit.WEEK, "BTC-USDT").start_ns]
    quarters = [datetime.fromtimestamp(s / 1e9, UTC) for s in everything(charts, 3, Unit.MONTH, "BTC-USDT").start_ns]

    assert {week.weekday() for week in weeks} == {0}
    assert {(quarter.month - 1) % 3 for quarter in quarters} == {0}
    assert {quarter.day for quarter in quarters} == {1}


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="The real data is not beside this checkout.")
def test_bars_of_real_trades_equal_the_exchanges_own_candles() -> None:
    from services.paper_venue.adapters.market_files import load_recording

    catalogue = Instruments(CATALOGUE)
    trades = load_recording([SHARED_DATA / "xrp-eth-trades-2019-10-11.parquet"], (), catalogue).ticks
    candles = load_recording([SHARED_DATA / "xrp-eth-1m-candles.parquet"], (), catalogue).ticks
    bars = RunningBars("XRP")
    built = [bar for at in range(0, len(trades), 256) for bar in bars.take(trades[at : at + 256])] + bars.finish()
    made = {bar.timestamp_ns: (*bar[3:7], round(bar.volume, 6)) for bar in built}

    assert (candles.kind == Kind.BAR).all()
    theirs = {row.time_ns: (row.a, row.b, row.c, row.d, round(row.volume, 6)) for row in candles.rows()}
    traded = {start: bar for start, bar in theirs.items() if bar[4] > 0}
    common = made.keys() & traded.keys()
    assert len(common) > 2_000
    assert all(made[start] == traded[start] for start in common)
