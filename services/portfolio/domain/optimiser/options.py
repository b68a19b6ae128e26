"""What a problem must say, and what it must not, before its constraints are looked at."""

import math
from collections.abc import Iterator

from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.optimiser.problem import ALLOCATIONS, Objective, Problem
from trading.errors import InvalidArgument

_WEIGHS_RETURN = frozenset(
    {Objective.MAX_SHARPE, Objective.MAX_UTILITY, Objective.TARGET_RETURN, Objective.TARGET_RISK}
)


def refuse_options(problem: Problem) -> None:
    """Raise InvalidArgument for what makes no sense, Refusal NOT_FINITE for what is no number."""
    _refuse_missing(problem)
    limits = dict(_limits(problem))
    for name, value in (_rates(problem) | limits).items():
        if not math.isfinite(value):
            raise Refusal("NOT_FINITE", f"{name} is not finite.", name, {"value": str(value)})
    for name, value in limits.items():
        if value < 0 and not name.startswith("bounds."):
            raise InvalidArgument(f"Expected {name} to be at least 0, was {value}.", field=f"constraints.{name}")
    if problem.objective is Objective.TARGET_RISK and problem.target_risk == 0:
        raise InvalidArgument("Expected a target risk above 0: only cash has none.", field="target_risk")
    if problem.risk_aversion <= 0:
        raise InvalidArgument("Expected a positive risk aversion.", field="risk_aversion")
    if not 0 < problem.beta < 1:
        raise InvalidArgument("Expected beta within 0 and 1.", field="beta", was=problem.beta)
    _refuse_risk_budgets(problem)
    if problem.turnover_cost < 0:
        raise InvalidArgument("Expected a turnover cost of at least 0.", field="turnover_cost")
    _refuse_combinations(problem)


def _refuse_missing(problem: Problem) -> None:
    match problem.objective:
        case Objective.TARGET_RETURN if problem.target_return is None:
            raise InvalidArgument("TARGET_RETURN needs a target.", field="target_return")
        case Objective.TARGET_RISK if problem.target_risk is None:
            raise InvalidArgument("TARGET_RISK needs a target.", field="target_risk")
        case Objective.MIN_CVAR if problem.returns is None:
            raise InvalidArgument("MIN_CVAR needs returns, not their moments.", field="returns")


def _rates(problem: Problem) -> dict[str, float]:
    rates = {
        "risk_free_rate": problem.risk_free_rate,
        "risk_aversion": problem.risk_aversion,
        "beta": problem.beta,
        "turnover_cost": problem.turnover_cost,
    }
    if problem.objective is Objective.TARGET_RETURN:
        rates["target_return"] = problem.target_return or 0.0
    return rates


def _limits(problem: Problem) -> Iterator[tuple[str, float]]:
    constraints = problem.constraints
    yield "max_position_size", constraints.max_position_size
    yield "min_position_size", constraints.min_position_size
    for name, cap in constraints.sector_caps.items():
        yield f"sector_caps.{name}", cap
    for symbol, bounds in constraints.bounds.items():
        yield f"bounds.{symbol}", bounds.lower
        yield f"bounds.{symbol}", bounds.upper
    if constraints.turnover_limit is not None:
        yield "turnover_limit", constraints.turnover_limit
    if problem.objective is Objective.TARGET_RISK:
        yield "target_risk", problem.target_risk or 0.0


def _refuse_risk_budgets(problem: Problem) -> None:
    budgets = problem.risk_budgets
    if not budgets:
        return
    if problem.objective is not Objective.RISK_PARITY:
        raise InvalidArgument(f"{problem.objective} knows no risk budgets; RISK_PARITY does.", field="risk_budgets")
    strays = sorted(set(budgets) ^ set(problem.symbols))
    if strays:
        raise InvalidArgument(
            f"Expected a risk budget for each symbol and no other, was otherwise for {', '.join(strays[:5])}.",
            reason="UNKNOWN_SYMBOL" if strays[0] in budgets else "INVALID_ARGUMENT",
            field="risk_budgets",
        )
    for symbol, budget in budgets.items():
        if not (math.isfinite(budget) and budget > 0):
            raise InvalidArgument(f"Expected a risk budget above 0 for {symbol}, was {budget}.", field="risk_budgets")


def _refuse_combinations(problem: Problem) -> None:
    if problem.turnover_cost and problem.objective not in _WEIGHS_RETURN:
        raise InvalidArgument(
            f"{problem.objective} does not weigh the return, so a turnover cost would change nothing.",
            field="turnover_cost",
        )
    strangers = sorted(set(problem.constraints.bounds) - set(problem.symbols))
    if strangers:
        raise InvalidArgument(
            f"Bounds are given for symbols that the problem lacks: {', '.join(strangers[:5])}.",
            reason="UNKNOWN_SYMBOL",
            field=_field_of_bounds(problem, strangers[0]),
        )
    if problem.is_semicontinuous and bool((problem.lower < 0).any()):
        raise InvalidArgument(
            "A minimum position of zero-or-more and a short position exclude each other.",
            field="constraints.min_position_kind",
        )
    if problem.objective in ALLOCATIONS and problem.constraints.allow_cash:
        raise InvalidArgument(f"{problem.objective} is always fully invested.", field="constraints.allow_cash")
    if problem.is_semicontinuous and problem.objective in ALLOCATIONS:
        raise InvalidArgument(
            f"{problem.objective} holds every asset, so none may be zero; ask for HARD minimum positions.",
            field="constraints.min_position_kind",
        )


def _field_of_bounds(problem: Problem, symbol: str) -> str:
    """Which of the two maps of bounds a symbol is in; the side that was not given is the common one."""
    upper = problem.constraints.bounds[symbol].upper
    return f"constraints.{'lower' if upper == problem.constraints.max_position_size else 'upper'}_bounds"
