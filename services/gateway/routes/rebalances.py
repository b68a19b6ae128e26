"""Rebalances: proposed, executed, ended; and the schedules that do it by themselves."""

from typing import Annotated

from fastapi import Depends, Path, Query, Response

from neuraltrader.portfolio.v1 import rebalance_service_pb2 as rpc
from services.gateway.routes.infeasible import infeasible
from services.gateway.routes.route import (
    BODY,
    FLEET,
    KEYED,
    AnyAccount,
    CursorQuery,
    Fleet,
    idempotency_key,
    refusals,
    router,
)
from services.gateway.schemas.rebalances import (
    Rebalance,
    RebalancePage,
    RebalanceRequest,
    Schedule,
    ScheduleList,
    ScheduleRequest,
    rebalance_view,
    schedule_view,
)
from trading.errors import Kind, TradingError

routes = router("portfolio")
PROPOSE_TIMEOUT_S = 15.0
RebalanceId = Annotated[str, Path(min_length=1, max_length=64)]
AccountPath = Annotated[str, Path(min_length=1, max_length=64, description="Account.")]


@routes.post(
    "/v1/portfolio/rebalances",
    operation_id="propose_rebalance",
    summary="Target weights become a proposal of orders",
    status_code=201,
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def propose_rebalance(body: RebalanceRequest, fleet: Fleet, response: Response) -> Rebalance:
    try:
        answer = await fleet.rebalances.ProposeRebalance(body.message(), timeout=PROPOSE_TIMEOUT_S)
    except TradingError as error:
        raise infeasible(error) if error.kind is Kind.INVALID_ARGUMENT else error from error
    response.headers["location"] = f"/v1/portfolio/rebalances/{answer.rebalance.id}"
    return rebalance_view(answer.rebalance)


@routes.get(
    "/v1/portfolio/rebalances",
    operation_id="list_rebalances",
    summary="Rebalances, newest first",
    responses=refusals(422, *KEYED, *FLEET),
)
async def list_rebalances(
    fleet: Fleet,
    account: AnyAccount = "",
    limit: Annotated[int, Query(ge=1, le=500, description="Most rebalances in one answer.")] = 50,
    cursor: CursorQuery = "",
) -> RebalancePage:
    request = rpc.ListRebalancesRequest(account=account, limit=limit, cursor=cursor)
    answer = await fleet.rebalances.ListRebalances(request)
    found = [rebalance_view(rebalance) for rebalance in answer.rebalances]
    return {"rebalances": found, "next_cursor": answer.next_cursor or None}


@routes.get(
    "/v1/portfolio/rebalances/{id}",
    operation_id="get_rebalance",
    summary="A proposal and how far its execution is",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_rebalance(id: RebalanceId, fleet: Fleet) -> Rebalance:
    return rebalance_view((await fleet.rebalances.GetRebalance(rpc.GetRebalanceRequest(id=id))).rebalance)


@routes.post(
    "/v1/portfolio/rebalances/{id}/execute",
    operation_id="execute_rebalance",
    summary="Submits the orders of a proposal; twice places nothing twice",
    status_code=202,
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def execute_rebalance(id: RebalanceId, fleet: Fleet) -> Rebalance:
    answer = await fleet.rebalances.ExecuteRebalance(rpc.ExecuteRebalanceRequest(id=id))
    return rebalance_view(answer.rebalance)


@routes.delete(
    "/v1/portfolio/rebalances/{id}",
    operation_id="cancel_rebalance",
    summary="Ends a rebalance: nothing more is sent, and what works is canceled",
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
)
async def cancel_rebalance(id: RebalanceId, fleet: Fleet) -> Rebalance:
    return rebalance_view((await fleet.rebalances.CancelRebalance(rpc.CancelRebalanceRequest(id=id))).rebalance)


@routes.get(
    "/v1/portfolio/schedules",
    operation_id="list_schedules",
    summary="Schedules of rebalances, by account",
    responses=refusals(*KEYED, *FLEET),
)
async def list_schedules(fleet: Fleet) -> ScheduleList:
    answer = await fleet.rebalances.ListSchedules(rpc.ListSchedulesRequest())
    return {"schedules": [schedule_view(schedule) for schedule in answer.schedules]}


@routes.put(
    "/v1/portfolio/schedules/{account}",
    operation_id="put_schedule",
    summary="Creates or replaces the schedule of an account",
    responses=refusals(404, *BODY, *KEYED, *FLEET),
)
async def put_schedule(account: AccountPath, body: ScheduleRequest, fleet: Fleet) -> Schedule:
    answer = await fleet.rebalances.PutSchedule(body.message(account))
    return schedule_view(answer.schedule)


@routes.delete(
    "/v1/portfolio/schedules/{account}",
    operation_id="delete_schedule",
    summary="Removes the schedule of an account",
    status_code=204,
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def delete_schedule(account: AccountPath, fleet: Fleet) -> None:
    await fleet.rebalances.DeleteSchedule(rpc.DeleteScheduleRequest(account=account))
