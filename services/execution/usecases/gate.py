"""Whether orders are taken: not before the first reconciliation, and not once the service is stopping."""

from trading.errors import Unavailable


class Gate:
    """Shut until it is opened."""

    def __init__(self) -> None:
        self._reason = "Orders are being reconciled with the venue."

    def open(self) -> None:
        """Take orders from now on."""
        self._reason = ""

    def shut(self, reason: str) -> None:
        """Take no more orders."""
        self._reason = reason

    def check(self) -> None:
        """Raise Unavailable while it is shut."""
        if self._reason:
            raise Unavailable(self._reason, retry_after_s=1)
