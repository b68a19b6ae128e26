"""Alpaca's trading REST API and order stream as a broker; the local exchange speaks it too."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.execution.adapters import alpaca_orders
from services.execution.adapters.alpaca_activities import KINDS, charge_of
from services.execution.adapters.alpaca_orders import (
    order_body,
    replacement_body,
    venue_account,
    venue_order,
    venue_position,
)
from services.execution.adapters.alpaca_trade_updates import AlpacaTradeUpdates
from services.execution.adapters.venue_http import Answer, VenueHttp
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
from trading.clock import SECOND_NS
from trading.errors import InvalidArgument, Unavailable
from trading.ids import venue_client_order_id
from trading.instruments import Instrument

_NOT_FOUND = 404
_PROOF = frozenset({400, 401, 403, 404, 422, 429})
"""Statuses by which Alpaca says no; anything else above 299 says nothing about the order."""
_PAGE = 500
_MOST_PAGES = 20
_CHARGES_PAGE = 100
_MOST_CHARGE_PAGES = 200


class AlpacaBroker:
    """One Alpaca account; the client carries its key."""

    def __init__(self, client: VenueHttp, stream: AlpacaTradeUpdates) -> None:
        self._client = client
        self._stream = stream

    @property
    def protocol(self) -> str:
        """Alpaca's own spelling of symbols."""
        return alpaca_orders.VENUE

    def works(self, terms: OrderTerms, instrument: Instrument) -> bool:
        """What Alpaca works by itself."""
        return alpaca_orders.works(terms, instrument)

    async def submit(self, terms: OrderTerms) -> VenueOrder:
        """POST the order under our id."""
        answer = await self._client.request("POST", "/v2/orders", body=msgspec.json.encode(order_body(terms)))
        _expect_success(answer)
        return _order(_json(answer))

    async def modify(self, order: Order, wished: OrderTerms) -> VenueOrder:
        """PATCH the order, which puts a new one in its place."""
        body = msgspec.json.encode(replacement_body(wished, order.replacements + 1))
        answer = await self._client.request("PATCH", f"/v2/orders/{order.venue_order_id}", body=body)
        _expect_success(answer)
        return _order(_json(answer))

    async def cancel(self, order: Order) -> None:
        """DELETE the order; the stream tells what came of it."""
        _expect_success(await self._client.request("DELETE", f"/v2/orders/{order.venue_order_id}"))

    async def find(self, order: Order) -> VenueOrder | None:
        """Ask for our order, and for each that took its place, by the ids we gave them."""
        if order.terms.external:
            return await self._strangers(order)
        found = []
        for replacement in range(order.replacements_possible + 1):
            query = {"client_order_id": venue_client_order_id(order.order_id, replacement)}
            answer = await self._client.request("GET", "/v2/orders:by_client_order_id", query=query)
            if answer.status != _NOT_FOUND:
                _expect_answer(answer)
                found.append(_order(_json(answer)))
        return whole_view(found)

    async def _strangers(self, order: Order) -> VenueOrder | None:
        """An order that another program named, or nobody: only the venue's own id finds it."""
        answer = await self._client.request("GET", f"/v2/orders/{order.venue_order_id}")
        if answer.status == _NOT_FOUND:
            return None
        _expect_answer(answer)
        return replace(_order(_json(answer)), order_id=order.order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Every open order, page by page."""
        return await self._pages({"status": "open"})

    async def orders_since(self, time_ns: int, symbols: Collection[str]) -> Sequence[VenueOrder]:
        """Every order submitted after a time, in whatever symbol, page by page."""
        return await self._pages({"status": "all", "after": _rfc3339(time_ns)})

    async def positions(self) -> Sequence[VenuePosition]:
        """Every position of the account."""
        answer = await self._client.request("GET", "/v2/positions")
        _expect_answer(answer)
        try:
            return [venue_position(position) for position in _json(answer)]
        except InvalidArgument as error:
            raise Unavailable("The venue's positions cannot be read.", retry_after_s=1) from error

    async def account(self) -> VenueAccount:
        """The account behind the key."""
        answer = await self._client.request("GET", "/v2/account")
        _expect_answer(answer)
        try:
            return venue_account(_json(answer))
        except InvalidArgument as error:
            raise Unavailable("The venue's account cannot be read.", retry_after_s=1) from error

    async def charges(self, after_ns: int, after_id: str = "") -> Sequence[VenueCharge]:
        """The activities that are no trades, page by page; beyond the most pages the rest waits for the next call."""
        query = {"activity_types": ",".join(KINDS), "direction": "asc", "page_size": str(_CHARGES_PAGE)}
        query["after"] = _rfc3339(after_ns)
        found: list[VenueCharge] = []
        for _ in range(_MOST_CHARGE_PAGES):
            page_query = {**query, "page_token": after_id} if after_id else query
            answer = await self._client.request("GET", "/v2/account/activities", query=page_query)
            _expect_answer(answer)
            page = _json(answer)
            found += _charges(page)
            if len(page) < _CHARGES_PAGE:
                break
            after_id = page[-1]["id"]
        return found

    def updates(self) -> AsyncIterator[VenueUpdate | StreamOpened]:
        """The trade updates of the account."""
        return self._stream.updates()

    async def _pages(self, query: Mapping[str, str]) -> list[VenueOrder]:
        found: dict[str, VenueOrder] = {}
        page_query = {**query, "limit": str(_PAGE), "direction": "asc"}
        for _ in range(_MOST_PAGES):
            answer = await self._client.request("GET", "/v2/orders", query=page_query)
            _expect_answer(answer)
            page = _json(answer)
            found |= {order["id"]: _order(order) for order in page}
            if len(page) < _PAGE:
                break
            page_query["after"] = page[-1]["submitted_at"]
        return list(found.values())


def _expect_success(answer: Answer) -> None:
    if answer.is_success:
        return
    if answer.status in _PROOF and (words := _words(answer)) is not None:
        raise VenueRefused(words, status=answer.status)
    raise Unavailable(f"The venue answered {answer.status}.", retry_after_s=1)


def _expect_answer(answer: Answer) -> None:
    if not answer.is_success:
        raise Unavailable(f"The venue answered {answer.status}: {_words(answer)}.", retry_after_s=1)


def _words(answer: Answer) -> str | None:
    """What a structured refusal says; None when the body is not one, as from a proxy in between."""
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else None


def _order(body: Any) -> VenueOrder:
    try:
        return venue_order(body)
    except InvalidArgument as error:
        raise Unavailable("The venue's order cannot be read.", retry_after_s=1) from error


def _charges(page: Any) -> list[VenueCharge]:
    try:
        return [charge for activity in page if (charge := charge_of(activity)) is not None]
    except InvalidArgument as error:
        raise Unavailable("The venue's activities cannot be read.", retry_after_s=1) from error


def _json(answer: Answer) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except msgspec.DecodeError as error:
        raise Unavailable("The venue's answer cannot be read.", retry_after_s=1) from error


def _rfc3339(time_ns: int) -> str:
    return datetime.fromtimestamp(max(time_ns, 0) / SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
