"""Times as Polygon's customers write them: dates, milliseconds of aggregates, nanoseconds of ticks."""

from datetime import UTC, date, datetime, timedelta

from services.paper_venue.domain.sessions import CLOSES, at_new_york, midnight_utc
from services.paper_venue.polygon.errors import bad_request
from services.paper_venue.polygon.frames import MILLISECOND_NS
from services.paper_venue.polygon.listing import Ticker
from trading.clock import SECOND_NS
from trading.instruments import AssetClass

_LONGEST_NUMBER = 19
_MIDNIGHT = datetime.min.time()


def parse_date(text: str) -> date:
    """`YYYY-MM-DD`; raises ApiError 400."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad_request(f"Could not parse the date {text!r}: expected YYYY-MM-DD.") from None


def day_span(day: date, asset_class: AssetClass) -> tuple[int, int]:
    """The first and the last nanosecond of a day: in New York for shares, in UTC for coins."""
    after = day + timedelta(days=1)
    if asset_class is AssetClass.CRYPTO:
        return midnight_utc(day), midnight_utc(after) - 1
    return at_new_york(day, _MIDNIGHT), at_new_york(after, _MIDNIGHT) - 1


def day_close_ms(day_start_ns: int, ticker: Ticker) -> int:
    """What single days are stamped with: the close of shares, the last millisecond of coins."""
    day = datetime.fromtimestamp((day_start_ns + 12 * 3_600 * SECOND_NS) / 1e9, UTC).date()
    if ticker.is_crypto:
        return day_span(day, AssetClass.CRYPTO)[1] // MILLISECOND_NS
    return at_new_york(day, CLOSES) // MILLISECOND_NS


def span_of(text: str, unit_ns: int, asset_class: AssetClass) -> tuple[int, int]:
    """The first and the last nanosecond that a date, an RFC 3339 time or a number of `unit_ns` means.

    Raises ApiError 400.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        first = int(text) * unit_ns
        return first, first + unit_ns - 1
    if len(text) == len("2026-01-01"):
        return day_span(parse_date(text), asset_class)
    moment = _moment(text)
    return moment, moment


def _moment(text: str) -> int:
    """An RFC 3339 time in ns; raises ApiError 400."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"Could not parse the time {text!r}.") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000
