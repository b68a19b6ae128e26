"""The matching engine: price-time priority among our orders, against the quotes of a market that they do not move.

An impatient order sweeps the touch (`touch.sweep`). A resting LIMIT fills at its own price when the opposite quote
reaches it; the displayed size of that quote is shared first by price, then by time. A stop triggers on the last trade
where there are trades, else on the touch; one that trails follows the same price. While an instrument is halted
nothing of it is matched. Every method returns the new states of the orders that it moved.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.paper_venue.domain.orders import EventKind, Execution, Order, OrderEvent, Status
from services.paper_venue.domain.touch import Slippage, Touch, sweep
from trading.order import Side, TimeInForce

_AT_ONCE_OR_NEVER = (TimeInForce.IOC, TimeInForce.FOK)


class Queue:
    """Orders of one side by price, then time; `sign` says which way a better price lies."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[tuple[int, int, str]] = []

    def add(self, price: int, order: Order) -> None:
        insort(self._keys, self._key(price, order))

    def remove(self, price: int, order: Order) -> None:
        key = self._key(price, order)
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            del self._keys[at]

    def best(self) -> str | None:
        """The id at the head of the queue."""
        return self._keys[0][2] if self._keys else None

    def reached(self, price: int) -> Iterator[str]:
        """Ids of the orders whose price `price` has reached, best first; removing what was given is allowed."""
        while self._keys and price > 0 and self._keys[0][0] <= self._sign * price:
            yield self._keys[0][2]

    def _key(self, price: int, order: Order) -> tuple[int, int, str]:
        return (self._sign * price, order.sequence, order.order_id)


@dataclass(slots=True)
class Book:
    """The touch of one instrument and our orders in it."""

    tick: int
    touch: Touch = field(default_factory=Touch)
    limits: dict[Side, Queue] = field(default_factory=lambda: {Side.BUY: Queue(-1), Side.SELL: Queue(1)})
    stops: dict[Side, Queue] = field(default_factory=lambda: {Side.BUY: Queue(1), Side.SELL: Queue(-1)})
    profits: dict[Side, Queue] = field(default_factory=lambda: {Side.BUY: Queue(-1), Side.SELL: Queue(1)})
    """Stops that trigger where the price is good."""
    trails: dict[str, None] = field(default_factory=dict)
    """Stops that follow the market, oldest first."""
    waiting: list[str] = field(default_factory=list)
    """Orders to MARKET that came before the first quote, oldest first."""
    is_halted: bool = False


class MatchingEngine:
    """Matches the orders of one account in many instruments; `new_id` names executions."""

    def __init__(self, slippage: Slippage, new_id: Callable[[], str]) -> None:
        self._slippage = slippage
        self._new_id = new_id
        self._books: dict[str, Book] = {}
        self._open: dict[str, Order] = {}

    @property
    def open_orders(self) -> dict[str, Order]:
        """Orders that may still trade, by id, oldest first."""
        return self._open

    def list_instrument(self, symbol: str, tick: int) -> None:
        """Open an empty book; `tick` in nanos."""
        self._books[symbol] = Book(tick)

    def touch(self, symbol: str) -> Touch:
        """The market of an instrument as it stands."""
        return self._books[symbol].touch

    def best_resting(self, symbol: str, side: Side) -> Order | None:
        """Our best-priced resting LIMIT order of one side."""
        order_id = self._books[symbol].limits[side].best()
        return self._open[order_id] if order_id else None

    def estimate(self, symbol: str, side: Side, quantity: int) -> int:
        """The worst price in nanos that an impatient order would pay now; 0 without a quote."""
        book = self._books[symbol]
        fills = list(sweep(book.touch, side, quantity, None, book.tick, self._slippage))
        return fills[-1][0] if fills else 0

    def submit(self, order: Order, now_ns: int) -> list[OrderEvent]:
        """Take an order in, match it against the touch, and let the rest wait, rest or die as it asked."""
        accepted = order.at(now_ns, status=Status.NEW)
        self._open[order.order_id] = accepted
        events = [OrderEvent(EventKind.NEW, accepted, now_ns)]
        book = self._books[order.symbol]
        if accepted.waits_for_trigger:
            self._park(accepted, book)
            return events + self._trigger(book, now_ns)
        return events + self._work(accepted, book, now_ns)

    def hold(self, order: Order, now_ns: int) -> list[OrderEvent]:
        """Take an order in that nothing happens to before it is released."""
        held = order.at(now_ns, status=Status.HELD)
        self._open[order.order_id] = held
        return [OrderEvent(EventKind.HELD, held, now_ns)]

    def release(self, order_id: str, now_ns: int) -> list[OrderEvent]:
        """Let a held order work."""
        return self.submit(self._open[order_id], now_ns)

    def amend(self, order: Order, now_ns: int) -> list[OrderEvent]:
        """Put an open order's amended self (smaller, or under another name) in its very place in the queue."""
        amended = order.at(now_ns)
        self._open[order.order_id] = amended
        return [OrderEvent(EventKind.AMENDED, amended, now_ns)]

    def halt(self, symbol: str) -> None:
        """Match nothing of an instrument from now on."""
        self._books[symbol].is_halted = True

    def resume(self, symbol: str, now_ns: int) -> list[OrderEvent]:
        """Match again, at first against the touch as it stands."""
        book = self._books[symbol]
        book.is_halted = False
        return self._match(book, now_ns)

    def is_halted(self, symbol: str) -> bool:
        """Nothing of the instrument is matched now."""
        return self._books[symbol].is_halted

    def cancel(self, order_id: str, now_ns: int) -> list[OrderEvent]:
        """Take an open order out of the book."""
        order = self._open[order_id]
        return [self._close(order, Status.CANCELED, now_ns, canceled_ns=now_ns)]

    def retire(self, order_id: str, replaced_by: str, now_ns: int) -> list[OrderEvent]:
        """Take an open order out of the book because another takes its place."""
        order = self._open[order_id]
        return [self._close(order, Status.REPLACED, now_ns, replaced_ns=now_ns, replaced_by=replaced_by)]

    def expire(self, order_id: str, now_ns: int) -> list[OrderEvent]:
        """End an open order whose time has run out."""
        return [self._close(self._open[order_id], Status.EXPIRED, now_ns, expired_ns=now_ns)]

    def on_quote(self, symbol: str, bid: int, bid_size: int, ask: int, ask_size: int, now_ns: int) -> list[OrderEvent]:
        """A new touch: fill what waited for one, trigger stops, then fill resting limits that it reaches."""
        book = self._books[symbol]
        book.touch.take_quote(bid, bid_size, ask, ask_size)
        return self._match(book, now_ns) if self._open else []

    def on_trade(self, symbol: str, price: int, now_ns: int) -> list[OrderEvent]:
        """A print: the price that stops look at from now on."""
        book = self._books[symbol]
        book.touch.last = price
        return self._trigger(book, now_ns) if self._open else []

    def _match(self, book: Book, now_ns: int) -> list[OrderEvent]:
        if book.is_halted:
            return []
        events = self._resume(book, now_ns) + self._trigger(book, now_ns)
        for side in Side:
            events += self._fill_resting(book, side, now_ns)
        return events

    def _resume(self, book: Book, now_ns: int) -> list[OrderEvent]:
        waiting, book.waiting = book.waiting, []
        return [event for order_id in waiting for event in self._work(self._open[order_id], book, now_ns)]

    def _trigger(self, book: Book, now_ns: int) -> list[OrderEvent]:
        events: list[OrderEvent] = []
        if book.is_halted:
            return events
        for side in Side:
            price = book.touch.trigger_price(side)
            for queue in (book.stops[side], book.profits[side]):
                for order_id in queue.reached(price):
                    events += self._reach(self._open[order_id], book, price, now_ns)
        for order_id in tuple(book.trails):
            events += self._follow(self._open[order_id], book, now_ns)
        return events

    def _reach(self, order: Order, book: Book, price: int, now_ns: int) -> list[OrderEvent]:
        """The market has reached a stop: it goes to market, or begins to follow it."""
        if order.request.trail is None:
            return self._fire(order, book, now_ns)
        self._unpark(order, book)
        return self._trail(order, book, price, now_ns)

    def _follow(self, order: Order, book: Book, now_ns: int) -> list[OrderEvent]:
        """Move a trailing stop with the market, or let the market reach it."""
        price, sign = book.touch.trigger_price(order.side), order.side.sign
        if price <= 0:
            return []
        if order.best_nanos is None or sign * (price - order.best_nanos) < 0:
            return self._trail(order, book, price, now_ns)
        return self._fire(order, book, now_ns) if sign * (price - (order.stop_nanos or 0)) >= 0 else []

    def _trail(self, order: Order, book: Book, price: int, now_ns: int) -> list[OrderEvent]:
        began = now_ns if order.trailing_ns is None else order.trailing_ns
        moved = order.at(now_ns, best_nanos=price, trailing_ns=began)
        self._open[order.order_id] = moved
        book.trails[order.order_id] = None
        return [OrderEvent(EventKind.TRAILED, moved, now_ns)]

    def _fire(self, order: Order, book: Book, now_ns: int) -> list[OrderEvent]:
        self._unpark(order, book)
        self._open[order.order_id] = triggered = order.at(now_ns, triggered=True)
        return [OrderEvent(EventKind.TRIGGERED, triggered, now_ns), *self._work(triggered, book, now_ns)]

    def _fill_resting(self, book: Book, side: Side, now_ns: int) -> list[OrderEvent]:
        price, displayed = book.touch.opposite(side)
        events = []
        if displayed > 0:
            for order_id in book.limits[side].reached(price):
                order = self._open[order_id]
                quantity = min(order.remaining_nanos, displayed)
                events.append(self._fill(order, order.limit_nanos or price, quantity, now_ns, is_maker=True))
                displayed -= quantity
                if displayed == 0:
                    break
        return events

    def _work(self, order: Order, book: Book, now_ns: int) -> list[OrderEvent]:
        """Match a live order against the touch now."""
        if book.is_halted:
            self._park(order, book)
            return []
        fills = list(sweep(book.touch, order.side, order.remaining_nanos, order.limit_nanos, book.tick, self._slippage))
        if order.time_in_force is TimeInForce.FOK and sum(quantity for _, quantity in fills) < order.remaining_nanos:
            return self.cancel(order.order_id, now_ns)
        events = [self._fill(self._open[order.order_id], price, quantity, now_ns) for price, quantity in fills]
        if order.order_id not in self._open:
            return events
        if order.time_in_force in _AT_ONCE_OR_NEVER:
            return events + self.cancel(order.order_id, now_ns)
        self._park(self._open[order.order_id], book)
        return events

    def _fill(self, order: Order, price: int, quantity: int, now_ns: int, is_maker: bool = False) -> OrderEvent:
        filled = order.filled(price, quantity, now_ns)
        if filled.status.is_open:
            self._open[order.order_id] = filled
        else:
            self._remove(order)
        return OrderEvent(EventKind.FILL, filled, now_ns, Execution(self._new_id(), price, quantity, is_maker))

    def _close(self, order: Order, status: Status, now_ns: int, **stamps: object) -> OrderEvent:
        self._remove(order)
        return OrderEvent(EventKind(status.value), order.at(now_ns, status=status, **stamps), now_ns)

    def _remove(self, order: Order) -> None:
        del self._open[order.order_id]
        self._unpark(order, self._books[order.symbol])

    def _park(self, order: Order, book: Book) -> None:
        """Put an order where it waits: among the stops, the limits, or those that wait for a first quote."""
        if not order.waits_for_trigger:
            if order.limit_nanos is None:
                book.waiting.append(order.order_id)
            else:
                book.limits[order.side].add(order.limit_nanos, order)
        elif _follows(order):
            book.trails[order.order_id] = None
        else:
            _stops(order, book).add(order.request.stop_nanos or 0, order)

    def _unpark(self, order: Order, book: Book) -> None:
        if order.status is Status.HELD:
            return
        if not order.waits_for_trigger:
            if order.limit_nanos is not None:
                book.limits[order.side].remove(order.limit_nanos, order)
            elif order.order_id in book.waiting:
                book.waiting.remove(order.order_id)
        elif _follows(order):
            book.trails.pop(order.order_id, None)
        else:
            _stops(order, book).remove(order.request.stop_nanos or 0, order)


def _follows(order: Order) -> bool:
    """It trails the market already, instead of waiting for a price to begin at."""
    return order.request.trail is not None and (order.best_nanos is not None or order.request.stop_nanos is None)


def _stops(order: Order, book: Book) -> Queue:
    return (book.profits if order.request.take_profit else book.stops)[order.side]
