"""What inference hears on NATS: blocks of quotes and trades."""

from typing import Any

from fleet import subjects
from fleet.blocks import decode_quotes, decode_trades
from fleet.bus import Bus, Message
from services.inference.usecases.follow import Follow
from trading.errors import InvalidArgument


class Listeners:
    """Loops that hand every block to the live path; what is no block is logged and left."""

    def __init__(self, bus: Bus, follow: Follow, log: Any) -> None:
        self._bus = bus
        self._follow = follow
        self._log = log

    async def quotes(self) -> None:
        """Follow the quotes of every venue and symbol, for ever."""
        await self._bus.listen(subjects.QUOTES_ALL, self._quotes)

    async def trades(self) -> None:
        """Follow the trades of every venue and symbol, for ever."""
        await self._bus.listen(subjects.TRADES_ALL, self._trades)

    async def _quotes(self, message: Message) -> None:
        try:
            block, first_sequence, feed_id = decode_quotes(message.payload)
        except InvalidArgument as error:
            self._refuse(message, error)
        else:
            await self._follow.quotes(block, first_sequence, feed_id)

    async def _trades(self, message: Message) -> None:
        try:
            block, first_sequence, feed_id = decode_trades(message.payload)
        except InvalidArgument as error:
            self._refuse(message, error)
        else:
            self._follow.trades(block, first_sequence, feed_id)

    def _refuse(self, message: Message, error: InvalidArgument) -> None:
        self._log.warning("block.refused", subject=message.subject, error=error.message)
