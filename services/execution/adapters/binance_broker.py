"""Binance's trading REST API and user data stream as a broker; the local exchange speaks it too."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from services.execution.adapters import binance_orders
from services.execution.adapters.binance_answers import (
    HALF_REPLACED,
    NO_SUCH_ORDER,
    NOT_REPLACED,
    UNKNOWN_SYMBOL,
    complaint,
    outcome,
    told,
)
from services.execution.adapters.binance_commissions import BinanceCommissions
from services.execution.adapters.binance_orders import (
    amended_order,
    canceled_order,
    is_strangers,
    making_room,
    order_params,
    place_of,
    venue_account,
    venue_order,
    venue_positions,
)
from services.execution.adapters.binance_rest import BinanceRest
from services.execution.adapters.binance_symbols import BinanceSymbols
from services.execution.adapters.binance_user_data import BinanceUserData
from services.execution.adapters.venue_http import Answer
from services.execution.domain.charge import VenueCharge
from services.execution.domain.order import Order, OrderTerms
from services.execution.domain.venue import (
    StreamOpened,
    VenueAccount,
    VenueOrder,
    VenuePosition,
    VenueUpdate,
    whole_view,
)
from services.execution.ports.venue import VenueRefused
from trading.errors import InvalidArgument, Unavailable
from trading.ids import venue_client_order_id
from trading.instruments import Instrument
from trading.money import format_nanos

_ORDER = "/api/v3/order"
_PAGE = 1_000
_MOST_PAGES = 20
_MICROSECOND_NS = 1_000
_UNTOUCHED = "ONLY_NEW"
ReadT = TypeVar("ReadT")


class BinanceBroker:
    """One Binance spot account."""

    def __init__(self, rest: BinanceRest, symbols: BinanceSymbols, stream: BinanceUserData, log: Any) -> None:
        self._rest = rest
        self._symbols = symbols
        self._stream = stream
        self._log = log
        self._commissions = BinanceCommissions(rest, symbols)

    @property
    def protocol(self) -> str:
        """Binance's own spelling of symbols."""
        return binance_orders.VENUE

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        """What Binance works by itself; a trailing stop only by basis points, and within the symbol's bounds."""
        return self._symbols.rules(instrument.venue_symbol(binance_orders.VENUE)).work(terms)

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        """POST the order under our id."""
        answer = await self._rest.command("POST", _ORDER, order_params(terms), is_new_order=True)
        return _read(venue_order, outcome(answer))

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        """Make the order smaller where it stands in the queue, or put another one in its place."""
        if self._symbols.rules(_symbol(order)).amends and _only_shrinks(order.terms, wished):
            name = venue_client_order_id(order.order_id, order.replacements + 1)
            return await self._amend(order, wished.quantity_nanos - order.replaced_nanos, name)
        return await self._replace(order, wished)

    async def cancel(self, order: Order) -> None:
        """DELETE the order; the stream tells what came of it."""
        outcome(await self._rest.command("DELETE", _ORDER, place_of(order.venue_order_id, _symbol(order))))

    async def find(self, order: Order) -> VenueOrder | None:
        """Ask for our order, and for each that took its place, by the ids we gave them; for a stranger's by its own.

        An order that was amended is the same one under another name.
        """
        found = {}
        for named in _names(order):
            answer = await self._rest.ask(_ORDER, {"symbol": _symbol(order), **named})
            said = complaint(answer)
            if said is None or said.code not in NO_SUCH_ORDER:
                each = _read(venue_order, told(answer))
                found[each.venue_order_id] = each
        return whole_view(list(found.values()))

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Every open order, in whatever symbol."""
        return self._each(told(await self._rest.ask("/api/v3/openOrders", {})))

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        """Every order created after a time in these symbols, and in those that are traded, page by page."""
        found: list[VenueOrder] = []
        for symbol in sorted({*symbols, *self._symbols.names}):
            found += await self._pages(symbol, max(time_ns, 0))
        return found

    async def positions(self) -> Sequence[VenuePosition]:
        """Every coin of the account."""
        return _read(venue_positions, await self._account())

    async def account(self) -> VenueAccount:
        """The money of the account."""
        return _read(venue_account, await self._account())

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        """Commissions in coins: a spot account pays nothing else beside its fills."""
        return await _reading(self._commissions.since(after_ns, after_id))

    async def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        """The execution reports of the account; the rules of its symbols are read each time before they begin."""
        async with aclosing(self._stream.updates()) as updates:
            async for update in updates:
                if isinstance(update, StreamOpened):
                    await self._symbols.read()
                yield update

    async def _account(self) -> Any:
        return told(await self._rest.ask("/api/v3/account", {"omitZeroBalances": "true"}))

    async def _pages(self, symbol: str, time_ns: int) -> list[VenueOrder]:
        found: list[VenueOrder] = []
        start = {"startTime": str(time_ns // _MICROSECOND_NS)} if time_ns else {"orderId": "0"}
        for _ in range(_MOST_PAGES):
            answer = await self._rest.ask("/api/v3/allOrders", {"symbol": symbol, **start, "limit": str(_PAGE)})
            said = complaint(answer)
            if said is not None and said.code == UNKNOWN_SYMBOL:
                break  # an order of another venue, say
            page = told(answer)
            found += self._each(page)
            if len(page) < _PAGE:
                break
            start = {"orderId": str(page[-1]["orderId"] + 1)}
        return found

    def _each(self, orders: Sequence[Any]) -> list[VenueOrder]:
        """Each order of a list; one of another program that our words cannot hold is left out, never one of ours."""
        found = []
        for order in orders:
            try:
                found.append(_read(venue_order, order))
            except Unavailable:
                if not is_strangers(order):
                    raise
                self._log.warning("venue.order_left_out", order=str(order)[:200])
        return found

    async def _amend(self, order: Order, quantity_nanos: int, name: str) -> VenueOrder:
        params = {
            **place_of(order.venue_order_id, _symbol(order)),
            "newQty": format_nanos(quantity_nanos),
            "newClientOrderId": name,
        }
        return _read(amended_order, outcome(await self._rest.command("PUT", f"{_ORDER}/amend/keepPriority", params)))

    async def _replace(self, order: Order, wished: OrderTerms) -> VenueOrder:
        """Cancel the order and, if that succeeds, place another one for what is left of it.

        An order that has not traded is canceled only if it still has not: what would be left is not yet known.
        """
        number, traded = order.replacements + 1, order.filled_nanos - order.replaced_nanos
        place = place_of(order.venue_order_id, _symbol(order))
        params = {
            **order_params(wished, number, wished.quantity_nanos - order.filled_nanos),
            "cancelReplaceMode": "STOP_ON_FAILURE",
            "cancelOrderId": place["orderId"],
            "cancelNewClientOrderId": making_room(order.order_id, number),
            **({} if traded else {"cancelRestrictions": _UNTOUCHED}),
        }
        answer = await self._rest.command("POST", f"{_ORDER}/cancelReplace", params, is_new_order=True)
        if (half := _half_done(answer)) is not None:
            return half
        done = outcome(answer)
        placed, gone = _read(venue_order, done["newOrderResponse"]), _read(canceled_order, done["cancelResponse"])
        if gone.filled_nanos > traded:
            await self._trim(order, wished, placed, gone.filled_nanos - traded)
        return placed

    async def _trim(self, order: Order, wished: OrderTerms, placed: VenueOrder, surplus_nanos: int) -> None:
        """The old order traded on while it was being replaced: the new one must not trade that much again."""
        self._log.warning("venue.replacement_trimmed", order_id=order.order_id, surplus=format_nanos(surplus_nanos))
        left = wished.quantity_nanos - order.filled_nanos - surplus_nanos
        its_place = replace(order, venue_order_id=placed.venue_order_id)
        name = venue_client_order_id(order.order_id, placed.replacement)
        try:
            if left > 0 and self._symbols.rules(_symbol(order)).amends:
                await self._amend(its_place, left, name)
            else:
                await self.cancel(its_place)
        except VenueRefused as refusal:  # it has traded too, or closed by itself
            self._log.error("venue.replacement_not_trimmed", order_id=order.order_id, error=refusal.message)


def _symbol(order: Order) -> str:
    return order.terms.venue_symbol or order.terms.symbol


def _names(order: Order) -> list[Mapping[str, str]]:
    """By what to ask for an order and all that took its place, the oldest first."""
    first = 0
    names: list[Mapping[str, str]] = []
    if order.terms.external and order.venue_order_id is not None:
        first = 1
        names.append({"orderId": place_of(order.venue_order_id, "")["orderId"]})
    numbers = range(first, order.replacements_possible + 1)
    return [*names, *({"origClientOrderId": venue_client_order_id(order.order_id, number)} for number in numbers)]


def _only_shrinks(before: OrderTerms, wished: OrderTerms) -> bool:
    smaller = wished.quantity_nanos < before.quantity_nanos
    return smaller and replace(before, quantity_nanos=wished.quantity_nanos) == wished


def _half_done(answer: Answer) -> VenueOrder | None:
    """The old order, canceled, when none came in its place; raises VenueRefused when it was not even canceled."""
    said = complaint(answer)
    if said is None or said.code not in (HALF_REPLACED, NOT_REPLACED):
        return None
    data = said.data if isinstance(said.data, dict) else {}
    if said.code == NOT_REPLACED:
        raise VenueRefused(_words(data.get("cancelResponse"), said.words), status=answer.status, code=said.code)
    gone = _read(canceled_order, data.get("cancelResponse") or {})
    return replace(gone, reason=_words(data.get("newOrderResponse"), said.words))


def _words(refusal: Any, otherwise: str) -> str:
    words = refusal.get("msg") if isinstance(refusal, dict) else None
    return words if isinstance(words, str) else otherwise


def _read(reader: Callable[[Any], ReadT], body: Any) -> ReadT:
    try:
        return reader(body)
    except (InvalidArgument, AttributeError) as error:  # AttributeError: it is no object at all
        raise _unreadable() from error


async def _reading(answer: Awaitable[ReadT]) -> ReadT:
    try:
        return await answer
    except (InvalidArgument, AttributeError) as error:
        raise _unreadable() from error


def _unreadable() -> Unavailable:
    return Unavailable("The venue's answer cannot be read.", retry_after_s=1)
