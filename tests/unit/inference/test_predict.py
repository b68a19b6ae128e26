"""Rows on request, against live features that stay as they are."""

import asyncio
import math

import numpy as np
import pytest
from builders.inference import NOON_NS, a_card, a_quote_block, a_walk, some_rows, walking_rows
from fakes.inference import FakeInstruments, FakeModel, FakeModels, FakeWorkshop

from services.inference.domain.errors import ModelFault
from services.inference.domain.features import FEATURES, WARM_UP_TICKS
from services.inference.domain.markets import Markets
from services.inference.domain.rows import Rows
from services.inference.usecases.compare_shadows import CompareShadows
from services.inference.usecases.predict import ROOM, Asked, Predict, PredictRules, Scores
from trading.errors import InvalidArgument, ResourceExhausted, UnknownModel, UnknownSymbol


@pytest.fixture
def markets() -> Markets:
    """AAPL is warm, BTC-USDT is not."""
    markets = Markets()
    markets.quotes(a_quote_block(a_walk(300)))
    markets.quotes(a_quote_block([62_000.0], symbol="BTC-USDT"))
    return markets


class Desk:
    """A use case whose every end is at hand."""

    def __init__(self, markets: Markets, says: float = 1.0, rules: PredictRules | None = None) -> None:
        self.model = FakeModel(a_card(), says)
        self.workshop = FakeWorkshop()
        self.models = FakeModels(self.model)
        self.shadows = CompareShadows(self.models, 1)
        self.predict = Predict(
            self.models, markets, FakeInstruments(), self.workshop, rules or PredictRules(), self.shadows
        )

    async def ask(self, rows: Rows, name: str = "", version: str = "") -> Scores:
        return await self.predict(Asked(name, version, len(rows), lambda: rows))

    def seen(self) -> np.ndarray:
        """Every feature row that the model was asked about."""
        return np.concatenate(self.model.asked)


async def test_a_warm_row_gets_what_the_model_says(markets: Markets) -> None:
    desk = Desk(markets)
    scores = await desk.ask(name="test-model", rows=some_rows(2))
    up = 1 / (1 + math.exp(-1))
    assert scores.predictions == pytest.approx([2 * up - 1] * 2)
    assert scores.confidence == pytest.approx([up] * 2)
    assert scores.warm.tolist() == [True, True]
    assert desk.model.asked[0].shape == (2, len(FEATURES))


async def test_the_rows_own_price_and_spread_are_seen(markets: Markets) -> None:
    desk = Desk(markets)
    await desk.ask(some_rows(2, price=np.array([100.0, 105.0]), ask=np.array([100.01, 101.0])))
    seen = dict(zip(FEATURES, desk.seen().T, strict=True))
    assert seen["return_1"][1] == pytest.approx(1e4 * math.log(1.05), rel=1e-6)
    assert seen["spread"][1] > seen["spread"][0]


@pytest.mark.parametrize("size", [40, 900], ids=["in steps", "over columns"])
async def test_rows_follow_the_live_state_in_the_order_of_time(markets: Markets, size: int) -> None:
    desk, rows = Desk(markets), walking_rows(size)
    await desk.ask(rows)
    state, expected = markets.of("paper", "AAPL").copy(), []
    for row in range(size):
        price, bid, ask, volume = (float(getattr(rows, name)[row]) for name in ("price", "bid", "ask", "volume"))
        if volume > 0:
            state.trade(price, volume, 0)
        state.step(price, bid, ask, state.bid_size, state.ask_size)
        expected.append(state.features())
    assert desk.seen() == pytest.approx(np.array(expected), rel=1e-5, abs=1e-5)
    shuffled, again = np.random.default_rng(3).permutation(size), Desk(markets)
    columns = {name: getattr(rows, name)[shuffled] for name in ("price", "volume", "bid", "ask", "timestamp_ns")}
    await again.ask(some_rows(size, **columns))
    assert again.seen() == pytest.approx(desk.seen(), rel=1e-5, abs=1e-5)


async def test_rows_of_a_cold_symbol_warm_it_up_for_those_that_follow() -> None:
    desk = Desk(Markets())
    scores = await desk.ask(walking_rows(WARM_UP_TICKS + 2))
    assert scores.warm.tolist() == [False] * (WARM_UP_TICKS - 1) + [True] * 3
    assert scores.confidence[: WARM_UP_TICKS - 1].tolist() == [0.5] * (WARM_UP_TICKS - 1)
    assert len(desk.seen()) == 3


async def test_symbols_do_not_see_one_another(markets: Markets) -> None:
    together, alone = Desk(markets), Desk(markets)
    await together.ask(walking_rows(600, ("AAPL", "BTC/USD")))
    rows = walking_rows(600, ("AAPL", "BTC/USD"))
    own = {name: getattr(rows, name)[::2] for name in ("price", "volume", "bid", "ask", "timestamp_ns")}
    await alone.ask(some_rows(300, **own))
    assert together.seen()[:300] == pytest.approx(alone.seen())


@pytest.mark.parametrize("volumes", [0.5, 1.0], ids=["some trade", "all trade"])
async def test_rows_of_many_tables_get_their_own_scores(markets: Markets, volumes: float) -> None:
    """More rows than two tables hold, of a warm and a cold symbol in turn: as if each symbol had come alone."""
    count = 2 * ROOM + 2_000
    rows = walking_rows(2 * count, ("AAPL", "BTC/USD"), volumes=volumes)
    together = Desk(markets)
    together.model.logits = sums  # type: ignore[method-assign]
    scores = await together.ask(rows)
    for number, symbol in enumerate(("AAPL", "BTC/USD")):
        alone = Desk(markets)
        alone.model.logits = sums  # type: ignore[method-assign]
        names = ("price", "volume", "bid", "ask", "timestamp_ns")
        own = await alone.ask(some_rows(count, (symbol,), **{name: getattr(rows, name)[number::2] for name in names}))
        assert scores.warm[number::2].tolist() == own.warm.tolist()
        assert scores.predictions[number::2] == pytest.approx(own.predictions, abs=1e-5)
        assert len(np.unique(own.predictions)) > count / 2, "rows differ"
    assert scores.warm.sum() == 2 * count - (WARM_UP_TICKS - 2)


async def sums(samples: np.ndarray) -> np.ndarray:
    """Logits that tell rows apart."""
    return np.tanh(samples.astype(np.float64)).sum(axis=1) / 4


async def test_a_big_request_is_worked_out_beside_the_event_loop(markets: Markets) -> None:
    desk = Desk(markets, rules=PredictRules(inline_rows=10))
    small = await desk.ask(walking_rows(10))
    assert desk.workshop.done == 0
    big = await desk.ask(walking_rows(11))
    assert desk.workshop.done > 0
    assert big.predictions[:10] == pytest.approx(small.predictions)


async def test_too_many_big_requests_at_once_are_refused_until_one_is_done(markets: Markets) -> None:
    desk = Desk(markets, rules=PredictRules(inline_rows=1, waiting=1))
    first = asyncio.create_task(desk.ask(walking_rows(20)))
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted, match="being scored"):
        await desk.ask(walking_rows(20))
    assert (await first).warm.all()
    assert (await desk.ask(walking_rows(20))).warm.all()


async def test_a_version_that_is_not_loaded_is_not_found(markets: Markets) -> None:
    desk = Desk(markets)
    assert (await desk.ask(some_rows(1), version="1")).warm.all()
    with pytest.raises(UnknownModel):
        await desk.ask(some_rows(1), version="9")


async def test_the_live_state_is_never_written(markets: Markets) -> None:
    desk = Desk(markets)
    before = markets.of("paper", "AAPL").features()
    await desk.ask(some_rows(50, price=np.full(50, 200.0), volume=np.full(50, 1e6)))
    assert markets.of("paper", "AAPL").features() == before
    assert markets.of("paper", "AAPL").ticks == 300


async def test_rows_keep_their_order_whatever_the_spelling(markets: Markets) -> None:
    desk = Desk(markets)
    rows = some_rows(4, ("BTC/USD", "AAPL", "BTC-USDT", "AAPL"))
    scores = await desk.ask(rows)
    assert scores.warm.tolist() == [False, True, False, True]
    assert scores.confidence[0] == 0.5
    assert scores.predictions[2] == 0.0
    assert scores.confidence[1] > 0.5


async def test_a_symbol_that_never_ticked_is_cold() -> None:
    desk = Desk(Markets())
    scores = await desk.ask(some_rows(1))
    assert (scores.warm.tolist(), scores.confidence.tolist(), scores.predictions.tolist()) == ([False], [0.5], [0.0])
    assert desk.model.asked == []


async def test_no_rows_get_no_scores(markets: Markets) -> None:
    desk = Desk(markets)
    assert len((await desk.ask(some_rows(0))).predictions) == 0


async def test_an_unknown_model_a_symbol_and_a_bad_row_are_refused(markets: Markets) -> None:
    desk = Desk(markets)
    with pytest.raises(UnknownModel):
        await desk.ask(name="nobody", rows=some_rows(1))
    with pytest.raises(UnknownSymbol):
        await desk.ask(some_rows(2, ("AAPL", "NOPE")))
    with pytest.raises(InvalidArgument, match=r"market_data\[0\]\.price"):
        await desk.ask(some_rows(1, price=np.array([math.nan])))


async def test_a_model_that_gives_no_number_is_an_error_not_an_answer(markets: Markets) -> None:
    desk = Desk(markets, says=math.nan)
    with pytest.raises(ModelFault):
        await desk.ask(some_rows(1, timestamp_ns=np.array([NOON_NS])))


async def test_a_shadow_that_sees_the_same_is_offered_the_samples(markets: Markets) -> None:
    desk = Desk(markets)
    desk.models.shadow = FakeModel(a_card(version="2"), 1.0)
    await desk.ask(walking_rows(20))
    offered = desk.shadows._offers.get_nowait()
    assert (offered.samples == desk.seen()).all()
    assert offered.logits.tolist() == [1.0] * 20
    desk.models.shadow = FakeModel(a_card(version="2", features=("spread",)), 1.0)
    await desk.ask(walking_rows(20))
    assert desk.shadows._offers.empty()
