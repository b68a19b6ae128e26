"""The problems that portfolio benchmarks pose, to us and to the peers: a market of N assets in eleven sectors."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import Constraints, Moments, Objective, Problem, given_moments
from tests.bench.peers import Peer

SECTORS = 11
CAP = 0.25
RISK_FREE_RATE = 0.02
PEERS = (
    Peer("pyportfolioopt", ("pyportfolioopt==1.6.0", "packaging")),
    Peer("skfolio", ("skfolio==1.12.2",)),
    Peer("riskfolio-lib", ("riskfolio-lib==7.4.0",)),
)
PEER_SCRIPT = Path(__file__).with_name("portfolio_peer.py")


class Market(NamedTuple):
    """Annual μ and Σ of a factor structure, T daily returns drawn from it, and each asset's sector."""

    mu: Floats
    sigma: Floats
    returns: Floats
    sectors: Floats

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"S{index}" for index in range(len(self.mu)))


def a_market(count: int, seed: int = 7, periods: int = 252) -> Market:
    """One market factor, one per sector with cross-talk, and risk of their own."""
    random = np.random.default_rng(seed)
    sectors = random.integers(0, SECTORS, count)
    loadings = random.normal(0, 0.0015, (count, 1 + SECTORS))
    loadings[:, 0] = random.uniform(0.006, 0.015, count)
    loadings[np.arange(count), 1 + sectors] += random.uniform(0.003, 0.0072, count)
    own = random.uniform(0.008, 0.03, count) ** 2
    sigma = loadings @ loadings.T + np.diag(own)
    mu = 0.0002 + 0.0003 * random.standard_normal(count) + 0.03 * loadings[:, 0]
    shocks = random.standard_normal((periods, 1 + SECTORS)) @ loadings.T
    returns = mu + shocks + random.standard_normal((periods, count)) * np.sqrt(own)
    return Market(mu * 252, (sigma + sigma.T) / 2 * 252, returns, sectors)


def upper_of(count: int) -> float:
    """Largest weight: less where there are more assets."""
    return {500: 0.05, 1000: 0.02}.get(count, max(0.02, 5.0 / count))


def constraints_of(market: Market) -> Constraints:
    """Box and eleven sector caps."""
    return Constraints(
        max_position_size=upper_of(len(market.mu)),
        sectors={name: f"K{sector}" for name, sector in zip(market.names, market.sectors, strict=True)},
        sector_caps={f"K{sector}": CAP for sector in range(SECTORS)},
    )


def a_problem(market: Market, objective: Objective = Objective.MAX_SHARPE, moments: Moments | None = None) -> Problem:
    """The market as a problem."""
    return Problem(
        market.names,
        moments or given_moments(market.mu, market.sigma, market.names),
        objective,
        RISK_FREE_RATE,
        5.0,
        None,
        constraints_of(market),
        returns=market.returns if objective is Objective.MIN_CVAR else None,
    )


def written(market: Market, path: Path, objective: str, **words: object) -> Path:
    """The market as the file that a peer reads."""
    spec = {
        "objective": objective,
        "upper": upper_of(len(market.mu)),
        "risk_free_rate": RISK_FREE_RATE,
        "risk_aversion": 5.0,
        "target_return": None,
        "beta": 0.95,
        **words,
    }
    np.savez(
        path,
        mu=market.mu,
        sigma=market.sigma,
        returns=market.returns,
        sectors=market.sectors,
        caps=np.full(SECTORS, CAP),
        spec=json.dumps(spec),
    )
    return path
