"""What lists of orders and activities are asked by: an interval of time, and a direction."""

from services.paper_venue.alpaca.errors import FIELD, ApiError
from services.paper_venue.alpaca.rest import Call
from services.paper_venue.alpaca.times import parse_time

_END_OF_TIME = 2**63 - 1


def direction_of(call: Call) -> str:
    """`asc` or `desc`, the usual; raises ApiError 422."""
    direction = call.query.get("direction") or "desc"
    if direction not in ("asc", "desc"):
        raise ApiError(422, FIELD, f"invalid direction: expected asc or desc, was {direction!r}")
    return direction


def span_of(call: Call) -> tuple[int, int]:
    """The open interval of times that `after` and `until` leave; raises InvalidArgument."""
    after = parse_time(call.query["after"], "after") if call.query.get("after") else -1
    until = parse_time(call.query["until"], "until") if call.query.get("until") else _END_OF_TIME
    return after, until
