"""Collect what the venue charges beside fills: each charge recorded once, and followed by the account's cash."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.execution.domain.charge import Charge, VenueCharge, charge_id
from services.execution.ports.charges import ChargeStore
from services.execution.ports.venue import Broker
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.journal import Journal
from services.execution.usecases.market import Market
from services.execution.usecases.observe import Observer
from services.execution.usecases.orders import Orders
from trading.clock import DAY_NS, SECOND_NS, Clock
from trading.errors import Unavailable, UnknownSymbol
from trading.money import format_nanos

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class ChargeRhythm:
    """Seconds: how often new charges are asked for, how far back late ones are looked for, and how often that is."""

    every_s: float = 60.0
    look_back_s: float = 7 * DAY_NS / SECOND_NS
    look_back_every_s: float = 3_600.0


class CollectCharges:
    """Memory follows the record: a charge counts once it is durable, whoever was told so."""

    def __init__(
        self,
        venue: str,
        broker: Broker,
        store: ChargeStore,
        orders: Orders,
        market: Market,
        accounts: Accounts,
        observer: Observer,
        clock: Clock,
        rhythm: ChargeRhythm,
        log: Any,
    ) -> None:
        self._venue = venue
        self._broker = broker
        self._store = store
        self._orders = orders
        self._market = market
        self._accounts = accounts
        self._observer = observer
        self._clock = clock
        self._rhythm = rhythm
        self._log = log
        self._turn = asyncio.Lock()
        self._counted = 0
        self._newest_id = ""
        self.on_recorded: Callable[[], None] = _nothing

    async def load(self) -> None:
        """Everything that is recorded has been recalled."""
        self._counted = await self._store.head()

    async def open_accounts(self) -> None:
        """Open the accounts at a moment when it is certain which charges the venue's cash contains."""
        after_ns = self._clock.now_ns() - int(self._rhythm.look_back_s * SECOND_NS)
        while True:
            paid = await self._broker.charges(after_ns)
            word = await self._broker.account()
            if await self._broker.charges(after_ns) == paid:
                break
        await self._store.record(await self._named(paid), self._journal.epoch, paid=True)
        await self._accounts.take_in(word, after_ns)

    async def __call__(self) -> None:
        """Take in what is new since the newest charge that was seen; raises Unavailable."""
        await self._collect(self._newest_id)

    async def look_back(self) -> None:
        """Take in what was told late, too: some charges are made for a day that is over; raises Unavailable."""
        await self._collect("")

    async def forever(self) -> None:
        """Keep asking; the venue's silence is waited out."""
        rhythm, looked_ns = self._rhythm, self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(rhythm.every_s)
            try:
                if self._clock.monotonic_ns() - looked_ns >= rhythm.look_back_every_s * SECOND_NS:
                    await self.look_back()
                    looked_ns = self._clock.monotonic_ns()
                else:
                    await self()
            except Unavailable as error:
                self._log.warning("charges.later", error=error.message)

    @property
    def _journal(self) -> Journal:
        return self._orders.journal

    async def _collect(self, after_id: str) -> None:
        if not self._accounts.is_open:
            return
        async with self._turn:
            found = await self._broker.charges(await self._after_ns(), after_id)
            ids = [charge_id(self._venue, each.venue_id) for each in found]
            known = await self._store.known(ids)
            fresh = [each for each, name in zip(found, ids, strict=True) if name not in known]
            if fresh:
                await self._journal.flush()  # the trades that it is charged for come before it
                await self._store.record(await self._named(fresh), self._journal.epoch)
            await self._count()
            if found:
                self._newest_id = found[-1].venue_id

    async def _after_ns(self) -> int:
        opened_ns = self._accounts.get(self._accounts.primary).record.charges_after_ns
        return max(opened_ns, await self._store.newest_ns() - int(self._rhythm.look_back_s * SECOND_NS))

    async def _named(self, found: Sequence[VenueCharge]) -> list[Charge]:
        """In our names. The account behind the venue's key pays what belongs to no order of another one."""
        orders = {each.venue_order_id for each in found if each.venue_order_id is not None}
        owners = self._orders.blotter.by_venue_ids(orders)
        named = []
        for each in found:
            live = owners.get(each.venue_order_id) if each.venue_order_id is not None else None
            named.append(
                Charge(
                    charge_id(self._venue, each.venue_id),
                    each.venue_id,
                    live.order.account if live else self._accounts.primary,
                    each.kind,
                    await self._symbol(each.symbol),
                    each.currency,
                    each.amount_nanos,
                    each.quantity_nanos,
                    live.order.order_id if live else None,
                    each.event_time_ns,
                    self._clock.now_ns(),
                )
            )
        return named

    async def _symbol(self, spelling: str) -> str:
        """The canonical symbol, or the venue's word for what is not traded here; raises Unavailable."""
        try:
            return (await self._market.catalogue.get(spelling)).symbol if spelling else ""
        except UnknownSymbol:
            return spelling

    async def _count(self) -> None:
        while page := await self._store.list(self._counted, _PAGE):
            for logged in page:
                self._orders.blotter.charge(logged.charge)
                self._counted = logged.sequence
                self._tell_log(logged.charge)
            self.on_recorded()

    def _tell_log(self, charge: Charge) -> None:
        self._observer.charged(charge.kind)
        self._log.info(
            "charge.recorded",
            kind=charge.kind,
            account=charge.account,
            amount=format_nanos(charge.amount_nanos),
            quantity=format_nanos(charge.quantity_nanos),
            symbol=charge.symbol,
        )


def _nothing() -> None:
    """Nobody tells charges yet."""
