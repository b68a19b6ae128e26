"""The newest quote of one symbol, and whether it can still be trusted."""

from collections.abc import Mapping

from services.market_data.domain.feed import FeedState, Venue
from services.market_data.domain.quotes import NewestQuote, QuoteBoard
from services.market_data.domain.registry import Registry
from trading.errors import Unavailable
from trading.instruments import AssetClass


class GetQuote:
    """Answers from memory."""

    def __init__(self, registry: Registry, board: QuoteBoard, venue: Venue, channels: Mapping[AssetClass, str]) -> None:
        self._registry, self._board, self._venue, self._channels = registry, board, venue, channels

    def __call__(self, spelling: str) -> tuple[NewestQuote, bool]:
        """The quote, and whether its feed is silent or gone.

        Raises UnknownSymbol, and Unavailable before the first quote.
        """
        instrument = self._registry.quoted(spelling)
        symbol, channel = instrument.symbol, self._channels[instrument.asset_class]
        newest = self._board.get(symbol)
        if newest is None:
            raise Unavailable(f"No quote of {symbol} has come yet.", reason="NO_QUOTE", symbol=symbol, retry_after_s=1)
        return newest, self._venue[channel].state is not FeedState.UP
