"""The newest quote and trade of each symbol."""

from dataclasses import dataclass

from trading.market import Quote, QuoteBlock, TradeBlock


@dataclass(frozen=True, slots=True)
class NewestQuote:
    """A symbol's newest quote with its newest trade, price and size in nanos; None before the first trade."""

    quote: Quote
    last_trade_price_nanos: int | None = None
    last_trade_size_nanos: int | None = None


@dataclass(frozen=True, slots=True)
class _Newest:
    block: QuoteBlock
    first_sequence: int


class QuoteBoard:
    """What every symbol was last quoted and traded at, in order of arrival; newest wins."""

    def __init__(self) -> None:
        self._quotes: dict[str, _Newest] = {}
        self._trades: dict[str, tuple[int, int]] = {}
        self._changed: set[str] = set()

    def put_quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        """Take in a block; only a reference is kept, so this costs the same for any size."""
        self._quotes[block.symbol] = _Newest(block, first_sequence)
        self._changed.add(block.symbol)

    def put_trades(self, block: TradeBlock) -> None:
        """Take in a block of trades."""
        self._trades[block.symbol] = (int(block.price_nanos[-1]), int(block.size_nanos[-1]))
        self._changed.add(block.symbol)

    def get(self, symbol: str) -> NewestQuote | None:
        """The newest quote, or None before the first."""
        newest = self._quotes.get(symbol)
        if newest is None:
            return None
        return NewestQuote(newest.block.last(), *self._trades.get(symbol, (None, None)))

    def newest_block(self, symbol: str) -> tuple[QuoteBlock, int] | None:
        """The newest quote as a block of one, with its sequence."""
        newest = self._quotes.get(symbol)
        if newest is None:
            return None
        before = len(newest.block) - 1
        return newest.block.tail(before), newest.first_sequence + before

    def take_changed(self) -> list[NewestQuote]:
        """Quotes of the symbols that changed since the last call."""
        symbols, self._changed = self._changed, set()
        return [newest for symbol in sorted(symbols) if (newest := self.get(symbol)) is not None]

    def give_back(self, quotes: list[NewestQuote]) -> None:
        """These changes could not be passed on: count them as changed again."""
        self._changed.update(newest.quote.symbol for newest in quotes)
