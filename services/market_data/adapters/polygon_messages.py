"""Polygon's stream messages, typed: JSON arrays in, a list of structs out."""

import msgspec

from services.market_data.adapters.venue_socket import UnreadableFrame

Frame = bytes | str
Number = int | float


class StockQuote(msgspec.Struct, tag_field="ev", tag="Q", rename={"ask_size": "as"}, gc=False):
    """The best bid and ask of a share; sizes in round lots of a hundred, `t` in ms."""

    sym: str
    t: int
    bp: Number = 0
    bs: Number = 0
    ap: Number = 0
    ask_size: Number = 0


class StockTrade(msgspec.Struct, tag_field="ev", tag="T", gc=False):
    """A print of a share; `ds` is its size as text where `s` is not the whole of it."""

    sym: str
    t: int
    p: Number
    s: Number = 0
    i: str | int = ""
    ds: str | None = None


class CoinQuote(msgspec.Struct, tag_field="ev", tag="XQ", rename={"ask_size": "as"}, gc=False):
    """The best bid and ask of a pair."""

    pair: str
    t: int
    bp: Number = 0
    bs: Number = 0
    ap: Number = 0
    ask_size: Number = 0


class CoinTrade(msgspec.Struct, tag_field="ev", tag="XT"):
    """A print of a pair; condition 1 is a seller's, 2 a buyer's."""

    pair: str
    t: int
    p: Number
    s: Number
    i: str | int = ""
    c: list[int] = []


class StatusMessage(msgspec.Struct, tag_field="ev", tag="status"):
    """The venue speaks about the connection."""

    status: str
    message: str = ""


class _Tag(msgspec.Struct):
    ev: str = ""


Message = StockQuote | StockTrade | CoinQuote | CoinTrade | StatusMessage

_ALL = msgspec.json.Decoder(list[Message])
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(Message)
_TAG = msgspec.json.Decoder(_Tag)
_KNOWN = frozenset(("Q", "T", "XQ", "XT", "status"))


def decode(frame: Frame) -> tuple[list[Message], int]:
    """The messages of a frame that concern us, and how many of these were unreadable; other kinds are passed over.

    Raises UnreadableFrame when the frame is no array at all.
    """
    try:
        return _ALL.decode(frame), 0
    except msgspec.ValidationError:
        return _one_by_one(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableFrame(str(error)) from error


def _one_by_one(frame: Frame) -> tuple[list[Message], int]:
    try:
        parts = _PARTS.decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableFrame(str(error)) from error
    messages: list[Message] = []
    refused = 0
    for part in parts:
        try:
            messages.append(_ONE.decode(part))
        except msgspec.ValidationError:
            refused += _concerns_us(part)
    return messages, refused


def _concerns_us(part: msgspec.Raw) -> bool:
    try:
        return _TAG.decode(part).ev in _KNOWN
    except msgspec.ValidationError:
        return True
