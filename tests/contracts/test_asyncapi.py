"""The committed description of the stream says what the code does."""

import json
import re

import pytest
from contracts.stream_shapes import command_complaints, document

from services.gateway.settings import Settings
from services.gateway.websocket.commands import Auth, Ping, Subscribe, Unsubscribe, parse
from services.gateway.websocket.frames import Channel, CloseCode, Type
from trading.errors import InvalidArgument

CONTRACT = document("asyncapi.yaml")
SCHEMAS = CONTRACT["components"]["schemas"]
PROSE = CONTRACT["info"]["description"]


def test_the_channels_and_types_are_the_codes() -> None:
    assert SCHEMAS["ChannelName"]["enum"] == [channel.value for channel in Channel]
    assert SCHEMAS["Frame"]["properties"]["type"]["enum"] == [kind.value for kind in Type]


def test_the_close_codes_are_the_codes() -> None:
    promised = {int(code) for code in re.findall(r"^\| (\d{4}) \|", PROSE, re.MULTILINE)}
    ours = {code for name, code in vars(CloseCode).items() if name.isupper()}
    of_the_protocol = {1007, 1009, 1011}
    assert promised == ours | of_the_protocol


def test_the_commands_are_the_codes() -> None:
    promised = {SCHEMAS[kind.__name__]["properties"]["op"]["const"] for kind in (Auth, Subscribe, Unsubscribe, Ping)}
    assert promised == {"auth", "subscribe", "unsubscribe", "ping"}


def test_the_limits_are_the_settings_defaults() -> None:
    limits = {name: field.default for name, field in Settings.model_fields.items() if name.startswith("stream_")}
    stated = {
        "64 KiB": limits["stream_message_bytes_max"] // 1024 == 64,
        "5,000 followed keys": limits["stream_symbols_max"] == 5000,
        "1,024 waiting frames": limits["stream_queue_max"] == 1024,
        "10 s to show a": limits["stream_auth_seconds"] == 10,
        "20,000 clients": limits["stream_clients_max"] == 20_000,
        "every 15 s": limits["stream_heartbeat_seconds"] == 15,
    }
    assert [words for words, holds in stated.items() if not holds or words not in PROSE] == []


def test_every_reference_leads_somewhere() -> None:
    documents = {"": CONTRACT, "openapi.yaml": document("openapi.yaml")}
    for name, path in re.findall(r'"\$ref": "([a-z.]*)#/([^"]+)"', json.dumps(CONTRACT)):
        node = documents[name]
        for part in path.split("/"):
            node = node[part]


@pytest.mark.parametrize(
    "command",
    [
        {"op": "auth", "key": "k"},
        {"op": "subscribe", "channels": [{"channel": "quotes", "symbols": ["AAPL"]}], "id": 1},
        {"op": "subscribe", "channels": [{"channel": "orders", "account": "main", "after": "5"}], "after": 3},
        {"op": "unsubscribe", "channels": [{"channel": "trades"}]},
        {"op": "ping", "id": "x"},
    ],
)
def test_a_good_command_is_good_to_both(command: dict[str, object]) -> None:
    assert command_complaints(command) == []
    parse(json.dumps(command))


@pytest.mark.parametrize(
    "command",
    [
        {"op": "subscribe", "channels": []},
        {"op": "subscribe", "channels": [{"channel": "weather"}]},
        {"op": "subscribe", "channels": [{"channel": "quotes", "symbol": "AAPL"}]},
        {"op": "subscribe", "channels": [{"channel": "orders", "after": -1}]},
        {"op": "subscribe", "channels": [{"channel": "orders", "after": "x"}]},
        {"op": "ping", "id": 1.5},
        {"op": "auth", "key": 5},
    ],
)
def test_a_bad_command_is_bad_to_both(command: dict[str, object]) -> None:
    assert command_complaints(command) != []
    with pytest.raises(InvalidArgument):
        parse(json.dumps(command))
