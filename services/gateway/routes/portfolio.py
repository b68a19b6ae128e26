"""Accounts, positions, optimiser and risk."""

from typing import Annotated

import msgspec
from fastapi import Depends, Query, Request, Response

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway.backends import Backends
from services.gateway.history import daily_returns
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
    Optimization,
    OptimizeRequest,
    Risk,
    RiskRequest,
    optimization_view,
    risk_view,
)
from trading.errors import Kind, TradingError
from trading.instruments import DEFAULT_BENCHMARK

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
        history = await daily_returns(fleet, body.symbols, body.window_days) if body.window_days else None
        answer = await fleet.portfolio.Optimize(body.message(history), timeout=SOLVE_TIMEOUT_S)
    except TradingError as error:
        raise _infeasible(error) from error
    return optimization_view(answer)


@routes.post(
    "/v1/portfolio/risk",
    operation_id="calculate_risk",
    summary="Measures the risk of positions",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def calculate_risk(body: RiskRequest, fleet: Fleet) -> Risk:
    try:
        answer = await fleet.portfolio.CalculateRisk(await _risk_question(body, fleet), timeout=SOLVE_TIMEOUT_S)
    except TradingError as error:
        raise _infeasible(error) from error
    return risk_view(answer)


async def _risk_question(body: RiskRequest, fleet: Backends) -> rpc.CalculateRiskRequest:
    if not body.window_days:
        return body.message(None, None)
    benchmark = body.benchmark or DEFAULT_BENCHMARK
    returns = await daily_returns(fleet, [*body.symbols, benchmark], body.window_days)
    return body.message(returns[:, :-1], returns[:, -1])


def _infeasible(error: TradingError) -> TradingError:
    """A problem without an answer is the caller's to change: 422 with the constraint and its numbers."""
    if error.kind not in {Kind.FAILED_PRECONDITION, Kind.INVALID_ARGUMENT}:
        return error
    facts = dict(error.metadata)
    named = {name: facts.pop(name) for name in ("field", "parameter") if name in facts}
    constraint = facts.pop("constraint", None)
    numbers = _numbers(facts.pop("numbers", None)) or {name: _number(value) for name, value in facts.items()}
    return TradingError(
        Kind.INVALID_ARGUMENT, error.reason, error.message, constraint=constraint, numbers=numbers, **named
    )


def _numbers(packed: object) -> object:
    """Portfolio packs its numbers as JSON into one text of the error's metadata."""
    try:
        return msgspec.json.decode(packed) if isinstance(packed, str) else None
    except msgspec.DecodeError:
        return {"text": packed}


def _number(text: object) -> object:
    try:
        return float(str(text))
    except ValueError:
        return text
