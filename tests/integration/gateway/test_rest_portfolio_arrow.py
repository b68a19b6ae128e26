"""Optimisation problems as Arrow streams, solved by the real routes behind a gateway: the same answers as by JSON."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytest_asyncio
from builders.arrow import HEADERS, a_problem_stream, a_stream
from builders.portfolio import names, some_moments
from fakes.backends import fake_fleet
from fakes.portfolio import FakeMarketData, SolverHere, run_here
from integration.gateway.conftest import KEY, Gateway, problem, running

from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.rpc.portfolio import Choosing, PortfolioRpc
from services.portfolio.usecases.frontier import ComputeFrontier
from services.portfolio.usecases.judge_covariances import JudgeCovariances
from services.portfolio.usecases.know_covariances import KnowCovariances
from services.portfolio.usecases.optimize import Optimize
from services.portfolio.usecases.read_returns import ReadReturns
from trading.clock import SystemClock

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPTIMIZE, FRONTIER = "/v1/portfolio/optimize", "/v1/portfolio/frontier"
SYMBOLS = list(names(200))
EXPECTED, COVARIANCE = some_moments(200)
NO_BOOK: Any = None
"""What an optimiser does not ask: the book and the risk of positions."""


class ForgetfulSolver(SolverHere):
    """The real routes, which begin every problem cold, so that equal problems have equal answers to the last bit."""

    async def solve(self, problem: Problem, timeout_s: float) -> Solution:
        self.warm = WarmStarts()
        return await super().solve(problem, timeout_s)


def the_optimiser() -> PortfolioRpc:
    """The optimiser's calls over the real routes, in this process."""
    market_data, solver, clock = FakeMarketData(), ForgetfulSolver(), SystemClock()
    judge = JudgeCovariances(run_here, kept=4, waiting=4)
    know = KnowCovariances(kept=16, bytes_most=2**27)
    optimize = Optimize(solver, market_data, run_here, judge, know, clock, timeout_s=30)
    frontier = ComputeFrontier(optimize, solver, judge, run_here, clock, workers=1, timeout_s=30)
    choosing = Choosing(optimize, frontier, ReadReturns(market_data, clock), know.recall)
    return PortfolioRpc(NO_BOOK, choosing, NO_BOOK, run_here)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def optimiser(nats_url: str) -> AsyncIterator[Gateway]:
    """A gateway before a portfolio that really solves."""
    async with fake_fleet(KEY) as fleet:
        await fleet.stop("portfolio")
        vars(fleet)["portfolio"] = the_optimiser()
        await fleet.start("portfolio", KEY)
        async with running(fleet, nats_url) as started:
            yield started


async def both(gateway: Gateway, path: str, values: Any, matrix: str, **request: Any) -> list[dict[str, Any]]:
    """The answers to one problem by JSON and by Arrow."""
    symbols = SYMBOLS[: values.shape[1]]
    stream = a_problem_stream(values, symbols, matrix, 64, **request)
    by_json = await gateway.http.post(path, json={"symbols": symbols, matrix: values.tolist(), **request})
    by_arrow = await gateway.http.post(path, content=stream, headers=HEADERS)
    assert (by_json.status_code, by_arrow.status_code) == (200, 200), (by_json.text[:500], by_arrow.text[:500])
    return [by_json.json(), by_arrow.json()]


def assert_equal_answers(by_json: dict[str, Any], by_arrow: dict[str, Any]) -> None:
    assert len(by_json["input_sha256"]) == 64
    assert sum(by_json["allocations"].values()) == pytest.approx(1)
    for answer in (by_json, by_arrow):
        del answer["solver"]["time_ms"]
    assert by_arrow == by_json


async def test_a_large_covariance_has_the_same_answer_and_hash(optimiser: Gateway) -> None:
    constraints = {"max_position_size": 0.05, "upper_bounds": {"S3": 0.01}}
    words = {"expected_returns": EXPECTED.tolist(), "constraints": constraints, "current_positions": {"S1": 1.0}}
    assert_equal_answers(*await both(optimiser, OPTIMIZE, COVARIANCE, "covariance", **words))


@pytest.mark.parametrize("objective", ["min_cvar", "hrp"])
async def test_returns_have_the_same_answer_and_hash(optimiser: Gateway, objective: str) -> None:
    returns = np.random.default_rng(3).normal(0.001, 0.01, (90, 4))
    assert_equal_answers(*await both(optimiser, OPTIMIZE, returns, "returns", objective=objective))


async def test_a_frontier_has_the_same_points(optimiser: Gateway) -> None:
    returns = np.random.default_rng(4).normal(0.001, 0.01, (90, 4))
    by_json, by_arrow = await both(optimiser, FRONTIER, returns, "returns", points=3)
    assert len(by_arrow["points"]) == len(by_json["points"]) == 3
    for one, other in zip(by_json["points"], by_arrow["points"], strict=True):
        assert_equal_answers(one, other)


def said(**metadata: str) -> dict[str, str]:
    return {"matrix": "covariance", "request": '{"expected_returns": [0.1, 0.2]}'} | metadata


ONES, NULLS = pa.array([1.0, 1.0]), pa.array([1.0, None])


@pytest.mark.parametrize(
    ("stream", "code", "pointer"),
    [
        (a_stream([ONES, NULLS], ["A", "B"], said()), "INVALID_ARGUMENT", "#/covariance/1/1"),
        (a_stream([ONES, pa.array([1, 1])], ["A", "B"], said()), "INVALID_ARGUMENT", "#/symbols/1"),
        (a_stream([ONES, ONES], ["A", "A"], said()), "DUPLICATE_SYMBOL", "#/symbols/1"),
        (a_stream([ONES, ONES, ONES], list("ABC"), said(request='{"objective":"hrp"}')), "SHAPE_MISMATCH", None),
        (a_stream([pa.array([1.0])] * 2, ["A", "B"], said()), "SHAPE_MISMATCH", "#/covariance"),
        (a_stream([ONES, ONES], ["A", "B"], None), "INVALID_ARGUMENT", "#/matrix"),
        (a_stream([ONES, ONES], ["A", "B"], said(pandas="{}")), "INVALID_ARGUMENT", "#"),
        (a_stream([ONES, ONES], ["A", "B"], said(matrix="prices")), "INVALID_ARGUMENT", "#/matrix"),
        (a_stream([ONES, ONES], ["A", "B"], said(request="{")), "INVALID_ARGUMENT", "#/request"),
        (a_stream([ONES, ONES], ["A", "B"], said(request='{"beta": 2}')), "INVALID_ARGUMENT", "#/beta"),
        (a_stream([ONES, ONES], ["A", "B"], said(), compression="zstd"), "INVALID_ARGUMENT", "#"),
        (a_problem_stream(np.array([[0.1, np.nan]] * 3), ["A", "B"], "returns"), "NOT_FINITE", None),
    ],
)
async def test_what_is_wrong_in_a_stream_is_named(
    optimiser: Gateway, stream: bytes, code: str, pointer: str | None
) -> None:
    refused = problem(await optimiser.http.post(OPTIMIZE, content=stream, headers=HEADERS), 422, code)
    assert pointer is None or [error["pointer"] for error in refused["errors"]] == [pointer]


@pytest.mark.parametrize("body", [b"", b'{"symbols": ["A"]}', a_problem_stream(COVARIANCE, SYMBOLS)[:-9999]])
@pytest.mark.parametrize("path", [OPTIMIZE, FRONTIER])
async def test_what_is_no_arrow_is_400(optimiser: Gateway, path: str, body: bytes) -> None:
    problem(await optimiser.http.post(path, content=body, headers=HEADERS), 400, "MALFORMED_BODY")


async def test_another_media_type_is_415(optimiser: Gateway) -> None:
    for path in (OPTIMIZE, FRONTIER):
        answer = await optimiser.http.post(path, content=b"a,b", headers={"Content-Type": "text/csv"})
        problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
