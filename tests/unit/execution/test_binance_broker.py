"""What Binance's answers prove, and what they do not."""

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest
from builders.canned_binance import TIME_US, canned_binance
from builders.orders import terms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from services.execution.adapters.binance_key import BinanceKey
from services.execution.domain.order import Order, OrderTerms
from services.execution.ports.venue import VenueRefused
from trading.clock import SECOND_NS, ManualClock
from trading.errors import InvalidArgument, Unavailable
from trading.ids import OrderId, VenueOrderId
from trading.instruments import crypto
from trading.money import ONE
from trading.order import OrderStatus, OrderType, Side, TimeInForce

OURS = OrderId("01a2059b-3789-75da-981c-246d9030a35a")
NAME = OURS.replace("-", "")
BITCOIN = crypto("BTC")
ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "clientOrderId": NAME,
    "price": "100.0",
    "origQty": "10.0",
    "executedQty": "0.0",
    "cummulativeQuoteQty": "0.0",
    "status": "NEW",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
}
PLACED = {**ORDER, "orderId": 29, "clientOrderId": f"{NAME}-1"}
GONE = {**ORDER, "clientOrderId": f"{NAME}_1", "origClientOrderId": NAME, "status": "CANCELED"}
REPLACED = {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "cancelResponse": GONE, "newOrderResponse": PLACED}
RULES = {
    "symbol": "BTCUSDT",
    "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "STOP_LOSS"],
    "allowTrailingStop": True,
    "amendAllowed": True,
    "filters": [
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 20,
            "maxTrailingBelowDelta": 1000,
        }
    ],
}


def said(code: int, words: str = "no", **more: Any) -> dict[str, Any]:
    """A refusal of Binance."""
    return {"code": code, "msg": words, **more}


def a_limit(**changes: Any) -> OrderTerms:
    """To buy ten coins at a hundred."""
    given = {"order_type": OrderType.LIMIT, "price_nanos": 100 * ONE, "time_in_force": TimeInForce.GTC}
    return terms(order_id=OURS, symbol="BTC-USDT", venue_symbol="BTCUSDT", **{**given, **changes})


def working(**changes: Any) -> Order:
    """That order, at work."""
    return Order(a_limit(), venue_order_id=VenueOrderId("BTCUSDT:28"), status=OrderStatus.ACCEPTED, **changes)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, -1013), (400, -2010), (401, -2015), (400, -1121), (429, -1015), (429, -1003), (418, -1003), (400, -1111)],
)
async def test_a_structured_refusal_is_proof(status: int, code: int) -> None:
    """The order was not taken, in the venue's words."""
    async with canned_binance((status, said(code, "Filter failure: LOT_SIZE"))) as venue:
        with pytest.raises(VenueRefused) as refusal:
            await venue.broker.submit(a_limit())
        assert refusal.value.message == "Filter failure: LOT_SIZE"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, said(-2010)),
        (503, said(-1008)),
        (504, said(-1007)),
        (400, said(-1006)),
        (400, said(-1007)),
        (400, said(-1000)),
        (400, said(-1001)),
        (400, said(-2010, "Duplicate order sent.")),
        (403, b"<html>some firewall</html>"),
        (429, b"<html>some proxy</html>"),
        (400, {"odd": 1}),
        (400, []),
        (200, b"not json"),
        (200, []),
        (200, {"orderId": 1}),
        (200, {**ORDER, "status": "UNHEARD_OF"}),
    ],
)
async def test_everything_else_proves_nothing(status: int, body: Any) -> None:
    """The outcome is unknown; above all where an open order has our name already."""
    async with canned_binance((status, body)) as venue:
        with pytest.raises(Unavailable):
            await venue.broker.submit(a_limit())


async def test_an_order_is_sent_signed_on_the_venues_clock() -> None:
    """All in the query, the signature last, over what was sent to the letter."""
    async with canned_binance((200, ORDER)) as venue:
        venue.time_us += 7_000_000
        found = await venue.broker.submit(a_limit())
        assert (found.order_id, found.status) == (OURS, OrderStatus.ACCEPTED)
        asked = venue.orders[0]
        assert (asked.method, asked.path, asked.headers["x-mbx-apikey"]) == ("POST", "/api/v3/order", "k")
        assert asked.params["timestamp"] == str(TIME_US // 1_000 + 7_000)
        assert asked.params["recvWindow"] == "3000"
        assert list(asked.params)[-1] == "signature"
        assert asked.params["signature"] == hmac.new(b"s", asked.payload.encode(), hashlib.sha256).hexdigest()


async def test_a_private_key_signs_with_itself() -> None:
    """Ed25519, in base64; line breaks may have been written out."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with canned_binance((200, ORDER), secret=pem.replace("\n", "\\n")) as venue:
        await venue.broker.submit(a_limit())
        asked = venue.orders[0]
        private.public_key().verify(base64.b64decode(asked.params["signature"]), asked.payload.encode())


@pytest.mark.parametrize("pem", ["-----BEGIN PRIVATE KEY-----\nnone\n", "rsa"])
def test_a_key_of_another_kind_is_refused(pem: str) -> None:
    """At the start, not at the first order."""
    if pem == "rsa":
        private = generate_private_key(65537, 2048)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(InvalidArgument):
        BinanceKey("k", SecretStr(pem))


async def test_a_clock_that_went_wrong_is_set_and_the_order_sent_again() -> None:
    """It was refused unread: sent twice, it is taken once."""
    async with canned_binance(
        (200, []), (400, said(-1021)), (200, ORDER), (400, said(-1021)), (400, said(-1021))
    ) as venue:
        await venue.broker.open_orders()
        venue.time_us += 60_000_000
        assert (await venue.broker.submit(a_limit())).order_id == OURS
        sent = [int(asked.params["timestamp"]) for asked in venue.orders if asked.method == "POST"]
        assert sent[1] - sent[0] == 60_000
        with pytest.raises(VenueRefused):
            await venue.broker.submit(a_limit())


@pytest.mark.parametrize("status", [429, 418])
async def test_a_venue_that_wants_quiet_gets_it(status: int) -> None:
    """Commands are refused here until the time that it named, questions have no answer; nothing is sent."""
    async with canned_binance((status, said(-1003), 7), (200, [])) as venue:
        with pytest.raises(Unavailable) as silence:
            await venue.broker.open_orders()
        assert silence.value.metadata["retry_after_s"] == 7
        with pytest.raises(VenueRefused):
            await venue.broker.submit(a_limit())
        with pytest.raises(Unavailable):
            await venue.broker.account()
        assert len(venue.orders) == 1
        assert isinstance(venue.clock, ManualClock)
        venue.clock.advance(7 * SECOND_NS)
        assert await venue.broker.open_orders() == []


async def test_too_many_orders_stop_orders_only() -> None:
    """Cancels and questions still pass."""
    async with canned_binance((429, said(-1015), 5), (200, GONE), (200, [])) as venue:
        for _ in range(2):
            with pytest.raises(VenueRefused):
                await venue.broker.submit(a_limit())
        await venue.broker.cancel(working())
        assert await venue.broker.open_orders() == []
        assert [asked.method for asked in venue.orders] == ["POST", "DELETE", "GET"]


async def test_a_cancel_names_the_venues_order() -> None:
    """Success is a promise, -2011 a refusal, anything less nothing."""
    async with canned_binance((200, GONE), (400, said(-2011, "Unknown order sent.")), (502, b"")) as venue:
        await venue.broker.cancel(working())
        with pytest.raises(VenueRefused):
            await venue.broker.cancel(working())
        with pytest.raises(Unavailable):
            await venue.broker.cancel(working())
        asked = venue.orders[0]
        assert (asked.method, asked.params["symbol"], asked.params["orderId"]) == ("DELETE", "BTCUSDT", "28")


async def test_an_order_is_asked_for_by_our_id() -> None:
    """Not found is a proof; anything else but an answer is silence."""
    async with canned_binance((200, ORDER), (400, said(-2013)), (400, said(-2026)), (500, b"")) as venue:
        assert (await venue.broker.find(working())) is not None
        assert (await venue.broker.find(working())) is None
        assert (await venue.broker.find(working())) is None
        with pytest.raises(Unavailable):
            await venue.broker.find(working())
        assert venue.orders[0].params["origClientOrderId"] == NAME


async def test_an_order_and_what_took_its_place_are_one() -> None:
    """Where the newest stands, with the fills of all; the change that is under way is asked for too."""
    old = {**ORDER, "status": "CANCELED", "executedQty": "2.0", "cummulativeQuoteQty": "200.0"}
    new = {**PLACED, "status": "PARTIALLY_FILLED", "executedQty": "1.0", "cummulativeQuoteQty": "110.0"}
    async with canned_binance((200, old), (200, new), (400, said(-2013))) as venue:
        found = await venue.broker.find(working(replacements=1, wished=a_limit(quantity_nanos=4 * ONE)))
        assert found is not None
        assert (found.status, found.replacement, found.filled_nanos) == (OrderStatus.PARTIALLY_FILLED, 1, 3 * ONE)
        assert found.avg_price_nanos == 310 * ONE // 3
        assert [asked.params["origClientOrderId"] for asked in venue.orders] == [NAME, f"{NAME}-1", f"{NAME}-2"]


async def test_an_amended_order_is_counted_once() -> None:
    """Whichever of its names it is found by."""
    amended = {**ORDER, "clientOrderId": f"{NAME}-1", "executedQty": "2.0", "cummulativeQuoteQty": "200.0"}
    async with canned_binance((200, amended), (200, amended)) as venue:
        found = await venue.broker.find(working(replacements=1))
        assert found is not None
        assert (found.filled_nanos, found.replacement) == (2 * ONE, 1)


async def test_a_strangers_order_is_asked_for_by_its_number() -> None:
    """It has no name of ours."""
    order = Order(a_limit(external=True), venue_order_id=VenueOrderId("BTCUSDT:28"))
    async with canned_binance((200, {**ORDER, "clientOrderId": "theirs"})) as venue:
        assert (await venue.broker.find(order)) is not None
        assert venue.orders[0].params["orderId"] == "28"


async def test_a_replacement_is_for_what_is_left() -> None:
    """Binance counts anew; the cancel is named so that the stream's word of it ends nothing."""
    async with canned_binance((200, REPLACED)) as venue:
        wished = a_limit(quantity_nanos=12 * ONE)
        placed = await venue.broker.modify(working(filled_nanos=0), wished)
        assert (placed.replacement, placed.venue_order_id) == (1, "BTCUSDT:29")
        asked = venue.orders[0].params
        assert venue.orders[0].path == "/api/v3/order/cancelReplace"
        assert (asked["quantity"], asked["cancelOrderId"], asked["newClientOrderId"]) == ("12", "28", f"{NAME}-1")
        assert (asked["cancelNewClientOrderId"], asked["cancelReplaceMode"]) == (f"{NAME}_1", "STOP_ON_FAILURE")
        assert asked["cancelRestrictions"] == "ONLY_NEW"


async def test_a_partly_filled_order_is_replaced_by_the_rest() -> None:
    """Its cancel cannot ask for a new order."""
    gone = {**GONE, "executedQty": "3.0", "cummulativeQuoteQty": "300.0"}
    async with canned_binance((200, {**REPLACED, "cancelResponse": gone})) as venue:
        await venue.broker.modify(working(filled_nanos=3 * ONE), a_limit(price_nanos=101 * ONE))
        assert venue.orders[0].params["quantity"] == "7"
        assert "cancelRestrictions" not in venue.orders[0].params


@pytest.mark.parametrize(
    ("amends", "traded", "then"),
    [(True, "5.0", ("PUT", "5")), (False, "5.0", ("DELETE", None)), (True, "10.0", ("DELETE", None))],
)
async def test_what_traded_during_a_replacement_never_trades_twice(
    amends: bool, traded: str, then: tuple[str, str | None]
) -> None:
    """The new order is made smaller by it, or canceled where nothing smaller is possible."""
    gone = {**GONE, "executedQty": traded, "cummulativeQuoteQty": "500.0"}
    amended = {"transactTime": 1, "amendedOrder": {**PLACED, "qty": "5.0", "cumulativeQuoteQty": "0"}}
    answers = [(200, {"symbols": [{**RULES, "amendAllowed": amends}]}), (200, {**REPLACED, "cancelResponse": gone})]
    async with canned_binance(*answers, (200, amended if then[0] == "PUT" else PLACED), symbols=("BTCUSDT",)) as venue:
        await venue.symbols.read()
        placed = await venue.broker.modify(working(filled_nanos=3 * ONE), a_limit(price_nanos=101 * ONE))
        assert placed.replacement == 1
        last = venue.orders[-1]
        assert (last.method, last.params.get("newQty"), last.params["orderId"]) == (*then, "29")


async def test_a_change_that_was_refused_leaves_the_order() -> None:
    """In the words of the half that failed, or of the whole."""
    data = {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED", "cancelResponse": said(-2011, "Unknown.")}
    async with canned_binance((400, said(-2022, "failed", data=data)), (429, said(-1015)), (400, said(-2022))) as venue:
        for words in ("Unknown.", "no"):
            with pytest.raises(VenueRefused) as refusal:
                await venue.broker.modify(working(), a_limit(price_nanos=101 * ONE))
            assert refusal.value.message == words


async def test_half_a_change_is_the_end_of_the_order() -> None:
    """It was canceled, and nothing came in its place: that is what the answer says."""
    data = {"cancelResult": "SUCCESS", "newOrderResult": "FAILURE", "cancelResponse": GONE}
    data["newOrderResponse"] = said(-2010, "Account has insufficient balance for requested action.")
    async with canned_binance((409, said(-2021, data=data)), (409, said(-2021))) as venue:
        found = await venue.broker.modify(working(), a_limit(price_nanos=101 * ONE))
        assert (found.order_id, found.status, found.replacement) == (OURS, OrderStatus.CANCELED, 0)
        assert found.reason == "Account has insufficient balance for requested action."
        with pytest.raises(Unavailable):
            await venue.broker.modify(working(), a_limit(price_nanos=101 * ONE))


async def test_a_smaller_quantity_keeps_its_place_in_the_queue() -> None:
    """Where the symbol allows it; what replaced orders have traded is not part of this one."""
    amended = {"transactTime": 1, "amendedOrder": {**ORDER, "clientOrderId": f"{NAME}-2", "qty": "4.0"}}
    amended["amendedOrder"]["cumulativeQuoteQty"] = "0.0"
    async with canned_binance((200, {"symbols": [RULES]}), (200, amended), symbols=("BTCUSDT",)) as venue:
        await venue.symbols.read()
        order = working(replacements=1, filled_nanos=3 * ONE, replaced_nanos=2 * ONE)
        found = await venue.broker.modify(order, a_limit(quantity_nanos=6 * ONE))
        assert (found.replacement, found.venue_order_id) == (2, "BTCUSDT:28")
        asked = venue.orders[-1]
        assert (asked.method, asked.path) == ("PUT", "/api/v3/order/amend/keepPriority")
        assert (asked.params["newQty"], asked.params["newClientOrderId"]) == ("4", f"{NAME}-2")


async def test_many_orders_come_page_by_page() -> None:
    """A thousand and one, of every symbol that we know of."""
    page = [{**ORDER, "orderId": number} for number in range(1, 1001)]
    answers = [(200, page), (200, [{**ORDER, "orderId": 1001}]), (400, said(-1121)), (200, [])]
    async with canned_binance(*answers, symbols=("ETHUSDT",)) as venue:
        found = await venue.broker.orders_since(1_760_000_000_123_456_789, {"BTCUSDT", "DELISTED"})
        assert len(found) == 1001
        assert [asked.params["symbol"] for asked in venue.orders] == ["BTCUSDT", "BTCUSDT", "DELISTED", "ETHUSDT"]
        assert venue.orders[0].params["startTime"] == "1760000000123456"
        assert venue.orders[1].params["orderId"] == "1001"


async def test_a_strangers_order_that_no_word_of_ours_holds_is_left_out() -> None:
    """One of ours is not: better no answer than a wrong one."""
    odd = {**ORDER, "origQty": "20000000000"}
    async with canned_binance((200, [{**odd, "clientOrderId": "theirs"}, ORDER]), (200, [odd])) as venue:
        assert [order.order_id for order in await venue.broker.open_orders()] == [OURS]
        with pytest.raises(Unavailable):
            await venue.broker.open_orders()


@pytest.mark.parametrize("answer", [(500, {}), (200, b"no json"), (200, {}), (200, []), (200, {"balances": [{}]})])
async def test_an_account_that_cannot_be_read_is_silence(answer: tuple[int, Any]) -> None:
    """The older word stands."""
    async with canned_binance(answer) as venue:
        with pytest.raises(Unavailable):
            await venue.broker.account()


@pytest.mark.parametrize(
    ("shape", "works"),
    [
        ({}, True),
        ({"post_only": True}, True),
        ({"order_type": OrderType.STOP, "stop_price_nanos": ONE}, True),
        ({"order_type": OrderType.TRAILING_STOP, "trail_bps": 1500, "side": Side.BUY}, True),
        ({"order_type": OrderType.TRAILING_STOP, "trail_bps": 1500, "side": Side.SELL}, False),
        ({"order_type": OrderType.TRAILING_STOP, "trail_bps": 5, "side": Side.BUY}, False),
        ({"order_type": OrderType.TRAILING_STOP, "trail_nanos": ONE}, False),
    ],
)
async def test_it_says_what_the_symbol_works_by_itself(shape: dict[str, Any], works: bool) -> None:
    """A trail by basis points, within the bounds of its side."""
    async with canned_binance((200, {"symbols": [RULES]}), symbols=("BTCUSDT",)) as venue:
        await venue.symbols.read()
        assert venue.broker.works(a_limit(**shape), BITCOIN) is works


async def test_rules_that_cannot_be_read_offer_what_every_symbol_does() -> None:
    """No trails, no amendments; older rules stand."""
    answers = [(400, said(-1121)), (500, b""), (200, {"symbols": [{**RULES, "orderTypes": ["LIMIT"]}]}), (200, {})]
    async with canned_binance(*answers, symbols=("BTCUSDT",)) as venue:
        stop = a_limit(order_type=OrderType.STOP, stop_price_nanos=ONE)
        trail = replace(stop, order_type=OrderType.TRAILING_STOP, trail_bps=100)
        for stop_works in (True, True, False, False):
            await venue.symbols.read()
            assert (venue.broker.works(stop, BITCOIN), venue.broker.works(trail, BITCOIN)) == (stop_works, False)
