"""Follow the market: fold every tick into features, predict on the newest, signal when it is due."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.inference.domain.features import FeatureState
from services.inference.domain.feeds import Feeds
from services.inference.domain.markets import Markets
from services.inference.domain.model import UNDECIDED, ModelCard, opinion
from services.inference.domain.model_inputs import Table, picked, picker
from services.inference.domain.prediction import Prediction, Signal
from services.inference.domain.signals import SignalBook, SignalClock, SignalRules, Target, decision_time_ns
from services.inference.domain.watches import Watch, Watches
from services.inference.ports import LiveModels, Model, Opinions
from services.inference.usecases.compare_shadows import CompareShadows
from services.inference.usecases.statistics import Statistics
from trading.clock import Clock
from trading.errors import TradingError
from trading.market import QuoteBlock, TradeBlock
from trading.money import from_float


@dataclass(frozen=True, slots=True)
class FollowRules:
    """Durations in ns: how long a signal may be traded, and how old a tick may be before its signal is stale."""

    signal_ttl_ns: int
    stale_after_ns: int
    signal_clock: SignalClock


@dataclass(frozen=True, slots=True)
class Follower:
    """A model that follows by its name, and what it has signalled; without a book it predicts and signals nothing."""

    name: str
    book: SignalBook | None


def followers(names: Sequence[str], rules: SignalRules, signalling: Sequence[str]) -> list[Follower]:
    """A follower for each model, those of `signalling` with a book."""
    return [Follower(name, SignalBook(rules) if name in signalling else None) for name in names]


class Follow:
    """The live path of some models; one block at a time, each with one version of each."""

    def __init__(
        self,
        models: LiveModels,
        following: Sequence[Follower],
        markets: Markets,
        opinions: Opinions,
        statistics: Statistics,
        watches: Watches,
        shadows: CompareShadows,
        clock: Clock,
        new_id: Callable[[], str],
        rules: FollowRules,
    ) -> None:
        self._models = models
        self._following = tuple(following)
        self._markets = markets
        self._opinions = opinions
        self._statistics = statistics
        self._watches = watches
        self._shadows = shadows
        self._clock = clock
        self._new_id = new_id
        self._rules = rules
        self._quote_feeds, self._trade_feeds = Feeds(), Feeds()

    async def quotes(self, block: QuoteBlock, first_sequence: int, feed_id: str) -> None:
        """Fold a block of quotes and say what the models make of the newest."""
        taken = self._quote_feeds.take(block.venue, block.symbol, feed_id, first_sequence, len(block))
        self._statistics.took(len(block) - taken.repeated, taken.missed)
        if taken.repeated == len(block):
            return
        fresh = block.tail(taken.repeated) if taken.repeated else block
        state = self._markets.of(block.venue, block.symbol)
        price_before = state.price
        newest = self._markets.quotes(fresh)
        if newest >= 0:
            tick = _Tick(fresh, newest, state, state.features() if state.warm else None, price_before)
            for follower in self._following:
                await self._predict(follower, tick)

    def trades(self, block: TradeBlock, first_sequence: int, feed_id: str) -> None:
        """Fold a block of trades; they count with the next quote."""
        taken = self._trade_feeds.take(block.venue, block.symbol, feed_id, first_sequence, len(block))
        self._statistics.missed(taken.missed)
        if taken.repeated < len(block):
            self._markets.trades(block.tail(taken.repeated) if taken.repeated else block)

    async def _predict(self, follower: Follower, tick: "_Tick") -> None:
        with self._models.following(follower.name, tick.block.symbol) as model:
            card = model.card
            try:
                logit = await self._logit(model, tick)
                prediction = self._opine(card, tick, logit)
            except TradingError as error:  # a model, or a server that runs it, fails: ticks go on
                self._statistics.faulted(error)
                self._settle(card, tick)
                return
        await self._opinions.predicted(prediction)
        self._statistics.predicted(follower.name, self._clock.now_ns() - prediction.tick_receive_time_ns)
        if follower.book is not None:
            target = follower.book.decide(prediction, decision_time_ns(self._rules.signal_clock, prediction))
            if target is not None:
                await self._signal(prediction, target, card.horizon_ns)
        self._watch(card, tick, prediction)
        if logit is not None:
            self._shadows.offer(card, logit, lambda other: self._sample(other, tick))

    def _opine(self, card: ModelCard, tick: "_Tick", logit: float | None) -> Prediction:
        block, position = tick.block, tick.position
        said = UNDECIDED if logit is None else opinion(card, logit)
        return Prediction(
            symbol=block.symbol,
            model=card.name,
            version=card.version,
            prediction=said.prediction,
            confidence=said.confidence,
            calibrated=card.calibration is not None,
            warm=logit is not None,
            event_time_ns=int(block.event_time_ns[position]),
            tick_receive_time_ns=int(block.receive_time_ns[position]),
            created_time_ns=self._clock.now_ns(),
            price_nanos=from_float(tick.state.price),
        )

    async def _logit(self, model: Model, tick: "_Tick") -> float | None:
        """What a model makes of the newest row, or of the newest window; None while either is cold."""
        card, block = model.card, tick.block
        self._markets.remember(card.window)
        if tick.row is None:
            return None
        if len(card.sample_shape) == 1:
            return await model.logit(picker(card.features)(tick.row))
        window = self._markets.recent(block.venue, block.symbol, card.window)
        return await model.window_logit(picked(window, card.features)) if len(window) == card.window else None

    def _sample(self, card: ModelCard, tick: "_Tick") -> Table | None:
        """What a model would see of a tick, as a batch of one."""
        self._markets.remember(card.window)
        if tick.row is None:
            return None
        if len(card.sample_shape) == 1:
            return np.array([picker(card.features)(tick.row)])
        window = self._markets.recent(tick.block.venue, tick.block.symbol, card.window)
        return picked(window, card.features)[None] if len(window) == card.window else None

    async def _signal(self, prediction: Prediction, target: Target, horizon_ns: int) -> None:
        now_ns = self._clock.now_ns()
        signal = Signal(
            id=self._new_id(),
            side=target.side,
            strength=target.strength,
            horizon_ns=horizon_ns,
            created_time_ns=now_ns,
            expires_ns=now_ns + self._rules.signal_ttl_ns,
            stale=now_ns - prediction.tick_receive_time_ns > self._rules.stale_after_ns,
            prediction=prediction,
        )
        await self._opinions.signalled(signal)
        self._statistics.signalled(prediction.model, self._clock.now_ns() - prediction.tick_receive_time_ns)

    def _watch(self, card: ModelCard, tick: "_Tick", prediction: Prediction) -> None:
        """Last of all, because nobody waits for it."""
        watch, block = self._settle(card, tick), tick.block
        if tick.row is not None:
            watch.rows.see(picker(card.features)(tick.row))
        if prediction.warm:
            up = (1 + prediction.prediction) / 2
            watch.outcomes.add((block.venue, block.symbol), prediction.event_time_ns, tick.state.price, up)

    def _settle(self, card: ModelCard, tick: "_Tick") -> Watch:
        """Judge what was predicted before by what this block decides."""
        watch = self._watches.of(card)
        watch.outcomes.settle(tick.block, tick.position, tick.price_before)
        return watch


class _Tick(NamedTuple):
    """The newest tick of a block, the state that has folded it, its features when warm, and the mid before."""

    block: QuoteBlock
    position: int
    state: FeatureState
    row: tuple[float, ...] | None
    price_before: float
