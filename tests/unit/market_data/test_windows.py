"""Rolling windows equal a plain recomputation over their ticks, for any cut into blocks."""

import math

import numpy as np
import pytest
from builders.market import NOON_NS, a_quote_block, a_trade_block
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_data.domain import windows
from services.market_data.domain.window_board import WindowBoard
from services.market_data.domain.windows import Measure, WindowRule, parse_window, window
from trading.clock import MINUTE_NS, SECOND_NS
from trading.errors import InvalidArgument

Tick = tuple[int, float, float]

_steps = st.sampled_from([0, 1, SECOND_NS // 2, SECOND_NS, 5 * SECOND_NS, 10**6 * SECOND_NS])
_tick = st.tuples(_steps, st.integers(5_000, 15_000).map(lambda c: c / 100), st.integers(1, 1_000).map(float))
_rules = st.sampled_from(
    [f"{measure}:{length}" for measure in Measure for length in ("1", "2", "7", "500", "1s", "10s", "5m")]
)


@settings(max_examples=3 * settings.default.max_examples)
@given(_rules, st.lists(_tick, min_size=1, max_size=80), st.data())
def test_any_cut_gives_what_a_plain_recomputation_gives(name: str, steps: list[Tick], data: st.DataObject) -> None:
    rule = parse_window(name)
    times = np.cumsum([step for step, _, _ in steps]) + NOON_NS
    ticks = [(int(time), price, size) for time, (_, price, size) in zip(times, steps, strict=True)]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(ticks)))) | {len(ticks)})

    one = window(rule)
    values: list[float] = []
    for start, end in zip([0, *cuts], cuts, strict=False):
        columns = list(zip(*ticks[start:end], strict=True))
        values += one.push(np.array(columns[0]), np.array(columns[1]), np.array(columns[2])).tolist()

    assert values == pytest.approx(_plain(rule, ticks), rel=1e-9, abs=1e-9)


def _plain(rule: WindowRule, ticks: list[Tick]) -> list[float]:
    if rule.measure is Measure.EMA:
        return _plain_ema(rule, ticks)
    found = []
    for at, (now, _, _) in enumerate(ticks):
        first = max(at + 1 - rule.ticks, 0) if rule.ticks else 0
        rows = [row for row in range(first, at + 1) if rule.ticks or ticks[row][0] > now - rule.length_ns]
        if rule.measure is Measure.VWAP:
            volume = math.fsum(ticks[row][2] for row in rows)
            found.append(math.fsum(ticks[row][1] * ticks[row][2] for row in rows) / volume)
        else:
            returns = [math.log(ticks[row][1] / ticks[row - 1][1]) for row in rows if row]
            found.append(math.sqrt(math.fsum(value * value for value in returns)))
    return found


def _plain_ema(rule: WindowRule, ticks: list[Tick]) -> list[float]:
    average, found = ticks[0][1], []
    for at, (now, price, _) in enumerate(ticks):
        before, held = ticks[max(at - 1, 0)][:2]
        if rule.ticks:
            average += 2 / (rule.ticks + 1) * (price - average)
        else:
            kept = math.exp(-(now - before) / rule.length_ns)
            average = kept * average + (1 - kept) * held
        found.append(average)
    return found


def test_a_window_that_never_stops_sliding_stays_exact_and_small() -> None:
    one = windows.RollingSums(1, parse_window("vwap:100"))
    for start in range(0, 200_000, 250):
        (sums,) = one.push(np.arange(start, start + 250), np.arange(start, start + 250, dtype=float)[None, :])

    assert sums[-1] == sum(range(199_900, 200_000))
    assert one.count == 100
    assert len(one._times) <= 1024


def test_a_time_window_holds_no_more_ticks_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "TICKS_MOST", 10)
    one = windows.RollingSums(1, parse_window("vwap:1h"))

    one.push(np.arange(100) * MINUTE_NS, np.ones((1, 100)))

    assert (one.count, one.is_full) == (10, False)


def test_a_late_tick_counts_from_when_it_came() -> None:
    one = window(parse_window("vwap:10s"))
    one.push(np.array([NOON_NS + 60 * SECOND_NS]), np.array([10.0]), np.array([1.0]))

    (value,) = one.push(np.array([NOON_NS]), np.array([20.0]), np.array([1.0]))

    assert (value, one.count) == (15.0, 2)


@pytest.mark.parametrize(
    ("text", "length_ns", "ticks"), [("vwap:5m", 5 * MINUTE_NS, 0), ("ema:30s", 30 * SECOND_NS, 0), ("ema:500", 0, 500)]
)
def test_a_window_is_written_as_what_and_how_long(text: str, length_ns: int, ticks: int) -> None:
    rule = parse_window(text)

    assert (rule.length_ns, rule.ticks, rule.name) == (length_ns, ticks, text)


@pytest.mark.parametrize(
    "text", ["", "vwap", "vwap:", "vwap:0", "vwap:5d", "mean:5", "ema:-1", "vwap:1.5", "ema:999999"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_window(text)


def a_board(*names: str) -> WindowBoard:
    return WindowBoard([parse_window(name) for name in names])


def test_the_board_answers_with_every_window_as_of_the_newest_trade() -> None:
    board = a_board("vwap:2", "ema:1", "volatility:1m")
    board.put_trades(a_trade_block((10, 1), (20, 3)))
    board.put_trades(a_trade_block((40, 1), times_ns=[NOON_NS + 2 * SECOND_NS]))

    found = board.get("AAPL")

    assert [(one.name, one.value, one.ticks, one.warm) for one in found.windows] == [
        ("vwap:2", 25.0, 2, True),
        ("ema:1", 40.0, 3, True),
        ("volatility:1m", pytest.approx(math.sqrt(2) * math.log(2)), 3, False),
    ]
    assert (found.as_of_ns, found.from_quotes) == (NOON_NS + 2 * SECOND_NS, False)


def test_a_time_window_is_warm_once_it_has_seen_its_length() -> None:
    board = a_board("vwap:1m", "ema:1m")
    for at in (0, 59, 60):
        board.put_trades(a_trade_block((10, 1), times_ns=[NOON_NS + at * SECOND_NS]))
        warm = [one.warm for one in board.get("AAPL").windows]

        assert warm == [at == 60] * 2


def test_a_symbol_without_trades_has_windows_of_its_mids_until_it_trades() -> None:
    board = a_board("vwap:5m", "ema:5m")
    board.put_quotes(a_quote_block((10, 12), (0, 0), (10, 12)))
    before = board.get("AAPL")
    board.put_trades(a_trade_block((50, 1)))
    board.put_quotes(a_quote_block((1, 2)))
    after = board.get("AAPL")

    assert ([one.value for one in before.windows], before.from_quotes) == ([None, pytest.approx(11.0)], True)
    assert ([one.value for one in after.windows], after.from_quotes) == ([50.0, 50.0], False)


def test_nothing_is_known_before_the_first_tick() -> None:
    board = a_board("vwap:5m")
    board.put_quotes(a_quote_block((0, 0)))

    assert board.get("AAPL") == ((("vwap:5m", None, 0, False),), 0, False)


@pytest.mark.parametrize("size", [1, 100])
def test_many_blocks_are_folded_in_between_so_that_few_wait(size: int) -> None:
    board = a_board("vwap:5m")
    for _ in range(300):
        board.put_trades(a_trade_block(*[(10, 1)] * size, times_ns=[NOON_NS] * size))

    assert len(board._of("AAPL")._waiting) < 32
    assert board.get("AAPL").windows[0].ticks == 300 * size
