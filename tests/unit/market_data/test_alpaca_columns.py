"""Ticks leave the adapter as exact columns, one block per symbol and kind, in the venue's order."""

import json
from dataclasses import fields
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.market_data.adapters.alpaca_columns import AlpacaColumns
from services.market_data.adapters.alpaca_messages import decode
from services.market_data.adapters.tick_columns import FEW, LARGEST, TickColumns, to_nanos
from trading.market import QuoteBlock
from trading.money import ONE

SYMBOLS = {"AAPL": "AAPL", "BTC/USD": "BTC-USDT"}
T0 = 1_770_131_045_000_000_000


def a_quote(symbol: str = "AAPL", at: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "T": "q",
        "S": symbol,
        "bp": 10.01,
        "bs": 3,
        "ap": 10.02,
        "as": 0.5,
        "t": f"2026-02-03T15:04:05.{at:09d}Z",
    } | fields


def a_trade(symbol: str = "AAPL", at: int = 0, **fields: Any) -> dict[str, Any]:
    return {"T": "t", "S": symbol, "i": at, "p": 10.015, "s": 25, "t": f"2026-02-03T15:04:05.{at:09d}Z"} | fields


def columns_of(*frames: list[dict[str, Any]]) -> TickColumns:
    columns = AlpacaColumns("paper", SYMBOLS)
    for number, frame in enumerate(frames):
        messages, refused = decode(json.dumps(frame))
        columns.add(messages, 1_000 + number, refused)
    return columns


def test_quotes_become_one_block_with_exact_values() -> None:
    ticks = columns_of([a_quote(at=1), a_quote(at=2, bp=10.03)]).drain()

    (block,) = ticks.quotes
    assert (block.venue, block.symbol, ticks.trades, ticks.refused) == ("paper", "AAPL", (), 0)
    assert block.event_time_ns.tolist() == [T0 + 1, T0 + 2]
    assert block.bid_nanos.tolist() == [10_010_000_000, 10_030_000_000]
    assert block.bid_size_nanos.tolist() == [3 * ONE] * 2
    assert block.ask_nanos.tolist() == [10_020_000_000] * 2
    assert block.ask_size_nanos.tolist() == [500_000_000] * 2


def test_trades_carry_their_ids_and_the_taker_s_side() -> None:
    frame = [a_trade("BTC/USD", 5, tks="B"), a_trade("BTC/USD", 6, tks="S", i="x"), a_trade("BTC/USD", 7)]

    (block,) = columns_of(frame).drain().trades

    assert (block.symbol, block.trade_ids, block.side_sign.tolist()) == ("BTC-USDT", ("5", "x", "7"), [1, -1, 0])
    assert block.price_nanos.tolist() == [10_015_000_000] * 3


def test_mixed_ticks_are_sorted_by_symbol_and_kind_and_keep_their_order() -> None:
    frame = [
        a_quote("BTC/USD", 1),
        a_trade(at=2),
        a_quote(at=3),
        a_trade("BTC/USD", 4),
        a_quote("BTC/USD", 5),
        a_quote(at=6),
    ]

    ticks = columns_of(frame).drain()

    offsets = {
        (block.symbol, type(block).__name__): (block.event_time_ns - T0).tolist()
        for block in (*ticks.quotes, *ticks.trades)
    }
    assert offsets == {
        ("AAPL", "QuoteBlock"): [3, 6],
        ("BTC-USDT", "QuoteBlock"): [1, 5],
        ("AAPL", "TradeBlock"): [2],
        ("BTC-USDT", "TradeBlock"): [4],
    }


def test_every_tick_keeps_the_time_at_which_its_frame_was_read() -> None:
    columns = columns_of([a_quote(at=1), a_quote("BTC/USD", 1)], [a_trade(at=2)], [a_quote(at=3)])

    ticks = columns.drain()

    received = {block.symbol: block.receive_time_ns.tolist() for block in ticks.quotes}
    assert received == {"AAPL": [1_000, 1_002], "BTC-USDT": [1_000]}
    assert ticks.trades[0].receive_time_ns.tolist() == [1_001]


def test_a_drain_leaves_nothing_behind() -> None:
    columns = columns_of([a_quote()])
    assert len(columns) == 1

    columns.drain()

    assert len(columns) == 0
    assert columns.drain().count == 0


@pytest.mark.parametrize(
    "bad",
    [
        a_quote(bp=-1),
        a_quote("STRANGER"),
        a_quote(t="soon"),
        a_quote(ap=1e11),
        a_trade(p=0),
        a_trade(s=-1),
        a_trade("STRANGER"),
        {"T": "q"},
    ],
)
def test_an_impossible_tick_is_refused_alone(bad: dict[str, Any]) -> None:
    columns = columns_of([a_quote(at=1), a_trade(at=1), bad, a_quote(at=2), a_trade(at=2)])
    assert len(columns) == 5

    ticks = columns.drain()

    assert (ticks.count, ticks.refused) == (4, 1)
    assert (ticks.quotes[0].event_time_ns - T0).tolist() == [1, 2]
    assert (ticks.trades[0].event_time_ns - T0).tolist() == [1, 2]


def test_a_frame_of_only_impossible_ticks_gives_no_block() -> None:
    ticks = columns_of([a_quote(bp=-1), a_trade(p=0)]).drain()

    assert (ticks.quotes, ticks.trades, ticks.refused) == ((), (), 2)


def test_a_quote_without_a_side_is_a_quote() -> None:
    (block,) = columns_of([a_quote(bp=0, bs=0)]).drain().quotes

    assert (block.bid_nanos.tolist(), block.bid_size_nanos.tolist()) == ([0], [0])


@given(
    st.lists(
        st.decimals(0, 9_000_000_000, places=9).filter(lambda d: len(d.normalize().as_tuple().digits) <= 15), min_size=1
    )
)
def test_every_decimal_that_a_float_can_carry_becomes_exact_nanos(amounts: list[Decimal]) -> None:
    floats = np.array([float(amount) for amount in amounts])

    assert to_nanos(floats).tolist() == [int(amount * ONE) for amount in amounts]


def test_more_than_nine_decimals_are_rounded() -> None:
    assert to_nanos(np.array([0.12345678949, 3_000_000.1234567896])).tolist()[0] == 123_456_789


@given(st.lists(st.floats(0, LARGEST, exclude_max=True), min_size=1, max_size=FEW))
def test_few_amounts_are_read_as_many_are(amounts: list[float]) -> None:
    many = amounts * (FEW // len(amounts) + 1)

    assert to_nanos(np.array(amounts)).tolist() == to_nanos(np.array(many)).tolist()[: len(amounts)]


@given(
    amounts=st.lists(st.floats(0, 1e12) | st.decimals(0, 2**22, places=9).map(float), min_size=4, max_size=4),
    stamp=st.sampled_from(["2026-02-03T15:04:05.000000001Z", "1960-01-01T00:00:00Z", "soon", ""]),
    symbol=st.sampled_from(["AAPL", "BTC/USD", "STRANGER"]),
)
def test_a_quote_alone_is_read_as_one_among_many_is(amounts: list[float], stamp: str, symbol: str) -> None:
    bid, bid_size, ask, ask_size = amounts
    quote = a_quote(symbol, bp=bid, bs=bid_size, ap=ask, t=stamp) | {"as": ask_size}

    alone, among = columns_of([quote]).drain(), columns_of([quote], [quote] * FEW).drain()

    assert alone.refused == among.refused / (FEW + 1)
    assert [_first(block) for block in alone.quotes] == [_first(block) for block in among.quotes]


def _first(block: QuoteBlock) -> list[object]:
    values = (getattr(block, field.name) for field in fields(block))
    return [value if isinstance(value, str) else int(value[0]) for value in values]
