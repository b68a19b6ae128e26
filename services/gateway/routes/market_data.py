"""Instruments, quotes and bars."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query, Request, Response

from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from services.gateway.routes.listing import IfNoneMatch, listed
from services.gateway.routes.route import FLEET, KEYED, CursorQuery, Fleet, encoded, fleet_of, refusals, router
from services.gateway.schemas.market_data import (
    BarPage,
    InstrumentList,
    Interval,
    Quote,
    bar_page,
    instrument_view,
    quote_view,
)
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS

routes = router("market-data")
AnySpelling = Annotated[str, Path(min_length=1, max_length=32, description="Any spelling of the symbol.")]
Moment = Annotated[str | None, Query(max_length=64, description="ISO 8601 or nanoseconds.")]
_MICROSECOND_NS = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@routes.get(
    "/v1/instruments",
    operation_id="list_instruments",
    summary="Every instrument the fleet knows, by symbol",
    response_model=InstrumentList,
    responses=refusals(304, 422, *KEYED, *FLEET),
)
async def list_instruments(fleet: Fleet, if_none_match: IfNoneMatch = None) -> Response:
    answer = await fleet.market_data.ListInstruments(rpc.ListInstrumentsRequest())
    return listed({"instruments": [instrument_view(found) for found in answer.instruments]}, if_none_match)


@routes.get(
    "/v1/market-data/quotes/{symbol:path}",
    operation_id="get_quote",
    summary="The newest quote of a symbol",
    response_model=Quote,
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_quote(
    symbol: Annotated[str, Path(min_length=1, max_length=32, description="Any spelling of the symbol.")],
    request: Request,
) -> Response:
    answer = await fleet_of(request).market_data.GetQuote(rpc.GetQuoteRequest(symbol=symbol))
    return encoded(quote_view(answer.quote))


@routes.get(
    "/v1/market-data/bars",
    operation_id="list_bars",
    summary="Time bars by symbol, oldest first",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def list_bars(
    symbols: Annotated[str, Query(min_length=1, max_length=4096, description="Any spellings, comma-separated.")],
    fleet: Fleet,
    start: Moment = None,
    end: Moment = None,
    interval: Interval = "1m",
    limit: Annotated[int, Query(ge=1, le=10_000, description="Most bars in one answer.")] = 1000,
    cursor: CursorQuery = "",
) -> BarPage:
    request = rpc.ListBarsRequest(
        symbols=[symbol.strip() for symbol in symbols.split(",") if symbol.strip()],
        start_time_ns=moment_ns(start, "start"),
        end_time_ns=moment_ns(end, "end"),
        interval=interval,
        page_size=limit,
        cursor=cursor,
    )
    answer = await fleet.market_data.ListBars(request)
    return bar_page(answer.bars, answer.next_cursor)


def moment_ns(text: str | None, parameter: str) -> int:
    """Nanoseconds UTC of an ISO 8601 moment or a count of nanoseconds; 0 when there is none."""
    if not text:
        return 0
    if text.isascii() and text.isdigit() and int(text) <= MAX_NANOS:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgument("Expected ISO 8601 or nanoseconds.", parameter=parameter, value=text) from error
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not 0 <= microseconds * _MICROSECOND_NS <= MAX_NANOS:
        raise InvalidArgument("Expected a moment between 1970 and 2262.", parameter=parameter, value=text)
    return microseconds * _MICROSECOND_NS
