"""The paper venue as a process: one line of JSON, exit codes, one clear complaint."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from servers import REPOSITORY
from websockets.sync.client import connect

COMMAND = ("-m", "services.paper_venue")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *COMMAND, *arguments], capture_output=True, text=True, timeout=60, cwd=REPOSITORY, check=False
    )


def test_it_prints_its_addresses_as_one_line_and_ends_with_zero(open_venue: Any) -> None:
    with open_venue() as venue:
        assert set(venue.line) == {"alpaca", "polygon", "binance", "admin"}
        assert venue.line["admin"] is None
        assert set(venue.line["polygon"]) == {"rest", "stream", "key"}
        assert set(venue.line["binance"]) == {"rest", "stream", "ws_api", "key", "secret", "ed25519_key"}
        assert set(venue.alpaca) == {"rest", "data_rest", "stream", "crypto_stream", "trading_stream", "key", "secret"}
        assert venue.alpaca["stream"] == venue.alpaca["rest"].replace("http", "ws") + "/v2/iex"
        venue.process.send_signal(signal.SIGTERM)
        rest, _ = venue.process.communicate(timeout=60)

    assert venue.process.returncode == 0
    assert rest == ""


def test_it_ends_with_zero_while_customers_listen(open_venue: Any) -> None:
    with (
        open_venue() as venue,
        connect(venue.alpaca["stream"], proxy=None, additional_headers=venue.headers) as stream,
    ):
        assert json.loads(stream.recv())[0]["msg"] == "connected"
        venue.process.send_signal(signal.SIGTERM)
        assert venue.process.wait(60) == 0


def test_keys_can_be_chosen(open_venue: Any) -> None:
    with open_venue("--key-id", "K", "--secret-key", "S") as venue:
        assert (venue.alpaca["key"], venue.alpaca["secret"]) == ("K", "S")


def test_garbage_is_one_line_and_code_two(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.parquet"
    garbage.write_bytes(b"\x00\x01 not a market")
    refused = run("--json", "--market", str(garbage))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "garbage.parquet" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
