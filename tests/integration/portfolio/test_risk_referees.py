"""Every risk figure that another library defines as we do, to 1e-9, on drawn and on real returns.

Coinciding: skfolio - value at risk (where T is no multiple of 20: there it takes the loss after ours), conditional
value at risk, deviation, mean, drawdown; Riskfolio-Lib - value at risk (where its float rank does not overshoot),
conditional value at risk, drawdown; empyrical - beta, volatility, Sharpe, Sortino, drawdown.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from servers import SHARED_DATA

from services.portfolio.domain.risk import PositionKind, RiskQuestion, RiskReport, measure
from tests.bench.peers import Peer, PeerMissing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SCRIPT = Path(__file__).with_name("risk_referee.py")
PEERS = {
    "skfolio": Peer("skfolio", ("skfolio==1.12.2",)),
    "riskfolio": Peer("riskfolio-lib", ("riskfolio-lib==7.4.0",)),
    "empyrical": Peer("empyrical", ("empyrical-reloaded==0.7.1",)),
}
LENGTHS = (21, 40, 59, 100, 140, 252, 260, 999, 1000)
EQUITIES = SHARED_DATA / "us-equities-daily-adjusted.parquet"


def drawn() -> list[np.ndarray]:
    """Columns returns and market of several lengths."""
    found = []
    for length in LENGTHS:
        random = np.random.default_rng(length)
        market = random.standard_t(4, length) * 0.008 + 0.0004
        found.append(np.column_stack([1.2 * market + random.normal(0, 0.006, length), market]))
    return found


def real() -> list[np.ndarray]:
    """An equal-weighted book of real equities and one of them as its market."""
    if not EQUITIES.exists():
        return []
    import polars

    table = polars.read_parquet(EQUITIES)
    closes = table.pivot(on="symbol", index="date", values="close").drop_nulls().sort("date").drop("date").to_numpy()
    returns = closes[1:].astype(float) / closes[:-1] - 1
    return [np.column_stack([returns.mean(axis=1), returns[:, 0]])]


def ours(case: np.ndarray) -> RiskReport:
    return measure(RiskQuestion(("A",), np.ones(1), PositionKind.WEIGHTS, case[:, :1], case[:, 1]))


def theirs(library: str, cases: list[np.ndarray], directory: Path) -> list[dict[str, float]]:
    path = directory / "cases.json"
    path.write_text(json.dumps([{"returns": case[:, 0].tolist(), "market": case[:, 1].tolist()} for case in cases]))
    try:
        found: list[dict[str, float]] = PEERS[library].measure(SCRIPT, library, str(path))["cases"]
    except PeerMissing as missing:
        pytest.skip(f"{library} cannot be installed or run here: {missing}")
    return found


def coincides(library: str, name: str, length: int) -> bool:
    """Whether a figure means the same for both at this number of periods."""
    if name != "var_95":
        return True
    if library == "skfolio":
        return length % 20 != 0
    return math.ceil(0.05 * length) == -(-length // 20)


@pytest.mark.parametrize("library", sorted(PEERS))
def test_every_figure_that_is_defined_alike_is_alike(library: str, tmp_path: Path) -> None:
    cases = drawn() + real()
    compared: dict[str, int] = {}
    for case, found in zip(cases, theirs(library, cases, tmp_path), strict=True):
        report = ours(case)
        for name, value in found.items():
            own = getattr(report, name.removesuffix("_from_start"))
            if coincides(library, name, len(case)):
                assert value == pytest.approx(own, rel=1e-9, abs=1e-12), (name, len(case))
                compared[name] = compared.get(name, 0) + 1
    assert set(compared) == set(found)
    assert min(compared.values()) >= 4


def test_the_value_at_risk_that_differs_is_the_next_loss(tmp_path: Path) -> None:
    """Where T is a multiple of 20, skfolio takes the loss just after the tail; ours is the last within it."""
    cases = [case for case in drawn() if len(case) % 20 == 0]
    for case, found in zip(cases, theirs("skfolio", cases, tmp_path), strict=True):
        losses = np.sort(-case[:, 0])[::-1]
        rank = len(case) // 20
        assert ours(case).var_95 == pytest.approx(losses[rank - 1], abs=1e-15)
        assert found["var_95"] == pytest.approx(losses[rank], abs=1e-15)
