"""Accounts, positions and the optimiser."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway.routes.infeasible import infeasible
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
from services.gateway.schemas.book import Account, AccountList, PositionList, account_view, position_list
from services.gateway.schemas.portfolio import (
    Frontier,
    FrontierRequest,
    Optimization,
    OptimizeRequest,
    optimization_view,
)
from trading.errors import TradingError

routes = router("portfolio")
SOLVE_TIMEOUT_S = 15.0


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
)
async def optimize_portfolio(body: OptimizeRequest, fleet: Fleet) -> Optimization:
    try:
        answer = await fleet.portfolio.Optimize(body.message(), timeout=SOLVE_TIMEOUT_S)
    except TradingError as error:
        raise infeasible(error) from error
    return optimization_view(answer)


@routes.post(
    "/v1/portfolio/frontier",
    operation_id="efficient_frontier",
    summary="The efficient frontier",
    responses=refusals(404, *BODY, *KEYED, *FLEET),
)
async def efficient_frontier(body: FrontierRequest, fleet: Fleet) -> Frontier:
    try:
        points = await fleet.frontiers(body.message(), body.points)
    except TradingError as error:
        raise infeasible(error) from error
    return {"points": [optimization_view(point) for point in points]}
