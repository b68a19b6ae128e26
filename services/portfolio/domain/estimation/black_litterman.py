"""Black and Litterman (1992): expected returns that the market implies, moved by opinions as far as they are trusted.

    π = rf + δΣw_m              what the market's weights imply at risk aversion δ
    Ω = (1 − c)/c · τ·pᵀΣp      uncertainty of a view of confidence c (Idzorek, 2005, in closed form)
    μ = π + τΣPᵀ(PτΣPᵀ + Ω)⁻¹(q − Pπ)

τ cancels, because Ω grows with it; Σ stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.portfolio.domain.matrices import Floats, Refusal
from trading.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class View:
    """Σ weight · r = value, with a confidence within 0 and 1."""

    weights: Mapping[str, float] = field(default_factory=dict)
    value: float = 0.0
    confidence: float = 0.5


def expected_returns(
    symbols: Sequence[str],
    covariance: Floats,
    market_weights: Mapping[str, float],
    views: Sequence[View],
    risk_free_rate: float,
    risk_aversion: float,
) -> Floats:
    """Posterior expected returns of N symbols; without market weights the market holds equal parts.

    Raises InvalidArgument for a view that says nothing or a symbol that is not among `symbols`.
    """
    market = _market(symbols, market_weights)
    prior: Floats = risk_free_rate + risk_aversion * (covariance @ market)
    picks = np.array([_row("views", symbols, view.weights) for view in views])
    values = np.array([view.value for view in views])
    confidence = np.array([_confidence(view) for view in views])
    spread = picks @ covariance @ picks.T
    uncertainty = (1.0 - confidence) / confidence * np.diagonal(spread)
    system = spread + np.diag(uncertainty)
    if float(np.diagonal(system).min()) <= 0:
        raise InvalidArgument("A view is about something without risk, which no opinion can move.", field="views")
    moved = np.linalg.lstsq(system, values - picks @ prior, rcond=None)[0]
    posterior: Floats = prior + covariance @ picks.T @ moved
    return posterior


def _market(symbols: Sequence[str], weights: Mapping[str, float]) -> Floats:
    if not weights:
        return np.full(len(symbols), 1.0 / len(symbols))
    market = _row("market_weights", symbols, weights)
    total = float(market.sum())
    if total <= 0 or bool((market < 0).any()):
        raise InvalidArgument("Expected market weights that are not negative and not all 0.", field="market_weights")
    return market / total


def _row(name: str, symbols: Sequence[str], weights: Mapping[str, float]) -> Floats:
    strangers = sorted(set(weights) - set(symbols))
    if strangers:
        raise InvalidArgument(
            f"{name} speaks of symbols that the problem lacks: {', '.join(strangers[:5])}.",
            reason="UNKNOWN_SYMBOL",
            field=name,
        )
    row = np.array([weights.get(symbol, 0.0) for symbol in symbols], dtype=np.float64)
    if not np.isfinite(row).all():
        raise Refusal("NOT_FINITE", f"{name} has values that are not finite.", name, {"symbols": sorted(weights)})
    if name == "views" and not row.any():
        raise InvalidArgument("Expected a view on at least one symbol.", field="views")
    return row


def _confidence(view: View) -> float:
    if not 0.0 < view.confidence < 1.0:
        raise InvalidArgument(
            "Expected a confidence within 0 and 1, both excluded.", field="views.confidence", was=view.confidence
        )
    if not np.isfinite(view.value):
        raise Refusal("NOT_FINITE", "The value of a view is not finite.", "views.value", {"value": str(view.value)})
    return view.confidence
