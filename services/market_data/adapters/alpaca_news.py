"""What Alpaca says beside ticks: trades corrected or cancelled, halts, and price bands."""

from collections.abc import Mapping

from services.market_data.adapters.alpaca_messages import (
    BandsMessage,
    CancelMessage,
    CorrectionMessage,
    Message,
    StatusMessage,
)
from services.market_data.domain.corrections import TradeCorrection
from services.market_data.domain.sessions import Halt, PriceBands
from services.market_data.domain.ticks import News
from trading.money import MAX_NANOS, ONE

# Tapes A and B say 2 and 3, tapes C and O say letters; P is a pause for volatility.
_HALTED, _RESUMED = frozenset(("2", "H", "P")), frozenset(("3", "T"))


def read_news(message: Message, symbols: Mapping[str, str]) -> News | None:
    """The news in a message; None when it is none, or of a symbol that we did not ask for, or means nothing."""
    match message:
        case CorrectionMessage() if (symbol := symbols.get(message.S)) and message.cp > 0 and message.cs >= 0:
            price, size = _nanos(message.cp), _nanos(message.cs)
            return TradeCorrection(symbol, str(message.oi), price, size, str(message.ci))
        case CancelMessage() if symbol := symbols.get(message.S):
            return TradeCorrection(symbol, str(message.i))
        case StatusMessage() if (symbol := symbols.get(message.S)) and message.sc in _HALTED | _RESUMED:
            return Halt(symbol, is_halted=message.sc in _HALTED)
        case BandsMessage() if (symbol := symbols.get(message.S)) and 0 < message.d <= message.u:
            return PriceBands(symbol, _nanos(message.d), _nanos(message.u))
    return None


def _nanos(amount: float) -> int:
    return min(round(amount * ONE), MAX_NANOS)
