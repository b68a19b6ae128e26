"""The audit trail, statements, and the comparison with the venue; the last two also as CSV files."""

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.gateway.routes.listing import CSV, IfNoneMatch, csv_file, listed, tagged
from services.gateway.routes.route import (
    FLEET,
    KEYED,
    AccountQuery,
    AnyAccount,
    CursorQuery,
    Fleet,
    Responses,
    accepts,
    encoded,
    refusals,
    router,
)
from services.gateway.schemas.reports import (
    COMPARISON_COLUMNS,
    STATEMENT_COLUMNS,
    AuditPage,
    Statement,
    VenueComparison,
    audit_view,
    comparison_rows,
    comparison_view,
    statement_rows,
    statement_view,
)
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS

routes = router("execution")
Day = Annotated[
    str | None,
    Query(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="UTC day as YYYY-MM-DD; today by default."),
]
Subject = Annotated[
    Literal["trading_state", "risk_limits", "signal_trading"] | None,
    Query(description="What was changed; everything by default."),
]
_OR_CSV: Responses = {200: {"content": {CSV: {"schema": {"type": "string"}}}}}


@routes.get(
    "/v1/execution/audit",
    operation_id="list_audit",
    summary="Who changed limits and switches, newest first",
    response_model=AuditPage,
    responses=refusals(304, 404, 422, *KEYED, *FLEET),
)
async def list_audit(
    fleet: Fleet,
    account: AnyAccount = "",
    subject: Subject = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most entries in one answer.")] = 100,
    cursor: CursorQuery = "",
    if_none_match: IfNoneMatch = None,
) -> Response:
    request = rpc.ListAuditRequest(account=account, subject=subject or "", page_size=limit, before_id=_entry_id(cursor))
    answer = await fleet.execution.ListAudit(request)
    entries = [audit_view(entry) for entry in answer.entries]
    page: AuditPage = {"entries": entries, "next_cursor": entries[-1]["id"] if answer.has_more and entries else None}
    return listed(page, if_none_match)


def _entry_id(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and 0 < int(cursor) <= MAX_NANOS):
        raise InvalidArgument("Expected the cursor of a page before.", parameter="cursor")
    return int(cursor)


@routes.get(
    "/v1/execution/statement",
    operation_id="get_statement",
    summary="What an account traded on a UTC day, and what it held at its end",
    response_model=Statement,
    responses=_OR_CSV | refusals(304, 404, 422, *KEYED, *FLEET),
)
async def get_statement(
    fleet: Fleet,
    request: Request,
    account: AccountQuery = "main",
    day: Day = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    answer = await fleet.execution.GetStatement(rpc.GetStatementRequest(account=account, day=day or ""))
    statement = statement_view(answer.statement)
    if not accepts(request, CSV):
        return listed(statement, if_none_match)
    name = ("statement", statement["account"], statement["day"])
    return tagged(csv_file(name, STATEMENT_COLUMNS, statement_rows(statement)), if_none_match)


@routes.get(
    "/v1/execution/venue-comparison",
    operation_id="compare_with_venue",
    summary="Compares open orders, positions and cash with the venue's now",
    response_model=VenueComparison,
    responses=_OR_CSV | refusals(404, 422, *KEYED, *FLEET),
)
async def compare_with_venue(fleet: Fleet, request: Request, account: AccountQuery = "main") -> Response:
    answer = await fleet.execution.CompareWithVenue(rpc.CompareWithVenueRequest(account=account))
    comparison = comparison_view(account, answer)
    if not accepts(request, CSV):
        return encoded(comparison)
    name = ("venue-comparison", account, comparison["timestamp_ns"])
    return csv_file(name, COMPARISON_COLUMNS, comparison_rows(comparison))
