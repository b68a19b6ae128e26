"""Binance's stream messages, typed: combined frames in, one struct each out."""

from typing import Annotated

import msgspec

from services.market_data.adapters.venue_socket import UnreadableFrame
from trading.money import MAX_NANOS

Frame = bytes | str
Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NANOS)]
"""A count of books or trades."""


class TickerEvent(msgspec.Struct, gc=False):
    """bookTicker: the best bid `b B` and ask `a A` of book `u`; it carries no time, one made from a depth does."""

    s: str
    u: Number
    b: str
    B: str
    a: str
    A: str
    E: int = 0


class TradeEvent(msgspec.Struct, gc=False):
    """A trade; `m` says that the buyer was the maker. `t` counts up by one for each symbol."""

    s: str
    t: Number
    p: str
    q: str
    T: int
    m: bool = False


class DepthEvent(msgspec.Struct):
    """depthUpdate: absolute quantities of the levels that changed in the books `U` to `u`; 0 removes one."""

    s: str
    U: Number
    u: Number
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    E: int = 0


class ShutdownEvent(msgspec.Struct):
    """serverShutdown: the connection will end soon."""


class Answer(msgspec.Struct):
    """The answer to a control message; `code` and `msg`, or `error`, when it was refused."""

    id: int | str | None = None
    code: int | None = None
    msg: str = ""


Event = TickerEvent | TradeEvent | DepthEvent | ShutdownEvent | Answer


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Frame(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    id: int | str | None = None
    code: int | None = None
    msg: str = ""
    error: _Error | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_KINDS: dict[str, msgspec.json.Decoder[Event]] = {
    "bookTicker": msgspec.json.Decoder(TickerEvent),
    "trade": msgspec.json.Decoder(TradeEvent),
    "depth": msgspec.json.Decoder(DepthEvent),
}
_SHUTDOWN = "!serverShutdown"


def decode(frame: Frame) -> Event | None:
    """The message of a frame; None when it is of a stream that we did not ask for. Raises UnreadableFrame."""
    try:
        found = _FRAME.decode(frame)
        if not found.stream:
            error = found.error or _Error(found.code or 0, found.msg)
            return Answer(found.id, error.code if found.error or found.code is not None else None, error.msg)
        if found.stream == _SHUTDOWN:
            return ShutdownEvent()
        decoder = _KINDS.get(found.stream.split("@")[1] if "@" in found.stream else "")
        return None if decoder is None else decoder.decode(found.data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableFrame(str(error)) from error
