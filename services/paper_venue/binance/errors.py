"""Refusals in Binance's words: an HTTP status, a negative code and a message."""

from trading.errors import TradingError

TOO_MANY_REQUESTS = -1003
FILTER_FAILURE = -1013
TOO_MANY_ORDERS = -1015
INVALID_TIMESTAMP = -1021
INVALID_SIGNATURE = -1022
ILLEGAL_CHARS = -1100
MISSING_PARAMETER = -1102
NOT_REQUIRED_PARAMETER = -1106
BAD_PRECISION = -1111
BAD_TIME_IN_FORCE = -1115
BAD_ORDER_TYPE = -1116
BAD_SIDE = -1117
BAD_INTERVAL = -1120
BAD_SYMBOL = -1121
BAD_PARAMETER = -1130
UNKNOWN_METHOD = -1141
BAD_RESTRICTIONS = -1145
NEW_ORDER_REJECTED = -2010
CANCEL_REJECTED = -2011
NO_SUCH_ORDER = -2013
BAD_KEY_FORMAT = -2014
REJECTED_KEY = -2015
CANCEL_REPLACE_HALF_DONE = -2021
CANCEL_REPLACE_FAILED = -2022
ALREADY_SUBSCRIBED = -2035
AMEND_REJECTED = -2038
NO_SUCH_ORDER_LIST = -2018

_BALANCE = "Account has insufficient balance for requested action."
_REJECTIONS = {
    "INSUFFICIENT_BUYING_POWER": _BALANCE,
    "INSUFFICIENT_QUANTITY": _BALANCE,
    "NO_QUOTE": "Market is closed.",
    "HALTED": "Market is closed.",
    "NOT_TRADABLE": "Market is closed.",
    "WASH_TRADE": "Order would trade with an order of the same account.",
    "ALREADY_EXISTS": "Duplicate order sent.",
}


class ApiError(Exception):
    """What an answer says instead of a result; `retry_after_s` goes out as a header, `data` is what else it says."""

    def __init__(
        self, code: int, message: str, status: int = 400, retry_after_s: int | None = None, data: object = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        self.data = data

    @property
    def body(self) -> dict[str, object]:
        said: dict[str, object] = {"code": self.code, "msg": str(self)}
        return said if self.data is None else said | {"data": self.data}


def filter_failure(name: str) -> ApiError:
    """An order that leaves the bounds which exchangeInfo states under that name."""
    return ApiError(FILTER_FAILURE, f"Filter failure: {name}")


def missing(name: str) -> ApiError:
    """A mandatory parameter that was not sent, or sent empty."""
    return ApiError(MISSING_PARAMETER, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unknown_symbol() -> ApiError:
    """No symbol of that name trades here."""
    return ApiError(BAD_SYMBOL, "Invalid symbol.")


def order_refusal(error: TradingError) -> ApiError:
    """The exchange's refusal of a new order as Binance would word it."""
    return ApiError(NEW_ORDER_REJECTED, _REJECTIONS.get(error.reason, error.message))
