"""The newest quote of one symbol, and whether it can still be trusted."""

from collections.abc import Mapping

from services.market_data.domain.feed import CHANNELS, FeedState, Venue
from services.market_data.domain.quotes import NewestQuote, QuoteBoard
from services.market_data.domain.registry import Registry
from trading.errors import Unavailable


class GetQuote:
    """Answers from memory."""

    def __init__(self, registry: Registry, board: QuoteBoard, venues: Mapping[str, Venue]) -> None:
        self._registry, self._board, self._venues = registry, board, venues

    def __call__(self, spelling: str) -> tuple[NewestQuote, bool]:
        """The quote, and whether its feed is silent or gone.

        Raises UnknownSymbol, and Unavailable before the first quote.
        """
        instrument = self._registry.quoted(spelling)
        symbol = instrument.symbol
        newest = self._board.get(symbol)
        if newest is None:
            raise Unavailable(f"No quote of {symbol} has come yet.", reason="NO_QUOTE", symbol=symbol, retry_after_s=1)
        feed = self._venues[newest.quote.venue][CHANNELS[instrument.asset_class]]
        return newest, feed.state is not FeedState.UP
