"""Send orders that we hold, once their trigger is reached: stops that the venue does not work, and legs of brackets."""

from dataclasses import replace
from typing import Any

from services.execution.domain.order import Fact, OrderTerms
from services.execution.domain.trigger import is_reached, stop_of, touch_nanos, trailed_nanos, triggered_terms
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import Blotter, LiveOrder
from services.execution.usecases.brackets import Brackets
from services.execution.usecases.judge import Judge
from services.execution.usecases.market import Market
from services.execution.usecases.orders import Orders
from services.execution.usecases.submit import Submit
from trading.clock import Clock
from trading.errors import TradingError
from trading.order import OrderEventKind, OrderStatus, OrderType, TradingState


class Release:
    """Looks at the held orders of a symbol whenever it is quoted; while trading is halted they stay held."""

    def __init__(
        self,
        market: Market,
        orders: Orders,
        accounts: Accounts,
        judge: Judge,
        submit: Submit,
        brackets: Brackets,
        background: Background,
        clock: Clock,
        log: Any,
    ) -> None:
        self._market = market
        self._blotter: Blotter = orders.blotter
        self._journal = orders.journal
        self._accounts = accounts
        self._judge = judge
        self._submit = submit
        self._brackets = brackets
        self._background = background
        self._clock = clock
        self._log = log
        self._releasing: set[str] = set()
        brackets.release = self.leg

    def quoted(self, symbol: str) -> None:
        """A symbol has a new quote."""
        held = self._blotter.held.get(symbol)
        seen = self._market.quotes.latest(symbol) if held else None
        if held is None or seen is None:
            return
        for live in list(held.values()):
            self._look(live, touch_nanos(live.order.terms.side, seen.quote))

    def resume(self) -> None:
        """Send what an earlier run released and did not come to send."""
        for live in self._blotter.open_orders():
            if live.order.status is OrderStatus.RELEASED:
                self._send(live)

    def leg(self, live: LiveOrder, quantity_nanos: int) -> None:
        """Send a leg of a bracket for what is there to close; it passes without checks, for it only closes."""
        if not self._is_halted(live):
            self._release(live, replace(live.order.terms, quantity_nanos=quantity_nanos))
            self._send(live)

    def _look(self, live: LiveOrder, touch: int) -> None:
        terms = live.order.terms
        if terms.order_type is OrderType.TRAILING_STOP and touch:
            self._trail(live, touch)
        if not is_reached(terms, live.stop_nanos or stop_of(terms), touch):
            return
        if self._is_halted(live):
            return
        if terms.role is not None:
            self._brackets.reached(live)
        elif terms.order_id not in self._releasing:
            self._releasing.add(terms.order_id)
            self._background.start(self._judged(live))

    def _trail(self, live: LiveOrder, touch: int) -> None:
        stop = trailed_nanos(live.order.terms, live.stop_nanos, touch)
        if stop != live.stop_nanos:
            live.stop_nanos = stop
            self._journal.note_stop(live.order.order_id, stop)

    async def _judged(self, live: LiveOrder) -> None:
        """Judge what the order has become by the market that it meets now, and send it or end it."""
        try:
            terms = live.order.terms
            account = self._accounts.get(terms.account)
            instrument = await self._market.catalogue.get(terms.symbol)
            seen = await self._judge.quote(terms.symbol, account)
            if live.order.status is not OrderStatus.EMULATED:
                return
            # While it is held it counts as nothing: judged afterwards, it would count twice.
            denial = self._judge(triggered_terms(terms), instrument, account, seen, is_release=True)
            self._release(live, None)
            if denial is None:
                self._send(live)
            else:
                fact = Fact(OrderEventKind.DENIED, self._clock.now_ns(), reason=denial.message, denial=denial)
                self._journal.record(live, fact)
        except TradingError as error:  # nobody can say what it is worth now: it stays held, the next quote tries again
            self._log.warning("release.later", order_id=live.order.order_id, error=error.message)
        finally:
            self._releasing.discard(live.order.order_id)

    def _release(self, live: LiveOrder, terms: OrderTerms | None) -> None:
        self._journal.record(live, Fact(OrderEventKind.RELEASED, self._clock.now_ns(), terms=terms))

    def _send(self, live: LiveOrder) -> None:
        live.received_ns = self._clock.monotonic_ns()
        durable = self._journal.record(live, Fact(OrderEventKind.SUBMITTED, self._clock.now_ns()))
        durable.add_done_callback(lambda done: self._submit.dispatch(live, done.exception()))

    def _is_halted(self, live: LiveOrder) -> bool:
        return self._accounts.trading_state(live.order.account) is TradingState.HALTED
