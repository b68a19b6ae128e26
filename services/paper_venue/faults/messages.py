"""Reads what goes out to a stream: frames in either codec, and what each message of the three protocols is about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.paper_venue.faults.fault import Channel, Message, Protocol
from trading.instruments import Instruments

_ALPACA = {
    "t": Channel.TRADES, "q": Channel.QUOTES, "b": Channel.BARS, "u": Channel.BARS, "d": Channel.BARS,
}  # fmt: skip
_POLYGON = {
    "T": Channel.TRADES, "XT": Channel.TRADES, "Q": Channel.QUOTES, "XQ": Channel.QUOTES, "A": Channel.BARS,
    "AM": Channel.BARS, "XA": Channel.BARS, "XAS": Channel.BARS,
}  # fmt: skip
_BINANCE = {
    "trade": Channel.TRADES, "aggTrade": Channel.TRADES, "bookTicker": Channel.QUOTES, "kline": Channel.BARS,
    "depthUpdate": Channel.BOOKS, "executionReport": Channel.ORDERS, "listStatus": Channel.ORDERS,
}  # fmt: skip
_BINANCE_EVENTS = {"TRADE": "fill", "NEW": "new", "CANCELED": "canceled", "REPLACED": "replaced", "EXPIRED": "expired"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One WebSocket frame as its messages; `packed` is msgpack, `listed` an array of messages."""

    messages: tuple[bytes, ...]
    is_text: bool
    is_packed: bool
    is_listed: bool

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> "Frame":
        """Of an ASGI `websocket.send` event."""
        text = event.get("text")
        data: bytes = text.encode() if text is not None else event["bytes"]
        packed = data[:1] not in (b"[", b"{")
        decode = msgspec.msgpack.decode if packed else msgspec.json.decode
        if data[:1] == b"{":
            return cls((data,), text is not None, packed, is_listed=False)
        parts = decode(data, type=list[msgspec.Raw])
        return cls(tuple(bytes(part) for part in parts), text is not None, packed, is_listed=True)

    def values(self, message: bytes) -> Any:
        """What a message says."""
        return (msgspec.msgpack.decode if self.is_packed else msgspec.json.decode)(message)

    def events(self, messages: Sequence[bytes]) -> list[dict[str, Any]]:
        """ASGI events that send some messages the way this frame was: in one array, or each by itself."""
        if not self.is_listed:
            return [self._event(message) for message in messages]
        raw = [msgspec.Raw(message) for message in messages]
        encode = msgspec.msgpack.encode if self.is_packed else msgspec.json.encode
        return [self._event(encode(raw))] if raw else []

    def _event(self, data: bytes) -> dict[str, Any]:
        return {"type": "websocket.send", **({"text": data.decode()} if self.is_text else {"bytes": data})}


@dataclass(frozen=True, slots=True)
class Reader:
    """Tells what a message is about; `instruments` know every spelling of their names."""

    instruments: Instruments

    def read(self, protocol: Protocol, values: Any) -> Message:
        """What a decoded message is about; what is no object is OTHER."""
        if not isinstance(values, dict):
            return Message(Channel.OTHER)
        readers: dict[Protocol, Callable[[dict[str, Any]], Message]] = {
            Protocol.ALPACA: self._alpaca,
            Protocol.POLYGON: self._polygon,
            Protocol.BINANCE: self._binance,
        }
        return readers[protocol](values)

    def canonical(self, name: str) -> str:
        """The canonical symbol behind any spelling; an unknown one stays as it is, in capitals."""
        return self.instruments.get(name).symbol if name in self.instruments else name.upper()

    def _alpaca(self, values: dict[str, Any]) -> Message:
        if values.get("stream") == "trade_updates":
            data = values["data"]
            return self._about(Channel.ORDERS, data["order"]["symbol"], data["event"])
        channel = _ALPACA.get(values.get("T", ""), Channel.CONTROL)
        return self._about(channel, values.get("S"))

    def _polygon(self, values: dict[str, Any]) -> Message:
        pair = values.get("pair")
        name = values.get("sym") if pair is None else f"X:{pair.replace('-', '')}"
        return self._about(_POLYGON.get(values["ev"], Channel.CONTROL), name)

    def _binance(self, values: dict[str, Any]) -> Message:
        stream = str(values.get("stream", ""))
        inner = values.get("data") if stream else values.get("event")
        values = inner if isinstance(inner, dict) else values
        word = values.get("e")
        if word is None:
            return self._binance_unnamed(values, stream)
        event = _BINANCE_EVENTS.get(str(values.get("x")), "") if word == "executionReport" else ""
        if event == "fill" and values.get("X") == "PARTIALLY_FILLED":
            event = "partial_fill"
        return self._about(_BINANCE.get(word, Channel.OTHER), values.get("s"), event)

    def _binance_unnamed(self, values: dict[str, Any], stream: str) -> Message:
        """Payloads that do not say what they are: touches and books; an answer has an id or a code."""
        if "lastUpdateId" in values:
            return self._about(Channel.BOOKS, stream.partition("@")[0].upper() or None)
        if "u" in values:
            return self._about(Channel.QUOTES, values.get("s"))
        return Message(Channel.OTHER if stream else Channel.CONTROL)

    def _about(self, channel: Channel, name: object, event: str = "") -> Message:
        symbols = frozenset((self.canonical(name),)) if isinstance(name, str) else frozenset[str]()
        return Message(channel, symbols, event)
