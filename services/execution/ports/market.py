"""Instruments and quotes."""

from typing import NamedTuple, Protocol

from trading.instruments import Instrument
from trading.market import Quote


class Catalogue(Protocol):
    """The instruments that can be traded."""

    async def get(self, spelling: str) -> Instrument:
        """An instrument by any spelling; raises UnknownSymbol, or Unavailable when nobody can say."""
        ...

    def session(self, symbol: str) -> str:
        """The state of a symbol's market: OPEN, CLOSED, HALTED, LIMIT_UP, LIMIT_DOWN; empty when nobody has said."""
        ...


class SeenQuote(NamedTuple):
    """A quote and how long ago we learnt it, in ns."""

    quote: Quote
    age_ns: int


class Quotes(Protocol):
    """The newest quotes."""

    def latest(self, symbol: str) -> SeenQuote | None:
        """What the stream of quotes told last."""
        ...

    async def ask(self, symbol: str) -> SeenQuote | None:
        """What market_data knows when it is asked; None when it has no quote or does not answer."""
        ...
