"""From NATS to the hub: one loop for each subject; a message that makes no sense is logged and left."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from fleet import subjects
from fleet.bus import Bus, Message
from services.gateway.websocket.market import Market
from trading.errors import InvalidArgument

Loop = Callable[[], Awaitable[None]]
Handle = Callable[[bytes], None]


def market_loops(bus: Bus, market: Market, log: Any) -> Mapping[str, Loop]:
    """A loop for each subject of market_data and inference."""
    handlers: dict[str, tuple[str, Handle]] = {
        "quotes": (subjects.QUOTES_ALL, market.on_quotes),
        "trades": (subjects.TRADES_ALL, market.on_trades),
        "bars": (subjects.BARS_ALL, market.on_bar),
        "signals": (subjects.SIGNALS_ALL, market.on_signal),
        "gaps": (subjects.GAPS_ALL, market.on_gap),
        "venues": (subjects.VENUE_STATUS_ALL, market.on_venue),
    }
    return {name: partial(_listen, bus, subject, handle, log) for name, (subject, handle) in handlers.items()}


async def _listen(bus: Bus, subject: str, handle: Handle, log: Any) -> None:
    def take(message: Message) -> None:
        try:
            handle(message.payload)
        except InvalidArgument as error:
            log.warning("stream.message.refused", subject=message.subject, error=error.message)

    await bus.hear(subject, take)
