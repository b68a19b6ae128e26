"""Risk: measured, simulated and under shocks."""

from fastapi import Depends

from services.gateway.routes.infeasible import infeasible
from services.gateway.routes.route import BODY, FLEET, KEYED, Fleet, idempotency_key, refusals, router
from services.gateway.schemas.risk import (
    Risk,
    RiskRequest,
    Simulation,
    SimulationRequest,
    Stress,
    StressRequest,
    risk_view,
    simulation_view,
    stress_view,
)
from trading.errors import TradingError

routes = router("portfolio")
RISK_TIMEOUT_S = 15.0


@routes.post(
    "/v1/portfolio/risk",
    operation_id="calculate_risk",
    summary="Measures the risk of positions",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def calculate_risk(body: RiskRequest, fleet: Fleet) -> Risk:
    try:
        answer = await fleet.portfolio.CalculateRisk(body.message(), timeout=RISK_TIMEOUT_S)
    except TradingError as error:
        raise infeasible(error) from error
    return risk_view(answer)


@routes.post(
    "/v1/portfolio/risk/simulate",
    operation_id="simulate_losses",
    summary="Simulates the losses of positions from their history",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def simulate_losses(body: SimulationRequest, fleet: Fleet) -> Simulation:
    try:
        answer = await fleet.risk.SimulateLosses(body.message(), timeout=RISK_TIMEOUT_S)
    except TradingError as error:
        raise infeasible(error) from error
    return simulation_view(answer)


@routes.post(
    "/v1/portfolio/risk/stress",
    operation_id="stress_test",
    summary="What shocks would do to positions",
    responses=refusals(404, 409, *BODY, *KEYED, *FLEET),
    dependencies=[Depends(idempotency_key)],
)
async def stress_test(body: StressRequest, fleet: Fleet) -> Stress:
    try:
        answer = await fleet.risk.StressTest(body.message(), timeout=RISK_TIMEOUT_S)
    except TradingError as error:
        raise infeasible(error) from error
    return stress_view(answer)
