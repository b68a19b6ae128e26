"""Judge an order: gather what the checks need to know, and ask them."""

from services.execution.domain.order import Denial, Order, OrderTerms
from services.execution.domain.risk import Intent, Situation, judge
from services.execution.ports.market import SeenQuote
from services.execution.usecases.accounts import Account
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.market import Market
from trading.clock import Clock
from trading.instruments import Instrument
from trading.order import OrderStatus


class Judge:
    """The one place where the risk checks meet an account."""

    def __init__(self, market: Market, blotter: Blotter, clock: Clock) -> None:
        self._market = market
        self._blotter = blotter
        self._clock = clock

    async def quote(self, symbol: str, account: Account) -> SeenQuote | None:
        """The newest quote; market_data is asked when what the stream told is too old to judge by."""
        seen = self._market.quotes.latest(symbol)
        limit = account.limits.max_quote_age_ns
        if seen is not None and (limit is None or seen.age_ns <= limit):
            return seen
        return await self._market.quotes.ask(symbol) or seen

    def __call__(
        self,
        terms: OrderTerms,
        instrument: Instrument,
        account: Account,
        seen: SeenQuote | None,
        replaced: Order | None = None,
        *,
        is_release: bool = False,
    ) -> Denial | None:
        """The first objection to an order, to a change of the one that it replaces, or to the release of a held one.

        A pass counts towards the rates, unless the order counted before.
        """
        now_ns = self._clock.monotonic_ns()
        intent = Intent(
            terms,
            instrument,
            seen and seen.quote,
            seen.age_ns if seen else 0,
            counted_nanos=replaced.terms.quantity_nanos if replaced else 0,
            reweighed_nanos=replaced.remaining_nanos if replaced and _costs_more(terms, replaced.terms) else 0,
            is_change=replaced is not None,
            is_release=is_release,
            session=self._market.catalogue.session(instrument.symbol),
        )
        objection = judge(intent, self._situation(terms, account, now_ns))
        if objection is None and not is_release:
            account.note(terms, now_ns, is_change=replaced is not None)
        return objection

    def situation(self, account: Account) -> Situation:
        """An account as it stands, for checks that are about no order."""
        return self._situation(None, account, self._clock.monotonic_ns())

    def _situation(self, terms: OrderTerms | None, account: Account, now_ns: int) -> Situation:
        name = account.record.id
        return Situation(
            limits=account.limits,
            trading_state=account.record.trading_state,
            holdings=self._blotter.holdings[name],
            opening_cash_nanos=account.record.opening_cash_nanos,
            multiplier=account.multiplier,
            mark=self._market.mid,
            submits_last_second=account.count_submits(now_ns),
            now_ns=self._clock.now_ns(),
            modifies_last_second=account.count_modifies(now_ns),
            resting=self._resting(terms, account) if terms else (),
            same_intent_age_ns=account.same_intent_age_ns(terms, now_ns) if terms else None,
        )

    def _resting(self, terms: OrderTerms, account: Account) -> list[OrderTerms]:
        if not account.limits.refuse_self_trades:
            return []
        open_orders = self._blotter.open_in(account.record.id, terms.symbol)
        opposite = [live.order for live in open_orders if live.order.terms.side is not terms.side]
        return [order.terms for order in opposite if order.status is not OrderStatus.EMULATED]


def _costs_more(terms: OrderTerms, before: OrderTerms) -> bool:
    higher = (terms.price_nanos or 0) > (before.price_nanos or 0)
    return higher or (terms.stop_price_nanos or 0) > (before.stop_price_nanos or 0)
