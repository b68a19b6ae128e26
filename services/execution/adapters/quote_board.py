"""The newest quotes: blocks from NATS, decoded only when an order needs one, and market_data's word when asked."""

from typing import NamedTuple

from fleet import subjects
from fleet.blocks import decode_quotes, to_quote
from neuraltrader.market_data.v1 import market_data_service_pb2 as md_rpc
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.execution.ports.market import SeenQuote
from trading.clock import Clock
from trading.errors import InvalidArgument, TradingError
from trading.market import Quote


class _Block(NamedTuple):
    payload: bytes
    seen_ns: int


class _Known(NamedTuple):
    quote: Quote
    seen_ns: int


class QuoteBoard:
    """What is known of every symbol; ages count from when we heard, by our own monotonic clock."""

    def __init__(self, market_data: MarketDataServiceStub, clock: Clock, timeout_s: float) -> None:
        self._market_data = market_data
        self._clock = clock
        self._timeout_s = timeout_s
        self._blocks: dict[str, _Block] = {}
        self._symbols: dict[str, str] = {}
        self._known: dict[str, _Known] = {}

    def offer(self, subject: str, payload: bytes) -> str:
        """Keep a symbol's newest block, and say whose it is; an older one nobody asked about was never decoded."""
        symbol = self._symbols.get(subject)
        if symbol is None:
            symbol = self._symbols[subject] = subjects.unescape(subject.rpartition(".")[2])
        self._blocks[symbol] = _Block(payload, self._clock.monotonic_ns())
        return symbol

    def latest(self, symbol: str) -> SeenQuote | None:
        """The last quote of the newest block."""
        block = self._blocks.pop(symbol, None)
        if block is not None:
            self._learn(symbol, block)
        known = self._known.get(symbol)
        return known and SeenQuote(known.quote, self._clock.monotonic_ns() - known.seen_ns)

    async def ask(self, symbol: str) -> SeenQuote | None:
        """Ask market_data. Its receive time is of another host: only a quote it calls stale is aged by it."""
        try:
            answer = await self._market_data.GetQuote(md_rpc.GetQuoteRequest(symbol=symbol), timeout=self._timeout_s)
        except TradingError:
            return None
        quote, now_ns = to_quote(answer.quote), self._clock.monotonic_ns()
        age_ns = max(self._clock.now_ns() - quote.receive_time_ns, 0) if answer.quote.stale else 0
        self._known[symbol] = _Known(quote, now_ns - age_ns)
        return SeenQuote(quote, age_ns)

    def _learn(self, symbol: str, block: _Block) -> None:
        try:
            quote = decode_quotes(block.payload).block.last()
        except InvalidArgument:
            return  # not a block: what was known before stands
        self._known[symbol] = _Known(quote, block.seen_ns)
