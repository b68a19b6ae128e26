"""Follow the market: fold every tick into features, predict on the newest, signal when it is due."""

from collections.abc import Callable
from dataclasses import dataclass

from services.inference.domain.errors import ModelFault
from services.inference.domain.feeds import Feeds
from services.inference.domain.markets import Markets
from services.inference.domain.model import UNDECIDED, opinion
from services.inference.domain.prediction import Prediction, Signal
from services.inference.domain.signals import SignalBook, SignalClock, Target, decision_time_ns
from services.inference.ports import LiveModels, Model, Opinions
from services.inference.usecases.statistics import Statistics
from trading.clock import Clock
from trading.market import QuoteBlock, TradeBlock
from trading.money import from_float


@dataclass(frozen=True, slots=True)
class FollowRules:
    """Durations in ns: how long a signal may be traded, and how old a tick may be before its signal is stale."""

    signal_ttl_ns: int
    stale_after_ns: int
    signal_clock: SignalClock


class Follow:
    """The live path of the model that follows the market; one block at a time, each with one version of it."""

    def __init__(
        self,
        models: LiveModels,
        markets: Markets,
        book: SignalBook,
        opinions: Opinions,
        statistics: Statistics,
        clock: Clock,
        new_id: Callable[[], str],
        rules: FollowRules,
    ) -> None:
        self._models = models
        self._markets = markets
        self._book = book
        self._opinions = opinions
        self._statistics = statistics
        self._clock = clock
        self._new_id = new_id
        self._rules = rules
        self._quote_feeds, self._trade_feeds = Feeds(), Feeds()

    async def quotes(self, block: QuoteBlock, first_sequence: int, feed_id: str) -> None:
        """Fold a block of quotes and say what the model makes of the newest."""
        taken = self._quote_feeds.take(block.venue, block.symbol, feed_id, first_sequence, len(block))
        self._statistics.took(len(block) - taken.repeated, taken.missed)
        if taken.repeated == len(block):
            return
        fresh = block.tail(taken.repeated) if taken.repeated else block
        newest = self._markets.quotes(fresh)
        if newest >= 0:
            await self._predict(fresh, newest)

    def trades(self, block: TradeBlock, first_sequence: int, feed_id: str) -> None:
        """Fold a block of trades; they count with the next quote."""
        taken = self._trade_feeds.take(block.venue, block.symbol, feed_id, first_sequence, len(block))
        self._statistics.missed(taken.missed)
        if taken.repeated < len(block):
            self._markets.trades(block.tail(taken.repeated) if taken.repeated else block)

    async def _predict(self, block: QuoteBlock, position: int) -> None:
        with self._models.following(block.symbol) as model:
            horizon_ns = model.card.horizon_ns
            try:
                prediction = await self._opine(model, block, position)
            except ModelFault as fault:
                self._statistics.faulted(fault)
                return
        await self._opinions.predicted(prediction)
        self._statistics.predicted(self._clock.now_ns() - prediction.tick_receive_time_ns)
        target = self._book.decide(prediction, decision_time_ns(self._rules.signal_clock, prediction))
        if target is not None:
            await self._signal(prediction, target, horizon_ns)

    async def _opine(self, model: Model, block: QuoteBlock, position: int) -> Prediction:
        card, state = model.card, self._markets.of(block.venue, block.symbol)
        said = opinion(card, await model.logit(state.features())) if state.warm else UNDECIDED
        return Prediction(
            symbol=block.symbol,
            model=card.name,
            version=card.version,
            prediction=said.prediction,
            confidence=said.confidence,
            calibrated=card.calibration is not None,
            warm=state.warm,
            event_time_ns=int(block.event_time_ns[position]),
            tick_receive_time_ns=int(block.receive_time_ns[position]),
            created_time_ns=self._clock.now_ns(),
            price_nanos=from_float(state.price),
        )

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
        self._statistics.signalled(self._clock.now_ns() - prediction.tick_receive_time_ns)
