"""Execution on a real gRPC port that takes orders: each client order id once, filled at once, answered when it may."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
from builders.portfolio import a_fill
from fakes.portfolio import ExecutionServer

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as pb
from trading.order import Side


class TradingServer(ExecutionServer):
    """Fills at the prices it was given; orders of `resting` symbols rest until they are canceled."""

    def __init__(self, prices: Mapping[str, int], accounts: list[pb.Account]) -> None:
        super().__init__((), accounts)
        self.prices = dict(prices)
        self.resting: set[str] = set()
        self.orders: dict[str, execution_pb2.Order] = {}
        self.requests: list[pb.SubmitOrderRequest] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, context: Any) -> pb.SubmitOrderResponse:
        self.requests.append(request)
        is_known = request.client_order_id in self.orders
        if not is_known:
            self.orders[request.client_order_id] = self._placed(request)
        await self.may_answer.wait()
        return pb.SubmitOrderResponse(order=self.orders[request.client_order_id], duplicate=is_known)

    def _placed(self, request: pb.SubmitOrderRequest) -> execution_pb2.Order:
        order = execution_pb2.Order(
            order_id=f"order-{len(self.orders) + 1}",
            client_order_id=request.client_order_id,
            account=request.account,
            symbol=request.symbol,
            side=request.side,
            quantity_nanos=request.quantity_nanos,
            status=execution_pb2.ORDER_STATUS_ACCEPTED,
        )
        if request.symbol not in self.resting:
            self._fill(order)
        return order

    def _fill(self, order: execution_pb2.Order) -> None:
        number = len(self.log) + 1
        side = Side.BUY if order.side == execution_pb2.SIDE_BUY else Side.SELL
        facts = {
            "symbol": order.symbol,
            "quantity_nanos": order.quantity_nanos,
            "price_nanos": self.prices[order.symbol],
        }
        self.log.append(a_fill(number, side, **facts))
        order.status = execution_pb2.ORDER_STATUS_FILLED
        order.filled_quantity_nanos = order.quantity_nanos

    async def GetOrder(self, request: pb.GetOrderRequest, context: Any) -> pb.GetOrderResponse:
        if request.client_order_id in self.orders:
            return pb.GetOrderResponse(order=self.orders[request.client_order_id])
        return pb.GetOrderResponse(order=await self._found(request.order_id, context))

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Any) -> pb.CancelOrderResponse:
        order = await self._found(request.order_id, context)
        order.status = execution_pb2.ORDER_STATUS_CANCELED
        return pb.CancelOrderResponse(order=order)

    async def _found(self, order_id: str, context: Any) -> execution_pb2.Order:
        for order in self.orders.values():
            if order.order_id == order_id:
                return order
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        raise AssertionError("abort raises")
