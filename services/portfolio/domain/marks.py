"""The newest price of every symbol that was quoted."""

from collections.abc import Iterator, Mapping

from trading.market import Quote


class Marks(Mapping[str, int]):
    """Mid prices in nanos by symbol; a quote that was received earlier never replaces a later one."""

    def __init__(self) -> None:
        self._prices: dict[str, int] = {}
        self._times: dict[str, int] = {}

    def __getitem__(self, symbol: str) -> int:
        return self._prices[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._prices)

    def __len__(self) -> int:
        return len(self._prices)

    def see(self, quote: Quote) -> None:
        """Take in a quote; one without any price is ignored."""
        self.remember(quote.symbol, quote.mid_nanos, quote.receive_time_ns)

    def remember(self, symbol: str, price_nanos: int, receive_time_ns: int) -> None:
        """Take in a price that was received at a time, ns UTC; 0 is none."""
        if price_nanos > 0 and receive_time_ns >= self._times.get(symbol, 0):
            self._prices[symbol] = price_nanos
            self._times[symbol] = receive_time_ns

    def time_of(self, symbol: str) -> int:
        """When the mark of a symbol was received, ns UTC."""
        return self._times[symbol]
