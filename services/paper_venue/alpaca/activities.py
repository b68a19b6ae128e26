"""The account's activities: every fill, and every fee as an entry of its own, in pages that an activity id resumes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from services.paper_venue.alpaca.listing import Listing
from services.paper_venue.alpaca.queries import direction_of, span_of
from services.paper_venue.alpaca.rest import Answer, Call
from services.paper_venue.alpaca.times import parse_time, rfc3339
from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.orders import Execution, OrderEvent, Status
from trading.clock import DAY_NS
from trading.ids import hashed_id
from trading.money import format_nanos

_PER_PAGE = 100
_FILL, _FEE, _COIN_FEE = "FILL", "FEE", "CFEE"
_ALL = f"{_FILL},{_FEE},{_COIN_FEE}"


@dataclass(frozen=True, slots=True)
class Activity:
    """A fill, or the fee of a fill."""

    kind: str
    event: OrderEvent
    execution: Execution

    @property
    def activity_id(self) -> str:
        """Its time, then the execution's id or, of a fee, one that follows from it; sorts by time."""
        time_ns, execution_id = self.event.time_ns, self.execution.execution_id
        digits = rfc3339(time_ns // 1_000_000_000 * 1_000_000_000).translate(str.maketrans("", "", "-T:Z"))
        own = execution_id if self.kind == _FILL else hashed_id("fee", execution_id)
        return f"{digits}{time_ns // 1_000_000 % 1000:03d}::{own}"


class ActivitiesApi:
    """The handler of `/v2/account/activities`."""

    def __init__(self, exchange: Exchange, listing: Listing, account_id: str) -> None:
        self._exchange = exchange
        self._listing = listing
        self._account_id = account_id

    def list(self, call: Call) -> Answer:
        """A page of the activities of some types, or of all."""
        wanted = (call.path.get("activity_type") or call.query.get("activity_types") or _ALL).split(",")
        size = call.whole_number("page_size", _PER_PAGE, _PER_PAGE)
        found = [each for each in self._between(call) if each.kind in wanted]
        if direction_of(call) == "desc":
            found.reverse()
        page = islice(_after(found, call.query.get("page_token")), size)
        return Answer([self._payload(each) for each in page])

    def _between(self, call: Call) -> Iterator[Activity]:
        """The activities of the time that is asked for, oldest first."""
        after, until = span_of(call)
        if "date" in call.query:
            after = parse_time(call.query["date"], "date") - 1
            until = after + 1 + DAY_NS
        for event in self._exchange.fills():
            if after < event.time_ns < until and event.execution is not None:
                yield from _of_fill(event, event.execution)

    def _payload(self, activity: Activity) -> dict[str, Any]:
        event, execution = activity.event, activity.execution
        told = {
            "id": activity.activity_id,
            "account_id": self._account_id,
            "activity_type": activity.kind,
            "symbol": self._listing.spelling(event.order.symbol),
            "order_id": event.order.order_id,
            "execution_id": execution.execution_id,
            "price": format_nanos(execution.price_nanos),
        }
        return told | (_fill(event, execution) if activity.kind == _FILL else _fee(event, execution))


def _of_fill(event: OrderEvent, execution: Execution) -> Iterator[Activity]:
    yield Activity(_FILL, event, execution)
    if execution.fee_nanos:
        yield Activity(_COIN_FEE if execution.fee_in_units else _FEE, event, execution)


def _fill(event: OrderEvent, execution: Execution) -> dict[str, Any]:
    order = event.order
    return {
        "transaction_time": rfc3339(event.time_ns),
        "type": "fill" if order.status is Status.FILLED else "partial_fill",
        "qty": format_nanos(execution.quantity_nanos),
        "side": order.side.value.lower(),
        "leaves_qty": format_nanos(order.remaining_nanos),
        "cum_qty": format_nanos(order.filled_nanos),
        "order_status": order.status.value.lower(),
    }


def _fee(event: OrderEvent, execution: Execution) -> dict[str, Any]:
    """A fee in coins moves the quantity, a fee in money the cash."""
    paid = format_nanos(-execution.fee_nanos)
    in_units = execution.fee_in_units
    return {
        "date": rfc3339(event.time_ns)[: len("2026-02-03")],
        "net_amount": "0" if in_units else paid,
        "qty": paid if in_units else "0",
        "description": f"Transaction Fee ({'Non USD' if in_units else 'USD'})",
        "status": "executed",
    }


def _after(activities: list[Activity], token: str | None) -> Iterator[Activity]:
    """The activities that follow the one whose id is `token`, or all."""
    rest = iter(activities)
    if token:
        for activity in rest:
            if activity.activity_id == token:
                break
    return rest
