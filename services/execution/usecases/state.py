"""State an account's day, and compare everything with the venue: what a back office asks for."""

from collections.abc import Iterable

from services.execution.domain.adoption import adopted_id
from services.execution.domain.comparison import Comparison
from services.execution.domain.holdings import Holdings, sum_of
from services.execution.domain.lifecycle import HELD
from services.execution.domain.order import Order
from services.execution.domain.statement import DayFold, Statement, parse_day
from services.execution.domain.venue import VenueOrder, VenuePosition
from services.execution.ports.charges import ChargeStore
from services.execution.ports.venue import Broker
from services.execution.usecases.accounts import Account, Accounts
from services.execution.usecases.collect_charges import CollectCharges
from services.execution.usecases.market import Market
from services.execution.usecases.orders import Orders
from services.execution.usecases.read_ledger import read_ledger
from trading.clock import Clock
from trading.money import ONE, format_nanos


class State:
    """Reading, which changes nothing."""

    def __init__(
        self,
        broker: Broker,
        market: Market,
        orders: Orders,
        accounts: Accounts,
        charges: ChargeStore,
        collect: CollectCharges,
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._market = market
        self._orders = orders
        self._accounts = accounts
        self._charges = charges
        self._collect = collect
        self._clock = clock

    async def statement(self, account: str, day: str) -> Statement:
        """What an account did on a UTC day (today when empty); raises InvalidArgument, NotFound."""
        record = self._accounts.get(account).record
        wanted = parse_day(day, self._clock.now_ns())
        await self._orders.journal.flush()
        fold = DayFold(record.id, record.venue, record.currency, record.opening_cash_nanos, wanted)
        async for page in read_ledger(self._orders.store, self._charges, record.id):
            fold.take(page)
        return fold.statement()

    async def compare(self, account: str) -> list[Comparison]:
        """Open orders, positions and cash of an account beside the venue's word; raises NotFound, Unavailable.

        Only the first account is the venue's own: the positions and the cash of the others are part of it there.
        """
        chosen = self._accounts.get(account)
        await self._collect()
        found = await self._broker.open_orders()
        positions = await self._broker.positions()
        word = await self._broker.account()
        orders = self._orders_beside(chosen, found)
        if chosen.record.id != self._accounts.primary:
            return orders
        cash = Comparison("cash", word.currency, format_nanos(self._cash(chosen)), format_nanos(word.cash_nanos))
        return [*orders, *await self._positions_beside(positions), cash]

    def _orders_beside(self, account: Account, found: Iterable[VenueOrder]) -> list[Comparison]:
        open_orders = self._orders.blotter.open_orders(account.record.id)
        ours = {live.order.order_id: live.order for live in open_orders if live.order.status not in HELD}
        theirs = {order.order_id or adopted_id(order): order for order in found}
        rows = []
        for name in sorted(ours.keys() | theirs.keys()):
            mine, his = ours.get(name), theirs.get(name)
            if mine is None and his is not None and self._orders.blotter.get(name) is not None:
                continue  # of another account of ours, or closed this moment
            rows.append(Comparison("order", name, _filled(mine), _filled(his)))
        return rows

    async def _positions_beside(self, positions: Iterable[VenuePosition]) -> list[Comparison]:
        ours = sum_of(self._orders.blotter.holdings.values())
        theirs = {await self._market.symbol(each.symbol): each.quantity_nanos for each in positions}
        names = {name for name, quantity in (*ours.items(), *theirs.items()) if quantity}
        return [
            Comparison("position", name, format_nanos(ours.get(name, 0)), format_nanos(theirs.get(name, 0)))
            for name in sorted(names)
        ]

    def _cash(self, account: Account) -> int:
        flows: Iterable[Holdings] = self._orders.blotter.holdings.values()
        return account.record.opening_cash_nanos + sum(each.cash_flow_value for each in flows) // ONE


def _filled(order: Order | VenueOrder | None) -> str:
    return "" if order is None else f"open, filled {format_nanos(order.filled_nanos)}"
