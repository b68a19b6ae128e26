"""Execution on a real gRPC server, whose answers a test sets."""

import asyncio
from collections.abc import AsyncIterator

from builders.gateway import EVENT_NS, a_statement, an_order
from fakes.script import Script

from fleet.rpc import Context
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2_grpc as execution_grpc
from trading.errors import TradingError, Unavailable, UnknownOrder

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"


class FakeExecution(execution_grpc.ExecutionServiceServicer):
    """Takes every order; a test may hold answers back or break the stream."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.answer = execution.SubmitOrderResponse(order=an_order())
        self.orders = [an_order()]
        self.events: list[execution_pb2.OrderEvent] = []
        self.audit: list[execution_pb2.AuditEntry] = []
        self.statement = a_statement()
        self.differences: list[execution_pb2.VenueDifference] = []
        self.limits = execution_pb2.RiskLimits(account="main", max_order_notional_nanos=10**15, price_collar=0.1)
        self.signal_trading = execution_pb2.SignalTrading(
            notional_nanos=10**13, min_confidence=0.52, account="main", models=["momentum-v1"]
        )
        self.state = execution_pb2.TRADING_STATE_ACTIVE
        self.accounts = ["main"]
        self.is_mute = False
        self.streams = 0
        self.commands: list[execution.StreamOrdersRequest] = []
        self.break_now = asyncio.Event()

    async def SubmitOrder(
        self, request: execution.SubmitOrderRequest, context: Context
    ) -> execution.SubmitOrderResponse:
        self.script.hear(request)
        return self.answer

    async def StreamOrders(
        self, request_iterator: AsyncIterator[execution.StreamOrdersRequest], context: Context
    ) -> AsyncIterator[execution.StreamOrdersResponse]:
        self.streams += 1
        async for command in request_iterator:
            self.commands.append(command)
            if self.is_mute:
                await self.break_now.wait()
                raise Unavailable("The stream breaks.")
            yield self._respond(command)

    def _respond(self, command: execution.StreamOrdersRequest) -> execution.StreamOrdersResponse:
        try:
            if command.HasField("submit"):
                self.script.hear(command.submit)
                return execution.StreamOrdersResponse(request_id=command.request_id, submitted=self.answer)
            if command.HasField("modify"):
                self.script.hear(command.modify)
                modified = execution.ModifyOrderResponse(order=self.orders[0])
                return execution.StreamOrdersResponse(request_id=command.request_id, modified=modified)
            self.script.hear(command.cancel)
            canceled = execution.CancelOrderResponse(order=self.orders[0])
            return execution.StreamOrdersResponse(request_id=command.request_id, canceled=canceled)
        except TradingError as error:
            facts = {name: str(value) for name, value in error.metadata.items()}
            retry_after_s = error.metadata.get("retry_after_s")
            refusal = execution.StreamError(
                code=error.kind.value,
                reason=error.reason,
                message=error.message,
                metadata=facts,
                retry_after_ms=None if retry_after_s is None else round(float(str(retry_after_s)) * 1000),
            )
            return execution.StreamOrdersResponse(request_id=command.request_id, error=refusal)

    async def CancelOrder(
        self, request: execution.CancelOrderRequest, context: Context
    ) -> execution.CancelOrderResponse:
        self.script.hear(request)
        return execution.CancelOrderResponse(order=self.orders[0])

    async def ModifyOrder(
        self, request: execution.ModifyOrderRequest, context: Context
    ) -> execution.ModifyOrderResponse:
        self.script.hear(request)
        return execution.ModifyOrderResponse(order=self.orders[0])

    async def CancelOrders(
        self, request: execution.CancelOrdersRequest, context: Context
    ) -> execution.CancelOrdersResponse:
        self.script.hear(request)
        return execution.CancelOrdersResponse(cancels_requested=len(self.orders))

    async def GetOrder(self, request: execution.GetOrderRequest, context: Context) -> execution.GetOrderResponse:
        self.script.hear(request)
        found = next((order for order in self.orders if order.order_id == request.order_id), None)
        if found is None:
            raise UnknownOrder(f"No order is called {request.order_id!r}.", order=request.order_id)
        return execution.GetOrderResponse(order=found)

    async def ListOrders(self, request: execution.ListOrdersRequest, context: Context) -> execution.ListOrdersResponse:
        self.script.hear(request)
        return execution.ListOrdersResponse(orders=self.orders, next_cursor="more")

    async def ListOrderEvents(
        self, request: execution.ListOrderEventsRequest, context: Context
    ) -> execution.ListOrderEventsResponse:
        self.script.hear(request)
        return execution.ListOrderEventsResponse(events=self.events)

    async def SetTradingState(
        self, request: execution.SetTradingStateRequest, context: Context
    ) -> execution.SetTradingStateResponse:
        self.script.hear(request)
        self.state = request.state
        return execution.SetTradingStateResponse(
            state=request.state, cancels_requested=int(request.cancel_open), closing_orders=int(request.flatten)
        )

    async def GetRiskLimits(
        self, request: execution.GetRiskLimitsRequest, context: Context
    ) -> execution.GetRiskLimitsResponse:
        self.script.hear(request)
        return execution.GetRiskLimitsResponse(limits=self.limits)

    async def SetRiskLimits(
        self, request: execution.SetRiskLimitsRequest, context: Context
    ) -> execution.SetRiskLimitsResponse:
        self.script.hear(request)
        self.limits = request.limits
        return execution.SetRiskLimitsResponse(limits=request.limits)

    async def GetSignalTrading(
        self, request: execution.GetSignalTradingRequest, context: Context
    ) -> execution.GetSignalTradingResponse:
        self.script.hear(request)
        return execution.GetSignalTradingResponse(signal_trading=self.signal_trading)

    async def SetSignalTrading(
        self, request: execution.SetSignalTradingRequest, context: Context
    ) -> execution.SetSignalTradingResponse:
        self.script.hear(request)
        self.signal_trading = request.signal_trading
        return execution.SetSignalTradingResponse(signal_trading=request.signal_trading)

    async def ListAccounts(
        self, request: execution.ListAccountsRequest, context: Context
    ) -> execution.ListAccountsResponse:
        self.script.hear(request)
        return execution.ListAccountsResponse(accounts=[execution.Account(id=name) for name in self.accounts])

    async def ListAudit(self, request: execution.ListAuditRequest, context: Context) -> execution.ListAuditResponse:
        self.script.hear(request)
        older = [entry for entry in self.audit if not request.before_id or entry.id < request.before_id]
        return execution.ListAuditResponse(entries=older[: request.page_size], has_more=len(older) > request.page_size)

    async def GetStatement(
        self, request: execution.GetStatementRequest, context: Context
    ) -> execution.GetStatementResponse:
        self.script.hear(request)
        return execution.GetStatementResponse(statement=self.statement)

    async def CompareWithVenue(
        self, request: execution.CompareWithVenueRequest, context: Context
    ) -> execution.CompareWithVenueResponse:
        self.script.hear(request)
        return execution.CompareWithVenueResponse(time_ns=EVENT_NS, differences=self.differences)

    async def GetStats(self, request: execution.GetStatsRequest, context: Context) -> execution.GetStatsResponse:
        self.script.hear(request)
        stats = execution.GetStatsResponse(orders_processed=7, orders_by_status={"FILLED": 7}, uptime_s=1.5)
        stats.submit_latency.p99_ns = 123
        stats.venue_latency.p50_ns = 456
        return stats
