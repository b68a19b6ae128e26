"""Instruments, quotes and bars."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query, Request, Response
from starlette.responses import StreamingResponse

from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from services.gateway.routes.listing import IfNoneMatch, listed
from services.gateway.routes.route import (
    BODY,
    FLEET,
    JSON,
    KEYED,
    CursorQuery,
    Fleet,
    Responses,
    accepts,
    encoded,
    fleet_of,
    refusals,
    router,
)
from services.gateway.schemas.market_data import (
    ActivityInterval,
    BarPage,
    InstrumentList,
    Interval,
    QueryAnswer,
    QueryRequest,
    Quote,
    Windows,
    bar_page,
    instrument_view,
    quote_view,
    windows_view,
)
from services.gateway.tables import ARROW, Table
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS

routes = router("market-data")
AnySpelling = Annotated[str, Path(min_length=1, max_length=32, description="Any spelling of the symbol.")]
Moment = Annotated[str | None, Query(max_length=64, description="ISO 8601 or nanoseconds.")]
_OR_ARROW: Responses = {200: {"content": {ARROW: {"schema": {"type": "string", "contentMediaType": ARROW}}}}}
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
    "/v1/market-data/windows/{symbol:path}",
    operation_id="get_windows",
    summary="Rolling windows over the newest ticks of a symbol",
    response_model=Windows,
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_windows(symbol: AnySpelling, request: Request) -> Response:
    answer = await fleet_of(request).market_data.GetWindows(rpc.GetWindowsRequest(symbol=symbol))
    return encoded(windows_view(answer))


@routes.get(
    "/v1/market-data/bars",
    operation_id="list_bars",
    summary="Bars by symbol, oldest first",
    response_model=BarPage,
    responses=_OR_ARROW | refusals(404, 422, *KEYED, *FLEET),
)
async def list_bars(
    symbols: Annotated[str, Query(min_length=1, max_length=4096, description="Any spellings, comma-separated.")],
    fleet: Fleet,
    request: Request,
    start: Moment = None,
    end: Moment = None,
    interval: Interval | ActivityInterval = "1m",
    limit: Annotated[int, Query(ge=1, le=10_000, description="Most bars in one answer.")] = 1000,
    cursor: CursorQuery = "",
) -> Response:
    named = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    start_ns, end_ns = moment_ns(start, "start"), moment_ns(end, "end")
    if accepts(request, ARROW):
        if cursor:
            raise InvalidArgument("An Arrow answer is whole and has no pages.", parameter="cursor")
        question = rpc.GetHistoricalRequest(
            symbols=named,
            start_time_ns=start_ns,
            end_time_ns=end_ns,
            interval=interval,
            row_limit=limit if "limit" in request.query_params else 0,
        )
        found = await fleet.tables.historical(question)
        return StreamingResponse(found.slices, headers=_facts(found), media_type=ARROW)
    page = rpc.ListBarsRequest(
        symbols=named,
        start_time_ns=start_ns,
        end_time_ns=end_ns,
        interval=interval,
        page_size=limit,
        cursor=cursor,
    )
    answer = await fleet.market_data.ListBars(page)
    return encoded(bar_page(answer.bars, answer.next_cursor))


@routes.post(
    "/v1/market-data/query",
    operation_id="query_history",
    summary="SQL over the history; read-only, bounded in rows, time and memory",
    response_model=QueryAnswer,
    responses=_OR_ARROW | refusals(*KEYED, *BODY, *FLEET),
)
async def query_history(body: QueryRequest, fleet: Fleet, request: Request) -> Response:
    as_arrow = accepts(request, ARROW)
    form = rpc.HISTORY_FORMAT_ARROW if as_arrow else rpc.HISTORY_FORMAT_JSON
    found, data = await fleet.tables.query(rpc.QueryHistoryRequest(sql=body.sql, row_limit=body.limit, format=form))
    return Response(data, headers=_facts(found), media_type=ARROW if as_arrow else JSON)


def _facts(found: Table) -> dict[str, str]:
    return {"x-rows": str(found.rows), "x-truncated": str(found.truncated).lower()}


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
