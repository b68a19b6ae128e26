"""Performance, transfers and imports by REST and by command, against real servers of the fleet's contracts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.conftest import KEY, Gateway, problem
from neural_trader.cli import ask

from neuraltrader.portfolio.v1 import book_service_pb2 as pb
from trading.errors import Unavailable
from trading.money import ONE

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRANSFERS, POSITIONS = "/v1/accounts/main/transfers", "/v1/accounts/main/positions"
A_TRANSFER: dict[str, Any] = {"transfer_id": "t-1", "amount": "-1500.25", "currency": "EUR", "note": "rent"}
A_POSITION: dict[str, Any] = {"symbol": "AAPL", "quantity": "-2.5", "avg_price": 190}


@pytest.fixture(autouse=True)
def _told_where(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAL_TRADER_URL", f"http://127.0.0.1:{gateway.port}")
    monkeypatch.setenv("NEURAL_TRADER_API_KEY", KEY)


async def ntrader(*words: object) -> int:
    return await asyncio.to_thread(ask, [str(word) for word in words])


async def test_performance_is_told_with_what_is_not_defined_as_null(gateway: Gateway) -> None:
    found = (
        await gateway.http.get("/v1/portfolio/performance?start=2026-01-01&end=1767312000000000001&points=7")
    ).json()
    assert found["curve"][1] == {"timestamp_ns": "1760000000000000000", "equity": "1100", "paid_in": "900"}
    assert (found["sharpe_ratio"], found["sortino_ratio"], found["volatility"]) == (1.5, None, None)
    assert (found["realized_pnl"], found["fees"], found["currency"]) == ("150", "2.5", "USD")
    assert found["days"] == [{"timestamp_ns": "86400000000000", "pnl": "200", "daily_return": 0.2}]
    (sent,) = gateway.fleet.script.heard(pb.GetPerformanceRequest)
    assert (sent.account, sent.points) == ("main", 7)
    assert (sent.start_time_ns, sent.end_time_ns) == (1_767_225_600_000_000_000, 1_767_312_000_000_000_001)


@pytest.mark.parametrize("query", ["points=1", "points=10001", "start=yesterday", "account="])
async def test_a_wrong_question_is_422(gateway: Gateway, query: str) -> None:
    problem(await gateway.http.get(f"/v1/portfolio/performance?{query}"), 422, "INVALID_ARGUMENT")
    assert gateway.fleet.script.calls == []


async def test_a_transfer_is_exact_and_told_once_more(gateway: Gateway) -> None:
    first = (await gateway.http.post(TRANSFERS, json=A_TRANSFER)).json()
    assert first == {
        "account": "main", "transfer_id": "t-1", "repeated": False, "currency": "EUR", "cash": "-1500.25"
    }  # fmt: skip
    assert (await gateway.http.post(TRANSFERS, json=A_TRANSFER)).json()["repeated"]
    sent = gateway.fleet.script.heard(pb.RecordTransferRequest)[0]
    assert (sent.amount.units, sent.amount.nanos, sent.note, sent.time_ns) == (-1500, -250_000_000, "rent", 0)
    problem(await gateway.http.post(TRANSFERS, json=A_TRANSFER | {"amount": 1}), 409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize(
    "change",
    [
        {"transfer_id": "a b"},
        {"amount": "much"},
        {"amount": None},
        {"currency": "eur"},
        {"note": "x" * 501},
        {"timestamp_ns": -1},
        {"why": "?"},
    ],
)
async def test_a_transfer_of_a_wrong_shape_is_422(gateway: Gateway, change: dict[str, Any]) -> None:
    problem(await gateway.http.post(TRANSFERS, json=A_TRANSFER | change), 422, "INVALID_ARGUMENT")
    assert gateway.fleet.script.calls == []


async def test_positions_are_imported_exactly(gateway: Gateway) -> None:
    body = {"import_id": "i-1", "positions": [A_POSITION, {**A_POSITION, "currency": "EUR"}], "charge_cash": True}
    answer = (await gateway.http.post(POSITIONS, json=body)).json()
    assert (answer["import_id"], answer["repeated"], len(answer["positions"])) == ("i-1", False, 1)
    (sent,) = gateway.fleet.script.heard(pb.ImportPositionsRequest)
    first, second = sent.positions
    assert (first.symbol, first.quantity_nanos, first.avg_price_nanos) == ("AAPL", -2_500_000_000, 190 * ONE)
    assert (first.currency, second.currency, sent.charge_cash, sent.account) == ("", "EUR", True, "main")
    body["positions"] = [{**A_POSITION, "symbol": "NOPE"}]
    problem(await gateway.http.post(POSITIONS, json=body), 404, "UNKNOWN_SYMBOL")


async def test_an_import_of_nothing_is_422(gateway: Gateway) -> None:
    found = problem(
        await gateway.http.post(POSITIONS, json={"import_id": "i", "positions": []}), 422, "INVALID_ARGUMENT"
    )
    assert found["errors"][0]["pointer"] == "#/positions"


async def test_an_account_and_its_positions_are_told_by_command(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ntrader("account") == 0
    said = capsys.readouterr().out
    assert ("98105.5" in said, "EUR" in said, "gross exposure" in said) == (True, True, True)
    assert await ntrader("positions", "--all", "--json") == 0
    assert '"AAPL"' in capsys.readouterr().out
    assert await ntrader("positions") == 0
    assert "AVERAGE" in capsys.readouterr().out


async def test_performance_is_told_and_written_by_command(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await ntrader("performance", "--start", "2026-01-01") == 0
    said = capsys.readouterr().out
    assert ("20.0000%" in said, "1970-01-02" in said, "1100" in said) == (True, True, True)
    target = tmp_path / "curve.csv"
    assert await ntrader("performance", "--out", target) == 0
    assert target.read_text().splitlines() == [
        "timestamp_ns,equity,paid_in",
        "5,1000,1000",
        "1760000000000000000,1100,900",
    ]
    assert gateway.fleet.script.heard(pb.GetPerformanceRequest)[1].points == 10_000
    assert await ntrader("performance", "--out", tmp_path / "no" / "curve.csv") == 1


async def test_a_transfer_is_booked_by_command(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader("transfer", "-250.5", "--currency", "EUR", "--note", "rent", "--id", "t-9") == 0
    assert "t-9" in capsys.readouterr().out
    (sent,) = gateway.fleet.script.heard(pb.RecordTransferRequest)
    assert (sent.amount.currency, sent.amount.units, sent.amount.nanos) == ("EUR", -250, -500_000_000)
    gateway.fleet.script.refusals[pb.RecordTransferRequest] = Unavailable("The database does not answer.")
    assert await ntrader("transfer", "5") == 1
    assert "add --id cli-" in capsys.readouterr().err


async def test_a_file_of_positions_is_booked_once_by_command(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "held.csv"
    file.write_text("\ufeffSymbol, quantity,avg_price,currency\nAAPL,10,180.25,\nBTC/USD,-0.5,60000,USD\n", "utf-8")
    assert await ntrader("import-positions", file, "--charge-cash", "--account", "main") == 0
    assert "booked 2 positions" in capsys.readouterr().out
    assert await ntrader("import-positions", file, "--charge-cash", "--json") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert json.loads(lines[-1])["repeated"]
    first, second = gateway.fleet.script.heard(pb.ImportPositionsRequest)
    assert first == second
    assert [(line.symbol, line.quantity_nanos, line.avg_price_nanos, line.currency) for line in first.positions] == [
        ("AAPL", 10 * ONE, 180_250_000_000, ""),
        ("BTC/USD", -ONE // 2, 60_000 * ONE, "USD"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"symbol,quantity\nAAPL,1\n", "symbol,quantity,avg_price"),
        (b"symbol,quantity,avg_price,price\nAAPL,1,1,1\n", "was symbol,quantity,avg_price,price"),
        (b"", "was nothing"),
        (b"symbol,quantity,avg_price\nAAPL,,1\n", "line 2"),
        (b"symbol,quantity,avg_price\nAAPL,1,1\nTSLA,1,1,USD\n", "line 3"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
async def test_a_file_that_is_no_list_of_positions_is_refused(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "held.csv"
    file.write_bytes(content)
    assert await ntrader("import-positions", file) == 1
    assert why in capsys.readouterr().err
    assert await ntrader("import-positions", tmp_path / "none.csv") == 1
    assert gateway.fleet.script.calls == []
