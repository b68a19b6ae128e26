"""The newest of each symbol from NATS, and its frames: quotes, trades, bars, signals."""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from fleet import blocks
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.market_data.v1 import market_data_pb2 as pb
from services.gateway.schemas.market_data import bar_view
from services.gateway.schemas.scalars import number_or_none
from services.gateway.websocket.frames import Channel, Frame, Type, frame
from services.gateway.websocket.hub import Hub
from trading.errors import InvalidArgument
from trading.market import Quote, TradeBlock
from trading.money import to_float

MessageT = TypeVar("MessageT", bound=Message)


class _Print(NamedTuple):
    price_nanos: int
    size_nanos: int


class _Place(NamedTuple):
    feed_id: str
    next_sequence: int


class Market:
    """Reads what market_data and inference publish; encodes only what somebody follows."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._quotes: dict[str, Quote] = {}
        self._prints: dict[str, _Print] = {}
        self._newest: dict[tuple[Channel, str, str], Frame] = {}
        self._places: dict[tuple[Channel, str, str], _Place] = {}
        self._stale_venues: set[str] = set()

    def on_quotes(self, payload: bytes) -> None:
        """A block of quotes: its newest goes out, the rest is counted as skipped."""
        block, first_sequence, feed_id = blocks.decode_quotes(payload)
        quote = self._quotes[block.symbol] = block.last()
        missed = self._missed(Channel.QUOTES, block.venue, block.symbol, _Place(feed_id, first_sequence), len(block))
        if self._hub.has_audience(Channel.QUOTES, quote.symbol):
            self._hub.publish(self._quote_frame(quote, Type.UPDATE, len(block) - 1 + missed))

    def on_trades(self, payload: bytes) -> None:
        """A block of trades: every one goes out."""
        block, first_sequence, feed_id = blocks.decode_trades(payload)
        symbol = block.symbol
        self._prints[symbol] = _Print(int(block.price_nanos[-1]), int(block.size_nanos[-1]))
        missed = self._missed(Channel.TRADES, block.venue, symbol, _Place(feed_id, first_sequence), len(block))
        if missed:
            self._hub.publish(_lost(Channel.TRADES, symbol, block.venue, missed, int(block.receive_time_ns[0])))
        self._newest[Channel.TRADES, symbol, ""] = _trade_frame(block, len(block) - 1, Type.SNAPSHOT)
        if self._hub.has_audience(Channel.TRADES, symbol):
            for index in range(len(block)):
                self._hub.publish(_trade_frame(block, index))

    def on_bar(self, payload: bytes) -> None:
        """A closed bar."""
        bar = parsed(pb.Bar(), payload)
        data = {"interval": bar.interval, "venue": bar.venue, **bar_view(bar)}
        self._both(Channel.BARS, bar.symbol, data, bar.timestamp_ns, kind=bar.interval)

    def on_signal(self, payload: bytes) -> None:
        """A signal of a model."""
        signal = parsed(inference_pb2.Signal(), payload)
        self._both(Channel.SIGNALS, signal.symbol, signal_view(signal), signal.event_time_ns)

    def on_gap(self, payload: bytes) -> None:
        """Ticks that market_data knows to be lost: said on the symbol's channels and on system."""
        gap = parsed(pb.Gap(), payload)
        data = {
            "venue": gap.venue,
            "from_ns": str(gap.from_time_ns),
            "to_ns": str(gap.to_time_ns),
            "reason": gap.reason,
        }
        for channel in (Channel.QUOTES, Channel.TRADES):
            lost = frame(channel, gap.symbol, data, gap.to_time_ns, type=Type.GAP, symbol=gap.symbol)
            self._hub.publish(lost)
        self._system({"event": "gap", "symbol": gap.symbol, **data}, gap.to_time_ns)

    def on_venue(self, payload: bytes) -> None:
        """A change of a venue's feed."""
        status = parsed(pb.VenueStatus(), payload)
        state = pb.VenueState.Name(status.state).removeprefix("VENUE_STATE_")
        if state == "UP":
            self._stale_venues.discard(status.venue)
        else:
            self._stale_venues.add(status.venue)
        data = {"event": "venue", "venue": status.venue, "state": state, "reason": status.reason or None}
        self._system(data, status.time_ns)

    def on_stored_quote(self, quote: pb.Quote) -> None:
        """What market_data had before the first block came; a quote of ours is newer."""
        if quote.HasField("last_trade_price_nanos"):
            last = _Print(quote.last_trade_price_nanos, quote.last_trade_size_nanos)
            self._prints.setdefault(quote.symbol, last)
        self._quotes.setdefault(quote.symbol, blocks.to_quote(quote))

    def lacks_quote(self, symbol: str) -> bool:
        """No quote of this symbol has come yet."""
        return symbol not in self._quotes

    def snapshots(self, channel: Channel, symbols: Iterable[str] | None) -> list[Frame]:
        """The newest of each symbol that has one; of all symbols for None."""
        if channel is Channel.QUOTES:
            wanted = self._quotes if symbols is None else symbols
            return [self._quote_frame(self._quotes[name], Type.SNAPSHOT) for name in wanted if name in self._quotes]
        keys = [key for key in self._newest if key[0] is channel]
        named = None if symbols is None else set(symbols)
        return [self._newest[key] for key in keys if named is None or key[1] in named]

    def _quote_frame(self, quote: Quote, type: Type, skipped: int = 0) -> Frame:
        last = self._prints.get(quote.symbol)
        data = {
            "symbol": quote.symbol,
            "bid": number_or_none(quote.bid_nanos),
            "bid_size": to_float(quote.bid_size_nanos) if quote.bid_nanos else None,
            "ask": number_or_none(quote.ask_nanos),
            "ask_size": to_float(quote.ask_size_nanos) if quote.ask_nanos else None,
            "last_price": to_float(last.price_nanos) if last else None,
            "last_size": to_float(last.size_nanos) if last else None,
            "venue": quote.venue,
            "timestamp_ns": str(quote.event_time_ns),
            "receive_time_ns": str(quote.receive_time_ns),
            "stale": quote.venue in self._stale_venues,
        }
        key = quote.symbol
        return frame(Channel.QUOTES, key, data, quote.event_time_ns, type=type, symbol=key, skipped=skipped)

    def _both(self, channel: Channel, symbol: str, data: object, ts_ns: int, kind: str = "") -> None:
        """Publish, and remember the newest of each kind for whoever comes later."""
        self._newest[channel, symbol, kind] = frame(channel, symbol, data, ts_ns, type=Type.SNAPSHOT, symbol=symbol)
        if self._hub.has_audience(channel, symbol):
            self._hub.publish(frame(channel, symbol, data, ts_ns, symbol=symbol))

    def _system(self, data: object, ts_ns: int) -> None:
        self._hub.publish(frame(Channel.SYSTEM, "", data, ts_ns))

    def _missed(self, channel: Channel, venue: str, symbol: str, place: _Place, count: int) -> int:
        """How many ticks of one run of the feed did not reach us before this block."""
        key = (channel, venue, symbol)
        before = self._places.get(key)
        self._places[key] = _Place(place.feed_id, place.next_sequence + count)
        if before is None or before.feed_id != place.feed_id:
            return 0
        return max(place.next_sequence - before.next_sequence, 0)


def signal_view(signal: inference_pb2.Signal) -> dict[str, object]:
    """A signal as JSON."""
    return {
        "id": signal.id,
        "symbol": signal.symbol,
        "side": inference_pb2.SignalSide.Name(signal.side).removeprefix("SIGNAL_SIDE_"),
        "strength": signal.strength,
        "confidence": signal.confidence,
        "horizon_ns": str(signal.horizon_ns),
        "model": signal.model,
        "version": signal.version,
        "event_time_ns": str(signal.event_time_ns),
        "created_time_ns": str(signal.created_time_ns),
        "expires_ns": str(signal.expires_ns),
        "stale": signal.stale,
        "price": to_float(signal.price_nanos),
    }


_SIDES = {1: "BUY", -1: "SELL"}


def _trade_frame(block: TradeBlock, index: int, type: Type = Type.UPDATE) -> Frame:
    ts_ns = int(block.event_time_ns[index])
    data = {
        "symbol": block.symbol,
        "price": to_float(int(block.price_nanos[index])),
        "size": to_float(int(block.size_nanos[index])),
        "side": _SIDES.get(int(block.side_sign[index])),
        "trade_id": block.trade_ids[index] if block.trade_ids else None,
        "venue": block.venue,
        "timestamp_ns": str(ts_ns),
        "receive_time_ns": str(block.receive_time_ns[index]),
    }
    return frame(Channel.TRADES, block.symbol, data, ts_ns, type=type, symbol=block.symbol)


def _lost(channel: Channel, symbol: str, venue: str, count: int, ts_ns: int) -> Frame:
    data = {"venue": venue, "missed": count, "reason": "lost between market_data and the gateway"}
    return frame(channel, symbol, data, ts_ns, type=Type.GAP, symbol=symbol)


def parsed(message: MessageT, payload: bytes) -> MessageT:
    """The message behind the bytes; raises InvalidArgument when they are none."""
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise InvalidArgument("Not a message of this subject.", bytes=len(payload)) from error
    return message
