"""Every command of `ntrader` that asks a gateway, against a real gateway before fakes of the fleet."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from builders.gateway import EVENT_NS, a_fill, an_order, an_order_event
from integration.gateway.conftest import KEY, ORDER_ID, Gateway
from neural_trader.cli import ask

from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from trading.errors import UnknownSymbol

_LIMITS = '{"account": "main", "max_position_nanos": 2500000000, "price_collar": null, "refuse_self_trades": true}'
_LOGGED = re.compile(r"[0-9-]{10} [0-9:]{8} \[[a-z]+ *\]")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _told_where(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAL_TRADER_URL", f"http://127.0.0.1:{gateway.port}")
    monkeypatch.setenv("NEURAL_TRADER_API_KEY", KEY)


async def ntrader(line: str) -> int:
    """The exit code of a command; it blocks, so it has a thread of its own."""
    return await asyncio.to_thread(ask, line.split())


def printed(out: str) -> list[str]:
    """The lines of a command alone: the gateway of these tests logs to the same stdout."""
    return [line for line in out.splitlines() if not _LOGGED.match(line)]


async def test_an_order_is_submitted_with_its_terms_and_told(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "order buy AAPL 10 --price 189.5 --take-profit 210 --stop-loss 180 --client-order-id mine-1 --wait accepted"
    assert await ntrader(line) == 0
    said = capsys.readouterr().out
    assert ("FILLED" in said, ORDER_ID in said, "900 µs" in said) == (True, True, True)
    (sent,) = gateway.fleet.script.heard(execution.SubmitOrderRequest)
    assert (sent.order_type, sent.price_nanos) == (execution_pb2.ORDER_TYPE_LIMIT, 189_500_000_000)
    assert (sent.client_order_id, sent.wait) == ("mine-1", execution_pb2.WAIT_ACCEPTED)
    assert (sent.take_profit_nanos, sent.stop_loss_nanos) == (210_000_000_000, 180_000_000_000)


async def test_a_denied_order_is_one_with_its_numbers(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    denial = execution_pb2.Denial(code="MAX_POSITION", message="Too long.", limits={"limit": "5"})
    denied = an_order(status=execution_pb2.ORDER_STATUS_DENIED, filled_quantity_nanos=0, denial=denial)
    gateway.fleet.execution.answer = execution.SubmitOrderResponse(order=denied)
    assert await ntrader("order sell AAPL 10") == 1
    said = capsys.readouterr().out
    assert "MAX_POSITION: Too long." in said
    assert "limit 5" in said


async def test_orders_are_listed_for_readers_and_for_programs(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ntrader("orders --status FILLED,CANCELED --symbol AAPL --limit 5") == 0
    said = capsys.readouterr()
    head, row = printed(said.out)
    assert head.split()[:4] == ["ORDER", "CREATED", "SYMBOL", "SIDE"]
    assert row.split()[0] == ORDER_ID
    assert "--cursor more" in said.err
    (sent,) = gateway.fleet.script.heard(execution.ListOrdersRequest)
    assert (len(sent.statuses), sent.symbol, sent.page_size) == (2, "AAPL", 5)
    assert await ntrader("orders --json") == 0
    (line,) = printed(capsys.readouterr().out)
    assert json.loads(line)["orders"][0]["order_id"] == ORDER_ID


async def test_orders_are_canceled_changed_and_followed(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.fleet.execution.events = [
        an_order_event(7),
        an_order_event(8, kind=execution_pb2.ORDER_EVENT_KIND_FILL, fill=a_fill()),
    ]
    assert await ntrader(f"modify {ORDER_ID} --price 190.5 --quantity 5") == 0
    assert await ntrader(f"cancel {ORDER_ID}") == 0
    assert await ntrader("cancel --all --symbol AAPL") == 0
    assert "1 cancels asked for" in capsys.readouterr().out
    assert await ntrader(f"events {ORDER_ID}") == 0
    assert "10 at 189.5" in capsys.readouterr().out
    (change,) = gateway.fleet.script.heard(execution.ModifyOrderRequest)
    assert (change.price_nanos, change.quantity_nanos) == (190_500_000_000, 5_000_000_000)
    (all_of,) = gateway.fleet.script.heard(execution.CancelOrdersRequest)
    assert all_of.symbol == "AAPL"


async def test_the_kill_switch_goes_both_ways(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader("halt --cancel-open --flatten --reason drill --account main") == 0
    assert "HALTED" in capsys.readouterr().out
    assert await ntrader("resume --reducing --json") == 0
    (line,) = printed(capsys.readouterr().out)
    assert json.loads(line)["trading_state"] == "REDUCING"
    first, second = gateway.fleet.script.heard(execution.SetTradingStateRequest)
    assert (first.cancel_open, first.flatten, first.reason, first.account) == (True, True, "drill", "main")
    assert (second.cancel_open, second.flatten, second.account) == (False, False, "")


async def test_a_limit_changes_and_the_others_stay(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader("limits") == 0
    assert "price_collar" in capsys.readouterr().out
    changes = "max_open_orders=5 price_collar=none max_position=2.5 duplicate_window_ns=500ms refuse_self_trades=yes"
    assert await ntrader(f"limits set {changes}") == 0
    (sent,) = gateway.fleet.script.heard(execution.SetRiskLimitsRequest)
    assert sent.limits.max_order_notional_nanos == 10**15
    assert (sent.limits.max_open_orders, sent.limits.max_position_nanos) == (5, 2_500_000_000)
    assert (sent.limits.duplicate_window_ns, sent.limits.refuse_self_trades) == (500_000_000, True)
    assert not sent.limits.HasField("price_collar")


async def test_signals_are_switched_and_what_is_left_out_stays(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ntrader("signals") == 0
    assert "momentum-v1" in capsys.readouterr().out
    assert gateway.fleet.script.heard(execution.SetSignalTradingRequest) == []
    assert await ntrader("signals on --notional 2500.5 --min-confidence 0.75") == 0
    assert await ntrader("signals off --models all --json") == 0
    first, second = (sent.signal_trading for sent in gateway.fleet.script.heard(execution.SetSignalTradingRequest))
    assert (first.enabled, list(first.models)) == (True, ["momentum-v1"])
    assert (first.notional_nanos, first.min_confidence) == (2_500_500_000_000, 0.75)
    assert (second.enabled, list(second.models)) == (False, [])


async def test_signals_of_a_model_that_is_not_there_are_refused(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ntrader("signals on --models none") == 1
    assert "none" in capsys.readouterr().err
    assert gateway.fleet.script.heard(execution.SetSignalTradingRequest) == []


async def test_a_limit_that_does_not_exist_is_named(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ntrader("limits set max_fun=5") == 1
    assert "max_fun" in capsys.readouterr().err
    assert gateway.fleet.script.heard(execution.SetRiskLimitsRequest) == []


async def test_a_statement_is_told_or_kept_as_a_file(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await ntrader("statement --day 2025-10-09") == 0
    said = capsys.readouterr().out
    assert ("98104.99" in said, "AAPL" in said) == (True, True)
    assert await ntrader(f"statement --out {tmp_path / 'day.csv'}") == 0
    assert (tmp_path / "day.csv").read_text().startswith("record,account,day")
    assert await ntrader(f"statement --out {tmp_path / 'no' / 'day.csv'}") == 1
    assert "cannot be written" in capsys.readouterr().err


async def test_a_difference_with_the_venue_is_one(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    same = execution_pb2.VenueDifference(subject="cash", name="USD", ours="5", venue="5", agrees=True)
    gateway.fleet.execution.differences = [same]
    assert await ntrader("compare") == 0
    gateway.fleet.execution.differences = [same, execution_pb2.VenueDifference(subject="order", name="o", ours="x")]
    assert await ntrader(f"compare --out {tmp_path / 'venue.csv'}") == 1
    assert "no" in capsys.readouterr().out.split()
    assert (tmp_path / "venue.csv").read_text().splitlines()[2].startswith("main,order,o,x,,false")


async def test_the_audit_trail_is_told(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    entry = execution_pb2.AuditEntry(id=1, subject="trading_state", account="main", value=_LIMITS, time_ns=EVENT_NS)
    gateway.fleet.execution.audit = [entry, entry]
    assert await ntrader("audit --limit 1 --subject trading_state") == 0
    said = capsys.readouterr()
    assert "2025-10-09" in said.out
    assert "max_position 2.5, refuse_self_trades yes" in said.out
    assert "--cursor 1" in said.err


async def test_a_refusal_is_named_and_one(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = UnknownSymbol("No instrument is called 'X'.", symbol="X")
    gateway.fleet.script.refusals[execution.SubmitOrderRequest] = refusal
    assert await ntrader("order buy X 1") == 1
    assert "No instrument is called 'X'. (UNKNOWN_SYMBOL)" in capsys.readouterr().err
