"""What every request passes: keys, scopes, rates, repeated requests, faults of the fleet and of ours."""

import asyncio
import json

import httpx
import pytest
from fakes.backends import FakeFleet
from integration.gateway.conftest import KEY, ORDER, Gateway, eventually, problem, running

from neuraltrader.execution.v1 import execution_service_pb2 as execution
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from services.gateway.auth import ROUTE_SCOPES, Scope
from trading.errors import DeadlineExceeded, Unavailable

ROUTES = sorted(key for key in ROUTE_SCOPES if key[0] != "WEBSOCKET")
CLOSED = [key for key in ROUTES if ROUTE_SCOPES[key] is not Scope.OPEN]


@pytest.fixture
def gateway(own_gateway: Gateway) -> Gateway:
    """Nobody else's counters of failures and rates."""
    return own_gateway


async def test_every_route_that_is_not_open_wants_a_key(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=str(gateway.http.base_url), trust_env=False, timeout=60) as nobody:
        for method, path in CLOSED:
            answer = await nobody.request(method, path)
            if path.startswith("/v2"):  # which tells errors in the protocol's own form
                assert (answer.status_code, set(answer.json())) == (401, {"error"})
            else:
                problem(answer, 401, "KEY_MISSING")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert gateway.fleet.script.calls == []


async def test_every_open_route_answers_nobody_in_particular(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=str(gateway.http.base_url), trust_env=False, timeout=60) as nobody:
        for method, path in sorted(set(ROUTES) - set(CLOSED)):
            assert (await nobody.request(method, path)).status_code == 200, path


@pytest.mark.parametrize(
    "header", ["", "Bearer", f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer x{KEY}", "Bearer nt_other_" + "0" * 32]
)
async def test_anything_but_the_key_is_401(gateway: Gateway, header: str) -> None:
    answer = await gateway.http.get("/v1/positions", headers={"Authorization": header})
    assert answer.status_code == 401
    assert KEY not in answer.text


async def test_a_wrong_key_is_refused_before_its_body_is_read(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/orders", content=b"[" * 500_000, headers={"Authorization": "Bearer x"})
    problem(answer, 401, "WRONG_KEY")


async def test_what_does_not_exist_is_a_problem_too(gateway: Gateway) -> None:
    problem(await gateway.http.get("/v1/nothing"), 404, "NO_SUCH_ROUTE")
    answer = await gateway.http.put("/v1/orders", json={})
    wrong = problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, POST"
    assert wrong["detail"] == "Expected DELETE, GET, HEAD, POST, was PUT."


async def test_a_head_is_a_get_without_its_body(gateway: Gateway) -> None:
    """Whoever watches a server asks for no more."""
    told, whole = await gateway.http.head("/healthz"), await gateway.http.get("/healthz")
    assert (told.status_code, told.content) == (200, b"")
    assert told.headers["content-length"] == whole.headers["content-length"]
    assert (await gateway.http.head("/v1/orders", headers={"Authorization": "Bearer x"})).status_code == 401


async def test_every_reply_says_what_is_left(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/positions")
    assert int(answer.headers["x-ratelimit-remaining"]) < int(answer.headers["x-ratelimit-limit"])
    assert int(answer.headers["x-ratelimit-reset"]) >= 0
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


async def test_a_request_id_is_kept_or_made(gateway: Gateway) -> None:
    given = await gateway.http.get("/healthz", headers={"X-Request-Id": "abc-1"})
    made = await gateway.http.get("/healthz", headers={"X-Request-Id": "not good!"})
    assert given.headers["x-request-id"] == "abc-1"
    assert len(made.headers["x-request-id"]) == 36


async def test_a_greedy_key_is_429_with_retry_after(fleet: FakeFleet, nats_url: str) -> None:
    async with running(fleet, nats_url, rate_per_second=0.5, rate_burst=2) as gateway:
        answers = [await gateway.http.get("/v1/positions") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        problem(answers[2], 429, "RATE_LIMITED")
        assert int(answers[2].headers["retry-after"]) in {1, 2}
        assert (await gateway.http.get("/healthz")).status_code == 200


async def test_guessing_keys_is_slowed_without_hurting_the_good_key(fleet: FakeFleet, nats_url: str) -> None:
    async with running(fleet, nats_url, failures_per_second=0.1, failures_burst=2) as gateway:
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [(await gateway.http.get("/v1/positions", headers=wrong)).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]
        assert (await gateway.http.get("/v1/positions")).status_code == 200


async def test_a_repeated_request_is_answered_from_memory(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "halt-1"}
    first = await gateway.http.post("/v1/execution/halt", json={"reason": "once"}, headers=headers)
    again = await gateway.http.post("/v1/execution/halt", json={"reason": "once"}, headers=headers)
    assert (first.json(), first.status_code) == (again.json(), again.status_code)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(gateway.fleet.script.heard(execution.SetTradingStateRequest)) == 1


async def test_the_same_key_with_another_body_is_409(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "halt-2"}
    await gateway.http.post("/v1/execution/halt", json={"reason": "one"}, headers=headers)
    answer = await gateway.http.post("/v1/execution/halt", json={"reason": "two"}, headers=headers)
    problem(answer, 409, "IDEMPOTENCY_CONFLICT")


async def test_the_same_key_on_another_route_is_another_request(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "halt-3"}
    await gateway.http.post("/v1/execution/halt", headers=headers)
    resumed = await gateway.http.post("/v1/execution/resume", headers=headers)
    assert resumed.json()["trading_state"] == "ACTIVE"


async def test_a_failure_is_not_remembered(gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "halt-4"}
    gateway.fleet.script.refusals[execution.SetTradingStateRequest] = Unavailable("Later.")
    assert (await gateway.http.post("/v1/execution/halt", headers=headers)).status_code == 503
    gateway.fleet.script.refusals.clear()
    assert (await gateway.http.post("/v1/execution/halt", headers=headers)).status_code == 200


async def test_an_idempotency_key_of_the_wrong_kind_is_422(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/execution/halt", headers={"Idempotency-Key": "no blanks please"})
    assert problem(answer, 422, "INVALID_ARGUMENT")["errors"][0]["parameter"] == "Idempotency-Key"


async def test_readiness_names_each_part(gateway: Gateway) -> None:
    answer = await gateway.http.get("/readyz")
    assert answer.json() == {
        "status": "ready",
        "checks": dict.fromkeys(("market_data", "inference", "execution", "portfolio", "nats"), "ok"),
    }


async def test_a_silent_service_makes_the_gateway_unready_and_only_its_routes_503(gateway: Gateway) -> None:
    await gateway.fleet.stop("inference")
    body = problem(await gateway.http.get("/readyz"), 503, "NOT_READY")
    assert body["checks"] == {
        "market_data": "ok",
        "inference": "no answer",
        "execution": "ok",
        "portfolio": "ok",
        "nats": "ok",
    }
    answer = await gateway.http.get("/v1/models")
    assert "127.0.0.1" not in problem(answer, 503, "UNAVAILABLE")["detail"]
    assert answer.headers["retry-after"] == "1"
    assert (await gateway.http.get("/v1/positions")).status_code == 200
    assert (await gateway.http.get("/healthz")).status_code == 200


async def test_a_service_that_comes_back_is_used_again(gateway: Gateway) -> None:
    await gateway.fleet.stop("portfolio")
    assert (await gateway.http.get("/v1/positions")).status_code == 503
    await gateway.fleet.start("portfolio", KEY)

    async def answers() -> bool:
        return (await gateway.http.get("/v1/positions")).status_code == 200

    await eventually(answers)


async def test_a_service_that_is_not_ready_is_named(gateway: Gateway) -> None:
    await gateway.fleet.servers["execution"].say_ready(False)
    body = problem(await gateway.http.get("/readyz"), 503, "NOT_READY")
    assert body["checks"]["execution"] == "not ready"


async def test_a_deadline_is_504(gateway: Gateway) -> None:
    gateway.fleet.script.refusals[portfolio.ListPositionsRequest] = DeadlineExceeded("Too late.")
    problem(await gateway.http.get("/v1/positions"), 504, "DEADLINE_EXCEEDED")


async def test_a_fault_of_a_service_is_500_and_leaks_nothing(gateway: Gateway) -> None:
    gateway.fleet.script.refusals[portfolio.ListPositionsRequest] = RuntimeError("password=hunter2")
    answer = await gateway.http.get("/v1/positions")
    problem(answer, 500, "INTERNAL")
    assert "hunter2" not in answer.text


async def test_a_fault_of_the_gateway_is_500_and_leaks_nothing(gateway: Gateway) -> None:
    """The fake answers what no service would: a state that JSON has no name for."""
    gateway.fleet.execution.answer.order.status = 99  # type: ignore[assignment]
    answer = await gateway.http.post("/v1/orders", json=ORDER)
    assert "99" not in problem(answer, 500, "INTERNAL")["detail"]
    assert (await gateway.http.get("/v1/positions")).status_code == 200


async def test_an_order_falls_back_to_unary_while_the_stream_is_down(gateway: Gateway) -> None:
    assert (await gateway.http.post("/v1/orders", json=ORDER)).status_code == 201
    await gateway.fleet.stop("execution")
    await gateway.fleet.start("execution", KEY)

    async def takes_orders() -> bool:
        return (await gateway.http.post("/v1/orders", json=ORDER)).status_code == 201

    await eventually(takes_orders)
    await eventually(lambda: gateway.fleet.execution.streams == 2)


async def test_an_order_whose_stream_breaks_may_exist_and_the_problem_says_so(gateway: Gateway) -> None:
    gateway.fleet.execution.is_mute = True
    submit = asyncio.create_task(gateway.http.post("/v1/orders", json=ORDER | {"client_order_id": "lost-1"}))
    await eventually(lambda: bool(gateway.fleet.execution.commands))
    gateway.fleet.execution.break_now.set()
    body = problem(await submit, 503, "ORDER_OUTCOME_UNKNOWN")
    assert body["client_order_id"] == "lost-1"


async def test_an_order_without_an_answer_is_504_after_its_wait(gateway: Gateway) -> None:
    gateway.fleet.execution.is_mute = True
    body = problem(await gateway.http.post("/v1/orders?wait_ms=1", json=ORDER), 504, "ORDER_OUTCOME_UNKNOWN")
    assert body["client_order_id"] is None


async def test_the_served_contract_is_json_and_so_is_its_page(gateway: Gateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    page = await gateway.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text.replace("http://127.0.0.1", "")
    assert "https://" not in page.text


async def test_the_version_is_of_this_process(gateway: Gateway) -> None:
    version = (await gateway.http.get("/v1/version")).json()
    assert {"rest", "websocket", "process-cache"} <= set(version["features"])
    assert version["build_date"]
    assert "python3." in version["platform"]


async def test_requests_are_counted_by_route(gateway: Gateway) -> None:
    await gateway.http.get("/v1/market-data/quotes/AAPL")
    labels = {"route": "/v1/market-data/quotes/{symbol}", "status": "200"}
    assert gateway.metrics.registry.get_sample_value("nt_http_seconds_count", labels) == 1


async def test_a_problem_is_plain_json(gateway: Gateway) -> None:
    raw = (await gateway.http.get("/v1/nothing")).content
    assert list(json.loads(raw))[:3] == ["type", "title", "status"]
