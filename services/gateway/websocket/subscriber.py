"""Answers a client's commands: resolves names, sends the state first, then lets the updates through."""

from dataclasses import dataclass

from neuraltrader.execution.v1 import execution_service_pb2 as execution_rpc
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_rpc
from services.gateway.auth import Principal
from services.gateway.backends import Backends
from services.gateway.websocket import snapshots
from services.gateway.websocket.catalogue import Catalogue
from services.gateway.websocket.commands import Cursor, Subscribe, Unsubscribe, Wish
from services.gateway.websocket.feed import Feed, gap_frame
from services.gateway.websocket.frames import BY_ACCOUNT, BY_SYMBOL, DURABLE, EVERYTHING, Channel, Frame, note
from services.gateway.websocket.hub import Hub
from services.gateway.websocket.market import Market
from services.gateway.websocket.session import Session
from trading.errors import Kind, NotFound, PermissionDenied, ResourceExhausted, TradingError

SYSTEM_KEY = ""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Everything that a subscription needs."""

    hub: Hub
    market: Market
    feeds: dict[Channel, Feed]
    catalogue: Catalogue
    fleet: Backends

    async def subscribe(self, session: Session, command: Subscribe) -> None:
        """All of it or, when a name is wrong or a limit reached, none of it: the named error is raised."""
        resolved = [(wish, await self._keys(session.principal, wish)) for wish in command.channels]
        self._check_limit(session, [(wish.channel, keys) for wish, keys in resolved])
        first = [frame for wish, keys in resolved for frame in await self._state(wish.channel, keys)]
        for wish, keys in resolved:
            self._follow(session, wish.channel, keys)
        session.tell(note("ack", ack="subscribe", id=command.id, subscriptions=session.followed()))
        for wish, keys in resolved:
            self._offer_cached(session, wish.channel, keys)
        for frame in first:
            session.offer(frame)
        for wish, keys in resolved:
            if wish.channel in DURABLE:
                for account in keys:
                    await self._begin(session, wish.channel, account, _after(wish, command.after))

    async def unsubscribe(self, session: Session, command: Unsubscribe) -> None:
        """Follow less; what was not followed is no error."""
        for wish in command.channels:
            self.hub.unfollow(session, wish.channel, await self._known(wish))
        session.tell(note("ack", ack="unsubscribe", id=command.id, subscriptions=session.followed()))

    async def _known(self, wish: Wish) -> list[str]:
        names = wish.names()
        if wish.channel in BY_SYMBOL and EVERYTHING not in names:
            return await self.catalogue.canonical_all(names)
        return names

    async def _keys(self, principal: Principal, wish: Wish) -> list[str]:
        names = wish.names()
        if wish.channel in BY_ACCOUNT:
            return await self._accounts(principal, names)
        if wish.channel is Channel.SYSTEM:
            return [SYSTEM_KEY]
        if not names or EVERYTHING in names:
            return [EVERYTHING]
        return await self.catalogue.canonical_all(names)

    async def _accounts(self, principal: Principal, names: list[str]) -> list[str]:
        answer = await self.fleet.execution.ListAccounts(execution_rpc.ListAccountsRequest())
        known = [account.id for account in answer.accounts]
        allowed = [name for name in known if principal.accounts is None or name in principal.accounts]
        for name in names:
            if name not in known and name != EVERYTHING:
                raise NotFound(f"No account is called {name!r}.", reason="UNKNOWN_ACCOUNT", account=name)
            if name not in allowed and name != EVERYTHING:
                raise PermissionDenied("The key may not use this account.", reason="ACCOUNT_FORBIDDEN", account=name)
        return allowed if not names or EVERYTHING in names else list(dict.fromkeys(names))

    def _check_limit(self, session: Session, wanted: list[tuple[Channel, list[str]]]) -> None:
        now = {(channel, key) for channel, keys in session.following.items() for key in keys}
        total = len(now | {(channel, key) for channel, keys in wanted for key in keys})
        if total > self.hub.limits.symbols_max:
            raise ResourceExhausted(
                f"Expected at most {self.hub.limits.symbols_max} subscriptions, was {total}.",
                reason="TOO_MANY_SUBSCRIPTIONS",
                limit=self.hub.limits.symbols_max,
            )

    def _follow(self, session: Session, channel: Channel, keys: list[str]) -> None:
        if EVERYTHING in session.following.get(channel, ()) and EVERYTHING not in keys:
            return
        if EVERYTHING in keys:
            self.hub.unfollow(session, channel, ())
        self.hub.follow(session, channel, keys)

    async def _state(self, channel: Channel, keys: list[str]) -> list[Frame]:
        """What must be asked for before following; the durable channels ask when they begin."""
        if channel is Channel.QUOTES:
            await self._fetch_quotes(keys)
        if channel is Channel.ACCOUNT:
            return [await snapshots.account(self.fleet, key) for key in keys]
        if channel is Channel.SYSTEM:
            return [await snapshots.system(self.fleet)]
        return []

    async def _fetch_quotes(self, symbols: list[str]) -> None:
        for symbol in symbols:
            if symbol == EVERYTHING or not self.market.lacks_quote(symbol):
                continue
            try:
                answer = await self.fleet.market_data.GetQuote(market_rpc.GetQuoteRequest(symbol=symbol))
            except TradingError as error:
                if error.kind is not Kind.UNAVAILABLE:  # UNAVAILABLE: there is no quote yet
                    raise
            else:
                self.market.on_stored_quote(answer.quote)

    def _offer_cached(self, session: Session, channel: Channel, keys: list[str]) -> None:
        if channel in BY_SYMBOL:
            for frame in self.market.snapshots(channel, None if EVERYTHING in keys else keys):
                session.offer(frame)

    async def _begin(self, session: Session, channel: Channel, account: str, after: int | None) -> None:
        """A durable channel: the past after a cursor, or the state; then live."""
        feed = self.feeds[channel]
        session.positions.pop((channel, account), None)
        if after is not None:
            if await feed.resume(session, account, after):
                return
            session.offer(gap_frame(channel, account, after, self.fleet.clock.now_ns()))
        head = await feed.head(account)
        snapshot = snapshots.orders if channel is Channel.ORDERS else snapshots.positions
        session.offer(await snapshot(self.fleet, account, head.cursor))
        await feed.catch_up(session, account, head.position)


def _after(wish: Wish, common: Cursor | None) -> int | None:
    after = wish.after if wish.after is not None else common
    return None if after is None else int(after)
