"""The calls that execution answers."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fleet.rpc import write
from fleet.telemetry import current_traceparent
from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceServicer
from services.execution.domain.submission import Origin
from services.execution.ports.log import StoredOrder
from services.execution.translate import controls, events, orders, reports, requests
from services.execution.usecases.answer_commands import AnswerCommands
from services.execution.usecases.blotter import LiveOrder
from services.execution.usecases.desk import Desk
from services.execution.usecases.run_command import attempt
from trading.clock import Clock
from trading.errors import InvalidArgument
from trading.ids import OrderId


class ExecutionServicer(ExecutionServiceServicer):
    """Translates, calls the story, translates back."""

    def __init__(self, desk: Desk, clock: Clock, *, stream_in_flight: int) -> None:
        self._submit = desk.submit
        self._cancel = desk.cancel
        self._modify = desk.modify
        self._look_up = desk.look_up
        self._control = desk.control
        self._state = desk.state
        self._signals = desk.signals
        self._clock = clock
        self._commands = AnswerCommands(self._command, stream_in_flight)

    async def SubmitOrder(self, request: pb.SubmitOrderRequest, context: Any) -> pb.SubmitOrderResponse:
        origin = Origin(self._clock.monotonic_ns(), current_traceparent())
        return orders.submitted(await self._submit(requests.order_request(request), requests.patience(request), origin))

    async def StreamOrders(  # type: ignore[override]  # it writes its responses itself instead of yielding them
        self, request_iterator: AsyncIterator[pb.StreamOrdersRequest], context: Any
    ) -> None:
        talk = _Talk(context)
        await self._commands(talk.frames(request_iterator), talk.tell)

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Any) -> pb.CancelOrderResponse:
        live = await self._cancel(_order_id(request.order_id))
        return pb.CancelOrderResponse(order=_order(live))

    async def ModifyOrder(self, request: pb.ModifyOrderRequest, context: Any) -> pb.ModifyOrderResponse:
        live = await self._modify(_order_id(request.order_id), requests.change(request))
        return pb.ModifyOrderResponse(order=_order(live))

    async def CancelOrders(self, request: pb.CancelOrdersRequest, context: Any) -> pb.CancelOrdersResponse:
        symbol = await self._look_up.symbol(request.symbol) if request.symbol else None
        return pb.CancelOrdersResponse(cancels_requested=self._control.cancel_orders(request.account, symbol))

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
            statuses=requests.statuses(request.statuses),
            page_size=request.page_size,
            cursor=request.cursor,
        )
        return pb.ListOrdersResponse(orders=map(orders.stored_order, page.orders), next_cursor=page.next_cursor)

    async def ListOrderEvents(self, request: pb.ListOrderEventsRequest, context: Any) -> pb.ListOrderEventsResponse:
        life = await self._look_up.life(_order_id(request.order_id))
        return pb.ListOrderEventsResponse(events=[events.logged_event(logged, after) for logged, after in life])

    async def ListFills(self, request: pb.ListFillsRequest, context: Any) -> pb.ListFillsResponse:
        page = await self._look_up.fills(request.account, request.after_log_sequence, request.page_size)
        return pb.ListFillsResponse(fills=map(orders.fill, page.fills), has_more=page.has_more)

    async def ListCharges(self, request: pb.ListChargesRequest, context: Any) -> pb.ListChargesResponse:
        page = await self._look_up.charges(request.account, request.after_sequence, request.page_size)
        return pb.ListChargesResponse(charges=map(reports.charge, page.charges), has_more=page.has_more)

    async def SetTradingState(self, request: pb.SetTradingStateRequest, context: Any) -> pb.SetTradingStateResponse:
        state = controls.trading_state(request.state)
        cancels, closing = await self._control.set_trading_state(
            request.account,
            state,
            request.actor,
            request.reason,
            cancel_open=request.cancel_open,
            flatten=request.flatten,
        )
        return pb.SetTradingStateResponse(
            state=controls.trading_state_value(state), cancels_requested=cancels, closing_orders=closing
        )

    async def GetRiskLimits(self, request: pb.GetRiskLimitsRequest, context: Any) -> pb.GetRiskLimitsResponse:
        return pb.GetRiskLimitsResponse(limits=controls.limits_message(self._control.limits(request.account)))

    async def SetRiskLimits(self, request: pb.SetRiskLimitsRequest, context: Any) -> pb.SetRiskLimitsResponse:
        stored = await self._control.set_limits(controls.limits(request.limits), request.actor)
        return pb.SetRiskLimitsResponse(limits=controls.limits_message(stored))

    async def GetSignalTrading(self, request: pb.GetSignalTradingRequest, context: Any) -> pb.GetSignalTradingResponse:
        return pb.GetSignalTradingResponse(signal_trading=controls.signal_trading_message(self._signals.switch))

    async def SetSignalTrading(self, request: pb.SetSignalTradingRequest, context: Any) -> pb.SetSignalTradingResponse:
        switch = await self._signals.set_switch(controls.signal_trading(request.signal_trading), request.actor)
        return pb.SetSignalTradingResponse(signal_trading=controls.signal_trading_message(switch))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Any) -> pb.ListAccountsResponse:
        found = await self._control.accounts()
        accounts = [controls.account(account.record, account.buying_power_nanos) for account in found]
        return pb.ListAccountsResponse(accounts=accounts)

    async def ListAudit(self, request: pb.ListAuditRequest, context: Any) -> pb.ListAuditResponse:
        query = requests.audit_query(request)
        found = await self._control.audit(query)
        entries = map(reports.audit_entry, found[: query.limit - 1])
        return pb.ListAuditResponse(entries=entries, has_more=len(found) == query.limit)

    async def GetStatement(self, request: pb.GetStatementRequest, context: Any) -> pb.GetStatementResponse:
        return pb.GetStatementResponse(
            statement=reports.statement(await self._state.statement(request.account, request.day))
        )

    async def CompareWithVenue(self, request: pb.CompareWithVenueRequest, context: Any) -> pb.CompareWithVenueResponse:
        found = await self._state.compare(request.account)
        return pb.CompareWithVenueResponse(time_ns=self._clock.now_ns(), differences=map(reports.comparison, found))

    async def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.GetStatsResponse:
        stats = self._look_up.stats()
        tally = stats.tally
        return pb.GetStatsResponse(
            orders_processed=tally.orders,
            orders_by_status={status.value: count for status, count in stats.orders_by_status.items()},
            fills=tally.fills,
            submit_latency=orders.latency(tally.submit.summary()),
            validation_latency=orders.latency(tally.validation.summary()),
            tick_to_order_reply=orders.latency(tally.tick_to_order_reply.summary()),
            buffer_utilization=stats.buffer_utilization,
            uptime_s=stats.uptime_s,
            outbox_depth=stats.outbox_depth,
            signals=tally.signals,
            venue_latency=orders.latency(tally.venue.summary()),
        )

    async def _command(self, request: pb.StreamOrdersRequest) -> pb.StreamOrdersResponse:
        answer = await attempt(lambda: self._perform(request))
        if isinstance(answer, pb.StreamOrdersResponse):
            return answer
        return pb.StreamOrdersResponse(request_id=request.request_id, error=orders.stream_error(answer))

    async def _perform(self, request: pb.StreamOrdersRequest) -> pb.StreamOrdersResponse:
        match request.WhichOneof("command"):
            case "submit":
                submitted = await self.SubmitOrder(request.submit, None)
                return pb.StreamOrdersResponse(request_id=request.request_id, submitted=submitted)
            case "cancel":
                canceled = await self.CancelOrder(request.cancel, None)
                return pb.StreamOrdersResponse(request_id=request.request_id, canceled=canceled)
            case "modify":
                modified = await self.ModifyOrder(request.modify, None)
                return pb.StreamOrdersResponse(request_id=request.request_id, modified=modified)
            case _:
                raise InvalidArgument("Expected a submit, a cancel or a modify.", field="command")


class _Talk:
    """One stream of commands; answers go several in a frame to whoever has sent several commands in one."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._takes_many = False

    async def frames(
        self, requests: AsyncIterator[pb.StreamOrdersRequest]
    ) -> AsyncIterator[Sequence[pb.StreamOrdersRequest]]:
        """The commands of each frame."""
        async for request in requests:
            self._takes_many = self._takes_many or bool(request.commands)
            yield request.commands or (request,)

    async def tell(self, answers: Sequence[pb.StreamOrdersResponse]) -> None:
        """Write answers."""
        if self._takes_many and len(answers) > 1:
            await write(self._context, pb.StreamOrdersResponse(answers=answers))
            return
        for answer in answers:
            await write(self._context, answer)


def _order(live: LiveOrder) -> Any:
    return orders.stored_order(StoredOrder(live.order, live.timings))


def _order_id(text: str) -> OrderId:
    if not text:
        raise InvalidArgument("Expected an order id.", field="order_id")
    return OrderId(text)
