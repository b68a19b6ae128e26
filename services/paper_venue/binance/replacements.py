"""One order in the place of another: what is answered when one half of it, or both, did not succeed."""

from collections.abc import Callable

from services.paper_venue.binance.errors import CANCEL_REPLACE_FAILED, CANCEL_REPLACE_HALF_DONE, ApiError

_CONFLICT = 409
_DONE, _FAILED, _NOT_TRIED = "SUCCESS", "FAILURE", "NOT_ATTEMPTED"


def replacement(cancel: Callable[[], object], place: Callable[[], object], *, goes_on: bool) -> dict[str, object]:
    """Cancel, then place; `goes_on` places even when the cancel failed. Raises ApiError unless both succeeded."""
    canceled, gone = _tried(cancel)
    placed, new = _tried(place) if gone == _DONE or goes_on else (None, _NOT_TRIED)
    told = {"cancelResult": gone, "newOrderResult": new, "cancelResponse": canceled, "newOrderResponse": placed}
    if gone == new == _DONE:
        return told
    if _DONE in (gone, new):
        raise ApiError(CANCEL_REPLACE_HALF_DONE, "Order cancel-replace partially failed.", _CONFLICT, data=told)
    raise ApiError(CANCEL_REPLACE_FAILED, "Order cancel-replace failed.", data=told)


def _tried(half: Callable[[], object]) -> tuple[object, str]:
    try:
        return half(), _DONE
    except ApiError as error:
        return error.body, _FAILED
