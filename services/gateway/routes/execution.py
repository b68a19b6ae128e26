"""Kill switch, limits, signal trading and execution's statistics."""

import asyncio
from collections.abc import Iterable

from fastapi import Depends

from neuraltrader.execution.v1 import execution_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2 as rpc
from neuraltrader.inference.v1.inference_service_pb2 import GetModelRequest
from services.gateway.routes.route import (
    BODY,
    FLEET,
    KEYED,
    AccountQuery,
    Caller,
    Fleet,
    idempotency_key,
    refusals,
    router,
)
from services.gateway.schemas.execution import (
    ExecutionStats,
    HaltRequest,
    ResumeRequest,
    RiskLimits,
    RiskLimitsUpdate,
    SignalTrading,
    SignalTradingUpdate,
    TradingSwitch,
    limits_view,
    signal_trading_view,
    stats_view,
    switch_view,
)

routes = router("execution")


@routes.get(
    "/v1/execution/stats",
    operation_id="get_execution_stats",
    summary="Counters and latencies since execution's start",
    responses=refusals(*KEYED, *FLEET),
)
async def get_execution_stats(fleet: Fleet) -> ExecutionStats:
    return stats_view(await fleet.execution.GetStats(rpc.GetStatsRequest()))


@routes.post(
    "/v1/execution/halt",
    operation_id="halt_trading",
    summary="Turns the kill switch on",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def halt_trading(fleet: Fleet, caller: Caller, body: HaltRequest | None = None) -> TradingSwitch:
    wish = body or HaltRequest()
    request = rpc.SetTradingStateRequest(
        account=wish.account,
        state=pb.TradingState.Value(f"TRADING_STATE_{wish.mode}"),
        reason=wish.reason,
        cancel_open=wish.cancel_open,
        flatten=wish.flatten,
        actor=caller.id,
    )
    return switch_view(await fleet.execution.SetTradingState(request))


@routes.post(
    "/v1/execution/resume",
    operation_id="resume_trading",
    summary="Turns the kill switch off",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def resume_trading(fleet: Fleet, caller: Caller, body: ResumeRequest | None = None) -> TradingSwitch:
    wish = body or ResumeRequest()
    request = rpc.SetTradingStateRequest(
        account=wish.account,
        state=pb.TradingState.Value(f"TRADING_STATE_{wish.mode}"),
        reason=wish.reason,
        actor=caller.id,
    )
    return switch_view(await fleet.execution.SetTradingState(request))


@routes.get(
    "/v1/risk-limits",
    operation_id="get_risk_limits",
    summary="The limits of an account",
    responses=refusals(404, 422, *KEYED, *FLEET),
)
async def get_risk_limits(fleet: Fleet, account: AccountQuery = "main") -> RiskLimits:
    answer = await fleet.execution.GetRiskLimits(rpc.GetRiskLimitsRequest(account=account))
    return limits_view(answer.limits)


@routes.put(
    "/v1/risk-limits",
    operation_id="set_risk_limits",
    summary="Replaces the limits of an account; audited",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
)
async def set_risk_limits(body: RiskLimitsUpdate, fleet: Fleet, caller: Caller) -> RiskLimits:
    request = rpc.SetRiskLimitsRequest(limits=body.message(), actor=caller.id)
    return limits_view((await fleet.execution.SetRiskLimits(request)).limits)


@routes.get(
    "/v1/execution/signal-trading",
    operation_id="get_signal_trading",
    summary="Whether and how signals are traded",
    responses=refusals(*KEYED, *FLEET),
)
async def get_signal_trading(fleet: Fleet) -> SignalTrading:
    answer = await fleet.execution.GetSignalTrading(rpc.GetSignalTradingRequest())
    return signal_trading_view(answer.signal_trading)


@routes.put(
    "/v1/execution/signal-trading",
    operation_id="set_signal_trading",
    summary="Switches signal trading; audited",
    responses=refusals(404, *BODY, *KEYED, *FLEET),
)
async def set_signal_trading(body: SignalTradingUpdate, fleet: Fleet, caller: Caller) -> SignalTrading:
    if body.enabled:
        await _require_models(fleet, body.models or ())
    current = await fleet.execution.GetSignalTrading(rpc.GetSignalTradingRequest())
    request = rpc.SetSignalTradingRequest(signal_trading=body.message(current.signal_trading), actor=caller.id)
    return signal_trading_view((await fleet.execution.SetSignalTrading(request)).signal_trading)


async def _require_models(fleet: Fleet, names: Iterable[str]) -> None:
    """Raise UnknownModel for a name that no signal will ever carry: nothing would be traded, without a word."""
    await asyncio.gather(*(fleet.inference.GetModel(GetModelRequest(name=name)) for name in names))
