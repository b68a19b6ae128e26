"""The live features of every symbol at every venue, fed block by block."""

import numpy as np

from services.inference.domain.feature_series import FEW, Folding, quote_ticks, two_sided
from services.inference.domain.features import FEATURES, WARM_UP_TICKS, FeatureState
from services.inference.domain.live_windows import LiveWindows, Rows
from trading.market import QuoteBlock, TradeBlock

MOST_WINDOW_BYTES = 256 * 1024 * 1024


class Markets:
    """Feature states by venue and symbol, and their newest rows while a model sees more than one."""

    def __init__(self, most_window_bytes: int = MOST_WINDOW_BYTES) -> None:
        self._states: dict[tuple[str, str], FeatureState] = {}
        self._newest: dict[str, FeatureState] = {}
        self._newest_venue: dict[str, str] = {}
        self._folding = Folding()
        self._windows = LiveWindows(len(FEATURES), most_window_bytes)

    def remember(self, steps: int) -> None:
        """Keep at least the newest `steps` feature rows of each symbol from now on."""
        self._windows.remember(steps)

    def recent(self, venue: str, symbol: str, count: int) -> Rows:
        """The newest `count` warm feature rows (n, F) of a symbol, or as many as are kept; changed by its next tick."""
        return self._windows.newest((venue, symbol), count)

    def recent_of_newest(self, symbol: str, count: int) -> Rows:
        """The same of the state that ticked last among the venues of a symbol."""
        return self._windows.newest((self._newest_venue.get(symbol, ""), symbol), count)

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
        kept = self._windows if self._windows.wanted else None
        newest = _step(state, block, kept) if len(block) <= FEW else self._advance(state, block, kept)
        if newest >= 0:
            self._newest[block.symbol], self._newest_venue[block.symbol] = state, block.venue
        return newest

    def trades(self, block: TradeBlock) -> None:
        """Fold a block of trades into what the next tick will carry."""
        state = self.of(block.venue, block.symbol)
        prices, sizes = block.price_nanos / 1e9, block.size_nanos / 1e9
        for price, size, sign in zip(prices.tolist(), sizes.tolist(), block.side_sign.tolist(), strict=True):
            if price > 0 and size >= 0:
                state.trade(price, size, sign)

    def _advance(self, state: FeatureState, block: QuoteBlock, kept: LiveWindows | None) -> int:
        whole = two_sided(block)
        ticks = quote_ticks(block, whole)
        if kept is None:
            self._folding.advance(state, ticks)
        else:
            cold = min(max(WARM_UP_TICKS - 1 - state.ticks, 0), len(ticks))
            features = np.empty((len(ticks), len(FEATURES)), np.float32)
            self._folding.fold(state, ticks, features)
            kept.push((block.venue, block.symbol), features[cold:])
        return int(np.flatnonzero(whole)[-1]) if whole.any() else -1


def _step(state: FeatureState, block: QuoteBlock, kept: LiveWindows | None) -> int:
    if len(block) == 1:  # as most are in a live market; a seventh of the time of the general way
        bid, bid_size = block.bid_nanos.item(), block.bid_size_nanos.item()
        ask, ask_size = block.ask_nanos.item(), block.ask_size_nanos.item()
        return 0 if _take(state, block, kept, bid, bid_size, ask, ask_size) else -1
    newest = -1
    columns = (block.bid_nanos, block.bid_size_nanos, block.ask_nanos, block.ask_size_nanos)
    for position, quote in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        if _take(state, block, kept, *quote):
            newest = position
    return newest


def _take(
    state: FeatureState,
    block: QuoteBlock,
    kept: LiveWindows | None,
    bid_nanos: int,
    bid_size_nanos: int,
    ask_nanos: int,
    ask_size_nanos: int,
) -> bool:
    """Step by a quote of a block when it has two sides."""
    if not 0 < bid_nanos <= ask_nanos:
        return False
    state.quote(bid_nanos, bid_size_nanos, ask_nanos, ask_size_nanos)
    if kept is not None and state.warm:
        kept.push((block.venue, block.symbol), (state.features(),))
    return True
