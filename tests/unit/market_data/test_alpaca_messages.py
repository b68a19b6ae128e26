"""Alpaca's frames are understood in both codecs, and strangers among their messages do no harm."""

import json
from typing import Any

import msgpack
import pytest

from services.market_data.adapters.alpaca_messages import (
    ErrorMessage,
    Frame,
    QuoteMessage,
    SubscriptionMessage,
    SuccessMessage,
    TradeMessage,
    decode,
    encode,
)
from services.market_data.adapters.venue_socket import UnreadableFrame

QUOTE = {
    "T": "q", "S": "AAPL", "bx": "V", "bp": 201.12, "bs": 3, "ax": "V", "ap": 201.15, "as": 1, "c": ["R"], "z": "C",
    "t": "2026-02-03T15:04:05.123456789Z",
}  # fmt: skip
TRADE = {
    "T": "t", "S": "AAPL", "i": 71, "x": "V", "p": 201.14, "s": 25, "c": ["@", "I"], "z": "C",
    "t": "2026-02-03T15:04:05.200000001Z",
}  # fmt: skip
BAR = {"T": "b", "S": "MSFT", "o": 410.1, "h": 410.6, "l": 409.9, "c": 410.2, "v": 1820, "n": 37, "vw": 410.21}


@pytest.fixture(params=["json", "msgpack"])
def written(request: pytest.FixtureRequest) -> Any:
    return json.dumps if request.param == "json" else msgpack.packb


def test_quotes_and_trades_are_read_with_their_times_untouched(written: Any) -> None:
    messages, refused = decode(written([QUOTE, TRADE]))

    quote, trade = messages
    assert isinstance(quote, QuoteMessage)
    assert isinstance(trade, TradeMessage)
    assert (quote.S, quote.bp, quote.bs, quote.ap, quote.ask_size) == ("AAPL", 201.12, 3.0, 201.15, 1.0)
    assert (trade.p, trade.s, trade.i, trade.tks) == (201.14, 25.0, 71, "")
    assert b"15:04:05.123456789Z" in bytes(quote.t)
    assert refused == 0


def test_control_messages_are_read(written: Any) -> None:
    messages, _ = decode(
        written(
            [
                {"T": "success", "msg": "connected"},
                {"T": "error", "code": 402, "msg": "auth failed"},
                {"T": "subscription", "trades": ["A"], "quotes": ["B"], "bars": [], "corrections": ["A"]},
            ]
        )
    )

    assert messages == [
        SuccessMessage("connected"),
        ErrorMessage(402, "auth failed"),
        SubscriptionMessage(["A"], ["B"]),
    ]


def test_kinds_that_nobody_asked_for_are_passed_over(written: Any) -> None:
    messages, refused = decode(written([BAR, QUOTE, {"T": "brand new"}, TRADE, {"no": "kind"}]))

    assert [type(message) for message in messages] == [QuoteMessage, TradeMessage]
    assert refused == 0


@pytest.mark.parametrize("broken", [{"T": "q"}, {"T": "t", "S": "A", "t": "", "p": "ten", "s": 1}, ["no", "object"], 7])
def test_a_broken_message_is_counted_and_the_rest_survives(written: Any, broken: Any) -> None:
    messages, refused = decode(written([QUOTE, broken, TRADE]))

    assert [type(message) for message in messages] == [QuoteMessage, TradeMessage]
    assert refused == 1


@pytest.mark.parametrize(
    "frame", [b"", b"\xc1", "", "{", '{"T":"q"}', b"\x80", "[" * 100_000, "[" + "[" * 100_000, b"\x91" * 100_000]
)
def test_a_frame_that_is_no_array_is_refused_as_a_whole(frame: Frame) -> None:
    with pytest.raises(UnreadableFrame):
        decode(frame)


def test_we_answer_in_the_codec_that_the_venue_spoke_last() -> None:
    assert json.loads(encode({"action": "auth"}, "text")) == {"action": "auth"}
    assert msgpack.unpackb(encode({"action": "auth"}, b"binary")) == {"action": "auth"}  # type: ignore[arg-type]
