"""What Binance's answers prove: that something was done, that it was not, or nothing at all."""

from typing import Any, NamedTuple

import msgspec

from services.execution.adapters.venue_http import Answer
from services.execution.ports.venue import VenueRefused
from trading.errors import Unavailable

TOO_MANY_ORDERS = -1015
OUT_OF_TIME = -1021
UNKNOWN_SYMBOL = -1121
HALF_REPLACED = -2021
NOT_REPLACED = -2022
NO_SUCH_ORDER = frozenset({-2013, -2026})
"""The venue has no such order, or archived it long ago because nothing of it ever traded."""

_PROVE_NOTHING = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
"""Codes of a venue that does not know itself what became of the request, or is not able to say."""
_DUPLICATE = "Duplicate order sent."
"""An open order has our name: if it is ours, the order was taken after all."""


class Complaint(NamedTuple):
    """A structured refusal: Binance's code, its words, and what else it says."""

    code: int
    words: str
    data: Any = None


def complaint(answer: Answer) -> Complaint | None:
    """What a refusal says; None for a success, and for what is not Binance's own word, as from a proxy in between."""
    if answer.is_success:
        return None
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("code"), int) or not isinstance(body.get("msg"), str):
        return None
    return Complaint(body["code"], body["msg"], body.get("data"))


def outcome(answer: Answer) -> Any:
    """The body of what was done; raises VenueRefused where the answer proves that it was not, else Unavailable."""
    if answer.is_success:
        return _json(answer)
    said = complaint(answer)
    if said is not None and _is_proof(answer.status, said):
        raise VenueRefused(said.words, status=answer.status, code=said.code)
    raise _silence(answer, said)


def told(answer: Answer) -> Any:
    """The body of the answer to a question; raises Unavailable."""
    if answer.is_success:
        return _json(answer)
    raise _silence(answer, complaint(answer))


def _is_proof(status: int, said: Complaint) -> bool:
    return 400 <= status < 500 and said.code not in _PROVE_NOTHING and said.words != _DUPLICATE


def _silence(answer: Answer, said: Complaint | None) -> Unavailable:
    words = f" {said.code}: {said.words}" if said else ""
    return Unavailable(f"The venue answered {answer.status}{words}.", retry_after_s=answer.retry_after_s or 1)


def _json(answer: Answer) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except msgspec.DecodeError as error:
        raise Unavailable("The venue's answer cannot be read.", retry_after_s=1) from error
