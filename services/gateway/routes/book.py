"""Performance, and what is booked without a trade."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from neuraltrader.portfolio.v1 import book_service_pb2 as rpc
from services.gateway.routes.market_data import Moment, moment_ns
from services.gateway.routes.route import (
    BODY,
    FLEET,
    KEYED,
    AccountQuery,
    Fleet,
    encoded,
    fleet_of,
    idempotency_key,
    refusals,
    router,
)
from services.gateway.schemas.bookings import (
    ImportRequest,
    ImportResult,
    Performance,
    Transfer,
    TransferRequest,
    import_view,
    performance_view,
    transfer_view,
)

routes = router("portfolio")
AccountPath = Annotated[str, Path(min_length=1, max_length=64, description="Account.")]


@routes.get(
    "/v1/portfolio/performance",
    operation_id="get_performance",
    summary="Equity curve and its statistics",
    response_model=Performance,
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_performance(
    request: Request,
    account: AccountQuery = "main",
    start: Moment = None,
    end: Moment = None,
    points: Annotated[int, Query(ge=2, le=10_000, description="Most points of the curve.")] = 1000,
) -> Response:
    question = rpc.GetPerformanceRequest(
        account=account,
        start_time_ns=moment_ns(start, "start"),
        end_time_ns=moment_ns(end, "end"),
        points=points,
    )
    return encoded(performance_view(await fleet_of(request).book.GetPerformance(question)))


@routes.post(
    "/v1/accounts/{account}/transfers",
    operation_id="record_transfer",
    summary="Books cash that was paid in or out",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def record_transfer(account: AccountPath, body: TransferRequest, fleet: Fleet) -> Transfer:
    return transfer_view(account, body.transfer_id, await fleet.book.RecordTransfer(body.message(account)))


@routes.post(
    "/v1/accounts/{account}/positions",
    operation_id="import_positions",
    summary="Books positions that were acquired elsewhere",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def import_positions(account: AccountPath, body: ImportRequest, fleet: Fleet) -> ImportResult:
    return import_view(account, body.import_id, await fleet.book.ImportPositions(body.message(account)))
