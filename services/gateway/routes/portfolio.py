"""Accounts, positions and the optimiser."""

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway import optimize_body
from services.gateway.bulk import Bulk
from services.gateway.routes.infeasible import infeasible
from services.gateway.routes.route import (
    BODY,
    FLEET,
    JSON,
    KEYED,
    AccountQuery,
    Fleet,
    encoded,
    fleet_of,
    idempotency_key,
    media_type_of,
    refusals,
    require_json,
    router,
)
from services.gateway.schemas.book import Account, AccountList, PositionList, account_view, position_list
from services.gateway.schemas.portfolio import (
    Frontier,
    FrontierRequest,
    Optimization,
    OptimizeRequest,
    optimization_view,
)
from services.gateway.tables import ARROW
from trading.errors import TradingError

routes = router("portfolio")
SOLVE_TIMEOUT_S = 15.0


def _problem_of(kind: type[OptimizeRequest]) -> dict[str, Any]:
    """A body that is read by hand, for the documentation."""
    content = {
        JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}},
        ARROW: {"schema": {"type": "string", "contentMediaType": ARROW}},
    }
    return {"requestBody": {"required": True, "content": content}}


@routes.get(
    "/v1/accounts",
    operation_id="list_accounts",
    summary="Every account, by id",
    responses=refusals(*KEYED, *FLEET),
)
async def list_accounts(fleet: Fleet) -> AccountList:
    answer = await fleet.portfolio.ListAccounts(rpc.ListAccountsRequest())
    return {"accounts": [account_view(account) for account in answer.accounts]}


@routes.get(
    "/v1/account",
    operation_id="get_account",
    summary="One account",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_account(fleet: Fleet, account: AccountQuery = "main") -> Account:
    return account_view((await fleet.portfolio.GetAccount(rpc.GetAccountRequest(account=account))).account)


@routes.get(
    "/v1/positions",
    operation_id="list_positions",
    summary="What an account holds, by symbol",
    response_model=PositionList,
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def list_positions(
    request: Request,
    account: AccountQuery = "main",
    include_flat: Annotated[bool, Query(description="Flat positions too, with what they realised.")] = False,
) -> Response:
    question = rpc.ListPositionsRequest(account=account, include_flat=include_flat)
    return encoded(position_list(account, await fleet_of(request).portfolio.ListPositions(question)))


@routes.post(
    "/v1/portfolio/optimize",
    operation_id="optimize_portfolio",
    summary="Chooses weights",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
    openapi_extra=_problem_of(OptimizeRequest),
)
async def optimize_portfolio(request: Request, fleet: Fleet) -> Optimization:
    try:
        asked = await _read(OptimizeRequest, request)
        answer = await fleet.portfolio.Optimize(asked.message(), timeout=SOLVE_TIMEOUT_S)
    except TradingError as error:
        raise infeasible(error) from error
    return optimization_view(answer)


@routes.post(
    "/v1/portfolio/frontier",
    operation_id="efficient_frontier",
    summary="The efficient frontier",
    responses=refusals(404, *BODY, *KEYED, *FLEET),
    openapi_extra=_problem_of(FrontierRequest),
)
async def efficient_frontier(request: Request, fleet: Fleet) -> Frontier:
    try:
        asked = await _read(FrontierRequest, request)
        points = await fleet.frontiers(asked.message(), asked.points)
    except TradingError as error:
        raise infeasible(error) from error
    return {"points": [optimization_view(point) for point in points]}


async def _read(kind: type[OptimizeRequest], request: Request) -> optimize_body.Asked:
    """The problem in a body; raises what the reader refuses as the route's problem documents."""
    bulk: Bulk = request.app.state.bulk
    as_arrow = media_type_of(request) == ARROW
    if not as_arrow:
        require_json(request)
    work = optimize_body.read_arrow if as_arrow else optimize_body.read_json
    try:
        return await bulk.do(partial(work, kind), await request.body(), apart=as_arrow)
    except optimize_body.Malformed as error:
        raise HTTPException(400, str(error)) from error
    except optimize_body.Invalid as error:
        raise RequestValidationError(error.details) from error
