"""One portfolio problem solved by one of the peers, in the peer's own environment: prints one JSON object.

    python portfolio_peer.py pyportfolioopt|skfolio|riskfolio-lib <problem.npz> <runs>

The file holds mu (N), sigma (N×N), returns (T×N), sectors (N, the row of caps), caps, and `spec`, JSON with objective,
upper, risk_free_rate, risk_aversion, target_return and beta. Seconds, of the clock and of
the processor, are of posing and solving, without imports.
"""

import importlib.metadata
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np


class Case:
    """The problem."""

    def __init__(self, path: str) -> None:
        found = np.load(path)
        self.mu, self.sigma, self.returns = found["mu"], found["sigma"], found["returns"]
        self.sectors, self.caps = found["sectors"], found["caps"]
        self.spec: dict[str, Any] = json.loads(str(found["spec"]))
        self.names = [f"S{index}" for index in range(len(self.mu))]

    def __getattr__(self, name: str) -> Any:
        return self.spec[name]


def pyportfolioopt(case: Case) -> np.ndarray:
    """EfficientFrontier, or EfficientCVaR."""
    from pypfopt import EfficientCVaR, EfficientFrontier

    bounds = (0, case.upper)
    if case.objective == "MIN_CVAR":
        import pandas

        frontier = EfficientCVaR(
            case.mu, pandas.DataFrame(case.returns), beta=case.beta, weight_bounds=bounds, solver="CLARABEL"
        )
    else:
        frontier = EfficientFrontier(case.mu, case.sigma, weight_bounds=bounds)
    for row, cap in enumerate(case.caps):
        members = np.flatnonzero(case.sectors == row)
        frontier.add_constraint(lambda w, members=members, cap=cap: _sum(w, members) <= cap)
    match case.objective:
        case "MIN_CVAR":
            frontier.min_cvar()
        case "MAX_SHARPE":
            frontier.max_sharpe(case.risk_free_rate)
        case "MIN_VARIANCE":
            frontier.min_volatility()
        case "MAX_UTILITY":
            frontier.max_quadratic_utility(case.risk_aversion)
        case "TARGET_RETURN":
            frontier.efficient_return(case.target_return)
        case "FRONTIER":
            for target in case.targets:
                frontier.efficient_return(target)
    return np.array(frontier.weights)


def _sum(weights: Any, members: np.ndarray) -> Any:
    import cvxpy

    return cvxpy.sum(weights[members])


def skfolio(case: Case) -> np.ndarray:
    """MeanRisk over a prior that says what we say."""
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction
    from skfolio.prior import BasePrior, ReturnDistribution

    class Given(BasePrior):
        def __init__(self) -> None:
            pass

        def fit(self, X: Any, y: Any = None, **_: Any) -> "Given":  # noqa: N803  the peer names it
            self.return_distribution_ = ReturnDistribution(mu=case.mu, covariance=case.sigma, returns=np.asarray(X))
            return self

    goals = {
        "MAX_SHARPE": ObjectiveFunction.MAXIMIZE_RATIO,
        "MAX_UTILITY": ObjectiveFunction.MAXIMIZE_UTILITY,
    }
    words: dict[str, Any] = {}
    if len(case.caps):
        words["groups"] = [[f"G{row}" for row in case.sectors]]
        words["linear_constraints"] = [f"G{row} <= {cap}" for row, cap in enumerate(case.caps)]
    if case.objective == "TARGET_RETURN":
        words["min_return"] = case.target_return
    model = MeanRisk(
        objective_function=goals.get(case.objective, ObjectiveFunction.MINIMIZE_RISK),
        risk_measure=RiskMeasure.CVAR if case.objective == "MIN_CVAR" else RiskMeasure.VARIANCE,
        prior_estimator=Given(),
        min_weights=0.0,
        max_weights=case.upper,
        risk_free_rate=case.risk_free_rate if case.objective == "MAX_SHARPE" else 0.0,
        risk_aversion=case.risk_aversion / 2,
        cvar_beta=case.beta,
        **words,
    )
    model.fit(case.returns)
    return np.asarray(model.weights_)


def riskfolio(case: Case) -> np.ndarray:
    """Portfolio.optimization with our moments."""
    import pandas
    import riskfolio as rp

    port = rp.Portfolio(returns=pandas.DataFrame(case.returns, columns=case.names))
    port.mu = pandas.DataFrame([case.mu], columns=case.names)
    port.cov = pandas.DataFrame(case.sigma, index=case.names, columns=case.names)
    port.upperlng = case.upper
    port.alpha = 1 - case.beta
    if len(case.caps):
        port.ainequality = (case.sectors[None, :] == np.arange(len(case.caps))[:, None]).astype(float)
        port.binequality = np.asarray(case.caps)[:, None]
    if case.objective == "TARGET_RETURN":
        port.lowerret = case.target_return
    goal = {"MAX_SHARPE": "Sharpe", "MAX_UTILITY": "Utility"}.get(case.objective, "MinRisk")
    found = port.optimization(
        model="Classic",
        rm="CVaR" if case.objective == "MIN_CVAR" else "MV",
        obj=goal,
        rf=case.risk_free_rate,
        l=case.risk_aversion,
        hist=True,
    )
    return found["weights"].to_numpy()


def peak_mb() -> float:
    """The most memory that this process has held; `ru_maxrss` would begin with that of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Solve it, some times."""
    warnings.simplefilter("ignore")
    library, path, runs = sys.argv[1:4]
    solve = {"pyportfolioopt": pyportfolioopt, "skfolio": skfolio, "riskfolio-lib": riskfolio}[library]
    case, seconds, cpu_seconds = Case(path), [], []
    for run in range(int(runs) + 1):
        started, cpu = time.perf_counter(), time.process_time()
        if run == 0:
            __import__({"pyportfolioopt": "pypfopt", "riskfolio-lib": "riskfolio"}.get(library, library))
            continue  # imports are not counted
        weights = solve(case)
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu)
    memory_mb = peak_mb()
    print(
        json.dumps(
            {
                "version": importlib.metadata.version(library),
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_mb": round(memory_mb, 1),
                "weights": np.asarray(weights, float).ravel().tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
