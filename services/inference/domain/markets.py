"""The live features of every symbol at every venue, fed block by block."""

import numpy as np

from services.inference.domain.feature_series import FEW, Folding, quote_ticks, two_sided
from services.inference.domain.features import FeatureState
from trading.market import QuoteBlock, TradeBlock


class Markets:
    """Feature states by venue and symbol."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], FeatureState] = {}
        self._newest: dict[str, FeatureState] = {}
        self._folding = Folding()

    def of(self, venue: str, symbol: str) -> FeatureState:
        """The state of a symbol at a venue; a cold one when it is new."""
        state = self._states.get((venue, symbol))
        if state is None:
            state = self._states[venue, symbol] = FeatureState()
        return state

    def newest(self, symbol: str) -> FeatureState | None:
        """The state that ticked last among the venues of a symbol, or None before its first tick."""
        return self._newest.get(symbol)

    def quotes(self, block: QuoteBlock) -> int:
        """Fold a block of quotes; gives the position of its newest two-sided quote, or −1 when it has none."""
        state = self.of(block.venue, block.symbol)
        newest = _step(state, block) if len(block) <= FEW else self._advance(state, block)
        if newest >= 0:
            self._newest[block.symbol] = state
        return newest

    def trades(self, block: TradeBlock) -> None:
        """Fold a block of trades into what the next tick will carry."""
        state = self.of(block.venue, block.symbol)
        prices, sizes = block.price_nanos / 1e9, block.size_nanos / 1e9
        for price, size, sign in zip(prices.tolist(), sizes.tolist(), block.side_sign.tolist(), strict=True):
            if price > 0 and size >= 0:
                state.trade(price, size, sign)

    def _advance(self, state: FeatureState, block: QuoteBlock) -> int:
        whole = two_sided(block)
        self._folding.advance(state, quote_ticks(block, whole))
        return int(np.flatnonzero(whole)[-1]) if whole.any() else -1


def _step(state: FeatureState, block: QuoteBlock) -> int:
    newest = -1
    columns = (block.bid_nanos, block.bid_size_nanos, block.ask_nanos, block.ask_size_nanos)
    for position, (bid, bid_size, ask, ask_size) in enumerate(zip(*(each.tolist() for each in columns), strict=True)):
        if 0 < bid <= ask:
            state.quote(bid, bid_size, ask, ask_size)
            newest = position
    return newest
