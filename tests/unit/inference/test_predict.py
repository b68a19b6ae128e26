"""Rows on request, against live features that stay as they are."""

import math

import numpy as np
import pytest
from builders.inference import NOON_NS, a_card, a_quote_block, a_walk, some_rows
from fakes.inference import FakeInstruments, FakeModel, FakeModels

from services.inference.domain.errors import ModelFault
from services.inference.domain.features import FEATURES
from services.inference.domain.markets import Markets
from services.inference.usecases.predict import Predict
from trading.errors import InvalidArgument, UnknownModel, UnknownSymbol


@pytest.fixture
def markets() -> Markets:
    """AAPL is warm, BTC-USDT is not."""
    markets = Markets()
    markets.quotes(a_quote_block(a_walk(300)))
    markets.quotes(a_quote_block([62_000.0], symbol="BTC-USDT"))
    return markets


def a_predict(markets: Markets, says: float = 1.0) -> tuple[Predict, FakeModel]:
    model = FakeModel(a_card(), says)
    return Predict(FakeModels(model), markets, FakeInstruments()), model


async def test_a_warm_row_gets_what_the_model_says(markets: Markets) -> None:
    predict, model = a_predict(markets)
    scores = await predict("test-model", some_rows(2))
    up = 1 / (1 + math.exp(-1))
    assert scores.predictions == pytest.approx([2 * up - 1] * 2)
    assert scores.confidence == pytest.approx([up] * 2)
    assert scores.warm.tolist() == [True, True]
    assert model.asked[0].shape == (2, len(FEATURES))


async def test_the_rows_own_price_and_spread_are_seen(markets: Markets) -> None:
    predict, model = a_predict(markets)
    await predict("", some_rows(2, price=np.array([100.0, 105.0]), ask=np.array([100.01, 101.0])))
    seen = dict(zip(FEATURES, model.asked[0].T, strict=True))
    assert seen["return_1"][1] - seen["return_1"][0] == pytest.approx(1e4 * math.log(1.05))
    assert seen["spread"][1] > seen["spread"][0]


async def test_the_live_state_is_never_written(markets: Markets) -> None:
    predict, _ = a_predict(markets)
    before = markets.of("paper", "AAPL").features()
    await predict("", some_rows(50, price=np.full(50, 200.0), volume=np.full(50, 1e6)))
    assert markets.of("paper", "AAPL").features() == before
    assert markets.of("paper", "AAPL").ticks == 300


async def test_rows_keep_their_order_whatever_the_spelling(markets: Markets) -> None:
    predict, _ = a_predict(markets)
    rows = some_rows(4, symbol=["BTC/USD", "AAPL", "BTC-USDT", "AAPL"])
    scores = await predict("", rows)
    assert scores.warm.tolist() == [False, True, False, True]
    assert scores.confidence[0] == 0.5
    assert scores.predictions[2] == 0.0
    assert scores.confidence[1] > 0.5


async def test_a_symbol_that_never_ticked_is_cold() -> None:
    predict, model = a_predict(Markets())
    scores = await predict("", some_rows(1))
    assert (scores.warm.tolist(), scores.confidence.tolist(), scores.predictions.tolist()) == ([False], [0.5], [0.0])
    assert model.asked == []


async def test_no_rows_get_no_scores(markets: Markets) -> None:
    predict, _ = a_predict(markets)
    assert len((await predict("", some_rows(0))).predictions) == 0


async def test_an_unknown_model_a_symbol_and_a_bad_row_are_refused(markets: Markets) -> None:
    predict, _ = a_predict(markets)
    with pytest.raises(UnknownModel):
        await predict("nobody", some_rows(1))
    with pytest.raises(UnknownSymbol):
        await predict("", some_rows(2, symbol=["AAPL", "NOPE"]))
    with pytest.raises(InvalidArgument, match=r"market_data\[0\]\.price"):
        await predict("", some_rows(1, price=np.array([math.nan])))


async def test_a_model_that_gives_no_number_is_an_error_not_an_answer(markets: Markets) -> None:
    predict, _ = a_predict(markets, says=math.nan)
    with pytest.raises(ModelFault):
        await predict("", some_rows(1, timestamp_ns=np.array([NOON_NS])))
