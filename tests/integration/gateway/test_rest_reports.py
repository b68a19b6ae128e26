"""Audit trail, statement and comparison with the venue by REST, as JSON and as files."""

import csv
import io

import pytest
from builders.gateway import EVENT_NS, a_fill
from integration.gateway.conftest import Gateway, problem

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from trading.errors import NotFound, Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")
AS_CSV = {"Accept": "text/csv"}


def an_entry(number: int) -> execution_pb2.AuditEntry:
    """A turn of the kill switch."""
    return execution_pb2.AuditEntry(
        id=number,
        subject="trading_state",
        account="main",
        value='{"state": "HALTED"}',
        actor="admin1",
        time_ns=EVENT_NS,
    )


def rows(text: str) -> list[list[str]]:
    """The cells of a CSV file."""
    return list(csv.reader(io.StringIO(text, newline="")))


async def test_the_audit_trail_comes_page_by_page(gateway: Gateway) -> None:
    gateway.fleet.execution.audit = [an_entry(number) for number in (3, 2, 1)]
    first = (await gateway.http.get("/v1/execution/audit?limit=2&subject=trading_state&account=main")).json()
    assert [entry["id"] for entry in first["entries"]] == ["3", "2"]
    assert first["entries"][0] == {
        "id": "3",
        "subject": "trading_state",
        "account": "main",
        "value": {"state": "HALTED"},
        "actor": "admin1",
        "reason": None,
        "timestamp_ns": str(EVENT_NS),
    }
    last = (await gateway.http.get(f"/v1/execution/audit?limit=2&cursor={first['next_cursor']}")).json()
    assert ([entry["id"] for entry in last["entries"]], last["next_cursor"]) == (["1"], None)
    (sent, _) = gateway.fleet.script.heard(execution.ListAuditRequest)
    assert (sent.subject, sent.account, sent.page_size, sent.before_id) == ("trading_state", "main", 2, 0)


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=-1", "cursor=99999999999999999999", "subject=weather", "limit=0"]
)
async def test_a_wrong_page_of_the_audit_trail_is_422(gateway: Gateway, query: str) -> None:
    problem(await gateway.http.get(f"/v1/execution/audit?{query}"), 422, "INVALID_ARGUMENT")


async def test_an_unchanged_audit_trail_is_304(gateway: Gateway) -> None:
    etag = (await gateway.http.get("/v1/execution/audit")).headers["etag"]
    assert (await gateway.http.get("/v1/execution/audit", headers={"If-None-Match": etag})).status_code == 304
    gateway.fleet.execution.audit = [an_entry(1)]
    assert (await gateway.http.get("/v1/execution/audit", headers={"If-None-Match": etag})).status_code == 200


async def test_a_statement_tells_trades_positions_and_cash(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/execution/statement?day=2025-10-09")
    assert answer.json() == {
        "account": "main",
        "venue": "paper",
        "currency": "USD",
        "day": "2025-10-09",
        "opening_cash": "100000",
        "closing_cash": "98104.99",
        "realized_pnl": "-0.01",
        "fees": "0.01",
        "trades": [
            {
                "execution_id": "x-7",
                "price": "189.5",
                "quantity": "10",
                "fee": "0.01",
                "currency": "USD",
                "event_time_ns": str(EVENT_NS),
                "mid": "189.49",
                "liquidity": "TAKER",
                "event_id": "event-7",
                "order_id": "order-7",
                "symbol": "AAPL",
                "side": "BUY",
                "log_sequence": "7",
            }
        ],
        "charges": [
            {
                "charge_id": "charge-1",
                "venue_id": "20251009::fee",
                "kind": "FEE",
                "symbol": None,
                "quantity": "0",
                "amount": "2",
                "currency": "USD",
                "order_id": None,
                "event_time_ns": str(EVENT_NS),
            }
        ],
        "positions": [{"symbol": "AAPL", "quantity": "10", "avg_price": "189.5"}],
    }
    (sent,) = gateway.fleet.script.heard(execution.GetStatementRequest)
    assert (sent.account, sent.day) == ("main", "2025-10-09")


async def test_a_statement_is_a_csv_file_of_trades_charges_positions_and_cash(gateway: Gateway) -> None:
    fills = [a_fill(), a_fill(side=execution_pb2.SIDE_SELL, execution_id='x "8", late', mid_nanos=0)]
    fills[1].ClearField("mid_nanos")
    del gateway.fleet.execution.statement.fills[:]
    gateway.fleet.execution.statement.fills.extend(fills)
    answer = await gateway.http.get("/v1/execution/statement", headers=AS_CSV)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="statement-main-2025-10-09.csv"'
    head, *body = rows(answer.text)
    found = [dict(zip(head, row, strict=True)) for row in body]
    assert [row["record"] for row in found] == ["trade", "trade", "charge", "position", "cash"]
    assert (found[0]["side"], found[0]["price"], found[0]["mid"], found[0]["fee"]) == ("BUY", "189.5", "189.49", "0.01")
    assert (found[1]["side"], found[1]["execution_id"], found[1]["mid"]) == ("SELL", 'x "8", late', "")
    charge = found[2]
    assert (charge["kind"], charge["fee"], charge["currency"], charge["symbol"]) == ("FEE", "2", "USD", "")
    assert charge["execution_id"] == "20251009::fee"
    assert (found[3]["symbol"], found[3]["quantity"], found[3]["price"]) == ("AAPL", "10", "189.5")
    assert (found[4]["symbol"], found[4]["quantity"], found[4]["currency"]) == ("USD", "98104.99", "USD")
    again = await gateway.http.get(
        "/v1/execution/statement", headers=AS_CSV | {"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


async def test_the_columns_of_both_files_are_the_contracts(gateway: Gateway) -> None:
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    for path in ("/v1/execution/statement", "/v1/execution/venue-comparison"):
        assert set(paths[path]["get"]["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    statement = (await gateway.http.get("/v1/execution/statement", headers=AS_CSV)).text.partition("\r\n")[0]
    comparison = (await gateway.http.get("/v1/execution/venue-comparison", headers=AS_CSV)).text.partition("\r\n")[0]
    assert statement == (
        "record,account,day,symbol,side,quantity,price,fee,currency,liquidity,mid,order_id,execution_id,event_time_ns,kind"
    )
    assert comparison == "account,subject,name,ours,venue,agrees,timestamp_ns"


@pytest.mark.parametrize("day", ["today", "2025-1-1", "2025-10-09T00:00"])
async def test_a_wrong_day_is_422(gateway: Gateway, day: str) -> None:
    body = problem(await gateway.http.get(f"/v1/execution/statement?day={day}"), 422, "INVALID_ARGUMENT")
    assert body["errors"][0]["parameter"] == "day"


async def test_a_comparison_names_what_the_venue_says(gateway: Gateway) -> None:
    gateway.fleet.execution.differences = [
        execution_pb2.VenueDifference(subject="position", name="AAPL", ours="10", venue="10", agrees=True),
        execution_pb2.VenueDifference(subject="order", name="order-7", ours="ACCEPTED"),
    ]
    answer = (await gateway.http.get("/v1/execution/venue-comparison")).json()
    assert (answer["account"], answer["timestamp_ns"], answer["agrees"]) == ("main", str(EVENT_NS), False)
    assert answer["comparisons"][1] == {
        "subject": "order",
        "name": "order-7",
        "ours": "ACCEPTED",
        "venue": None,
        "agrees": False,
    }
    file = await gateway.http.get("/v1/execution/venue-comparison", headers=AS_CSV)
    assert f'filename="venue-comparison-main-{EVENT_NS}.csv"' in file.headers["content-disposition"]
    assert rows(file.text)[2] == ["main", "order", "order-7", "ACCEPTED", "", "false", str(EVENT_NS)]


async def test_a_silent_venue_is_no_agreement(gateway: Gateway) -> None:
    gateway.fleet.script.refusals[execution.CompareWithVenueRequest] = Unavailable("The venue does not answer.")
    problem(await gateway.http.get("/v1/execution/venue-comparison"), 503, "UNAVAILABLE")


async def test_a_file_that_cannot_be_made_is_a_problem_document(gateway: Gateway) -> None:
    refusal = NotFound("There is no such account.", reason="UNKNOWN_ACCOUNT", account="x")
    gateway.fleet.script.refusals[execution.GetStatementRequest] = refusal
    problem(await gateway.http.get("/v1/execution/statement?account=x", headers=AS_CSV), 404, "UNKNOWN_ACCOUNT")


async def test_the_name_of_an_account_cannot_break_the_name_of_a_file(gateway: Gateway) -> None:
    gateway.fleet.execution.statement.account = 'a"; x=\r\nüb'
    answer = await gateway.http.get("/v1/execution/statement", headers=AS_CSV)
    assert answer.headers["content-disposition"] == 'attachment; filename="statement-a_x_b-2025-10-09.csv"'
