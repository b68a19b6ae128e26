"""Risk figures by another library, in its own environment: reads {"returns", "market"} and prints its own figures."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

YEAR, RATE = 252, 0.02


def skfolio(returns: Any, market: Any) -> dict[str, float]:
    from skfolio import measures

    wealth = np.concatenate(([1.0], np.cumprod(1 + returns)))
    falls = wealth / np.maximum.accumulate(wealth) - 1
    return {
        "var_95": measures.value_at_risk(returns, beta=0.95),
        "cvar_95": measures.cvar(returns, beta=0.95),
        "volatility": measures.standard_deviation(returns) * np.sqrt(YEAR),
        "annual_return": measures.mean(returns) * YEAR,
        "max_drawdown": -min(measures.get_drawdowns(returns, compounded=True).min(), 0.0),
        "max_drawdown_from_start": measures.max_drawdown(falls),
    }


def riskfolio(returns: Any, market: Any) -> dict[str, float]:
    from riskfolio.src import RiskFunctions

    return {
        "var_95": RiskFunctions.VaR_Hist(returns, 0.05),
        "cvar_95": RiskFunctions.CVaR_Hist(returns, 0.05),
        "max_drawdown": RiskFunctions.MDD_Rel(returns),
    }


def empyrical(returns: Any, market: Any) -> dict[str, float]:
    import empyrical as library

    return {
        "beta": library.beta(returns, market),
        "volatility": library.annual_volatility(returns, annualization=YEAR),
        "sharpe_ratio": library.sharpe_ratio(returns, risk_free=RATE / YEAR, annualization=YEAR),
        "sortino_ratio": library.sortino_ratio(returns, required_return=RATE / YEAR, annualization=YEAR),
        "max_drawdown": -library.max_drawdown(returns),
    }


if __name__ == "__main__":
    library, path = sys.argv[1:]
    cases = json.loads(Path(path).read_text())
    found = [
        {
            name: float(value)
            for name, value in globals()[library](np.array(case["returns"]), np.array(case["market"])).items()
        }
        for case in cases
    ]
    print(json.dumps({"cases": found}))
