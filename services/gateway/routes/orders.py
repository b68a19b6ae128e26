"""Orders and their events."""

from typing import Annotated, Literal

from fastapi import Path, Query, Request, Response

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from services.gateway.routes.route import (
    BODY,
    FLEET,
    KEYED,
    AnyAccount,
    CursorQuery,
    Fleet,
    RepeatKey,
    encoded,
    fleet_of,
    refusals,
    router,
)
from services.gateway.schemas.order_requests import ModifyRequest, OrderRequest
from services.gateway.schemas.orders import (
    CancelsRequested,
    ExecutionResult,
    Order,
    OrderEventList,
    OrderPage,
    event_view,
    execution_result,
    order_view,
)
from trading.errors import InvalidArgument

routes = router("orders")
OrderId = Annotated[str, Path(min_length=1, max_length=64, description="Our order id, a UUID.")]
StatusFilter = Annotated[
    list[Annotated[str, Query(max_length=512)]],
    Query(max_length=32, description="States, repeated or comma-separated; all by default."),
]
AnySymbol = Annotated[str, Query(max_length=32, description="Any spelling; all by default.")]
_STATUSES = {name.removeprefix("ORDER_STATUS_"): value for name, value in pb.OrderStatus.items() if value}


@routes.post(
    "/v1/orders",
    operation_id="submit_order",
    summary="Submits one order",
    status_code=201,
    response_model=ExecutionResult,
    responses={
        200: {"model": ExecutionResult, "description": "The same id and body came before."},
        **refusals(404, 409, *BODY, *KEYED, *FLEET),
    },
)
async def submit_order(
    body: OrderRequest,
    request: Request,
    key: RepeatKey = None,
    wait: Annotated[Literal["none", "accepted", "terminal"] | None, Query(description="What to wait for.")] = None,
    wait_ms: Annotated[int, Query(ge=1, le=10_000, description="Longest wait.")] = 2000,
) -> Response:
    answer = await fleet_of(request).orders.submit(body.message(key, wait, wait_ms))
    location = {"location": f"/v1/orders/{answer.order.order_id}"}
    return encoded(execution_result(answer.order), 200 if answer.duplicate else 201, location)


@routes.get(
    "/v1/orders",
    operation_id="list_orders",
    summary="Orders, newest first",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def list_orders(
    fleet: Fleet,
    status: StatusFilter = [],  # noqa: B006 - FastAPI copies defaults
    symbol: AnySymbol = "",
    account: AnyAccount = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="Most orders in one answer.")] = 100,
    cursor: CursorQuery = "",
) -> OrderPage:
    request = rpc.ListOrdersRequest(
        account=account, symbol=symbol, statuses=_statuses(status), page_size=limit, cursor=cursor
    )
    answer = await fleet.execution.ListOrders(request)
    return {"orders": [order_view(order) for order in answer.orders], "next_cursor": answer.next_cursor or None}


def _statuses(texts: list[str]) -> list[pb.OrderStatus.ValueType]:
    names = [name.strip().upper() for text in texts for name in text.split(",") if name.strip()]
    unknown = next((name for name in names if name not in _STATUSES), None)
    if unknown is not None:
        raise InvalidArgument(f"Expected states of an order, was {unknown[:64]!r}.", parameter="status")
    return [_STATUSES[name] for name in names]


@routes.delete(
    "/v1/orders",
    operation_id="cancel_orders",
    summary="Asks the venue to cancel every working order, or those of an account or symbol",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def cancel_orders(fleet: Fleet, account: AnyAccount = "", symbol: AnySymbol = "") -> CancelsRequested:
    answer = await fleet.execution.CancelOrders(rpc.CancelOrdersRequest(account=account, symbol=symbol))
    return {"cancels_requested": answer.cancels_requested}


@routes.get(
    "/v1/orders/{order_id}",
    operation_id="get_order",
    summary="One order as it is now",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_order(order_id: OrderId, fleet: Fleet) -> Order:
    answer = await fleet.execution.GetOrder(rpc.GetOrderRequest(order_id=order_id))
    return order_view(answer.order)


@routes.patch(
    "/v1/orders/{order_id}",
    operation_id="modify_order",
    summary="Changes quantity or prices of a working order",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
)
async def modify_order(order_id: OrderId, body: ModifyRequest, fleet: Fleet) -> Order:
    return order_view((await fleet.orders.modify(body.message(order_id))).order)


@routes.delete(
    "/v1/orders/{order_id}",
    operation_id="cancel_order",
    summary="Asks the venue to cancel an order",
    responses=refusals(404, 409, 422, *KEYED, *FLEET),
)
async def cancel_order(order_id: OrderId, fleet: Fleet) -> Order:
    return order_view((await fleet.orders.cancel(order_id)).order)


@routes.get(
    "/v1/orders/{order_id}/events",
    operation_id="list_order_events",
    summary="The life of an order, oldest event first",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def list_order_events(order_id: OrderId, fleet: Fleet) -> OrderEventList:
    answer = await fleet.execution.ListOrderEvents(rpc.ListOrderEventsRequest(order_id=order_id))
    return {"events": [event_view(event) for event in answer.events]}
