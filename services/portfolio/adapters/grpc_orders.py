"""Execution's orders over gRPC, for rebalances."""

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.portfolio.domain.rebalance import Order, OrderReport
from services.portfolio.translate.rebalance import report_of
from trading.errors import NotFound

_SPARE_S = 3.0
"""What a submit may take beside its wait before it counts as unanswered."""
_MS_PER_S = 1000


class GrpcOrders:
    """Submits MARKET orders: to the end of the day, or until canceled where the market never closes."""

    def __init__(self, stub: ExecutionServiceStub, *, wait_ms: int) -> None:
        self._stub = stub
        self._wait_ms = wait_ms

    async def submit(self, account: str, order: Order) -> OrderReport:
        """Submit an order and wait a moment for its end."""
        request = pb.SubmitOrderRequest(
            account=account,
            symbol=order.symbol,
            side=execution_pb2.SIDE_SELL if order.is_sell else execution_pb2.SIDE_BUY,
            order_type=execution_pb2.ORDER_TYPE_MARKET,
            quantity_nanos=abs(order.quantity_nanos),
            time_in_force=(
                execution_pb2.TIME_IN_FORCE_GTC if order.is_always_open else execution_pb2.TIME_IN_FORCE_DAY
            ),
            client_order_id=order.client_order_id,
            wait=execution_pb2.WAIT_TERMINAL,
            wait_ms=self._wait_ms,
        )
        answer = await self._stub.SubmitOrder(request, timeout=self._wait_ms / _MS_PER_S + _SPARE_S)
        return report_of(answer.order)

    async def look_up(self, order_id: str) -> OrderReport:
        """An order as it is now."""
        return report_of((await self._stub.GetOrder(pb.GetOrderRequest(order_id=order_id))).order)

    async def find(self, account: str, order: Order) -> OrderReport | None:
        """An order by its client order id; None when it was never placed."""
        request = pb.GetOrderRequest(account=account, client_order_id=order.client_order_id)
        try:
            return report_of((await self._stub.GetOrder(request)).order)
        except NotFound:
            return None

    async def cancel(self, order_id: str) -> OrderReport:
        """Ask for the cancel of an order."""
        return report_of((await self._stub.CancelOrder(pb.CancelOrderRequest(order_id=order_id))).order)
