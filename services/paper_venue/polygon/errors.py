"""Refusals in Polygon's words: an HTTP status, a status word, and `error` or `message`."""


class ApiError(Exception):
    """What an HTTP answer says instead of a result; `retry_after_s` where waiting helps."""

    def __init__(self, status: int, body: dict[str, object], retry_after_s: int | None = None) -> None:
        super().__init__(body.get("error") or body.get("message"))
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


def bad_request(message: str) -> ApiError:
    """A parameter that cannot be understood."""
    return ApiError(400, {"status": "ERROR", "error": message})


def unknown_key() -> ApiError:
    """No key, or one that nobody has."""
    return ApiError(401, {"status": "ERROR", "error": "Unknown API Key"})


def not_entitled() -> ApiError:
    """An asset class that this venue does not carry."""
    return ApiError(403, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."})


def not_found(message: str = "Data not found.") -> ApiError:
    """A ticker or a day that nothing is known of."""
    return ApiError(404, {"status": "NOT_FOUND", "message": message})


def too_many_requests(retry_after_s: int) -> ApiError:
    """More calls in this minute than the plan allows."""
    message = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
    return ApiError(429, {"status": "ERROR", "error": message}, retry_after_s)
