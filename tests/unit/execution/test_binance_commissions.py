"""Commissions in coins, read from the account's trades."""

from typing import Any

import pytest
from builders.canned_binance import canned_binance

from services.execution.domain.charge import ChargeKind
from trading.errors import Unavailable
from trading.money import ONE

MICROSECOND_NS = 1_000
NOON_US = 1_780_000_000_000_000
NOON_NS = NOON_US * MICROSECOND_NS
PAGE = 1_000


def a_trade(number: int, asset: str = "BTC", commission: str = "0.001", **changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": 28,
        "commission": commission,
        "commissionAsset": asset,
        "time": NOON_US + number,
        **changes,
    }


async def test_coins_are_charged_and_money_is_not() -> None:
    """Of the coin that was bought or of BNB; money is the fill's own fee."""
    trades = [a_trade(1), a_trade(2, "BNB", "0.5"), a_trade(3, "USDT", "1.5"), a_trade(4, commission="0.00000000")]
    async with canned_binance((200, trades), symbols=("BTCUSDT",)) as venue:
        first, second = await venue.broker.charges(NOON_NS)
    assert (first.kind, first.symbol, first.quantity_nanos, first.amount_nanos) == (
        ChargeKind.FEE,
        "BTCUSDT",
        ONE // 1_000,
        0,
    )
    assert (first.venue_id, first.venue_order_id, first.event_time_ns) == ("BTCUSDT:1", "BTCUSDT:28", NOON_NS + 1_000)
    assert (second.symbol, second.quantity_nanos) == ("BNBUSDT", ONE // 2)


async def test_trades_are_read_page_by_page_and_symbol_by_symbol() -> None:
    """A symbol that is not listed there has none."""
    full = [a_trade(number) for number in range(1, PAGE + 1)]
    unknown = (400, {"code": -1121, "msg": "Invalid symbol."})
    async with canned_binance((200, full), (200, [a_trade(PAGE + 1)]), unknown, symbols=("BTCUSDT", "AAPL")) as venue:
        found = await venue.broker.charges(NOON_NS)
        asked = [each.params for each in venue.asked if each.path == "/api/v3/myTrades"]
    assert [len(found), found[-1].venue_id] == [PAGE + 1, f"BTCUSDT:{PAGE + 1}"]
    assert [(each["symbol"], each.get("startTime"), each.get("fromId")) for each in asked] == [
        ("BTCUSDT", str(NOON_US), None),
        ("BTCUSDT", None, str(PAGE + 1)),
        ("AAPL", str(NOON_US), None),
    ]


async def test_what_was_told_is_not_read_again() -> None:
    """Asked for what is new, it begins at the newest that it told; of a stranger's id it knows nothing."""
    old, new = a_trade(1), a_trade(2)
    async with canned_binance((200, [old]), (200, [old, new]), (200, [old, new]), symbols=("BTCUSDT",)) as venue:
        (told,) = await venue.broker.charges(0)
        (fresh,) = await venue.broker.charges(0, told.venue_id)
        everything = await venue.broker.charges(0, "BTCUSDT:7")
        starts = [each.params.get("startTime") for each in venue.asked if each.path == "/api/v3/myTrades"]
    assert (fresh.venue_id, len(everything)) == ("BTCUSDT:2", 2)
    assert starts == [None, str(NOON_US + 1), None]


@pytest.mark.parametrize("trades", [[{"odd": 1}], [a_trade(1, commission="much")], {"odd": 1}, [7]])
async def test_what_cannot_be_read_is_no_answer(trades: Any) -> None:
    async with canned_binance((200, trades), symbols=("BTCUSDT",)) as venue:
        with pytest.raises(Unavailable):
            await venue.broker.charges(NOON_NS)
