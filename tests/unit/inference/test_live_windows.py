"""Windows of the newest feature rows: whatever the blocks, they are the rows that were."""

import numpy as np
import pytest
from builders.inference import a_card, a_quote_block, a_walk, walking_rows
from fakes.inference import FakeInstruments, FakeModel, FakeModels, FakeWorkshop
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.feature_series import FEW
from services.inference.domain.features import FEATURES, WARM_UP_TICKS
from services.inference.domain.live_windows import LiveWindows, RowRing
from services.inference.domain.markets import Markets
from services.inference.domain.model_inputs import picked, picker, windows_over
from services.inference.usecases.predict import Asked, Predict, PredictRules
from trading.errors import InvalidArgument

STEPS = 10
SOME = ("spread", "return_1", "rsi_14")


@given(steps=st.integers(1, 9), count=st.integers(0, 40))
def test_a_ring_gives_the_newest_rows_in_order(steps: int, count: int) -> None:
    ring = RowRing(steps, 1)
    for value in range(count):
        ring.push((float(value),))
    for asked in range(1, steps + 1):
        expected = list(range(count))[-min(asked, steps) :] if count else []
        assert ring.newest(asked)[:, 0].tolist() == expected


def test_longer_windows_keep_what_is_there_and_shorter_ones_change_nothing() -> None:
    windows = LiveWindows(1, 10_000)
    assert not windows.wanted
    windows.remember(3)
    windows.push("a", [(float(value),) for value in range(5)])
    windows.remember(5)
    windows.remember(2)
    assert (windows.wanted, windows.steps) == (True, 5)
    assert windows.newest("a", 5)[:, 0].tolist() == [2.0, 3.0, 4.0]
    assert windows.newest("b", 5).shape == (0, 1)


def test_symbols_beyond_the_memory_have_no_window() -> None:
    windows = LiveWindows(1, most_bytes=2 * (2 * 4 * 4))
    windows.remember(4)
    for symbol in "abc":
        windows.push(symbol, [(1.0,)])
    assert [len(windows.newest(symbol, 4)) for symbol in "abc"] == [1, 1, 0]


@pytest.mark.parametrize("size", [1, 7, FEW * 3])
def test_the_size_of_blocks_does_not_matter(size: int) -> None:
    bids, markets, one = a_walk(400), Markets(), Markets()
    markets.remember(STEPS)
    expected = []
    for bid in bids:
        one.quotes(a_quote_block([bid]))
        expected.append(one.of("paper", "AAPL").features())
    for start in range(0, 400, size):
        markets.quotes(a_quote_block(bids[start : start + size]))
    found = markets.recent("paper", "AAPL", STEPS)
    assert found == pytest.approx(np.array(expected[-STEPS:]), rel=1e-4, abs=1e-4)
    assert markets.recent_of_newest("AAPL", STEPS).tobytes() == found.tobytes()
    assert len(markets.recent_of_newest("NOBODY", STEPS)) == 0


@pytest.mark.parametrize("size", [1, FEW * 3])
def test_only_warm_rows_are_kept(size: int) -> None:
    markets, bids = Markets(), a_walk(WARM_UP_TICKS + 3)
    markets.remember(STEPS)
    for start in range(0, len(bids), size):
        markets.quotes(a_quote_block(bids[start : start + size]))
    assert len(markets.recent("paper", "AAPL", STEPS)) == 4


def test_a_model_gets_its_own_columns_in_its_own_order() -> None:
    row = tuple(float(column) for column in range(len(FEATURES)))
    expected = [float(FEATURES.index(name)) for name in SOME]
    assert list(picker(SOME)(row)) == expected
    assert list(picker(SOME[:1])(row)) == expected[:1]
    assert picker(FEATURES)(row) is row
    table = np.array([row, row])
    assert picked(table, SOME).tolist() == [expected, expected]
    assert picked(table, FEATURES) is table


@given(history=st.integers(0, 12), rows=st.integers(0, 12), steps=st.integers(1, 6))
def test_windows_end_in_each_row_that_has_enough_before_it(history: int, rows: int, steps: int) -> None:
    values = np.arange(history + rows, dtype=np.float32)[:, None]
    found = windows_over(values[:history], values[history:], steps)
    ends = [end for end in range(history, history + rows) if end + 1 >= steps]
    assert [window[:, 0].tolist() for window in found] == [
        list(map(float, range(end - steps + 1, end + 1))) for end in ends
    ]


def a_desk(markets: Markets, **card: object) -> tuple[Predict, FakeModel]:
    model = FakeModel(a_card(**({"architecture": "gru", "window": STEPS} | card)))
    predict = Predict(FakeModels(model), markets, FakeInstruments(), FakeWorkshop(), PredictRules())
    return predict, model


@pytest.mark.parametrize("count", [3, 40, 6_000])
async def test_rows_are_scored_with_the_live_rows_before_them(count: int) -> None:
    markets = Markets()
    markets.remember(STEPS)
    markets.quotes(a_quote_block(a_walk(300)))
    before = markets.recent("paper", "AAPL", STEPS).copy()
    predict, model = a_desk(markets)
    rows = walking_rows(count)
    scores = await predict(Asked("", "", count, lambda: rows))
    windows = np.concatenate(model.asked)
    assert (windows.shape, scores.warm.all()) == ((count, STEPS, len(FEATURES)), True)
    assert (windows[0, :-1] == before[1:]).all()
    assert (windows[1:, :-1] == windows[:-1, 1:]).all(), "each goes on from the one before"
    assert markets.recent("paper", "AAPL", STEPS).tobytes() == before.tobytes(), "the live rows stay as they are"


async def test_rows_without_a_whole_window_are_not_warm() -> None:
    markets = Markets()
    markets.quotes(a_quote_block(a_walk(300)))
    predict, model = a_desk(markets, features=SOME)
    scores = await predict(Asked("", "", 30, lambda: walking_rows(30)))
    assert scores.warm.tolist() == [False] * (STEPS - 1) + [True] * (30 - STEPS + 1)
    assert set(scores.confidence[~scores.warm].tolist()) == {0.5}
    assert model.asked[0].shape == (30 - STEPS + 1, STEPS, len(SOME))


async def test_a_model_of_tensors_is_not_asked_about_a_market() -> None:
    predict, _ = a_desk(Markets(), features=())
    with pytest.raises(InvalidArgument, match="Open Inference Protocol"):
        await predict(Asked("", "", 3, lambda: walking_rows(3)))
