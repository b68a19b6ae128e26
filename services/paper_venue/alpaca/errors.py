"""Refusals in Alpaca's words: an HTTP status, a five-digit-suffixed code and a message."""

from typing import Any

from trading.errors import Kind, TradingError

MALFORMED = 40010000
FIELD = 40010001
UNAUTHORIZED = 40110000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
UNPROCESSABLE = 42210000
RATE_LIMITED = 42910000


class ApiError(Exception):
    """What an HTTP answer says instead of a result; `extras` are further members of its body."""

    def __init__(self, status: int, code: int | None, message: str, **extras: object) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, **extras}
        if code is not None:
            self.body = {"code": code, **self.body}


_BY_REASON = {
    "INSUFFICIENT_BUYING_POWER": (403, FORBIDDEN),
    "INSUFFICIENT_QUANTITY": (403, FORBIDDEN),
    "WASH_TRADE": (403, FORBIDDEN),
    "ORDER_CLOSED": (422, UNPROCESSABLE),
    "NO_QUOTE": (422, UNPROCESSABLE),
    "NOT_TRADABLE": (422, UNPROCESSABLE),
    "HALTED": (422, UNPROCESSABLE),
    "UNKNOWN_SYMBOL": (422, UNPROCESSABLE),
}
_BY_KIND = {
    Kind.INVALID_ARGUMENT: (422, FIELD),
    Kind.ALREADY_EXISTS: (422, FIELD),
    Kind.NOT_FOUND: (404, NOT_FOUND),
    Kind.FAILED_PRECONDITION: (422, UNPROCESSABLE),
}


def refusal(error: TradingError) -> ApiError:
    """The exchange's refusal as Alpaca would word it."""
    status, code = _BY_REASON.get(error.reason) or _BY_KIND.get(error.kind, (500, 50010000))
    message = error.message
    if error.reason == "UNKNOWN_SYMBOL":
        message = f'asset "{error.metadata.get("symbol")}" not found'
    extras = error.metadata if status == 403 else {}
    return ApiError(status, code, message, **extras)
