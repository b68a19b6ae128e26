"""The calls that execution answers."""

from collections.abc import AsyncIterator
from typing import Any

from fleet.telemetry import current_traceparent
from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceServicer
from services.execution import translate
from services.execution.domain.submission import Origin
from services.execution.ports import StoredOrder
from services.execution.usecases.answer_commands import AnswerCommands
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.cancel import Cancel
from services.execution.usecases.control import Control
from services.execution.usecases.look_up import LookUp
from services.execution.usecases.run_command import attempt
from services.execution.usecases.submit import Submit
from services.execution.usecases.trade_signals import TradeSignals
from trading.clock import Clock
from trading.errors import InvalidArgument
from trading.ids import OrderId


class ExecutionServicer(ExecutionServiceServicer):
    """Translates, calls the story, translates back."""

    def __init__(
        self,
        submit: Submit,
        cancel: Cancel,
        look_up: LookUp,
        control: Control,
        signals: TradeSignals,
        clock: Clock,
        *,
        stream_in_flight: int,
    ) -> None:
        self._submit = submit
        self._cancel = cancel
        self._look_up = look_up
        self._control = control
        self._signals = signals
        self._clock = clock
        self._commands = AnswerCommands(self._command, stream_in_flight)

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, context: Any) -> pb.SubmitOrderResponse:
        origin = Origin(self._clock.monotonic_ns(), current_traceparent())
        return translate.submitted(
            await self._submit(translate.order_request(request), translate.patience(request), origin)
        )

    async def StreamOrders(
        self, request_iterator: AsyncIterator[pb.StreamOrdersRequest], context: Any
    ) -> AsyncIterator[pb.StreamOrdersResponse]:
        async for answer in self._commands(request_iterator):
            yield answer

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Any) -> pb.CancelOrderResponse:
        live = await self._cancel(_order_id(request.order_id))
        return pb.CancelOrderResponse(order=_order(live))

    async def GetOrder(self, request: pb.GetOrderRequest, context: Any) -> pb.GetOrderResponse:
        if request.client_order_id and not request.order_id:
            live = await self._look_up.order_by_client_id(request.account, request.client_order_id)
        else:
            live = await self._look_up.order(_order_id(request.order_id))
        return pb.GetOrderResponse(order=_order(live))

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Any) -> pb.ListOrdersResponse:
        page = await self._look_up.orders(
            account=request.account,
            symbol=request.symbol,
            statuses=translate.statuses(request.statuses),
            page_size=request.page_size,
            cursor=request.cursor,
        )
        return pb.ListOrdersResponse(orders=map(translate.stored_order, page.orders), next_cursor=page.next_cursor)

    async def ListOrderEvents(self, request: pb.ListOrderEventsRequest, context: Any) -> pb.ListOrderEventsResponse:
        life = await self._look_up.life(_order_id(request.order_id))
        return pb.ListOrderEventsResponse(events=[translate.logged_event(logged, after) for logged, after in life])

    async def ListFills(self, request: pb.ListFillsRequest, context: Any) -> pb.ListFillsResponse:
        page = await self._look_up.fills(request.account, request.after_log_sequence, request.page_size)
        return pb.ListFillsResponse(fills=map(translate.fill, page.fills), has_more=page.has_more)

    async def SetTradingState(self, request: pb.SetTradingStateRequest, context: Any) -> pb.SetTradingStateResponse:
        state = translate.trading_state(request.state)
        cancels = await self._control.set_trading_state(
            request.account, state, request.actor, request.reason, cancel_open=request.cancel_open
        )
        return pb.SetTradingStateResponse(state=translate.trading_state_value(state), cancels_requested=cancels)

    async def GetRiskLimits(self, request: pb.GetRiskLimitsRequest, context: Any) -> pb.GetRiskLimitsResponse:
        return pb.GetRiskLimitsResponse(limits=translate.limits_message(self._control.limits(request.account)))

    async def SetRiskLimits(self, request: pb.SetRiskLimitsRequest, context: Any) -> pb.SetRiskLimitsResponse:
        stored = await self._control.set_limits(translate.limits(request.limits), request.actor)
        return pb.SetRiskLimitsResponse(limits=translate.limits_message(stored))

    async def GetSignalTrading(self, request: pb.GetSignalTradingRequest, context: Any) -> pb.GetSignalTradingResponse:
        return pb.GetSignalTradingResponse(signal_trading=translate.signal_trading_message(self._signals.switch))

    async def SetSignalTrading(self, request: pb.SetSignalTradingRequest, context: Any) -> pb.SetSignalTradingResponse:
        switch = await self._signals.set_switch(translate.signal_trading(request.signal_trading), request.actor)
        return pb.SetSignalTradingResponse(signal_trading=translate.signal_trading_message(switch))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Any) -> pb.ListAccountsResponse:
        found = await self._control.accounts()
        accounts = [translate.account(account.record, account.buying_power_nanos) for account in found]
        return pb.ListAccountsResponse(accounts=accounts)

    async def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.GetStatsResponse:
        stats = self._look_up.stats()
        tally = stats.tally
        return pb.GetStatsResponse(
            orders_processed=tally.orders,
            orders_by_status={status.value: count for status, count in stats.orders_by_status.items()},
            fills=tally.fills,
            submit_latency=translate.latency(tally.submit.summary()),
            validation_latency=translate.latency(tally.validation.summary()),
            tick_to_order_reply=translate.latency(tally.tick_to_order_reply.summary()),
            buffer_utilization=stats.buffer_utilization,
            uptime_s=stats.uptime_s,
            outbox_depth=stats.outbox_depth,
            signals=tally.signals,
        )

    async def _command(self, request: pb.StreamOrdersRequest) -> pb.StreamOrdersResponse:
        answer = await attempt(lambda: self._perform(request))
        if isinstance(answer, pb.StreamOrdersResponse):
            return answer
        return pb.StreamOrdersResponse(request_id=request.request_id, error=translate.stream_error(answer))

    async def _perform(self, request: pb.StreamOrdersRequest) -> pb.StreamOrdersResponse:
        match request.WhichOneof("command"):
            case "submit":
                submitted = await self.SubmitOrder(request.submit, None)
                return pb.StreamOrdersResponse(request_id=request.request_id, submitted=submitted)
            case "cancel":
                canceled = await self.CancelOrder(request.cancel, None)
                return pb.StreamOrdersResponse(request_id=request.request_id, canceled=canceled)
            case _:
                raise InvalidArgument("Expected a submit or a cancel.", field="command")


def _order(live: LiveOrder) -> Any:
    return translate.stored_order(StoredOrder(live.order, live.timings))


def _order_id(text: str) -> OrderId:
    if not text:
        raise InvalidArgument("Expected an order id.", field="order_id")
    return OrderId(text)
