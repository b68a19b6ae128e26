"""The live path: ticks in, opinions out."""

import asyncio
import math

import numpy as np
import pytest
import structlog
from builders.inference import NOON_NS, SECOND_NS, a_card, a_quote_block, a_trade_block, a_walk
from fakes.inference import FakeModel, FakeModels, FakeOpinions
from waiting import until

from fleet.metrics import Metrics
from services.inference.domain.features import FEATURES, WARM_UP_TICKS
from services.inference.domain.markets import Markets
from services.inference.domain.prediction import SignalSide
from services.inference.domain.signals import SignalRules
from services.inference.domain.watches import Watches, WatchRules
from services.inference.usecases.compare_shadows import CompareShadows
from services.inference.usecases.follow import Follow, FollowRules, followers
from services.inference.usecases.statistics import Statistics
from trading.clock import ManualClock
from trading.errors import Unavailable

RULES = FollowRules(signal_ttl_ns=5 * SECOND_NS, stale_after_ns=SECOND_NS, signal_clock="auto")


class Path:
    """A live path whose every end is at hand."""

    def __init__(self, says: float = 1.0, *, signals: bool = True, **card: object) -> None:
        self.model = FakeModel(a_card(**card), says)
        self.markets = Markets()
        self.opinions = FakeOpinions()
        self.statistics = Statistics(Metrics(), ["test-model"], structlog.get_logger())
        self.watches = Watches(WatchRules(rows=64, stride=1, outcomes=64, waiting=8))
        self.clock = ManualClock(NOON_NS)
        self.models = FakeModels(self.model)
        self.shadows = CompareShadows(self.models, 8)
        self.follow = Follow(
            self.models,
            followers(["test-model"], SignalRules(cooldown_ns=SECOND_NS), ["test-model"] if signals else []),
            self.markets,
            self.opinions,
            self.statistics,
            self.watches,
            self.shadows,
            self.clock,
            lambda: "an-id",
            RULES,
        )
        self.sent = 0

    async def quotes(self, count: int, *, start_ns: int = NOON_NS, symbol: str = "AAPL") -> None:
        """A block of quotes that arrives 5 ms after its last tick was read."""
        block = a_quote_block(a_walk(count), start_ns=start_ns, symbol=symbol)
        self.clock.advance(int(block.receive_time_ns[-1]) + 5_000_000 - self.clock.now_ns())
        await self.follow.quotes(block, self.sent, "feed")
        self.sent += count

    async def warmed(self) -> "Path":
        """The same, with warm features."""
        await self.quotes(WARM_UP_TICKS)
        return self


async def test_each_block_makes_one_prediction_of_its_newest_tick() -> None:
    path = await Path().warmed()
    block = a_quote_block([100.0, 101.0, 102.0], start_ns=NOON_NS + 60 * SECOND_NS)
    await path.follow.quotes(block, path.sent, "feed")
    prediction = path.opinions.predictions[-1]
    assert len(path.opinions.predictions) == 2
    assert prediction.event_time_ns == block.event_time_ns[-1]
    assert prediction.tick_receive_time_ns == block.receive_time_ns[-1]
    assert prediction.price_nanos == 102_005_000_000
    assert (prediction.symbol, prediction.model, prediction.version) == ("AAPL", "test-model", "1")


async def test_every_tick_of_a_block_is_folded() -> None:
    path = await Path().warmed()
    assert path.markets.of("paper", "AAPL").ticks == WARM_UP_TICKS
    assert path.statistics.ticks == WARM_UP_TICKS


async def test_a_warm_symbol_gets_what_the_model_says() -> None:
    path = await Path(says=1.0).warmed()
    up = 1 / (1 + math.exp(-1))
    prediction = path.opinions.predictions[-1]
    assert (prediction.warm, prediction.calibrated) == (True, True)
    assert prediction.confidence == pytest.approx(up)
    assert prediction.prediction == pytest.approx(2 * up - 1)
    assert path.model.asked[-1].shape == (1, len(FEATURES))


async def test_a_cold_symbol_is_undecided_and_the_model_is_not_asked() -> None:
    path = Path(says=9.0)
    await path.quotes(WARM_UP_TICKS - 1)
    prediction = path.opinions.predictions[-1]
    assert (prediction.warm, prediction.prediction, prediction.confidence) == (False, 0.0, 0.5)
    assert path.model.asked == []
    assert path.opinions.signals == []


async def test_a_confident_prediction_becomes_a_signal_that_expires() -> None:
    path = await Path(says=1.0).warmed()
    signal = path.opinions.signals[-1]
    assert (signal.id, signal.side, signal.stale) == ("an-id", SignalSide.BUY, False)
    assert signal.prediction == path.opinions.predictions[-1]
    assert signal.strength == pytest.approx(signal.prediction.prediction)
    assert signal.horizon_ns == path.model.card.horizon_ns
    assert signal.expires_ns == path.clock.now_ns() + 5 * SECOND_NS


async def test_an_uncalibrated_model_predicts_and_signals_nothing() -> None:
    path = await Path(says=9.0, calibration=None).warmed()
    assert path.opinions.predictions[-1].calibrated is False
    assert path.opinions.predictions[-1].confidence == 0.5
    assert path.opinions.signals == []


async def test_a_signal_from_an_old_tick_is_stale() -> None:
    path = Path()
    block = a_quote_block(a_walk(WARM_UP_TICKS))
    path.clock.advance(int(block.receive_time_ns[-1]) + SECOND_NS + 1 - NOON_NS)
    await path.follow.quotes(block, 0, "feed")
    assert path.opinions.signals[-1].stale


async def test_latencies_run_from_the_ticks_read() -> None:
    path = await Path().warmed()
    assert path.statistics.tick_to_prediction.summary().p50_ns == 5_000_000
    assert path.statistics.tick_to_signal.summary().p50_ns == 5_000_000


async def test_a_clock_that_was_set_back_gives_no_negative_latency() -> None:
    path = await Path().warmed()
    path.clock.advance(-3_600 * SECOND_NS)
    await path.follow.quotes(a_quote_block([100.0], start_ns=NOON_NS + 60 * SECOND_NS), path.sent, "feed")
    assert path.statistics.tick_to_prediction.summary().mean_ns >= 0


async def test_missed_ticks_are_counted_for_quotes_and_trades() -> None:
    path = await Path().warmed()
    await path.follow.quotes(a_quote_block([100.0]), path.sent + 7, "feed")
    path.follow.trades(a_trade_block([100.0]), 0, "feed")
    path.follow.trades(a_trade_block([100.0]), 4, "feed")
    assert path.statistics.missed_ticks == 7 + 3


async def test_repeated_ticks_are_folded_once() -> None:
    path = await Path().warmed()
    block = a_quote_block([100.0, 101.0, 102.0])
    await path.follow.quotes(block, path.sent - 2, "feed")
    assert path.markets.of("paper", "AAPL").ticks == WARM_UP_TICKS + 1
    predictions = len(path.opinions.predictions)
    await path.follow.quotes(block, path.sent - 2, "feed")
    assert len(path.opinions.predictions) == predictions, "nothing new, nothing said"


async def test_repeated_trades_count_once() -> None:
    path = Path()
    path.follow.trades(a_trade_block([100.0, 100.0]), 0, "feed")
    path.follow.trades(a_trade_block([100.0, 100.0, 100.0]), 0, "feed")
    path.follow.trades(a_trade_block([100.0]), 0, "feed")
    assert path.markets.of("paper", "AAPL").pending_trades == 3.0


async def test_a_block_without_a_market_says_nothing() -> None:
    path = Path()
    await path.follow.quotes(a_quote_block([0.0], [0.0]), 0, "feed")
    assert path.opinions.predictions == []
    assert path.statistics.ticks == 1


async def test_a_model_that_gives_no_number_is_counted_and_silenced() -> None:
    path = Path(says=math.nan)
    with structlog.testing.capture_logs() as logs:
        await path.warmed()
        await path.quotes(3)
    assert path.opinions.predictions == []
    assert path.statistics.faults == 2
    assert [entry["event"] for entry in logs] == ["model.fault"], "said once"


async def test_a_model_that_cannot_be_reached_silences_its_ticks_and_nothing_else() -> None:
    path = Path()
    path.model.refuses = Unavailable("The server that runs it is silent.")
    await path.warmed()
    assert path.statistics.faults > 0
    assert path.opinions.predictions == []
    path.model.refuses = None
    await path.quotes(1)
    assert len(path.opinions.predictions) == 1


async def test_signals_of_a_replay_cool_down_by_event_time() -> None:
    path = await Path(says=1.0).warmed()
    years_ago = NOON_NS - 10**18
    for step in range(3):
        path.model.says = 3.0 if step % 2 else -3.0
        block = a_quote_block(
            [100.0], symbol="AAPL", start_ns=years_ago + step * 2 * SECOND_NS, receive_delay_ns=10**18 + step
        )
        await path.follow.quotes(block, path.sent + step, "feed")
    assert [signal.side for signal in path.opinions.signals[1:]] == [SignalSide.SELL, SignalSide.BUY, SignalSide.SELL]


async def test_a_model_that_only_predicts_signals_nothing() -> None:
    path = await Path(says=5.0, signals=False).warmed()
    assert path.opinions.predictions[-1].confidence > 0.9
    assert path.opinions.signals == []


async def test_what_was_predicted_is_watched_and_judged_when_its_horizon_has_passed() -> None:
    path = await Path(says=5.0).warmed()
    start_ns = NOON_NS + 60 * SECOND_NS
    for number, bid in enumerate((100.0, 101.0, 102.0)):
        block = a_quote_block([bid], start_ns=start_ns + number * SECOND_NS * 3 // 10)
        await path.follow.quotes(block, path.sent + number, "feed")
    found = path.watches.drift("test-model", "1")
    assert found.rows == 4
    assert found.judged.outcomes == 2, "the newest two still wait"
    assert found.judged.hit_rate == pytest.approx((0.5 + 1) / 2), "unchanged for a minute, then up"


async def test_a_cold_symbol_is_not_watched() -> None:
    path = Path()
    await path.quotes(3)
    assert path.watches.drift("test-model", "1").rows == 0


async def test_a_sequence_model_sees_the_newest_rows_once_there_are_enough() -> None:
    path = Path(architecture="gru", window=10)
    for _ in range(WARM_UP_TICKS + 20):
        await path.quotes(1)
    warm = [prediction.warm for prediction in path.opinions.predictions]
    assert warm.index(True) == WARM_UP_TICKS - 1 + 9
    assert all(warm[warm.index(True) :])
    windows = np.concatenate(path.model.asked)
    assert windows.shape == (12, 10, len(FEATURES))
    assert windows[-1, -1] == pytest.approx(path.markets.of("paper", "AAPL").features(), rel=1e-5)
    assert path.opinions.predictions[warm.index(True) - 1].confidence == 0.5


async def test_a_model_of_some_features_sees_those() -> None:
    path = Path(features=("spread", "return_1"))
    await path.warmed()
    spread = path.markets.of("paper", "AAPL").features()[FEATURES.index("spread")]
    assert path.model.asked[-1][0].tolist() == pytest.approx([spread, path.markets.of("paper", "AAPL").last_r])


@pytest.mark.parametrize("shadow", [{}, {"architecture": "gru", "window": 10}, {"features": ("spread",)}])
async def test_a_shadow_is_offered_what_it_would_have_seen(shadow: dict[str, object]) -> None:
    path = Path()
    path.models.shadow = FakeModel(a_card(version="2", **shadow))
    path.markets.remember(10)
    await path.warmed()
    for _ in range(12):
        await path.quotes(1)
    keeping = asyncio.create_task(path.shadows.keep())
    await until(lambda: path.models.count.samples >= 3, "comparisons")
    keeping.cancel()
    card = path.models.shadow.card
    assert {seen.shape for seen in path.models.shadow.asked} == {(1, *card.sample_shape)}
    assert {prediction.version for prediction in path.opinions.predictions} == {"1"}, "the shadow is not heard"


async def test_what_happened_is_judged_even_while_the_model_fails() -> None:
    path = await Path(says=5.0).warmed()
    path.model.says = math.nan
    await path.follow.quotes(a_quote_block([100.0], start_ns=NOON_NS + 60 * SECOND_NS), path.sent, "feed")
    found = path.watches.drift("test-model", "1")
    assert (found.judged.outcomes, path.statistics.faults) == (1, 1)
