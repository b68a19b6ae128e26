"""Turns target weights into a durable proposal of orders; nothing is sent."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from services.portfolio.domain.rebalance import Order, Rebalance, Rules, State, client_order_id
from services.portfolio.domain.rebalance_plan import Plan, Situation, plan_orders, require_rules
from services.portfolio.ports import MarketData, Rebalances, Targets
from services.portfolio.usecases.changes import Changes
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT
from services.portfolio.usecases.survey import Survey
from trading.clock import Clock
from trading.errors import InvalidArgument
from trading.instruments import Instruments


class ProposeRebalance:
    """The one way in which proposals are made, for callers and for schedules."""

    def __init__(
        self,
        survey: Survey,
        market_data: MarketData,
        targets: Targets,
        rebalances: Rebalances,
        changes: Changes,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        orders_max: int,
    ) -> None:
        self._survey = survey
        self._market_data = market_data
        self._targets = targets
        self._rebalances = rebalances
        self._changes = changes
        self._clock = clock
        self._new_id = new_id
        self._orders_max = orders_max

    async def __call__(self, rules: Rules, optimize: bytes = b"") -> Rebalance:
        """The stored proposal.

        Raises InvalidArgument for rules that can never be right, UnknownSymbol, NotFound for an unknown account,
        FailedPrecondition NO_EQUITY, Unavailable while a part of the fleet is away, and what the optimiser raises.
        """
        rebalance = await self._made(rules, optimize, scheduled=False)
        await self._keep(rebalance)
        return rebalance

    async def scheduled(self, rules: Rules, optimize: bytes) -> Rebalance | None:
        """The same for a schedule; None, and nothing is stored, when there is nothing to trade."""
        rebalance = await self._made(rules, optimize, scheduled=True)
        if not rebalance.orders:
            return None
        await self._keep(rebalance)
        return rebalance

    async def _keep(self, rebalance: Rebalance) -> None:
        await self._rebalances.add(rebalance)
        self._changes.ring()

    async def _made(self, rules: Rules, optimize: bytes, *, scheduled: bool) -> Rebalance:
        require_rules(rules, has_targets=not optimize)
        known = await self._market_data.instruments()
        rules = await self._with_targets(rules, optimize, known)
        situation = await self._survey(rules.account, rules.targets, known)
        plan = plan_orders(rules, situation)
        if len(plan.orders) > self._orders_max:
            message = f"Expected at most {self._orders_max} orders, was {len(plan.orders)}."
            raise InvalidArgument(message, reason="TOO_MANY_ORDERS", field="targets", most=self._orders_max)
        return self._rebalance(rules, situation, plan, scheduled=scheduled)

    async def _with_targets(self, rules: Rules, optimize: bytes, known: Instruments) -> Rules:
        """Rules of a named account whose targets are by canonical symbol, found where none were given."""
        targets = rules.targets
        if optimize:
            if targets:
                raise InvalidArgument("Expected targets or an optimisation, not both.", field="targets")
            targets = await self._targets(optimize)
        rules = replace(rules, account=rules.account or DEFAULT_ACCOUNT, targets=_canonical(targets, known))
        require_rules(rules)
        return rules

    def _rebalance(self, rules: Rules, situation: Situation, plan: Plan, *, scheduled: bool) -> Rebalance:
        rebalance_id, now_ns = self._new_id(), self._clock.now_ns()
        return Rebalance(
            id=rebalance_id,
            account=rules.account,
            state=State.PROPOSED,
            rules=rules,
            orders=tuple(_named(order, rebalance_id) for order in plan.orders),
            left_alone=plan.left_alone,
            weights=situation.weights(),
            equity_nanos=situation.equity_nanos,
            turnover=plan.turnover,
            created_time_ns=now_ns,
            updated_time_ns=now_ns,
            scheduled=scheduled,
        )


def _canonical(targets: Mapping[str, float], known: Instruments) -> dict[str, float]:
    spelt = {known.get(symbol).symbol: weight for symbol, weight in targets.items()}
    if len(spelt) < len(targets):
        raise InvalidArgument("Two targets name the same symbol.", reason="DUPLICATE_SYMBOL", field="targets")
    return spelt


def _named(order: Order, rebalance_id: str) -> Order:
    return replace(order, client_order_id=client_order_id(rebalance_id, order.symbol))
