"""The admin route: faults are armed, listed, counted and taken back by whoever knows the address."""

from typing import Any

import pytest
from builders.fault_script import READS, Script, client_of


def test_faults_are_listed_counted_and_taken_back(coin: Any, script: Script) -> None:
    first = script.arm("status", protocol="polygon", path="/v1/", status=500, count=2)
    second = script.arm("drop", channel="quotes", symbols=["X:BTCUSD"], duration_s=60)
    with client_of(coin, "polygon") as client:
        assert [client.get(READS["polygon"]).status_code for _ in range(3)] == [500, 500, 200]
    listed = {each["id"]: each for each in script.call("GET").json()["faults"]}

    assert (listed[first]["hits"], listed[first]["active"]) == (2, False)
    assert (listed[second]["symbols"], listed[second]["active"]) == (["BTC-USDT"], True)
    assert script.call("DELETE", f"/faults/{second}").status_code == 204
    assert script.call("DELETE", f"/faults/{second}").status_code == 404
    script.call("DELETE")
    assert script.call("GET", "").json()["faults"] == []
    assert set(script.call("GET").json()["kinds"]["refuse"]) == {"http", "stream"}


def test_several_faults_are_armed_at_once(script: Script, coin: Any) -> None:
    told = script.call("POST", json=[{"kind": "drop", "count": 1, "path": "/x"}, {"kind": "mute", "path": "/x"}]).json()

    assert [each["kind"] for each in told] == ["drop", "mute"]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"kind":"explode"}',
        '{"kind":"drop","sort":1}',
        '{"kind":"drop","count":0}',
        '{"kind":"status","status":200}',
    ],
)
def test_what_is_no_fault_is_refused(coin: Any, script: Script, body: str) -> None:
    refused = script.call("POST", content=body)

    assert refused.status_code == 400
    assert refused.json()["error"]


def test_the_board_is_bounded(coin: Any, script: Script) -> None:
    fault = {"kind": "drop", "path": "/nowhere"}
    assert script.call("POST", json=[fault] * 100).status_code == 201
    assert script.call("POST", json=fault).status_code == 409
    assert script.call("POST", content=b" " * 70_000).status_code == 413


def test_who_does_not_know_the_address_finds_nothing(coin: Any) -> None:
    root = coin.line["admin"].rpartition("/")[0]

    assert Script(f"{root}/guess").call("GET").status_code == 404
    assert Script(f"{root}/guess").call("POST", json={"kind": "drop"}).status_code == 404


def test_without_being_asked_for_there_is_no_admin_route(venue: Any) -> None:
    assert venue.line["admin"] is None
    assert venue.call("GET", "/admin/None/faults").status_code == 404
