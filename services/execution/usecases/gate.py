"""Whether orders are taken: not before the first reconciliation, and not once the service is stopping."""

import asyncio

from trading.errors import Unavailable


class Gate:
    """Shut until it is opened."""

    def __init__(self) -> None:
        self._reason = "Orders are being reconciled with the venue."
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Take orders from now on."""
        self._opened.set()

    def shut(self, reason: str) -> None:
        """Take no more orders."""
        self._reason = reason
        self._opened.clear()

    def check(self) -> None:
        """Raise Unavailable while it is shut."""
        if not self._opened.is_set():
            raise Unavailable(self._reason, retry_after_s=1)

    async def until_open(self) -> None:
        """Wait until orders are taken."""
        await self._opened.wait()
