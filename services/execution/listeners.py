"""What execution hears on NATS: quotes to judge orders by, and signals to trade."""

from collections.abc import Callable
from typing import Any

from fleet import subjects
from fleet.bus import Bus, Message
from services.execution.translate import signals
from services.execution.usecases.observe import Observer
from services.execution.usecases.trade_signals import TradeSignals
from trading.errors import TradingError


class Listeners:
    """One loop for each subject."""

    def __init__(
        self,
        bus: Bus,
        offer_quotes: Callable[[str, bytes], str],
        quoted: Callable[[str], None],
        signals: TradeSignals,
        observer: Observer,
        log: Any,
    ) -> None:
        self._bus = bus
        self._offer_quotes = offer_quotes
        self._quoted = quoted
        self._signals = signals
        self._observer = observer
        self._log = log

    async def quotes(self) -> None:
        """Take in every block of quotes."""
        await self._bus.hear(subjects.QUOTES_ALL, self._quotes)

    async def trade(self) -> None:
        """Take in every signal; one that cannot be read or taken is logged and forgotten, as signals are."""
        await self._bus.listen(subjects.SIGNALS_ALL, self._signal)

    def _quotes(self, message: Message) -> None:
        self._quoted(self._offer_quotes(message.subject, message.payload))

    async def _signal(self, message: Message) -> None:
        try:
            signal = signals.signal(message.payload)
            self._observer.tally.signals += 1
            self._signals.start(signal)
        except TradingError as error:
            self._log.warning("signal.refused", subject=message.subject, error=error.message)
